//! What many operations answer alike, asked of all of them: the model's list of errors says of whom.
//!
//! Each operation has one request here that it accepts; the tests spoil it or the world around it.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use kinesis_emulator::{Action, Clock, Delays, Fault, Limits, Service, Settings};
use serde_json::{Value, json};

use crate::caller::{Caller, START};

const OWNER: &str = "000000000000";
const OTHER: &str = "111111111111";
const SHARD: &str = "shardId-000000000000";

const ACCESS_DENIED: &str = "AccessDeniedException";
const INVALID: &str = "InvalidArgumentException";
const IN_USE: &str = "ResourceInUseException";
const LIMIT: &str = "LimitExceededException";
const NOT_FOUND: &str = "ResourceNotFoundException";

/// Operations with the errors that the model names for them.
fn model() -> Vec<(&'static str, BTreeSet<&'static str>)> {
    let lines = include_str!("model_errors.txt").lines();
    let line = |line: &'static str| {
        let (operation, errors) = line.split_once(": ").unwrap();
        (operation, errors.split_whitespace().collect())
    };
    lines.map(line).collect()
}

/// Operations whose model names an error.
fn with(error: &str) -> impl Iterator<Item = &'static str> {
    let model = model().into_iter();
    model.filter_map(move |(operation, errors)| errors.contains(error).then_some(operation))
}

fn stream_arn(account: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:{account}:stream/s")
}

fn consumer_arn(account: &str) -> String {
    format!("{}/consumer/c:{START}", stream_arn(account))
}

fn policy() -> String {
    json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "kinesis:*",
        "Resource": "*"}})
    .to_string()
}

/// What an operation's request has besides the name of its stream.
fn members(operation: &str) -> Value {
    let record = json!({"PartitionKey": "k", "Data": ""});
    match operation {
        "AddTagsToStream" | "TagResource" => json!({"Tags": {"a": "b"}}),
        "CreateStream" => json!({"ShardCount": 2}),
        "DecreaseStreamRetentionPeriod" => json!({"RetentionPeriodHours": 24}),
        "DeregisterStreamConsumer" | "DescribeStreamConsumer" | "RegisterStreamConsumer" => {
            json!({"ConsumerName": "c"})
        }
        "DisableEnhancedMonitoring" | "EnableEnhancedMonitoring" => {
            json!({"ShardLevelMetrics": ["ALL"]})
        }
        "GetShardIterator" => json!({"ShardId": SHARD, "ShardIteratorType": "LATEST"}),
        "IncreaseStreamRetentionPeriod" => json!({"RetentionPeriodHours": 48}),
        "MergeShards" => {
            json!({"ShardToMerge": SHARD, "AdjacentShardToMerge": "shardId-000000000001"})
        }
        "PutRecord" => record,
        "PutRecords" => json!({"Records": [record]}),
        "PutResourcePolicy" => json!({"Policy": policy()}),
        "RemoveTagsFromStream" | "UntagResource" => json!({"TagKeys": ["a"]}),
        "SplitShard" => json!({"ShardToSplit": SHARD, "NewStartingHashKey": "1000"}),
        "StartStreamEncryption" | "StopStreamEncryption" => {
            json!({"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"})
        }
        "SubscribeToShard" => json!({"ShardId": SHARD, "StartingPosition": {"Type": "LATEST"}}),
        "UpdateAccountSettings" => {
            json!({"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}})
        }
        "UpdateMaxRecordSize" => json!({"MaxRecordSizeInKiB": 2048}),
        "UpdateShardCount" => json!({"TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"}),
        "UpdateStreamMode" => json!({"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
        "UpdateStreamWarmThroughput" => json!({"WarmThroughputMiBps": 100}),
        _ => json!({}),
    }
}

/// How an operation names what it is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    /// `StreamName` or `StreamARN`.
    Either,
    Name,
    StreamArn,
    ResourceArn,
    ConsumerArn,
    Iterator,
    Nothing,
}

fn named(operation: &str) -> Named {
    match operation {
        "CreateStream" => Named::Name,
        "DeregisterStreamConsumer"
        | "DescribeStreamConsumer"
        | "ListStreamConsumers"
        | "RegisterStreamConsumer"
        | "UpdateMaxRecordSize"
        | "UpdateStreamMode" => Named::StreamArn,
        "DeleteResourcePolicy"
        | "GetResourcePolicy"
        | "ListTagsForResource"
        | "PutResourcePolicy"
        | "TagResource"
        | "UntagResource" => Named::ResourceArn,
        "SubscribeToShard" => Named::ConsumerArn,
        "GetRecords" => Named::Iterator,
        "DescribeAccountSettings" | "DescribeLimits" | "ListStreams" | "UpdateAccountSettings" => {
            Named::Nothing
        }
        _ => Named::Either,
    }
}

/// The request of an operation about the caller's own stream, if it can name one.
fn request(operation: &str) -> Value {
    let mut body = members(operation);
    match named(operation) {
        Named::Either | Named::Name => body["StreamName"] = json!("s"),
        Named::StreamArn => body["StreamARN"] = json!(stream_arn(OWNER)),
        Named::ResourceArn => body["ResourceARN"] = json!(stream_arn(OWNER)),
        Named::ConsumerArn => body["ConsumerARN"] = json!(consumer_arn(OWNER)),
        Named::Iterator | Named::Nothing => {}
    }
    body
}

/// The same about the stream of an account, by ARN; none if the operation takes no ARN.
fn request_to(operation: &str, account: &str) -> Option<Value> {
    let mut body = members(operation);
    let (member, arn) = match named(operation) {
        Named::Either | Named::StreamArn => ("StreamARN", stream_arn(account)),
        Named::ResourceArn => ("ResourceARN", stream_arn(account)),
        Named::ConsumerArn => ("ConsumerARN", consumer_arn(account)),
        Named::Name | Named::Iterator | Named::Nothing => return None,
    };
    body[member] = json!(arn);
    Some(body)
}

/// A caller with a stream in the state in which the operation accepts its request.
async fn world(operation: &str, settings: Settings) -> (Caller, Value) {
    let caller = Caller {
        service: Service::new(settings),
    };
    let mut body = request(operation);
    let mut stream = json!({"StreamName": "s", "ShardCount": 2});
    match operation {
        "CreateStream" => return (caller, body),
        "UpdateStreamWarmThroughput" => {
            let commit = request("UpdateAccountSettings");
            caller.ok("UpdateAccountSettings", commit).await;
            stream = json!({"StreamName": "s", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
        }
        _ => {}
    }
    caller.ok("CreateStream", stream).await;
    match operation {
        "DeregisterStreamConsumer" | "DescribeStreamConsumer" | "SubscribeToShard" => {
            let register = request("RegisterStreamConsumer");
            caller.ok("RegisterStreamConsumer", register).await;
        }
        "DeleteResourcePolicy" => {
            let put = request("PutResourcePolicy");
            caller.ok("PutResourcePolicy", put).await;
        }
        "GetRecords" => {
            body["ShardIterator"] = json!(caller.iterator(SHARD, "LATEST", json!({})).await);
        }
        _ => {}
    }
    (caller, body)
}

fn settings() -> Settings {
    Settings {
        clock: Clock::starting_at(UNIX_EPOCH + Duration::from_secs(START)),
        seed: Some(1),
        ..Settings::default()
    }
}

#[tokio::test(start_paused = true)]
async fn every_operation_accepts_its_request() {
    for (operation, _) in model() {
        // Its answer has no end; the tests of subscriptions read it.
        if operation == "SubscribeToShard" {
            continue;
        }
        let (caller, body) = world(operation, settings()).await;
        caller.ok(operation, body.clone()).await;
        // By ARN as well, where there is one.
        if named(operation) == Named::Either {
            let (caller, _) = world(operation, settings()).await;
            let body = request_to(operation, OWNER).unwrap();
            caller.ok(operation, body).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_found_where_there_is_no_stream() {
    for operation in with(NOT_FOUND) {
        let (caller, mut body) = world(operation, settings()).await;
        let delete = json!({"StreamName": "s", "EnforceConsumerDeletion": true});
        caller.ok("DeleteStream", delete).await;
        let (kind, text) = caller.refused(operation, body.clone()).await;
        assert_eq!(kind, NOT_FOUND, "{operation}");
        let expected = if matches!(operation, "GetRecords" | "GetShardIterator") {
            format!("Shard {SHARD} in stream s under account {OWNER} does not exist")
        } else {
            format!("Stream s under account {OWNER} not found.")
        };
        assert_eq!(text, expected, "{operation}");
        // Nor is there one in a region where none was made.
        if let Some(elsewhere) = request_to(operation, OWNER) {
            body = elsewhere;
        }
        let away = caller.with_key("test", "eu-west-1");
        let (kind, _) = away.refused(operation, body).await;
        assert_eq!(kind, NOT_FOUND, "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_operation_gets_at_another_accounts_stream_unbidden() {
    let mut asked = BTreeSet::new();
    for (operation, _) in model() {
        let (caller, body) = world(operation, settings()).await;
        let body = match request_to(operation, OWNER) {
            Some(body) => body,
            None if operation == "GetRecords" => body,
            None => continue,
        };
        asked.insert(operation);
        let other = caller.with_key(OTHER, "us-east-1");
        let (kind, text) = other.refused(operation, body).await;
        assert_eq!(kind, ACCESS_DENIED, "{operation}");
        let expected = format!(
            "User: arn:aws:iam::{OTHER}:user/{OTHER} is not authorized to perform: \
             kinesis:{operation} on resource: {}",
            stream_arn(OWNER)
        );
        assert!(text.starts_with(&expected), "{operation}: {text}");
        let expected =
            format!("because no resource-based policy allows the kinesis:{operation} action");
        assert!(text.ends_with(&expected), "{operation}: {text}");
    }
    let missed: Vec<_> = with(ACCESS_DENIED)
        .filter(|operation| !asked.contains(operation))
        .collect();
    assert_eq!(missed, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn an_operation_on_no_stream_at_all_is_refused() {
    for (operation, errors) in model() {
        if named(operation) != Named::Either {
            continue;
        }
        assert!(errors.contains(INVALID), "{operation}");
        let (caller, _) = world(operation, settings()).await;
        let (kind, text) = caller.refused(operation, members(operation)).await;
        let expected = if operation == "ListShards" {
            "Either NextToken or StreamName should be provided."
        } else {
            "Either StreamARN or StreamName should be provided."
        };
        assert_eq!(
            (kind.as_str(), text.as_str()),
            (INVALID, expected),
            "{operation}"
        );
        let mut body = request(operation);
        body["StreamARN"] = json!("arn:aws:kinesis:us-east-1:000000000000:stream/other");
        assert_eq!(
            caller.refused(operation, body).await,
            (
                INVALID.to_owned(),
                "StreamARN and StreamName do not name the same stream.".to_owned()
            ),
            "{operation}"
        );
    }
}

/// Operations that the model lets say that a stream is busy, but that go well while it is made.
const CALM: [&str; 5] = [
    // Says so of a stream that has consumers.
    "DeleteStream",
    "ListShards",
    "ListStreamConsumers",
    "ListTagsForResource",
    // A consumer of such a stream cannot be.
    "SubscribeToShard",
];

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_being_made_is_left_alone() {
    for operation in with(IN_USE).filter(|operation| !CALM.contains(operation)) {
        let slow = Settings {
            delays: Delays {
                create: Duration::from_secs(60),
                ..Delays::default()
            },
            ..settings()
        };
        let caller = Caller {
            service: Service::new(slow),
        };
        let stream = json!({"StreamName": "s", "ShardCount": 2});
        caller.ok("CreateStream", stream).await;
        let (kind, text) = caller.refused(operation, request(operation)).await;
        assert_eq!(kind, IN_USE, "{operation}");
        let expected = if operation == "CreateStream" {
            format!("Stream s under account {OWNER} already exists.")
        } else {
            format!("Stream s under account {OWNER} not ACTIVE, instead in state CREATING")
        };
        assert_eq!(text, expected, "{operation}");
    }
}

/// Operations whose rate of calls nobody has published.
const UNTIMED: [&str; 7] = [
    "DeleteResourcePolicy",
    "GetResourcePolicy",
    "PutResourcePolicy",
    "StartStreamEncryption",
    "StopStreamEncryption",
    "UpdateMaxRecordSize",
    "UpdateStreamMode",
];

#[tokio::test(start_paused = true)]
async fn calls_that_come_too_fast_are_refused_where_limits_are_enforced() {
    for operation in with(LIMIT).filter(|operation| !UNTIMED.contains(operation)) {
        let enforcing = Settings {
            limits: Limits::Enforce,
            ..settings()
        };
        let (caller, body) = world(operation, enforcing).await;
        let body = body.to_string();
        let mut calls = 0;
        let text = loop {
            // A subscription is not read; only whether it is refused counts.
            let (kind, text) = match caller.status(operation, &body).await {
                (200, _) => (String::new(), String::new()),
                (_, text) => kind_and_text(&text),
            };
            calls += 1;
            if kind == LIMIT && text.starts_with("Rate exceeded for ") {
                break text;
            }
            assert!(calls <= 1001, "{operation} is never refused");
        };
        assert!(
            text.ends_with(&format!("account {OWNER}.")),
            "{operation}: {text}"
        );
    }
}

fn kind_and_text(body: &str) -> (String, String) {
    let body: Value = serde_json::from_str(body).unwrap();
    let member = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (member("__type"), member("message"))
}

#[tokio::test(start_paused = true)]
async fn members_of_wrong_types_are_refused_by_every_operation_that_has_any() {
    for (operation, _) in model() {
        let (caller, body) = world(operation, settings()).await;
        let members = body.as_object().unwrap();
        for name in members.keys() {
            // No member is a flag, and what is a list of lists is nothing.
            let mut wrong = body.clone();
            wrong[name] = if body[name].is_boolean() {
                json!("x")
            } else {
                json!(true)
            };
            let (kind, text) = caller.refused(operation, wrong).await;
            assert_eq!(kind, "SerializationException", "{operation}, {name}");
            assert!(!text.is_empty(), "{operation}, {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn members_out_of_bounds_are_refused_by_every_operation_that_has_any() {
    for (operation, _) in model() {
        let (caller, body) = world(operation, settings()).await;
        for (name, member) in body.as_object().unwrap() {
            if matches!(name.as_str(), "Policy" | "RetentionPeriodHours") {
                // The model does not bound them; the operations do.
                continue;
            }
            let wrong = match member {
                Value::String(_) if matches!(name.as_str(), "PartitionKey" | "ShardIterator") => {
                    json!("x".repeat(600))
                }
                Value::String(_) if name == "Data" => continue,
                Value::String(_) if name == "KeyId" => json!(""),
                Value::String(_) => json!("no such: thing"),
                Value::Number(_) => json!(-1),
                Value::Array(_) => json!([]),
                Value::Object(_) => json!({}),
                Value::Null | Value::Bool(_) => continue,
            };
            let mut spoilt = body.clone();
            spoilt[name] = wrong;
            let (kind, text) = caller.refused(operation, spoilt).await;
            assert_eq!(kind, "ValidationException", "{operation}, {name}: {text}");
            assert!(
                text.starts_with("1 validation error detected: Value"),
                "{text}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_fails_where_a_fault_says_so() {
    for operation in with("InternalFailureException") {
        let (caller, body) = world(operation, settings()).await;
        let fault = Fault::new(Action::InternalError).on(operation).times(1);
        caller.service.faults().add(fault).unwrap();
        let (status, text) = caller.status(operation, &body.to_string()).await;
        let refusal = kind_and_text(&text);
        let expected = (
            "InternalFailure".to_owned(),
            "Internal Service Failure".to_owned(),
        );
        assert_eq!((status, refusal), (500, expected), "{operation}");
        caller.ok(operation, body).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_arn_of_something_else_is_refused() {
    let resources = model().into_iter();
    let resources = resources.filter(|(operation, _)| named(operation) == Named::ResourceArn);
    for (operation, errors) in resources {
        assert!(errors.contains(INVALID), "{operation}");
        let (caller, mut body) = world(operation, settings()).await;
        for arn in [
            "arn:aws:kinesis:us-east-1:000000000000:channel/stream/s",
            "arn:aws:kinesis:us-east-1:000000000000:stream/s/t",
        ] {
            body["ResourceARN"] = json!(arn);
            assert_eq!(
                caller.refused(operation, body.clone()).await,
                (
                    INVALID.to_owned(),
                    format!("{arn} is not the ARN of a stream or a consumer.")
                ),
                "{operation}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn paging_tokens_of_nobody_are_refused() {
    for operation in with("ExpiredNextTokenException") {
        let (caller, mut body) = world(operation, settings()).await;
        if operation == "ListShards" {
            body = json!({});
        }
        body["NextToken"] = json!("AAAA");
        let refusal = (INVALID.to_owned(), "Invalid NextToken.".to_owned());
        assert_eq!(
            caller.refused(operation, body).await,
            refusal,
            "{operation}"
        );
    }
}
