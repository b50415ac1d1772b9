//! The words of an expression.

use std::ops::Range;

use super::Fault;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// A name: letters, digits, `_` and `-`, perhaps a `?` at the end.
    Name(String),
    Text(String),
    Integer(i64),
    Float(f64),
    /// `==`, `!=`, `<>`, `<`, `>`, `<=`, `>=`.
    Comparison(&'static str),
    /// `..`
    Dots,
    /// One of `|.:,[]()=`.
    Sign(char),
}

/// A word and the byte of the source where it stands.
pub(super) type Placed = (usize, Word);

/// The most words of one expression: it bounds the work that a tag can cost.
const MAX_WORDS: usize = 1_000;

pub(super) fn words(source: &str, range: Range<usize>) -> Result<Vec<Placed>, Fault> {
    let mut words = Vec::new();
    let mut at = range.start;
    while let Some(first) = source[at..range.end].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (word, length) = word(&source[at..range.end], first, at)?;
        words.push((at, word));
        at += length;
        if words.len() > MAX_WORDS {
            return Err(Fault::new(at, "this expression is too long"));
        }
    }
    Ok(words)
}

fn word(rest: &str, first: char, at: usize) -> Result<(Word, usize), Fault> {
    if first.is_ascii_alphabetic() || first == '_' {
        let length = name_length(rest);
        return Ok((Word::Name(rest[..length].to_owned()), length));
    }
    if first == '"' || first == '\'' {
        return quoted(rest, first, at);
    }
    let digit = |c: char| c.is_ascii_digit();
    if digit(first) || first == '-' && rest[1..].starts_with(digit) {
        return number(rest, at);
    }
    for sign in ["==", "!=", "<>", "<=", ">=", "<", ">"] {
        if rest.starts_with(sign) {
            return Ok((Word::Comparison(sign), sign.len()));
        }
    }
    if rest.starts_with("..") {
        return Ok((Word::Dots, 2));
    }
    if "|.:,[]()=".contains(first) {
        return Ok((Word::Sign(first), 1));
    }
    Err(Fault::new(
        at,
        format!("`{first}` is no part of a Liquid expression"),
    ))
}

fn name_length(rest: &str) -> usize {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    length + usize::from(rest[length..].starts_with('?'))
}

fn quoted(rest: &str, quote: char, at: usize) -> Result<(Word, usize), Fault> {
    let Some(end) = rest[1..].find(quote) else {
        return Err(Fault::new(at, "the quote is not closed"));
    };
    Ok((Word::Text(rest[1..=end].to_owned()), end + 2))
}

fn number(rest: &str, at: usize) -> Result<(Word, usize), Fault> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(rest.starts_with('-'));
    let whole = sign + digits(&rest[sign..]);
    let fraction = rest[whole..].strip_prefix('.').map_or(0, digits);
    if fraction > 0 {
        let length = whole + 1 + fraction;
        let number = rest[..length].parse();
        let number = number.map_err(|_| Fault::new(at, "this is no number"))?;
        return Ok((Word::Float(number), length));
    }
    let number = rest[..whole].parse();
    let number = number.map_err(|_| Fault::new(at, "this number is too large"))?;
    Ok((Word::Integer(number), whole))
}
