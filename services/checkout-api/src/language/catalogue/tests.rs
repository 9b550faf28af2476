use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};

use super::*;

/// Each message's key and the names of what is put into it.
fn messages(catalogue: &'static str) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let parsed = fluent_syntax::parser::parse(catalogue).expect("a catalogue without mistakes");
    let entries = parsed.body.into_iter().filter_map(|entry| match entry {
        Entry::Message(message) => Some((message.id.name, message.value.expect("a text"))),
        _ => None,
    });
    let mut all = BTreeMap::new();
    for (key, text) in entries {
        let mut names = BTreeSet::new();
        collect(&text, &mut names);
        assert!(all.insert(key, names).is_none(), "{key} is there twice");
    }
    all
}

fn collect(text: &Pattern<&'static str>, names: &mut BTreeSet<&'static str>) {
    for element in &text.elements {
        let PatternElement::Placeable { expression } = element else { continue };
        let asked = match expression {
            Expression::Inline(asked) => asked,
            Expression::Select { selector, variants } => {
                for variant in variants {
                    collect(&variant.value, names);
                }
                selector
            }
        };
        if let InlineExpression::VariableReference { id } = asked {
            names.insert(id.name);
        }
    }
}

fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, ending, found);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), ending, &mut found);
    found
}

#[test]
fn both_catalogues_say_the_same_things() {
    let (korean, english) = (messages(KOREAN), messages(ENGLISH));
    assert_eq!(korean, english);
}

#[test]
fn what_is_said_is_in_the_catalogue_and_what_is_there_is_said() {
    let known = messages(KOREAN);
    let mut places = [files("templates", ".html"), files("src", ".rs")].concat();
    places.retain(|(place, _)| !place.ends_with("tests.rs"));
    let quoted = |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    for (place, text) in &places {
        // `say("title")`, and where a title and a text are said together, both.
        for said in text.split("say(\"").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            for key in quoted(&format!("\"{said}")) {
                assert!(known.contains_key(key.as_str()), "{place} says {key}, which no catalogue has");
            }
        }
    }
    // Keys that are chosen first and said later belong to a family.
    let families = ["bank-", "method-", "past-", "refused-", "status-"];
    for (place, text) in files("src/pages", ".rs") {
        for key in text.lines().flat_map(quoted).filter(|key| families.iter().any(|family| key.starts_with(family))) {
            assert!(known.contains_key(key.as_str()), "{place} chooses {key}, which no catalogue has");
        }
    }
    for key in known.keys() {
        let literal = format!("\"{key}\"");
        assert!(places.iter().any(|(_, text)| text.contains(&literal)), "nobody says {key}");
    }
}

#[test]
fn no_template_has_a_text_of_its_own() {
    for (place, template) in files("templates", ".html") {
        let marks = [("{#", "#}"), ("{%", "%}"), ("{{", "}}")];
        let text = marks.iter().fold(template, |text, (open, close)| without(&text, open, close));
        for attribute in ["alt", "title", "placeholder", "aria-label", "content"] {
            for value in text.split(&format!(" {attribute}=\"")).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                let machine = ["width=device-width", "light dark", "#"].iter().any(|start| value.starts_with(start));
                assert!(machine || !value.chars().any(char::is_alphabetic), "{place}: {attribute}=\"{value}\"");
            }
        }
        let text = without(&text, "<", ">");
        assert!(!text.chars().any(char::is_alphabetic), "{place}: {}", text.split_whitespace().collect::<String>());
    }
}

/// The text without what stands between these marks.
fn without(text: &str, open: &str, close: &str) -> String {
    text.split(open)
        .enumerate()
        .map(|(n, part)| if n == 0 { part } else { part.split_once(close).unwrap().1 })
        .collect()
}

#[test]
fn a_message_is_told_with_what_belongs_into_it() {
    assert_eq!(Language::Korean.say("stock-left").with("count", 3).to_string(), "재고 3개");
    assert_eq!(Language::English.say("stock-left").with("count", 1).to_string(), "1 left");
    assert_eq!(Language::Korean.say("no-such-key").to_string(), "no-such-key");
}
