//! Expressions: literals, variables with what follows them, ranges, and filters.

use super::Fault;
use super::lexer::{Placed, Word};
use crate::value::Value;

/// What stands for a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Literal(Value),
    /// `empty`, which is compared with.
    Empty,
    /// `blank`, which nothing equals: that takes a library of Ruby that Kontena does not have.
    Blank,
    Variable {
        at: usize,
        name: String,
        lookups: Vec<Self>,
    },
    /// `(from..to)`, both included.
    Range(Box<(Self, Self)>),
}

/// An expression and the filters that it goes through.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filtered {
    pub(super) value: Expression,
    pub(super) filters: Vec<Filter>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filter {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) arguments: Vec<Expression>,
}

/// How deep brackets may be within each other.
const MAX_DEPTH: usize = 20;

/// Reads words from the front.
pub(super) struct Reader {
    words: std::iter::Peekable<std::vec::IntoIter<Placed>>,
    /// Where an expression that lacks something ends.
    end: usize,
    depth: usize,
}

impl Reader {
    pub(super) fn new(words: Vec<Placed>, end: usize) -> Self {
        Self {
            words: words.into_iter().peekable(),
            end,
            depth: 0,
        }
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.words.peek().is_none()
    }

    /// Where the next word stands.
    pub(super) fn place(&mut self) -> usize {
        self.words.peek().map_or(self.end, |(at, _)| *at)
    }

    pub(super) fn fault(&mut self, message: impl Into<String>) -> Fault {
        Fault::new(self.place(), message)
    }

    pub(super) fn take_sign(&mut self, sign: char) -> bool {
        let is_next = |(_, word): &Placed| *word == Word::Sign(sign);
        self.words.next_if(is_next).is_some()
    }

    pub(super) fn expect_sign(&mut self, sign: char) -> Result<(), Fault> {
        if self.take_sign(sign) {
            return Ok(());
        }
        Err(self.fault(format!("`{sign}` is missing here")))
    }

    pub(super) fn take_name(&mut self, name: &str) -> bool {
        let is_next = |(_, word): &Placed| matches!(word, Word::Name(next) if next == name);
        self.words.next_if(is_next).is_some()
    }

    pub(super) fn expect_name(&mut self) -> Result<String, Fault> {
        match self.words.next() {
            Some((_, Word::Name(name))) => Ok(name),
            Some((at, _)) => Err(Fault::new(at, "a name is missing here")),
            None => Err(Fault::new(self.end, "a name is missing here")),
        }
    }

    pub(super) fn take_comparison(&mut self) -> Option<&'static str> {
        let is_next = |(_, word): &Placed| matches!(word, Word::Comparison(_));
        match self.words.next_if(is_next)?.1 {
            Word::Comparison(sign) => Some(sign),
            Word::Name(_)
            | Word::Text(_)
            | Word::Integer(_)
            | Word::Float(_)
            | Word::Dots
            | Word::Sign(_) => None,
        }
    }

    pub(super) fn expect_end(&mut self) -> Result<(), Fault> {
        if self.is_at_end() {
            return Ok(());
        }
        Err(self.fault("nothing more can stand here"))
    }

    pub(super) fn filtered(&mut self) -> Result<Filtered, Fault> {
        let value = self.expression()?;
        let mut filters = Vec::new();
        while self.take_sign('|') {
            filters.push(self.filter()?);
        }
        self.expect_end()?;
        Ok(Filtered { value, filters })
    }

    fn filter(&mut self) -> Result<Filter, Fault> {
        let at = self.place();
        let name = self.expect_name()?;
        let mut arguments = Vec::new();
        if self.take_sign(':') {
            arguments.push(self.expression()?);
            while self.take_sign(',') {
                arguments.push(self.expression()?);
            }
        }
        Ok(Filter {
            at,
            name,
            arguments,
        })
    }

    pub(super) fn expression(&mut self) -> Result<Expression, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault("too many brackets within each other"));
        }
        let expression = self.one_expression();
        self.depth -= 1;
        expression
    }

    fn one_expression(&mut self) -> Result<Expression, Fault> {
        let Some((at, word)) = self.words.next() else {
            return Err(Fault::new(self.end, "a value is missing here"));
        };
        match word {
            Word::Text(text) => Ok(Expression::Literal(Value::Text(text))),
            Word::Integer(number) => Ok(Expression::Literal(Value::Integer(number))),
            Word::Float(number) => Ok(Expression::Literal(Value::Float(number))),
            Word::Name(name) => self.named(at, name),
            Word::Sign('(') => self.range(),
            Word::Sign('[') => {
                let name = self.expression()?;
                self.expect_sign(']')?;
                match name {
                    Expression::Literal(Value::Text(name)) => self.variable(at, name),
                    _ => Err(Fault::new(at, "a name in quotes is missing here")),
                }
            }
            Word::Comparison(_) | Word::Dots | Word::Sign(_) => {
                Err(Fault::new(at, "a value is missing here"))
            }
        }
    }

    fn named(&mut self, at: usize, name: String) -> Result<Expression, Fault> {
        match name.as_str() {
            "nil" | "null" => Ok(Expression::Literal(Value::Null)),
            "true" => Ok(Expression::Literal(Value::Boolean(true))),
            "false" => Ok(Expression::Literal(Value::Boolean(false))),
            "empty" => Ok(Expression::Empty),
            "blank" => Ok(Expression::Blank),
            _ => self.variable(at, name),
        }
    }

    fn variable(&mut self, at: usize, name: String) -> Result<Expression, Fault> {
        let mut lookups = Vec::new();
        loop {
            if self.take_sign('.') {
                let name = self.expect_name()?;
                lookups.push(Expression::Literal(Value::Text(name)));
            } else if self.take_sign('[') {
                lookups.push(self.expression()?);
                self.expect_sign(']')?;
            } else {
                break;
            }
        }
        Ok(Expression::Variable { at, name, lookups })
    }

    fn range(&mut self) -> Result<Expression, Fault> {
        let from = self.expression()?;
        if self
            .words
            .next_if(|(_, word)| *word == Word::Dots)
            .is_none()
        {
            return Err(self.fault("`..` is missing here"));
        }
        let to = self.expression()?;
        self.expect_sign(')')?;
        Ok(Expression::Range(Box::new((from, to))))
    }
}
