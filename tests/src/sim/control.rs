//! Direct calls to the emulator that no network disturbs: what the experimenter does and knows.

use std::sync::Arc;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use kinesis_emulator::Service;
use serde_json::Value;

/// The experimenter's hand on the stream.
#[derive(Clone)]
pub struct Control {
    service: Arc<Service>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    /// A hand on this service.
    #[must_use]
    pub const fn new(service: Arc<Service>) -> Self {
        Self { service }
    }

    /// One call.
    ///
    /// # Errors
    /// The whole body of the answer, if it is not a success.
    pub async fn call(&self, operation: &str, input: &Value) -> Result<Value, String> {
        let mut request = HttpRequest::new(SdkBody::from(input.to_string()));
        request
            .set_method("POST")
            .map_err(|error| error.to_string())?;
        request
            .set_uri("http://emulator/")
            .map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.insert("host", "emulator");
        headers.insert("content-type", "application/x-amz-json-1.1");
        headers.insert("x-amz-target", format!("Kinesis_20131202.{operation}"));
        headers.insert(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/kinesis/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=00",
        );
        headers.insert("x-amz-date", "20260101T000000Z");
        let response = self
            .service
            .exchange(request)
            .await
            .map_err(|error| format!("{error:?}"))?;
        let ok = response.status().is_success();
        let body = response.body().bytes().unwrap_or_default();
        if !ok {
            return Err(String::from_utf8_lossy(body).into_owned());
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }
}
