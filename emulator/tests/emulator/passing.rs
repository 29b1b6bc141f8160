//! What lasts and what no longer counts while a stream is on its way out.

use std::time::Duration;

use kinesis_emulator::Delays;
use serde_json::json;

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
