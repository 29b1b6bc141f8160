//! What all printers of an experiment delivered, in the order it arrived here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use tokio::time::Instant;

/// One line of a `record-printer`. The names are a contract that scripts rely on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    shard_id: String,
    sequence_number: String,
    partition_key: String,
    data: String,
}

/// One delivered record.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The worker that printed it.
    pub worker: String,
    /// The shard it came from.
    pub shard: String,
    /// Its sequence number.
    pub sequence: String,
    /// When its line arrived.
    pub at: Instant,
}

#[derive(Debug, Default)]
struct State {
    deliveries: Vec<Delivery>,
    seen: BTreeMap<String, u32>,
    logs: Vec<(String, String)>,
    broken: Vec<String>,
}

/// The merged output. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Output(Arc<Mutex<State>>);

impl Output {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn line(&self, worker: &str, text: &str) {
        let at = Instant::now();
        let mut state = self.state();
        match serde_json::from_str::<Line>(text) {
            Ok(line) if !line.partition_key.is_empty() && !line.data.is_empty() => {
                *state.seen.entry(line.sequence_number.clone()).or_default() += 1;
                state.deliveries.push(Delivery {
                    worker: worker.to_owned(),
                    shard: line.shard_id,
                    sequence: line.sequence_number,
                    at,
                });
            }
            Ok(_) => state.broken.push(format!("an empty field in {text}")),
            Err(error) => state.broken.push(format!("{error} in {text}")),
        }
    }

    pub(super) fn log(&self, worker: &str, text: String) {
        self.state().logs.push((worker.to_owned(), text));
    }

    /// Everything delivered since the `from`th delivery.
    #[must_use]
    pub fn since(&self, from: usize) -> Vec<Delivery> {
        self.state()
            .deliveries
            .get(from..)
            .unwrap_or_default()
            .to_vec()
    }

    /// How many deliveries there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().deliveries.len()
    }

    /// Whether nothing was delivered yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many different records were delivered.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.state().seen.len()
    }

    /// How many deliveries were repeats.
    #[must_use]
    pub fn duplicates(&self) -> usize {
        self.state()
            .seen
            .values()
            .map(|times| *times as usize - 1)
            .sum()
    }

    /// Those of `sent` that were never delivered.
    #[must_use]
    pub fn missing(&self, sent: &BTreeSet<String>) -> Vec<String> {
        let state = self.state();
        sent.iter()
            .filter(|sequence| !state.seen.contains_key(*sequence))
            .cloned()
            .collect()
    }

    /// Lines that are not what the contract promises.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        self.state().broken.clone()
    }

    /// The last lines that the printers logged.
    #[must_use]
    pub fn last_logs(&self, count: usize) -> Vec<String> {
        let state = self.state();
        let from = state.logs.len().saturating_sub(count);
        state.logs[from..]
            .iter()
            .map(|(worker, line)| format!("{worker}: {line}"))
            .collect()
    }
}
