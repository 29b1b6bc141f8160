//! One table: what it is, how it is set, and its rows under one lock.

pub(crate) mod describe;

use std::collections::BTreeMap;
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};

use super::budget::{Budget, ON_DEMAND_UNITS, Side};
use super::capacity::Units;
use super::expression::Path;
use super::index::{self, Index, Reach};
use super::life::{Life, Status};
use super::refusal::{Refusal, Throttled};
use super::rows::Rows;
use super::schema::{KeyAttribute, Schema};

/// What a table is created with.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) schema: Schema,
    pub(crate) indexes: Vec<index::Definition>,
    pub(crate) config: Config,
}

/// What can be changed about a table while it lives.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The key attributes of the table and of its indexes, as they were defined.
    pub(crate) attributes: Vec<KeyAttribute>,
    pub(crate) billing: Billing,
    /// Since when it has been on demand, if it ever was.
    pub(crate) on_demand_since: Option<SystemTime>,
    pub(crate) deletion_protection: bool,
    pub(crate) class: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// The attribute by which rows expire.
    pub(crate) time_to_live: Option<String>,
    pub(crate) recovery: Option<Recovery>,
    /// Until when a change of it is under way.
    pub(crate) updating_until: SystemTime,
}

/// How a table is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Billing {
    Provisioned { read: i64, write: i64 },
    OnDemand,
}

impl Billing {
    /// Units per second.
    fn rate(self, side: Side) -> i64 {
        match (self, side) {
            (Self::OnDemand, _) => ON_DEMAND_UNITS,
            (Self::Provisioned { read, .. }, Side::Read) => read,
            (Self::Provisioned { write, .. }, Side::Write) => write,
        }
    }
}

/// Point-in-time recovery: since when, and how far back one could go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recovery {
    pub(crate) since: SystemTime,
    pub(crate) days: i64,
}

/// A table.
///
/// ORDER: who needs both locks takes that of the rows first. A writer looks at the throughput while it
/// holds its rows.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) schema: Schema,
    pub(crate) arn: String,
    id: String,
    created: SystemTime,
    life: Mutex<Life>,
    pub(crate) config: RwLock<Config>,
    pub(crate) rows: RwLock<Rows>,
    budget: Budget,
}

impl Table {
    /// A table that is ready at `ready`. `arn` and `id` are as they will be described.
    pub(crate) fn new(
        definition: Definition,
        (arn, id): (String, String),
        created: SystemTime,
        ready: SystemTime,
    ) -> Self {
        let Definition {
            name,
            schema,
            indexes,
            config,
        } = definition;
        let indexes = indexes
            .into_iter()
            .map(|index| Index::new(index, Life::Ready(ready)))
            .collect();
        Self {
            rows: RwLock::new(Rows::new(schema.clone(), indexes)),
            name,
            schema,
            arn,
            id,
            created,
            life: Mutex::new(Life::Ready(ready)),
            config: RwLock::new(config),
            budget: Budget::default(),
        }
    }

    /// Refuses paths into the key attributes of the table and of its indexes.
    pub(crate) fn check_scalars<'p, 'e: 'p>(
        &self,
        paths: impl IntoIterator<Item = &'p Path<'e>>,
    ) -> Result<(), Refusal> {
        // Nearly always none, and then nothing is allocated and no lock taken.
        let deep: Vec<_> = paths
            .into_iter()
            .filter(|path| !path.rest.is_empty())
            .collect();
        if deep.is_empty() {
            return Ok(());
        }
        self.schema.check_scalars("Key", deep.iter().copied())?;
        let rows = self.rows.read();
        rows.indexes().iter().try_for_each(|index| {
            let schema = &index.definition.schema;
            schema.check_scalars("IndexKey", deep.iter().copied())
        })
    }

    /// Its status at `now`; nothing once it is gone.
    pub(crate) fn status(&self, now: SystemTime) -> Option<Status> {
        let status = self.life.lock().status(now)?;
        let is_updating = status == Status::Active && now < self.config.read().updating_until;
        Some(if is_updating {
            Status::Updating
        } else {
            status
        })
    }

    /// Deletes it: it is gone at `at`.
    pub(crate) fn delete(&self, at: SystemTime) {
        *self.life.lock() = Life::Gone(at);
    }

    /// Refuses what would go beyond the throughput of the table.
    pub(crate) fn admit(&self, side: Side, now: SystemTime) -> Result<(), Refusal> {
        let billing = self.config.read().billing;
        if self.budget.admits(side, billing.rate(side), now) {
            return Ok(());
        }
        Err(exceeded("Table", side, billing, self.arn.clone()))
    }

    /// Refuses what would go beyond the throughput of an index that is read or has to follow.
    pub(crate) fn admit_indexes<'i>(
        &self,
        side: Side,
        indexes: impl Iterator<Item = &'i Index>,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let config = self.config.read();
        for index in indexes {
            let index::Definition {
                throughput, reach, ..
            } = &index.definition;
            // A local index lives on the table's throughput.
            if *reach == Reach::Local {
                continue;
            }
            let billing = match (config.billing, throughput) {
                (Billing::Provisioned { .. }, Some((read, write))) => Billing::Provisioned {
                    read: *read,
                    write: *write,
                },
                (billing, _) => billing,
            };
            if !index.budget.admits(side, billing.rate(side), now) {
                let resource = self.index_arn(&index.definition.name);
                return Err(exceeded("Index", side, billing, resource));
            }
        }
        Ok(())
    }

    /// Takes what a request has cost from what is left.
    pub(crate) fn spend(&self, side: Side, units: &Units, rows: &Rows) {
        self.budget
            .spend(side, units.table + units.local.values().sum::<f64>());
        for index in rows.indexes() {
            if let Some(spent) = units.global.get(&index.definition.name) {
                index.budget.spend(side, *spent);
            }
        }
    }

    pub(crate) fn index_arn(&self, index: &str) -> String {
        format!("{}/index/{index}", self.arn)
    }
}

/// More than the throughput of a `Table` or an `Index`.
fn exceeded(whose: &str, side: Side, billing: Billing, resource: String) -> Refusal {
    let side = match side {
        Side::Read => "Read",
        Side::Write => "Write",
    };
    let limit = match billing {
        Billing::Provisioned { .. } => "ProvisionedThroughputExceeded",
        Billing::OnDemand => "MaxOnDemandThroughputExceeded",
    };
    Refusal::throughput(Some(Throttled {
        reason: format!("{whose}{side}{limit}"),
        resource,
    }))
}
