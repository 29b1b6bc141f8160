//! The check that no row is without a case, no case without a row, and no choice of ours without its documentation.

use std::collections::BTreeSet;

use libtest_mimic::{Failed, Trial};

use crate::mapping::every_setting_is_documented;
use crate::rows::{Kind, Row, rows};
use crate::suite::Case;

/// What must hold of the index and these cases.
pub(crate) fn checks(cases: &[Case]) -> Vec<Trial> {
    let used: Vec<_> = cases.iter().flat_map(|case| case.rows).copied().collect();
    let bare = cases.iter().filter(|case| case.rows.is_empty());
    let bare: Vec<_> = bare.map(Case::title).collect();
    let titles: Vec<_> = cases.iter().map(Case::title).collect();
    let check = |name: &str, check: Box<dyn FnOnce() -> Result<(), Failed> + Send>| {
        Trial::test(format!("index: {name}"), check)
    };
    let with_cases: BTreeSet<_> = used.iter().copied().collect();
    vec![
        check(
            "every row has a case",
            Box::new(move || none("rows without a case", rows_without(&with_cases))),
        ),
        check(
            "every case names rows",
            Box::new(move || {
                let known: BTreeSet<_> = rows().map(|row| row.name).collect();
                let unknown = used.into_iter().filter(|row| !known.contains(row));
                let unknown = unknown.map(str::to_owned).chain(bare);
                none("cases of rows that are not in the index", unknown)
            }),
        ),
        check(
            "names are there once",
            Box::new(move || {
                let rows = twice(rows().map(|row| row.name.to_owned()));
                none("names", rows.chain(twice(titles.into_iter())))
            }),
        ),
        check(
            "every setting is documented",
            Box::new(|| {
                every_setting_is_documented();
                Ok(())
            }),
        ),
        check(
            "every choice of ours is documented",
            Box::new(|| {
                none(
                    "questions that docs/lambda.md does not answer",
                    undocumented()?.into_iter(),
                )
            }),
        ),
    ]
}

fn none(what: &str, found: impl Iterator<Item = String>) -> Result<(), Failed> {
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(format!("{what}:\n  {}", found.join("\n  ")).into())
}

fn rows_without(cases: &BTreeSet<&str>) -> impl Iterator<Item = String> {
    let without = rows().filter(|row| match row.kind {
        Kind::Known | Kind::Ours(_) => !cases.contains(row.name),
        Kind::In(file) => !has_test(file, row.name),
    });
    without.map(|row: &Row| format!("{}: {}", row.name, row.says))
}

/// Whether a test in this file has the row in its comment.
fn has_test(file: &str, row: &str) -> bool {
    let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let comment = format!("/// {row}:");
    let is_test =
        |pair: &[&str]| pair[0].starts_with(&comment) && pair[1].starts_with("#[tokio::test");
    lines.windows(2).any(is_test)
}

fn twice(names: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let mut seen = BTreeSet::new();
    names.filter(move |name| !seen.insert(name.clone()))
}

/// Questions without a line, and a choice in it, in the page's table.
fn undocumented() -> Result<Vec<String>, Failed> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lambda.md");
    let page = std::fs::read_to_string(page)?;
    let answered = |question: &str| {
        page.lines().any(|line| {
            let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
            cells.next() == Some(question) && cells.next().is_some_and(|choice| !choice.is_empty())
        })
    };
    let questions = rows().filter_map(|row| match row.kind {
        Kind::Ours(question) => Some(question),
        Kind::Known | Kind::In(_) => None,
    });
    Ok(questions
        .filter(|question| !answered(question))
        .map(str::to_owned)
        .collect())
}
