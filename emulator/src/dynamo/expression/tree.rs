//! Conditions as trees: made by the grammar, evaluated against items, taken apart by key conditions.

use super::path::Path;
use crate::dynamo::value::AttributeValue;

/// A condition on an item.
#[derive(Debug)]
pub(crate) enum Condition<'a> {
    Or(Vec<Self>),
    And(Vec<Self>),
    Not(Box<Self>),
    Compare(Comparator, Operand<'a>, Operand<'a>),
    Between {
        tested: Operand<'a>,
        low: Operand<'a>,
        high: Operand<'a>,
    },
    In {
        tested: Operand<'a>,
        members: Vec<Operand<'a>>,
    },
    Exists(Path<'a>),
    NotExists(Path<'a>),
    HasType(Operand<'a>, &'a str),
    BeginsWith(Operand<'a>, Operand<'a>),
    Contains(Operand<'a>, Operand<'a>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparator {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    pub(super) fn from_symbol(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" => Self::Equal,
            "<>" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }
}

/// What a condition compares.
#[derive(Debug)]
pub(crate) enum Operand<'a> {
    Path(Path<'a>),
    Value(&'a AttributeValue),
    Size(Box<Self>),
}

impl Condition<'_> {
    /// Shows every path in it.
    pub(crate) fn each_path(&self, show: &mut dyn FnMut(&Path<'_>)) {
        let mut operands = |all: &[&Operand<'_>]| all.iter().for_each(|one| one.path(show));
        match self {
            Self::Or(all) | Self::And(all) => all.iter().for_each(|one| one.each_path(show)),
            Self::Not(condition) => condition.each_path(show),
            Self::Exists(path) | Self::NotExists(path) => show(path),
            Self::HasType(tested, _) => operands(&[tested]),
            Self::Compare(_, one, two) | Self::BeginsWith(one, two) | Self::Contains(one, two) => {
                operands(&[one, two]);
            }
            Self::Between { tested, low, high } => operands(&[tested, low, high]),
            Self::In { tested, members } => {
                tested.path(show);
                members.iter().for_each(|member| member.path(show));
            }
        }
    }
}

impl Operand<'_> {
    fn path(&self, show: &mut dyn FnMut(&Path<'_>)) {
        match self {
            Self::Path(path) => show(path),
            Self::Value(_) => {}
            Self::Size(sized) => sized.path(show),
        }
    }
}
