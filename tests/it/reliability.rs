//! docs/reliability.md names a test for each way in which things go wrong, and every invariant.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use database::verify;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of a table of the document: first cell, and last.
fn rows(table: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let (_, rest) = text.split_once(&format!("<!-- {table} -->\n")).unwrap();
    let (table, _) = rest.split_once(&format!("<!-- /{table} -->")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        (cells[0].to_owned(), (*cells.last().unwrap()).to_owned())
    };
    table.lines().skip(2).map(row).collect()
}

fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_failure_has_a_row_and_every_test_that_is_named_exists() {
    let rows = rows("failures");
    let numbers = (1..=16).chain(20..=29).chain(30..=46).chain(50..=59).chain(60..=78);
    let mut expected: Vec<String> = numbers.map(|n| format!("F{n}")).collect();
    expected.splice(26..26, ["F2A".to_owned(), "F2B".to_owned()]);
    assert_eq!(rows.iter().map(|(number, _)| number.clone()).collect::<Vec<_>>(), expected);
    for (number, shown_by) in rows {
        let tests: Vec<_> = quoted(&shown_by).filter_map(|it| it.split_once("::")).collect();
        assert!(!tests.is_empty() || shown_by.starts_with("not shown: "), "{number}: {shown_by}");
        for (file, test) in tests {
            let source = fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("{number}: no file {file}"));
            assert!(source.contains(&format!("fn {test}(")), "{number}: no test {test} in {file}");
        }
    }
}

#[test]
fn every_invariant_is_named_and_every_name_is_one() {
    let provider = verify::PROVIDER.iter().chain(&verify::PHONES).chain([&verify::BOOK]).map(|(name, _)| *name);
    let known: BTreeSet<&str> =
        verify::always().iter().chain(verify::drained()).map(|it| it.name).chain(provider).collect();
    let rows = rows("invariants");
    let foreign = ["CHECK", "payments_done", "jumun statement"];
    let named = rows.iter().flat_map(|(_, here)| quoted(here)).filter(|name| !foreign.contains(name));
    assert_eq!(named.collect::<BTreeSet<_>>(), known);
}
