//! The last page of a shard as the service may also give it: the last records and the children in one. The
//! emulator tells of the children on a page of their own. A consumer has to understand both.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::sim::control::Control;
use crate::sim::history::History;

/// Puts the end of the shard on this page, if nothing but the end follows it.
pub(super) async fn with_end(
    control: &Control,
    history: &History,
    mut response: HttpResponse,
) -> HttpResponse {
    let has_closed = |oracle: &crate::sim::checkers::Oracle| {
        let mut shards = oracle.ledger().shards.values();
        shards.any(|of| of.closed.is_some() && !of.ended)
    };
    if !response.status().is_success() || !history.read(has_closed) {
        return response;
    }
    let bytes = response.body().bytes().unwrap_or_default();
    let mut page: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let next = page["NextShardIterator"].as_str().map(str::to_owned);
    let (Some(next), Some(false)) = (next, page["Records"].as_array().map(Vec::is_empty)) else {
        return response;
    };
    let input = json!({ "ShardIterator": next });
    let Ok(after) = control.call("GetRecords", &input).await else {
        return response;
    };
    if after["ChildShards"].is_array()
        && let Some(fields) = page.as_object_mut()
    {
        fields.remove("NextShardIterator");
        fields.insert("ChildShards".to_owned(), after["ChildShards"].clone());
        let body = page.to_string();
        response
            .headers_mut()
            .insert("content-length", body.len().to_string());
        *response.body_mut() = SdkBody::from(body);
    }
    response
}
