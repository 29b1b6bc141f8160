//! Random attribute values of every type, drawn from few enough that comparisons meet, and values
//! that the service refuses.

use base64_simd::STANDARD;
use serde_json::{Value, json};

use crate::dice::Dice;

/// The types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    S,
    N,
    B,
    Bool,
    Null,
    Ss,
    Ns,
    Bs,
    L,
    M,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::S,
        Self::N,
        Self::B,
        Self::Bool,
        Self::Null,
        Self::Ss,
        Self::Ns,
        Self::Bs,
        Self::L,
        Self::M,
    ];

    /// As it stands in JSON and in `attribute_type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
            Self::Bool => "BOOL",
            Self::Null => "NULL",
            Self::Ss => "SS",
            Self::Ns => "NS",
            Self::Bs => "BS",
            Self::L => "L",
            Self::M => "M",
        }
    }
}

/// Names below maps, with the types they mostly have.
pub(crate) const INNER: [(&str, Kind); 6] = [
    ("num", Kind::N),
    ("txt", Kind::S),
    ("lst", Kind::L),
    ("mp", Kind::M),
    ("sset", Kind::Ss),
    ("status", Kind::S),
];

const TEXTS: [&str; 9] = ["", "a", "b", "ab", "abc", "aé", "B", "10", "日本"];

pub(crate) fn text(dice: &mut Dice) -> String {
    (*dice.pick(&TEXTS)).to_owned()
}

/// A number as a client may write it.
pub(crate) fn number(dice: &mut Dice) -> String {
    match dice.weighted(&[60, 12, 8, 4, 4]) {
        0 => dice.between(-3, 9).to_string(),
        1 => (*dice.pick(&[
            "1.5", "0.1", "-2.50", "1.10", "0.05", "-0.5", "100", "1000000",
        ]))
        .to_owned(),
        2 => {
            (*dice.pick(&["1E3", "1.0E-5", "12e-3", "-4.2E+2", "1e0", "0E10", "5.0E-1"])).to_owned()
        }
        3 => (*dice.pick(&["-0", "0.0", "007", ".5", "1.", "00.10"])).to_owned(),
        _ => (*dice.pick(&[
            "12345678901234567890123456789012345678",
            "-0.99999999999999999999999999999999999999",
            "9.9999999999999999999999999999999999999E+125",
            "-9.9999999999999999999999999999999999999E+125",
            "1E-130",
            "-1E-130",
            "123456789012345678.90123456789",
            "1E125",
        ]))
        .to_owned(),
    }
}

/// A small whole number as text.
pub(crate) fn small(dice: &mut Dice) -> String {
    dice.between(-2, 9).to_string()
}

pub(crate) fn bytes(dice: &mut Dice) -> String {
    let all: [&[u8]; 6] = [b"", b"\x00", b"\x01\x02", b"ab", b"abc", b"\xff\xfe\x80"];
    STANDARD.encode_to_string(dice.pick(&all))
}

/// Some of `all`, at least one, each once.
fn some<T: Clone>(dice: &mut Dice, all: &[T]) -> Vec<T> {
    let mut all = all.to_vec();
    dice.shuffle(&mut all);
    let count = 1 + dice.below(all.len().min(4));
    all.truncate(count);
    all
}

pub(crate) fn value(dice: &mut Dice, kind: Kind, depth: usize) -> Value {
    match kind {
        Kind::S => json!({"S": text(dice)}),
        Kind::N => json!({"N": number(dice)}),
        Kind::B => json!({"B": bytes(dice)}),
        Kind::Bool => json!({"BOOL": dice.percent(50)}),
        Kind::Null => json!({"NULL": true}),
        Kind::Ss => json!({"SS": some(dice, &["a", "b", "ab", "é", "c"])}),
        Kind::Ns => json!({"NS": some(dice, &["1", "2", "3", "-4.50", "1E2", "0"])}),
        Kind::Bs => json!({"BS": some(dice, &["AQ==", "YWI=", "/w==", "AA=="])}),
        Kind::L => {
            let count = if depth == 0 { 0 } else { dice.below(4) };
            let list: Vec<_> = (0..count).map(|_| any(dice, depth - 1)).collect();
            json!({"L": list})
        }
        Kind::M => {
            let mut map = serde_json::Map::new();
            for (name, kind) in INNER {
                if depth > 0 && dice.percent(45) {
                    map.insert(name.to_owned(), value(dice, kind, depth - 1));
                }
            }
            json!({"M": map})
        }
    }
}

pub(crate) fn any(dice: &mut Dice, depth: usize) -> Value {
    let kind = match dice.weighted(&[6, 6, 2, 2, 1, 2, 2, 1, 3, 4]) {
        index if depth == 0 && index >= 8 => Kind::S,
        index => Kind::ALL[index],
    };
    value(dice, kind, depth)
}

/// A value that is none, or that JSON alone does not keep from being sent.
pub(crate) fn broken(dice: &mut Dice) -> Value {
    let all = [
        json!({}),
        json!({"S": "a", "N": "1"}),
        json!({"SS": []}),
        json!({"NS": []}),
        json!({"BS": []}),
        json!({"SS": ["a", "a"]}),
        json!({"NS": ["1", "1.0"]}),
        json!({"BS": ["AQ==", "AQ=="]}),
        json!({"NULL": false}),
        json!({"N": "abc"}),
        json!({"N": ""}),
        json!({"N": "1E126"}),
        json!({"N": "1E-131"}),
        json!({"N": "123456789012345678901234567890123456789"}),
        json!({"NS": ["1", "x"]}),
        json!({"S": 1}),
        json!({"N": 1}),
        json!({"B": "a"}),
        json!({"B": 1}),
        json!({"BOOL": "true"}),
        json!({"L": {}}),
        json!({"M": {"a": {}}}),
        json!({"L": [{"N": "x"}]}),
        json!("a"),
        nested(33),
    ];
    dice.pick(&all).clone()
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!({"S": "deep"}), |inner, _| json!({"L": [inner]}))
}
