//! What the producers were told about each record, and what must have come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use aws_sdk_kinesis::types::Record;

use crate::{Failure, check, is_now, number};

#[derive(Default)]
pub(crate) struct Ledger(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Shard and sequence number of each record, and its payload.
    placed: BTreeMap<(String, String), String>,
    counts: BTreeMap<String, usize>,
    is_done: bool,
}

impl Ledger {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().expect("nobody panics while he holds it"))
    }

    /// The payload of the key's next record.
    pub(crate) fn next(&self, key: &str) -> String {
        let count = self.with(|it| it.counts.get(key).copied().unwrap_or_default());
        format!("{key}/{count}")
    }

    pub(crate) fn note(&self, key: &str, shard: &str, sequence: &str) -> Result<(), Failure> {
        let payload = self.next(key);
        let place = (shard.to_owned(), sequence.to_owned());
        let other = self.with(|it| {
            *it.counts.entry(key.to_owned()).or_default() += 1;
            it.placed.insert(place, payload)
        });
        match other {
            None => Ok(()),
            Some(other) => Err(format!("{key} got the place of {other}").into()),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.with(|it| it.is_done)
    }

    pub(crate) fn finish(&self) {
        self.with(|it| it.is_done = true);
    }

    /// The shards that took records.
    pub(crate) fn shards(&self) -> BTreeSet<String> {
        self.with(|it| it.placed.keys().map(|(shard, _)| shard.clone()).collect())
    }

    pub(crate) async fn wait_for_a_generation(&self) -> Result<(), Failure> {
        let size = || self.with(|it| it.placed.len());
        let wanted = size() + usize::from(number("RECORDS_PER_GENERATION")?);
        while size() < wanted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Every record once, in the order of its key, where the producers were told, and from just now.
    pub(crate) fn verify(&self, reader: &str, seen: &[(String, Record)]) -> Result<(), Failure> {
        let mut counts = BTreeMap::<&str, usize>::new();
        let mut places = BTreeSet::new();
        for (shard, record) in seen {
            let place = (shard.clone(), record.sequence_number.clone());
            let key = record.partition_key.as_deref().unwrap_or_default();
            let count = counts.entry(key).or_default();
            let wanted = format!("{key}/{count}");
            let data = String::from_utf8_lossy(record.data.as_ref());
            if data != wanted
                || self.with(|it| it.placed.get(&place).cloned()).as_ref() != Some(&wanted)
            {
                return Err(
                    format!("{reader}: {place:?} holds {data}, and {wanted} was next").into(),
                );
            }
            if !is_now(record.approximate_arrival_timestamp.as_ref())? {
                return Err(format!("{reader}: arrival time of {record:?}").into());
            }
            *count += 1;
            places.insert(place);
        }
        let put = self.with(|it| it.placed.len());
        let what =
            "delivers each record once, in the order of its key, where it was put, as of now";
        let is_complete = seen.len() == put && places.len() == put;
        check(&format!("{reader} {what}"), is_complete, (put, seen.len()))?;
        println!("{reader} delivered {put} records");
        Ok(())
    }
}
