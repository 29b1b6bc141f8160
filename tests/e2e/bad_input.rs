//! Bad input ends in one clear error that names the cause and what to do.

use std::time::Duration;

use tests::fleet::{EmulatorProcess, binaries, run_to_end};
use wiremock::matchers::header_regex;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Every one of these must end by itself well before this.
const AT_MOST: Duration = Duration::from_secs(30);

const KEYS: [(&str, &str); 3] = [
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
];

/// Runs `record-printer` and answers its exit code and its error lines (log lines left out).
async fn printer(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    run_to_end(&binaries().await.unwrap(), arguments, environment, AT_MOST)
        .await
        .unwrap()
}

fn assert_names(text: &str, words: &[&str]) {
    for word in words {
        assert!(
            text.to_lowercase().contains(&word.to_lowercase()),
            "{word:?} is not in:\n{text}"
        );
    }
    assert!(!text.contains("panicked"), "{text}");
    let errors = text
        .lines()
        .filter(|line| line.starts_with("error:"))
        .count();
    assert_eq!(errors, 1, "not exactly one error in:\n{text}");
}

#[tokio::test]
async fn an_unknown_stream_is_named() {
    let emulator = EmulatorProcess::start(&binaries().await.unwrap())
        .await
        .unwrap();
    let mut environment = KEYS.to_vec();
    environment.push(("AWS_ENDPOINT_URL", emulator.endpoint()));
    let (code, text) = printer(
        &["--stream", "no-such-stream", "--application", "app"],
        &environment,
    )
    .await;
    assert_eq!(code, Some(1), "{text}");
    assert_names(&text, &["no-such-stream", "create"]);
}

#[tokio::test]
async fn a_missing_table_permission_is_named() {
    let emulator = EmulatorProcess::start(&binaries().await.unwrap())
        .await
        .unwrap();
    let client = aws_sdk_kinesis::Client::new(&emulator.sdk_config());
    client
        .create_stream()
        .stream_name("s")
        .shard_count(1)
        .send()
        .await
        .unwrap();
    let dynamo = MockServer::start().await;
    Mock::given(header_regex("x-amz-target", "DynamoDB_20120810.*"))
        .respond_with(ResponseTemplate::new(400).set_body_raw(
            r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"User: arn:aws:iam::123456789012:user/u is not authorized to perform: dynamodb:DescribeTable on resource: arn:aws:dynamodb:us-east-1:123456789012:table/app"}"#,
            "application/x-amz-json-1.0",
        ))
        .mount(&dynamo)
        .await;
    let uri = dynamo.uri();
    let mut environment = KEYS.to_vec();
    environment.push(("AWS_ENDPOINT_URL", emulator.endpoint()));
    environment.push(("AWS_ENDPOINT_URL_DYNAMODB", &uri));
    let (code, text) = printer(&["--stream", "s", "--application", "app"], &environment).await;
    assert_eq!(code, Some(1), "{text}");
    assert_names(&text, &["app", "dynamodb:", "permission"]);
}

#[tokio::test]
async fn missing_credentials_are_named() {
    // The instance metadata service is switched off: here it could only time out.
    let environment = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("HOME", "/nonexistent"),
    ];
    let (code, text) = printer(&["--stream", "s", "--application", "app"], &environment).await;
    assert_eq!(code, Some(1), "{text}");
    assert_names(&text, &["credentials", "AWS_ACCESS_KEY_ID"]);
}

#[tokio::test]
async fn a_wrong_endpoint_is_named() {
    // Port 9 (discard) of the loopback: nothing listens there.
    let mut environment = KEYS.to_vec();
    environment.push(("AWS_ENDPOINT_URL", "http://127.0.0.1:9"));
    let (code, text) = printer(&["--stream", "s", "--application", "app"], &environment).await;
    assert_eq!(code, Some(1), "{text}");
    assert_names(&text, &["endpoint", "AWS_ENDPOINT_URL"]);
}

#[tokio::test]
async fn a_missing_region_is_named() {
    let environment = [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("HOME", "/nonexistent"),
    ];
    let (code, text) = printer(&["--stream", "s", "--application", "app"], &environment).await;
    assert_eq!(code, Some(1), "{text}");
    assert_names(&text, &["region", "AWS_REGION"]);
}

#[tokio::test]
async fn an_invalid_name_is_named_with_its_rule() {
    let (code, text) = printer(&["--stream", "not a stream", "--application", "app"], &KEYS).await;
    assert_eq!(code, Some(1), "{text}");
    assert_names(&text, &["not a stream", "1 to 128"]);
}

#[tokio::test]
async fn an_unknown_position_is_refused_with_the_choices() {
    let arguments = [
        "--stream",
        "s",
        "--application",
        "app",
        "--initial-position",
        "the-day-before",
    ];
    let (code, text) = printer(&arguments, &KEYS).await;
    assert_eq!(code, Some(2), "{text}");
    assert_names(&text, &["the-day-before", "trim-horizon", "latest"]);
}
