//! Text of foreign origin, made fit for a line of a terminal.

use std::borrow::Cow;

/// Whether a character stands for itself on a terminal: not a control character, which moves the cursor,
/// colours or hides what follows, and none of those that turn the direction of writing.
fn is_plain(char: char) -> bool {
    let turns =
        matches!(char, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(char, '\u{2028}' | '\u{2029}');
    !(char.is_control() || turns || breaks)
}

/// Whether every character of a text stands for itself on a terminal.
pub fn is_plain_text(text: &str) -> bool {
    text.chars().all(is_plain)
}

/// A text with escapes such as `\u{1b}` and `\n` for all that would not stand for itself on a terminal:
/// names from files that others wrote are printed through it.
///
/// ```
/// assert_eq!(bnn_core::plain("cat"), "cat");
/// assert_eq!(bnn_core::plain("\u{1b}[2Jcat\n"), r"\u{1b}[2Jcat\n");
/// ```
pub fn plain(text: &str) -> Cow<'_, str> {
    if is_plain_text(text) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if is_plain(char) { escaped.push(char) } else { escaped.extend(char.escape_default()) }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_or_turns_the_text_is_escaped() {
        for plain_text in ["", "cat 7", "Käse \"ß\" \\ 貓 🐈 e\u{301}"] {
            assert_eq!(plain(plain_text), plain_text);
        }
        for (text, want) in [
            ("a\tb\r\n", r"a\tb\r\n"),
            ("\0\u{7}\u{7f}", r"\u{0}\u{7}\u{7f}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("\u{202e}gpj.exe\u{2069}", r"\u{202e}gpj.exe\u{2069}"),
            ("one\u{2028}two", r"one\u{2028}two"),
        ] {
            assert_eq!(plain(text), want);
            assert!(!is_plain_text(text) && is_plain_text(&plain(text)));
        }
    }
}
