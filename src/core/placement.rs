//! Placement: which node runs which instance, and why.
//!
//! [`place`] is a pure function of a [`View`]. Every node calls it on its own view and starts only
//! what falls to itself. Equal views give equal answers; while views differ, an instance may
//! briefly run twice, and the extra one goes once they meet ([`Assignment::rivals`]).
//!
//! An instance stays where it is as long as that is allowed. Otherwise the best fresh node that fits
//! takes it, so losing a node moves only what it ran. The order of the rules, with an example, is in
//! `docs/design/placement.md`.
//!
//! A node's own standing must be `Fresh` in the view that it places by.
//!
//! Not here: who is alive (`membership`), starting and stopping (`reconcile`), graces (a node is
//! `Absent` only once its grace is over).

mod affinity;
mod balance;
mod decide;
mod departures;
mod domains;
mod explain;
mod filter;
mod front;
mod incremental;
mod lagging;
mod one_off;
mod plan;
mod score;
mod sources;
mod standard;
mod standby;
mod survey;
mod takeover;
#[cfg(test)]
mod tests;
mod wanted;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::stack::{FrozenImage, Service, Strategy};
use crate::view::{Lifecycle, ServiceRecord, View};

use survey::Survey;
use wanted::Wanted;

pub use departures::{Departing, Fate, departures};
pub use explain::{Domain, Explained, Explanation, Row, Standby, Verdict, Weight, explain};
pub use incremental::Incremental;
pub use lagging::lags;
pub use one_off::{Berth, NoBerth, Wish, one_off};
pub use plan::{Change, Outcome, Plan, Supposition, plan};
pub use sources::Sourceless;
use sources::sources_first;
use standard::Standard;
pub use standby::{Candidacy, StandbyImage, standbys};
pub use survey::DAEMON_STRIDE;
pub use takeover::{Seen, winner};
pub use words::waiting;

/// The version of the rules in this module. All nodes of a grid compute the one that its `grid`
/// document names; a change that could give another answer raises it.
pub const PLACEMENT_VERSION: u32 = 1;

/// The most instances of one service that are placed, so that a wrong number costs a bounded time.
pub const MAX_INSTANCES: u32 = 100_000;

/// The most instances of a `daemon` service on one node, for the same reason.
pub const MAX_DAEMON_INSTANCES: u32 = 1_000;

/// Who runs what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    pub services: BTreeMap<ServiceKey, ServicePlacement>,
}

/// What holds for a service as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServicePlacement {
    /// By instance number. A number that is missing is not wanted: its holders stop.
    Placed(BTreeMap<u32, Assignment>),
    /// Nothing of it is to run, and pins stay.
    Idle(Idle),
    /// This version of Kontena cannot place it and says why: every holder keeps what it holds, and
    /// nothing of it is started.
    Frozen(String),
}

/// Why nothing of a service is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    NeverDeployed,
    Stopped,
}

/// Who runs one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Who is to run it; `None` while it waits.
    pub holder: Option<NodeId>,
    /// A holder that must give it up (it drains, its engine failed, it no longer fits) and keeps
    /// it until [`relieved`](Self::relieved); for good where nobody is to have it.
    pub leaving: Option<NodeId>,
    /// Other nodes that hold it too, and stop once [`relieved`](Self::relieved).
    pub rivals: Vec<NodeId>,
    /// Whether `leaving` and `rivals` may stop now: the holder was heard of lately, and reported it
    /// as running and healthy at the wanted revision. Without a holder: whether `rivals` may, because
    /// `leaving` runs it. Always so for a stateful service, which must never run twice.
    pub relieved: bool,
    /// The epoch of the holder's hold: one above all that were seen when the holder changes.
    pub epoch: u64,
    pub reason: Reason,
}

/// Which rule decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its holder keeps it.
    Kept,
    /// Its holder is stale: too early to take it over.
    HolderStale,
    /// It never had a holder: the best fresh node gets it at once.
    New,
    /// Its holder is absent, and this side sees enough of the eligible nodes.
    TakenOver {
        from: NodeId,
        seen: Seen,
    },
    /// Its holder is there, but may not keep it.
    Moved {
        from: NodeId,
        because: String,
    },
    /// Its holder is well, and the spread gets better.
    Rebalanced {
        from: NodeId,
    },
    /// A stateful instance, bound to its holder.
    Pinned,
    /// A daemon's instance, which belongs to its node.
    Daemon,
    Waits(Wait),
}

/// Why nobody starts an instance now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// [`explain`] names each node's rejection.
    NoNodeFits,
    /// Nobody can say where the volumes are that it mounts of others.
    Sourceless(Sourceless),
    /// Its holder is absent, and this side sees fewer than half of the eligible nodes.
    TooFewSeen { from: NodeId, seen: Seen },
    /// Its service asks for more patience than its holder has been absent.
    TooEarly { from: NodeId, after: Duration },
    /// Its service is taken over by nobody, and no person has said that its holder is dead.
    NotTakenOver { from: NodeId },
    /// Stateful, and neither bound nor held.
    NotBound,
    /// Stateful, not bound, and its only holder is absent: it is never started elsewhere.
    HolderAbsent { node: NodeId },
    /// Stateful, and the node that it is bound to drains: it stands by.
    PinDrains { node: NodeId },
    /// Stateful, and the node that it was bound to was removed: a person has to decide.
    PinLost { node: NodeId },
    /// Stateful, bound to one node while another still runs it: that one stops first.
    RunsElsewhere { pin: NodeId, node: NodeId },
}

/// What a node is to do with an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// Run it.
    Run(&'a Assignment),
    /// Keep what it has until the other node runs it: there is no successor yet, or it is not healthy.
    KeepUntilRelieved(&'a Assignment),
    /// Keep what it has, start nothing: the service is frozen.
    Keep,
    /// Stop it, if it holds it.
    Stop,
}

impl Placement {
    /// The assignment of an instance, if it is wanted.
    pub fn get(&self, instance: &InstanceId) -> Option<&Assignment> {
        self.of_service(&instance.service)?.get(&instance.number)
    }

    /// A service's assignments by instance number, if it is placed.
    pub fn of_service(&self, key: &ServiceKey) -> Option<&BTreeMap<u32, Assignment>> {
        match self.services.get(key)? {
            ServicePlacement::Placed(assignments) => Some(assignments),
            ServicePlacement::Idle(_) | ServicePlacement::Frozen(_) => None,
        }
    }

    /// Every wanted instance of every placed service.
    pub fn assignments(&self) -> impl Iterator<Item = (&ServiceKey, u32, &Assignment)> {
        self.services.iter().flat_map(|(key, service)| {
            let assignments = match service {
                ServicePlacement::Placed(assignments) => Some(assignments),
                ServicePlacement::Idle(_) | ServicePlacement::Frozen(_) => None,
            };
            let all = assignments.into_iter().flatten();
            all.map(move |(number, assignment)| (key, *number, assignment))
        })
    }

    /// The instances that a node is to run.
    pub fn of_node(&self, node: NodeId) -> impl Iterator<Item = (InstanceId, &Assignment)> {
        self.assignments()
            .filter(move |(_, _, assignment)| assignment.holder == Some(node))
            .map(|(key, number, assignment)| (InstanceId::new(key.clone(), number), assignment))
    }

    /// What a node is to do with an instance that it holds or might run.
    pub fn role(&self, instance: &InstanceId, node: &NodeId) -> Role<'_> {
        match self.services.get(&instance.service) {
            Some(ServicePlacement::Frozen(_)) => Role::Keep,
            Some(ServicePlacement::Idle(_)) | None => Role::Stop,
            Some(ServicePlacement::Placed(assignments)) => assignments
                .get(&instance.number)
                .map_or(Role::Stop, |assignment| assignment.role(node)),
        }
    }
}

impl Assignment {
    fn role(&self, node: &NodeId) -> Role<'_> {
        let leaves = self.leaving.as_ref() == Some(node);
        let is_last = leaves && self.holder.is_none();
        let outgoing = leaves || self.rivals.contains(node);
        if self.holder.as_ref() == Some(node) {
            Role::Run(self)
        } else if is_last || outgoing && !self.relieved {
            Role::KeepUntilRelieved(self)
        } else {
            Role::Stop
        }
    }
}

/// Who runs what, by everything that this view knows.
pub fn place(view: &View) -> Placement {
    let mut survey = Survey::of(view);
    let mut services = BTreeMap::new();
    for (key, record) in in_order(view) {
        let placed = place_service(&mut survey, key, record, &mut |_, _, _, _| ());
        services.insert(key.clone(), placed);
    }
    Placement { services }
}

/// All services in the order in which they are placed.
fn in_order(view: &View) -> impl Iterator<Item = (&ServiceKey, &ServiceRecord)> {
    let services = view.documents.services.iter();
    let ordered = sources_first(services.map(|(key, record)| (key, record, ())));
    ordered.into_iter().map(|(key, record, ())| (key, record))
}

/// Sees each decision, with the survey as it was when it was made.
type Observer<'o> = dyn FnMut(&Survey<'_>, &Wanted<'_>, u32, &Assignment) + 'o;

fn place_service<'v>(
    survey: &mut Survey<'v>,
    key: &'v ServiceKey,
    record: &'v ServiceRecord,
    observe: &mut Observer<'_>,
) -> ServicePlacement {
    let placed = decide_service(survey, key, record, observe);
    survey.settle(key, &placed);
    placed
}

fn decide_service<'v>(
    survey: &mut Survey<'v>,
    key: &'v ServiceKey,
    record: &'v ServiceRecord,
    observe: &mut Observer<'_>,
) -> ServicePlacement {
    if record.deployed.is_none() {
        return ServicePlacement::Idle(Idle::NeverDeployed);
    }
    if record.state == Lifecycle::Stopped {
        return ServicePlacement::Idle(Idle::Stopped);
    }
    match readable(survey.view, record) {
        Ok(service) => {
            let wanted = Wanted::deployed(survey.view, key, service, record);
            let assignments = decide::service(survey, &wanted, record, observe);
            ServicePlacement::Placed(assignments)
        }
        Err(problem) => ServicePlacement::Frozen(problem),
    }
}

/// Decides some instances of a service again that was settled, and of which nothing else changed.
fn place_again<'v>(
    survey: &mut Survey<'v>,
    key: &'v ServiceKey,
    record: &'v ServiceRecord,
    numbers: &BTreeSet<u32>,
    assignments: &mut BTreeMap<u32, Assignment>,
) {
    if let Ok(service) = readable(survey.view, record) {
        let wanted = Wanted::deployed(survey.view, key, service, record);
        decide::again(survey, &wanted, numbers, assignments);
    }
}

/// The deployed definition, if this version of Kontena may place it.
fn readable<'v>(view: &View, record: &'v ServiceRecord) -> Result<&'v Service, String> {
    let version = view.documents.grid.placement_version;
    if version > PLACEMENT_VERSION {
        return Err(format!(
            "the grid places by version {version} of the rules, this node knows {PLACEMENT_VERSION}"
        ));
    }
    let deployed = record.deployed.as_ref().ok_or("it was never deployed")?;
    let service = deployed.revision.service.as_ref().map_err(String::clone)?;
    if service.is_from_the_future() {
        return Err("its definition has fields of a newer version of Kontena".to_owned());
    }
    Ok(service)
}

/// The nodes that new instances of a stateful service, or a job, are to be bound to: the best fresh ones.
///
/// Whoever takes the command that creates the service, or scales it up, writes them as pins with that
/// very change. The service need not be in the view yet. A number that is bound already, or that no
/// node fits, is missing in the answer; one that a node holds is bound to that node. `image` is what its image means
/// where that is known, and so which processors it was built for. Nothing is bound
/// for a stateless service, nor for `daemon`, where each node has numbers of its own.
pub fn choose_pins(
    view: &View,
    key: &ServiceKey,
    service: &Service,
    image: Option<&FrozenImage>,
    numbers: impl IntoIterator<Item = u32>,
) -> BTreeMap<u32, NodeId> {
    if !service.is_bound() || service.deploy.strategy == Strategy::Daemon {
        return BTreeMap::new();
    }
    let mut survey = Survey::of(view);
    for (other, record) in in_order(view) {
        if other != key {
            place_service(&mut survey, other, record, &mut |_, _, _, _| ());
        }
    }
    let wanted = Wanted::new(view, key, service, Standard::Nothing, image);
    let record = view.documents.services.get(key);
    decide::pins(&mut survey, &wanted, record, numbers)
}

/// The node that an instance is to be bound to in place of the one that it is bound to: the best of those that do not
/// refuse it, or `by_turns` whoever comes next of them: refusals do not last, and of three nodes that cannot run it the best
/// two would have it in turns for ever, whatever becomes of the third. Only that of an instance that was never made may be
/// asked for.
pub fn choose_other(view: &View, instance: &InstanceId, by_turns: bool) -> Option<NodeId> {
    let (key, record) = view.documents.services.get_key_value(&instance.service)?;
    let service = readable(view, record).ok().filter(|s| s.is_bound())?;
    let mut survey = Survey::of(view);
    for (other, record) in in_order(view) {
        if other != key {
            place_service(&mut survey, other, record, &mut |_, _, _, _| ());
        }
    }
    let wanted = Wanted::deployed(view, key, service, record);
    decide::other(&mut survey, &wanted, record, instance.number, by_turns)
}
