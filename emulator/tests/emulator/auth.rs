//! Signatures, as the real SDK makes them: over the socket and in process.

use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{Builder, Credentials};
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use bytes::Bytes;
use http_body_util::Full;
use kinesis_emulator::{Auth, Clock, Emulator, Keys, Service, Settings};
use serde_json::Value;

const KEYS: &str = "
[[key]]
access-key = \"AKIDONE\"
secret = \"the first secret\"
account = \"111111111111\"
[[key]]
access-key = \"AKIDTWO\"
secret = \"the second secret\"
account = \"222222222222\"
session-token = \"a token\"
";

fn settings() -> Settings {
    Settings {
        auth: Auth::SigV4(Keys::parse(KEYS).unwrap()),
        ..Settings::default()
    }
}

fn client(config: &aws_types::SdkConfig, credentials: Credentials) -> Client {
    let builder = Builder::from(config).credentials_provider(credentials);
    Client::from_conf(builder.build())
}

fn keys(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials::new(id, secret, token.map(str::to_owned), None, "test")
}

#[tokio::test]
async fn what_the_sdk_signs_is_accepted_over_the_socket() {
    let emulator = Emulator::builder().settings(settings()).start().await;
    let emulator = emulator.unwrap();
    accounts_are_kept_apart(&emulator.sdk_config()).await;
    wrong_keys_are_refused(&emulator.sdk_config()).await;
}

#[tokio::test]
async fn what_the_sdk_signs_is_accepted_in_process() {
    let service = Service::new(settings());
    accounts_are_kept_apart(&service.sdk_config()).await;
    wrong_keys_are_refused(&service.sdk_config()).await;
}

async fn accounts_are_kept_apart(config: &aws_types::SdkConfig) {
    let one = Client::new(config);
    let two = client(
        config,
        keys("AKIDTWO", "the second secret", Some("a token")),
    );
    let create = one.create_stream().stream_name("s").shard_count(1);
    create.send().await.unwrap();
    let summary = one.describe_stream_summary().stream_name("s").send().await;
    let arn = summary.unwrap().stream_description_summary.unwrap();
    assert!(arn.stream_arn().contains(":111111111111:"), "{arn:?}");
    assert!(
        two.list_streams()
            .send()
            .await
            .unwrap()
            .stream_names()
            .is_empty()
    );
    let tables = aws_sdk_dynamodb::Client::new(config);
    assert!(tables.list_tables().send().await.is_ok());
}

async fn wrong_keys_are_refused(config: &aws_types::SdkConfig) {
    for (credentials, expected) in [
        (
            keys("AKIDONE", "no secret", None),
            "InvalidSignatureException",
        ),
        (
            keys("AKIDSIX", "the first secret", None),
            "UnrecognizedClientException",
        ),
        (
            keys("AKIDTWO", "the second secret", None),
            "UnrecognizedClientException",
        ),
        (
            keys("AKIDTWO", "the second secret", Some("x")),
            "UnrecognizedClientException",
        ),
    ] {
        let client = client(config, credentials.clone());
        let refused = client.list_streams().send().await.unwrap_err();
        assert_eq!(refused.code(), Some(expected));
        let builder = aws_sdk_dynamodb::config::Builder::from(config);
        let builder = builder.credentials_provider(credentials);
        let tables = aws_sdk_dynamodb::Client::from_conf(builder.build());
        let refused = tables.list_tables().send().await.unwrap_err();
        let code = ProvideErrorMetadata::code(&refused);
        assert_eq!(code, Some(expected));
    }
}

/// A client whose clock is the machine's, against a service that stands in another year: it is
/// refused once, sees the service's time, and signs anew.
#[tokio::test]
async fn clients_correct_their_clock_by_the_services() {
    let mut settings = settings();
    settings.clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(1_600_000_000));
    let emulator = Emulator::builder().settings(settings).start().await;
    let config = emulator.as_ref().unwrap().sdk_config().into_builder();
    let machine = aws_smithy_async::time::SystemTimeSource::new();
    let config = config.time_source(machine).build();
    Client::new(&config).list_streams().send().await.unwrap();
}

/// Whether keys are asked for or not: who starts at LATEST goes by it.
#[tokio::test]
async fn answers_carry_the_services_time() {
    let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(1_600_000_000));
    clock.freeze();
    let service = Service::new(Settings {
        clock: clock.clone(),
        ..Settings::default()
    });
    let date = async |target| {
        let request = http::Request::post("/").header("x-amz-target", target);
        let answer = service.serve(request.body(Full::new(Bytes::new())).unwrap());
        let date = answer.await.headers()["date"].clone();
        date.to_str().unwrap().to_owned()
    };
    let first = date("Kinesis_20131202.ListStreams").await;
    assert_eq!(first, "Sun, 13 Sep 2020 12:26:40 GMT");
    assert_eq!(date("DynamoDB_20120810.ListTables").await, first);
    clock.advance(Duration::from_millis(1_500));
    assert_eq!(date("").await, "Sun, 13 Sep 2020 12:26:41 GMT");
}

async fn ask(service: &Service, path: &str, target: &str, body: &'static str) -> (u16, Value) {
    let request = http::Request::post(path)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", target)
        .body(Full::new(Bytes::from(body)));
    let answer = service.serve(request.unwrap()).await;
    let status = answer.status().as_u16();
    let body = answer.into_body().into_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn what_is_not_signed_is_refused_after_its_target_and_before_its_members() {
    let service = Service::new(settings());
    let missing = "MissingAuthenticationTokenException";
    for (target, body, expected) in [
        ("Kinesis_20131202.ListStreams", "{}", missing),
        ("Kinesis_20131202.ListStreams", r#"{"Limit":"x"}"#, missing),
        (
            "Kinesis_20131202.ListStreams",
            "{",
            "SerializationException",
        ),
        (
            "Kinesis_20131202.Nothing",
            "{}",
            "UnknownOperationException",
        ),
    ] {
        let (status, answer) = ask(&service, "/", target, body).await;
        assert_eq!((status, answer["__type"].as_str()), (400, Some(expected)));
    }
    let (status, answer) = ask(&service, "/", "DynamoDB_20120810.ListTables", "{}").await;
    assert_eq!(status, 400);
    let kind = answer["__type"].as_str().unwrap();
    assert_eq!(kind, format!("com.amazon.coral.service#{missing}"));
    assert_eq!(answer["message"], "Missing Authentication Token");
}

#[tokio::test]
async fn the_control_interface_wants_a_signature_too_but_for_its_health() {
    let service = Service::new(settings());
    let (status, answer) = ask(&service, "/_emulator/clock/freeze", "", "").await;
    assert_eq!(status, 400);
    assert_eq!(answer["__type"], "MissingAuthenticationTokenException");
    assert_eq!(service.clock().rate(), 1.0);
    let health = http::Request::get("/_emulator/health").body(Full::new(Bytes::new()));
    assert_eq!(service.serve(health.unwrap()).await.status(), 200);
}
