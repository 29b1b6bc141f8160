//! Choices out of the fuzzer's bytes, and what is made by them: values, items, and expressions after the
//! grammar, now and then with a token too few or too many.

use std::collections::BTreeSet;

use super::check::Names;
use super::decimal::Decimal;
use super::reserved::is_reserved;
use super::value::{Item, Value};

pub(super) struct Draw<'d> {
    bytes: &'d [u8],
    /// Goes on where the bytes end, so that a short input is no poor one.
    beyond: u32,
}

impl<'d> Draw<'d> {
    pub(super) fn new(bytes: &'d [u8]) -> Self {
        Self { bytes, beyond: 1 }
    }

    /// One of so many.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let byte = match self.bytes.split_first() {
            Some((byte, rest)) => {
                self.bytes = rest;
                self.beyond = self.beyond.wrapping_mul(31).wrapping_add(u32::from(*byte));
                *byte
            }
            None => {
                self.beyond = self
                    .beyond
                    .wrapping_mul(1_664_525)
                    .wrapping_add(1_013_904_223);
                self.beyond.to_be_bytes()[0]
            }
        };
        usize::from(byte) % count
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub(super) fn rest(&self) -> &'d [u8] {
        self.bytes
    }
}

pub(super) const ATTRIBUTES: &[&str] = &[
    "a", "b", "c", "d", "e_5", "size", "a.b", "Ünder", "And", "delete",
];
const TEXTS: &[&str] = &[
    "a", "ab", "", "b", "abc", "ü", "S", "N", "BOOL", "L", "M", "SS", "NULL", "s", "k", "bc",
];
const BYTES: &[&[u8]] = &[b"a", b"ab", b"", b"\x00\xff", b"\x00", b"b"];
const SMALL: &[&str] = &["0", "1", "2", "-1", "3", "1.5", "-0.5", "10"];
const LARGE: &[&str] = &[
    "99999999999999999999999999999999999999",
    "1e125",
    "9.9999999999999999999999999999999999999e125",
    "-9.9999999999999999999999999999999999999e125",
    "1e-130",
    "-1e-130",
    "0.1",
    "12345678901234567890123456789012345678e-30",
    "1e38",
    "1e37",
    "9e-92",
    "123456789.987654321",
];
/// What may stand anywhere, and mostly should not.
const TOKENS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    ".",
    ",",
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "AND",
    "OR",
    "NOT",
    "BETWEEN",
    "IN",
    "SET",
    "REMOVE",
    "ADD",
    "DELETE",
    "size",
    "contains",
    "begins_with",
    "attribute_type",
    "attribute_exists",
    "if_not_exists",
    "list_append",
    "a",
    "b",
    "0",
    "1",
    "#",
    ":",
    "#x",
    ":x",
    "4294967296",
    "'",
    "ü",
    "value",
    "_",
];

/// The names and indexes of a path.
type Steps = Vec<Result<String, usize>>;

fn number(text: &str) -> Decimal {
    Decimal::read(text).expect("this is a number")
}

fn any_number(draw: &mut Draw<'_>) -> Decimal {
    if draw.one_in(4) {
        number(draw.of(LARGE))
    } else {
        number(draw.of(SMALL))
    }
}

pub(super) fn value(draw: &mut Draw<'_>, depth: usize) -> Value {
    let count = |draw: &mut Draw<'_>| 1 + draw.below(3);
    let text = |draw: &mut Draw<'_>| draw.of(TEXTS).to_owned();
    match draw.below(if depth == 0 { 13 } else { 17 }) {
        0..=3 => Value::Number(any_number(draw)),
        4..=6 => Value::Text(text(draw)),
        7 => Value::Bytes(draw.of(BYTES).to_vec()),
        8 => Value::Flag(draw.one_in(2)),
        9 => Value::Nothing,
        10 => Value::Texts((0..count(draw)).map(|_| text(draw)).collect()),
        11 => Value::Numbers((0..count(draw)).map(|_| any_number(draw)).collect()),
        12 => Value::ManyBytes((0..count(draw)).map(|_| draw.of(BYTES).to_vec()).collect()),
        13 | 14 => Value::List((0..draw.below(5)).map(|_| value(draw, depth - 1)).collect()),
        _ => Value::Map(attributes(draw, depth - 1)),
    }
}

/// An item without its key.
pub(super) fn attributes(draw: &mut Draw<'_>, depth: usize) -> Item {
    let count = draw.of(&[6, 5, 4, 8, 9, 7, 0, 2]);
    (0..count)
        .map(|_| {
            let name = draw.of(&ATTRIBUTES[..7]).to_owned();
            (name, value(draw, depth))
        })
        .collect()
}

/// What a literal should be, for the expression to be accepted.
#[derive(Clone, Copy, Debug)]
enum Due {
    Anything,
    /// With an order.
    Ordered,
    /// With a beginning.
    Beginning,
    /// With a size.
    Sized,
}

impl Due {
    fn is_met_by(self, value: &Value) -> bool {
        match self {
            Self::Anything => true,
            Self::Ordered => matches!(value.kind(), "S" | "N" | "B"),
            Self::Beginning => matches!(value.kind(), "S" | "B"),
            Self::Sized => !matches!(value.kind(), "N" | "BOOL" | "NULL"),
        }
    }
}

/// Writes expressions about an item, and notes what their placeholders stand for.
pub(super) struct Writer<'w, 'd> {
    pub(super) draw: &'w mut Draw<'d>,
    pub(super) item: &'w Item,
    pub(super) names: Names,
    tokens: Vec<String>,
    /// The path that was put last.
    last: Steps,
}

impl<'w, 'd> Writer<'w, 'd> {
    pub(super) fn new(draw: &'w mut Draw<'d>, item: &'w Item) -> Self {
        Self {
            draw,
            item,
            names: Names::default(),
            tokens: Vec::new(),
            last: Vec::new(),
        }
    }

    pub(super) fn condition(&mut self) -> String {
        let depth = self.draw.of(&[1, 0, 2, 3, 2, 1, 0, 4]);
        self.tree(depth);
        self.text()
    }

    pub(super) fn update(&mut self) -> String {
        let mut sections = vec!["SET", "REMOVE", "ADD", "DELETE"];
        let mut taken = Vec::new();
        for _ in 0..=self.draw.below(3) {
            let place = self.draw.below(sections.len());
            let section = sections[place];
            // Each at most once, mostly.
            if !self.draw.one_in(32) {
                sections.remove(place);
            }
            self.put(section);
            for count in 0..=self.draw.below(3) {
                if count > 0 {
                    self.put(",");
                }
                self.action(section, &mut taken);
            }
        }
        self.text()
    }

    pub(super) fn projection(&mut self) -> String {
        let mut taken = Vec::new();
        for count in 0..=self.draw.below(4) {
            if count > 0 {
                self.put(",");
            }
            self.target(&mut taken);
        }
        self.text()
    }

    fn put(&mut self, token: &str) {
        self.tokens.push(token.to_owned());
    }

    // Names, values and paths.

    fn name(&mut self, name: &str) {
        let is_plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_plain && !is_reserved(name) && !self.draw.one_in(4) || self.draw.one_in(200) {
            self.put(name);
            return;
        }
        let known = self.names.names.iter().find(|(_, known)| *known == name);
        let mark = match known {
            Some((mark, _)) => mark.clone(),
            None => format!("#{}", self.names.names.len()),
        };
        self.put(&mark);
        if !self.draw.one_in(200) {
            self.names.names.insert(mark, name.to_owned());
        }
    }

    /// The steps of a path that is often there.
    fn steps(&mut self) -> Steps {
        let mut steps = Vec::new();
        let with_key = self.draw.one_in(32);
        let known: Vec<_> = self
            .item
            .iter()
            .filter(|(name, _)| with_key || *name != "k")
            .collect();
        let mut at = None;
        if known.is_empty() || self.draw.one_in(6) {
            steps.push(Ok(self.draw.of(ATTRIBUTES).to_owned()));
        } else {
            let (name, value) = known[self.draw.below(known.len())];
            steps.push(Ok(name.clone()));
            at = Some(value);
        }
        while steps.len() < 5 {
            at = match at {
                Some(Value::Map(map)) if !map.is_empty() && self.draw.below(4) > 0 => {
                    let place = self.draw.below(map.len());
                    let (name, value) = map.iter().nth(place).expect("one of so many");
                    steps.push(Ok(name.clone()));
                    Some(value)
                }
                Some(Value::List(list)) if self.draw.below(4) > 0 => {
                    let index = self.draw.below(list.len() + 2);
                    steps.push(Err(index));
                    list.get(index)
                }
                _ if self.draw.one_in(6) => {
                    let step = match self.draw.below(2) {
                        0 => Ok(self.draw.of(ATTRIBUTES).to_owned()),
                        _ => Err(self.draw.below(12)),
                    };
                    steps.push(step);
                    None
                }
                _ => break,
            };
        }
        steps
    }

    fn path(&mut self) {
        let mut steps = self.steps();
        // One path twice in one comparison is refused.
        for _ in 0..4 {
            if steps != self.last || self.draw.one_in(32) {
                break;
            }
            steps = self.steps();
        }
        self.path_of(&steps);
        self.last = steps;
    }

    fn path_of(&mut self, steps: &Steps) {
        for (place, step) in steps.iter().enumerate() {
            match step {
                Ok(name) => {
                    if place > 0 {
                        self.put(".");
                    }
                    self.name(name);
                }
                Err(index) => {
                    self.put("[");
                    self.put(&index.to_string());
                    self.put("]");
                }
            }
        }
    }

    /// A path that mostly does not meet those before it.
    fn target(&mut self, taken: &mut Vec<Steps>) {
        let mut steps = self.steps();
        while !self.draw.one_in(16) {
            let meets = |other: &Steps| {
                let common = other
                    .iter()
                    .zip(&steps)
                    .take_while(|(one, two)| one == two)
                    .count();
                match (other.get(common), steps.get(common)) {
                    (Some(one), Some(two)) => one.is_ok() != two.is_ok(),
                    _ => true,
                }
            };
            if !taken.iter().any(meets) {
                break;
            }
            steps = match self.draw.below(3) {
                0 => vec![Ok(format!("f{}", taken.len()))],
                _ => self.steps(),
            };
        }
        self.path_of(&steps);
        taken.push(steps);
    }

    /// A literal, which is often one of the item's own values.
    fn literal(&mut self, due: Due) {
        let mut value = self.any_literal();
        for _ in 0..4 {
            if due.is_met_by(&value) || self.draw.one_in(32) {
                break;
            }
            value = self.any_literal();
        }
        self.literal_of(value);
    }

    fn any_literal(&mut self) -> Value {
        let count = self.item.len();
        if count == 0 || !self.draw.one_in(2) {
            return value(self.draw, 1);
        }
        let place = self.draw.below(count);
        let mut value = self.item.values().nth(place).expect("one of so many");
        while let Value::List(list) = value
            && !list.is_empty()
            && self.draw.one_in(2)
        {
            value = &list[self.draw.below(list.len())];
        }
        value.clone()
    }

    fn literal_of(&mut self, value: Value) {
        let known = self.names.values.iter().find(|(_, known)| **known == value);
        let mark = match known {
            Some((mark, _)) => mark.clone(),
            None => format!(":v{}", self.names.values.len()),
        };
        self.put(&mark);
        if !self.draw.one_in(200) {
            self.names.values.insert(mark, value);
        }
    }

    // Conditions.

    fn tree(&mut self, depth: usize) {
        match if depth == 0 { 0 } else { self.draw.below(8) } {
            0 | 1 => self.leaf(),
            2 | 3 => self.joined("AND", depth),
            4 | 5 => self.joined("OR", depth),
            6 => {
                self.put("NOT");
                self.tree(depth - 1);
            }
            _ => {
                self.put("(");
                self.joined("OR", depth);
                self.put(")");
            }
        }
    }

    fn joined(&mut self, word: &str, depth: usize) {
        self.tree(depth - 1);
        for _ in 0..=self.draw.below(2) {
            self.put(word);
            self.tree(depth - 1);
        }
    }

    fn leaf(&mut self) {
        match self.draw.below(10) {
            0..=3 => {
                let sign = self.draw.of(&["=", "<>", "<", "<=", ">", ">=", "=", "<>"]);
                let is_by_order = !matches!(sign, "=" | "<>");
                let due = if is_by_order {
                    Due::Ordered
                } else {
                    Due::Anything
                };
                self.operand(due);
                self.put(sign);
                self.operand(due);
            }
            4 => self.between(),
            5 => {
                self.operand(Due::Anything);
                self.put("IN");
                let count = 1 + self.draw.below(4);
                self.arguments(count, Due::Anything);
            }
            6 => {
                let name = self.draw.of(&["attribute_exists", "attribute_not_exists"]);
                self.put(name);
                self.put("(");
                self.path();
                self.put(")");
            }
            7 => {
                self.put("attribute_type");
                self.put("(");
                self.path();
                self.put(",");
                let kinds = ["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"];
                let kind = if self.draw.one_in(32) {
                    "X"
                } else {
                    self.draw.of(&kinds)
                };
                self.literal_of(Value::Text(kind.to_owned()));
                self.put(")");
            }
            _ => {
                let is_contains = self.draw.one_in(2);
                let (name, due) = if is_contains {
                    ("contains", Due::Anything)
                } else {
                    ("begins_with", Due::Beginning)
                };
                let odd = ["size", "Contains", "if_not_exists", "attribute_exists"];
                let name = if self.draw.one_in(64) {
                    self.draw.of(&odd)
                } else {
                    name
                };
                self.put(name);
                let count = if self.draw.one_in(64) {
                    1 + self.draw.below(3)
                } else {
                    2
                };
                self.arguments(count, due);
            }
        }
    }

    fn between(&mut self) {
        self.operand(Due::Ordered);
        self.put("BETWEEN");
        let bounds = [value(self.draw, 0), value(self.draw, 0)];
        let is_in_order = bounds[0]
            .order(&bounds[1])
            .is_some_and(std::cmp::Ordering::is_le);
        let [low, high] = bounds;
        if is_in_order && self.draw.one_in(2) {
            self.literal_of(low);
            self.put("AND");
            self.literal_of(high);
        } else {
            self.operand(Due::Ordered);
            self.put("AND");
            self.path();
        }
    }

    fn arguments(&mut self, count: usize, due: Due) {
        self.put("(");
        for place in 0..count {
            if place > 0 {
                self.put(",");
            }
            self.operand(due);
        }
        self.put(")");
    }

    fn operand(&mut self, due: Due) {
        match self.draw.below(12) {
            0..=5 => self.path(),
            6..=9 => self.literal(due),
            10 if !matches!(due, Due::Beginning | Due::Sized) => {
                self.put("size");
                self.arguments(1, Due::Sized);
            }
            10 => self.path(),
            _ => {
                self.put("(");
                if self.draw.one_in(2) {
                    self.path();
                } else {
                    self.literal(due);
                }
                self.put(")");
            }
        }
    }

    // Updates.

    fn action(&mut self, section: &str, taken: &mut Vec<Steps>) {
        self.target(taken);
        match section {
            "SET" => {
                self.put("=");
                if self.draw.one_in(6) {
                    self.put("(");
                    self.sum();
                    self.put(")");
                } else {
                    self.sum();
                }
            }
            "REMOVE" => {}
            _ if self.draw.one_in(32) => self.literal(Due::Anything),
            _ => {
                let kinds = if section == "ADD" { 5 } else { 4 };
                let set = match self.draw.below(kinds) {
                    0 | 3 => Value::Texts(BTreeSet::from(["a".to_owned(), "ab".to_owned()])),
                    1 => Value::Numbers(
                        (0..=self.draw.below(3))
                            .map(|_| any_number(self.draw))
                            .collect(),
                    ),
                    2 => Value::ManyBytes(BTreeSet::from([self.draw.of(BYTES).to_vec()])),
                    _ => Value::Number(any_number(self.draw)),
                };
                self.literal_of(set);
            }
        }
    }

    fn sum(&mut self) {
        if !self.draw.one_in(2) {
            self.term(2);
            return;
        }
        self.addend();
        let sign = self.draw.of(&["+", "-"]);
        self.put(sign);
        self.addend();
    }

    fn addend(&mut self) {
        match self.draw.below(4) {
            0 => self.path(),
            1 | 2 => {
                let number = any_number(self.draw);
                self.literal_of(Value::Number(number));
            }
            _ => self.term(2),
        }
    }

    fn term(&mut self, depth: usize) {
        match self.draw.below(if depth == 0 { 6 } else { 10 }) {
            0..=2 => self.path(),
            3..=5 => self.literal(Due::Anything),
            6 => {
                self.put("(");
                self.path();
                self.put(")");
            }
            7 | 8 => {
                self.put("if_not_exists");
                self.put("(");
                self.path();
                self.put(",");
                self.term(depth - 1);
                self.put(")");
            }
            _ => {
                self.put("list_append");
                self.put("(");
                self.list(depth);
                self.put(",");
                self.list(depth);
                self.put(")");
            }
        }
    }

    fn list(&mut self, depth: usize) {
        if self.draw.one_in(2) {
            self.term(depth - 1);
        } else {
            let list = (0..self.draw.below(3))
                .map(|_| value(self.draw, 0))
                .collect();
            self.literal_of(Value::List(list));
        }
    }

    // Text.

    /// What was put, as one text, now and then spoilt.
    fn text(&mut self) -> String {
        let mut tokens = std::mem::take(&mut self.tokens);
        if self.draw.one_in(12) {
            for _ in 0..=self.draw.below(2) {
                let place = self.draw.below(256) % tokens.len();
                match self.draw.below(4) {
                    0 => drop(tokens.remove(place)),
                    1 => tokens.insert(place, tokens[place].clone()),
                    2 => tokens[place] = self.draw.of(TOKENS).to_owned(),
                    _ => tokens.insert(place, self.draw.of(TOKENS).to_owned()),
                }
                if tokens.is_empty() {
                    break;
                }
            }
        }
        let style = self.draw.below(4);
        let mut text = String::new();
        for token in &tokens {
            let is_word = |c: char| c.is_ascii_alphanumeric() || "_#:".contains(c);
            let touches = text.ends_with(is_word) && token.starts_with(is_word);
            match style {
                0 | 1 if touches => text.push(' '),
                0 | 1 => {}
                2 => text.push(' '),
                _ => text.push_str(" \t\r\n"),
            }
            let is_keyword = token.bytes().all(|byte| byte.is_ascii_uppercase());
            if style == 1 && is_keyword {
                text.push_str(&token.to_ascii_lowercase());
            } else {
                text.push_str(token);
            }
        }
        text
    }
}
