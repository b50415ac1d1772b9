//! The service at hand: its rules made ready, and the order of its candidates and of its holders.
//!
//! Not here: the decisions (`decide`), which ask this for the best node and the best holder.

use std::cell::OnceCell;
use std::cmp::Reverse;

use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::report::Report;
use crate::stack::{Affinity, FrozenImage, ImageMark, Service, Strategy};
use crate::view::{Documents, ServiceRecord, View};
use crate::volume::{Definition, Scope, VolumeName};

use super::affinity::{Asker, Rule};
use super::domains::Place;
use super::filter;
use super::score::{self, Crowd, Fullness, Scores};
use super::standard::Standard;
use super::survey::{Holder, Node, Survey};
use super::takeover::{self, Rank};

/// What a service asks for: its own affinities, or where it has none those of the grid (as Kontena).
pub(super) fn affinities<'v>(documents: &'v Documents, service: &'v Service) -> &'v [Affinity] {
    match service.affinity.as_slice() {
        [] => &documents.grid.default_affinity,
        own => own,
    }
}

fn volumes<'v>(
    documents: &'v Documents,
    service: &'v Service,
) -> Vec<(&'v VolumeName, &'v Definition)> {
    let names = service.named_volumes();
    names
        .filter_map(|name| Some((name, &documents.volumes.get(name)?.definition)))
        .collect()
}

/// The service at hand.
#[derive(Debug)]
pub(super) struct Wanted<'v> {
    pub key: &'v ServiceKey,
    pub service: &'v Service,
    /// What shall run.
    pub revision: Standard,
    pub hard: Vec<Rule<'v>>,
    /// Whether all of `hard` are the same for every instance.
    pub fixed: bool,
    soft: Vec<Rule<'v>>,
    /// Those that it mounts, as far as they are known.
    pub volumes: Vec<(&'v VolumeName, &'v Definition)>,
    /// What the name of its image meant when it was deployed.
    pub image: Option<&'v FrozenImage>,
    hash: u64,
    /// What that is known by, once somebody asks.
    mark: OnceCell<ImageMark>,
    /// The fresh nodes that nothing fixed rejects: found when the first instance is placed.
    candidates: OnceCell<Vec<Candidate>>,
}

/// A node that may be given instances, with what its score is made of close together: every instance
/// that is placed goes through all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub node: usize,
    cut_off: bool,
    refuses: bool,
    place: Place,
    lacks_image: bool,
    pub hash: u64,
}

impl<'v> Wanted<'v> {
    pub(super) fn new(
        view: &'v View,
        key: &'v ServiceKey,
        service: &'v Service,
        revision: Standard,
        image: Option<&'v FrozenImage>,
    ) -> Self {
        let rules = affinities(&view.documents, service).iter().map(Rule::new);
        let (soft, hard): (Vec<_>, Vec<_>) = rules.partition(|rule: &Rule<'_>| rule.affinity.soft);
        Self {
            key,
            service,
            revision,
            fixed: hard.iter().all(Rule::is_fixed),
            hard,
            soft,
            volumes: volumes(&view.documents, service),
            image,
            hash: score::service_hash(key),
            mark: OnceCell::new(),
            candidates: OnceCell::new(),
        }
    }

    /// What is deployed of a service.
    pub(super) fn deployed(
        view: &'v View,
        key: &'v ServiceKey,
        service: &'v Service,
        record: &'v ServiceRecord,
    ) -> Self {
        let deployed = record.deployed.as_ref();
        let image = deployed.and_then(|deployed| deployed.revision.image.as_ref());
        Self::new(view, key, service, Standard::of(record), image)
    }

    /// Whether the documents alone answer its affinities.
    pub(super) fn is_documented(&self) -> bool {
        self.hard.iter().chain(&self.soft).all(Rule::is_documented)
    }

    /// Whether a node suits all of its instances alike, and never better for being given one of them.
    pub(super) fn suits_all_alike(&self) -> bool {
        self.soft.iter().all(Rule::is_fixed)
            && !self.has_own_volumes()
            && self.service.volumes_from.is_empty()
    }

    pub(super) fn asker(&self, number: u32) -> Asker<'v> {
        Asker {
            key: self.key,
            number,
        }
    }

    /// How well a node suits an instance, given what stands and was given away already.
    pub(super) fn scores(&self, survey: &Survey<'_>, node: usize, number: u32) -> Scores {
        let candidate = self.candidate(survey, node);
        Scores {
            crowd: self.crowd(survey, candidate, number),
            rendezvous: Reverse(score::rendezvous(
                self.instance_hash(number),
                candidate.hash,
            )),
        }
    }

    /// The part of a node's scores that others share.
    #[inline]
    pub(super) fn crowd(&self, survey: &Survey<'_>, candidate: Candidate, number: u32) -> Crowd {
        let Candidate {
            node,
            cut_off,
            refuses,
            place,
            lacks_image,
            ..
        } = candidate;
        let misses = match self.soft.is_empty() {
            true => 0,
            false => self.misses(survey, node, number),
        };
        let mut crowd = Crowd {
            cut_off,
            refuses,
            lacks_volumes: self.lacks_volumes(survey, node, number),
            misses,
            ..Crowd::default()
        };
        match self.service.deploy.strategy {
            Strategy::Ha | Strategy::Daemon => {
                crowd.domains = place.map(|domain| survey.in_domain[domain as usize]);
                crowd.service = survey.on_node[node];
                crowd.fullness = Fullness::new(survey.totals[node], lacks_image);
            }
            Strategy::Random => {}
        }
        crowd
    }

    /// How many of the volumes that each instance has for itself are not on the node: where they are is its data (as
    /// Kontena).
    fn lacks_volumes(&self, survey: &Survey<'_>, node: usize, number: u32) -> u32 {
        let mut own = self.own_volumes().peekable();
        let Some(report) = survey.nodes[node].report.filter(|_| own.peek().is_some()) else {
            return 0;
        };
        let instance = InstanceId::new(self.key.clone(), number);
        let lacks = |(name, definition): &(&VolumeName, &Definition)| {
            let copy = definition.copy_of(name, &instance);
            !report.volumes.contains_key(&copy)
        };
        u32::try_from(own.filter(lacks).count()).unwrap_or(u32::MAX)
    }

    /// Whether each of its instances has data of its own.
    pub(super) fn has_own_volumes(&self) -> bool {
        self.own_volumes().next().is_some()
    }

    fn own_volumes(&self) -> impl Iterator<Item = (&'v VolumeName, &'v Definition)> {
        let volumes = self.volumes.iter().copied();
        volumes.filter(|(_, definition)| definition.scope == Scope::Instance)
    }

    pub(super) fn instance_hash(&self, number: u32) -> u64 {
        score::instance_hash(self.hash, number)
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
        let instance = self.instance_hash(number);
        let mut best: Option<(Scores, usize)> = None;
        for candidate in self.candidates(survey) {
            let crowd = self.crowd(survey, *candidate, number);
            if best.is_some_and(|(best, _)| crowd > best.crowd) {
                continue;
            }
            let rendezvous = Reverse(score::rendezvous(instance, candidate.hash));
            let scores = Scores { crowd, rendezvous };
            // The filter comes last: of many candidates only the few that are better than all before
            // them are asked.
            let is_better = best.is_none_or(|(best, _)| scores < best);
            if is_better && filter::newcomer(survey, self, candidate.node, number).is_none() {
                best = Some((scores, candidate.node));
            }
        }
        best.map(|(_, node)| node)
    }

    /// Who comes after a node, in the order of ids and round again, of those that may be given the instance.
    pub(super) fn next_after(
        &self,
        survey: &Survey<'v>,
        number: u32,
        node: NodeId,
    ) -> Option<usize> {
        let candidates = self.candidates(survey).iter();
        let fitting = candidates
            .filter(|candidate| filter::newcomer(survey, self, candidate.node, number).is_none());
        fitting.map(|candidate| candidate.node).min_by_key(|index| {
            let id = survey.nodes[*index].id;
            (id <= node, id)
        })
    }

    pub(super) fn candidates(&self, survey: &Survey<'v>) -> &[Candidate] {
        self.candidates.get_or_init(|| {
            let open = survey.open.iter().copied();
            let fitting = open.filter(|node| filter::is_suitable(survey, self, *node));
            fitting.map(|node| self.candidate(survey, node)).collect()
        })
    }

    fn candidate(&self, survey: &Survey<'_>, node: usize) -> Candidate {
        let Node {
            cut_off,
            hash,
            report,
            ..
        } = survey.nodes[node];
        Candidate {
            node,
            cut_off,
            refuses: report.is_some_and(|report| self.is_refused_by(report)),
            place: survey.domains.places[node],
            lacks_image: survey.images_told && !self.has_image(survey, node),
            hash,
        }
    }

    /// Whether the node says that it has the service's image ready.
    pub(super) fn has_image(&self, survey: &Survey<'_>, node: usize) -> bool {
        let report = survey.nodes[node].report;
        report
            .is_some_and(|report| !report.images.is_empty() && report.images.contains(&self.mark()))
    }

    /// What the image of the deploy of record is known by.
    pub(super) fn mark(&self) -> ImageMark {
        let mark = || ImageMark::of(&self.service.image, self.image);
        *self.mark.get_or_init(mark)
    }

    /// Whether it refuses any instance of the service.
    fn is_refused_by(&self, report: &Report) -> bool {
        let mut refused = report.refusals.keys();
        refused.any(|instance| instance.service == *self.key)
    }

    fn rank(&self, survey: &Survey<'_>, holder: &Holder<'_>, number: u32) -> Rank {
        let instance = self.instance_hash(number);
        let rendezvous = score::rendezvous(instance, survey.nodes[holder.node].hash);
        let on_return = self.service.deploy.offline.on_return;
        takeover::rank(holder.hold, self.revision, on_return, rendezvous)
    }

    /// The holds of the instance, best first, of nodes that are away or of those that are not.
    pub(super) fn holders(&self, survey: &Survey<'v>, number: u32, away: bool) -> Vec<Holder<'v>> {
        let all = survey.holders(self.key, number).iter().copied();
        let mut holders: Vec<_> = all
            .filter(|holder| survey.nodes[holder.node].is_away() == away)
            .collect();
        if holders.len() > 1 {
            holders.sort_by_key(|holder| self.rank(survey, holder, number));
        }
        holders
    }
}
