//! Streams of several accounts: whose stream an ARN names, and what another account may do there.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{self, Credentials};
use kinesis_emulator::{Delays, Emulator};
use serde_json::{Value, json};

use crate::caller::{Caller, Other, data};

const OWNER: &str = "000000000000";
const FRIEND: &str = "111111111111";
const STRANGER: &str = "222222222222";
const REGION: &str = "us-east-1";
const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const SHARD: &str = "shardId-000000000000";

fn denied(who: &str, operation: &str, arn: &str, why: &str) -> (String, String) {
    let text = format!(
        "User: arn:aws:iam::{who}:user/{who} is not authorized to perform: kinesis:{operation} on \
         resource: {arn} {why}"
    );
    ("AccessDeniedException".to_owned(), text)
}

fn unsaid(who: &str, operation: &str, arn: &str) -> (String, String) {
    let why = format!("because no resource-based policy allows the kinesis:{operation} action");
    denied(who, operation, arn, &why)
}

fn allow(principal: &str, actions: &Value) -> Value {
    json!({
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": actions,
        "Resource": ARN,
    })
}

async fn put_policy(caller: &Caller, statements: Value) {
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let body = json!({"ResourceARN": ARN, "Policy": policy});
    assert_eq!(caller.ok("PutResourcePolicy", body).await, Value::Null);
}

/// What can be granted on a stream, each with a request that would succeed.
async fn requests(caller: &Caller) -> Vec<(&'static str, Value)> {
    let iterator = caller.iterator(SHARD, "TRIM_HORIZON", json!({})).await;
    let record = json!({"PartitionKey": "k", "Data": "YQ=="});
    let mut one = record.clone();
    one["StreamARN"] = json!(ARN);
    vec![
        ("DescribeStream", json!({"StreamARN": ARN})),
        ("DescribeStreamSummary", json!({"StreamARN": ARN})),
        ("ListShards", json!({"StreamARN": ARN})),
        (
            "GetShardIterator",
            json!({"StreamARN": ARN, "ShardId": SHARD, "ShardIteratorType": "LATEST"}),
        ),
        (
            "GetRecords",
            json!({"ShardIterator": iterator, "StreamARN": ARN}),
        ),
        // The stream of an iterator is guarded, whatever else the request says or leaves out.
        ("GetRecords", json!({"ShardIterator": iterator})),
        ("PutRecord", one),
        ("PutRecords", json!({"StreamARN": ARN, "Records": [record]})),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_name_is_the_callers_own_stream_and_an_arn_is_its_owners() {
    let caller = Caller::with_stream(1).await;
    let friend = caller.with_key(FRIEND, REGION);
    let body = json!({"StreamName": "s", "ShardCount": 2});
    friend.ok("CreateStream", body).await;
    let open = async |who: &Other<'_>, body: Value| {
        let reply = who.ok("DescribeStreamSummary", body).await;
        let summary = &reply["StreamDescriptionSummary"];
        (
            summary["StreamARN"].clone(),
            summary["OpenShardCount"].clone(),
        )
    };
    let own = format!("arn:aws:kinesis:us-east-1:{FRIEND}:stream/s");
    assert_eq!(
        open(&friend, json!({"StreamName": "s"})).await,
        (json!(own), json!(2))
    );
    assert_eq!(
        open(&friend, json!({"StreamARN": own})).await,
        (json!(own), json!(2))
    );
    put_policy(&caller, json!([allow(FRIEND, &json!("kinesis:*"))])).await;
    // The owner's ARNs are in the answer, even where the names are the same.
    let both = json!({"StreamARN": ARN, "StreamName": "s"});
    assert_eq!(open(&friend, both).await, (json!(ARN), json!(1)));
    let described = friend.ok("DescribeStream", json!({"StreamARN": ARN})).await;
    assert_eq!(described["StreamDescription"]["StreamARN"], ARN);
    let contradiction = json!({"StreamARN": ARN, "StreamName": "t"});
    assert_eq!(
        friend.refused("DescribeStream", contradiction).await,
        (
            "InvalidArgumentException".to_owned(),
            "StreamARN and StreamName do not name the same stream.".to_owned()
        )
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_open_to_others_until_a_policy_says_so() {
    let caller = Caller::with_stream(1).await;
    let stranger = caller.with_key(STRANGER, REGION);
    for (operation, body) in requests(&caller).await {
        let refusal = stranger.refused(operation, body).await;
        assert_eq!(refusal, unsaid(STRANGER, operation, ARN));
    }
    // What is not there looks no different.
    let missing = "arn:aws:kinesis:us-east-1:333333333333:stream/x";
    assert_eq!(
        stranger
            .refused("DescribeStream", json!({"StreamARN": missing}))
            .await,
        unsaid(STRANGER, "DescribeStream", missing)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_granted_works_and_only_for_whom_it_is_granted() {
    let caller = Caller::with_stream(1).await;
    let friend = caller.with_key(FRIEND, REGION);
    let stranger = caller.with_key(STRANGER, REGION);
    for (operation, body) in requests(&caller).await {
        let action = json!([format!("kinesis:{operation}")]);
        put_policy(&caller, json!([allow(FRIEND, &action)])).await;
        friend.ok(operation, body.clone()).await;
        let refusal = stranger.refused(operation, body).await;
        assert_eq!(refusal, unsaid(STRANGER, operation, ARN));
    }
    // Each policy replaced the one before.
    let refusal = friend
        .refused("ListShards", json!({"StreamARN": ARN}))
        .await;
    assert_eq!(refusal, unsaid(FRIEND, "ListShards", ARN));
    caller
        .ok("DeleteResourcePolicy", json!({"ResourceARN": ARN}))
        .await;
    for (operation, body) in requests(&caller).await {
        let refusal = friend.refused(operation, body).await;
        assert_eq!(refusal, unsaid(FRIEND, operation, ARN));
    }
}

#[tokio::test(start_paused = true)]
async fn another_account_writes_and_reads_on_from_page_to_page() {
    let caller = Caller::with_stream(3).await;
    let friend = caller.with_key(FRIEND, REGION);
    put_policy(&caller, json!(allow(FRIEND, &json!("kinesis:*")))).await;
    let mut listed = Vec::new();
    let mut body = json!({"StreamARN": ARN, "MaxResults": 1});
    loop {
        let page = friend.ok("ListShards", body.clone()).await;
        listed.push(page["Shards"][0]["ShardId"].as_str().unwrap().to_owned());
        let Some(token) = page.get("NextToken") else {
            break;
        };
        body = json!({"NextToken": token, "MaxResults": 1});
    }
    assert_eq!(listed.len(), 3);
    for word in ["YQ==", "Yg=="] {
        let record =
            json!({"StreamARN": ARN, "PartitionKey": "k", "ExplicitHashKey": "0", "Data": word});
        friend.ok("PutRecord", record).await;
    }
    let body = json!({"StreamARN": ARN, "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"});
    let mut iterator = friend.ok("GetShardIterator", body).await["ShardIterator"].take();
    for word in ["a", "b"] {
        let body = json!({"ShardIterator": iterator, "Limit": 1});
        let mut page = friend.ok("GetRecords", body).await;
        assert_eq!(data(&page), [word]);
        iterator = page["NextShardIterator"].take();
    }
    // A policy that is gone closes iterators and tokens that are about.
    caller
        .ok("DeleteResourcePolicy", json!({"ResourceARN": ARN}))
        .await;
    let refusal = friend
        .refused("GetRecords", json!({"ShardIterator": iterator}))
        .await;
    assert_eq!(refusal, unsaid(FRIEND, "GetRecords", ARN));
    // The owner goes on with the same iterator.
    caller
        .ok("GetRecords", json!({"ShardIterator": iterator}))
        .await;
    let other = format!("arn:aws:kinesis:us-east-1:{FRIEND}:stream/s");
    let (kind, text) = caller
        .refused(
            "GetRecords",
            json!({"ShardIterator": iterator, "StreamARN": other}),
        )
        .await;
    assert_eq!(
        (kind.as_str(), text.as_str()),
        (
            "InvalidArgumentException",
            "StreamARN and ShardIterator do not name the same stream."
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_denial_wins_over_whatever_is_allowed() {
    let caller = Caller::with_stream(1).await;
    let friend = caller.with_key(FRIEND, REGION);
    let mut denial = allow("*", &json!("kinesis:Put*"));
    denial["Effect"] = json!("Deny");
    put_policy(&caller, json!([denial, allow("*", &json!("kinesis:*"))])).await;
    friend.ok("DescribeStream", json!({"StreamARN": ARN})).await;
    let record = json!({"StreamARN": ARN, "PartitionKey": "k", "Data": ""});
    assert_eq!(
        friend.refused("PutRecord", record.clone()).await,
        denied(
            FRIEND,
            "PutRecord",
            ARN,
            "with an explicit deny in a resource-based policy"
        )
    );
    // The owner is not held to it.
    caller.ok("PutRecord", record).await;
}

#[tokio::test(start_paused = true)]
async fn no_policy_grants_what_cannot_be_granted() {
    let caller = Caller::with_stream(1).await;
    let friend = caller.with_key(FRIEND, REGION);
    put_policy(&caller, json!([allow("*", &json!("kinesis:*"))])).await;
    let name = json!({"StreamARN": ARN});
    let with = |more: Value| {
        let mut body = name.clone();
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let resource = json!({"ResourceARN": ARN});
    for (operation, body) in [
        ("DeleteStream", name.clone()),
        ("AddTagsToStream", with(json!({"Tags": {"a": ""}}))),
        ("RemoveTagsFromStream", with(json!({"TagKeys": ["a"]}))),
        ("ListTagsForStream", name.clone()),
        (
            "SplitShard",
            with(json!({"ShardToSplit": SHARD, "NewStartingHashKey": "10"})),
        ),
        (
            "MergeShards",
            with(json!({"ShardToMerge": SHARD, "AdjacentShardToMerge": SHARD})),
        ),
        (
            "TagResource",
            json!({"ResourceARN": ARN, "Tags": {"a": ""}}),
        ),
        (
            "UntagResource",
            json!({"ResourceARN": ARN, "TagKeys": ["a"]}),
        ),
        ("ListTagsForResource", resource.clone()),
        (
            "PutResourcePolicy",
            json!({"ResourceARN": ARN, "Policy": "{}"}),
        ),
        ("GetResourcePolicy", resource.clone()),
        ("DeleteResourcePolicy", resource.clone()),
    ] {
        let refusal = friend.refused(operation, body).await;
        assert_eq!(refusal, unsaid(FRIEND, operation, ARN));
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_knows_its_own_streams_only() {
    let caller = Caller::with_stream(1).await;
    put_policy(&caller, json!([allow("*", &json!("kinesis:*"))])).await;
    let not_found = (
        "ResourceNotFoundException".to_owned(),
        format!("Stream s under account {OWNER} not found."),
    );
    for who in [OWNER, FRIEND] {
        let elsewhere = caller.with_key(who, "eu-west-1");
        let refusal = elsewhere
            .refused("DescribeStream", json!({"StreamARN": ARN}))
            .await;
        assert_eq!(refusal, not_found);
    }
}

#[tokio::test(start_paused = true)]
async fn the_callers_name_is_his_access_key() {
    let caller = Caller::with_stream(1).await;
    // A key that is no account number is of the account of those who do not say.
    let own = caller.with_key("AKIDEXAMPLE", REGION);
    own.ok("DescribeStream", json!({"StreamARN": ARN})).await;
    let arn = format!("arn:aws:kinesis:us-east-1:{FRIEND}:stream/s");
    let (_, text) = own
        .refused("DescribeStream", json!({"StreamARN": arn}))
        .await;
    assert!(
        text.starts_with("User: arn:aws:iam::000000000000:user/AKIDEXAMPLE is"),
        "{text}"
    );
    let (_, text) = caller
        .refused("DescribeStream", json!({"StreamARN": arn}))
        .await;
    assert!(
        text.starts_with("User: arn:aws:iam::000000000000:root is"),
        "{text}"
    );
    let user = format!("arn:aws:iam::{FRIEND}:user/{FRIEND}");
    let nobody = format!("arn:aws:iam::{FRIEND}:user/nobody");
    let friend = caller.with_key(FRIEND, REGION);
    put_policy(&caller, json!([allow(&nobody, &json!("kinesis:*"))])).await;
    friend
        .refused("DescribeStream", json!({"StreamARN": ARN}))
        .await;
    put_policy(&caller, json!([allow(&user, &json!("kinesis:*"))])).await;
    friend.ok("DescribeStream", json!({"StreamARN": ARN})).await;
}

#[tokio::test(start_paused = true)]
async fn conditions_see_the_call() {
    let caller = Caller::with_stream(1).await;
    caller
        .ok(
            "AddTagsToStream",
            json!({"StreamName": "s", "Tags": {"Team": "a"}}),
        )
        .await;
    let friend = caller.with_key(FRIEND, REGION);
    for (condition, is_met) in [
        (
            json!({"StringEquals": {"aws:PrincipalAccount": [FRIEND, STRANGER]}}),
            true,
        ),
        (
            json!({"StringEquals": {"aws:PrincipalAccount": STRANGER}}),
            false,
        ),
        (json!({"StringLike": {"aws:username": "1111*"}}), true),
        (
            json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111111111111:user/*"}}),
            true,
        ),
        (json!({"StringEquals": {"aws:PrincipalType": "User"}}), true),
        (
            json!({"StringEquals": {"aws:RequestedRegion": REGION}}),
            true,
        ),
        (
            json!({"StringEquals": {"aws:ResourceAccount": OWNER}}),
            true,
        ),
        (json!({"StringEquals": {"aws:ResourceTag/team": "a"}}), true),
        (
            json!({"StringEquals": {"aws:ResourceTag/team": "b"}}),
            false,
        ),
        (json!({"Null": {"aws:ResourceTag/cost": true}}), true),
        (
            json!({"DateLessThan": {"aws:CurrentTime": "2023-11-14T22:13:21Z"}}),
            true,
        ),
        (
            json!({"DateLessThan": {"aws:CurrentTime": "2023-11-14T22:13:20Z"}}),
            false,
        ),
        (
            json!({"NumericGreaterThanEquals": {"aws:EpochTime": 1_700_000_000}}),
            true,
        ),
        (json!({"Bool": {"aws:PrincipalIsAWSService": false}}), true),
        (
            json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}),
            false,
        ),
        (
            json!({"StringEquals": {"aws:PrincipalAccount": FRIEND},
                "Bool": {"aws:ViaAWSService": "true"}}),
            false,
        ),
    ] {
        let mut statement = allow("*", &json!("kinesis:DescribeStream"));
        statement["Condition"] = condition.clone();
        put_policy(&caller, json!([statement])).await;
        let body = json!({"StreamARN": ARN});
        if is_met {
            friend.ok("DescribeStream", body).await;
        } else {
            let refusal = friend.refused("DescribeStream", body).await;
            assert_eq!(
                refusal,
                unsaid(FRIEND, "DescribeStream", ARN),
                "{condition}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_handed_out_as_it_was_put() {
    let caller = Caller::with_stream(1).await;
    let body = json!({"ResourceARN": ARN});
    let get = async || caller.ok("GetResourcePolicy", body.clone()).await["Policy"].take();
    assert_eq!(get().await, "{}");
    let statement = allow(FRIEND, &json!("kinesis:GetRecords"));
    let policy = format!("{{ \"Statement\" :\n [{statement}] }} ");
    let put = json!({"ResourceARN": ARN, "Policy": policy});
    caller.ok("PutResourcePolicy", put).await;
    assert_eq!(get().await, policy);
    assert_eq!(
        caller.ok("DeleteResourcePolicy", body.clone()).await,
        Value::Null
    );
    assert_eq!(get().await, "{}");
    assert_eq!(
        caller.refused("DeleteResourcePolicy", body.clone()).await,
        (
            "ResourceNotFoundException".to_owned(),
            format!("No resource policy found for resource ARN {ARN}.")
        )
    );
    // It goes with its stream.
    put_policy(&caller, json!([statement])).await;
    caller.ok("DeleteStream", json!({"StreamName": "s"})).await;
    let again = json!({"StreamName": "s", "ShardCount": 1});
    caller.ok("CreateStream", again).await;
    assert_eq!(get().await, "{}");
}

#[tokio::test(start_paused = true)]
async fn policies_are_checked_when_they_are_put() {
    let caller = Caller::with_stream(1).await;
    for (policy, why) in [
        ("", "it is not valid JSON"),
        ("{", "it is not valid JSON"),
        ("{}", "Statement must be an object or a list of objects"),
        (
            r#"{"Statement": {"Effect": "Permit"}}"#,
            "statement 1: Effect must be Allow or Deny",
        ),
    ] {
        let body = json!({"ResourceARN": ARN, "Policy": policy});
        let (kind, text) = caller.refused("PutResourcePolicy", body).await;
        assert_eq!(kind, "InvalidArgumentException");
        let expected = format!("The resource policy is invalid: {why}");
        assert!(text.starts_with(&expected), "{policy}: {text}");
    }
    let (kind, text) = caller.refused("PutResourcePolicy", json!({})).await;
    assert_eq!(kind, "ValidationException");
    let null = "failed to satisfy constraint: Member must not be null";
    assert_eq!(
        text,
        format!(
            "2 validation errors detected: Value null at 'policy' {null}; Value null at \
             'resourceARN' {null}"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_comes_or_goes_has_no_dealings_in_policies() {
    let second = Duration::from_secs(1);
    let caller = Caller::with_delays(Delays {
        create: second,
        delete: second,
        ..Delays::default()
    });
    let resource = json!({"ResourceARN": ARN});
    let policy = json!({"Statement": allow(FRIEND, &json!("kinesis:*"))}).to_string();
    let calls = [
        (
            "PutResourcePolicy",
            json!({"ResourceARN": ARN, "Policy": policy}),
        ),
        ("GetResourcePolicy", resource.clone()),
        ("DeleteResourcePolicy", resource.clone()),
    ];
    for (operation, body) in &calls {
        assert_eq!(
            caller.refused(operation, body.clone()).await,
            (
                "ResourceNotFoundException".to_owned(),
                "Stream s under account 000000000000 not found.".to_owned()
            )
        );
    }
    let check = async |state: &str| {
        for (operation, body) in &calls {
            let text =
                format!("Stream s under account 000000000000 not ACTIVE, instead in state {state}");
            assert_eq!(
                caller.refused(operation, body.clone()).await,
                ("ResourceInUseException".to_owned(), text)
            );
        }
    };
    caller
        .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
        .await;
    check("CREATING").await;
    caller.advance(second);
    for (operation, body) in &calls {
        caller.ok(operation, body.clone()).await;
    }
    caller.ok("DeleteStream", json!({"StreamName": "s"})).await;
    check("DELETING").await;
}

const CONSUMER: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1700000000";

/// A stream with the consumer `c`.
async fn with_consumer() -> Caller {
    let caller = Caller::with_stream(1).await;
    let body = json!({"StreamARN": ARN, "ConsumerName": "c", "Tags": {"made": "with"}});
    let made = caller.ok("RegisterStreamConsumer", body).await;
    assert_eq!(made["Consumer"]["ConsumerARN"], CONSUMER);
    caller
}

#[tokio::test(start_paused = true)]
async fn consumers_have_tags_and_policies_of_their_own() {
    let caller = with_consumer().await;
    let arn = json!({"ResourceARN": CONSUMER});
    let list = async |arn: &str| {
        let body = json!({"ResourceARN": arn});
        caller.ok("ListTagsForResource", body).await["Tags"].take()
    };
    assert_eq!(
        list(CONSUMER).await,
        json!([{"Key": "made", "Value": "with"}])
    );
    let body = json!({"ResourceARN": CONSUMER, "Tags": {"a": "1"}});
    caller.ok("TagResource", body).await;
    let body = json!({"ResourceARN": CONSUMER, "TagKeys": ["made"]});
    caller.ok("UntagResource", body).await;
    assert_eq!(list(CONSUMER).await, json!([{"Key": "a", "Value": "1"}]));
    assert_eq!(list(ARN).await, json!([]));
    let body = json!({"ResourceARN": CONSUMER, "Tags": {"a%": ""}});
    let (_, text) = caller.refused("TagResource", body).await;
    let subject = "Failed to add tags to consumer c under stream s under account 000000000000";
    assert!(text.starts_with(subject), "{text}");
    assert_eq!(
        caller.ok("GetResourcePolicy", arn.clone()).await["Policy"],
        "{}"
    );
    let mut statement = allow(FRIEND, &json!("kinesis:*"));
    statement["Resource"] = json!(CONSUMER);
    let policy = json!({"Statement": statement}).to_string();
    let body = json!({"ResourceARN": CONSUMER, "Policy": policy});
    caller.ok("PutResourcePolicy", body).await;
    assert_eq!(
        caller.ok("GetResourcePolicy", arn.clone()).await["Policy"],
        policy
    );
    let of_stream = json!({"ResourceARN": ARN});
    assert_eq!(
        caller.ok("GetResourcePolicy", of_stream).await["Policy"],
        "{}"
    );
    // A policy for the one is none for the other.
    let body = json!({"ResourceARN": ARN, "Policy": policy});
    let (kind, _) = caller.refused("PutResourcePolicy", body).await;
    assert_eq!(kind, "InvalidArgumentException");
    caller.ok("DeleteResourcePolicy", arn).await;
}

#[tokio::test(start_paused = true)]
async fn tags_of_a_new_consumer_obey_the_same_rules() {
    let caller = Caller::with_stream(1).await;
    for (tags, kind) in [
        (json!({}), "ValidationException"),
        (json!({"": "x"}), "ValidationException"),
        (json!({"a;": "x"}), "InvalidArgumentException"),
        (json!({"aws:a": "x"}), "InvalidArgumentException"),
    ] {
        let body = json!({"StreamARN": ARN, "ConsumerName": "c", "Tags": tags});
        assert_eq!(caller.refused("RegisterStreamConsumer", body).await.0, kind);
    }
    let listed = caller
        .ok("ListStreamConsumers", json!({"StreamARN": ARN}))
        .await;
    assert_eq!(listed["Consumers"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_of_another_account_is_open_as_its_own_policy_says() {
    let caller = with_consumer().await;
    let friend = caller.with_key(FRIEND, REGION);
    let by_arn = json!({"ConsumerARN": CONSUMER});
    let by_name = json!({"StreamARN": ARN, "ConsumerName": "c"});
    let subscribe = json!({"ConsumerARN": CONSUMER, "ShardId": SHARD,
        "StartingPosition": {"Type": "LATEST"}});
    // What the stream grants is nothing to its consumers.
    put_policy(&caller, json!([allow(FRIEND, &json!("kinesis:*"))])).await;
    for (operation, body) in [
        ("DescribeStreamConsumer", &by_arn),
        ("DescribeStreamConsumer", &by_name),
        ("SubscribeToShard", &subscribe),
    ] {
        let refusal = friend.refused(operation, body.clone()).await;
        assert_eq!(refusal, unsaid(FRIEND, operation, CONSUMER));
    }
    let mut statement = allow(FRIEND, &json!("kinesis:DescribeStreamConsumer"));
    statement["Resource"] = json!(CONSUMER);
    let policy = json!({"Statement": statement}).to_string();
    let body = json!({"ResourceARN": CONSUMER, "Policy": policy});
    caller.ok("PutResourcePolicy", body).await;
    for body in [&by_arn, &by_name] {
        let found = friend.ok("DescribeStreamConsumer", body.clone()).await;
        let found = &found["ConsumerDescription"];
        assert_eq!(
            (&found["ConsumerARN"], &found["StreamARN"]),
            (&json!(CONSUMER), &json!(ARN))
        );
    }
    let refusal = friend.refused("SubscribeToShard", subscribe).await;
    assert_eq!(refusal, unsaid(FRIEND, "SubscribeToShard", CONSUMER));
    // Not even the owner could let another account end it.
    let refusal = friend.refused("DeregisterStreamConsumer", by_arn).await;
    assert_eq!(
        refusal,
        unsaid(FRIEND, "DeregisterStreamConsumer", CONSUMER)
    );
    let missing = json!({"StreamARN": ARN, "ConsumerName": "x"});
    let refusal = friend.refused("DescribeStreamConsumer", missing).await;
    assert_eq!(
        refusal,
        unsaid(
            FRIEND,
            "DescribeStreamConsumer",
            &format!("{ARN}/consumer/x")
        )
    );
    let body = json!({"StreamARN": ARN});
    let refusal = friend.refused("ListStreamConsumers", body.clone()).await;
    assert_eq!(refusal, unsaid(FRIEND, "ListStreamConsumers", ARN));
    let body = json!({"StreamARN": ARN, "ConsumerName": "d"});
    let refusal = friend.refused("RegisterStreamConsumer", body).await;
    assert_eq!(refusal, unsaid(FRIEND, "RegisterStreamConsumer", ARN));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_comes_or_goes_or_is_not_there_has_neither_tags_nor_policy_to_change() {
    let second = Duration::from_secs(1);
    let caller = Caller::with_delays(Delays {
        register: second,
        deregister: second,
        ..Delays::default()
    });
    caller
        .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
        .await;
    let arn = json!({"ResourceARN": CONSUMER});
    let mut statement = allow(FRIEND, &json!("kinesis:*"));
    statement["Resource"] = json!(CONSUMER);
    let policy = json!({"Statement": statement}).to_string();
    let calls = [
        (
            "TagResource",
            json!({"ResourceARN": CONSUMER, "Tags": {"a": ""}}),
        ),
        (
            "UntagResource",
            json!({"ResourceARN": CONSUMER, "TagKeys": ["a"]}),
        ),
        (
            "PutResourcePolicy",
            json!({"ResourceARN": CONSUMER, "Policy": policy}),
        ),
        ("GetResourcePolicy", arn.clone()),
        ("DeleteResourcePolicy", arn.clone()),
    ];
    let not_found = (
        "ResourceNotFoundException".to_owned(),
        "Consumer c, account 000000000000 not found.".to_owned(),
    );
    let in_use = (
        "ResourceInUseException".to_owned(),
        "Consumer c with creation timestamp 1700000000 under stream s and account 000000000000 is \
         not in ACTIVE status."
            .to_owned(),
    );
    let check = async |refusal: &(String, String)| {
        for (operation, body) in &calls {
            let found = caller.refused(operation, body.clone()).await;
            assert_eq!(found, *refusal, "{operation}");
        }
    };
    check(&not_found).await;
    let body = json!({"StreamARN": ARN, "ConsumerName": "c"});
    caller.ok("RegisterStreamConsumer", body.clone()).await;
    check(&in_use).await;
    // Listing tags minds no state.
    caller.ok("ListTagsForResource", arn.clone()).await;
    caller.advance(second);
    for (operation, body) in &calls {
        caller.ok(operation, body.clone()).await;
    }
    caller.ok("DeregisterStreamConsumer", body).await;
    check(&in_use).await;
    caller.advance(second);
    check(&not_found).await;
    // One that took its name has another ARN.
    caller
        .ok(
            "RegisterStreamConsumer",
            json!({"StreamARN": ARN, "ConsumerName": "c"}),
        )
        .await;
    check(&not_found).await;
}

#[tokio::test]
async fn conditions_see_the_socket_a_call_comes_from() {
    let emulator = Emulator::start().await.unwrap();
    let config = emulator.sdk_config();
    let owner = Client::new(&config);
    let key = Credentials::new(FRIEND, "secret", None, None, "test");
    let friend = config::Builder::from(&config).credentials_provider(key);
    let friend = Client::from_conf(friend.build());
    owner
        .create_stream()
        .stream_name("s")
        .shard_count(1)
        .send()
        .await
        .unwrap();
    for (condition, is_met) in [
        (json!({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}), true),
        (json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), false),
        (
            json!({"NotIpAddress": {"aws:SourceIp": "127.0.0.1"}}),
            false,
        ),
        (json!({"Bool": {"aws:SecureTransport": false}}), true),
        (json!({"Bool": {"aws:SecureTransport": true}}), false),
    ] {
        let mut statement = allow(FRIEND, &json!("kinesis:DescribeStreamSummary"));
        statement["Condition"] = condition.clone();
        let policy = json!({"Statement": statement}).to_string();
        owner
            .put_resource_policy()
            .resource_arn(ARN)
            .policy(policy)
            .send()
            .await
            .unwrap();
        let described = friend
            .describe_stream_summary()
            .stream_arn(ARN)
            .send()
            .await;
        match described {
            Ok(found) => {
                assert!(is_met, "{condition}");
                let found = found.stream_description_summary.unwrap();
                assert_eq!(found.stream_arn, ARN);
            }
            Err(refused) => {
                assert!(!is_met, "{condition}");
                assert!(refused.into_service_error().is_access_denied_exception());
            }
        }
    }
}
