//! The parts of a template become a tree: blocks hold what stands between their tags.

use std::ops::Range;

use super::Fault;
use super::condition::{Condition, condition};
use super::expression::{Expression, Filtered, Reader};
use super::lexer::words;
use super::template::{Part, cut};
use crate::suggestion::nearest;

/// Something that is written, or done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(Range<usize>),
    Output(usize, Filtered),
    /// The first branch whose condition holds; `else` has none.
    If(Vec<Branch>),
    Case(usize, Expression, Vec<When>),
    For(Box<Loop>),
    Assign(usize, String, Filtered),
    Capture(usize, String, Vec<Self>),
    /// A counter and what is added to it; `increment` shows it before, `decrement` after.
    Count(usize, String, i64),
    Cycle(usize, String, Vec<Expression>),
    IfChanged(usize, Vec<Self>),
    Break,
    Continue,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Branch {
    pub(super) condition: Option<Condition>,
    /// For `unless`.
    pub(super) negated: bool,
    pub(super) body: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct When {
    /// Any of them; none for `else`.
    pub(super) values: Option<Vec<Expression>>,
    pub(super) body: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Loop {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) over: Expression,
    pub(super) limit: Option<Expression>,
    pub(super) offset: Option<Expression>,
    pub(super) reversed: bool,
    pub(super) body: Vec<Node>,
    /// For an empty list.
    pub(super) otherwise: Vec<Node>,
}

/// How deep blocks may be within each other.
const MAX_DEPTH: usize = 40;

pub(super) fn parse(text: &str) -> Result<Vec<Node>, Fault> {
    let mut parser = Parser {
        text,
        parts: cut(text)?.into_iter(),
        depth: 0,
    };
    let (body, end) = parser.body(&[])?;
    match end {
        None => Ok(body),
        Some(end) => Err(Fault::new(end.at, format!("`{}` ends no block", end.name))),
    }
}

struct Parser<'t> {
    text: &'t str,
    parts: std::vec::IntoIter<Part>,
    depth: usize,
}

/// A tag that ends a body.
struct End {
    at: usize,
    name: String,
    rest: Range<usize>,
}

impl Parser<'_> {
    /// What stands before the next tag of `ends`.
    fn body(&mut self, ends: &[&str]) -> Result<(Vec<Node>, Option<End>), Fault> {
        let mut body = Vec::new();
        while let Some(part) = self.parts.next() {
            match part {
                Part::Text(range) => body.push(Node::Text(range)),
                Part::Output(range) => body.extend(self.output(range)?),
                Part::Tag { at, name, rest } => {
                    let name = self.text[name].to_owned();
                    if ends.contains(&name.as_str()) {
                        return Ok((body, Some(End { at, name, rest })));
                    }
                    body.extend(self.tag(at, &name, rest)?);
                }
            }
        }
        Ok((body, None))
    }

    fn reader(&self, range: Range<usize>) -> Result<Reader, Fault> {
        let end = range.end;
        Ok(Reader::new(words(self.text, range)?, end))
    }

    fn output(&self, range: Range<usize>) -> Result<Option<Node>, Fault> {
        let at = range.start.saturating_sub(2);
        let mut reader = self.reader(range)?;
        if reader.is_at_end() {
            return Ok(None); // `{{ }}` writes nothing
        }
        Ok(Some(Node::Output(at, reader.filtered()?)))
    }

    fn tag(&mut self, at: usize, name: &str, rest: Range<usize>) -> Result<Option<Node>, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault::new(at, "too many blocks within each other"));
        }
        let node = match name {
            "if" => self.branches(at, "if", rest).map(Node::If),
            "unless" => self.branches(at, "unless", rest).map(Node::If),
            "case" => self.case(at, rest),
            "for" => self.repeat(at, rest),
            "assign" => self.assign(at, rest),
            "capture" => self.capture(at, rest),
            "increment" => self.count(at, rest, 1),
            "decrement" => self.count(at, rest, -1),
            "cycle" => self.cycle(at, rest),
            "ifchanged" => self
                .block(at, "ifchanged", &["endifchanged"])
                .map(|(body, _)| Node::IfChanged(at, body)),
            "break" => Ok(Node::Break),
            "continue" => Ok(Node::Continue),
            "#" => return Ok(self.leave(None)),
            _ => Err(unknown_tag(at, name)),
        };
        node.map(|node| self.leave(Some(node)))
    }

    fn leave(&mut self, node: Option<Node>) -> Option<Node> {
        self.depth -= 1;
        node
    }

    /// A body that has to be ended.
    fn block(&mut self, at: usize, name: &str, ends: &[&str]) -> Result<(Vec<Node>, End), Fault> {
        let (body, end) = self.body(ends)?;
        let not_ended = || {
            Fault::new(
                at,
                format!("`{{% {name} %}}` is not closed by `{{% end{name} %}}`"),
            )
        };
        Ok((body, end.ok_or_else(not_ended)?))
    }

    fn branches(
        &mut self,
        at: usize,
        name: &str,
        rest: Range<usize>,
    ) -> Result<Vec<Branch>, Fault> {
        let end_name = format!("end{name}");
        let ends = ["elsif", "else", end_name.as_str()];
        let mut asked = Some(condition(&mut self.reader(rest)?)?);
        let mut negated = name == "unless";
        let mut branches = Vec::new();
        loop {
            let (body, end) = self.block(at, name, &ends)?;
            branches.push(Branch {
                condition: asked,
                negated,
                body,
            });
            negated = false;
            asked = match end.name.as_str() {
                "elsif" => Some(condition(&mut self.reader(end.rest)?)?),
                "else" => None,
                _ => return Ok(branches),
            };
        }
    }

    fn case(&mut self, at: usize, rest: Range<usize>) -> Result<Node, Fault> {
        let mut reader = self.reader(rest)?;
        let subject = reader.expression()?;
        reader.expect_end()?;
        let ends = ["when", "else", "endcase"];
        let mut whens = Vec::new();
        // What stands before the first `when` is never written.
        let (_, mut end) = self.block(at, "case", &ends)?;
        while end.name != "endcase" {
            let values = match end.name.as_str() {
                "when" => Some(self.when(end.rest)?),
                _ => None,
            };
            let (body, next) = self.block(at, "case", &ends)?;
            whens.push(When { values, body });
            end = next;
        }
        Ok(Node::Case(at, subject, whens))
    }

    fn when(&self, rest: Range<usize>) -> Result<Vec<Expression>, Fault> {
        let mut reader = self.reader(rest)?;
        let mut values = vec![reader.expression()?];
        while reader.take_sign(',') || reader.take_name("or") {
            values.push(reader.expression()?);
        }
        reader.expect_end()?;
        Ok(values)
    }

    fn repeat(&mut self, at: usize, rest: Range<usize>) -> Result<Node, Fault> {
        let mut reader = self.reader(rest)?;
        let name = reader.expect_name()?;
        if !reader.take_name("in") {
            return Err(reader.fault("`in` is missing here"));
        }
        let over = reader.expression()?;
        let reversed = reader.take_name("reversed");
        let (mut limit, mut offset) = (None, None);
        while !reader.is_at_end() {
            reader.take_sign(',');
            match reader.expect_name()?.as_str() {
                "limit" => limit = Some(parameter(&mut reader)?),
                "offset" => offset = Some(parameter(&mut reader)?),
                _ => return Err(reader.fault("only `limit` and `offset` can stand here")),
            }
        }
        let (body, end) = self.block(at, "for", &["else", "endfor"])?;
        let otherwise = match end.name.as_str() {
            "else" => self.block(at, "for", &["endfor"])?.0,
            _ => Vec::new(),
        };
        Ok(Node::For(Box::new(Loop {
            at,
            name,
            over,
            limit,
            offset,
            reversed,
            body,
            otherwise,
        })))
    }

    fn assign(&self, at: usize, rest: Range<usize>) -> Result<Node, Fault> {
        let mut reader = self.reader(rest)?;
        let name = reader.expect_name()?;
        reader.expect_sign('=')?;
        Ok(Node::Assign(at, name, reader.filtered()?))
    }

    fn capture(&mut self, at: usize, rest: Range<usize>) -> Result<Node, Fault> {
        let mut reader = self.reader(rest)?;
        let name = match reader.expression()? {
            Expression::Variable { name, lookups, .. } if lookups.is_empty() => name,
            Expression::Literal(crate::value::Value::Text(name)) => name,
            Expression::Literal(_)
            | Expression::Empty
            | Expression::Blank
            | Expression::Variable { .. }
            | Expression::Range(_) => return Err(Fault::new(at, "`capture` needs a name")),
        };
        reader.expect_end()?;
        let (body, _) = self.block(at, "capture", &["endcapture"])?;
        Ok(Node::Capture(at, name, body))
    }

    fn count(&self, at: usize, rest: Range<usize>, step: i64) -> Result<Node, Fault> {
        let mut reader = self.reader(rest)?;
        let name = reader.expect_name()?;
        reader.expect_end()?;
        Ok(Node::Count(at, name, step))
    }

    /// `cycle "a", "b"`, or with the name of a group before a colon.
    fn cycle(&self, at: usize, rest: Range<usize>) -> Result<Node, Fault> {
        let mut group = self.text[rest.clone()].trim().to_owned();
        let mut reader = self.reader(rest)?;
        let mut values = vec![reader.expression()?];
        if reader.take_sign(':') {
            group = format!("{:?}", values.remove(0));
            values.push(reader.expression()?);
        }
        while reader.take_sign(',') {
            values.push(reader.expression()?);
        }
        reader.expect_end()?;
        Ok(Node::Cycle(at, group, values))
    }
}

fn parameter(reader: &mut Reader) -> Result<Expression, Fault> {
    reader.expect_sign(':')?;
    reader.expression()
}

const TAGS: [&str; 15] = [
    "if",
    "elsif",
    "else",
    "endif",
    "unless",
    "endunless",
    "for",
    "endfor",
    "case",
    "when",
    "endcase",
    "assign",
    "capture",
    "endcapture",
    "comment",
];

fn unknown_tag(at: usize, name: &str) -> Fault {
    let message = match name {
        "" => "the tag has no name".to_owned(),
        "include" | "render" | "tablerow" | "layout" => {
            format!("the Liquid tag `{name}` has no meaning in a stack file")
        }
        "elsif" | "else" | "when" => format!("`{name}` stands in no block"),
        _ if name.starts_with("end") => format!("`{name}` ends no block"),
        _ => format!("`{name}` is not a Liquid tag"),
    };
    let suggestion = nearest(name, TAGS.into_iter()).filter(|tag| *tag != name);
    Fault {
        hint: suggestion.map(|tag| format!("did you mean `{tag}`?")),
        ..Fault::new(at, message)
    }
}
