//! What one reader knows: which record of each key comes next, and which shards may be read when.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::Deserialize;

use crate::{FIRST_SHARDS, KEYS, Soak};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Record {
    pub(crate) sequence_number: String,
    pub(crate) partition_key: String,
    pub(crate) data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Child {
    pub(crate) shard_id: String,
    pub(crate) parent_shards: Vec<String>,
}

/// See the module.
pub(crate) struct Progress {
    /// The number of the next record of each key.
    next: Vec<u64>,
    /// The sequence number of the last record of each key, and of each shard.
    last_of_key: Vec<String>,
    last_of_shard: BTreeMap<String, String>,
    /// Parents of a child that have ended, until all have.
    ended: BTreeMap<String, usize>,
    pub(crate) shards: usize,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            next: vec![0; KEYS],
            last_of_key: vec![String::new(); KEYS],
            last_of_shard: BTreeMap::new(),
            ended: BTreeMap::new(),
            shards: FIRST_SHARDS as usize,
        }
    }

    /// A record was read: it is the next of its key, and above the last of its shard and of its key.
    pub(crate) fn take(&mut self, shard: &str, record: Record) {
        let key: usize = record.partition_key.parse().unwrap();
        let data = base64_simd::STANDARD.decode_to_vec(&record.data).unwrap();
        let number = u64::from_be_bytes(data.try_into().unwrap());
        let sequence = record.sequence_number;
        assert_eq!(number, self.next[key], "key {key} in {shard} at {sequence}");
        self.next[key] += 1;
        assert!(
            sequence > self.last_of_key[key],
            "key {key} goes back in {shard}"
        );
        self.last_of_key[key].clone_from(&sequence);
        if !self.last_of_shard.contains_key(shard) {
            self.last_of_shard.insert(shard.to_owned(), String::new());
        }
        let last = self.last_of_shard.get_mut(shard).unwrap();
        assert!(sequence > *last, "{shard} goes back");
        *last = sequence;
    }

    /// A shard was read to its end; which of its children may be read now.
    pub(crate) fn end(&mut self, shard: &str, children: Vec<Child>) -> Vec<String> {
        assert!(!children.is_empty(), "{shard} ended without children");
        let mut ready = Vec::new();
        for child in children {
            let ended = self.ended.entry(child.shard_id.clone()).or_default();
            *ended += 1;
            assert!(child.parent_shards.iter().any(|parent| parent == shard));
            if *ended == child.parent_shards.len() {
                self.ended.remove(&child.shard_id);
                self.shards += 1;
                ready.push(child.shard_id);
            }
        }
        ready
    }

    /// The number of the last record read of a shard.
    pub(crate) fn last_of(&self, shard: &str) -> Option<&str> {
        self.last_of_shard.get(shard).map(String::as_str)
    }

    /// Whether all that was written is read.
    pub(crate) fn is_complete(&self, soak: &Soak) -> bool {
        let mut pairs = self.next.iter().zip(&soak.written);
        pairs.all(|(next, written)| *next == written.load(Ordering::SeqCst))
    }

    /// Fails if anything is missing. The writers have stopped.
    pub(crate) fn check_complete(&self, soak: &Soak) {
        for (key, (next, written)) in self.next.iter().zip(&soak.written).enumerate() {
            let written = written.load(Ordering::SeqCst);
            assert_eq!(*next, written, "key {key} is not complete");
        }
    }
}
