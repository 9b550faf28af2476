//! The command's output for its user. Logs go through `tracing` instead.

use std::io::{self, Write as _};

/// The command's result, on standard output.
pub(crate) fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Why there is none, on standard error.
pub(crate) fn complain(text: &str) {
    // There is nobody left to tell if this fails.
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// Pads a text to so many columns of a terminal, where a Korean syllable takes two.
pub(crate) fn column(text: &str, columns: usize) -> String {
    let taken: usize = text.chars().map(|c| if ('\u{1100}'..='\u{ffdc}').contains(&c) { 2 } else { 1 }).sum();
    format!("{text}{}", " ".repeat(columns.saturating_sub(taken)))
}

/// Won as people write them.
pub(crate) fn won(amount: i64) -> String {
    let digits = amount.unsigned_abs().to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|it| str::from_utf8(it).ok()).collect();
    format!("{}{}", if amount < 0 { "-" } else { "" }, groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn korean_is_twice_as_wide() {
        assert_eq!(column("가게 shop", 12), "가게 shop   ");
        assert_eq!(column("shop", 2), "shop");
    }

    #[test]
    fn won_are_grouped() {
        assert_eq!([0, 999, 1_000, -1_234_567].map(won), ["0", "999", "1,000", "-1,234,567"]);
    }
}
