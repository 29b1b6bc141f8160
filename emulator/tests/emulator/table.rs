//! The table of operations in `docs/operations.md` is complete, and every test that it names exists.
//!
//! `model_errors.txt` lists the operations of the service's model with the errors it names for each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Operations with what is said of their outcomes.
type Table = BTreeMap<String, BTreeMap<String, String>>;

const REPLY: &str = "reply";
const COMMON: &str = "Every operation";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The sections of the document and the rows of their tables.
fn table() -> Table {
    let text = fs::read_to_string(root().join("../docs/operations.md")).unwrap();
    let mut table = Table::new();
    let mut section = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            assert!(!table.contains_key(name), "{name} stands there twice");
            section = Some(table.entry(name.to_owned()).or_default());
            continue;
        }
        let Some(section) = section.as_mut().filter(|_| line.starts_with('|')) else {
            continue;
        };
        let cells: Vec<_> = line
            .trim_matches('|')
            .splitn(2, '|')
            .map(str::trim)
            .collect();
        let [outcome, shown] = cells[..] else {
            panic!("not two cells: {line}");
        };
        if outcome == "outcome" || outcome.starts_with("--") {
            continue;
        }
        let before = section.insert(outcome.to_owned(), shown.to_owned());
        assert_eq!(before, None, "said twice: {line}");
    }
    table
}

/// The errors that the service's model names, by operation.
fn model() -> BTreeMap<&'static str, Vec<&'static str>> {
    let lines = include_str!("model_errors.txt").lines();
    lines
        .map(|line| {
            let (operation, errors) = line.split_once(": ").unwrap();
            (operation, errors.split_whitespace().collect())
        })
        .collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The file of a test that is named as `file::name`, and whether it has that test.
fn find(test: &str) -> Option<String> {
    let (file, name) = test.rsplit_once("::")?;
    let places = ["tests/emulator", "src"].map(|dir| root().join(dir).join(format!("{file}.rs")));
    let text = places
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())?;
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let is_it = |line: &str| {
        let rest = line
            .strip_prefix("async ")
            .unwrap_or(line)
            .strip_prefix("fn ");
        let rest = rest.and_then(|rest| rest.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with('('))
    };
    let place = lines.iter().position(|line| is_it(line))?;
    // A property test has its attribute inside of the macro, and so has any other.
    let is_test = lines[place.saturating_sub(4)..place]
        .iter()
        .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
    is_test.then_some(text)
}

#[test]
fn every_operation_and_every_error_of_the_model_is_in_the_table() {
    let table = table();
    let model = model();
    assert_eq!(model.len(), 39);
    let mut missing = Vec::new();
    for (operation, errors) in &model {
        let said = table.get(*operation);
        for outcome in errors.iter().chain([&REPLY]) {
            if said.is_none_or(|said| !said.contains_key(*outcome)) {
                missing.push(format!("{operation}: {outcome}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "not in docs/operations.md: {missing:#?}"
    );
    let strange: Vec<_> = table
        .keys()
        .filter(|section| *section != COMMON && !model.contains_key(section.as_str()))
        .collect();
    assert!(strange.is_empty(), "no operations: {strange:?}");
}

#[test]
fn every_row_names_tests_that_exist_or_a_reason() {
    let mut wrong = Vec::new();
    for (operation, rows) in table() {
        for (outcome, cell) in rows {
            let is_reason = cell
                .strip_prefix("never: ")
                .is_some_and(|why| why.split_whitespace().count() > 3);
            if is_reason {
                continue;
            }
            let row = format!("{operation}, {outcome}");
            if quoted(&cell).next().is_none() {
                wrong.push(format!("{row}: neither a test nor a reason: {cell}"));
            }
            for test in quoted(&cell) {
                match find(test) {
                    None => wrong.push(format!("{row}: there is no test {test}")),
                    // A file that never names the error cannot show it.
                    Some(text) if outcome != REPLY && !names(&text, &outcome) => {
                        wrong.push(format!("{row}: {test} is in a file that never names it"));
                    }
                    Some(_) => {}
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether a source names an error, as the wire or as the code does.
fn names(text: &str, error: &str) -> bool {
    text.contains(error.strip_suffix("Exception").unwrap_or(error))
}
