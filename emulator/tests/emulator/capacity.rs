//! The capacity of streams: UpdateShardCount, modes, warm throughput, limits of the account.

use std::collections::BTreeMap;
use std::time::Duration;

use kinesis_emulator::{Clock, Delays, Service, Settings};
use serde_json::{Value, json};

use crate::caller::{Caller, START, ids, shard};

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn target(count: i64) -> Value {
    json!({"StreamName": "s", "TargetShardCount": count, "ScalingType": "UNIFORM_SCALING"})
}

fn mode(mode: &str) -> Value {
    json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": mode}})
}

fn refusal(kind: &str, text: &str) -> (String, String) {
    (format!("{kind}Exception"), text.to_owned())
}

fn constraint(path_and_rule: &str) -> (String, String) {
    let text = format!("1 validation error detected: Value {path_and_rule}");
    refusal("Validation", &text)
}

fn missing(name: &str) -> (String, String) {
    let text = format!("Stream {name} under account 000000000000 not found.");
    refusal("ResourceNotFound", &text)
}

fn caller_with(change: impl FnOnce(&mut Settings)) -> Caller {
    let mut settings = Settings {
        clock: Clock::starting_at(std::time::UNIX_EPOCH + Duration::from_secs(START)),
        seed: Some(1),
        ..Settings::default()
    };
    change(&mut settings);
    Caller {
        service: Service::new(settings),
    }
}

async fn create(caller: &Caller, shards: u32) {
    let body = json!({"StreamName": "s", "ShardCount": shards});
    caller.ok("CreateStream", body).await;
}

async fn summary(caller: &Caller) -> Value {
    let mut reply = caller
        .ok("DescribeStreamSummary", json!({"StreamName": "s"}))
        .await;
    reply["StreamDescriptionSummary"].take()
}

async fn commit(caller: &Caller, status: &str) {
    let body = json!({"MinimumThroughputBillingCommitment": {"Status": status}});
    caller.ok("UpdateAccountSettings", body).await;
}

/// All shards that are listed, page after page.
async fn listed(caller: &Caller) -> Vec<Value> {
    let mut body = json!({"StreamName": "s", "MaxResults": 7});
    let mut shards = Vec::new();
    loop {
        let page = caller.ok("ListShards", body).await;
        shards.extend(page["Shards"].as_array().unwrap().iter().cloned());
        match page.get("NextToken") {
            Some(token) => body = json!({"NextToken": token, "MaxResults": 7}),
            None => return shards,
        }
    }
}

fn is_open(shard: &Value) -> bool {
    shard["SequenceNumberRange"]["EndingSequenceNumber"].is_null()
}

fn range(shard: &Value) -> (u128, u128) {
    let key = |name: &str| {
        shard["HashKeyRange"][name]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    (key("StartingHashKey"), key("EndingHashKey"))
}

/// Every child lies within its parents, begins above their ends, and they are there and closed.
fn check_lineage(shards: &[Value]) {
    let by_id: BTreeMap<_, _> = shards
        .iter()
        .map(|shard| (shard["ShardId"].as_str().unwrap(), shard))
        .collect();
    let number = |shard: &Value, name: &str| {
        let number = shard["SequenceNumberRange"][name].as_str().unwrap();
        assert_eq!(number.len(), 56);
        number.to_owned()
    };
    for shard in shards {
        for member in ["ParentShardId", "AdjacentParentShardId"] {
            let Some(parent) = shard[member].as_str().map(|id| by_id[id]) else {
                continue;
            };
            let end = number(parent, "EndingSequenceNumber");
            assert!(end < number(shard, "StartingSequenceNumber"));
            let ((start, end), (parent_start, parent_end)) = (range(shard), range(parent));
            assert!(
                start <= parent_end && parent_start <= end,
                "{shard} {parent}"
            );
        }
    }
    let mut open: Vec<_> = shards
        .iter()
        .filter(|shard| is_open(shard))
        .map(range)
        .collect();
    open.sort_unstable();
    assert_eq!((open[0].0, open[open.len() - 1].1), (0, u128::MAX));
    assert!(open.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
}

#[tokio::test(start_paused = true)]
async fn totals_and_lineage_are_as_recorded_on_the_service() {
    for (from, to, total) in [
        (2, 4, 6),
        (4, 5, 15),
        (10, 13, 37),
        (4, 2, 6),
        (5, 3, 7),
        (10, 3, 17),
        (4, 3, 11),
    ] {
        // Once, 10 to 3 was not out of reach.
        let caller = caller_with(|settings| settings.is_resizing_bounded = false);
        create(&caller, from).await;
        let reply = caller.ok("UpdateShardCount", target(to)).await;
        assert_eq!(
            reply,
            json!({
                "StreamName": "s", "StreamARN": ARN, "CurrentShardCount": from,
                "TargetShardCount": to,
            })
        );
        let shards = listed(&caller).await;
        assert_eq!(shards.len(), total, "{from} to {to}");
        check_lineage(&shards);
        let open = shards.iter().filter(|shard| is_open(shard)).count();
        assert_eq!(i64::try_from(open).unwrap(), to);
        let seen = shards.iter().map(|shard| shard["ShardId"].clone());
        let expected = (0..u32::try_from(total).unwrap()).map(|index| json!(shard(index)));
        assert!(seen.eq(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn from_four_to_three_the_open_shards_are_those_of_the_recorded_case() {
    let caller = Caller::with_stream(4).await;
    caller.ok("UpdateShardCount", target(3)).await;
    let filter = json!({"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST"}});
    assert_eq!(ids(&caller.ok("ListShards", filter).await), [6, 9, 10]);
}

#[tokio::test(start_paused = true)]
async fn readers_follow_a_change_of_the_count_to_every_record_once() {
    let caller = Caller::with_stream(4).await;
    let mut sent = Vec::new();
    for round in 0..4 {
        for key in 0..20 {
            let text = format!("{round}-{key}");
            caller.put(&key.to_string(), &text).await;
            sent.push(text);
        }
        caller.advance(Duration::from_millis(700));
        let counts = [5, 3, 6];
        if let Some(count) = counts.get(round) {
            caller.ok("UpdateShardCount", target(*count)).await;
        }
    }
    let mut found = Vec::new();
    let mut todo: Vec<_> = (0..4).map(shard).collect();
    let mut seen = Vec::new();
    while let Some(id) = todo.pop() {
        if seen.contains(&id) {
            continue;
        }
        seen.push(id.clone());
        let mut iterator = caller.iterator(&id, "TRIM_HORIZON", json!({})).await;
        loop {
            let page = caller.records(&iterator).await;
            let texts = crate::caller::data(&page);
            match page["NextShardIterator"].as_str() {
                // The tip of an open shard.
                Some(_) if texts.is_empty() => break,
                Some(next) => next.clone_into(&mut iterator),
                None => {
                    let children = page["ChildShards"].as_array().unwrap();
                    assert!(!children.is_empty());
                    let ids = children
                        .iter()
                        .map(|child| child["ShardId"].as_str().unwrap());
                    todo.extend(ids.map(str::to_owned));
                    break;
                }
            }
            found.extend(texts);
        }
    }
    assert_eq!(seen.len(), listed(&caller).await.len());
    sent.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, sent);
}

#[tokio::test(start_paused = true)]
async fn the_count_changes_when_updating_ends_and_not_before() {
    let caller = Caller::with_delays(Delays {
        reshard: Duration::from_secs(30),
        ..Delays::default()
    });
    create(&caller, 2).await;
    caller.ok("UpdateShardCount", target(4)).await;
    let placed = caller.put("k", "x").await;
    assert_eq!(placed["ShardId"], shard(1));
    assert_eq!(listed(&caller).await.len(), 2);
    caller.advance(Duration::from_secs(30));
    assert_eq!(listed(&caller).await.len(), 6);
    let placed = caller.put("k", "x").await["ShardId"].clone();
    assert!([shard(4), shard(5)].contains(&placed.as_str().unwrap().to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_shard_count_that_is_there_already_is_accepted_and_changes_nothing() {
    let caller = Caller::with_stream(3).await;
    for _ in 0..12 {
        let reply = caller.ok("UpdateShardCount", target(3)).await;
        assert_eq!(reply["CurrentShardCount"], 3);
    }
    assert_eq!(listed(&caller).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn shard_counts_out_of_reach_are_refused() {
    let caller = Caller::with_stream(5).await;
    caller.ok("CreateStream", json!({"StreamName": "d"})).await;
    let limit = |text: &str| refusal("LimitExceeded", text);
    let mut on_demand = target(5);
    on_demand["StreamName"] = json!("d");
    for (body, expected) in [
        (
            target(11),
            limit(
                "UpdateShardCount cannot scale up over double your current open shard count. \
                 Current open shard count: 5 Target shard count: 11",
            ),
        ),
        (
            target(2),
            limit(
                "UpdateShardCount cannot scale down below half your current open shard count. \
                 Current open shard count: 5 Target shard count: 2",
            ),
        ),
        (
            target(10_001),
            limit(
                "Target shard count or number of open shards cannot be greater than 10000. Current \
                 open shard count: 5 Target shard count: 10001",
            ),
        ),
        (
            on_demand,
            refusal(
                "Validation",
                "Request is invalid. Stream d under account 000000000000 is in On-Demand mode.",
            ),
        ),
    ] {
        assert_eq!(caller.refused("UpdateShardCount", body).await, expected);
    }
    assert_eq!(listed(&caller).await.len(), 5);
    for count in [10, 5, 3] {
        caller.ok("UpdateShardCount", target(count)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn requests_for_a_shard_count_are_checked() {
    let caller = Caller::with_stream(1).await;
    let failed = "failed to satisfy constraint: Member must";
    for (body, expected) in [
        (
            target(0),
            constraint(&format!(
                "'0' at 'targetShardCount' {failed} have value greater than or equal to 1"
            )),
        ),
        (
            json!({"StreamName": "s"}),
            refusal(
                "Validation",
                &format!(
                    "2 validation errors detected: Value null at 'scalingType' {failed} not be null; \
                     Value null at 'targetShardCount' {failed} not be null"
                ),
            ),
        ),
        (
            json!({"StreamName": "s", "TargetShardCount": 5, "ScalingType": "FAST"}),
            constraint(&format!(
                "'FAST' at 'scalingType' {failed} satisfy enum value set: [UNIFORM_SCALING]"
            )),
        ),
        (
            json!({"StreamName": "t", "TargetShardCount": 5, "ScalingType": "UNIFORM_SCALING"}),
            missing("t"),
        ),
        (
            json!({"TargetShardCount": 5, "ScalingType": "UNIFORM_SCALING"}),
            refusal(
                "InvalidArgument",
                "Either StreamARN or StreamName should be provided.",
            ),
        ),
    ] {
        assert_eq!(caller.refused("UpdateShardCount", body).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_shard_count_changes_ten_times_a_day() {
    let caller = Caller::with_stream(2).await;
    for round in 0..10 {
        caller.ok("UpdateShardCount", target(3 - round % 2)).await;
        caller.advance(Duration::from_secs(60));
    }
    let often = refusal(
        "LimitExceeded",
        "UpdateShardCount cannot be called more than 10 times in a rolling 24-hour period for stream \
         s under account 000000000000.",
    );
    assert_eq!(caller.refused("UpdateShardCount", target(3)).await, often);
    caller.advance(DAY - Duration::from_secs(601));
    assert_eq!(caller.refused("UpdateShardCount", target(3)).await, often);
    caller.advance(Duration::from_secs(1));
    caller.ok("UpdateShardCount", target(3)).await;
    assert_eq!(caller.refused("UpdateShardCount", target(2)).await, often);
}

#[tokio::test(start_paused = true)]
async fn shards_in_between_count_against_the_accounts_limit() {
    let caller = caller_with(|settings| settings.shard_limit = 7);
    create(&caller, 4).await;
    // Four become eight before they are merged to five.
    let (kind, text) = caller.refused("UpdateShardCount", target(5)).await;
    assert_eq!(kind, "LimitExceededException");
    let numbers = "Current shard count for the account: 4. Limit: 7. Number of additional shards that \
                   would have resulted from this request: 4.";
    assert!(text.contains(numbers), "{text}");
    caller.ok("UpdateShardCount", target(3)).await;
    let limits = caller.ok("DescribeLimits", json!({})).await;
    assert_eq!(limits["OpenShardCount"], 3);
}

#[tokio::test(start_paused = true)]
async fn limits_count_provisioned_shards_and_on_demand_streams() {
    let caller = Caller::with_stream(3).await;
    caller.ok("CreateStream", json!({"StreamName": "d"})).await;
    let limits = json!({
        "ShardLimit": 20_000, "OpenShardCount": 3,
        "OnDemandStreamCount": 1, "OnDemandStreamCountLimit": 50,
    });
    assert_eq!(caller.ok("DescribeLimits", json!({})).await, limits);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_five_streams_are_made_at_once() {
    let caller = Caller::with_delays(Delays {
        create: Duration::from_secs(1),
        ..Delays::default()
    });
    let body = |name: i32| json!({"StreamName": format!("s{name}"), "ShardCount": 1});
    for name in 0..5 {
        caller.ok("CreateStream", body(name)).await;
    }
    assert_eq!(
        caller.refused("CreateStream", body(5)).await,
        refusal(
            "LimitExceeded",
            "This request would exceed the limit of 5 streams in the CREATING state for the account \
             000000000000 in us-east-1.",
        )
    );
    caller.advance(Duration::from_secs(1));
    caller.ok("CreateStream", body(5)).await;
}

#[tokio::test(start_paused = true)]
async fn on_demand_streams_are_limited_however_they_come() {
    let caller = caller_with(|settings| settings.on_demand_stream_limit = 1);
    create(&caller, 1).await;
    caller.ok("CreateStream", json!({"StreamName": "d"})).await;
    let full = refusal(
        "LimitExceeded",
        "This request would exceed the on-demand stream limit for the account 000000000000 in \
         us-east-1. Limit: 1.",
    );
    let more = caller.refused("CreateStream", json!({"StreamName": "e"}));
    assert_eq!(more.await, full);
    assert_eq!(
        caller.refused("UpdateStreamMode", mode("ON_DEMAND")).await,
        full
    );
    caller.ok("DeleteStream", json!({"StreamName": "d"})).await;
    caller.ok("UpdateStreamMode", mode("ON_DEMAND")).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_keeps_its_shards_from_mode_to_mode() {
    let caller = Caller::with_stream(7).await;
    caller.ok("UpdateStreamMode", mode("ON_DEMAND")).await;
    let shown = summary(&caller).await;
    assert_eq!(shown["StreamModeDetails"]["StreamMode"], "ON_DEMAND");
    assert_eq!(shown["OpenShardCount"], 7);
    let streams = caller.ok("ListStreams", json!({})).await;
    let listed = &streams["StreamSummaries"][0]["StreamModeDetails"];
    assert_eq!(listed["StreamMode"], "ON_DEMAND");
    caller.advance(29 * DAY);
    assert_eq!(summary(&caller).await["OpenShardCount"], 7);
    caller.ok("UpdateStreamMode", mode("PROVISIONED")).await;
    assert_eq!(summary(&caller).await["OpenShardCount"], 7);
    caller.ok("UpdateShardCount", target(8)).await;
    assert_eq!(summary(&caller).await["OpenShardCount"], 8);
}

#[tokio::test(start_paused = true)]
async fn modes_that_cannot_be_are_refused() {
    let caller = Caller::with_stream(1).await;
    let failed = "failed to satisfy constraint: Member must";
    let already = "Stream s under account 000000000000 is already in Provisioned mode.";
    let mut warm = mode("ON_DEMAND");
    warm["WarmThroughputMiBps"] = json!(-1);
    for (body, expected) in [
        (mode("PROVISIONED"), refusal("InvalidArgument", already)),
        (
            mode("FAST"),
            constraint(&format!(
                "'FAST' at 'streamModeDetails.streamMode' {failed} satisfy enum value set: \
                 [PROVISIONED, ON_DEMAND]"
            )),
        ),
        (
            json!({}),
            refusal(
                "Validation",
                &format!(
                    "2 validation errors detected: Value null at 'streamARN' {failed} not be null; \
                     Value null at 'streamModeDetails' {failed} not be null"
                ),
            ),
        ),
        (
            json!({"StreamARN": ARN, "StreamModeDetails": {}}),
            constraint(&format!(
                "null at 'streamModeDetails.streamMode' {failed} not be null"
            )),
        ),
        (
            warm,
            constraint(&format!(
                "'-1' at 'warmThroughputMiBps' {failed} have value greater than or equal to 0"
            )),
        ),
        (
            json!({"StreamARN": ARN.replace("/s", "/t"),
                "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
            missing("t"),
        ),
    ] {
        assert_eq!(caller.refused("UpdateStreamMode", body).await, expected);
    }
    for way in ["ON_DEMAND", "PROVISIONED"] {
        caller.ok("UpdateStreamMode", mode(way)).await;
    }
    let often = refusal(
        "LimitExceeded",
        "UpdateStreamMode cannot be called more than 2 times in a rolling 24-hour period for stream s \
         under account 000000000000.",
    );
    assert_eq!(
        caller.refused("UpdateStreamMode", mode("ON_DEMAND")).await,
        often
    );
    caller.advance(DAY);
    caller.ok("UpdateStreamMode", mode("ON_DEMAND")).await;
}

#[tokio::test(start_paused = true)]
async fn going_back_to_provisioned_needs_room_for_the_shards() {
    let caller = caller_with(|settings| settings.shard_limit = 3);
    caller.ok("CreateStream", json!({"StreamName": "s"})).await;
    let (kind, text) = caller
        .refused("UpdateStreamMode", mode("PROVISIONED"))
        .await;
    assert_eq!(kind, "LimitExceededException");
    assert!(text.contains("from this request: 4."), "{text}");
}

fn warm(mibps: i32) -> Value {
    json!({"StreamName": "s", "WarmThroughputMiBps": mibps})
}

#[tokio::test(start_paused = true)]
async fn warm_throughput_opens_shards_and_lets_them_go() {
    let caller = Caller::with_delays(Delays {
        update: Duration::from_secs(60),
        ..Delays::default()
    });
    commit(&caller, "ENABLED").await;
    caller.ok("CreateStream", warm(6)).await;
    let shown = summary(&caller).await;
    assert_eq!(shown["OpenShardCount"], 6);
    assert_eq!(
        shown["WarmThroughput"],
        json!({"TargetMiBps": 6, "CurrentMiBps": 6})
    );
    let reply = caller.ok("UpdateStreamWarmThroughput", warm(20)).await;
    let pending = json!({"TargetMiBps": 20, "CurrentMiBps": 6});
    assert_eq!(
        reply,
        json!({"StreamName": "s", "StreamARN": ARN, "WarmThroughput": pending})
    );
    let shown = summary(&caller).await;
    assert_eq!(
        (&shown["WarmThroughput"], &shown["OpenShardCount"]),
        (&pending, &json!(6))
    );
    caller.advance(Duration::from_secs(60));
    let shown = summary(&caller).await;
    assert_eq!(
        shown["WarmThroughput"],
        json!({"TargetMiBps": 20, "CurrentMiBps": 20})
    );
    assert_eq!(shown["OpenShardCount"], 20);
    check_lineage(&listed(&caller).await);
    let by_arn = json!({"StreamARN": ARN, "WarmThroughputMiBps": 0});
    caller.ok("UpdateStreamWarmThroughput", by_arn).await;
    caller.advance(Duration::from_secs(60));
    let shown = summary(&caller).await;
    assert_eq!(
        shown["WarmThroughput"],
        json!({"TargetMiBps": 0, "CurrentMiBps": 0})
    );
    assert_eq!(shown["OpenShardCount"], 4);
    check_lineage(&listed(&caller).await);
    // Without the commitment there is none.
    caller.advance(DAY);
    commit(&caller, "DISABLED").await;
    assert_eq!(summary(&caller).await.get("WarmThroughput"), None);
}

#[tokio::test(start_paused = true)]
async fn warm_throughput_that_cannot_be_is_refused() {
    let caller = Caller::new();
    let uncommitted = refusal(
        "Validation",
        "WarmThroughputMiBps is only supported for accounts with an enabled minimum throughput billing \
         commitment",
    );
    assert_eq!(caller.refused("CreateStream", warm(5)).await, uncommitted);
    caller.ok("CreateStream", json!({"StreamName": "s"})).await;
    let (update, failed) = (
        "UpdateStreamWarmThroughput",
        "failed to satisfy constraint: Member must",
    );
    assert_eq!(caller.refused(update, warm(5)).await, uncommitted);
    commit(&caller, "ENABLED").await;
    for (body, expected) in [
        (
            warm(10_241),
            refusal(
                "LimitExceeded",
                "WarmThroughputMiBps 10241 exceeds the limit of 10240 MiB/s for an on-demand stream.",
            ),
        ),
        (
            warm(-1),
            constraint(&format!(
                "'-1' at 'warmThroughputMiBps' {failed} have value greater than or equal to 0"
            )),
        ),
        (
            json!({"StreamName": "s"}),
            constraint(&format!(
                "null at 'warmThroughputMiBps' {failed} not be null"
            )),
        ),
        (
            json!({"StreamName": "t", "WarmThroughputMiBps": 5}),
            missing("t"),
        ),
        (
            json!({"WarmThroughputMiBps": 5}),
            refusal(
                "InvalidArgument",
                "Either StreamARN or StreamName should be provided.",
            ),
        ),
    ] {
        assert_eq!(caller.refused(update, body).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn only_streams_on_demand_are_kept_warm() {
    let caller = Caller::new();
    caller.ok("CreateStream", json!({"StreamName": "s"})).await;
    commit(&caller, "ENABLED").await;
    let update = "UpdateStreamWarmThroughput";
    let mut provisioned = mode("PROVISIONED");
    provisioned["WarmThroughputMiBps"] = json!(5);
    let wrong_mode = refusal(
        "Validation",
        "WarmThroughputMiBps is only supported when StreamMode=ON_DEMAND",
    );
    assert_eq!(
        caller.refused("UpdateStreamMode", provisioned).await,
        wrong_mode
    );
    let body = json!({"StreamName": "p", "ShardCount": 1, "WarmThroughputMiBps": 5});
    assert_eq!(caller.refused("CreateStream", body).await, wrong_mode);
    caller.ok("UpdateStreamMode", mode("PROVISIONED")).await;
    assert_eq!(
        caller.refused(update, warm(5)).await,
        refusal(
            "Validation",
            "Request is invalid. Stream s under account 000000000000 is in Provisioned mode.",
        )
    );
    let mut back = mode("ON_DEMAND");
    back["WarmThroughputMiBps"] = json!(9);
    caller.ok("UpdateStreamMode", back).await;
    assert_eq!(summary(&caller).await["OpenShardCount"], 9);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_made_with_its_record_size() {
    let caller = Caller::new();
    let body = |size: i32| json!({"StreamName": "s", "ShardCount": 1, "MaxRecordSizeInKiB": size});
    let failed = "at 'maxRecordSizeInKiB' failed to satisfy constraint: Member must have value";
    for (size, rule) in [
        (1023, "greater than or equal to 1024"),
        (10_241, "less than or equal to 10240"),
    ] {
        let expected = constraint(&format!("'{size}' {failed} {rule}"));
        assert_eq!(caller.refused("CreateStream", body(size)).await, expected);
    }
    caller.ok("CreateStream", body(4096)).await;
    assert_eq!(summary(&caller).await["MaxRecordSizeInKiB"], 4096);
    caller.put("k", &"x".repeat(4 << 20 >> 1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_made_again_at_once_has_numbers_of_its_own() {
    let caller = Caller::with_stream(2).await;
    caller.ok("UpdateShardCount", target(3)).await;
    let mut last = caller.put("k", "x").await["SequenceNumber"]
        .as_str()
        .unwrap()
        .to_owned();
    for _ in 0..3 {
        caller.ok("DeleteStream", json!({"StreamName": "s"})).await;
        create(&caller, 2).await;
        let shards = listed(&caller).await;
        let first = shards[0]["SequenceNumberRange"]["StartingSequenceNumber"].as_str();
        assert!(first.unwrap() > last.as_str());
        let body = json!({"StreamName": "s", "ShardId": "0",
            "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": last});
        let (kind, _) = caller.refused("GetShardIterator", body).await;
        assert_eq!(kind, "InvalidArgumentException");
        last = caller.put("k", "x").await["SequenceNumber"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(first.unwrap() < last.as_str());
    }
    // Another name, or a later second, starts from the clock.
    caller.ok("DeleteStream", json!({"StreamName": "s"})).await;
    caller.advance(Duration::from_secs(60));
    create(&caller, 1).await;
    let shards = listed(&caller).await;
    let first = shards[0]["SequenceNumberRange"]["StartingSequenceNumber"].as_str();
    let fresh = Caller::with_stream(1).await;
    fresh.ok("DeleteStream", json!({"StreamName": "s"})).await;
    fresh.advance(Duration::from_secs(60));
    create(&fresh, 1).await;
    let other = listed(&fresh).await;
    assert_eq!(
        first,
        other[0]["SequenceNumberRange"]["StartingSequenceNumber"].as_str()
    );
}

#[tokio::test(start_paused = true)]
async fn descriptions_and_listings_page_through_a_resharded_stream() {
    let caller = Caller::with_stream(60).await;
    caller.ok("UpdateShardCount", target(120)).await;
    let first = caller
        .ok("DescribeStream", json!({"StreamName": "s"}))
        .await;
    let first = &first["StreamDescription"];
    assert_eq!(ids(first), (0..100).collect::<Vec<_>>());
    assert_eq!(first["HasMoreShards"], true);
    let body = json!({"StreamName": "s", "ExclusiveStartShardId": shard(99), "Limit": 10_000});
    let second = caller.ok("DescribeStream", body).await;
    let second = &second["StreamDescription"];
    assert_eq!(ids(second), (100..180).collect::<Vec<_>>());
    assert_eq!(second["HasMoreShards"], false);
    // The second page of a listing of open shards only has open ones, as the token says.
    let open = json!({"StreamName": "s", "MaxResults": 50, "ShardFilter": {"Type": "AT_LATEST"}});
    let page = caller.ok("ListShards", open).await;
    assert_eq!(ids(&page), (60..110).collect::<Vec<_>>());
    let token = json!({"NextToken": page["NextToken"], "MaxResults": 1000});
    // A reshard between the pages does not shift them.
    caller.ok("UpdateShardCount", target(60)).await;
    let page = caller.ok("ListShards", token.clone()).await;
    assert_eq!(ids(&page), (180..240).collect::<Vec<_>>());
    let start = json!({"StreamName": "s", "ExclusiveStartShardId": shard(170)});
    let page = caller.ok("ListShards", start).await;
    assert_eq!(ids(&page), (171..240).collect::<Vec<_>>());
    caller.advance(Duration::from_secs(300));
    caller.ok("ListShards", token.clone()).await;
    caller.advance(Duration::from_millis(1));
    let (kind, _) = caller.refused("ListShards", token).await;
    assert_eq!(kind, "ExpiredNextTokenException");
}
