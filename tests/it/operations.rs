//! docs/operations.md says what every alarm means: a line at level ERROR that it does not know fails here.

use std::fs;
use std::path::Path;

/// The text of a log line in the documentation: `…` stands for anything.
fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(end) = parts.next_back() else { return rest.is_empty() };
    let Some(mut rest) = rest.strip_suffix(end) else { return false };
    parts.all(|part| rest.split_once(part).map(|(_, after)| rest = after).is_some())
}

/// All that is written as code in the first column of a table.
fn documented(text: &str) -> Vec<&str> {
    let firsts = text.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    firsts.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

/// The messages of every `error!` of a file, placeholders as `…`.
fn alarms(code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.split("error!(").skip(1).map(message).collect()
}

/// The message of a log macro is the last text of its arguments.
fn message(arguments: &str) -> String {
    let (mut depth, mut quoted, mut message, mut text) = (1, false, String::new(), String::new());
    let mut characters = arguments.chars();
    while let Some(character) = characters.next() {
        match (quoted, character) {
            (true, '\\') => text.extend(characters.next()),
            (_, '"') => {
                quoted = !quoted;
                message = std::mem::take(&mut text);
            }
            (true, other) => text.push(other),
            (false, '(') => depth += 1,
            (false, ')') => depth -= 1,
            (false, _) => {}
        }
        if depth == 0 {
            break;
        }
    }
    let mut parts = message.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| line + "…" + part.split_once('}').map_or(part, |(_, after)| after))
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_name() != Some("tests.rs".as_ref())
        {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_alarm_has_a_line_that_says_what_to_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let documented = documented(&text);
    let mut code = Vec::new();
    for folder in ["services", "shared", "pubsub-setup"] {
        for part in fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            // The sandbox is never deployed.
            if part.file_name() != Some("sandbox".as_ref()) && part.join("src").is_dir() {
                sources(&part.join("src"), &mut code);
            }
        }
    }
    let alarms: Vec<_> = code.iter().flat_map(|code| alarms(code)).collect();
    assert!(alarms.len() > 20, "{alarms:?}");
    let unknown: Vec<_> = alarms.iter().filter(|alarm| !documented.iter().any(|it| matches(it, alarm))).collect();
    assert!(unknown.is_empty(), "not in docs/operations.md: {unknown:#?}");
}

#[test]
fn lines_are_recognized() {
    assert_eq!(
        alarms(r#"error!(order.id = %id, code = f("x"), "Order {id} is \"{state}\" now");"#),
        ["Order … is \"…\" now"]
    );
    assert!(matches("Order … is …", "Order … is \"…\" now") && matches("The end", "The end"));
    for pattern in ["Order …", "… now"] {
        assert!(matches(pattern, "Order … is now"), "{pattern}");
    }
    for pattern in ["Order", "now", "order …", "Order … was …"] {
        assert!(!matches(pattern, "Order … is now"), "{pattern}");
    }
}
