//! The consumer's life against scripted answers, some of which no emulator would give.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use kcl_core::error::ErrorKind;
use kcl_efo::{Consumer, ConsumerSettings};
use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, header};
use wiremock::{Mock, MockServer, ResponseTemplate};

const STREAM_ARN: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/orders";
const CONSUMER_ARN: &str =
    "arn:aws:kinesis:eu-west-1:000000000000:stream/orders/consumer/app:1700000000";

/// A scripted service: each answer serves so many calls of its operation, in order.
struct Service(MockServer);

impl Service {
    async fn start() -> Self {
        let service = Self(MockServer::start().await);
        let summary = json!({"StreamDescriptionSummary": {
            "StreamName": "orders", "StreamARN": STREAM_ARN, "StreamStatus": "ACTIVE",
            "RetentionPeriodHours": 24, "StreamCreationTimestamp": 1.0, "OpenShardCount": 1,
            "EnhancedMonitoring": [],
        }});
        service
            .answer("DescribeStreamSummary", 200, &summary, 1)
            .await;
        service
    }

    async fn answer(&self, operation: &str, status: u16, body: &Value, times: u64) {
        let target = format!("Kinesis_20131202.{operation}");
        let reply = ResponseTemplate::new(status)
            .set_body_raw(body.to_string(), "application/x-amz-json-1.1");
        Mock::given(header("x-amz-target", target))
            .respond_with(reply)
            .up_to_n_times(times)
            .mount(&self.0)
            .await;
    }

    async fn seen(&self, status: &str, times: u64) {
        let body = json!({"ConsumerDescription": {
            "ConsumerName": "app", "ConsumerARN": CONSUMER_ARN, "ConsumerStatus": status,
            "ConsumerCreationTimestamp": 1.0, "StreamARN": STREAM_ARN,
        }});
        self.answer("DescribeStreamConsumer", 200, &body, times)
            .await;
    }

    async fn refuse(&self, operation: &str, code: &str, times: u64) {
        let body = json!({"__type": code, "message": "because"});
        self.answer(operation, 400, &body, times).await;
    }

    async fn registers(&self) {
        let body = json!({"Consumer": {
            "ConsumerName": "app", "ConsumerARN": CONSUMER_ARN, "ConsumerStatus": "CREATING",
            "ConsumerCreationTimestamp": 1.0,
        }});
        self.answer("RegisterStreamConsumer", 200, &body, 1).await;
    }

    fn client(&self) -> Client {
        client(self.0.uri())
    }

    async fn calls(&self, operation: &str) -> usize {
        let target = format!("Kinesis_20131202.{operation}");
        let requests = self.0.received_requests().await.expect("recording is on");
        requests
            .iter()
            .filter(|request| request.headers["x-amz-target"] == *target)
            .count()
    }
}

fn client(endpoint: String) -> Client {
    Client::from_conf(
        aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .endpoint_url(endpoint)
            .retry_config(RetryConfig::disabled())
            .build(),
    )
}

fn quick() -> ConsumerSettings {
    ConsumerSettings {
        ready_within: Duration::from_millis(400),
        look_pause: Duration::from_millis(2),
    }
}

fn named() -> Consumer {
    Consumer::named("orders", "app")
}

#[tokio::test]
async fn an_active_consumer_is_used_without_registering() {
    let service = Service::start().await;
    service.seen("ACTIVE", 1).await;
    let ready = named().ready(&service.client(), &quick()).await.unwrap();
    assert_eq!(ready.arn(), CONSUMER_ARN);
    assert_eq!(service.calls("RegisterStreamConsumer").await, 0);
}

#[tokio::test]
async fn a_missing_consumer_is_registered_once_and_awaited() {
    let service = Service::start().await;
    service
        .refuse("DescribeStreamConsumer", "ResourceNotFoundException", 1)
        .await;
    service.registers().await;
    service.seen("CREATING", 3).await;
    service.seen("ACTIVE", 1).await;
    let ready = named().ready(&service.client(), &quick()).await.unwrap();
    assert_eq!(ready.arn(), CONSUMER_ARN);
    assert_eq!(service.calls("RegisterStreamConsumer").await, 1);
    assert_eq!(service.calls("DescribeStreamConsumer").await, 5);
}

#[tokio::test]
async fn a_registration_won_by_another_worker_is_as_good_as_ours() {
    let service = Service::start().await;
    service
        .refuse("DescribeStreamConsumer", "ResourceNotFoundException", 1)
        .await;
    service
        .refuse("RegisterStreamConsumer", "ResourceInUseException", 1)
        .await;
    service.seen("ACTIVE", 1).await;
    named().ready(&service.client(), &quick()).await.unwrap();
}

#[tokio::test]
async fn a_consumer_that_is_being_deleted_is_registered_when_it_is_gone() {
    let service = Service::start().await;
    service.seen("DELETING", 2).await;
    service
        .refuse("DescribeStreamConsumer", "ResourceNotFoundException", 1)
        .await;
    service.registers().await;
    service.seen("ACTIVE", 1).await;
    named().ready(&service.client(), &quick()).await.unwrap();
    assert_eq!(service.calls("RegisterStreamConsumer").await, 1);
}

#[tokio::test]
async fn throttled_looks_are_repeated() {
    let service = Service::start().await;
    service
        .refuse("DescribeStreamConsumer", "LimitExceededException", 3)
        .await;
    service.seen("ACTIVE", 1).await;
    named().ready(&service.client(), &quick()).await.unwrap();
    assert_eq!(service.calls("DescribeStreamConsumer").await, 4);
}

#[tokio::test]
async fn the_limit_of_consumers_is_named_with_what_to_do() {
    let service = Service::start().await;
    service
        .refuse(
            "DescribeStreamConsumer",
            "ResourceNotFoundException",
            u64::MAX,
        )
        .await;
    service
        .refuse("RegisterStreamConsumer", "LimitExceededException", u64::MAX)
        .await;
    let error = named()
        .ready(&service.client(), &quick())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("deregister one") && text.contains("app"),
        "{text}"
    );
}

#[tokio::test]
async fn one_that_never_gets_active_ends_in_an_error_that_says_what_was_seen() {
    let service = Service::start().await;
    service.seen("CREATING", u64::MAX).await;
    let error = named()
        .ready(&service.client(), &quick())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("still being created"), "{error}");
}

#[tokio::test]
async fn a_missing_permission_names_the_action() {
    let service = Service::start().await;
    service
        .refuse("DescribeStreamConsumer", "ResourceNotFoundException", 1)
        .await;
    service
        .refuse("RegisterStreamConsumer", "AccessDeniedException", 1)
        .await;
    let error = named()
        .ready(&service.client(), &quick())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(
        error.to_string().contains("kinesis:RegisterStreamConsumer"),
        "{error}"
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "AccessDeniedException: because");
}

#[tokio::test]
async fn a_missing_stream_is_not_found() {
    let service = Service(MockServer::start().await);
    service
        .refuse("DescribeStreamSummary", "ResourceNotFoundException", 1)
        .await;
    let error = named()
        .ready(&service.client(), &quick())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("stream orders"), "{error}");
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_unavailable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let client = client(format!("http://127.0.0.1:{port}"));
    let error = named().ready(&client, &quick()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("check the endpoint"), "{error}");
}

#[tokio::test]
async fn an_answer_without_its_content_is_bad_data_and_no_panic() {
    let service = Service::start().await;
    service
        .answer("DescribeStreamConsumer", 200, &json!({}), 1)
        .await;
    let error = named()
        .ready(&service.client(), &quick())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
}

#[tokio::test]
async fn a_registered_consumer_is_addressed_by_its_arn_and_never_registered() {
    let service = Service(MockServer::start().await);
    service
        .refuse("DescribeStreamConsumer", "ResourceNotFoundException", 1)
        .await;
    let consumer = Consumer::registered(CONSUMER_ARN);
    let error = consumer
        .ready(&service.client(), &quick())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(service.calls("RegisterStreamConsumer").await, 0);
}

#[tokio::test]
async fn deregistering_one_that_is_gone_is_fine() {
    let service = Service::start().await;
    service
        .refuse("DeregisterStreamConsumer", "ResourceNotFoundException", 1)
        .await;
    named().deregister(&service.client()).await.unwrap();
}

#[tokio::test]
async fn deregistering_names_stream_and_consumer() {
    let service = Service::start().await;
    let expected = json!({"StreamARN": STREAM_ARN, "ConsumerName": "app"});
    Mock::given(header(
        "x-amz-target",
        "Kinesis_20131202.DeregisterStreamConsumer",
    ))
    .and(body_partial_json(expected))
    .respond_with(ResponseTemplate::new(200))
    .expect(1)
    .mount(&service.0)
    .await;
    named().deregister(&service.client()).await.unwrap();
}
