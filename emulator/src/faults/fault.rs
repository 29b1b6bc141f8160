//! One fault: what it does, to what, and when.

use std::fmt;
use std::time::Duration;

use crate::engine::shard;

use super::action::{Action, Api, apis};
use super::strike::Place;

/// A fault to be put in force with [`super::Faults::add`].
///
/// Without more it strikes every call of every operation its action fits. Each condition narrows that
/// down, and all of them must hold.
///
/// ```
/// use kinesis_emulator::{Action, Fault, Service};
///
/// let service = Service::default();
/// // The answer to the third PutRecord gets lost on its way back.
/// let lost = Fault::new(Action::ResetAfter).on("PutRecord").nth(3);
/// service.faults().add(lost).expect("PutRecord can lose its answer");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a fault does nothing until it is added"]
pub struct Fault {
    pub(super) action: Action,
    api: Option<Api>,
    operations: Vec<String>,
    stream: Option<String>,
    table: Option<String>,
    shard: Option<String>,
    consumer: Option<String>,
    pub(super) nth: Option<u64>,
    pub(super) every: Option<u64>,
    pub(super) probability: f64,
    pub(super) times: Option<u64>,
    pub(super) lasting: Option<Duration>,
}

/// Why a fault cannot be put in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(String);

impl Unfit {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl Fault {
    /// A fault that strikes whenever it can.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            api: None,
            operations: Vec::new(),
            stream: None,
            table: None,
            shard: None,
            consumer: None,
            nth: None,
            every: None,
            probability: 1.0,
            times: None,
            lasting: None,
        }
    }

    /// Only calls of this operation, or of another that is named.
    pub fn on(mut self, operation: impl Into<String>) -> Self {
        self.operations.push(operation.into());
        self
    }

    /// Only calls of this service. Without it, and without operations, only streams are struck.
    pub fn api(mut self, api: Api) -> Self {
        self.api = Some(api);
        self
    }

    /// Only calls about the stream of this name.
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.stream = Some(name.into());
        self
    }

    /// Only calls about the table of this name.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = Some(name.into());
        self
    }

    /// Only calls about this shard: those that name it, iterators of it, records that fall into it.
    pub fn shard(mut self, id: impl Into<String>) -> Self {
        self.shard = Some(id.into());
        self
    }

    /// Only calls and events of the consumer of this name.
    pub fn consumer(mut self, name: impl Into<String>) -> Self {
        self.consumer = Some(name.into());
        self
    }

    /// Only the `nth` of what comes by, counted from 1.
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(nth);
        self
    }

    /// Only each `every`th of what comes by.
    pub fn every(mut self, every: u64) -> Self {
        self.every = Some(every);
        self
    }

    /// With this probability, from 0 to 1.
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// So many times and not more.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// For so long from now on, by the virtual clock.
    pub fn lasting(mut self, lasting: Duration) -> Self {
        self.lasting = Some(lasting);
        self
    }

    /// What it does.
    pub fn action(&self) -> &Action {
        &self.action
    }

    pub(crate) fn conditions(&self) -> Conditions<'_> {
        Conditions(self)
    }

    pub(super) fn check(&self) -> Result<(), Unfit> {
        let action = self.action.name();
        for operation in &self.operations {
            let whose = apis(operation);
            if whose.is_empty() {
                return Err(Unfit::new(format!("there is no operation {operation}")));
            }
            if !self.action.fits(operation) {
                return Err(Unfit::new(format!("{action} does not strike {operation}")));
            }
            if self.api.is_some_and(|api| !whose.contains(&api)) {
                return Err(Unfit::new(format!(
                    "{operation} is an operation of another service"
                )));
            }
        }
        if let Some(id) = &self.shard
            && shard::parse_id(id).is_none()
        {
            return Err(Unfit::new(format!("{id} is no id of a shard")));
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(Unfit::new("a probability is from 0 to 1"));
        }
        for (name, count) in [
            ("nth", self.nth),
            ("every", self.every),
            ("times", self.times),
        ] {
            if count == Some(0) {
                return Err(Unfit::new(format!("{name} counts from 1")));
            }
        }
        Ok(())
    }

    /// Whether `place` is one that it is meant for.
    pub(super) fn matches(&self, place: &Place<'_>) -> bool {
        let is_named = if self.operations.is_empty() {
            let api = self.api.unwrap_or_default();
            place.api == api && self.action.fits(place.operation)
        } else {
            let is_of = self.api.is_none_or(|api| api == place.api);
            is_of && self.operations.iter().any(|name| name == place.operation)
        };
        let is_shard = |id: &String| shard::parse_id(id) == place.shard;
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|name| Some(name) == found)
        };
        is_named
            && place.kind.is_struck_by(&self.action)
            && is(&self.stream, place.stream)
            && is(&self.table, place.table)
            && is(&self.consumer, place.consumer)
            && self.shard.as_ref().is_none_or(is_shard)
    }
}

/// What narrows a fault down, for those who show it.
pub(crate) struct Conditions<'a>(&'a Fault);

impl Conditions<'_> {
    pub(crate) fn api(&self) -> Option<Api> {
        self.0.api
    }

    pub(crate) fn operations(&self) -> &[String] {
        &self.0.operations
    }

    /// Those that are texts, by their names.
    pub(crate) fn texts(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("stream", self.0.stream.as_deref()),
            ("table", self.0.table.as_deref()),
            ("shard", self.0.shard.as_deref()),
            ("consumer", self.0.consumer.as_deref()),
        ]
    }

    /// Those that are counts, by their names.
    pub(crate) fn counts(&self) -> [(&'static str, Option<u64>); 3] {
        [
            ("nth", self.0.nth),
            ("every", self.0.every),
            ("times", self.0.times),
        ]
    }

    pub(crate) fn probability(&self) -> f64 {
        self.0.probability
    }

    pub(crate) fn lasting(&self) -> Option<Duration> {
        self.0.lasting
    }
}

impl fmt::Debug for Conditions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
