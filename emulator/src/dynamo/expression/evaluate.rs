//! Whether an item meets a condition.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::tree::{Comparator, Condition, Operand};
use crate::dynamo::number::Number;
use crate::dynamo::value::{AttributeValue, Item};

impl Condition<'_> {
    /// Whether `item` meets it. An item that does not exist is an empty one.
    pub(crate) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Or(all) => all.iter().any(|condition| condition.holds(item)),
            Self::And(all) => all.iter().all(|condition| condition.holds(item)),
            Self::Not(condition) => !condition.holds(item),
            Self::Compare(comparator, one, two) => compare(
                *comparator,
                one.value(item).as_deref(),
                two.value(item).as_deref(),
            ),
            Self::Between { tested, low, high } => {
                let tested = tested.value(item);
                compare(
                    Comparator::LessOrEqual,
                    low.value(item).as_deref(),
                    tested.as_deref(),
                ) && compare(
                    Comparator::LessOrEqual,
                    tested.as_deref(),
                    high.value(item).as_deref(),
                )
            }
            Self::In { tested, members } => {
                let tested = tested.value(item);
                tested.is_some() && members.iter().any(|member| member.value(item) == tested)
            }
            Self::Exists(path) => path.resolve(item).is_some(),
            Self::NotExists(path) => path.resolve(item).is_none(),
            Self::HasType(tested, kind) => tested
                .value(item)
                .is_some_and(|value| value.type_name() == *kind),
            Self::BeginsWith(tested, prefix) => pair(tested, prefix, item, begins_with),
            Self::Contains(tested, part) => pair(tested, part, item, contains),
        }
    }
}

impl Operand<'_> {
    fn value<'i>(&'i self, item: &'i Item) -> Option<Cow<'i, AttributeValue>> {
        match self {
            Self::Path(path) => path.resolve(item).map(Cow::Borrowed),
            Self::Value(value) => Some(Cow::Borrowed(value)),
            Self::Size(sized) => {
                let size = size(&*sized.value(item)?)?;
                Some(Cow::Owned(AttributeValue::N(Number::from(size as u64))))
            }
        }
    }
}

fn pair(
    one: &Operand<'_>,
    two: &Operand<'_>,
    item: &Item,
    test: fn(&AttributeValue, &AttributeValue) -> bool,
) -> bool {
    match (one.value(item), two.value(item)) {
        (Some(one), Some(two)) => test(&one, &two),
        _ => false,
    }
}

/// QUIRK(dynamodb): what is missing or of another type is not equal, so `<>` holds; every other
/// comparison with it is false.
fn compare(
    comparator: Comparator,
    one: Option<&AttributeValue>,
    two: Option<&AttributeValue>,
) -> bool {
    let equal = one.is_some() && one == two;
    let order = one.zip(two).and_then(|(one, two)| one.order(two));
    match comparator {
        Comparator::Equal => equal,
        Comparator::NotEqual => !equal,
        Comparator::Less => order == Some(Ordering::Less),
        Comparator::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparator::Greater => order == Some(Ordering::Greater),
        Comparator::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

fn begins_with(tested: &AttributeValue, prefix: &AttributeValue) -> bool {
    match (tested, prefix) {
        (AttributeValue::S(text), AttributeValue::S(prefix)) => text.starts_with(prefix.as_str()),
        (AttributeValue::B(bytes), AttributeValue::B(prefix)) => bytes.starts_with(prefix),
        _ => false,
    }
}

fn contains(tested: &AttributeValue, part: &AttributeValue) -> bool {
    match (tested, part) {
        (AttributeValue::S(text), AttributeValue::S(part)) => text.contains(part.as_str()),
        (AttributeValue::B(bytes), AttributeValue::B(part)) => {
            part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
        }
        (AttributeValue::Ss(set), AttributeValue::S(member)) => set.contains(member.as_str()),
        (AttributeValue::Ns(set), AttributeValue::N(member)) => set.contains(member),
        (AttributeValue::Bs(set), AttributeValue::B(member)) => set.contains(member),
        (AttributeValue::L(list), member) => list.contains(member),
        _ => false,
    }
}

/// How long a text is, bytes of bytes, members of everything else; numbers and flags have no size.
fn size(value: &AttributeValue) -> Option<usize> {
    match value {
        // QUIRK(dynamodb): in units of UTF-16, as a text's length is where the service counts it.
        AttributeValue::S(text) => Some(text.encode_utf16().count()),
        AttributeValue::B(bytes) => Some(bytes.len()),
        AttributeValue::Ss(set) => Some(set.len()),
        AttributeValue::Ns(set) => Some(set.len()),
        AttributeValue::Bs(set) => Some(set.len()),
        AttributeValue::L(list) => Some(list.len()),
        AttributeValue::M(map) => Some(map.len()),
        AttributeValue::N(_) | AttributeValue::Bool(_) | AttributeValue::Null => None,
    }
}
