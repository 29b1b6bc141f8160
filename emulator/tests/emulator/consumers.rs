//! Registered consumers: their states, how they are named, their limits and their listing.

use std::time::{Duration, UNIX_EPOCH};

use kinesis_emulator::{Clock, Delays, Limits, Service, Settings};
use serde_json::{Value, json};

use crate::caller::{Caller, START};
use crate::events::STREAM_ARN;

const SECOND: Duration = Duration::from_secs(1);

fn named(name: &str) -> Value {
    json!({"StreamARN": STREAM_ARN, "ConsumerName": name})
}

/// A caller whose consumers take a second to come and to go, with the stream `s`.
async fn slow() -> Caller {
    let delays = Delays {
        register: SECOND,
        deregister: SECOND,
        ..Delays::default()
    };
    let caller = Caller::with_delays(delays);
    let stream = json!({"StreamName": "s", "ShardCount": 1});
    caller.ok("CreateStream", stream).await;
    caller
}

async fn status(caller: &Caller, name: &str) -> String {
    let reply = caller.ok("DescribeStreamConsumer", named(name)).await;
    let status = &reply["ConsumerDescription"]["ConsumerStatus"];
    status.as_str().unwrap().to_owned()
}

fn names(listing: &Value) -> Vec<&str> {
    let consumers = listing["Consumers"].as_array().unwrap().iter();
    consumers
        .map(|consumer| consumer["ConsumerName"].as_str().unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_registered_described_in_every_way_and_deregistered() {
    let caller = Caller::with_stream(1).await;
    let reply = caller.ok("RegisterStreamConsumer", named("app")).await;
    let arn = format!("{STREAM_ARN}/consumer/app:{START}");
    let mut expected = json!({
        "ConsumerName": "app",
        "ConsumerARN": arn,
        "ConsumerStatus": "CREATING",
        "ConsumerCreationTimestamp": START as f64,
    });
    assert_eq!(reply, json!({"Consumer": expected}));
    expected["ConsumerStatus"] = "ACTIVE".into();
    let listing = caller
        .ok("ListStreamConsumers", json!({"StreamARN": STREAM_ARN}))
        .await;
    assert_eq!(listing, json!({"Consumers": [expected]}));
    expected["StreamARN"] = STREAM_ARN.into();
    for address in [
        named("app"),
        json!({"ConsumerARN": arn}),
        json!({"ConsumerARN": arn, "ConsumerName": "app"}),
        json!({"ConsumerARN": arn, "StreamARN": STREAM_ARN}),
        json!({"ConsumerARN": arn, "StreamARN": STREAM_ARN, "ConsumerName": "app"}),
    ] {
        let reply = caller.ok("DescribeStreamConsumer", address).await;
        assert_eq!(reply, json!({"ConsumerDescription": expected}));
    }
    let summary = caller
        .ok("DescribeStreamSummary", json!({"StreamName": "s"}))
        .await;
    assert_eq!(summary["StreamDescriptionSummary"]["ConsumerCount"], 1);
    assert_eq!(
        caller.ok("DeregisterStreamConsumer", named("app")).await,
        Value::Null
    );
    let (kind, text) = caller.refused("DescribeStreamConsumer", named("app")).await;
    assert_eq!(kind, "ResourceNotFoundException");
    assert_eq!(text, "Consumer app, account 000000000000 not found.");
    let summary = caller
        .ok("DescribeStreamSummary", json!({"StreamName": "s"}))
        .await;
    assert_eq!(summary["StreamDescriptionSummary"]["ConsumerCount"], 0);
}

#[tokio::test(start_paused = true)]
async fn states_of_consumers_pass_on_the_virtual_clock() {
    let caller = slow().await;
    caller.ok("RegisterStreamConsumer", named("app")).await;
    assert_eq!(status(&caller, "app").await, "CREATING");
    caller.advance(Duration::from_millis(999));
    assert_eq!(status(&caller, "app").await, "CREATING");
    caller.advance(Duration::from_millis(1));
    assert_eq!(status(&caller, "app").await, "ACTIVE");
    caller.ok("DeregisterStreamConsumer", named("app")).await;
    assert_eq!(status(&caller, "app").await, "DELETING");
    caller.advance(SECOND);
    let (kind, _) = caller.refused("DescribeStreamConsumer", named("app")).await;
    assert_eq!(kind, "ResourceNotFoundException");
    // Registered again, it is another one, and its old ARN names nobody.
    let old = format!("{STREAM_ARN}/consumer/app:{START}");
    caller.ok("RegisterStreamConsumer", named("app")).await;
    let (kind, _) = caller
        .refused("DescribeStreamConsumer", json!({"ConsumerARN": old}))
        .await;
    assert_eq!(kind, "ResourceNotFoundException");
}

#[tokio::test(start_paused = true)]
async fn consumers_that_are_not_named_or_not_there_are_refused() {
    let caller = Caller::with_stream(1).await;
    let arn = caller.consumer("app").await;
    let other = "arn:aws:kinesis:us-east-1:000000000000:stream/other";
    for operation in ["DescribeStreamConsumer", "DeregisterStreamConsumer"] {
        for (address, expected) in [
            (json!({}), "InvalidArgumentException"),
            (json!({"StreamARN": STREAM_ARN}), "InvalidArgumentException"),
            (json!({"ConsumerName": "app"}), "InvalidArgumentException"),
            (
                json!({"ConsumerARN": arn, "ConsumerName": "b"}),
                "InvalidArgumentException",
            ),
            (
                json!({"ConsumerARN": arn, "StreamARN": other}),
                "InvalidArgumentException",
            ),
            (named("b"), "ResourceNotFoundException"),
            (
                json!({"StreamARN": other, "ConsumerName": "app"}),
                "ResourceNotFoundException",
            ),
            (
                json!({"ConsumerARN": format!("{other}/consumer/app:{START}")}),
                "ResourceNotFoundException",
            ),
            (
                json!({"ConsumerARN": format!("{arn}0")}),
                "ResourceNotFoundException",
            ),
            (json!({"ConsumerARN": STREAM_ARN}), "ValidationException"),
            (
                json!({"ConsumerARN": arn, "ConsumerName": "a b"}),
                "ValidationException",
            ),
            (
                json!({"ConsumerARN": arn, "StreamARN": "s"}),
                "ValidationException",
            ),
        ] {
            let (kind, text) = caller.refused(operation, address.clone()).await;
            assert_eq!(kind, expected, "{operation} {address}: {text}");
        }
    }
    assert_eq!(status(&caller, "app").await, "ACTIVE");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_registered_is_refused() {
    let delays = Delays {
        create: SECOND,
        ..Delays::default()
    };
    let caller = Caller::with_delays(delays);
    let stream = json!({"StreamName": "s", "ShardCount": 1});
    caller.ok("CreateStream", stream).await;
    let (kind, text) = caller.refused("RegisterStreamConsumer", named("app")).await;
    assert_eq!(kind, "ResourceInUseException");
    assert_eq!(
        text,
        "Stream s under account 000000000000 not ACTIVE, instead in state CREATING"
    );
    caller.advance(SECOND);
    caller.ok("RegisterStreamConsumer", named("app")).await;
    let (kind, text) = caller.refused("RegisterStreamConsumer", named("app")).await;
    assert_eq!(kind, "ResourceInUseException");
    assert_eq!(
        text,
        "Consumer app under stream s already exists for account 000000000000."
    );
    let missing = json!({"StreamARN": STREAM_ARN.replace("/s", "/none"), "ConsumerName": "app"});
    let (kind, text) = caller.refused("RegisterStreamConsumer", missing).await;
    assert_eq!(kind, "ResourceNotFoundException");
    assert_eq!(text, "Stream none under account 000000000000 not found.");
    let (kind, text) = caller.refused("RegisterStreamConsumer", json!({})).await;
    assert_eq!(kind, "ValidationException");
    assert!(
        text.contains("'streamARN'") && text.contains("'consumerName'"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn twenty_consumers_are_a_streams_limit_and_five_may_be_creating() {
    let caller = slow().await;
    for number in 0..20 {
        if number % 5 == 0 {
            caller.advance(SECOND);
        }
        caller
            .ok("RegisterStreamConsumer", named(&format!("c{number:02}")))
            .await;
        if number % 5 == 4 && number < 19 {
            let (kind, text) = caller
                .refused("RegisterStreamConsumer", named("more"))
                .await;
            assert_eq!(kind, "LimitExceededException");
            assert!(text.contains("5 consumers"), "{text}");
        }
    }
    caller.advance(SECOND);
    let (kind, text) = caller
        .refused("RegisterStreamConsumer", named("more"))
        .await;
    assert_eq!(kind, "LimitExceededException");
    assert!(text.contains("20"), "{text}");
    // One on its way out still counts.
    caller.ok("DeregisterStreamConsumer", named("c00")).await;
    caller
        .refused("RegisterStreamConsumer", named("more"))
        .await;
    caller.advance(SECOND);
    caller.ok("RegisterStreamConsumer", named("more")).await;
}

#[tokio::test(start_paused = true)]
async fn consumers_are_listed_in_pages_whose_tokens_live_five_minutes() {
    let caller = Caller::with_stream(1).await;
    for name in ["d", "a", "c", "b", "e"] {
        caller.consumer(name).await;
    }
    let page = json!({"StreamARN": STREAM_ARN, "MaxResults": 2, "StreamCreationTimestamp": START});
    let first = caller.ok("ListStreamConsumers", page).await;
    assert_eq!(names(&first), ["a", "b"]);
    let next =
        |token: &Value| json!({"StreamARN": STREAM_ARN, "MaxResults": 2, "NextToken": token});
    let second = caller
        .ok("ListStreamConsumers", next(&first["NextToken"]))
        .await;
    assert_eq!(names(&second), ["c", "d"]);
    // A consumer that goes does not shift the page.
    caller.ok("DeregisterStreamConsumer", named("d")).await;
    let third = caller
        .ok("ListStreamConsumers", next(&second["NextToken"]))
        .await;
    assert_eq!(names(&third), ["e"]);
    assert_eq!(third.get("NextToken"), None);
    caller.advance(Duration::from_secs(300));
    caller
        .ok("ListStreamConsumers", next(&first["NextToken"]))
        .await;
    caller.advance(Duration::from_millis(1));
    let (kind, text) = caller
        .refused("ListStreamConsumers", next(&first["NextToken"]))
        .await;
    assert_eq!(kind, "ExpiredNextTokenException");
    assert!(text.starts_with("NextToken expired."), "{text}");
}

#[tokio::test(start_paused = true)]
async fn listings_that_contradict_themselves_are_refused() {
    let caller = Caller::with_stream(1).await;
    caller
        .ok("CreateStream", json!({"StreamName": "t", "ShardCount": 1}))
        .await;
    caller.consumer("a").await;
    caller.consumer("b").await;
    let page = json!({"StreamARN": STREAM_ARN, "MaxResults": 1});
    let token = caller.ok("ListStreamConsumers", page).await["NextToken"].clone();
    let other = STREAM_ARN.replace("/s", "/t");
    let shards = json!({"StreamName": "s", "MaxResults": 1});
    caller.ok("ListShards", shards).await;
    for (body, expected) in [
        (
            json!({"StreamARN": STREAM_ARN, "NextToken": "x"}),
            "InvalidArgumentException",
        ),
        (
            json!({"StreamARN": other, "NextToken": token}),
            "InvalidArgumentException",
        ),
        (
            json!({"StreamARN": STREAM_ARN, "NextToken": token, "StreamCreationTimestamp": START}),
            "InvalidArgumentException",
        ),
        (
            json!({"StreamARN": STREAM_ARN, "StreamCreationTimestamp": START - 1}),
            "ResourceNotFoundException",
        ),
        (
            json!({"StreamARN": STREAM_ARN.replace("/s", "/none")}),
            "ResourceNotFoundException",
        ),
        (
            json!({"StreamARN": STREAM_ARN, "MaxResults": 0}),
            "ValidationException",
        ),
        (json!({"MaxResults": 1}), "ValidationException"),
    ] {
        let (kind, text) = caller.refused("ListStreamConsumers", body.clone()).await;
        assert_eq!(kind, expected, "{body}: {text}");
    }
    // The token of a stream that has been made anew is no longer good.
    let delete = json!({"StreamName": "s", "EnforceConsumerDeletion": true});
    caller.ok("DeleteStream", delete).await;
    caller
        .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
        .await;
    let body = json!({"StreamARN": STREAM_ARN, "NextToken": token});
    let (kind, _) = caller.refused("ListStreamConsumers", body).await;
    assert_eq!(kind, "ResourceNotFoundException");
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_consumers_is_deleted_only_with_them() {
    let delays = Delays {
        delete: SECOND,
        ..Delays::default()
    };
    let caller = Caller::with_delays(delays);
    caller
        .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
        .await;
    caller.consumer("app").await;
    let (kind, text) = caller
        .refused("DeleteStream", json!({"StreamName": "s"}))
        .await;
    assert_eq!(kind, "ResourceInUseException");
    assert!(
        text.contains("set the EnforceConsumerDeletion parameter to true"),
        "{text}"
    );
    let not_enforced = json!({"StreamName": "s", "EnforceConsumerDeletion": false});
    caller.refused("DeleteStream", not_enforced).await;
    let enforced = json!({"StreamName": "s", "EnforceConsumerDeletion": true});
    caller.ok("DeleteStream", enforced).await;
    assert_eq!(status(&caller, "app").await, "DELETING");
    let (kind, _) = caller
        .refused("RegisterStreamConsumer", named("late"))
        .await;
    assert_eq!(kind, "ResourceInUseException");
    caller.advance(SECOND);
    let (kind, text) = caller.refused("DescribeStreamConsumer", named("app")).await;
    assert_eq!(kind, "ResourceNotFoundException");
    assert_eq!(text, "Stream s under account 000000000000 not found.");
}

#[tokio::test(start_paused = true)]
async fn fifty_consumers_are_the_limit_on_demand_with_the_commitment() {
    let caller = Caller::new();
    caller.ok("CreateStream", json!({"StreamName": "s"})).await;
    caller
        .ok("CreateStream", json!({"StreamName": "t", "ShardCount": 1}))
        .await;
    let other = STREAM_ARN.replace("/s", "/t");
    let register = async |arn: &str, number: u32| {
        let body = json!({"StreamARN": arn, "ConsumerName": format!("c{number}")});
        let (status, text) = caller
            .raw("RegisterStreamConsumer", &body.to_string())
            .await;
        assert!(
            status == 200 || text.contains("LimitExceededException"),
            "{text}"
        );
        status == 200
    };
    for number in 0..20 {
        assert!(register(STREAM_ARN, number).await && register(&other, number).await);
    }
    assert!(!register(STREAM_ARN, 20).await);
    let commitment = json!({"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}});
    caller.ok("UpdateAccountSettings", commitment).await;
    for number in 20..50 {
        assert!(register(STREAM_ARN, number).await);
    }
    assert!(!register(STREAM_ARN, 50).await);
    assert!(
        !register(&other, 20).await,
        "a provisioned stream has no more than before"
    );
}

#[tokio::test(start_paused = true)]
async fn calls_about_consumers_have_their_rates() {
    let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(START));
    let settings = Settings {
        clock,
        limits: Limits::Enforce,
        ..Settings::default()
    };
    let caller = Caller {
        service: Service::new(settings),
    };
    caller
        .ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1}))
        .await;
    let arn = caller.consumer("app").await;
    let subscribe = json!({
        "ConsumerARN": arn,
        "ShardId": "shardId-000000000000",
        "StartingPosition": {"Type": "LATEST"},
    });
    for (operation, body, rate) in [
        // One has been registered already.
        ("RegisterStreamConsumer", named("app"), 4),
        ("DescribeStreamConsumer", named("app"), 20),
        ("ListStreamConsumers", json!({"StreamARN": STREAM_ARN}), 5),
        ("SubscribeToShard", subscribe, 1),
        ("DeregisterStreamConsumer", named("none"), 5),
    ] {
        for _ in 0..rate {
            let (_, text) = caller.raw(operation, &body.to_string()).await;
            assert!(!text.contains("Rate exceeded"), "{operation}: {text}");
        }
        let (kind, text) = caller.refused(operation, body.clone()).await;
        assert_eq!(kind, "LimitExceededException", "{operation}: {text}");
        assert!(
            text.starts_with("Rate exceeded for "),
            "{operation}: {text}"
        );
    }
}
