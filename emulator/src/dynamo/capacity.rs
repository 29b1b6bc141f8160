//! What requests cost, in the service's units, and how replies say so.

use std::collections::BTreeMap;

use serde::Serialize;

use super::index::{self, Reach};
use super::rows::Rows;
use super::schema::Schema;
use super::value::{Item, item_size};
use super::wire::Choice;

/// How much the reply says about capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReturnCapacity {
    Indexes,
    Total,
    None,
}

impl Choice for ReturnCapacity {
    const ALL: &'static [(&'static str, Self)] = &[
        ("INDEXES", Self::Indexes),
        ("TOTAL", Self::Total),
        ("NONE", Self::None),
    ];
}

/// Units that one table and its indexes have spent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Units {
    pub(crate) table: f64,
    pub(crate) global: BTreeMap<String, f64>,
    pub(crate) local: BTreeMap<String, f64>,
}

impl Units {
    /// What reading `bytes` of a table costs: a unit for each 4 KiB begun, half of it without
    /// consistency.
    pub(crate) fn of_read(bytes: usize, consistent: bool) -> f64 {
        let units = bytes.div_ceil(4096).max(1) as f64;
        if consistent { units } else { units / 2.0 }
    }

    /// What a write costs that has a row be `new` that was `old`: a unit for each KiB begun of the
    /// larger one, and what the indexes have to write.
    pub(crate) fn of_write(
        schema: &Schema,
        rows: &Rows,
        old: Option<&Item>,
        new: Option<&Item>,
    ) -> Self {
        let bytes = old.map_or(0, item_size).max(new.map_or(0, item_size));
        let mut units = Self {
            table: bytes.div_ceil(1024).max(1) as f64,
            ..Self::default()
        };
        for index in rows.indexes() {
            let index::Definition { name, reach, .. } = &index.definition;
            let spent = index.definition.write_units(schema, old, new);
            if spent > 0.0 {
                units.by_reach(*reach).insert(name.clone(), spent);
            }
        }
        units
    }

    /// Adds what was read of an index.
    pub(crate) fn add_index(&mut self, definition: &index::Definition, spent: f64) {
        let name = definition.name.clone();
        *self.by_reach(definition.reach).entry(name).or_default() += spent;
    }

    fn by_reach(&mut self, reach: Reach) -> &mut BTreeMap<String, f64> {
        match reach {
            Reach::Global => &mut self.global,
            Reach::Local => &mut self.local,
        }
    }

    /// Adds those of another request of the same table.
    pub(crate) fn add(&mut self, other: &Self) {
        self.table += other.table;
        for (sum, more) in [
            (&mut self.global, &other.global),
            (&mut self.local, &other.local),
        ] {
            for (name, units) in more {
                *sum.entry(name.clone()).or_default() += units;
            }
        }
    }

    /// All of them twice, as a transaction pays.
    pub(crate) fn doubled(mut self) -> Self {
        let mut again = self.clone();
        std::mem::swap(&mut self, &mut again);
        self.add(&again);
        self
    }

    pub(crate) fn total(&self) -> f64 {
        self.table + self.global.values().sum::<f64>() + self.local.values().sum::<f64>()
    }
}

/// Units by what they were spent on; a transaction also says whether that was reading or writing.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Capacity {
    capacity_units: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_capacity_units: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write_capacity_units: Option<f64>,
}

/// What a request spent, as the reply says it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConsumedCapacity {
    table_name: String,
    #[serde(flatten)]
    total: Capacity,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<Capacity>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    global_secondary_indexes: BTreeMap<String, Capacity>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    local_secondary_indexes: BTreeMap<String, Capacity>,
}

/// Which of a transaction's two sides units belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// Not a transaction: nothing is said about it.
    Plain,
    Reads,
    Writes,
}

impl Account {
    fn of(self, units: f64) -> Capacity {
        Capacity {
            capacity_units: units,
            read_capacity_units: (self == Self::Reads).then_some(units),
            write_capacity_units: (self == Self::Writes).then_some(units),
        }
    }
}

impl ConsumedCapacity {
    /// As much of `units` as the caller asked for.
    pub(crate) fn new(
        detail: Option<ReturnCapacity>,
        table: &str,
        units: &Units,
        account: Account,
    ) -> Option<Self> {
        let detail = detail.filter(|detail| *detail != ReturnCapacity::None)?;
        let by_index = detail == ReturnCapacity::Indexes;
        let each = |units: &BTreeMap<String, f64>| {
            let units = units.iter().filter(|_| by_index);
            units
                .map(|(name, units)| (name.clone(), account.of(*units)))
                .collect()
        };
        Some(Self {
            table_name: table.to_owned(),
            total: account.of(units.total()),
            table: by_index.then(|| account.of(units.table)),
            global_secondary_indexes: each(&units.global),
            local_secondary_indexes: each(&units.local),
        })
    }
}

/// Whether anybody wants to know.
pub(crate) fn is_wanted(detail: Option<ReturnCapacity>) -> bool {
    detail.is_some_and(|detail| detail != ReturnCapacity::None)
}
