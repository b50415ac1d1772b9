//! Parser events become nodes, with aliases resolved and `<<` merged.

use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::MAX_BYTES;
use super::node::{Entries, Kind, Node};
use super::scalar::{self, Refused};
use crate::problem::Report;
use crate::text::Rendered;
use crate::value::Value;

/// A stack file needs six.
pub(super) const MAX_DEPTH: usize = 64;
/// So many lists and mappings may stand as keys within each other; an unquoted `{{ x }}` is one.
pub(super) const MAX_KEYS: usize = 3;
/// What all aliases together may add, in nodes and bytes.
pub(super) const MAX_ALIASED: usize = 4 << 20;
/// What a template may make of the largest file.
pub(super) const MAX_RENDERED: usize = 4 * MAX_BYTES;

/// What is said of a key that stands twice in a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// Nothing: both branches of an untaken `{% if %}` may give it.
    Silent,
    Warned,
}

/// The tree of the only document in `text`, or `None` with the reason in `report`.
pub(crate) fn read(text: &Rendered, repeats: Repeats, report: &mut Report) -> Option<Rc<Node>> {
    if text.text.len() > MAX_RENDERED || report.source.text.len() > MAX_BYTES {
        report.error(0, "the file is larger than 1 MiB");
        return None;
    }
    let mut composer = Composer {
        report,
        repeats,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        aliased: 0,
        root: None,
        ends_text: false,
        has_last_break: text.text.ends_with('\n'),
    };
    let mut places = Places::new(text);
    for event in Parser::new_from_str(&text.text) {
        let step = match event {
            Ok((event, span)) => {
                composer.ends_text = places.byte(&span.end) == text.text.len();
                composer.event(event, places.origin(&span.start))
            }
            Err(problem) => Err(syntax_error(&problem, &mut places)),
        };
        if let Err(stop) = step {
            report.error_or_hint(stop.at, stop.message, stop.hint.map(str::to_owned));
            return None;
        }
    }
    let root = composer.root;
    if root.is_none() {
        report.error(0, "the file is empty");
    }
    root
}

/// Why reading cannot go on.
struct Stop {
    at: usize,
    message: String,
    hint: Option<&'static str>,
}

impl Stop {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            hint: None,
        }
    }
}

/// From the parser's lines and columns to bytes of the source.
struct Places<'a> {
    text: &'a Rendered,
    /// Where each line begins. For the parser a lone carriage return ends a line too.
    starts: Vec<usize>,
    /// The line, column and byte that were found last: the parser goes forward.
    last: (usize, usize, usize),
}

impl<'a> Places<'a> {
    fn new(text: &'a Rendered) -> Self {
        let bytes = text.text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        let starts = std::iter::once(0)
            .chain(ends.map(|(at, _)| at + 1))
            .collect();
        Self {
            text,
            starts,
            last: (0, 0, 0),
        }
    }

    fn origin(&mut self, marker: &Marker) -> usize {
        let at = self.byte(marker);
        self.text.origin(at)
    }

    /// A place behind the end of a line or of the text becomes that end.
    fn byte(&mut self, marker: &Marker) -> usize {
        let line = marker.line().clamp(1, self.starts.len()) - 1;
        let column = marker.col();
        let (last_line, last_column, last_byte) = self.last;
        let (from, skip) = if line == last_line && column >= last_column {
            (last_byte, column - last_column)
        } else {
            (self.starts[line], column)
        };
        let end = self
            .starts
            .get(line + 1)
            .map_or(self.text.text.len(), |next| next - 1);
        let rest = self.text.text.get(from..end).unwrap_or_default();
        let ahead = rest
            .char_indices()
            .nth(skip)
            .map_or(rest.len(), |(at, _)| at);
        self.last = (line, column, from + ahead);
        from + ahead
    }
}

fn syntax_error(problem: &ScanError, places: &mut Places<'_>) -> Stop {
    let byte = places.byte(problem.marker());
    let text = &places.text.text;
    let start = text[..byte].rfind('\n').map_or(0, |end| end + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    let hint = if line.contains("{{") {
        Some("put quotes around a text with `{{`")
    } else if line.trim_start_matches(' ').starts_with('\t') {
        Some("YAML is indented with spaces, not with tabs")
    } else {
        None
    };
    Stop {
        at: places.text.origin(byte),
        message: format!("not valid YAML: {}", problem.info()),
        hint,
    }
}

struct Composer<'a> {
    report: &'a mut Report,
    repeats: Repeats,
    /// The collections that are not closed yet, outermost first.
    open: Vec<Open>,
    anchors: BTreeMap<usize, Rc<Node>>,
    aliased: usize,
    root: Option<Rc<Node>>,
    /// Whether what is read just now ends where the text does.
    ends_text: bool,
    /// Whether the text ends with a line break.
    has_last_break: bool,
}

struct Open {
    at: usize,
    anchor: usize,
    children: Children,
}

enum Children {
    List(Vec<Rc<Node>>),
    Map {
        entries: Vec<(Key, Rc<Node>)>,
        key: Option<Key>,
    },
}

/// A key, and whether it is a plain `<<`.
struct Key {
    node: Rc<Node>,
    merges: bool,
}

impl Composer<'_> {
    fn event(&mut self, event: Event<'_>, at: usize) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let merges = plain && text == "<<";
                let mut text = text.into_owned();
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if is_block && self.ends_text && !self.has_last_break && text.ends_with('\n') {
                    text.pop(); // for Ruby a block has the line breaks of the text, and no other
                }
                let value = self.scalar(text, plain, tag.as_deref(), at)?;
                let node = Node::new(at, Kind::Scalar(value));
                self.add(node, anchor, merges)
            }
            Event::SequenceStart(anchor, tag) => {
                check_collection(tag.as_deref(), at)?;
                self.enter(at, anchor, Children::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                check_collection(tag.as_deref(), at)?;
                let entries = Vec::new();
                self.enter(at, anchor, Children::Map { entries, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::DocumentStart(_) if self.root.is_some() => Err(Stop {
                hint: Some("remove the `---`"),
                ..Stop::new(at, "a second document begins here: a file is one")
            }),
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: String,
        plain: bool,
        tag: Option<&Tag>,
        at: usize,
    ) -> Result<Value, Stop> {
        match tag {
            None if plain => {}
            None => return Ok(Value::Text(text)),
            Some(tag) if is_text_tag(tag) => return Ok(Value::Text(text)),
            Some(tag) => return Err(unknown_tag(tag, at)),
        }
        Ok(scalar::resolve(&text).unwrap_or_else(|refused| {
            let (what, kind) = match refused {
                Refused::Symbol => ("begins with a colon", "symbol"),
                Refused::Date => ("is a date", "date"),
            };
            let message = format!("`{text}` {what}, which YAML reads as a {kind}");
            self.report
                .error_with_hint(at, message, "put quotes around it");
            Value::Text(text)
        }))
    }

    fn enter(&mut self, at: usize, anchor: usize, children: Children) -> Result<(), Stop> {
        if self.open.len() == MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.open.push(Open {
            at,
            anchor,
            children,
        });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Stop> {
        let closed = self.open.pop().expect("the parser ends only what it began");
        let kind = match closed.children {
            Children::List(items) => Kind::List(items),
            Children::Map { entries, .. } => Kind::Map(self.unite(entries)),
        };
        self.add(Node::new(closed.at, kind), closed.anchor, false)
    }

    fn add(&mut self, node: Node, anchor: usize, merges: bool) -> Result<(), Stop> {
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.attach(node, merges)
    }

    fn alias(&mut self, anchor: usize, at: usize) -> Result<(), Stop> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(Stop::new(at, "an alias cannot stand within its own anchor"));
        };
        self.aliased = self.aliased.saturating_add(node.weight);
        if self.aliased > MAX_ALIASED {
            return Err(Stop::new(
                at,
                "the aliases of this file make too much of it",
            ));
        }
        // Also keeps the tree shallow enough to be walked, and dropped, recursively.
        if self.open.len() + node.height > MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.attach(node, false)
    }

    fn attach(&mut self, node: Rc<Node>, merges: bool) -> Result<(), Stop> {
        match self.open.last_mut().map(|open| &mut open.children) {
            None => self.root = Some(node),
            Some(Children::List(items)) => items.push(node),
            Some(Children::Map { entries, key }) => match key.take() {
                None if node.as_key() > MAX_KEYS => {
                    let message =
                        format!("more than {MAX_KEYS} keys that are no texts, in each other");
                    return Err(Stop::new(node.at, message));
                }
                None => *key = Some(Key { node, merges }),
                Some(key) => entries.push((key, node)),
            },
        }
        Ok(())
    }

    /// The entries of a mapping, each key once: a later one wins, and so does what `<<` brings over
    /// what stands before it.
    fn unite(&mut self, entries: Vec<(Key, Rc<Node>)>) -> Entries {
        let mut united = United::default();
        for (key, value) in entries {
            if key.merges && value.scalar().is_none() {
                self.merge(&value, &mut united);
                continue;
            }
            let at = key.node.at;
            let name = key.node.key();
            let repeated = united.set(key.node, value);
            if repeated && self.repeats == Repeats::Warned {
                let message = format!("the key `{name}` is given twice: the last one counts");
                self.report.warn(at, message);
            }
        }
        united.entries
    }

    fn merge(&mut self, source: &Rc<Node>, united: &mut United) {
        match &source.kind {
            Kind::Map(entries) => {
                for (key, value) in entries {
                    united.set(Rc::clone(key), Rc::clone(value));
                }
            }
            // Of a list the first wins: it is taken last.
            Kind::List(items) if items.iter().all(|item| item.entries().is_some()) => {
                items.iter().rev().for_each(|item| self.merge(item, united));
            }
            Kind::Scalar(_) | Kind::List(_) => {
                let message = "`<<` merges a mapping, or a list of mappings";
                self.report.error(source.at, message);
            }
        }
    }
}

/// A mapping in the making.
#[derive(Default)]
struct United {
    entries: Entries,
    /// The index of each key.
    indices: BTreeMap<String, usize>,
}

impl United {
    /// Whether the key was there.
    fn set(&mut self, key: Rc<Node>, value: Rc<Node>) -> bool {
        let next = self.entries.len();
        let index = *self.indices.entry(key.key()).or_insert(next);
        if index == next {
            self.entries.push((key, value));
            return false;
        }
        self.entries[index] = (key, value);
        true
    }
}

fn too_deep(at: usize) -> Stop {
    Stop::new(at, format!("more than {MAX_DEPTH} levels deep"))
}

fn core_suffix(tag: &Tag) -> Option<&str> {
    tag.is_yaml_core_schema().then_some(tag.suffix.as_str())
}

fn is_text_tag(tag: &Tag) -> bool {
    core_suffix(tag) == Some("str") || tag.handle.is_empty() && tag.suffix == "!"
}

/// Tags that change nothing. Any other could make a value mean what no reader of the file expects.
fn check_collection(tag: Option<&Tag>, at: usize) -> Result<(), Stop> {
    match tag {
        None => Ok(()),
        Some(tag) if matches!(core_suffix(tag), Some("map" | "seq")) => Ok(()),
        Some(tag) => Err(unknown_tag(tag, at)),
    }
}

fn unknown_tag(tag: &Tag, at: usize) -> Stop {
    Stop {
        hint: Some("remove it, or quote the value"),
        ..Stop::new(
            at,
            format!("the tag `{}{}` is not supported", tag.handle, tag.suffix),
        )
    }
}
