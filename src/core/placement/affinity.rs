//! Affinity: the rules of a service about the nodes that it may or would rather run on.
//!
//! As in Kontena a list is ANDed. A hard rule rejects the nodes that do not satisfy it; soft rules
//! only order the rest: the first soft rule weighs most, and one that no node satisfies changes nothing.
//! (Kontena narrowed in the order of the list, and so failed where a soft rule left no node
//! for a hard one behind it; wherever it found nodes, these rules find the same.)
//!
//! `%s` is the instance number. `/text/` is an unanchored regular expression, matched in linear
//! time. `label` compares complete labels, `node` names, `container` container names (`stack.service-N`).
//! `service==x` means service `x` of the same stack, `service==stack/x` one of another (`null/x` for
//! services without a stack); so does an expression that contains a `/`. An instance never counts
//! for or against itself.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use regex_lite::{Regex, RegexBuilder};

use crate::id::{InstanceId, ServiceKey};
use crate::stack::{Affinity, AffinityKey, AffinityValue};

use super::survey::Survey;

/// The largest compiled expression, in bytes: a definition is read by every node, again and again.
const PATTERN_SIZE: usize = 256 * 1024;

/// One affinity, ready to be asked.
#[derive(Debug)]
pub(super) struct Rule<'v> {
    pub affinity: &'v Affinity,
    /// Whether the answer depends on the instance number.
    numbered: bool,
    /// Compiled once; `None` where it depends on the number.
    matcher: Option<Matcher>,
    /// What it says of each node, where the documents alone answer it: all services that have the rule share the answers.
    verdicts: OnceCell<Verdicts>,
}

/// What a rule says of each node, as far as it was asked.
pub(super) type Verdicts = Rc<[Cell<Option<bool>>]>;

#[derive(Debug)]
enum Matcher {
    Exact(String),
    Pattern(Regex),
    /// The expression is too large or, with the number in it, not valid: it is never satisfied.
    Broken,
}

/// The instance that asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'v> {
    pub key: &'v ServiceKey,
    pub number: u32,
}

impl<'v> Rule<'v> {
    pub(super) fn new(affinity: &'v Affinity) -> Self {
        let (AffinityValue::Exact(text) | AffinityValue::Pattern(text)) = &affinity.value;
        let numbered = text.contains("%s");
        Self {
            affinity,
            numbered,
            matcher: (!numbered).then(|| Matcher::new(&affinity.value, text.clone())),
            verdicts: OnceCell::new(),
        }
    }

    /// Whether the documents alone answer it, the same for every instance.
    pub(super) fn is_fixed(&self) -> bool {
        self.is_documented() && !self.numbered
    }

    /// Whether the documents alone answer it.
    pub(super) fn is_documented(&self) -> bool {
        match self.affinity.key {
            AffinityKey::Node | AffinityKey::Label => true,
            AffinityKey::Service | AffinityKey::Container => false,
        }
    }

    pub(super) fn is_satisfied(&self, survey: &Survey<'_>, node: usize, asker: Asker<'_>) -> bool {
        if !self.is_fixed() {
            return self.judge(survey, node, asker);
        }
        let verdicts = self.verdicts.get_or_init(|| survey.verdicts(self.affinity));
        let verdict = &verdicts[node];
        verdict.get().unwrap_or_else(|| {
            let is_satisfied = self.judge(survey, node, asker);
            verdict.set(Some(is_satisfied));
            is_satisfied
        })
    }

    fn judge(&self, survey: &Survey<'_>, node: usize, asker: Asker<'_>) -> bool {
        let compiled = self.compiled(asker.number);
        let matcher = compiled.get();
        let broken = matches!(matcher, Matcher::Broken);
        let matched = matcher.matches(self.affinity.key, survey, node, asker);
        !broken && matched == self.affinity.equal
    }

    fn compiled(&self, number: u32) -> Compiled<'_> {
        match &self.matcher {
            Some(matcher) => Compiled::Shared(matcher),
            None => {
                let value = &self.affinity.value;
                let (AffinityValue::Exact(text) | AffinityValue::Pattern(text)) = value;
                let text = text.replace("%s", &number.to_string());
                Compiled::Own(Matcher::new(value, text))
            }
        }
    }
}

/// A matcher that lives as long as its rule, or for one question.
enum Compiled<'r> {
    Shared(&'r Matcher),
    Own(Matcher),
}

impl Compiled<'_> {
    fn get(&self) -> &Matcher {
        match self {
            Self::Shared(matcher) => matcher,
            Self::Own(matcher) => matcher,
        }
    }
}

impl Matcher {
    fn new(kind: &AffinityValue, text: String) -> Self {
        match kind {
            AffinityValue::Exact(_) => Self::Exact(text),
            AffinityValue::Pattern(_) => RegexBuilder::new(&text)
                .size_limit(PATTERN_SIZE)
                .build()
                .map_or(Self::Broken, Self::Pattern),
        }
    }

    fn matches(
        &self,
        key: AffinityKey,
        survey: &Survey<'_>,
        node: usize,
        asker: Asker<'_>,
    ) -> bool {
        let member = survey.nodes[node].member;
        match key {
            AffinityKey::Node => self.accepts(member.name.as_str()),
            AffinityKey::Label => member.labels.iter().any(|label| self.accepts(label)),
            AffinityKey::Service => self.accepts_service(survey, node, asker),
            AffinityKey::Container => others(survey, node, asker).any(|(key, number)| {
                self.accepts(&InstanceId::new(key.clone(), number).container_name())
            }),
        }
    }

    fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == text,
            Self::Pattern(pattern) => pattern.is_match(text),
            Self::Broken => false,
        }
    }

    fn accepts_service(&self, survey: &Survey<'_>, node: usize, asker: Asker<'_>) -> bool {
        let text = match self {
            Self::Exact(text) => text.as_str(),
            Self::Pattern(pattern) => pattern.as_str(),
            Self::Broken => return false,
        };
        let everywhere = text.contains('/');
        others(survey, node, asker).any(|(key, _)| {
            if everywhere {
                self.accepts(&format!("{}/{}", key.stack, key.service))
            } else {
                key.stack == asker.key.stack && self.accepts(key.service.as_str())
            }
        })
    }
}

/// Instances on a node, but the asker itself.
fn others<'s>(
    survey: &'s Survey<'_>,
    node: usize,
    asker: Asker<'s>,
) -> impl Iterator<Item = (&'s ServiceKey, u32)> {
    survey.present().flat_map(move |(key, at)| {
        at.iter()
            .filter(move |(on, number)| {
                *on == node && !(key == asker.key && *number == asker.number)
            })
            .map(move |(_, number)| (key, *number))
    })
}
