//! A pattern as a tree. Reads and checks it once, when the mapping is made.

use serde_json::value::RawValue;

/// How deep patterns may nest. A pattern of 4,096 characters could otherwise be deeper than a stack.
const DEPTH_MAX: usize = 64;

/// What an object, or a field of it, must be like.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// All of these fields must match.
    Fields(Vec<(String, Self)>),
    /// One of these must match, on the same object.
    Or(Vec<Self>),
    /// One of these rules must match, on the value.
    Leaf(Vec<Rule>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rule {
    Is(Scalar),
    AnythingBut(Vec<Scalar>),
    Prefix(String),
    Suffix(String),
    /// In lower case.
    IgnoringCase(String),
    Exists(bool),
    Numeric(Vec<(Compare, f64)>),
}

/// A value that is no list and no object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    /// The number as it is written.
    Number(String),
    Bool(bool),
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The names of fields and their values, in the order in which they are written. Twice the same are two.
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Visitor)
    }
}

impl Node {
    /// Reads a whole pattern.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        if !raw.get().starts_with('{') {
            return Err("it is not an object".to_owned());
        }
        let root = Self::object(raw, "", 0)?;
        match &root {
            Self::Fields(fields) if fields.is_empty() => Err("it has no condition".to_owned()),
            Self::Fields(_) | Self::Or(_) | Self::Leaf(_) => Ok(root),
        }
    }

    fn object(raw: &RawValue, path: &str, depth: usize) -> Result<Self, String> {
        if depth > DEPTH_MAX {
            return Err(format!("it nests deeper than {DEPTH_MAX} levels"));
        }
        let Members(members) =
            serde_json::from_str(raw.get()).map_err(|error| format!("{path}: {error}"))?;
        let mut fields: Vec<(String, Self)> = Vec::new();
        for (name, value) in members {
            let path = match path {
                "" => name.clone(),
                path => format!("{path}.{name}"),
            };
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(format!("{path} is there twice"));
            }
            let node = match value.get().as_bytes() {
                [b'{', ..] => {
                    let node = Self::object(value, &path, depth + 1)?;
                    if matches!(&node, Self::Fields(fields) if fields.is_empty()) {
                        return Err(format!("{path} has no condition"));
                    }
                    node
                }
                [b'[', ..] if name == "$or" => Self::or(value, &path, depth)?,
                [b'[', ..] => Self::Leaf(rules(value, &path)?),
                _ => {
                    return Err(format!(
                        "{path} must be a list of values and rules, or an object"
                    ));
                }
            };
            fields.push((name, node));
        }
        Ok(Self::Fields(fields))
    }

    fn or(raw: &RawValue, path: &str, depth: usize) -> Result<Self, String> {
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|e| e.to_string())?;
        if items.len() < 2 || items.iter().any(|item| !item.get().starts_with('{')) {
            return Err(format!("{path} must be a list of two objects or more"));
        }
        let items = items
            .into_iter()
            .map(|item| match Self::object(item, path, depth + 1)? {
                Self::Fields(fields) if fields.is_empty() => {
                    Err(format!("an object of {path} has no condition"))
                }
                node @ (Self::Fields(_) | Self::Or(_) | Self::Leaf(_)) => Ok(node),
            });
        Ok(Self::Or(items.collect::<Result<_, _>>()?))
    }

    /// The names of the fields that this asks about, those in an `$or` among them.
    pub(super) fn fields(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Fields(fields) => Box::new(fields.iter().flat_map(|(name, node)| match node {
                Self::Or(_) => node.fields(),
                Self::Fields(_) | Self::Leaf(_) => Box::new(std::iter::once(name.as_str())),
            })),
            Self::Or(nodes) => Box::new(nodes.iter().flat_map(Self::fields)),
            Self::Leaf(_) => Box::new(std::iter::empty()),
        }
    }

    /// What is asked about a field, in an `$or` as well.
    pub(super) fn field<'a>(&'a self, wanted: &'a str) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        match self {
            Self::Fields(fields) => {
                Box::new(fields.iter().flat_map(move |(name, node)| match node {
                    Self::Or(_) => node.field(wanted),
                    Self::Fields(_) | Self::Leaf(_) => {
                        Box::new((name == wanted).then_some(node).into_iter())
                    }
                }))
            }
            Self::Or(nodes) => Box::new(nodes.iter().flat_map(move |node| node.field(wanted))),
            Self::Leaf(_) => Box::new(std::iter::empty()),
        }
    }

    pub(super) const fn is_leaf(&self) -> bool {
        matches!(self, Self::Leaf(_))
    }
}

fn rules(raw: &RawValue, path: &str) -> Result<Vec<Rule>, String> {
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|e| e.to_string())?;
    if items.is_empty() {
        return Err(format!("{path} is an empty list, which nothing matches"));
    }
    items.into_iter().map(|item| rule(item, path)).collect()
}

fn rule(raw: &RawValue, path: &str) -> Result<Rule, String> {
    if !raw.get().starts_with('{') {
        let scalar = Scalar::read(raw);
        return scalar
            .map(Rule::Is)
            .ok_or_else(|| format!("{path} has a list in a list"));
    }
    let Members(members) = serde_json::from_str(raw.get()).map_err(|e| e.to_string())?;
    let [(operator, value)] = members.as_slice() else {
        return Err(format!("a rule of {path} must have exactly one operator"));
    };
    let text = || match Scalar::read(value) {
        Some(Scalar::Text(text)) => Ok(text),
        Some(Scalar::Number(_) | Scalar::Bool(_) | Scalar::Null) | None => {
            Err(format!("{operator} of {path} takes a text"))
        }
    };
    match operator.as_str() {
        "prefix" => Ok(Rule::Prefix(text()?)),
        "suffix" => Ok(Rule::Suffix(text()?)),
        "equals-ignore-case" => Ok(Rule::IgnoringCase(text()?.to_lowercase())),
        "exists" => match Scalar::read(value) {
            Some(Scalar::Bool(exists)) => Ok(Rule::Exists(exists)),
            Some(Scalar::Text(_) | Scalar::Number(_) | Scalar::Null) | None => {
                Err(format!("exists of {path} takes true or false"))
            }
        },
        "anything-but" => anything_but(value, path),
        "numeric" => numeric(value, path),
        other => Err(format!(
            "{path} has the operator {other:?}; there are prefix, suffix, equals-ignore-case, \
             anything-but, exists and numeric"
        )),
    }
}

fn anything_but(raw: &RawValue, path: &str) -> Result<Rule, String> {
    let refuse = || format!("anything-but of {path} takes a value, or a list of values");
    if let Some(scalar) = Scalar::read(raw) {
        return Ok(Rule::AnythingBut(vec![scalar]));
    }
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| refuse())?;
    if items.is_empty() {
        return Err(refuse());
    }
    let scalars = items
        .into_iter()
        .map(|item| Scalar::read(item).ok_or_else(refuse));
    Ok(Rule::AnythingBut(scalars.collect::<Result<_, _>>()?))
}

fn numeric(raw: &RawValue, path: &str) -> Result<Rule, String> {
    let refuse = || {
        format!(
            "numeric of {path} takes one comparison, or one with > or >= and one with < or <=, \
             such as [\">\", 0, \"<=\", 5]"
        )
    };
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| refuse())?;
    let pairs = items.chunks(2).map(|pair| match pair {
        [operator, number] => {
            let operator = match operator.get() {
                "\"=\"" => Compare::Equal,
                "\"<\"" => Compare::Less,
                "\"<=\"" => Compare::LessOrEqual,
                "\">\"" => Compare::Greater,
                "\">=\"" => Compare::GreaterOrEqual,
                _ => return Err(refuse()),
            };
            let number = serde_json::from_str(number.get()).map_err(|_| refuse())?;
            Ok((operator, number))
        }
        _ => Err(refuse()),
    });
    let pairs: Vec<(Compare, f64)> = pairs.collect::<Result<_, _>>()?;
    let side = |compare: Compare| match compare {
        Compare::Equal => 0,
        Compare::Less | Compare::LessOrEqual => -1,
        Compare::Greater | Compare::GreaterOrEqual => 1,
    };
    match pairs.as_slice() {
        [_] => Ok(Rule::Numeric(pairs)),
        [(one, _), (two, _)] if side(*one) * side(*two) == -1 => Ok(Rule::Numeric(pairs)),
        _ => Err(refuse()),
    }
}

impl Scalar {
    /// A value that is no list and no object.
    pub(super) fn read(raw: &RawValue) -> Option<Self> {
        match raw.get().as_bytes().first()? {
            b'"' => serde_json::from_str(raw.get()).ok().map(Self::Text),
            b't' => Some(Self::Bool(true)),
            b'f' => Some(Self::Bool(false)),
            b'n' => Some(Self::Null),
            b'[' | b'{' => None,
            _ => Some(Self::Number(raw.get().to_owned())),
        }
    }
}
