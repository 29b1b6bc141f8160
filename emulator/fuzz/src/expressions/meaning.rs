//! What the naive interpreter's conditions, updates and projections mean.

use std::collections::{BTreeMap, BTreeSet};

use super::Fault;
use super::check::{Names, Place, Step};
use super::decimal::Decimal;
use super::syntax::{Action, Condition, Operand, Path, Right, Update};
use super::value::{Item, Value};

/// Everything that is wrong with an update and an item together; the service names one.
type Faults = BTreeSet<Fault>;

const SOUND: &str = "only what was accepted is evaluated";

pub(super) fn resolve<'i>(item: &'i Item, place: &[Step]) -> Option<&'i Value> {
    let (first, rest) = place.split_first()?;
    let Step::Name(name) = first else { return None };
    let mut value = item.get(name)?;
    for step in rest {
        value = match (step, value) {
            (Step::Name(name), Value::Map(map)) => map.get(name)?,
            (Step::At(index), Value::List(list)) => list.get(*index)?,
            _ => return None,
        };
    }
    Some(value)
}

/// An item and the placeholders of the expressions that are asked about it.
pub(super) struct World<'w> {
    pub(super) item: &'w Item,
    pub(super) names: &'w Names,
}

impl World<'_> {
    fn path(&self, path: &Path) -> Option<Value> {
        let place = self.names.place(path).expect(SOUND);
        resolve(self.item, &place).cloned()
    }

    pub(super) fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Or(all) => all.iter().any(|one| self.holds(one)),
            Condition::And(all) => all.iter().all(|one| self.holds(one)),
            Condition::Not(inner) => !self.holds(inner),
            Condition::Wrapped(inner) => self.holds(inner),
            Condition::Compare(sign, one, two) => {
                compare(sign, self.operand(one).as_ref(), self.operand(two).as_ref())
            }
            Condition::Between(tested, low, high) => {
                let tested = self.operand(tested);
                compare(">=", tested.as_ref(), self.operand(low).as_ref())
                    && compare("<=", tested.as_ref(), self.operand(high).as_ref())
            }
            Condition::In(tested, members) => {
                let tested = self.operand(tested);
                let mut members = members.iter().map(|member| self.operand(member));
                members.any(|member| compare("=", tested.as_ref(), member.as_ref()))
            }
            Condition::Call(name, arguments) => self.test(name, arguments),
        }
    }

    fn test(&self, name: &str, arguments: &[Operand]) -> bool {
        let first = self.operand(&arguments[0]);
        let second = arguments.get(1).and_then(|second| self.operand(second));
        match (name, first, second) {
            ("attribute_exists", first, _) => first.is_some(),
            ("attribute_not_exists", first, _) => first.is_none(),
            ("attribute_type", Some(first), Some(Value::Text(kind))) => first.kind() == kind,
            ("begins_with", Some(Value::Text(text)), Some(Value::Text(start))) => {
                text.starts_with(&start)
            }
            ("begins_with", Some(Value::Bytes(bytes)), Some(Value::Bytes(start))) => {
                bytes.starts_with(&start)
            }
            ("contains", Some(whole), Some(part)) => contains(&whole, &part),
            _ => false,
        }
    }

    fn operand(&self, operand: &Operand) -> Option<Value> {
        match operand {
            Operand::Path(path) => self.path(path),
            Operand::Value(mark) => Some(self.names.value(mark).expect(SOUND).clone()),
            Operand::Wrapped(inner) => self.operand(inner),
            Operand::Call(_, arguments) => {
                let size = size(&self.operand(&arguments[0])?)?;
                Some(Value::Number(Decimal::from_count(size)))
            }
        }
    }

    // Updates.

    /// The item after the update.
    pub(super) fn updated(&self, update: &Update) -> Result<Item, Faults> {
        let mut faults = Faults::new();
        let mut draft = Draft::of(&Value::Map(self.item.clone()));
        for action in update.iter().flat_map(|(_, actions)| actions) {
            let (path, effect) = self.effect(action);
            let place = self.names.place(path).expect(SOUND);
            match effect {
                Err(found) => {
                    faults.extend(found);
                    faults.extend(draft.change(&place, Effect::None).err());
                }
                Ok(effect) => faults.extend(draft.change(&place, effect).err()),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let Value::Map(item) = draft.finished() else {
            panic!("an item stays one");
        };
        Ok(item)
    }

    fn effect<'a>(&self, action: &'a Action) -> (&'a Path, Result<Effect, Faults>) {
        let literal = |mark: &str| self.names.value(mark).expect(SOUND).clone();
        match action {
            Action::Set(path, right) => (path, self.right(right).map(Effect::Put)),
            Action::Remove(path) => (path, Ok(Effect::Remove)),
            Action::Add(path, mark) => (path, add(self.path(path), literal(mark))),
            Action::Delete(path, mark) => (path, delete(self.path(path), literal(mark))),
        }
    }

    fn right(&self, right: &Right) -> Result<Value, Faults> {
        match right {
            Right::One(operand) => self.term(operand),
            Right::Sum(sign, one, two) => match both(self.term(one), self.term(two), is_number)? {
                (Value::Number(one), Value::Number(two)) if sign == "+" => sum(&one, &two),
                (Value::Number(one), Value::Number(two)) => sum(&one, &two.negated()),
                _ => Err(Faults::from([Fault::Type])),
            },
        }
    }

    fn term(&self, term: &Operand) -> Result<Value, Faults> {
        match term {
            Operand::Path(path) => self.path(path).ok_or(Faults::from([Fault::Absent])),
            Operand::Value(mark) => Ok(self.names.value(mark).expect(SOUND).clone()),
            Operand::Wrapped(inner) => self.term(inner),
            Operand::Call(name, arguments) if name == "if_not_exists" => {
                match self.operand(&arguments[0]) {
                    Some(value) => Ok(value),
                    None => self.term(&arguments[1]),
                }
            }
            Operand::Call(_, arguments) => {
                let (one, two) = (self.term(&arguments[0]), self.term(&arguments[1]));
                match both(one, two, |value| matches!(value, Value::List(_)))? {
                    (Value::List(one), Value::List(two)) => Ok(Value::List([one, two].concat())),
                    _ => Err(Faults::from([Fault::Type])),
                }
            }
        }
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Number(_))
}

/// Both operands; which of two wrong ones is looked at first is nobody's business.
fn both(
    one: Result<Value, Faults>,
    two: Result<Value, Faults>,
    fits: fn(&Value) -> bool,
) -> Result<(Value, Value), Faults> {
    let mut faults = Faults::new();
    for operand in [&one, &two] {
        match operand {
            Ok(value) if fits(value) => {}
            Ok(_) => drop(faults.insert(Fault::Type)),
            Err(found) => faults.extend(found.iter().copied()),
        }
    }
    match (one, two) {
        (Ok(one), Ok(two)) if faults.is_empty() => Ok((one, two)),
        _ => Err(faults),
    }
}

pub(super) fn sum(one: &Decimal, two: &Decimal) -> Result<Value, Faults> {
    let sum = one.plus(two);
    if sum.is_held() {
        Ok(Value::Number(sum))
    } else {
        Err(Faults::from([Fault::Number]))
    }
}

/// What is missing or of another type is not equal, and that is all that can be said of it.
pub(super) fn compare(sign: &str, one: Option<&Value>, two: Option<&Value>) -> bool {
    let is_equal = one.is_some() && one == two;
    let order = one.zip(two).and_then(|(one, two)| one.order(two));
    match sign {
        "=" => is_equal,
        "<>" => !is_equal,
        "<" => order.is_some_and(std::cmp::Ordering::is_lt),
        "<=" => order.is_some_and(std::cmp::Ordering::is_le),
        ">" => order.is_some_and(std::cmp::Ordering::is_gt),
        ">=" => order.is_some_and(std::cmp::Ordering::is_ge),
        _ => panic!("{sign} is no comparator"),
    }
}

pub(super) fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Text(text), Value::Text(part)) => text.contains(part),
        (Value::Bytes(bytes), Value::Bytes(part)) => {
            (0..=bytes.len()).any(|start| bytes[start..].starts_with(part))
        }
        (Value::Texts(set), Value::Text(part)) => set.contains(part),
        (Value::Numbers(set), Value::Number(part)) => set.contains(part),
        (Value::ManyBytes(set), Value::Bytes(part)) => set.contains(part),
        (Value::List(list), part) => list.contains(part),
        _ => false,
    }
}

fn size(value: &Value) -> Option<usize> {
    match value {
        Value::Text(text) => Some(text.encode_utf16().count()),
        Value::Bytes(bytes) => Some(bytes.len()),
        Value::Texts(set) => Some(set.len()),
        Value::Numbers(set) => Some(set.len()),
        Value::ManyBytes(set) => Some(set.len()),
        Value::List(list) => Some(list.len()),
        Value::Map(map) => Some(map.len()),
        Value::Number(_) | Value::Flag(_) | Value::Nothing => None,
    }
}

pub(super) fn add(old: Option<Value>, more: Value) -> Result<Effect, Faults> {
    let new = match (old, more) {
        (None, more) => more,
        (Some(Value::Number(old)), Value::Number(more)) => sum(&old, &more)?,
        (Some(Value::Texts(old)), Value::Texts(more)) => Value::Texts(&old | &more),
        (Some(Value::Numbers(old)), Value::Numbers(more)) => Value::Numbers(&old | &more),
        (Some(Value::ManyBytes(old)), Value::ManyBytes(more)) => Value::ManyBytes(&old | &more),
        _ => return Err(Faults::from([Fault::Type])),
    };
    Ok(Effect::Put(new))
}

pub(super) fn delete(old: Option<Value>, less: Value) -> Result<Effect, Faults> {
    fn rest<T: Ord + Clone>(
        old: &BTreeSet<T>,
        less: &BTreeSet<T>,
        wrap: fn(BTreeSet<T>) -> Value,
    ) -> Effect {
        let rest = old - less;
        if rest.is_empty() {
            Effect::Remove
        } else {
            Effect::Put(wrap(rest))
        }
    }
    match (old, less) {
        (None, _) => Ok(Effect::None),
        (Some(Value::Texts(old)), Value::Texts(less)) => Ok(rest(&old, &less, Value::Texts)),
        (Some(Value::Numbers(old)), Value::Numbers(less)) => Ok(rest(&old, &less, Value::Numbers)),
        (Some(Value::ManyBytes(old)), Value::ManyBytes(less)) => {
            Ok(rest(&old, &less, Value::ManyBytes))
        }
        _ => Err(Faults::from([Fault::Type])),
    }
}

/// What becomes of a place.
pub(super) enum Effect {
    Put(Value),
    Remove,
    None,
}

/// A value under change. What is removed from a list leaves a hole, and what is put behind its end
/// waits, so that every index means the list as it was.
enum Draft {
    Leaf(Value),
    Map(BTreeMap<String, Self>),
    List(Vec<Option<Self>>, BTreeMap<usize, Value>),
}

impl Draft {
    fn of(value: &Value) -> Self {
        match value {
            Value::Map(map) => Self::Map(
                map.iter()
                    .map(|(name, value)| (name.clone(), Self::of(value)))
                    .collect(),
            ),
            Value::List(list) => {
                let places = list.iter().map(|value| Some(Self::of(value)));
                Self::List(places.collect(), BTreeMap::new())
            }
            Value::Text(_)
            | Value::Number(_)
            | Value::Bytes(_)
            | Value::Flag(_)
            | Value::Nothing
            | Value::Texts(_)
            | Value::Numbers(_)
            | Value::ManyBytes(_) => Self::Leaf(value.clone()),
        }
    }

    fn change(&mut self, place: &[Step], effect: Effect) -> Result<(), Fault> {
        let [step, rest @ ..] = place else {
            panic!("a place has a step");
        };
        match (self, step) {
            (Self::Map(map), Step::Name(name)) if !rest.is_empty() => {
                map.get_mut(name).ok_or(Fault::Path)?.change(rest, effect)
            }
            (Self::List(list, _), Step::At(index)) if !rest.is_empty() => {
                let inner = list.get_mut(*index).and_then(Option::as_mut);
                inner.ok_or(Fault::Path)?.change(rest, effect)
            }
            (Self::Map(map), Step::Name(name)) => {
                match effect {
                    Effect::Put(value) => drop(map.insert(name.clone(), Self::of(&value))),
                    Effect::Remove => drop(map.remove(name)),
                    Effect::None => {}
                }
                Ok(())
            }
            (Self::List(list, behind), Step::At(index)) => {
                match (effect, list.get_mut(*index)) {
                    (Effect::Put(value), Some(there)) => *there = Some(Self::of(&value)),
                    (Effect::Put(value), None) => drop(behind.insert(*index, value)),
                    (Effect::Remove, Some(there)) => *there = None,
                    (Effect::Remove, None) | (Effect::None, _) => {}
                }
                Ok(())
            }
            _ => Err(Fault::Path),
        }
    }

    fn finished(self) -> Value {
        match self {
            Self::Leaf(value) => value,
            Self::Map(map) => Value::Map(
                map.into_iter()
                    .map(|(name, draft)| (name, draft.finished()))
                    .collect(),
            ),
            Self::List(list, behind) => {
                let kept = list.into_iter().flatten().map(Self::finished);
                Value::List(kept.chain(behind.into_values()).collect())
            }
        }
    }
}

/// The parts of an item at these places, in the item's own shape.
pub(super) fn projected(item: &Item, places: &[Place]) -> Item {
    let places: Vec<_> = places.iter().map(Vec::as_slice).collect();
    match part(&Value::Map(item.clone()), &places) {
        Some(Value::Map(item)) => item,
        _ => Item::new(),
    }
}

/// What is left of a value of which only these places below it are wanted; none if none is there.
fn part(value: &Value, places: &[&[Step]]) -> Option<Value> {
    if places.iter().any(|place| place.is_empty()) {
        return Some(value.clone());
    }
    let below = |wanted: &Step| -> Vec<&[Step]> {
        let fitting = places.iter().filter(|place| place[0] == *wanted);
        fitting.map(|place| &place[1..]).collect()
    };
    match value {
        Value::Map(map) => {
            let parts: Item = map
                .iter()
                .filter_map(|(name, value)| {
                    Some((
                        name.clone(),
                        part(value, &below(&Step::Name(name.clone())))?,
                    ))
                })
                .collect();
            (!parts.is_empty()).then_some(Value::Map(parts))
        }
        Value::List(list) => {
            let parts: Vec<_> = list
                .iter()
                .enumerate()
                .filter_map(|(index, value)| part(value, &below(&Step::At(index))))
                .collect();
            (!parts.is_empty()).then_some(Value::List(parts))
        }
        Value::Text(_)
        | Value::Number(_)
        | Value::Bytes(_)
        | Value::Flag(_)
        | Value::Nothing
        | Value::Texts(_)
        | Value::Numbers(_)
        | Value::ManyBytes(_) => None,
    }
}
