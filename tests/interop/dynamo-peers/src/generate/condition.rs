//! Conditions and filters out of the whole grammar: AND, OR, NOT, parentheses, comparators, BETWEEN,
//! IN, and all functions.

use serde_json::{Value, json};

use super::values::{self, Kind};
use super::writer::{Path, Writer, kind_of};

const COMPARATORS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

pub(crate) fn condition(writer: &mut Writer<'_>) -> String {
    let depth = writer.dice.weighted(&[50, 30, 15, 5]);
    or(writer, depth)
}

fn or(writer: &mut Writer<'_>, depth: usize) -> String {
    joined(writer, depth, "OR", and)
}

fn and(writer: &mut Writer<'_>, depth: usize) -> String {
    joined(writer, depth, "AND", not)
}

fn joined(
    writer: &mut Writer<'_>,
    depth: usize,
    word: &str,
    inner: fn(&mut Writer<'_>, usize) -> String,
) -> String {
    let mut text = inner(writer, depth);
    let mut count = 0;
    while depth > 0 && count < 2 && writer.dice.percent(40) {
        text = format!(
            "{text} {} {}",
            writer.keyword(word),
            inner(writer, depth - 1)
        );
        count += 1;
    }
    text
}

fn not(writer: &mut Writer<'_>, depth: usize) -> String {
    if writer.dice.percent(12) {
        return format!("{} {}", writer.keyword("NOT"), not(writer, depth));
    }
    if depth > 0 && writer.dice.percent(25) {
        // Never only a parenthesis in another: the service calls that redundant.
        return format!(
            "({} {} {})",
            leaf(writer),
            writer.keyword("AND"),
            or(writer, depth - 1)
        );
    }
    let text = leaf(writer);
    if writer.dice.percent(10) {
        format!("({text})")
    } else {
        text
    }
}

fn leaf(writer: &mut Writer<'_>) -> String {
    match writer.dice.weighted(&[40, 10, 10, 10, 8, 6, 8, 8]) {
        0 => comparison(writer),
        1 => between(writer),
        2 => one_of(writer),
        3 => format!("attribute_exists({})", writer.path().text),
        4 => format!("attribute_not_exists ({})", writer.path().text),
        5 => attribute_type(writer),
        6 => begins_with(writer),
        _ => contains(writer),
    }
}

/// A value to compare a path with: often what is there, otherwise mostly of its type.
fn beside(writer: &mut Writer<'_>, path: &Path) -> Value {
    match &path.found {
        Some(found) if writer.dice.percent(45) => found.clone(),
        _ if writer.dice.percent(12) => values::any(writer.dice, 1),
        _ => values::value(writer.dice, path.kind, 1),
    }
}

/// A path or its size, and a value to compare it with.
fn tested(writer: &mut Writer<'_>) -> (String, Value) {
    if writer.dice.percent(15) {
        let path = writer.path_to(&[
            Kind::S,
            Kind::B,
            Kind::Ss,
            Kind::Ns,
            Kind::Bs,
            Kind::L,
            Kind::M,
        ]);
        let number = json!({"N": writer.dice.between(0, 4).to_string()});
        return (format!("size({})", path.text), number);
    }
    let path = writer.path();
    let value = beside(writer, &path);
    (path.text, value)
}

fn comparison(writer: &mut Writer<'_>) -> String {
    let mut comparator = *writer.dice.pick(&COMPARATORS);
    if writer.dice.percent(40) {
        comparator = "=";
    }
    let (one, value) = tested(writer);
    // The service refuses an order between literals that have none.
    let ordered = matches!(kind_of(&value), Kind::S | Kind::N | Kind::B);
    if !ordered && !writer.wild && !matches!(comparator, "=" | "<>") {
        comparator = "=";
    }
    let two = if writer.dice.percent(12) {
        let path = writer.path().text;
        if path == one && !writer.wild {
            writer.value(value)
        } else {
            path
        }
    } else {
        writer.value(value)
    };
    let blank = *writer.dice.pick(&["", " "]);
    if writer.dice.percent(15) {
        return format!("{two}{blank}{comparator}{blank}{one}");
    }
    format!("{one}{blank}{comparator}{blank}{two}")
}

fn between(writer: &mut Writer<'_>) -> String {
    let (one, value) = tested(writer);
    let kind = match kind_of(&value) {
        kind @ (Kind::S | Kind::N | Kind::B) => kind,
        _ => Kind::N,
    };
    let (low, high) = match kind {
        Kind::N => {
            let low = writer.dice.between(-3, 5);
            let high = low + writer.dice.between(0, 6);
            (
                json!({"N": low.to_string()}),
                json!({"N": high.to_string()}),
            )
        }
        Kind::B => (json!({"B": "AA=="}), json!({"B": "YWI="})),
        _ => (json!({"S": "a"}), json!({"S": "b"})),
    };
    let (low, high) = if writer.wild {
        (high, low)
    } else {
        (low, high)
    };
    let low = if writer.dice.percent(10) {
        writer.path().text
    } else {
        writer.value(low)
    };
    let high = writer.value(high);
    let (word, and) = (writer.keyword("BETWEEN"), writer.keyword("AND"));
    format!("{one} {word} {low} {and} {high}")
}

fn one_of(writer: &mut Writer<'_>) -> String {
    let path = writer.path();
    let mut members = Vec::new();
    for _ in 0..=writer.dice.below(4) {
        let value = beside(writer, &path);
        members.push(writer.value(value));
    }
    format!(
        "{} {} ({})",
        path.text,
        writer.keyword("IN"),
        members.join(", ")
    )
}

fn attribute_type(writer: &mut Writer<'_>) -> String {
    let path = writer.path();
    let kind = if writer.dice.percent(50) {
        path.kind
    } else {
        *writer.dice.pick(&Kind::ALL)
    };
    let kind = if writer.wild { "FOO" } else { kind.name() };
    let kind = writer.value(json!({"S": kind}));
    format!("attribute_type({}, {kind})", path.text)
}

fn begins_with(writer: &mut Writer<'_>) -> String {
    let path = writer.path_to(&[Kind::S, Kind::B]);
    let prefix = match (path.kind, writer.wild) {
        (_, true) => values::any(writer.dice, 0),
        (Kind::B, _) => json!({"B": values::bytes(writer.dice)}),
        _ => json!({"S": values::text(writer.dice)}),
    };
    let prefix = writer.value(prefix);
    format!("begins_with({}, {prefix})", path.text)
}

fn contains(writer: &mut Writer<'_>) -> String {
    let path = writer.path_to(&[Kind::S, Kind::B, Kind::Ss, Kind::Ns, Kind::Bs, Kind::L]);
    let part = match path.kind {
        Kind::Ss | Kind::S => json!({"S": values::text(writer.dice)}),
        Kind::Ns => json!({"N": values::small(writer.dice)}),
        Kind::B => json!({"B": values::bytes(writer.dice)}),
        Kind::Bs => json!({"B": "AQ=="}),
        _ => {
            let found = path
                .found
                .as_ref()
                .and_then(|list| list["L"].get(0).cloned());
            found.unwrap_or_else(|| values::any(writer.dice, 0))
        }
    };
    let part = writer.value(part);
    format!("contains({}, {part})", path.text)
}
