//! The scripted source passes the suite that it is a stand-in for.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::time::Duration;

use kcl_core::contract::{ScriptedSource, StreamFixture, record_source};
use kcl_core::{SequenceNumber, ShardId, StreamName, async_trait};

struct Fixture(ScriptedSource);

#[async_trait]
impl StreamFixture for Fixture {
    fn stream(&self) -> StreamName {
        StreamName::new("stream").unwrap()
    }

    fn shard(&self) -> ShardId {
        ShardId::new("s")
    }

    async fn put(&self, payload: &str) -> SequenceNumber {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.0.put("s", [payload]).remove(0)
    }

    async fn close(&self) -> Vec<ShardId> {
        self.0.close("s", &["s1", "s2"]);
        vec![ShardId::new("s1"), ShardId::new("s2")]
    }
}

#[tokio::test(start_paused = true)]
async fn the_scripted_source_is_a_record_source() {
    let source = ScriptedSource::new().with_batch_max(3);
    record_source(&source, &Fixture(source.clone())).await;
}
