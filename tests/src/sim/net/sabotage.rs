//! Services that break their word, to prove that the rules notice: no run that is meant to succeed
//! uses them.

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::sim::scenario::Sabotage;

/// The request as the dishonest service takes it, or its answer if it does not even look.
pub(super) fn corrupt(
    sabotage: Option<Sabotage>,
    operation: &str,
    mut request: HttpRequest,
) -> Result<HttpRequest, HttpResponse> {
    let body: Option<Value> = request
        .body()
        .bytes()
        .and_then(|body| serde_json::from_slice(body).ok());
    let Some(mut body) = body else {
        return Ok(request);
    };
    match sabotage {
        Some(Sabotage::ConditionsIgnored) => {
            let Some(condition) = body["ConditionExpression"].as_str() else {
                return Ok(request);
            };
            let always = "attribute_exists(leaseKey) OR attribute_not_exists(leaseKey)";
            body["ConditionExpression"] = json!(format!("{always} OR ({condition})"));
            *request.body_mut() = SdkBody::from(body.to_string());
            Ok(request)
        }
        Some(Sabotage::RenewalsForged) => {
            let key = body["Key"]["leaseKey"]["S"].as_str().unwrap_or_default();
            if operation == "UpdateItem" && key.starts_with("worker/") {
                let status = StatusCode::try_from(200).expect("200 is a status code");
                return Err(HttpResponse::new(status, SdkBody::from("{}")));
            }
            Ok(request)
        }
        Some(Sabotage::RecordsSkipped) | None => Ok(request),
    }
}

/// The answer as the dishonest service gives it.
pub(super) fn distort(
    sabotage: Option<Sabotage>,
    operation: &str,
    mut response: HttpResponse,
) -> HttpResponse {
    if sabotage != Some(Sabotage::RecordsSkipped) || operation != "GetRecords" {
        return response;
    }
    let body: Option<Value> = response
        .body()
        .bytes()
        .and_then(|body| serde_json::from_slice(body).ok());
    if let Some(mut body) = body
        && let Some(records) = body["Records"].as_array_mut()
        && records.len() > 2
    {
        records.remove(1);
        let body = body.to_string();
        response
            .headers_mut()
            .insert("content-length", body.len().to_string());
        *response.body_mut() = SdkBody::from(body);
    }
    response
}
