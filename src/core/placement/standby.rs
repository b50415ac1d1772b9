//! Standby: the nodes that come next for a service, and so keep its image ready.
//!
//! In: the view. Out: the first nodes in the order of `score` that may be given an instance and hold none, as many as the
//! service asks for. Who holds an instance has the image anyway. The order counts who has it before who has not, where
//! they are equal otherwise, so that candidates stay who they are. A node asks for itself alone, which costs little: it
//! has to find no more nodes than the service asks for that come before it.
//!
//! `random` services have none: there each instance has an order of its own.
//!
//! Not here: fetching (`reconcile`), and what the nodes say that they have (`report`).

use crate::id::{NodeId, ServiceKey};
use crate::stack::{FrozenImage, ImageMark, Service, Strategy};
use crate::view::{Lifecycle, ServiceRecord, View};

use super::survey::Survey;
use super::takeover::is_right;
use super::wanted::Wanted;
use super::{MAX_INSTANCES, filter, readable};

/// The label, with a value or without, of a node that fetches nothing that it does not run.
const NO_STANDBY: &str = "no-standby";

/// The number that no instance has: candidates are those of the service as a whole.
const OF_ALL: u32 = 0;

/// An image to keep ready, as its deploy asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyImage {
    pub image: String,
    /// What its name meant when the deploy was accepted.
    pub frozen: Option<FrozenImage>,
}

impl StandbyImage {
    pub fn mark(&self) -> ImageMark {
        ImageMark::of(&self.image, self.frozen.as_ref())
    }
}

/// Whether a node is to keep the image of a service ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidacy {
    StandsBy(StandbyImage),
    /// A deploy is under way, or an instance is on its way elsewhere: it is left as it was.
    Unsettled(StandbyImage),
    Passed,
}

/// The nodes that are to keep the image of a service ready, best first; none while that is not settled.
pub fn standbys(view: &View, key: &ServiceKey) -> Vec<NodeId> {
    let services = &view.documents.services;
    let Some((key, record)) = services.get_key_value(key) else {
        return Vec::new();
    };
    let mut survey = Survey::of(view);
    let Some(wanted) = asks(&survey, key, record) else {
        return Vec::new();
    };
    survey.begin_as_held(wanted.key, wanted.service);
    if !is_settled(&survey, &wanted, record) {
        return Vec::new();
    }
    let nodes = survey.open.iter().copied();
    let fitting = nodes.filter(|node| fits(&survey, &wanted, *node));
    let mut scored: Vec<_> = fitting
        .map(|node| (wanted.scores(&survey, node, OF_ALL), node))
        .collect();
    scored.sort_unstable();
    scored.truncate(most(wanted.service));
    let ids = scored.into_iter().map(|(_, node)| survey.nodes[node].id);
    ids.collect()
}

/// What a service is to one node.
pub(super) fn candidacy<'v>(
    survey: &mut Survey<'v>,
    me: usize,
    key: &'v ServiceKey,
    record: &'v ServiceRecord,
) -> Candidacy {
    let Some(wanted) = asks(survey, key, record) else {
        return Candidacy::Passed;
    };
    survey.begin_as_held(wanted.key, wanted.service);
    let image = || image(wanted.service, record);
    if survey.on_node[me] > 0 {
        Candidacy::Passed
    } else if !is_settled(survey, &wanted, record) {
        Candidacy::Unsettled(image())
    } else if is_among_the_first(survey, &wanted, me) {
        Candidacy::StandsBy(image())
    } else {
        Candidacy::Passed
    }
}

/// The service, if any node is to keep its image ready.
fn asks<'v>(
    survey: &Survey<'v>,
    key: &'v ServiceKey,
    record: &'v ServiceRecord,
) -> Option<Wanted<'v>> {
    let service = readable(survey.view, record).ok()?;
    // Who mounts volumes of others goes where they are, and nowhere else.
    let has_candidates = !service.is_bound()
        && service.deploy.strategy == Strategy::Ha
        && service.volumes_from.is_empty();
    let runs = record.state == Lifecycle::Running && record.instances > 0;
    let asks = runs && has_candidates && most(service) > 0;
    asks.then(|| Wanted::deployed(survey.view, key, service, record))
}

fn image(service: &Service, record: &ServiceRecord) -> StandbyImage {
    let deployed = record.deployed.as_ref();
    StandbyImage {
        image: service.image.clone(),
        frozen: deployed.and_then(|deployed| deployed.revision.image.clone()),
    }
}

fn most(service: &Service) -> usize {
    usize::from(service.deploy.standby_images)
}

/// Whether all of its instances run and are healthy, as far as they are not with nodes that are away.
fn is_settled(survey: &Survey<'_>, wanted: &Wanted<'_>, record: &ServiceRecord) -> bool {
    let held = survey.held_at_hand();
    let is_done = held.iter().all(|holder| {
        survey.nodes[holder.node].is_away() || is_right(holder.hold, wanted.revision)
    });
    let mut numbers: Vec<u32> = held.iter().map(|holder| holder.number).collect();
    numbers.dedup();
    numbers.retain(|number| (1..=record.instances).contains(number));
    is_done && numbers.len() == record.instances.min(MAX_INSTANCES) as usize
}

fn is_among_the_first(survey: &Survey<'_>, wanted: &Wanted<'_>, me: usize) -> bool {
    if survey.open.binary_search(&me).is_err() || !fits(survey, wanted, me) {
        return false;
    }
    let mine = wanted.scores(survey, me, OF_ALL);
    let better = survey.open.iter().filter(|node| {
        wanted.scores(survey, **node, OF_ALL) < mine && fits(survey, wanted, **node)
    });
    let most = most(wanted.service);
    better.take(most).count() < most
}

/// Whether the node has nothing of the service and may be given an instance of it.
fn fits(survey: &Survey<'_>, wanted: &Wanted<'_>, node: usize) -> bool {
    survey.on_node[node] == 0
        && !declines(survey, node)
        && filter::candidate(survey, wanted, node, OF_ALL).is_none()
}

/// It is on a line that is metered, or its disk is small.
fn declines(survey: &Survey<'_>, node: usize) -> bool {
    let mut labels = survey.nodes[node].member.labels.iter();
    labels.any(|label| label.split('=').next() == Some(NO_STANDBY))
}
