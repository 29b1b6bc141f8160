//! Services that break their word, to prove that the rules notice: no run that is meant to succeed
//! uses them.

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::sim::scenario::Sabotage;

/// The request as the dishonest service takes it.
pub(super) fn corrupt(sabotage: Option<Sabotage>, mut request: HttpRequest) -> HttpRequest {
    if sabotage != Some(Sabotage::ConditionsIgnored) {
        return request;
    }
    let mut body = read(request.body());
    if let Some(condition) = body["ConditionExpression"].as_str() {
        let always = "attribute_exists(leaseKey) OR attribute_not_exists(leaseKey)";
        body["ConditionExpression"] = json!(format!("{always} OR ({condition})"));
        *request.body_mut() = SdkBody::from(body.to_string());
    }
    request
}

/// The answer of a service that does not carry the request out.
pub(super) fn forge(
    sabotage: Option<Sabotage>,
    operation: &str,
    request: &HttpRequest,
) -> Option<HttpResponse> {
    if sabotage != Some(Sabotage::RenewalsForged) || operation != "UpdateItem" {
        return None;
    }
    let body = read(request.body());
    let key = body["Key"]["leaseKey"]["S"].as_str()?;
    let status = StatusCode::try_from(200).expect("200 is a status code");
    key.starts_with("worker/")
        .then(|| HttpResponse::new(status, SdkBody::from("{}")))
}

fn read(body: &SdkBody) -> Value {
    let body = body.bytes().unwrap_or_default();
    serde_json::from_slice(body).unwrap_or_default()
}

/// The answer as the dishonest service gives it.
pub(super) fn distort(
    sabotage: Option<Sabotage>,
    operation: &str,
    mut response: HttpResponse,
) -> HttpResponse {
    let (list, least) = match (sabotage, operation) {
        (Some(Sabotage::RecordsSkipped), "GetRecords") => ("Records", 2),
        (Some(Sabotage::RowsHidden), "Scan") => ("Items", 3),
        _ => return response,
    };
    let mut body = read(response.body());
    if let Some(all) = body[list].as_array_mut()
        && all.len() > least
    {
        all.remove(1);
        let body = body.to_string();
        response
            .headers_mut()
            .insert("content-length", body.len().to_string());
        // It is the sum of a body that is not sent.
        response.headers_mut().remove("x-amz-crc32");
        *response.body_mut() = SdkBody::from(body);
    }
    response
}
