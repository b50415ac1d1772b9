//! YAML text becomes a [`Node`] tree, with aliases resolved and `<<` merged.
//!
//! Everything is bounded, because a file may come from anybody: its size, its depth, and how much
//! aliases make of it. What plain scalars mean is decided by who reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::problem::{Position, Report};
use super::tag;
use super::tree::{Node, Scalar, Value};

/// A file with a thousand services has a tenth of it.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// A stack file needs six.
pub(super) const MAX_DEPTH: usize = 64;
/// What all aliases together may add, in nodes and characters.
pub(super) const MAX_ALIASED: usize = 4 << 20;

/// The tree of the only document in `text`, or `None` with the reason in `report`. Repeated keys
/// are reported, and the first one counts.
pub(super) fn read(text: &str, report: &mut Report) -> Option<Rc<Node>> {
    if text.len() > MAX_BYTES {
        report.error(Position::START, "the file is larger than 1 MiB");
        return None;
    }
    let lines = lines(text);
    let lengths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
    let mut composer = Composer {
        report,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        aliased: 0,
        root: None,
    };
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => composer.event(event, position(&span.start, &lengths)),
            Err(problem) => Err(syntax_error(&problem, &lines, &lengths)),
        };
        if let Err((at, message, hint)) = step {
            match hint {
                Some(hint) => report.error_with_hint(at, message, hint),
                None => report.error(at, message),
            }
            return None;
        }
    }
    let root = composer.root;
    if root.is_none() {
        report.error(Position::START, "the file is empty");
    }
    root
}

/// Why reading cannot go on.
pub(super) type Stop = (Position, String, Option<&'static str>);

/// Where the parser is; its idea of a place behind the end of the text becomes that end.
fn position(marker: &Marker, lengths: &[usize]) -> Position {
    let line = marker.line().clamp(1, lengths.len());
    let end = lengths[line - 1] + 1;
    let column = if line < marker.line() {
        end
    } else {
        end.min(marker.col() + 1)
    };
    Position { line, column }
}

fn syntax_error(problem: &ScanError, lines: &[&str], lengths: &[usize]) -> Stop {
    let at = position(problem.marker(), lengths);
    let line = lines[at.line - 1];
    let hint = if line.contains("{{") {
        Some("put quotes around a text with `{{`")
    } else if line.trim_start_matches(' ').starts_with('\t') {
        Some("YAML is indented with spaces, not with tabs")
    } else {
        None
    };
    (at, format!("not valid YAML: {}", problem.info()), hint)
}

/// The lines as YAML counts them, for which a lone carriage return ends one too; at least one.
pub(super) fn lines(text: &str) -> Vec<&str> {
    let lines = text.split('\n').flat_map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.split('\r')
    });
    lines.collect()
}

struct Composer<'a> {
    report: &'a mut Report,
    /// The collections that are not closed yet, outermost first.
    open: Vec<Open>,
    anchors: BTreeMap<usize, Rc<Node>>,
    aliased: usize,
    root: Option<Rc<Node>>,
}

struct Open {
    at: Position,
    anchor: usize,
    children: Children,
}

enum Children {
    List(Vec<Rc<Node>>),
    Map {
        entries: Vec<(Rc<Node>, Rc<Node>)>,
        key: Option<Rc<Node>>,
    },
}

impl Composer<'_> {
    fn event(&mut self, event: Event<'_>, at: Position) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                tag::check_scalar(tag.as_deref(), at)?;
                let text = text.into_owned();
                self.add(Node::scalar(at, Scalar { text, plain }), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                tag::check_collection(tag.as_deref(), at)?;
                self.enter(at, anchor, Children::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                tag::check_collection(tag.as_deref(), at)?;
                let entries = Vec::new();
                self.enter(at, anchor, Children::Map { entries, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::DocumentStart(_) if self.root.is_some() => {
                let message = "a second document begins here: a file is one".to_owned();
                Err((at, message, Some("remove the `---`")))
            }
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => Ok(()),
        }
    }

    fn enter(&mut self, at: Position, anchor: usize, children: Children) -> Result<(), Stop> {
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
        let node = match closed.children {
            Children::List(items) => Node::list(closed.at, items),
            Children::Map { entries, .. } => Node::map(closed.at, self.unite(entries)),
        };
        self.add(node, closed.anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.attach(node)
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), Stop> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err((
                at,
                "an alias cannot stand within its own anchor".to_owned(),
                None,
            ));
        };
        self.aliased = self.aliased.saturating_add(node.weight);
        if self.aliased > MAX_ALIASED {
            return Err((
                at,
                "the aliases of this file make too much of it".to_owned(),
                None,
            ));
        }
        // Also keeps the tree shallow enough to be walked, and dropped, recursively.
        if self.open.len() + node.height > MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.attach(node)
    }

    fn attach(&mut self, node: Rc<Node>) -> Result<(), Stop> {
        match self.open.last_mut().map(|open| &mut open.children) {
            None => self.root = Some(node),
            Some(Children::List(items)) => items.push(node),
            Some(Children::Map { entries, key }) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
        }
        Ok(())
    }

    /// The entries of a mapping: its own, each key once, then those that `<<` adds.
    fn unite(&mut self, entries: Vec<(Rc<Node>, Rc<Node>)>) -> Vec<(Rc<Node>, Rc<Node>)> {
        let mut keys = BTreeSet::new();
        let mut united = Vec::new();
        let mut merges = Vec::new();
        for (key, value) in entries {
            if is_merge_key(&key) {
                merges.push(value);
                continue;
            }
            match key.text() {
                Some(text) if !keys.insert(text.to_owned()) => {
                    let message = format!("the key `{text}` is given twice");
                    self.report.error(key.at, message);
                }
                Some(_) | None => united.push((key, value)),
            }
        }
        for merge in merges {
            self.merge(&merge, &mut keys, &mut united);
        }
        united
    }

    /// Own keys win over merged ones, earlier merged ones over later.
    fn merge(
        &mut self,
        source: &Rc<Node>,
        keys: &mut BTreeSet<String>,
        united: &mut Vec<(Rc<Node>, Rc<Node>)>,
    ) {
        match &source.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    let new = key.text().is_none_or(|text| keys.insert(text.to_owned()));
                    if new {
                        united.push((Rc::clone(key), Rc::clone(value)));
                    }
                }
            }
            Value::List(items) if items.iter().all(|item| is_map(item)) => {
                for item in items {
                    self.merge(item, keys, united);
                }
            }
            Value::Scalar(_) | Value::List(_) => {
                let message = "`<<` merges a mapping, or a list of mappings";
                self.report.error(source.at, message);
            }
        }
    }
}

fn too_deep(at: Position) -> Stop {
    (at, format!("more than {MAX_DEPTH} levels deep"), None)
}

fn is_map(node: &Node) -> bool {
    matches!(node.value, Value::Map(_))
}

fn is_merge_key(key: &Node) -> bool {
    matches!(&key.value, Value::Scalar(scalar) if scalar.plain && scalar.text == "<<")
}
