//! Calls that were answered, by operation and outcome, and connections that are open.
//!
//! Success is one relaxed addition; only what is refused takes a lock. Written by [`crate::Service`]
//! and the listener, read by [`crate::control`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::cloudwatch;
use crate::dynamo;
use crate::engine::metrics::Counter;
use crate::ops::Operation;

/// The outcome of a call whose answer a fault has lost.
pub(crate) const LOST: &str = "lost";

/// See the module.
#[derive(Debug)]
pub(crate) struct Requests {
    kinesis: Vec<Counter>,
    dynamo: Vec<Counter>,
    cloudwatch: Vec<Counter>,
    /// By service, operation and the type of the error.
    refused: Mutex<BTreeMap<(&'static str, &'static str, String), u64>>,
    connections: Arc<AtomicUsize>,
}

/// An open connection, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Connection(Arc<AtomicUsize>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Default for Requests {
    fn default() -> Self {
        let counters = |count| (0..count).map(|_| Counter::default()).collect();
        Self {
            kinesis: counters(Operation::ALL.len()),
            dynamo: counters(dynamo::OPERATIONS.len()),
            cloudwatch: counters(cloudwatch::OPERATIONS.len()),
            refused: Mutex::default(),
            connections: Arc::default(),
        }
    }
}

impl Requests {
    /// Counts a call of the streams; `refusal` is the type of its error.
    pub(crate) fn kinesis(&self, operation: Operation, refusal: Option<&str>) {
        match refusal {
            None => self.kinesis[operation as usize].add(1),
            Some(kind) => self.refuse("kinesis", operation.name(), kind),
        }
    }

    /// Counts a call of the tables.
    pub(crate) fn dynamo(&self, operation: &str, refusal: Option<&str>) {
        let known = dynamo::OPERATIONS
            .iter()
            .position(|name| *name == operation);
        match (known, refusal) {
            (Some(place), None) => self.dynamo[place].add(1),
            (Some(place), Some(kind)) => {
                let kind = kind.rsplit('#').next().unwrap_or_default();
                self.refuse("dynamodb", dynamo::OPERATIONS[place], kind);
            }
            // Names that nobody has would fill the memory.
            (None, _) => self.refuse("dynamodb", "unknown", "UnknownOperationException"),
        }
    }

    /// Counts a call of the metrics; `refusal` is the code of its error.
    pub(crate) fn cloudwatch(&self, operation: &str, refusal: Option<&str>) {
        let known = cloudwatch::OPERATIONS
            .iter()
            .position(|name| *name == operation);
        match (known, refusal) {
            (Some(place), None) => self.cloudwatch[place].add(1),
            (Some(place), Some(kind)) => {
                self.refuse("cloudwatch", cloudwatch::OPERATIONS[place], kind);
            }
            // Names that nobody has would fill the memory.
            (None, _) => self.refuse("cloudwatch", "unknown", refusal.unwrap_or("InvalidAction")),
        }
    }

    fn refuse(&self, api: &'static str, operation: &'static str, kind: &str) {
        let mut refused = self.refused.lock();
        *refused
            .entry((api, operation, kind.to_owned()))
            .or_default() += 1;
    }

    /// All counts that are not zero: service, operation, outcome, calls.
    pub(crate) fn counts(&self) -> Vec<(&'static str, &'static str, String, u64)> {
        let kinesis = Operation::ALL.iter().map(|operation| operation.name());
        let kinesis = kinesis.zip(&self.kinesis).map(|found| ("kinesis", found));
        let dynamo = dynamo::OPERATIONS.into_iter().zip(&self.dynamo);
        let dynamo = dynamo.map(|found| ("dynamodb", found));
        let cloudwatch = cloudwatch::OPERATIONS.into_iter().zip(&self.cloudwatch);
        let cloudwatch = cloudwatch.map(|found| ("cloudwatch", found));
        let mut counts: Vec<_> = kinesis
            .chain(dynamo)
            .chain(cloudwatch)
            .filter(|(_, (_, counter))| counter.get() > 0)
            .map(|(api, (name, counter))| (api, name, "ok".to_owned(), counter.get()))
            .collect();
        for ((api, operation, kind), count) in &*self.refused.lock() {
            counts.push((api, operation, kind.clone(), *count));
        }
        counts
    }

    /// Counts a connection for as long as what is returned is held.
    pub(crate) fn connect(&self) -> Connection {
        self.connections.fetch_add(1, Relaxed);
        Connection(Arc::clone(&self.connections))
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }
}
