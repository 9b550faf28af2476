//! Where a buyer goes back to after signing in.

/// The column's limit.
const LONGEST: usize = 500;

/// The path, if it leads to a page of this shop; else the first page. Browsers take `//`, `/\` and a path with tabs in
/// it for another host, so only what can be nothing else is taken.
pub(super) fn local_path(text: &str) -> &str {
    let second = text.as_bytes().get(1).copied();
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if text.starts_with('/') && second != Some(b'/') && plain && text.len() <= LONGEST { text } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages() {
        for own in ["/", "/orders", "/checkout/1?a=b&c=%2F%2Fx", "/a//b"] {
            assert_eq!(local_path(own), own);
        }
        for foreign in [
            "",
            "orders",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/ /evil.example",
            "/a\r\nset-cookie: x",
            "https://evil.example",
            "javascript:alert(1)",
            "\\\\evil.example",
            "/\u{2028}/evil.example",
        ] {
            assert_eq!(local_path(foreign), "/", "{foreign:?}");
        }
        assert_eq!(local_path(&format!("/{}", "x".repeat(500))), "/");
    }
}
