//! A template's text cut into plain text, `{{ outputs }}` and `{% tags %}`.

use std::ops::Range;

use super::Fault;

/// A part of a template. All ranges are bytes of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(Range<usize>),
    /// What is between `{{` and `}}`.
    Output(Range<usize>),
    /// A tag's name, and what follows it.
    Tag {
        at: usize,
        name: Range<usize>,
        rest: Range<usize>,
    },
}

/// Cuts `text`; what `{% raw %}` and `{% comment %}` enclose is resolved here, because it need not be
/// a template.
pub(super) fn cut(text: &str) -> Result<Vec<Part>, Fault> {
    let mut cutter = Cutter {
        text,
        at: 0,
        trims: false,
        parts: Vec::new(),
    };
    while cutter.next()? {}
    Ok(cutter.parts)
}

struct Cutter<'t> {
    text: &'t str,
    at: usize,
    /// Whether the last mark ended with `-`.
    trims: bool,
    parts: Vec<Part>,
}

/// A `{{ … }}` or `{% … %}`.
struct Mark {
    outer: Range<usize>,
    inner: Range<usize>,
    is_tag: bool,
    trims_before: bool,
    trims_after: bool,
}

impl Cutter<'_> {
    fn next(&mut self) -> Result<bool, Fault> {
        let Some(mark) = find_mark(self.text, self.at)? else {
            self.push_text(self.at..self.text.len(), false);
            return Ok(false);
        };
        self.push_text(self.at..mark.outer.start, mark.trims_before);
        self.at = mark.outer.end;
        self.trims = mark.trims_after;
        if !mark.is_tag {
            self.parts.push(Part::Output(mark.inner));
            return Ok(true);
        }
        let (name, rest) = split_name(self.text, mark.inner);
        match &self.text[name.clone()] {
            "raw" => self.raw(mark.outer.start)?,
            "comment" => self.comment(mark.outer.start)?,
            _ => self.parts.push(Part::Tag {
                at: mark.outer.start,
                name,
                rest,
            }),
        }
        Ok(true)
    }

    fn push_text(&mut self, range: Range<usize>, trims_end: bool) {
        let mut range = range;
        let text = &self.text[range.clone()];
        if self.trims {
            range.start += text.len() - text.trim_start().len();
        }
        if trims_end {
            range.end = range.start + self.text[range.clone()].trim_end().len();
        }
        self.trims = false;
        if !range.is_empty() {
            self.parts.push(Part::Text(range));
        }
    }

    /// Where the tag that begins at `start` is closed. The `%` that opens one does not close it: `{%}` is none.
    fn end_of_tag(&self, start: usize) -> Option<usize> {
        let inner = start + "{%".len();
        let end = self.text[inner..].find("%}")?;
        Some(inner + end)
    }

    fn raw(&mut self, at: usize) -> Result<(), Fault> {
        let mut from = self.at;
        while let Some(found) = self.text[from..].find("{%") {
            let start = from + found;
            let Some(end) = self.end_of_tag(start) else {
                break;
            };
            let inner =
                self.text[start + 2..end].trim_matches(|c: char| c == '-' || c.is_whitespace());
            if inner == "endraw" {
                self.push_text(self.at..start, false);
                self.at = end + 2;
                return Ok(());
            }
            from = start + 2;
        }
        Err(Fault::new(
            at,
            "`{% raw %}` is not closed by `{% endraw %}`",
        ))
    }

    fn comment(&mut self, at: usize) -> Result<(), Fault> {
        let mut depth = 1;
        let mut from = self.at;
        while let Some(found) = self.text[from..].find("{%") {
            let start = from + found;
            let Some(end) = self.end_of_tag(start) else {
                break;
            };
            match self.text[start + 2..end].trim_matches(|c: char| c == '-' || c.is_whitespace()) {
                "comment" => depth += 1,
                "endcomment" => depth -= 1,
                _ => {}
            }
            from = end + 2;
            if depth == 0 {
                self.at = from;
                return Ok(());
            }
        }
        Err(Fault::new(
            at,
            "`{% comment %}` is not closed by `{% endcomment %}`",
        ))
    }
}

fn find_mark(text: &str, from: usize) -> Result<Option<Mark>, Fault> {
    let rest = &text[from..];
    let output = rest.find("{{");
    let tag = rest.find("{%");
    let (start, is_tag) = match (output, tag) {
        (None, None) => return Ok(None),
        (Some(output), Some(tag)) if output < tag => (output, false),
        (Some(output), None) => (output, false),
        (_, Some(tag)) => (tag, true),
    };
    let start = from + start;
    let close = if is_tag { "%}" } else { "}}" };
    let Some(end) = text[start + 2..].find(close) else {
        let open = &text[start..start + 2];
        return Err(Fault::new(
            start,
            format!("`{open}` is not closed by `{close}`"),
        ));
    };
    let mut inner = start + 2..start + 2 + end;
    let trims_before = text[inner.clone()].starts_with('-');
    inner.start += usize::from(trims_before);
    let trims_after = text[inner.clone()].ends_with('-');
    inner.end -= usize::from(trims_after);
    Ok(Some(Mark {
        outer: start..start + 2 + end + 2,
        inner,
        is_tag,
        trims_before,
        trims_after,
    }))
}

/// A tag's first word, and the rest.
fn split_name(text: &str, inner: Range<usize>) -> (Range<usize>, Range<usize>) {
    let content = &text[inner.clone()];
    let start = inner.start + (content.len() - content.trim_start().len());
    let name = &text[start..inner.end];
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '#';
    let end = start + name.find(|c| !is_word(c)).unwrap_or(name.len());
    (start..end, end..inner.end)
}
