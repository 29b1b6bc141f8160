//! What lasts and what no longer counts while a stream is on its way out.

use std::time::Duration;

use kinesis_emulator::Delays;
use serde_json::{Value, json};

use crate::caller::{Caller, ids};

const SPLIT: &str = r#"{"StreamName":"s","ShardToSplit":"0","NewStartingHashKey":"5000"}"#;

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_gone_takes_nothing_of_the_quota_even_if_nobody_looked() {
    let delete = Duration::from_secs(5);
    let delays = Delays {
        delete,
        ..Delays::default()
    };
    let caller = Caller::with_delays(delays);
    for (name, shards) in [("s", 9_999), ("t", 10_000)] {
        let body = json!({"StreamName": name, "ShardCount": shards});
        caller.ok("CreateStream", body).await;
    }
    caller.raw("SplitShard", SPLIT).await;
    let (status, text) = caller
        .raw("SplitShard", &SPLIT.replace("\"0\"", "\"1\""))
        .await;
    assert_eq!(status, 400);
    assert!(text.contains("LimitExceededException"), "{text}");
    caller.ok("DeleteStream", json!({"StreamName": "t"})).await;
    caller.advance(delete);
    let key = (u128::MAX / 9_999 * 2 - 5_000).to_string();
    let body = json!({"StreamName": "s", "ShardToSplit": "1", "NewStartingHashKey": key});
    caller.ok("SplitShard", body).await;
}

#[tokio::test(start_paused = true)]
async fn shards_expire_while_their_stream_is_being_deleted() {
    let caller = Caller::with_delays(Delays {
        delete: Duration::from_secs(3600),
        ..Delays::default()
    });
    let create = json!({"StreamName": "s", "ShardCount": 1});
    caller.ok("CreateStream", create).await;
    let (status, _) = caller.raw("SplitShard", SPLIT).await;
    assert_eq!(status, 200);
    caller.advance(Duration::from_secs(24 * 3600));
    let name = json!({"StreamName": "s"});
    caller.ok("DeleteStream", name.clone()).await;
    assert_eq!(ids(&caller.ok("ListShards", name.clone()).await), [0, 1, 2]);
    caller.advance(Duration::from_millis(1));
    assert_eq!(ids(&caller.ok("ListShards", name).await), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn shards_that_a_longer_retention_came_too_late_for_do_not_come_back() {
    let caller = Caller::with_stream(1).await;
    caller.raw("SplitShard", SPLIT).await;
    // Nobody looks while the first shard's day ends.
    caller.advance(Duration::from_secs(24 * 3600 + 1));
    let longer = json!({"StreamName": "s", "RetentionPeriodHours": 48});
    caller.ok("IncreaseStreamRetentionPeriod", longer).await;
    let listed = caller.ok("ListShards", json!({"StreamName": "s"})).await;
    assert_eq!(ids(&listed), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn nor_does_one_whose_day_ends_while_the_longer_retention_is_on_its_way() {
    let update = Duration::from_secs(10);
    let caller = Caller::with_delays(Delays {
        update,
        ..Delays::default()
    });
    let create = json!({"StreamName": "s", "ShardCount": 1});
    caller.ok("CreateStream", create).await;
    caller.raw("SplitShard", SPLIT).await;
    caller.advance(Duration::from_secs(24 * 3600 - 5));
    let longer = json!({"StreamName": "s", "RetentionPeriodHours": 48});
    caller.ok("IncreaseStreamRetentionPeriod", longer).await;
    caller.advance(update);
    let listed = caller.ok("ListShards", json!({"StreamName": "s"})).await;
    assert_eq!(ids(&listed), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn numbers_rise_over_a_stream_of_the_name_that_never_got_its_shards() {
    let create = Duration::from_millis(100);
    let caller = Caller::with_delays(Delays {
        create,
        ..Delays::default()
    });
    let name = json!({"StreamName": "s"});
    let again = json!({"StreamName": "s", "ShardCount": 1});
    let mut last = String::new();
    for generation in 0..6 {
        caller.ok("CreateStream", again.clone()).await;
        if generation % 2 == 0 {
            caller.advance(create);
            let first = starts(&caller).await.remove(0);
            assert!(first > last, "{generation}: {first} is not above {last}");
            for shard in 0..3 {
                // Each split takes the numbers a second further ahead of the clock.
                let split = json!({"StreamName": "s", "ShardToSplit": (shard * 2).to_string(),
                    "NewStartingHashKey": (u128::MAX - (1 << (100 - shard))).to_string()});
                caller.ok("SplitShard", split).await;
            }
            last = starts(&caller).await.pop().unwrap();
        }
        caller.ok("DeleteStream", name.clone()).await;
    }
}

/// The starting numbers of all shards, in order.
async fn starts(caller: &Caller) -> Vec<String> {
    let listed = caller.ok("ListShards", json!({"StreamName": "s"})).await;
    let start = |shard: &Value| {
        let number = &shard["SequenceNumberRange"]["StartingSequenceNumber"];
        number.as_str().unwrap().to_owned()
    };
    listed["Shards"]
        .as_array()
        .unwrap()
        .iter()
        .map(start)
        .collect()
}
