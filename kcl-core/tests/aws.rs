//! What the SDK's own failures become, on the way to the user.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::list_shards::ListShardsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::retry::ErrorKind as RetryKind;
use kcl_core::aws::{Call, classify};
use kcl_core::{Error, ErrorKind};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

#[derive(Debug)]
struct Provider(fn() -> CredentialsError);

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err((self.0)()))
    }
}

fn builder(endpoint: &str) -> aws_types::sdk_config::Builder {
    let credentials = Credentials::for_tests();
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-north-1"))
        .endpoint_url(endpoint)
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
}

async fn failure(config: SdkConfig) -> Error {
    let call = Call {
        service: "kinesis",
        operation: "ListShards",
        resource: "stream orders",
    };
    let client = Client::new(&config);
    classify(
        call,
        client
            .list_shards()
            .stream_name("orders")
            .send()
            .await
            .expect_err("nobody answers well"),
    )
}

fn assert_says(error: &Error, kind: ErrorKind, parts: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{}", error.chain());
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    assert!(
        std::error::Error::source(error).is_some(),
        "the cause is kept"
    );
}

/// An endpoint where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn no_credentials_says_how_to_give_them() {
    let provider = Provider(CredentialsError::not_loaded_no_source);
    let provider = SharedCredentialsProvider::new(provider);
    let error = failure(builder(NOBODY).credentials_provider(provider).build()).await;
    assert_says(
        &error,
        ErrorKind::Denied,
        &["there are no credentials", "AWS_ACCESS_KEY_ID"],
    );
}

#[tokio::test]
async fn no_credentials_provider_at_all_says_so_too() {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-north-1"))
        .endpoint_url(NOBODY)
        .build();
    let error = failure(config).await;
    assert!(
        matches!(error.kind(), ErrorKind::Denied | ErrorKind::Invalid),
        "{}",
        error.chain()
    );
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_may_work_later() {
    let provider = Provider(|| CredentialsError::provider_error("scripted"));
    let provider = SharedCredentialsProvider::new(provider);
    let error = failure(builder(NOBODY).credentials_provider(provider).build()).await;
    assert_says(&error, ErrorKind::Unavailable, &["could not be fetched"]);
}

#[tokio::test]
async fn a_wrong_endpoint_names_the_settings_to_check() {
    let error = failure(builder(NOBODY).build()).await;
    let parts = [
        "cannot be reached",
        "AWS_ENDPOINT_URL_KINESIS",
        "AWS_REGION",
    ];
    assert_says(&error, ErrorKind::Unavailable, &parts);
}

#[tokio::test]
async fn a_host_that_does_not_exist_names_the_settings_to_check() {
    let error = failure(builder("http://no-such-host.invalid").build()).await;
    assert_says(
        &error,
        ErrorKind::Unavailable,
        &["cannot be reached", "AWS_ENDPOINT_URL"],
    );
}

#[tokio::test]
async fn a_silent_endpoint_is_not_waited_for_for_ever() {
    let server = MockServer::start().await;
    let silence = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(any())
        .respond_with(silence)
        .mount(&server)
        .await;
    let limits = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_millis(50))
        .build();
    let error = failure(builder(&server.uri()).timeout_config(limits).build()).await;
    assert_says(&error, ErrorKind::Unavailable, &["did not answer in time"]);
}

#[test]
fn a_connection_that_breaks_may_work_later() {
    let broken = ConnectorError::other("closed".into(), Some(RetryKind::TransientError));
    let failure = SdkError::<ListShardsError, HttpResponse>::dispatch_failure(broken);
    let call = Call {
        service: "kinesis",
        operation: "ListShards",
        resource: "stream orders",
    };
    let error = classify(call, failure);
    let parts = ["broke the connection off", "AWS_ENDPOINT_URL_KINESIS"];
    assert_says(&error, ErrorKind::Unavailable, &parts);
}

#[tokio::test]
async fn no_region_says_which_setting_is_missing() {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .build();
    let error = failure(config).await;
    assert_says(&error, ErrorKind::Invalid, &["AWS_REGION"]);
}

#[tokio::test]
async fn refusals_of_the_service_are_told_by_their_code() {
    let cases = [
        (
            400,
            "AccessDeniedException",
            ErrorKind::Denied,
            "allow kinesis:ListShards",
        ),
        (
            400,
            "ExpiredTokenException",
            ErrorKind::Denied,
            "credentials",
        ),
        (403, "InvalidSignatureException", ErrorKind::Denied, "clock"),
        (
            400,
            "ResourceNotFoundException",
            ErrorKind::NotFound,
            "stream orders does not exist",
        ),
        (
            400,
            "LimitExceededException",
            ErrorKind::Unavailable,
            "throttled",
        ),
        (400, "ValidationException", ErrorKind::Invalid, "arguments"),
        (500, "InternalFailure", ErrorKind::Unavailable, "status 500"),
        (
            400,
            "NeverHeardOfException",
            ErrorKind::Unavailable,
            "NeverHeardOfException",
        ),
    ];
    for (status, code, kind, part) in cases {
        let server = MockServer::start().await;
        let body = format!(r#"{{"__type": "{code}", "message": "scripted"}}"#);
        let refusal =
            ResponseTemplate::new(status).set_body_raw(body, "application/x-amz-json-1.1");
        Mock::given(any())
            .respond_with(refusal)
            .mount(&server)
            .await;
        let error = failure(builder(&server.uri()).build()).await;
        assert_says(&error, kind, &[part, code]);
    }
}
