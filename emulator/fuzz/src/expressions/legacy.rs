//! Conditions and updates of whole attributes, without expressions: Expected, ScanFilter,
//! ConditionalOperator, AttributeUpdates. What is drawn, how it is written, and what it means, after
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html>.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::Fault;
use super::draw::{ATTRIBUTES, Draw, value};
use super::meaning::{Effect, add, compare, contains, delete};
use super::value::{Item, Value};

const OPERATORS: &[&str] = &[
    "EQ",
    "NE",
    "LT",
    "LE",
    "GT",
    "GE",
    "IN",
    "BETWEEN",
    "NULL",
    "NOT_NULL",
    "CONTAINS",
    "NOT_CONTAINS",
    "BEGINS_WITH",
];

#[derive(Debug, Default)]
struct Clause {
    operator: Option<&'static str>,
    list: Option<Vec<Value>>,
    value: Option<Value>,
    exists: Option<bool>,
}

#[derive(Debug)]
struct Change {
    action: Option<&'static str>,
    value: Option<Value>,
}

#[derive(Debug, Default)]
pub(super) struct Legacy {
    clauses: Option<BTreeMap<String, Clause>>,
    join: Option<&'static str>,
    changes: Option<BTreeMap<String, Change>>,
}

fn attribute(draw: &mut Draw<'_>, item: &Item) -> String {
    let known: Vec<_> = item.keys().filter(|name| *name != "k").collect();
    if known.is_empty() || draw.one_in(4) {
        return draw.of(&[ATTRIBUTES, &["k"]].concat()).to_owned();
    }
    known[draw.below(known.len())].clone()
}

/// Mostly of the attribute's own type, and often its very value.
fn like(draw: &mut Draw<'_>, item: &Item, name: &str) -> Value {
    let own = item.get(name);
    match own {
        Some(own) if draw.one_in(3) => own.clone(),
        _ => {
            let mut found = value(draw, 1);
            for _ in 0..3 {
                if own.is_none_or(|own| own.kind() == found.kind()) {
                    break;
                }
                found = value(draw, 1);
            }
            found
        }
    }
}

impl Clause {
    fn draw(draw: &mut Draw<'_>, item: &Item, name: &str, may_exist: bool) -> Self {
        let mut clause = Self::default();
        if may_exist && draw.one_in(3) {
            match draw.below(3) {
                0 => clause.exists = Some(false),
                1 => clause.exists = Some(true),
                _ => {}
            }
            if (clause.exists != Some(false)) != draw.one_in(24) {
                clause.value = Some(like(draw, item, name));
            }
            return clause;
        }
        let operator = draw.of(OPERATORS);
        let mut values: Vec<_> = (0..4).map(|_| like(draw, item, name)).collect();
        let mut count = match operator {
            "NULL" | "NOT_NULL" => 0,
            "BETWEEN" => 2,
            "IN" => 1 + draw.below(3),
            _ => 1,
        };
        if draw.one_in(24) {
            count = draw.below(4);
        }
        // Of a list or a set, what may be in it.
        if operator.ends_with("CONTAINS") && !draw.one_in(8) {
            values[0] = match item.get(name) {
                Some(Value::List(list)) if !list.is_empty() => list[draw.below(list.len())].clone(),
                Some(Value::Texts(set)) => {
                    Value::Text(set.first().expect("no set is empty").clone())
                }
                _ => values[0].clone(),
            };
        }
        values.truncate(count);
        if values.len() == 2
            && values[0].order(&values[1]) == Some(Ordering::Greater)
            && !draw.one_in(8)
        {
            values.swap(0, 1);
        }
        clause.operator = Some(operator);
        match values.pop() {
            None if draw.one_in(2) => {}
            Some(value) if may_exist && count == 1 && draw.one_in(3) => clause.value = Some(value),
            last => {
                values.extend(last);
                clause.list = Some(values);
            }
        }
        if may_exist && draw.one_in(64) {
            clause.exists = Some(draw.one_in(2));
        }
        if may_exist && draw.one_in(64) {
            clause.value = Some(value(draw, 0));
        }
        if may_exist && draw.one_in(64) {
            clause.operator = None;
        }
        clause
    }

    fn json(&self) -> Json {
        let mut json = Map::new();
        if let Some(operator) = self.operator {
            json.insert("ComparisonOperator".to_owned(), json!(operator));
        }
        if let Some(list) = &self.list {
            let list: Json = list.iter().map(Value::json).collect();
            json.insert("AttributeValueList".to_owned(), list);
        }
        if let Some(value) = &self.value {
            json.insert("Value".to_owned(), value.json());
        }
        if let Some(exists) = self.exists {
            json.insert("Exists".to_owned(), json!(exists));
        }
        json.into()
    }

    /// The operator that is meant, and its values; nothing if the clause is refused.
    fn meant(&self) -> Option<(&'static str, Vec<&Value>)> {
        if self.value.is_some() && self.list.is_some()
            || self.exists.is_some() && self.operator.is_some()
        {
            return None;
        }
        let values: Vec<_> = self.list.iter().flatten().chain(&self.value).collect();
        let operator = match (self.operator, self.exists) {
            (Some(operator), _) => operator,
            (None, Some(false)) if values.is_empty() && self.list.is_none() => "NULL",
            (None, Some(true) | None) if self.value.is_some() => "EQ",
            (None, _) => return None,
        };
        let is_counted = match operator {
            "NULL" | "NOT_NULL" => values.is_empty(),
            "BETWEEN" => values.len() == 2,
            "IN" => !values.is_empty(),
            _ => values.len() == 1,
        };
        let kinds: BTreeSet<_> = values.iter().map(|value| value.kind()).collect();
        let is_known = |known: &[&str]| kinds.iter().all(|kind| known.contains(kind));
        let is_typed = match operator {
            "EQ" | "NE" => true,
            "BEGINS_WITH" => is_known(&["S", "B"]),
            "CONTAINS" | "NOT_CONTAINS" => is_known(&["S", "N", "B", "BOOL", "NULL"]),
            _ => is_known(&["S", "N", "B"]),
        };
        let is_ordered = operator != "BETWEEN"
            || is_counted && values[0].order(values[1]) != Some(Ordering::Greater);
        let is_right = is_counted && kinds.len() <= 1 && is_typed && is_ordered;
        is_right.then_some((operator, values))
    }

    fn holds(&self, found: Option<&Value>) -> bool {
        let (operator, values) = self.meant().expect("only what was accepted is evaluated");
        let is = |sign: &str, place: usize| compare(sign, found, Some(values[place]));
        let has = || found.is_some_and(|found| contains(found, values[0]));
        match operator {
            "EQ" => is("=", 0),
            "NE" => is("<>", 0),
            "LT" => is("<", 0),
            "LE" => is("<=", 0),
            "GT" => is(">", 0),
            "GE" => is(">=", 0),
            "IN" => (0..values.len()).any(|place| is("=", place)),
            "BETWEEN" => is(">=", 0) && is("<=", 1),
            "NULL" => found.is_none(),
            "NOT_NULL" => found.is_some(),
            "CONTAINS" => has(),
            "NOT_CONTAINS" => !has(),
            _ => match (found, values[0]) {
                (Some(Value::Text(text)), Value::Text(start)) => text.starts_with(start),
                (Some(Value::Bytes(bytes)), Value::Bytes(start)) => bytes.starts_with(start),
                _ => false,
            },
        }
    }
}

impl Change {
    fn draw(draw: &mut Draw<'_>, item: &Item, name: &str) -> Self {
        let action = draw.of(&[
            Some("PUT"),
            Some("ADD"),
            Some("DELETE"),
            None,
            Some("ADD"),
            Some("DELETE"),
        ]);
        let mut value = like(draw, item, name);
        for _ in 0..8 {
            let kind = value.kind();
            let is_set = matches!(kind, "SS" | "NS" | "BS");
            match action {
                Some("ADD") if !is_set && !matches!(kind, "N" | "L") => {}
                Some("DELETE") if !is_set => {}
                _ => break,
            }
            value = super::draw::value(draw, 1);
        }
        let is_bare = match action {
            Some("DELETE") => draw.one_in(2),
            _ => draw.one_in(48),
        };
        Self {
            action,
            value: (!is_bare).then_some(value),
        }
    }

    fn json(&self) -> Json {
        let mut json = Map::new();
        if let Some(action) = self.action {
            json.insert("Action".to_owned(), json!(action));
        }
        if let Some(value) = &self.value {
            json.insert("Value".to_owned(), value.json());
        }
        json.into()
    }

    fn is_right(&self) -> bool {
        match (self.action, self.value.as_ref().map(Value::kind)) {
            (Some("ADD"), Some(kind)) => matches!(kind, "N" | "L" | "SS" | "NS" | "BS"),
            (Some("DELETE"), kind) => matches!(kind, None | Some("SS" | "NS" | "BS")),
            (_, kind) => kind.is_some(),
        }
    }

    fn effect(&self, old: Option<&Value>) -> Result<Effect, BTreeSet<Fault>> {
        match (self.action, &self.value) {
            (Some("DELETE"), None) => Ok(Effect::Remove),
            (Some("DELETE"), Some(less)) => delete(old.cloned(), less.clone()),
            (Some("ADD"), Some(Value::List(more))) => match old {
                None => Ok(Effect::Put(Value::List(more.clone()))),
                Some(Value::List(old)) => Ok(Effect::Put(Value::List(
                    [old.clone(), more.clone()].concat(),
                ))),
                Some(_) => Err(BTreeSet::from([Fault::Type])),
            },
            (Some("ADD"), Some(more)) => add(old.cloned(), more.clone()),
            (_, Some(value)) => Ok(Effect::Put(value.clone())),
            (_, None) => panic!("only what was accepted is carried out"),
        }
    }
}

impl Legacy {
    pub(super) fn draw(draw: &mut Draw<'_>, item: &Item, is_update: bool, may_exist: bool) -> Self {
        let mut legacy = Self::default();
        if !is_update || draw.one_in(2) {
            let clauses = (0..draw.of(&[1, 2, 3, 2, 0])).map(|_| {
                let name = attribute(draw, item);
                let clause = Clause::draw(draw, item, &name, may_exist);
                (name, clause)
            });
            let clauses: BTreeMap<_, _> = clauses.collect();
            let may_join = clauses.len() > 1 || draw.one_in(48);
            legacy.join = if may_join {
                draw.of(&[None, Some("OR"), Some("AND")])
            } else {
                None
            };
            legacy.clauses = (!draw.one_in(48)).then_some(clauses);
        }
        if is_update && !draw.one_in(24) {
            let changes = (0..draw.of(&[1, 2, 3, 4, 0])).map(|_| {
                let mut name = attribute(draw, item);
                if name == "k" && !draw.one_in(4) {
                    name = "f".to_owned();
                }
                let change = Change::draw(draw, item, &name);
                (name, change)
            });
            legacy.changes = Some(changes.collect());
        }
        legacy
    }

    pub(super) fn write(&self, body: &mut Json, is_scan: bool) {
        if let Some(clauses) = &self.clauses {
            let all: Map<_, _> = clauses
                .iter()
                .map(|(name, one)| (name.clone(), one.json()))
                .collect();
            body[if is_scan { "ScanFilter" } else { "Expected" }] = all.into();
        }
        if let Some(join) = self.join {
            body["ConditionalOperator"] = json!(join);
        }
        if let Some(changes) = &self.changes {
            let all: Map<_, _> = changes
                .iter()
                .map(|(name, one)| (name.clone(), one.json()))
                .collect();
            body["AttributeUpdates"] = all.into();
        }
    }

    pub(super) fn faults(&self) -> BTreeSet<Fault> {
        let clauses = || self.clauses.iter().flatten();
        let changes = || self.changes.iter().flatten();
        let is_right = clauses().all(|(_, clause)| clause.meant().is_some())
            && changes().all(|(_, change)| change.is_right())
            && (self.join.is_none() || clauses().count() > 1);
        if !is_right {
            return BTreeSet::from([Fault::Meaning]);
        }
        let is_key = changes().any(|(name, _)| name == "k");
        is_key.then_some(Fault::Key).into_iter().collect()
    }

    pub(super) fn holds(&self, item: &Item) -> bool {
        let Some(clauses) = &self.clauses else {
            return true;
        };
        let mut each = clauses
            .iter()
            .map(|(name, clause)| clause.holds(item.get(name)));
        if self.join == Some("OR") {
            each.any(|holds| holds)
        } else {
            each.all(|holds| holds)
        }
    }

    /// The row after the update, and the attributes that it names. Where there is none, deletions alone
    /// make none.
    pub(super) fn updated(
        &self,
        old: Option<&Item>,
        key: Item,
    ) -> Result<(Option<Item>, Vec<String>), BTreeSet<Fault>> {
        let changes = || self.changes.iter().flatten();
        let names = changes().map(|(name, _)| name.clone()).collect();
        let only_deletes = changes().all(|(_, change)| change.action == Some("DELETE"));
        if old.is_none() && changes().count() > 0 && only_deletes {
            return Ok((None, names));
        }
        let mut new = old.cloned().unwrap_or(key);
        let mut faults = BTreeSet::new();
        for (name, change) in changes() {
            match change.effect(old.and_then(|old| old.get(name))) {
                Ok(Effect::Put(value)) => drop(new.insert(name.clone(), value)),
                Ok(Effect::Remove) => drop(new.remove(name)),
                Ok(Effect::None) => {}
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() {
            Ok((Some(new), names))
        } else {
            Err(faults)
        }
    }
}
