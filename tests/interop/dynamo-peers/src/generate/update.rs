//! Update expressions: SET, REMOVE, ADD and DELETE in any order and mixture.

use serde_json::json;

use super::values::{self, Kind};
use super::writer::{Path, Writer, clash};

pub(crate) fn update(writer: &mut Writer<'_>) -> String {
    let mut taken: Vec<Vec<String>> = Vec::new();
    let mut sections = ["SET", "REMOVE", "ADD", "DELETE"];
    writer.dice.shuffle(&mut sections);
    let mut parts = Vec::new();
    for section in sections {
        let share = if section == "SET" { 75 } else { 30 };
        if !writer.dice.percent(share) {
            continue;
        }
        let mut changes = Vec::new();
        for _ in 0..=writer.dice.weighted(&[5, 3, 2]) {
            changes.extend(change(writer, section, &mut taken));
        }
        if !changes.is_empty() {
            parts.push(format!(
                "{} {}",
                writer.keyword(section),
                changes.join(", ")
            ));
        }
    }
    if parts.is_empty() {
        let one = values::any(writer.dice, 2);
        let one = writer.value(one);
        return format!("SET txt = {one}");
    }
    parts.join(" ")
}

fn change(writer: &mut Writer<'_>, section: &str, taken: &mut Vec<Vec<String>>) -> Option<String> {
    let wanted: &[Kind] = match section {
        "ADD" => &[Kind::N, Kind::Ss, Kind::Ns, Kind::Bs],
        "DELETE" => &[Kind::Ss, Kind::Ns, Kind::Bs],
        _ => &Kind::ALL,
    };
    let path = writer.path_to(wanted);
    if taken.iter().any(|other| clash(other, &path.parts)) {
        return None;
    }
    // The keys of indexes take only their type.
    if matches!(path.parts[0].as_str(), "g1" | "g2") && section != "REMOVE" {
        let value = super::tables::key_value(writer.dice, path.kind, 3);
        let value = writer.value(value);
        taken.push(path.parts);
        return (section == "SET").then(|| format!("{} = {value}", path.text));
    }
    taken.push(path.parts.clone());
    Some(match section {
        "SET" => {
            let blank = *writer.dice.pick(&["", " "]);
            format!("{}{blank}={blank}{}", path.text, right_side(writer, &path))
        }
        "REMOVE" => path.text,
        _ => {
            let kind = match path.kind {
                kind if wanted.contains(&kind) => kind,
                _ => wanted[0],
            };
            let value = if writer.wild {
                values::any(writer.dice, 1)
            } else {
                values::value(writer.dice, kind, 0)
            };
            let value = writer.value(value);
            format!("{} {value}", path.text)
        }
    })
}

fn right_side(writer: &mut Writer<'_>, path: &Path) -> String {
    match writer.dice.weighted(&[40, 22, 14, 8, 12]) {
        0 => {
            let value = if writer.dice.percent(20) {
                values::any(writer.dice, 2)
            } else {
                values::value(writer.dice, path.kind, 2)
            };
            writer.value(value)
        }
        1 => {
            let sign = *writer.dice.pick(&["+", "-"]);
            let (one, two) = (number(writer, path), number(writer, path));
            let blank = *writer.dice.pick(&["", " "]);
            let sum = format!("{one}{blank}{sign}{blank}{two}");
            if writer.dice.percent(8) {
                format!("({sum})")
            } else {
                sum
            }
        }
        2 => if_not_exists(writer, path.kind, path),
        3 => writer.path().text,
        _ => {
            let (one, two) = (list(writer), list(writer));
            format!("list_append({one}, {two})")
        }
    }
}

fn if_not_exists(writer: &mut Writer<'_>, kind: Kind, own: &Path) -> String {
    let path = if writer.dice.percent(50) {
        own.text.clone()
    } else {
        writer.path_to(&[kind]).text
    };
    let value = values::value(writer.dice, kind, 1);
    let value = writer.value(value);
    format!("if_not_exists({path}, {value})")
}

/// An operand of a sum.
fn number(writer: &mut Writer<'_>, own: &Path) -> String {
    match writer.dice.weighted(&[50, 30, 15]) {
        0 => {
            let number = if writer.dice.percent(70) {
                values::small(writer.dice)
            } else {
                values::number(writer.dice)
            };
            let value = if writer.wild {
                values::any(writer.dice, 0)
            } else {
                json!({"N": number})
            };
            writer.value(value)
        }
        1 if own.kind == Kind::N && own.found.is_some() => own.text.clone(),
        1 => writer.path_to(&[Kind::N]).text,
        _ => {
            let path = writer.path_to(&[Kind::N]);
            if_not_exists(writer, Kind::N, &path)
        }
    }
}

/// An operand of `list_append`.
fn list(writer: &mut Writer<'_>) -> String {
    if writer.dice.percent(40) {
        let path = writer.path_to(&[Kind::L]);
        if path.found.is_some() || writer.dice.percent(20) {
            return path.text;
        }
        return if_not_exists(writer, Kind::L, &path);
    }
    let kind = if writer.wild { Kind::S } else { Kind::L };
    let value = values::value(writer.dice, kind, 1);
    writer.value(value)
}

/// A projection: paths that do not meet.
pub(crate) fn projection(writer: &mut Writer<'_>) -> String {
    let mut taken: Vec<Vec<String>> = Vec::new();
    let mut paths = Vec::new();
    for _ in 0..=writer.dice.below(4) {
        let path = writer.path();
        if writer.wild || !taken.iter().any(|other| clash(other, &path.parts)) {
            paths.push(path.text);
            taken.push(path.parts);
        }
    }
    paths.join(", ")
}
