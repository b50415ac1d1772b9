//! Texts over several lines of a column. Pure.

use super::super::text::width;

/// What of a text stays together on a line, where it fits.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    for (at, character) in text.char_indices() {
        let end = at + character.len_utf8();
        if breaks_after(&text[..at], character, &text[end..]) {
            pieces.push(&text[begin..end]);
            begin = end;
        }
    }
    pieces.push(&text[begin..]);
    pieces
}

/// `20 KiB`, `2026-01-31` and `10.0.0.1:80` stay whole; lists, paths and names of several words need not.
fn breaks_after(before: &str, character: char, after: &str) -> bool {
    let next_is_letter = after.starts_with(char::is_alphabetic);
    match character {
        ' ' => !before.ends_with(is_digit) || after.starts_with(is_digit),
        ',' | '/' | '>' => !after.is_empty() && !after.starts_with(' '),
        '-' => next_is_letter && before.ends_with(char::is_alphanumeric),
        '_' | '.' | '=' | '@' => next_is_letter,
        // The port of an address of IPv6.
        ']' => after.starts_with(':'),
        _ => false,
    }
}

fn is_digit(character: char) -> bool {
    character.is_ascii_digit()
}

/// How wide a column has to be so that nothing of this is broken in the middle.
pub(super) fn longest_piece(text: &str) -> usize {
    let widths = pieces(text).into_iter();
    let widths = widths.map(|piece| width(piece.trim_end()));
    widths.max().unwrap_or_default()
}

/// The lines of a text in a column so wide, at least one; all are indented as the first is.
pub(super) fn lines(text: &str, columns: usize) -> Vec<String> {
    let words = text.trim_start();
    let indent = &text[..text.len() - words.len()];
    let lines = filled(words, columns.saturating_sub(width(indent)));
    let indented = lines.into_iter().map(|line| format!("{indent}{line}"));
    indented.map(|line| line.trim_end().to_owned()).collect()
}

fn filled(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in pieces(text) {
        let line = lines.last_mut().expect("there is a first line");
        let together = format!("{line}{piece}");
        if width(together.trim_end()) <= columns {
            *line = together;
            continue;
        }
        if line.is_empty() {
            lines.pop();
        }
        lines.extend(parts(piece, columns));
    }
    lines
}

/// A piece that may be wider than its column. A character that is two columns wide is never halved.
fn parts(piece: &str, columns: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    for character in piece.chars() {
        let longer = format!("{part}{character}");
        if width(longer.trim_end()) > columns && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
        }
        part.push(character);
    }
    parts.push(part);
    parts
}

/// The first of the lines, with `…` for what is left out.
pub(super) fn first(mut lines: Vec<String>, count: usize, columns: usize) -> Vec<String> {
    if lines.len() <= count {
        return lines;
    }
    lines.truncate(count);
    if let Some(last) = lines.last_mut() {
        while width(last) >= columns && last.pop().is_some() {}
        last.push('…');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_breaks_where_its_parts_end() {
        for (text, columns, expected) in [
            ("az=eu-1a,ssd", 9, vec!["az=eu-1a,", "ssd"]),
            (
                "crew-quarters-of-the-cellar",
                14,
                vec!["crew-quarters-", "of-the-cellar"],
            ),
            (
                "0.0.0.0:80->80/tcp, 0.0.0.0:443->443/tcp",
                20,
                vec!["0.0.0.0:80->80/tcp,", "0.0.0.0:443->443/tcp"],
            ),
            ("2026-01-31 12:00:00Z", 12, vec!["2026-01-31", "12:00:00Z"]),
            ("offline 5 min", 8, vec!["offline", "5 min"]),
            ("loss 3.1 %", 8, vec!["loss", "3.1 %"]),
            (
                "[2001:db8:0:17::2:1f]:54321",
                22,
                vec!["[2001:db8:0:17::2:1f]", ":54321"],
            ),
            ("  shop-cache", 8, vec!["  shop-", "  cache"]),
            ("", 5, vec![""]),
        ] {
            assert_eq!(lines(text, columns), expected, "{text}");
        }
    }

    #[test]
    fn what_has_no_parts_breaks_between_characters() {
        assert_eq!(lines("d1d1d1d1d1", 4), ["d1d1", "d1d1", "d1"]);
        assert_eq!(lines("データセンター", 5), ["デー", "タセ", "ンタ", "ー"]);
        assert_eq!(lines("a b0123456789", 6), ["a", "b01234", "56789"]);
    }

    #[test]
    fn what_is_left_out_is_marked_within_the_column() {
        let long = lines("one two three four", 5);
        assert_eq!(first(long.clone(), 4, 5), long);
        assert_eq!(first(long, 3, 5), ["one", "two", "thre…"]);
    }
}
