//! Shapes of tables: keys of every type, with and without sort keys and indexes, and the attributes
//! that rows have.

use serde_json::{Map, Value, json};

use super::values::{self, Kind};
use crate::dice::Dice;

/// Attributes with the types they mostly have. Some can be named only by a placeholder.
pub(crate) const ATTRIBUTES: [(&str, Kind); 19] = [
    ("num", Kind::N),
    ("cnt", Kind::N),
    ("txt", Kind::S),
    ("alt", Kind::S),
    ("bin", Kind::B),
    ("flg", Kind::Bool),
    ("nil", Kind::Null),
    ("sset", Kind::Ss),
    ("nset", Kind::Ns),
    ("bset", Kind::Bs),
    ("lst", Kind::L),
    ("mp", Kind::M),
    ("name", Kind::S),
    ("size", Kind::N),
    ("a.b", Kind::S),
    ("dash-ed", Kind::N),
    ("gone", Kind::S),
    ("g1", Kind::S),
    ("g2", Kind::N),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) name: &'static str,
    pub(crate) local: bool,
    pub(crate) hash: (&'static str, Kind),
    pub(crate) range: Option<(&'static str, Kind)>,
    pub(crate) projection: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) hash: (&'static str, Kind),
    pub(crate) range: Option<(&'static str, Kind)>,
    pub(crate) indexes: Vec<Index>,
}

const KEY_KINDS: [Kind; 3] = [Kind::S, Kind::N, Kind::B];

impl Shape {
    pub(crate) fn random(dice: &mut Dice, name: String, indexes: bool) -> Self {
        let hash = ("pk", KEY_KINDS[dice.weighted(&[5, 3, 2])]);
        let range = dice
            .percent(60)
            .then(|| ("sk", KEY_KINDS[dice.weighted(&[4, 4, 2])]));
        let mut shape = Self {
            name,
            hash,
            range,
            indexes: Vec::new(),
        };
        if indexes && dice.percent(60) {
            let projection = *dice.pick(&["ALL", "KEYS_ONLY", "INCLUDE"]);
            shape.indexes.push(Index {
                name: "by-g1",
                local: false,
                hash: ("g1", Kind::S),
                range: dice.percent(60).then_some(("g2", Kind::N)),
                projection,
            });
        }
        if indexes && range.is_some() && dice.percent(30) {
            shape.indexes.push(Index {
                name: "by-g2",
                local: true,
                hash,
                range: Some(("g2", Kind::N)),
                projection: dice.pick::<&str>(&["ALL", "KEYS_ONLY", "INCLUDE"]),
            });
        }
        shape
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = (&'static str, Kind)> {
        std::iter::once(self.hash).chain(self.range)
    }

    /// The attributes of an item that identify it.
    pub(crate) fn key_of(&self, item: &Value) -> Option<Value> {
        let mut key = Map::new();
        for (name, _) in self.keys() {
            key.insert(name.to_owned(), item.get(name)?.clone());
        }
        Some(Value::Object(key))
    }

    pub(crate) fn creation(&self, dice: &mut Dice) -> Value {
        let element = |(name, kind): (&str, &str)| json!({"AttributeName": name, "KeyType": kind});
        let schema = |hash: (&'static str, Kind), range: Option<(&'static str, Kind)>| {
            let mut schema = vec![element((hash.0, "HASH"))];
            schema.extend(range.map(|range| element((range.0, "RANGE"))));
            schema
        };
        let mut attributes: Vec<(&str, Kind)> = self.keys().collect();
        let on_demand = dice.percent(60);
        let units = json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 5});
        let (mut local, mut global) = (Vec::new(), Vec::new());
        for index in &self.indexes {
            for key in std::iter::once(index.hash).chain(index.range) {
                if !attributes.contains(&key) {
                    attributes.push(key);
                }
            }
            let mut described = json!({
                "IndexName": index.name,
                "KeySchema": schema(index.hash, index.range),
                "Projection": {"ProjectionType": index.projection},
            });
            if index.projection == "INCLUDE" {
                described["Projection"]["NonKeyAttributes"] = json!(["num", "mp"]);
            }
            if !on_demand && !index.local {
                described["ProvisionedThroughput"] = units.clone();
            }
            if index.local { &mut local } else { &mut global }.push(described);
        }
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind.name()}))
            .collect();
        let mut body = json!({
            "TableName": self.name,
            "KeySchema": schema(self.hash, self.range),
            "AttributeDefinitions": attributes,
        });
        if on_demand {
            body["BillingMode"] = json!("PAY_PER_REQUEST");
        } else {
            body["ProvisionedThroughput"] = units;
        }
        for (name, list) in [
            ("LocalSecondaryIndexes", local),
            ("GlobalSecondaryIndexes", global),
        ] {
            if !list.is_empty() {
                body[name] = json!(list);
            }
        }
        body
    }

    /// A key out of a few dozen.
    pub(crate) fn key(&self, dice: &mut Dice) -> Value {
        let mut key = Map::new();
        key.insert(self.hash.0.to_owned(), key_value(dice, self.hash.1, 3));
        if let Some((name, kind)) = self.range {
            key.insert(name.to_owned(), key_value(dice, kind, 7));
        }
        Value::Object(key)
    }

    pub(crate) fn item(&self, dice: &mut Dice) -> Value {
        let mut item = self.key(dice);
        for (name, kind) in ATTRIBUTES {
            if name == "gone" || !dice.percent(40) {
                continue;
            }
            let is_key = matches!(name, "g1" | "g2");
            item[name] = match (is_key, dice.percent(12)) {
                (true, _) => key_value(dice, kind, 3),
                (false, true) => values::any(dice, 2),
                (false, false) => values::value(dice, kind, 2),
            };
        }
        item
    }
}

pub(crate) fn key_value(dice: &mut Dice, kind: Kind, count: usize) -> Value {
    let which = dice.below(count);
    match kind {
        Kind::N => {
            let numbers = ["1", "2.0", "-3", "10", "1E2", "0.5", "0"];
            json!({"N": numbers[which % numbers.len()]})
        }
        Kind::B => {
            let all = ["AA==", "YQ==", "YWI=", "/w==", "AQI=", "YWJj", "gA=="];
            json!({"B": all[which % all.len()]})
        }
        _ => {
            let texts = ["a", "b", "ab", "abc", "B", "é", "10"];
            json!({"S": texts[which % texts.len()]})
        }
    }
}
