//! docs/api.md names every route, and every code that a problem may have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document() -> String {
    fs::read_to_string(root().join("docs/api.md")).unwrap()
}

/// All sources of what answers buyers.
fn sources() -> Vec<String> {
    let mut folders = vec![root().join("services/checkout-api/src"), root().join("shared/service/src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name() != Some("tests.rs".as_ref()) {
                let source = fs::read_to_string(path).unwrap();
                sources.push(source.split("#[cfg(test)]").next().unwrap().to_owned());
            }
        }
    }
    sources
}

/// `StatusCode::CONFLICT, "wrong-state"` and `StatusCode::NOT_FOUND => "not-found"`.
fn codes(source: &str) -> impl Iterator<Item = &str> {
    source.split("StatusCode::").skip(1).filter_map(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_uppercase() || c == '_').trim_start();
        let rest = rest.strip_prefix(',').or_else(|| rest.strip_prefix("=>"))?;
        let (code, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
        code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-').then_some(code)
    })
}

#[test]
fn every_code_has_a_row_that_says_what_to_do() {
    let document = document();
    let (_, problems) = document.split_once("## Problems").unwrap();
    let rows = problems.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(code, _)| code);
    let rows: BTreeSet<_> = rows.collect();
    let sources = sources();
    let codes: BTreeSet<_> = sources.iter().flat_map(|source| codes(source)).collect();
    assert!(codes.len() > 15, "{codes:?}");
    let missing: Vec<_> = codes.difference(&rows).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

#[test]
fn every_route_is_described() {
    let (document, sources) = (document(), sources());
    let routes = sources.iter().flat_map(|source| source.split(".route(\"").skip(1));
    let routes = routes.filter_map(|rest| rest.split_once('"')).map(|(route, _)| route);
    let routes: Vec<_> = routes.filter(|it| it.starts_with("/api/") || it.starts_with("/admin/")).collect();
    assert!(routes.len() > 10, "{routes:?}");
    for route in routes {
        assert!(document.contains(route), "{route}");
    }
}
