//! Reads with SubscribeToShard: one task per shard listens and hands on what it hears, parents before
//! children. Now and then a listener hangs up and comes back after the last number it was told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, Bytes};
use fastrand::Rng;
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::lineage::{Child, Progress, Record};
use crate::{FIRST_SHARDS, Soak};

/// Events on their way to the reader.
const EVENTS: usize = 16;
/// How long the last records may take once all is written.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    records: Vec<Record>,
    continuation_sequence_number: Option<String>,
    #[serde(default)]
    child_shards: Vec<Child>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Registered {
    consumer: Consumer,
}

#[derive(Deserialize)]
struct Consumer {
    #[serde(rename = "ConsumerARN")]
    arn: String,
}

/// Reads until all is written and everything is read; how many shards there were.
pub(crate) async fn run(soak: Arc<Soak>, place: usize, seed: u64) -> usize {
    let mut rng = Rng::with_seed(seed ^ (place as u64) << 24);
    let stream = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    let body = format!(r#"{{"StreamARN":"{stream}","ConsumerName":"c-{place}"}}"#);
    let reply = soak.call("RegisterStreamConsumer", body).await;
    let arn = serde_json::from_slice::<Registered>(&reply)
        .unwrap()
        .consumer
        .arn;
    let (sender, mut events) = mpsc::channel(EVENTS);
    let mut listeners = JoinSet::new();
    let mut listen = |shard: String, seed: u64| {
        let ear = Listener {
            soak: Arc::clone(&soak),
            arn: arn.clone(),
            shard,
            rng: Rng::with_seed(seed),
        };
        listeners.spawn(ear.run(sender.clone()));
    };
    for index in 0..FIRST_SHARDS {
        listen(format!("shardId-{index:012}"), rng.u64(..));
    }
    let mut progress = Progress::new();
    let mut waited = Duration::ZERO;
    let moment = Duration::from_millis(100);
    loop {
        let heard: Option<(String, Event)> = timeout(moment, events.recv()).await.unwrap_or(None);
        if let Some((shard, event)) = heard {
            waited = Duration::ZERO;
            soak.read[place].fetch_add(event.records.len() as u64, Ordering::Relaxed);
            for record in event.records {
                progress.take(&shard, record);
            }
            if !event.child_shards.is_empty() {
                for child in progress.end(&shard, event.child_shards) {
                    listen(child, rng.u64(..));
                }
            }
            continue;
        }
        if soak.is_written.load(Ordering::SeqCst) {
            waited += moment;
            if progress.is_complete(&soak) || waited > PATIENCE {
                progress.check_complete(&soak);
                return progress.shards;
            }
        }
    }
}

/// Listens to one shard.
struct Listener {
    soak: Arc<Soak>,
    arn: String,
    shard: String,
    rng: Rng,
}

impl Listener {
    /// Hands on events until the shard ends or nobody wants them.
    async fn run(mut self, sender: mpsc::Sender<(String, Event)>) {
        let mut after = None;
        loop {
            let mut body = self.subscribe(after.as_deref()).await;
            while let Some(frame) = body.frame().await {
                let Ok(bytes) = frame.unwrap().into_data() else {
                    continue;
                };
                let Some(event) = decode(bytes) else { continue };
                let is_end = !event.child_shards.is_empty();
                assert_ne!(is_end, event.continuation_sequence_number.is_some());
                after.clone_from(&event.continuation_sequence_number);
                if sender.send((self.shard.clone(), event)).await.is_err() || is_end {
                    return;
                }
                if self.rng.u32(0..20) == 0 {
                    break;
                }
            }
        }
    }

    async fn subscribe(&self, after: Option<&str>) -> kinesis_emulator::Body {
        let position = match after {
            Some(number) => {
                format!(r#"{{"Type":"AFTER_SEQUENCE_NUMBER","SequenceNumber":"{number}"}}"#)
            }
            None => r#"{"Type":"TRIM_HORIZON"}"#.to_owned(),
        };
        let Self { arn, shard, .. } = self;
        let body = format!(
            r#"{{"ConsumerARN":"{arn}","ShardId":"{shard}","StartingPosition":{position}}}"#
        );
        let answer = self.soak.caller.answer("SubscribeToShard", body).await;
        assert_eq!(answer.status(), 200, "{shard}");
        answer.into_body()
    }
}

/// The event in a frame; none if it is another message.
fn decode(mut frame: Bytes) -> Option<Event> {
    let whole = usize::try_from(frame.get_u32()).unwrap();
    let headers = usize::try_from(frame.get_u32()).unwrap();
    assert_eq!(frame.len() + 8, whole, "one frame per piece");
    let payload = frame.slice(4 + headers..frame.len() - 4);
    let kind = String::from_utf8_lossy(&frame[4..4 + headers]).into_owned();
    assert!(!kind.contains("exception"), "{kind}");
    let is_event = kind.contains("SubscribeToShardEvent");
    is_event.then(|| serde_json::from_slice(&payload).unwrap())
}
