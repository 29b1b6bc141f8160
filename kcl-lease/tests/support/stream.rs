//! A stream without records: shards with an opening and a closing time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use kcl_core::error::{Error, ErrorKind};
use kcl_core::model::{ChildShard, HashKeyRange, Shard, ShardId, StreamName};
use kcl_lease::ShardList;

#[derive(Clone, Debug, Default)]
pub struct FakeStream(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    shards: BTreeMap<ShardId, Entry>,
    next: u32,
    lists: u32,
    failing: Option<ErrorKind>,
}

#[derive(Clone, Debug)]
struct Entry {
    shard: Shard,
    opened: SystemTime,
    closed: Option<SystemTime>,
}

/// The virtual wall clock: paused tokio time from a fixed start.
pub fn wall(began: tokio::time::Instant) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + began.elapsed()
}

impl FakeStream {
    pub fn with_shards(count: u32) -> Self {
        let stream = Self::default();
        for n in 0..count {
            let width = u128::MAX / u128::from(count);
            let start = width * u128::from(n);
            stream.open(
                &[],
                HashKeyRange {
                    start,
                    end: start + width - 1,
                },
                SystemTime::UNIX_EPOCH,
            );
        }
        stream
    }

    fn open(&self, parents: &[ShardId], range: HashKeyRange, now: SystemTime) -> ShardId {
        let mut inner = self.0.lock().unwrap();
        let id = ShardId::new(format!("shardId-{:012}", inner.next));
        inner.next += 1;
        let shard = Shard {
            id: id.clone(),
            parents: parents.to_vec(),
            range,
            open: true,
        };
        inner.shards.insert(
            id.clone(),
            Entry {
                shard,
                opened: now,
                closed: None,
            },
        );
        id
    }

    fn close(&self, id: &ShardId, now: SystemTime) {
        let mut inner = self.0.lock().unwrap();
        let entry = inner.shards.get_mut(id).unwrap();
        entry.shard.open = false;
        entry.closed = Some(now);
    }

    pub fn shard(&self, id: &ShardId) -> Option<Shard> {
        self.0
            .lock()
            .unwrap()
            .shards
            .get(id)
            .map(|entry| entry.shard.clone())
    }

    pub fn open_shards(&self) -> Vec<Shard> {
        let inner = self.0.lock().unwrap();
        inner
            .shards
            .values()
            .map(|e| &e.shard)
            .filter(|s| s.open)
            .cloned()
            .collect()
    }

    pub fn all_shards(&self) -> BTreeMap<ShardId, Shard> {
        let inner = self.0.lock().unwrap();
        inner
            .shards
            .iter()
            .map(|(id, entry)| (id.clone(), entry.shard.clone()))
            .collect()
    }

    pub fn split(&self, id: &ShardId, now: SystemTime) -> [ShardId; 2] {
        let range = self.shard(id).unwrap().range;
        self.close(id, now);
        let middle = range.start + (range.end - range.start) / 2;
        let parents = std::slice::from_ref(id);
        [
            self.open(
                parents,
                HashKeyRange {
                    start: range.start,
                    end: middle,
                },
                now,
            ),
            self.open(
                parents,
                HashKeyRange {
                    start: middle + 1,
                    end: range.end,
                },
                now,
            ),
        ]
    }

    pub fn merge(&self, a: &ShardId, b: &ShardId, now: SystemTime) -> ShardId {
        let (x, y) = (self.shard(a).unwrap().range, self.shard(b).unwrap().range);
        self.close(a, now);
        self.close(b, now);
        let range = HashKeyRange {
            start: x.start.min(y.start),
            end: x.end.max(y.end),
        };
        self.open(&[a.clone(), b.clone()], range, now)
    }

    /// What the last read of a closed shard says; nothing while it is open.
    pub fn children(&self, id: &ShardId) -> Option<Vec<ChildShard>> {
        let inner = self.0.lock().unwrap();
        if inner.shards.get(id)?.shard.open {
            return None;
        }
        let children = inner
            .shards
            .values()
            .filter(|e| e.shard.parents.contains(id));
        let child = |e: &Entry| ChildShard {
            id: e.shard.id.clone(),
            parents: e.shard.parents.clone(),
            range: e.shard.range,
        };
        Some(children.map(child).collect())
    }

    /// The service forgets a closed shard.
    pub fn forget(&self, id: &ShardId) {
        self.0.lock().unwrap().shards.remove(id);
    }

    pub fn fail_with(&self, kind: Option<ErrorKind>) {
        self.0.lock().unwrap().failing = kind;
    }

    pub fn lists(&self) -> u32 {
        self.0.lock().unwrap().lists
    }
}

#[async_trait::async_trait]
impl ShardList for FakeStream {
    async fn list(
        &self,
        stream: &StreamName,
        open_since: Option<SystemTime>,
    ) -> Result<Vec<Shard>, Error> {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let mut inner = self.0.lock().unwrap();
        inner.lists += 1;
        if let Some(kind) = inner.failing {
            return Err(Error::new(kind, format!("stream {stream} fails")));
        }
        let covers = |entry: &&Entry| {
            open_since.is_none_or(|time| entry.closed.is_none_or(|closed| closed >= time))
        };
        Ok(inner
            .shards
            .values()
            .filter(covers)
            .map(|entry| entry.shard.clone())
            .collect())
    }
}

/// Streams by their names. One that is gone cannot be listed.
#[derive(Clone, Debug, Default)]
pub struct FakeStreams(Arc<Mutex<Catalog>>);

#[derive(Debug, Default)]
struct Catalog {
    there: BTreeMap<StreamName, FakeStream>,
    ever: BTreeMap<StreamName, FakeStream>,
}

impl FakeStreams {
    pub fn make(&self, name: &str, shards: u32) -> FakeStream {
        let (name, stream) = (
            StreamName::new(name).unwrap(),
            FakeStream::with_shards(shards),
        );
        let mut catalog = self.0.lock().unwrap();
        catalog.there.insert(name.clone(), stream.clone());
        catalog.ever.insert(name, stream.clone());
        stream
    }

    /// Somebody deletes the stream.
    pub fn delete(&self, name: &str) {
        let name = StreamName::new(name).unwrap();
        self.0.lock().unwrap().there.remove(&name);
    }

    /// It is there again, as it was.
    pub fn restore(&self, name: &str) {
        let name = StreamName::new(name).unwrap();
        let mut catalog = self.0.lock().unwrap();
        let stream = catalog.ever[&name].clone();
        catalog.there.insert(name, stream);
    }

    /// As it was, whether it is still there or not.
    pub fn ever(&self, name: &StreamName) -> FakeStream {
        self.0.lock().unwrap().ever[name].clone()
    }
}

#[async_trait::async_trait]
impl ShardList for FakeStreams {
    async fn list(
        &self,
        stream: &StreamName,
        open_since: Option<SystemTime>,
    ) -> Result<Vec<Shard>, Error> {
        let there = self.0.lock().unwrap().there.get(stream).cloned();
        match there {
            Some(there) => there.list(stream, open_since).await,
            None => {
                tokio::time::sleep(Duration::from_millis(3)).await;
                Err(Error::new(
                    ErrorKind::NotFound,
                    format!("stream {stream} does not exist"),
                ))
            }
        }
    }
}
