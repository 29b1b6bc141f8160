//! Ready configurations for the AWS SDK: over the socket, and in process without one.
//!
//! Both carry the emulator's clock and tokio's timers, so that signatures, retries and credentials go
//! by virtual time; replace any of it with `config.into_builder()`.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::Builder;

use crate::{Auth, BoxError, Clock, Emulator, Lost, Service};

/// The URL of a service without a socket; nothing resolves it.
const IN_PROCESS: &str = "http://kinesis-emulator.internal";

impl Emulator {
    /// A configuration whose clients call this emulator over its port.
    pub fn sdk_config(&self) -> SdkConfig {
        config(self.service(), self.endpoint()).build()
    }
}

impl Service {
    /// A configuration whose clients call this service in process, without a socket.
    pub fn sdk_config(&self) -> SdkConfig {
        config(self, IN_PROCESS)
            .http_client(InProcess(self.clone()))
            .build()
    }

    /// Carries one request of the SDK to this service and its answer back. A simulator wraps this with
    /// its faults, in a task of its own where the request must be applied whatever becomes of the
    /// caller.
    pub async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(unusable)?;
        let answer = self.serve(request).await;
        if answer.extensions().get::<Lost>().is_some() {
            return Err(ConnectorError::io(Lost.into()));
        }
        let answer = answer.map(|body| match body.try_into_bytes() {
            Ok(bytes) => SdkBody::from(bytes),
            Err(events) => SdkBody::from_body_1_x(events),
        });
        HttpResponse::try_from(answer).map_err(unusable)
    }
}

fn unusable(error: impl Into<BoxError>) -> ConnectorError {
    ConnectorError::user(error.into())
}

/// Such as the service lets in.
fn credentials(auth: &Auth) -> Credentials {
    let key = match auth {
        Auth::Off => None,
        Auth::SigV4(keys) => keys.first(),
    };
    let (id, secret, token) = key.map_or(("test", "test", None), |key| {
        (
            key.access_key.as_str(),
            key.secret.as_str(),
            key.session_token.clone(),
        )
    });
    Credentials::new(id, secret, token, None, "kinesis-emulator")
}

fn config(service: &Service, endpoint: &str) -> Builder {
    let credentials = credentials(service.auth());
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(service.scope().region.to_string()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .sleep_impl(TokioSleep::new())
        .time_source(service.clock().clone())
}

impl TimeSource for Clock {
    fn now(&self) -> std::time::SystemTime {
        Self::now(self)
    }
}

/// The transport without a socket.
#[derive(Clone, Debug)]
struct InProcess(Service);

impl HttpClient for InProcess {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let service = self.0.clone();
        HttpConnectorFuture::new(async move { service.exchange(request).await })
    }
}
