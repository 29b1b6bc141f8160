//! ExpressionAttributeNames and ExpressionAttributeValues, and which of them were used.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::dynamo::refusal::Refusal;
use crate::dynamo::value::{AttributeValue, Loaded};
use crate::dynamo::wire::Text;

/// A JSON object as a list of pairs, keys borrowed from the body.
#[derive(Debug)]
pub(crate) struct Pairs<'a, T>(Vec<(Text<'a>, T)>);

impl<'a, T> Pairs<'a, T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Text<'a>, T)> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order of their keys; of a key that is there twice the last one counts.
    pub(crate) fn into_sorted(self) -> Vec<(Text<'a>, T)> {
        let mut all = self.0;
        all.reverse();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.dedup_by(|a, b| a.0 == b.0);
        all
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Pairs<'a, T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct PairsVisitor<'a, T>(PhantomData<(&'a (), T)>);

        impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for PairsVisitor<'a, T> {
            type Value = Pairs<'a, T>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((key, value)) = map.next_entry::<Text<'a>, Option<T>>()? {
                    pairs.extend(value.map(|value| (key, value)));
                }
                Ok(Pairs(pairs))
            }
        }

        input.deserialize_any(PairsVisitor(PhantomData))
    }
}

/// One kind of placeholder, sorted by name.
#[derive(Debug)]
struct Defined<'a, T>(Vec<(Text<'a>, T, Cell<bool>)>);

impl<'a, T> Defined<'a, T> {
    fn get(&self, placeholder: &str) -> Option<&T> {
        let found = self
            .0
            .binary_search_by(|(name, ..)| (**name).cmp(placeholder))
            .ok()?;
        let (_, value, used) = &self.0[found];
        used.set(true);
        Some(value)
    }

    fn check_used(&self, parameter: &str) -> Result<(), Refusal> {
        let unused: Vec<_> = self
            .0
            .iter()
            .filter(|(.., used)| !used.get())
            .map(|(name, ..)| &**name)
            .collect();
        if unused.is_empty() {
            return Ok(());
        }
        Err(Refusal::validation(format!(
            "Value provided in {parameter} unused in expressions: keys: {{{}}}",
            unused.join(", ")
        )))
    }
}

impl<T> Default for Defined<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// What the request's placeholders stand for.
#[derive(Debug, Default)]
pub(crate) struct Placeholders<'a> {
    names: Defined<'a, Text<'a>>,
    values: Defined<'a, AttributeValue>,
}

const NAMES: &str = "ExpressionAttributeNames";
const VALUES: &str = "ExpressionAttributeValues";

impl<'a> Placeholders<'a> {
    /// Checks both maps.
    pub(crate) fn new(
        names: Option<Pairs<'a, Text<'a>>>,
        values: Option<Pairs<'a, Loaded>>,
    ) -> Result<Self, Refusal> {
        let names = match names {
            None => Defined::default(),
            Some(pairs) => sorted(pairs, NAMES, b'#')?,
        };
        let loaded = match values {
            None => Defined::default(),
            Some(pairs) => sorted(pairs, VALUES, b':')?,
        };
        let mut values = Vec::with_capacity(loaded.0.len());
        for (name, Loaded(value), used) in loaded.0 {
            let value = value.map_err(|fault| {
                let name = &*name;
                Refusal::validation(format!(
                    "{VALUES} contains invalid value: {fault} for key {name}"
                ))
            })?;
            values.push((name, value, used));
        }
        Ok(Self {
            names,
            values: Defined(values),
        })
    }

    /// The name that `#placeholder` stands for.
    pub(super) fn name(&self, placeholder: &str) -> Option<&str> {
        self.names.get(placeholder).map(|name| &**name)
    }

    /// The value that `:placeholder` stands for.
    pub(super) fn value(&self, placeholder: &str) -> Option<&AttributeValue> {
        self.values.get(placeholder)
    }

    /// Refuses placeholders that no expression named; called when all are parsed.
    pub(crate) fn check_used(&self) -> Result<(), Refusal> {
        self.names.check_used(NAMES)?;
        self.values.check_used(VALUES)
    }
}

fn sorted<'a, T>(
    pairs: Pairs<'a, T>,
    parameter: &str,
    mark: u8,
) -> Result<Defined<'a, T>, Refusal> {
    if pairs.0.is_empty() {
        return Err(Refusal::validation(format!(
            "{parameter} must not be empty"
        )));
    }
    for (key, _) in &pairs.0 {
        let valid = match key.as_bytes() {
            [first, rest @ ..] => {
                *first == mark
                    && !rest.is_empty()
                    && rest
                        .iter()
                        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            }
            [] => false,
        };
        if !valid {
            let key = &**key;
            return Err(Refusal::validation(format!(
                "{parameter} contains invalid key: Syntax error; key: \"{key}\""
            )));
        }
    }
    let mut all: Vec<_> = pairs
        .0
        .into_iter()
        .map(|(key, value)| (key, value, Cell::new(false)))
        .collect();
    // JSON's last word on a repeated key wins, as it does in every map: stable, and from behind.
    all.reverse();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|a, b| a.0 == b.0);
    Ok(Defined(all))
}
