//! What the naive interpreter refuses without looking at an item, and trees in which placeholders are
//! replaced.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::Fault;
use super::reserved::is_reserved;
use super::syntax::{Action, Condition, Operand, Part, Path, Right, Update};
use super::value::Value;

const OPERATORS_MAX: usize = 300;
const MEMBERS_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Name(String),
    At(usize),
}

/// Where in an item; the first step is always a name.
pub(super) type Place = Vec<Step>;

/// The placeholders of a request, and which of them were looked up.
#[derive(Default)]
pub(super) struct Names {
    pub(super) names: BTreeMap<String, String>,
    pub(super) values: BTreeMap<String, Value>,
    used: RefCell<BTreeSet<String>>,
}

impl Names {
    /// Whether something is defined that no expression uses.
    pub(super) fn has_unused(&self) -> bool {
        let used = self.used.borrow();
        let mut all = self.names.keys().chain(self.values.keys());
        all.any(|mark| !used.contains(mark))
    }

    pub(super) fn value(&self, mark: &str) -> Result<&Value, Fault> {
        self.used.borrow_mut().insert(mark.to_owned());
        self.values.get(mark).ok_or(Fault::Meaning)
    }

    pub(super) fn place(&self, path: &Path) -> Result<Place, Fault> {
        let step = |part: &Part| match part {
            Part::Bare(name) if is_reserved(name) => Err(Fault::Meaning),
            Part::Bare(name) => Ok(Step::Name(name.clone())),
            Part::Mark(mark) => {
                self.used.borrow_mut().insert(mark.clone());
                let name = self.names.get(mark).ok_or(Fault::Meaning)?;
                Ok(Step::Name(name.clone()))
            }
            Part::Index(digits) => {
                let index: u32 = digits.parse().map_err(|_| Fault::Limit)?;
                Ok(Step::At(index as usize))
            }
        };
        path.parts.iter().map(step).collect()
    }
}

/// Collects what is wrong with one expression.
pub(super) struct Checker<'n> {
    names: &'n Names,
    operators: usize,
    pub(super) faults: BTreeSet<Fault>,
    /// Every path, as it was met.
    pub(super) places: Vec<Place>,
}

impl<'n> Checker<'n> {
    pub(super) fn new(names: &'n Names) -> Self {
        Self {
            names,
            operators: 0,
            faults: BTreeSet::new(),
            places: Vec::new(),
        }
    }

    fn require(&mut self, holds: bool) {
        if !holds {
            self.faults.insert(Fault::Meaning);
        }
    }

    fn operator(&mut self) {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            self.faults.insert(Fault::Limit);
        }
    }

    fn path(&mut self, path: &Path) {
        self.require(!path.is_doubly_wrapped);
        match self.names.place(path) {
            Ok(place) => self.places.push(place),
            Err(fault) => {
                // All of its placeholders are used, even behind the one that is missing.
                for part in &path.parts {
                    let alone = Path {
                        parts: vec![part.clone()],
                        is_doubly_wrapped: false,
                    };
                    self.faults.extend(self.names.place(&alone).err());
                }
                self.faults.insert(fault);
            }
        }
    }

    fn value(&mut self, mark: &str) {
        let found = self.names.value(mark);
        self.faults.extend(found.err());
    }

    // Conditions.

    pub(super) fn condition(&mut self, condition: &Condition) {
        match condition {
            Condition::Or(all) | Condition::And(all) => {
                all.iter().for_each(|one| self.condition(one));
            }
            Condition::Not(inner) => self.condition(inner),
            Condition::Wrapped(inner) => {
                self.require(!matches!(**inner, Condition::Wrapped(_)));
                self.condition(inner);
            }
            Condition::Compare(sign, one, two) => {
                self.operator();
                self.operand(one);
                self.operand(two);
                self.distinct(one, two);
                if !matches!(sign.as_str(), "=" | "<>") {
                    self.ordered(one);
                    self.ordered(two);
                }
            }
            Condition::Between(tested, low, high) => {
                self.operator();
                for operand in [tested, low, high] {
                    self.operand(operand);
                    self.ordered(operand);
                }
                if let (Some(low), Some(high)) = (self.literal(low), self.literal(high)) {
                    let is_right = low.kind() == high.kind()
                        && low.order(high).is_none_or(std::cmp::Ordering::is_le);
                    self.require(is_right);
                }
            }
            Condition::In(tested, members) => {
                self.operator();
                self.operand(tested);
                members.iter().for_each(|member| self.operand(member));
                self.require(members.len() <= MEMBERS_MAX);
            }
            Condition::Call(name, arguments) => {
                self.require(name != "size");
                self.call(name, arguments);
            }
        }
    }

    fn operand(&mut self, operand: &Operand) {
        match operand {
            Operand::Path(path) => self.path(path),
            Operand::Value(mark) => self.value(mark),
            Operand::Wrapped(inner) => {
                self.require(!matches!(**inner, Operand::Wrapped(_)));
                self.operand(inner);
            }
            Operand::Call(name, arguments) => {
                self.require(name == "size");
                self.call(name, arguments);
            }
        }
    }

    fn call(&mut self, name: &str, arguments: &[Operand]) {
        self.operator();
        arguments.iter().for_each(|argument| self.operand(argument));
        let kinds: Vec<_> = arguments.iter().map(|one| self.kind(one)).collect();
        let is_path = |place: usize| matches!(arguments[place].bare(), Operand::Path(_));
        let is_right = match (name, arguments.len()) {
            ("attribute_exists" | "attribute_not_exists", 1) => is_path(0),
            ("size", 1) => !matches!(kinds[0], Some("N" | "BOOL" | "NULL")),
            ("begins_with", 2) => kinds
                .iter()
                .all(|kind| matches!(kind, None | Some("S" | "B"))),
            ("contains", 2) => true,
            ("attribute_type", 2) => match self.literal(&arguments[1]) {
                Some(Value::Text(kind)) => {
                    let kinds = ["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"];
                    kinds.contains(&kind.as_str())
                }
                _ => false,
            },
            _ => false,
        };
        self.require(is_right);
        if let [one, two] = arguments {
            self.distinct(one, two);
        }
    }

    fn distinct(&mut self, one: &Operand, two: &Operand) {
        if let (Operand::Path(one), Operand::Path(two)) = (one.bare(), two.bare()) {
            let places = (self.names.place(one), self.names.place(two));
            self.require(!matches!(places, (Ok(one), Ok(two)) if one == two));
        }
    }

    /// A literal that has no order cannot be compared by order.
    fn ordered(&mut self, operand: &Operand) {
        if let Some(value) = self.literal(operand) {
            let kind = value.kind();
            self.require(matches!(kind, "S" | "N" | "B"));
        }
    }

    fn literal(&self, operand: &Operand) -> Option<&'n Value> {
        match operand.bare() {
            Operand::Value(mark) => self.names.value(mark).ok(),
            Operand::Path(_) | Operand::Call(..) | Operand::Wrapped(_) => None,
        }
    }

    /// The type, where it can be known.
    fn kind(&self, operand: &Operand) -> Option<&'static str> {
        match operand.bare() {
            Operand::Call(..) => Some("N"),
            Operand::Path(_) | Operand::Value(_) | Operand::Wrapped(_) => {
                self.literal(operand).map(Value::kind)
            }
        }
    }

    // Updates and projections.

    pub(super) fn update(&mut self, update: &Update) {
        let mut sections = BTreeSet::new();
        let mut targets = Vec::new();
        for (section, actions) in update {
            self.require(sections.insert(section));
            for action in actions {
                let path = match action {
                    Action::Set(path, right) => {
                        self.right(right);
                        path
                    }
                    Action::Remove(path) => path,
                    Action::Add(path, mark) => {
                        self.set(mark, true);
                        path
                    }
                    Action::Delete(path, mark) => {
                        self.set(mark, false);
                        path
                    }
                };
                self.path(path);
                targets.extend(self.names.place(path));
            }
        }
        self.apart(&targets);
        // Only what is changed counts against the table's keys.
        self.places = targets;
    }

    /// ADD and DELETE take sets, ADD numbers too.
    fn set(&mut self, mark: &str, may_be_number: bool) {
        self.value(mark);
        if let Ok(value) = self.names.value(mark) {
            let kind = value.kind();
            let is_right = matches!(kind, "SS" | "NS" | "BS") || may_be_number && kind == "N";
            self.require(is_right);
        }
    }

    fn right(&mut self, right: &Right) {
        match right {
            Right::One(operand) => self.term(operand),
            Right::Sum(_, one, two) => {
                self.operator();
                for operand in [one, two] {
                    self.term(operand);
                    self.of_kind(operand, "N");
                }
            }
        }
    }

    fn of_kind(&mut self, operand: &Operand, kind: &str) {
        let is_right = self
            .literal(operand)
            .is_none_or(|value| value.kind() == kind);
        self.require(is_right);
    }

    fn term(&mut self, term: &Operand) {
        match term {
            Operand::Path(path) => self.path(path),
            Operand::Value(mark) => self.value(mark),
            Operand::Wrapped(inner) => self.term(inner),
            Operand::Call(name, arguments) => {
                self.operator();
                arguments.iter().for_each(|argument| self.term(argument));
                self.require(arguments.len() == 2);
                match name.as_str() {
                    "if_not_exists" => {
                        let first = arguments.first().map(Operand::bare);
                        self.require(matches!(first, Some(Operand::Path(_))));
                    }
                    "list_append" => arguments.iter().for_each(|one| self.of_kind(one, "L")),
                    _ => self.require(false),
                }
            }
        }
    }

    pub(super) fn projection(&mut self, paths: &[Path]) {
        paths.iter().for_each(|path| self.path(path));
        let places = self.places.clone();
        self.apart(&places);
    }

    /// No two places may be one, or one above the other, or take one thing for a list and for a map.
    fn apart(&mut self, places: &[Place]) {
        for (count, one) in places.iter().enumerate() {
            for two in &places[..count] {
                let differing = one.iter().zip(two).find(|(one, two)| one != two);
                let is_right = matches!(
                    differing,
                    Some((Step::Name(_), Step::Name(_)) | (Step::At(_), Step::At(_)))
                );
                self.require(is_right);
            }
        }
    }
}
