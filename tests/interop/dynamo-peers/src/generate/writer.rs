//! What all expressions of one request share: the placeholders they define, and paths into rows.

use serde_json::{Map, Value};

use super::tables::ATTRIBUTES;
use super::values::{INNER, Kind};
use crate::dice::Dice;

/// Names of the tests' attributes that the service reserves.
const RESERVED: [&str; 3] = ["name", "size", "status"];

#[derive(Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) dice: &'a mut Dice,
    pub(crate) names: Map<String, Value>,
    pub(crate) values: Map<String, Value>,
    /// The row as it is now, so that conditions are often true and paths often exist.
    pub(crate) row: &'a Value,
    /// Whether operands may be of any type, also where the service refuses that.
    pub(crate) wild: bool,
}

/// A path as text, its parts, and the type it mostly leads to.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) text: String,
    pub(crate) parts: Vec<String>,
    pub(crate) kind: Kind,
    /// What is there now.
    pub(crate) found: Option<Value>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(dice: &'a mut Dice, row: &'a Value) -> Self {
        let wild = dice.percent(8);
        Self {
            dice,
            names: Map::new(),
            values: Map::new(),
            row,
            wild,
        }
    }

    /// A name as it is, or by a placeholder.
    pub(crate) fn name(&mut self, name: &str) -> String {
        let plain = !RESERVED.contains(&name) && !name.contains(['.', '-']);
        if plain && !self.dice.percent(25) {
            return name.to_owned();
        }
        let known = self.names.iter().find(|(_, known)| *known == name);
        if let Some((placeholder, _)) = known {
            return placeholder.clone();
        }
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(placeholder.clone(), name.into());
        placeholder
    }

    pub(crate) fn value(&mut self, value: Value) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    /// A keyword in one of its spellings.
    pub(crate) fn keyword(&mut self, word: &str) -> String {
        match self.dice.weighted(&[8, 2]) {
            0 => word.to_owned(),
            _ => word.to_lowercase(),
        }
    }

    pub(crate) fn path(&mut self) -> Path {
        let (name, kind) = *self.dice.pick(&ATTRIBUTES);
        let deep = if matches!(kind, Kind::L | Kind::M) {
            65
        } else {
            3
        };
        let mut path = Path {
            text: self.name(name),
            parts: vec![name.to_owned()],
            kind,
            found: self.row.get(name).cloned(),
        };
        let mut depth = 0;
        while depth < 3
            && self.dice.percent(deep)
            && (depth == 0 || matches!(path.kind, Kind::L | Kind::M))
        {
            path = self.below(path);
            depth += 1;
        }
        path
    }

    /// A step further down.
    fn below(&mut self, mut path: Path) -> Path {
        if path.kind == Kind::L {
            let index = self.dice.below(4);
            path.text.push_str(&format!("[{index}]"));
            path.parts.push(format!("[{index}]"));
            path.found = path.found.and_then(|value| value["L"].get(index).cloned());
            path.kind = path.found.as_ref().map_or(Kind::S, kind_of);
            return path;
        }
        let (name, kind) = *self.dice.pick(&INNER);
        let step = self.name(name);
        path.text.push('.');
        path.text.push_str(&step);
        path.parts.push(name.to_owned());
        path.found = path.found.and_then(|value| value["M"].get(name).cloned());
        path.kind = path.found.as_ref().map_or(kind, kind_of);
        path
    }

    /// A path that leads to a value of a type, as a rule.
    pub(crate) fn path_to(&mut self, wanted: &[Kind]) -> Path {
        let mut path = self.path();
        for _ in 0..30 {
            if wanted.contains(&path.kind) {
                break;
            }
            path = self.path();
        }
        path
    }

    /// Puts the placeholders into the request.
    pub(crate) fn finish(self, body: &mut Value) {
        let used: Vec<String> = body
            .as_object()
            .map(|body| {
                let texts = body.iter().filter(|(name, _)| name.ends_with("Expression"));
                texts
                    .filter_map(|(_, text)| Some(text.as_str()?.to_owned()))
                    .collect()
            })
            .unwrap_or_default();
        let is_used = |placeholder: &String| used.iter().any(|text| mentions(text, placeholder));
        // A path that was made but not taken may have defined a name.
        let names: Map<_, _> = self
            .names
            .into_iter()
            .filter(|(name, _)| is_used(name))
            .collect();
        let values: Map<_, _> = self
            .values
            .into_iter()
            .filter(|(name, _)| is_used(name))
            .collect();
        if !names.is_empty() {
            body["ExpressionAttributeNames"] = names.into();
        }
        if !values.is_empty() {
            body["ExpressionAttributeValues"] = values.into();
        }
    }
}

fn mentions(text: &str, placeholder: &str) -> bool {
    text.match_indices(placeholder).any(|(at, _)| {
        let next = text[at + placeholder.len()..].chars().next();
        !next.is_some_and(|next| next.is_ascii_alphanumeric())
    })
}

pub(crate) fn kind_of(value: &Value) -> Kind {
    let name = value.as_object().and_then(|value| value.keys().next());
    let found = name.and_then(|name| Kind::ALL.into_iter().find(|kind| kind.name() == name));
    found.unwrap_or(Kind::S)
}

/// Whether one path is the other, or leads to it, or takes for a map what the other takes for a list.
pub(crate) fn clash(one: &[String], two: &[String]) -> bool {
    for (one, two) in one.iter().zip(two) {
        if one != two {
            return one.starts_with('[') != two.starts_with('[');
        }
    }
    true
}
