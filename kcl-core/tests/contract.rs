//! Every source of this crate passes the suite for sources: the scripted one that stands in for
//! the others, and polling against the emulator. In paused time, without a socket.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use kcl_core::contract::{Disturbance, ScriptedSource, StreamFixture, record_source};
use kcl_core::{Env, Polling, SequenceNumber, ShardId, StreamName, async_trait};
use kinesis_emulator::{Action, Fault, Service};

struct Scripted(ScriptedSource);

#[async_trait]
impl StreamFixture for Scripted {
    fn stream(&self) -> StreamName {
        StreamName::new("stream").unwrap()
    }

    fn shard(&self) -> ShardId {
        ShardId::new("s")
    }

    async fn put(&self, payload: &str) -> SequenceNumber {
        self.0.put("s", [payload]).remove(0)
    }

    async fn close(&self) -> Vec<ShardId> {
        self.0.close("s", &["s1", "s2"]);
        vec![ShardId::new("s1"), ShardId::new("s2")]
    }

    fn env(&self) -> Env {
        Env::system()
    }

    async fn disturb(&self, _: Disturbance) {}
}

struct Emulated {
    service: Service,
    client: Client,
}

#[async_trait]
impl StreamFixture for Emulated {
    fn stream(&self) -> StreamName {
        StreamName::new("stream").unwrap()
    }

    fn shard(&self) -> ShardId {
        ShardId::new("shardId-000000000000")
    }

    async fn put(&self, payload: &str) -> SequenceNumber {
        let put = self
            .client
            .put_record()
            .stream_name("stream")
            .partition_key("key");
        let put = put.data(Blob::new(payload)).send().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        SequenceNumber::new(put.sequence_number).unwrap()
    }

    async fn close(&self) -> Vec<ShardId> {
        let split = self
            .client
            .split_shard()
            .stream_name("stream")
            .shard_to_split(self.shard().name());
        split
            .new_starting_hash_key((1_u128 << 127).to_string())
            .send()
            .await
            .unwrap();
        let shards = self
            .client
            .list_shards()
            .stream_name("stream")
            .send()
            .await
            .unwrap();
        let children = shards
            .shards()
            .iter()
            .filter(|shard| shard.parent_shard_id.is_some());
        children
            .map(|shard| ShardId::new(&shard.shard_id))
            .collect()
    }

    fn env(&self) -> Env {
        let clock = self.service.clock().clone();
        Env::simulated(move || clock.now(), 1)
    }

    async fn disturb(&self, how: Disturbance) {
        let fault = |action| Fault::new(action).on("GetRecords").times(3);
        let fault = match how {
            Disturbance::Expire => {
                self.service.clock().advance(Duration::from_secs(6 * 60));
                return;
            }
            Disturbance::Throttle => fault(Action::ThroughputExceeded),
            Disturbance::BreakOff => fault(Action::ResetAfter),
        };
        self.service.faults().add(fault).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_scripted_source_is_a_record_source() {
    let source = ScriptedSource::new().with_batch_max(3);
    record_source(&source, &Scripted(source.clone())).await;
}

#[tokio::test(start_paused = true)]
async fn polling_is_a_record_source() {
    let service = Service::default();
    let config = service.sdk_config();
    let client = Client::new(&config);
    client
        .create_stream()
        .stream_name("stream")
        .shard_count(1)
        .send()
        .await
        .unwrap();
    record_source(&Polling::new(&config), &Emulated { service, client }).await;
}
