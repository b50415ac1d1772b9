//! A file's text, and texts made of it that still know where each part comes from.

use std::ops::Range;

/// A place in a file. Both count from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// A file as it was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// As problems name it.
    pub name: String,
    pub text: String,
    /// The byte at which each line begins.
    starts: Vec<usize>,
}

impl Source {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1));
        Self {
            name: name.into(),
            starts: starts.collect(),
            text,
        }
    }

    /// Where byte `at` stands; one behind the end stands at the end.
    pub fn position(&self, at: usize) -> Position {
        let at = self.text.floor_char_boundary(at);
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts[line - 1];
        Position {
            line,
            column: self.text[start..at].chars().count() + 1,
        }
    }

    /// The text of a line without its end; `line` counts from 1.
    pub fn line(&self, line: usize) -> &str {
        let start = self.starts.get(line - 1).copied();
        let rest = start.map_or("", |start| &self.text[start..]);
        rest.lines().next().unwrap_or_default()
    }
}

/// A text made from a source, of which every byte has an origin there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    pieces: Vec<Piece>,
}

/// What follows `start`, up to the next piece.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: usize,
    origin: usize,
    /// Whether it is the source's own text, so that each byte has its own origin.
    copied: bool,
}

impl Rendered {
    /// The source as it is.
    pub(crate) fn original(text: &str) -> Self {
        let mut rendered = Self::default();
        rendered.push_copy(text, 0);
        rendered
    }

    /// Where byte `at` of this text comes from.
    pub(crate) fn origin(&self, at: usize) -> usize {
        let next = self.pieces.partition_point(|piece| piece.start <= at);
        match next.checked_sub(1).map(|index| self.pieces[index]) {
            None => 0,
            Some(piece) if piece.copied => piece.origin + (at - piece.start),
            Some(piece) => piece.origin,
        }
    }

    /// Appends text of the source that stands at `origin`.
    pub(crate) fn push_copy(&mut self, text: &str, origin: usize) {
        self.push(text, origin, true);
    }

    /// Appends a text that something at `origin` stands for.
    pub(crate) fn push_made(&mut self, text: &str, origin: usize) {
        self.push(text, origin, false);
    }

    /// Appends a part of another text, with its origins.
    pub(crate) fn push_part(&mut self, of: &Self, part: Range<usize>) {
        let mut at = part.start;
        while at < part.end {
            let next = of.pieces.partition_point(|piece| piece.start <= at);
            let end = of.pieces.get(next).map_or(part.end, |piece| piece.start);
            let end = end.min(part.end);
            let copied = next > 0 && of.pieces[next - 1].copied;
            self.push(&of.text[at..end], of.origin(at), copied);
            at = end;
        }
    }

    fn push(&mut self, text: &str, origin: usize, copied: bool) {
        if text.is_empty() {
            return;
        }
        self.pieces.push(Piece {
            start: self.text.len(),
            origin,
            copied,
        });
        self.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        let source = Source::new("f", "aä\nbc\n");
        for (at, line, column) in [(0, 1, 1), (3, 1, 3), (4, 2, 1), (5, 2, 2), (99, 3, 1)] {
            assert_eq!(source.position(at), Position { line, column }, "{at}");
        }
        assert_eq!(source.line(1), "aä");
        assert_eq!(source.line(3), "");
    }

    #[test]
    fn a_made_text_points_at_what_it_stands_for_and_a_copied_one_at_itself() {
        let mut first = Rendered::default();
        first.push_copy("abc", 10);
        first.push_made("XYZ", 20);
        first.push_copy("def", 30);
        let origins = |rendered: &Rendered| -> Vec<usize> {
            (0..rendered.text.len())
                .map(|at| rendered.origin(at))
                .collect()
        };
        assert_eq!(origins(&first), [10, 11, 12, 20, 20, 20, 30, 31, 32]);
        let mut second = Rendered::default();
        second.push_part(&first, 2..8);
        assert_eq!(second.text, "cXYZde");
        assert_eq!(origins(&second), [12, 20, 20, 20, 30, 31]);
    }
}
