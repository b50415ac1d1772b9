//! `$NAME` and `${NAME}` in the text of a file.
//!
//! A name is letters, digits and `_`; the closing bracket may be missing. `$$` is none, and neither is a
//! `$` before anything else. Lines that begin with `interpolate:` or `evaluate:` are left alone: what
//! is in them is filled in when the variable is resolved.

use std::ops::Range;

use crate::text::Rendered;
use crate::value::{Value, quoted};

/// A `$NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// All of it, with the `$` and the brackets.
    pub(crate) range: Range<usize>,
    pub(crate) name: Range<usize>,
    /// Whether a `{` is not closed right behind the name.
    pub(crate) is_open: bool,
}

/// The references in a text, lines that are left alone excepted.
pub(crate) fn references(text: &str) -> Vec<Reference> {
    let mut references = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if !is_left_alone(line) {
            references_in(line, start, &mut references);
        }
        start += line.len();
    }
    references
}

/// The references in a text of one value.
pub(crate) fn references_of_value(text: &str) -> Vec<Reference> {
    let mut references = Vec::new();
    references_in(text, 0, &mut references);
    references
}

fn is_left_alone(line: &str) -> bool {
    let content = line.trim_start();
    content.starts_with("interpolate:") || content.starts_with("evaluate:")
}

fn references_in(line: &str, start: usize, references: &mut Vec<Reference>) {
    let bytes = line.as_bytes();
    let mut at = 0;
    while let Some(found) = line[at..].find('$') {
        let dollar = at + found;
        let doubled_before = dollar > 0 && bytes[dollar - 1] == b'$';
        let reference = reference_at(line, dollar).filter(|_| !doubled_before);
        at = dollar + 1;
        if let Some(reference) = reference {
            at = reference.range.end;
            let shift = |range: Range<usize>| range.start + start..range.end + start;
            references.push(Reference {
                range: shift(reference.range),
                name: shift(reference.name),
                ..reference
            });
        }
    }
}

fn reference_at(line: &str, dollar: usize) -> Option<Reference> {
    let bracket = line[dollar + 1..].starts_with('{');
    let from = dollar + 1 + usize::from(bracket);
    let rest = &line[from..];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    let closed = rest[length..].starts_with('}');
    (length > 0).then(|| Reference {
        range: dollar..from + length + usize::from(closed),
        name: from..from + length,
        is_open: bracket && !closed,
    })
}

/// `text` with what `fill` makes of each reference, given with its place in the source.
pub(crate) fn fill(
    text: &Rendered,
    mut fill: impl FnMut(&str, &Reference, usize) -> String,
) -> Rendered {
    let mut filled = Rendered::default();
    let mut at = 0;
    for reference in references(&text.text) {
        filled.push_part(text, at..reference.range.start);
        let origin = text.origin(reference.range.start);
        let name = &text.text[reference.name.clone()];
        filled.push_made(&fill(name, &reference, origin), origin);
        at = reference.range.end;
    }
    filled.push_part(text, at..text.text.len());
    undouble(&filled)
}

/// `$$` becomes `$`.
fn undouble(text: &Rendered) -> Rendered {
    let mut single = Rendered::default();
    let mut at = 0;
    while let Some(found) = text.text[at..].find("$$") {
        let second = at + found + 1;
        single.push_part(text, at..second);
        at = second + 1;
    }
    single.push_part(text, at..text.text.len());
    single
}

/// How a variable's value is put into the text of a file: a text that would break out of its line or
/// its quotes is put in as a quoted one.
pub(crate) fn written(value: &Value) -> String {
    match value.as_text() {
        Some(text) if text.contains(['\r', '\n', '"', '\'', '|']) => quoted(text),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_as_kontena_finds_them() {
        for (text, expected) in [
            ("a $X b", vec!["$X"]),
            ("${X}y$Z_1.", vec!["${X}", "$Z_1"]),
            ("$$X $${X} $$$X", vec![]),
            ("${X", vec!["${X"]),
            ("${X:-y}", vec!["${X"]),
            ("$X$Y", vec!["$X", "$Y"]),
            ("^a$ $( $- $", vec![]),
            ("$ä$1", vec!["$1"]),
            ("  interpolate: $X", vec![]),
            ("evaluate: $X\n$Y", vec!["$Y"]),
        ] {
            let found = references(text).into_iter();
            let found: Vec<&str> = found.map(|reference| &text[reference.range]).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn doubled_dollars_become_single_ones_and_keep_their_places() {
        let text = Rendered::original("a$$b$X$$");
        let filled = fill(&text, |name, _, _| name.to_lowercase());
        assert_eq!(filled.text, "a$bx$");
        let origins: Vec<usize> = (0..5).map(|at| filled.origin(at)).collect();
        assert_eq!(origins, [0, 1, 3, 4, 6]);
    }

    #[test]
    fn a_value_that_would_break_out_is_quoted() {
        for (value, expected) in [
            (Value::from("a b"), "a b"),
            (Value::from("a\nb"), "\"a\\nb\""),
            (Value::from("a|b"), "\"a|b\""),
            (Value::from("it's"), "\"it's\""),
            (Value::List(vec!["a".into()]), "[\"a\"]"),
            (Value::Integer(3), "3"),
        ] {
            assert_eq!(written(&value), expected);
        }
    }
}
