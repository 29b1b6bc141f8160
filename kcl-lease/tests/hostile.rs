//! DynamoDB answers that no well-behaved service gives: errors, nonsense and silence.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use kcl_core::error::{Error, ErrorKind};
use kcl_core::model::{Checkpoint, Epoch, SequenceNumber, StreamName, WorkerId};
use kcl_lease::{
    DynamoTable, Fence, Freshness, Incarnation, KinesisShards, LeaseStore as _, Outcome, Parting,
    ShardList as _, StoreError, WorkerKey,
};
use wiremock::matchers::{body_string_contains, header};
use wiremock::{Mock, MockBuilder, MockServer, ResponseTemplate};

fn call(operation: &str) -> MockBuilder {
    Mock::given(header(
        "x-amz-target",
        format!("DynamoDB_20120810.{operation}").as_str(),
    ))
}

fn refusal(status: u16, kind: &str, more: &str) -> ResponseTemplate {
    let body = format!(
        "{{\"__type\":\"com.amazonaws.dynamodb.v20120810#{kind}\",\"message\":\"no\"{more}}}"
    );
    ResponseTemplate::new(status).set_body_raw(body, "application/x-amz-json-1.0")
}

fn answer(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.to_owned(), "application/x-amz-json-1.0")
}

async fn table() -> (MockServer, DynamoTable) {
    let server = MockServer::start().await;
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .operation_attempt_timeout(Duration::from_millis(400))
                .build(),
        )
        .endpoint_url(server.uri())
        .build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    (
        server,
        DynamoTable::new(client.clone(), client, "orders-app"),
    )
}

fn fence() -> Fence {
    Fence {
        shard: "s-1".into(),
        holder: WorkerKey {
            worker: WorkerId::new("a").unwrap(),
            incarnation: Incarnation::parse("life-1").unwrap(),
        },
        epoch: Epoch::new(4),
    }
}

fn at(number: &str) -> Checkpoint {
    Checkpoint::at(SequenceNumber::new(number).unwrap())
}

fn fatal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Error {
    match result.unwrap_err() {
        StoreError::Fatal(error) => error,
        StoreError::Unavailable(error) => panic!("may be waited out: {error:?}"),
    }
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Error {
    match result.unwrap_err() {
        StoreError::Unavailable(error) => error,
        StoreError::Fatal(error) => panic!("is for good: {error:?}"),
    }
}

#[tokio::test]
async fn a_missing_permission_names_itself_and_the_table() {
    let (server, table) = table().await;
    call("Scan")
        .respond_with(refusal(400, "AccessDeniedException", ""))
        .mount(&server)
        .await;
    let error = fatal(table.scan(Freshness::Eventual).await);
    assert_eq!(error.kind(), ErrorKind::Denied);
    let text = error.to_string();
    assert!(
        text.contains("dynamodb:Scan") && text.contains("orders-app"),
        "{text}"
    );
}

#[tokio::test]
async fn a_table_that_is_gone_is_for_good_and_nothing_makes_it_again() {
    let (server, table) = table().await;
    call("UpdateItem")
        .respond_with(refusal(400, "ResourceNotFoundException", ""))
        .mount(&server)
        .await;
    let error = fatal(table.renew(&fence().holder, 1, false, None, None).await);
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("orders-app"), "{error}");
    assert_eq!(
        server.received_requests().await.unwrap().len(),
        1,
        "no CreateTable"
    );
}

#[tokio::test]
async fn throttling_faults_silence_and_cut_lines_leave_the_outcome_open() {
    for reply in [
        refusal(400, "ProvisionedThroughputExceededException", ""),
        refusal(400, "ThrottlingException", ""),
        refusal(500, "InternalServerError", ""),
        refusal(503, "ServiceUnavailable", ""),
        answer("{}").set_delay(Duration::from_secs(5)),
    ] {
        let (server, table) = table().await;
        call("UpdateItem").respond_with(reply).mount(&server).await;
        unavailable(
            table
                .commit(&fence(), &Checkpoint::TrimHorizon, &at("5"), None)
                .await,
        );
    }
}

#[tokio::test]
async fn a_refusal_brings_the_row_along() {
    let (server, table) = table().await;
    let item =
        r#","Item":{"leaseKey":{"S":"s-1"},"leaseCounter":{"N":"5"},"checkpoint":{"S":"9"}}"#;
    call("UpdateItem")
        .respond_with(refusal(400, "ConditionalCheckFailedException", item))
        .mount(&server)
        .await;
    let outcome = table.release(&fence(), &Parting::default()).await.unwrap();
    let Outcome::Refused(Some(row)) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((row.counter, row.checkpoint), (5, at("9")));
}

#[tokio::test]
async fn a_refusal_without_the_row_is_followed_by_a_consistent_read() {
    let (server, table) = table().await;
    call("UpdateItem")
        .respond_with(refusal(400, "ConditionalCheckFailedException", ""))
        .mount(&server)
        .await;
    let item =
        r#"{"Item":{"leaseKey":{"S":"s-1"},"leaseCounter":{"N":"5"},"checkpoint":{"S":"9"}}}"#;
    call("GetItem")
        .and(body_string_contains("\"ConsistentRead\":true"))
        .respond_with(answer(item))
        .expect(1)
        .mount(&server)
        .await;
    let outcome = table
        .finish(&fence(), &at("3"), &BTreeSet::new())
        .await
        .unwrap();
    assert!(matches!(outcome, Outcome::Refused(Some(_))), "{outcome:?}");
}

#[tokio::test]
async fn rows_and_answers_that_make_no_sense_are_told_and_not_guessed() {
    let (server, scanned) = table().await;
    let page =
        r#"{"Items":[{"leaseKey":{"S":"s-1"},"leaseCounter":{"N":"1"},"checkpoint":{"S":"??"}}]}"#;
    call("Scan").respond_with(answer(page)).mount(&server).await;
    let error = fatal(scanned.scan(Freshness::Consistent).await);
    assert_eq!(error.kind(), ErrorKind::Data);
    let text = error.to_string();
    assert!(
        text.contains("s-1") && text.contains("checkpoint"),
        "{text}"
    );

    for body in [
        "<html>hello</html>",
        "{\"Items\":7}",
        "",
        "{\"Items\":[{\"leaseKey\":{}}]}",
    ] {
        let (server, table) = table().await;
        call("Scan").respond_with(answer(body)).mount(&server).await;
        // Nothing to read from is either no rows or an error, and never a panic.
        if let Ok(rows) = table.scan(Freshness::Eventual).await {
            assert_eq!(rows, [], "{body}");
        }
    }
}

#[tokio::test]
async fn a_table_of_somebody_else_is_not_used() {
    let (server, table) = table().await;
    let description = r#"{"Table":{"TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}]}}"#;
    call("DescribeTable")
        .respond_with(answer(description))
        .mount(&server)
        .await;
    let error = fatal(table.ensure_table().await);
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("leaseKey"), "{error}");
}

#[tokio::test]
async fn every_page_of_a_scan_is_read() {
    let (server, table) = table().await;
    let row = |n: u32| {
        format!(
            r#"{{"leaseKey":{{"S":"s-{n}"}},"leaseCounter":{{"N":"1"}},"checkpoint":{{"S":"LATEST"}}}}"#
        )
    };
    call("Scan")
        .and(body_string_contains("ExclusiveStartKey"))
        .respond_with(answer(&format!(r#"{{"Items":[{}]}}"#, row(2))))
        .mount(&server)
        .await;
    let first = format!(
        r#"{{"Items":[{}],"LastEvaluatedKey":{{"leaseKey":{{"S":"s-1"}}}}}}"#,
        row(1)
    );
    call("Scan")
        .respond_with(answer(&first))
        .with_priority(9)
        .mount(&server)
        .await;
    assert_eq!(table.scan(Freshness::Eventual).await.unwrap().len(), 2);
}

/// What comes of a start at LATEST when the service refuses to compare its clock.
#[tokio::test]
async fn a_service_that_does_not_tell_its_time_is_named_or_not_needed() {
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    let cases = [
        // Who reads by fan-out alone lacks the permission.
        ("AccessDeniedException", Ok(past)),
        // The mock's own date says that it has long come.
        ("InvalidArgumentException", Err(ErrorKind::Invalid)),
        ("ResourceNotFoundException", Err(ErrorKind::Unavailable)),
        (
            "ProvisionedThroughputExceededException",
            Err(ErrorKind::Unavailable),
        ),
    ];
    for (kind, expected) in cases {
        let server = MockServer::start().await;
        Mock::given(header("x-amz-target", "Kinesis_20131202.GetShardIterator"))
            .respond_with(refusal(400, kind, ""))
            .mount(&server)
            .await;
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(server.uri())
            .build();
        let shards = KinesisShards::new(aws_sdk_kinesis::Client::from_conf(config));
        let stream = StreamName::new("orders").unwrap();
        let shard = "shardId-000000000000".into();
        let reached = shards.reached(&stream, &shard, past).await;
        if let Err(error) = &reached
            && error.kind() == ErrorKind::Invalid
        {
            assert!(error.hint().unwrap().contains("clock"), "{error}");
        }
        assert_eq!(reached.map_err(|error| error.kind()), expected, "{kind}");
    }
}
