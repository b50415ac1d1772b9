//! The service at hand: its rules made ready, and the order of its candidates and of its holders.
//!
//! Not here: the decisions (`decide`), which ask this for the best node and the best holder.

use std::cell::OnceCell;
use std::cmp::Reverse;

use crate::id::{RevisionHash, ServiceKey};
use crate::stack::{Service, Strategy};

use super::affinity::{Asker, Rule};
use super::filter;
use super::score::{self, Scores};
use super::survey::{Holder, Survey};
use super::takeover::{self, Rank};

/// The service at hand.
#[derive(Debug)]
pub(super) struct Wanted<'v> {
    pub key: &'v ServiceKey,
    pub service: &'v Service,
    /// What shall run; `None` for a service that is only about to be created.
    pub revision: Option<RevisionHash>,
    pub hard: Vec<Rule<'v>>,
    /// Whether all of `hard` are the same for every instance.
    pub fixed: bool,
    soft: Vec<Rule<'v>>,
    hash: u64,
    /// The fresh nodes that nothing fixed rejects: found when the first instance is placed.
    candidates: OnceCell<Vec<usize>>,
}

impl<'v> Wanted<'v> {
    pub(super) fn new(
        key: &'v ServiceKey,
        service: &'v Service,
        revision: Option<RevisionHash>,
    ) -> Self {
        let rules = service.affinity.iter().map(Rule::new);
        let (soft, hard): (Vec<_>, Vec<_>) = rules.partition(|rule: &Rule<'_>| rule.affinity.soft);
        Self {
            key,
            service,
            revision,
            fixed: hard.iter().all(Rule::is_fixed),
            hard,
            soft,
            hash: score::service_hash(key),
            candidates: OnceCell::new(),
        }
    }

    pub(super) fn asker(&self, number: u32) -> Asker<'v> {
        Asker {
            key: self.key,
            number,
        }
    }

    /// How well a node suits an instance, given what stands and was given away already.
    pub(super) fn scores(&self, survey: &Survey<'_>, node: usize, number: u32) -> Scores {
        let instance = score::instance_hash(self.hash, number);
        let spread = |count: u32| match self.service.deploy.strategy {
            Strategy::Ha | Strategy::Daemon => count,
            Strategy::Random => 0,
        };
        Scores {
            misses: self.misses(survey, node, number),
            zone: spread(survey.in_zone[survey.nodes[node].zone]),
            service: spread(survey.on_node[node]),
            total: spread(survey.totals[node]),
            rendezvous: Reverse(score::rendezvous(instance, survey.nodes[node].hash)),
        }
    }

    /// One bit for each soft rule that the node misses, the first one highest. Those from the 64th
    /// on share the last bit.
    fn misses(&self, survey: &Survey<'_>, node: usize, number: u32) -> u64 {
        let rules = self.soft.iter().enumerate();
        rules
            .filter(|(_, rule)| !rule.is_satisfied(survey, node, self.asker(number)))
            .fold(0, |misses, (at, _)| misses | 1 << (63 - at.min(63)))
    }

    /// The best node that may be given the instance.
    pub(super) fn best(&self, survey: &Survey<'v>, number: u32) -> Option<usize> {
        let fits = |node: &usize| {
            filter::silent(survey, *node).is_none() && filter::fixed(survey, self, *node).is_none()
        };
        let find = || (0..survey.nodes.len()).filter(fits).collect();
        let candidates = self.candidates.get_or_init(find);
        candidates
            .iter()
            .copied()
            .filter(|node| filter::changing(survey, self, *node, number).is_none())
            .min_by_key(|node| self.scores(survey, *node, number))
    }

    fn rank(&self, survey: &Survey<'_>, holder: &Holder<'_>, number: u32) -> Rank {
        let instance = score::instance_hash(self.hash, number);
        let rendezvous = score::rendezvous(instance, survey.nodes[holder.node].hash);
        takeover::rank(holder.hold, self.revision, rendezvous)
    }

    /// The holds of the instance, best first, of nodes that are away or of those that are not.
    pub(super) fn holders(&self, survey: &Survey<'v>, number: u32, away: bool) -> Vec<Holder<'v>> {
        let all = survey.holders(self.key, number).iter().copied();
        let mut holders: Vec<_> = all
            .filter(|holder| survey.nodes[holder.node].is_away() == away)
            .collect();
        holders.sort_by(|a, b| {
            let rank = |holder| self.rank(survey, holder, number);
            rank(a).cmp(&rank(b))
        });
        holders
    }
}
