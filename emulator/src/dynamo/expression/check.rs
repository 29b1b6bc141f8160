//! What the service refuses in a condition before it looks at an item.

use super::parse::{Parser, Rank};
use super::tree::{Condition, Operand};
use crate::dynamo::value::AttributeValue;

const TYPES: [&str; 10] = ["S", "N", "B", "NULL", "SS", "BOOL", "L", "BS", "NS", "M"];

/// A function as it stands in a condition.
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) arguments: Vec<Operand<'a>>,
}

impl<'a> Call<'a> {
    /// The condition; of no meaning where a fault was noted, and then never used.
    pub(super) fn into_condition(self) -> Condition<'a> {
        let mut arguments = self.arguments.into_iter();
        match (self.name, arguments.next(), arguments.next()) {
            ("attribute_exists", Some(Operand::Path(path)), None) => Condition::Exists(path),
            ("attribute_not_exists", Some(Operand::Path(path)), None) => Condition::NotExists(path),
            ("attribute_type", Some(tested), Some(Operand::Value(AttributeValue::S(kind)))) => {
                Condition::HasType(tested, kind)
            }
            ("begins_with", Some(tested), Some(prefix)) => Condition::BeginsWith(tested, prefix),
            ("contains", Some(tested), Some(part)) => Condition::Contains(tested, part),
            _ => Condition::Or(Vec::new()),
        }
    }
}

impl<'a> Parser<'a> {
    /// Ends one comparison or function: the worst of its own faults is the one that counts.
    pub(super) fn settle(&mut self) {
        if !self.faults.any() {
            return;
        }
        let order = [
            Rank::UndefinedName,
            Rank::Operands,
            Rank::Distinct,
            Rank::Types,
        ];
        if let Some(text) = self.faults.worst(&order) {
            let text = text.to_owned();
            self.faults.note(Rank::Settled, || text);
        }
    }

    pub(super) fn check_call(&mut self, call: &Call<'a>) {
        let name = call.name;
        let due = match name {
            "attribute_exists" | "attribute_not_exists" | "size" => 1,
            "attribute_type" | "begins_with" | "contains" => 2,
            _ => {
                self.faults.note(Rank::UnknownFunction, || {
                    format!("Invalid function name; function: {name}")
                });
                return;
            }
        };
        let count = call.arguments.len();
        if count != due {
            self.faults.note(Rank::Operands, || {
                format!(
                    "Incorrect number of operands for operator or function; \
                     operator or function: {name}, number of operands: {count}"
                )
            });
            return;
        }
        if let [one, two] = call.arguments.as_slice() {
            self.check_distinct(name, one, two);
        }
        self.check_types(call);
    }

    fn check_types(&mut self, call: &Call<'a>) {
        let name = call.name;
        match (name, call.arguments.as_slice()) {
            ("attribute_exists" | "attribute_not_exists", [Operand::Path(_)]) => {}
            ("attribute_exists" | "attribute_not_exists", _) => {
                self.faults.note(Rank::Types, || {
                    format!(
                        "Operator or function requires a document path; \
                         operator or function: {name}"
                    )
                });
            }
            ("begins_with", arguments) => {
                let wrong = arguments
                    .iter()
                    .filter_map(known_type)
                    .find(|kind| !matches!(*kind, "S" | "B"));
                if let Some(kind) = wrong {
                    self.note_type(name, kind);
                }
            }
            ("size", [Operand::Value(value)]) => {
                let kind = value.type_name();
                if matches!(kind, "N" | "BOOL" | "NULL") {
                    self.note_type(name, kind);
                }
            }
            ("size", [Operand::Size(_)]) => self.note_type(name, "N"),
            ("attribute_type", [_, Operand::Value(AttributeValue::S(kind))])
                if TYPES.contains(&kind.as_str()) => {}
            ("attribute_type", [_, Operand::Value(AttributeValue::S(kind))]) => {
                self.faults.note(Rank::Types, || {
                    format!(
                        "Invalid attribute type name found; type: {kind}, \
                         valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}"
                    )
                });
            }
            ("attribute_type", [_, kind]) => {
                let kind = known_type(kind).unwrap_or("{NS,SS,L,BS,N,M,B,BOOL,NULL,S}");
                self.note_type(name, kind);
            }
            _ => {}
        }
    }

    fn note_type(&mut self, name: &str, kind: &str) {
        self.faults.note(Rank::Types, || {
            format!(
                "Incorrect operand type for operator or function; \
                 operator or function: {name}, operand type: {kind}"
            )
        });
    }

    pub(super) fn check_distinct(&mut self, name: &str, one: &Operand<'a>, two: &Operand<'a>) {
        if let (Operand::Path(one), Operand::Path(two)) = (one, two)
            && one == two
        {
            self.faults.note(Rank::Distinct, || {
                format!(
                    "The first operand must be distinct from the remaining operands for this \
                     operator or function; operator: {name}, first operand: {one}"
                )
            });
        }
    }

    /// Only texts, numbers and bytes have an order. QUIRK(dynamodb): a path that leads to something
    /// else is no fault, the comparison is false.
    pub(super) fn check_ordered(&mut self, name: &str, operands: &[&Operand<'a>]) {
        for operand in operands {
            let Some(kind) = known_type(operand) else {
                continue;
            };
            if !matches!(kind, "S" | "N" | "B") {
                self.note_type(name, kind);
            }
        }
    }

    /// Two literal bounds must be of one type and in order.
    pub(super) fn check_bounds(&mut self, low: &Operand<'a>, high: &Operand<'a>) {
        let (Operand::Value(low), Operand::Value(high)) = (low, high) else {
            return;
        };
        let what = if low.type_name() != high.type_name() {
            "same data type for lower and upper bounds"
        } else if low.order(high) == Some(std::cmp::Ordering::Greater) {
            "upper bound to be greater than or equal to lower bound"
        } else {
            return;
        };
        self.faults.note(Rank::Types, || {
            format!(
                "The BETWEEN operator requires {what}; lower bound operand: AttributeValue: {}, \
                 upper bound operand: AttributeValue: {}",
                shown(low),
                shown(high)
            )
        });
    }
}

/// The type of an operand that needs no item to be known.
fn known_type(operand: &Operand<'_>) -> Option<&'static str> {
    match operand {
        Operand::Path(_) => None,
        Operand::Value(value) => Some(value.type_name()),
        Operand::Size(_) => Some("N"),
    }
}

/// A value as the service's messages show it: `{S:a}`.
fn shown(value: &AttributeValue) -> String {
    let kind = value.type_name();
    match value {
        AttributeValue::S(text) => format!("{{{kind}:{text}}}"),
        AttributeValue::N(number) => format!("{{{kind}:{number}}}"),
        AttributeValue::B(bytes) => {
            format!(
                "{{{kind}:{}}}",
                base64_simd::STANDARD.encode_to_string(bytes)
            )
        }
        AttributeValue::Bool(_)
        | AttributeValue::Null
        | AttributeValue::Ss(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Bs(_)
        | AttributeValue::L(_)
        | AttributeValue::M(_) => format!("{{{kind}}}"),
    }
}
