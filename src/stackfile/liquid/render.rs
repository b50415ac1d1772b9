//! A template's tree carried out.

use std::collections::BTreeMap;

use super::Fault;
use super::condition::{Comparison, Condition, Joint, compare, is_empty, is_equal, is_truthy};
use super::expression::{Expression, Filtered};
use super::filters;
use super::parser::{Branch, Loop, Node, When};
use crate::problem::Report;
use crate::suggestion::nearest;
use crate::text::Rendered;
use crate::value::Value;

/// The work that one file may cost, in values and bytes that are looked at: a tenth of a second.
const BUDGET: usize = 32 << 20;

/// The longest text that a template may make.
const MAX_OUTPUT: usize = 4 << 20;

pub(super) fn render(
    source: &str,
    body: &[Node],
    variables: &BTreeMap<String, Value>,
    report: &mut Report,
) -> Option<Rendered> {
    let mut renderer = Renderer {
        source,
        variables,
        report,
        assigned: BTreeMap::new(),
        loops: Vec::new(),
        counters: BTreeMap::new(),
        cycles: BTreeMap::new(),
        unchanged: String::new(),
        written: Rendered::default(),
        captures: Vec::new(),
        budget: BUDGET,
    };
    match renderer.body(body) {
        Ok(_) => Some(renderer.written),
        Err(fault) => {
            report.error_or_hint(fault.at, fault.message, fault.hint);
            None
        }
    }
}

struct Renderer<'a> {
    source: &'a str,
    variables: &'a BTreeMap<String, Value>,
    report: &'a mut Report,
    assigned: BTreeMap<String, Value>,
    /// What the loops name, outermost first.
    loops: Vec<BTreeMap<String, Value>>,
    counters: BTreeMap<String, i64>,
    cycles: BTreeMap<String, usize>,
    /// What `ifchanged` wrote last.
    unchanged: String,
    written: Rendered,
    /// The captures that are open, outermost first.
    captures: Vec<String>,
    budget: usize,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Renderer<'_> {
    fn spend(&mut self, at: usize, work: usize) -> Result<(), Fault> {
        match self.budget.checked_sub(work) {
            Some(left) => self.budget = left,
            None => return Err(Fault::new(at, "this template makes too much work")),
        }
        Ok(())
    }

    fn body(&mut self, body: &[Node]) -> Result<Flow, Fault> {
        for node in body {
            let flow = self.node(node)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node) -> Result<Flow, Fault> {
        match node {
            Node::Text(range) => {
                self.spend(range.start, 1 + range.len())?;
                match self.captures.last_mut() {
                    Some(capture) => capture.push_str(&self.source[range.clone()]),
                    None => self
                        .written
                        .push_copy(&self.source[range.clone()], range.start),
                }
                self.check_size(range.start)?;
            }
            Node::Output(at, filtered) => {
                let value = self.filtered(*at, filtered)?;
                self.write(*at, &shown(&value))?;
            }
            Node::If(branches) => return self.branches(branches),
            Node::Case(at, subject, whens) => return self.case(*at, subject, whens),
            Node::For(repeat) => return self.repeat(repeat),
            Node::Assign(at, name, filtered) => {
                let value = self.filtered(*at, filtered)?;
                self.assigned.insert(name.clone(), value);
            }
            Node::Capture(at, name, body) => {
                let (flow, text) = self.captured(*at, body)?;
                self.assigned.insert(name.clone(), Value::Text(text));
                return Ok(flow);
            }
            Node::Count(at, name, step) => self.count(*at, name, *step)?,
            Node::Cycle(at, group, values) => self.cycle(*at, group, values)?,
            Node::IfChanged(at, body) => {
                let (flow, text) = self.captured(*at, body)?;
                if text != self.unchanged {
                    self.write(*at, &text)?;
                    self.unchanged = text;
                }
                return Ok(flow);
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn write(&mut self, at: usize, text: &str) -> Result<(), Fault> {
        self.spend(at, 1 + text.len())?;
        match self.captures.last_mut() {
            Some(capture) => capture.push_str(text),
            None => self.written.push_made(text, at),
        }
        self.check_size(at)
    }

    fn check_size(&self, at: usize) -> Result<(), Fault> {
        let capture = self.captures.last().map_or(0, String::len);
        if self.written.text.len().max(capture) > MAX_OUTPUT {
            return Err(Fault::new(at, "this template makes more than 4 MiB"));
        }
        Ok(())
    }

    fn captured(&mut self, at: usize, body: &[Node]) -> Result<(Flow, String), Fault> {
        self.spend(at, 1)?;
        self.captures.push(String::new());
        let flow = self.body(body)?;
        let text = self.captures.pop().expect("it was pushed above");
        Ok((flow, text))
    }

    fn branches(&mut self, branches: &[Branch]) -> Result<Flow, Fault> {
        for branch in branches {
            let holds = match &branch.condition {
                Some(condition) => self.holds(condition)? != branch.negated,
                None => true,
            };
            if holds {
                return self.body(&branch.body);
            }
        }
        Ok(Flow::On)
    }

    fn case(&mut self, at: usize, subject: &Expression, whens: &[When]) -> Result<Flow, Fault> {
        let subject = self.evaluate(at, subject)?;
        let mut met = false;
        for when in whens {
            let taken = match &when.values {
                Some(values) => self.is_any(at, &subject, values)?,
                None => !met,
            };
            if taken {
                met = true;
                let flow = self.body(&when.body)?;
                if flow != Flow::On {
                    return Ok(flow);
                }
            }
        }
        Ok(Flow::On)
    }

    fn is_any(&mut self, at: usize, subject: &Value, values: &[Expression]) -> Result<bool, Fault> {
        for value in values {
            let equal = match value {
                Expression::Empty => is_empty(subject),
                Expression::Blank => false,
                Expression::Literal(_) | Expression::Variable { .. } | Expression::Range(_) => {
                    is_equal(subject, &self.evaluate(at, value)?)
                }
            };
            if equal {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn repeat(&mut self, repeat: &Loop) -> Result<Flow, Fault> {
        let items = self.items(repeat)?;
        if items.is_empty() {
            return self.body(&repeat.otherwise);
        }
        let count = items.len();
        for (index, item) in items.into_iter().enumerate() {
            self.spend(repeat.at, 10 + item.weight())?;
            let scope = BTreeMap::from([
                (repeat.name.clone(), item),
                ("forloop".to_owned(), progress(index, count)),
            ]);
            self.loops.push(scope);
            let flow = self.body(&repeat.body);
            self.loops.pop();
            if flow? == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn items(&mut self, repeat: &Loop) -> Result<Vec<Value>, Fault> {
        let at = repeat.at;
        let mut items = match self.evaluate(at, &repeat.over)? {
            Value::List(items) => items,
            Value::Text(text) if !text.is_empty() => vec![Value::Text(text)],
            Value::Map(entries) => entries
                .into_iter()
                .map(|(key, value)| Value::List(vec![Value::Text(key), value]))
                .collect(),
            Value::Null
            | Value::Boolean(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_) => Vec::new(),
        };
        if let Some(offset) = &repeat.offset {
            let offset = self.length(at, offset)?.min(items.len());
            items.drain(..offset);
        }
        if let Some(limit) = &repeat.limit {
            items.truncate(self.length(at, limit)?);
        }
        if repeat.reversed {
            items.reverse();
        }
        Ok(items)
    }

    fn length(&mut self, at: usize, expression: &Expression) -> Result<usize, Fault> {
        let value = self.evaluate(at, expression)?;
        let number = value
            .as_integer()
            .and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| Fault::new(at, "`limit` and `offset` are whole numbers"))
    }

    fn count(&mut self, at: usize, name: &str, step: i64) -> Result<(), Fault> {
        let counter = self.counters.entry(name.to_owned()).or_insert(0);
        let before = *counter;
        *counter = counter.saturating_add(step);
        let shown = if step > 0 { before } else { *counter };
        self.write(at, &shown.to_string())
    }

    fn cycle(&mut self, at: usize, group: &str, values: &[Expression]) -> Result<(), Fault> {
        let turn = self.cycles.entry(group.to_owned()).or_insert(0);
        let value = &values[*turn % values.len()];
        *turn += 1;
        let value = self.evaluate(at, value)?;
        self.write(at, &shown(&value))
    }

    fn holds(&mut self, condition: &Condition) -> Result<bool, Fault> {
        let first = self.comparison(&condition.first)?;
        match &condition.rest {
            Some((Joint::And, rest)) => Ok(first && self.holds(rest)?),
            Some((Joint::Or, rest)) => Ok(first || self.holds(rest)?),
            None => Ok(first),
        }
    }

    fn comparison(&mut self, comparison: &Comparison) -> Result<bool, Fault> {
        let Comparison { at, left, right } = comparison;
        self.spend(*at, 1)?;
        let (sign, right) = match right {
            Some((sign, right)) => (*sign, right),
            None => return Ok(is_truthy(&self.evaluate(*at, left)?)),
        };
        let with_empty = match (left, right) {
            (Expression::Empty, value) | (value, Expression::Empty) => Some(value),
            _ => None,
        };
        if let Some(value) = with_empty {
            let value = self.evaluate(*at, value)?;
            return Ok(is_empty(&value) == (sign == "=="));
        }
        if matches!(left, Expression::Blank) || matches!(right, Expression::Blank) {
            return Ok(sign != "==");
        }
        let left = self.evaluate(*at, left)?;
        let right = self.evaluate(*at, right)?;
        self.spend(*at, left.weight() + right.weight())?;
        compare(&left, sign, &right).ok_or_else(|| {
            let (left, right) = (left.inspect(), right.inspect());
            Fault::new(*at, format!("{left} and {right} cannot be compared"))
        })
    }

    fn filtered(&mut self, at: usize, filtered: &Filtered) -> Result<Value, Fault> {
        let mut value = self.evaluate(at, &filtered.value)?;
        for filter in &filtered.filters {
            let mut arguments = Vec::new();
            for argument in &filter.arguments {
                arguments.push(self.evaluate(filter.at, argument)?);
            }
            let weight = arguments.iter().map(Value::weight).sum::<usize>();
            self.spend(filter.at, value.weight().saturating_add(weight))?;
            value = filters::apply(&filter.name, value, &arguments).map_err(|problem| Fault {
                hint: problem.hint,
                ..Fault::new(filter.at, problem.message)
            })?;
            self.spend(filter.at, value.weight())?;
        }
        Ok(value)
    }

    fn evaluate(&mut self, at: usize, expression: &Expression) -> Result<Value, Fault> {
        match expression {
            Expression::Literal(value) => Ok(value.clone()),
            Expression::Empty | Expression::Blank => Ok(Value::Text(String::new())),
            Expression::Range(ends) => self.range(at, &ends.0, &ends.1),
            Expression::Variable { at, name, lookups } => self.variable(*at, name, lookups),
        }
    }

    fn range(&mut self, at: usize, from: &Expression, to: &Expression) -> Result<Value, Fault> {
        let from = whole(&self.evaluate(at, from)?);
        let to = whole(&self.evaluate(at, to)?);
        let length = to.saturating_sub(from).saturating_add(1).max(0);
        self.spend(at, usize::try_from(length).unwrap_or(usize::MAX))?;
        Ok(Value::List((from..=to).map(Value::Integer).collect()))
    }

    fn variable(&mut self, at: usize, name: &str, lookups: &[Expression]) -> Result<Value, Fault> {
        let counter = self.counters.get(name).copied().map(Value::Integer);
        let Some(mut value) = self.find(name).cloned().or(counter) else {
            self.undefined(at, name);
            return Ok(Value::Null);
        };
        self.spend(at, value.weight())?;
        for lookup in lookups {
            let key = self.evaluate(at, lookup)?;
            match look_up(&value, &key) {
                Some(found) => value = found,
                None => {
                    let message = format!("`{name}` has no `{key}`");
                    self.report.error(at, message);
                    return Ok(Value::Null);
                }
            }
        }
        Ok(value)
    }

    fn find(&self, name: &str) -> Option<&Value> {
        let in_loops = self.loops.iter().rev().find_map(|scope| scope.get(name));
        in_loops
            .or_else(|| self.assigned.get(name))
            .or_else(|| self.variables.get(name))
    }

    /// All of a file are reported, so rendering goes on.
    fn undefined(&mut self, at: usize, name: &str) {
        let known = self.variables.keys().chain(self.assigned.keys());
        let near = nearest(name, known.map(String::as_str));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "declare it under `variables`".to_owned(),
        };
        let message = format!("Liquid knows no variable `{name}`");
        self.report.error_with_hint(at, message, hint);
    }
}

/// How Liquid writes a value: a list is written item by item, with nothing between.
fn shown(value: &Value) -> String {
    match value {
        Value::List(items) => items.iter().map(shown).collect(),
        Value::Null
        | Value::Boolean(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Map(_) => value.to_string(),
    }
}

fn progress(index: usize, count: usize) -> Value {
    let number = |number: usize| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let fields = [
        ("index", number(index + 1)),
        ("index0", number(index)),
        ("rindex", number(count - index)),
        ("rindex0", number(count - index - 1)),
        ("first", Value::Boolean(index == 0)),
        ("last", Value::Boolean(index + 1 == count)),
        ("length", number(count)),
    ];
    Value::Map(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

/// As Ruby's `to_i`: the digits at the front of a text.
fn whole(value: &Value) -> i64 {
    match value {
        Value::Integer(number) => *number,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float's whole part is meant"
        )]
        Value::Float(number) => *number as i64,
        Value::Text(text) => {
            let digits = text.trim_start();
            let end = digits
                .char_indices()
                .find(|(at, c)| !(c.is_ascii_digit() || *at == 0 && *c == '-'))
                .map_or(digits.len(), |(at, _)| at);
            digits[..end].parse().unwrap_or(0)
        }
        Value::Null | Value::Boolean(_) | Value::List(_) | Value::Map(_) => 0,
    }
}

fn look_up(value: &Value, key: &Value) -> Option<Value> {
    match (value, key) {
        (Value::Map(_), key) if value.get(&key.to_string()).is_some() => {
            value.get(&key.to_string()).cloned()
        }
        (Value::List(items), Value::Integer(index)) => {
            let index = match usize::try_from(*index) {
                Ok(index) => Some(index),
                Err(_) => usize::try_from(index.unsigned_abs())
                    .ok()
                    .and_then(|back| items.len().checked_sub(back)),
            };
            Some(
                index
                    .and_then(|index| items.get(index))
                    .cloned()
                    .unwrap_or(Value::Null),
            )
        }
        (value, Value::Text(name)) => named(value, name),
        _ => None,
    }
}

/// `size`, `first` and `last`.
fn named(value: &Value, name: &str) -> Option<Value> {
    let number = |number: usize| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    match (value, name) {
        (Value::Text(text), "size") => Some(number(text.chars().count())),
        (Value::List(items), "size") => Some(number(items.len())),
        (Value::Map(entries), "size") => Some(number(entries.len())),
        (Value::List(items), "first") => Some(items.first().cloned().unwrap_or(Value::Null)),
        (Value::List(items), "last") => Some(items.last().cloned().unwrap_or(Value::Null)),
        _ => None,
    }
}
