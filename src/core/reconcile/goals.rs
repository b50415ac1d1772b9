//! Placement and view → what is asked of one node.
//!
//! The only place where the two modules meet: placement says who runs what, and reconciliation is
//! told what follows for this node. No rule of its own is in here.

mod jobs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{InstanceId, NodeId, ServiceKey, ServiceName};
use crate::job::Ledger;
use crate::lease::LeaseId;
use crate::placement::{Assignment, Idle, Placement, Reason, Role, ServicePlacement, Wait};
use crate::report::{Health, Hold, InstanceState};
use crate::schedule::Slot;
use crate::stack::{Service, Stage, Strategy};
use crate::time::Instant;
use crate::view::{Deployed, Freshness, Lifecycle, MoveOrder, ServiceRecord, View};
use crate::volume::{Copy, Volume, VolumeName};

use super::arriving::{Arrival, Inbound, Settlement};
use super::container::mounted;
use super::leases::LeaseTerms;
use super::moving::Outbound;
use super::order::{Awaited, Tie};
use super::rollout::{Hindrance, Peer};
use super::volumes::RemovedVolumes;
use super::wanted::{Aim, Departure, Goals, Leaving, Rival, Wanted};

/// Whose goals are made, and what it holds by its own account ([`super::Instances::holds`]).
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    pub node: NodeId,
    pub holds: &'a BTreeMap<InstanceId, Hold>,
    pub ledgers: &'a BTreeMap<InstanceId, Ledger>,
    /// Nobody whom it hears knows changes that it lacks.
    pub is_up_to_date: bool,
    /// What is here of instances since a move, and does not count.
    pub arrivals: &'a BTreeMap<InstanceId, Arrival>,
}

/// What is asked of `me`. `placement` is that of `view`.
pub fn goals(
    view: &View,
    placement: &Placement,
    me: Holder<'_>,
    hold_takeovers_until: Option<Instant>,
) -> Goals {
    let mut goals = Goals {
        hold_takeovers_until,
        removed_volumes: removed_volumes(view),
        bound: bound(view, me.node),
        jobs: jobs::fates(view, placement, me),
        ..Goals::default()
    };
    for (key, placed) in &placement.services {
        if let Some(record) = view.documents.services.get(key) {
            let scene = Scene {
                view,
                me,
                key,
                record,
            };
            scene.ask(placement, placed, &mut goals);
        }
    }
    for (key, record) in &view.documents.services {
        let scene = Scene {
            view,
            me,
            key,
            record,
        };
        scene.follow_moves(&mut goals);
    }
    let arrivals = me.arrivals.iter();
    let fates = arrivals.map(|(one, arrival)| {
        let inbound = goals.inbound.get(one);
        (one.clone(), fate(view, me, one, arrival, inbound))
    });
    let fates = fates.collect();
    goals.fates = fates;
    goals
}

/// What an instance is made of, whoever has it: the definition that is deployed, with the volumes that are known here.
pub(super) fn as_deployed(view: &View, me: NodeId, instance: &InstanceId) -> Option<Wanted> {
    let services = &view.documents.services;
    let (key, record) = services.get_key_value(&instance.service)?;
    let (holds, ledgers) = (BTreeMap::new(), BTreeMap::new());
    let arrivals = BTreeMap::new();
    let me = Holder {
        node: me,
        holds: &holds,
        ledgers: &ledgers,
        is_up_to_date: true,
        arrivals: &arrivals,
    };
    let scene = Scene {
        view,
        me,
        key,
        record,
    };
    Some(scene.plain(instance.number, scene.target()?))
}

/// What becomes of what came by a move. That nobody knows of the move may be for want of documents.
fn fate(
    view: &View,
    me: Holder<'_>,
    instance: &InstanceId,
    arrival: &Arrival,
    inbound: Option<&Inbound>,
) -> Settlement {
    let record = view.documents.services.get(&instance.service);
    let number = instance.number;
    let is_its = |order: &MoveOrder| order.to == me.node && order.from.epoch == arrival.epoch;
    let came = record.and_then(|record| record.came_by(number));
    if came.is_some_and(|(order, _)| is_its(order)) {
        return Settlement::Accept;
    }
    if record
        .and_then(|record| record.moving(number))
        .is_some_and(is_its)
        && inbound.is_none_or(|inbound| inbound.volumes() == arrival.volumes)
    {
        return Settlement::Keep;
    }
    let is_member = |node: &NodeId| view.documents.roster.contains_key(node);
    let pin = record.and_then(|record| record.pins.get(&number));
    let came_from = record.and_then(|record| record.moves.get(&number));
    let came_from = came_from.filter(|order| is_its(order));
    match pin {
        Some(pin) if pin.node == me.node && pin.epoch > arrival.epoch => Settlement::Discard,
        Some(_) | None if !me.is_up_to_date => Settlement::Keep,
        // With the node that it came from all else may be gone: what to do with it is for a person to say.
        Some(_) if came_from.is_some_and(|order| !is_member(&order.from.node)) => Settlement::Keep,
        Some(pin) if pin.epoch == arrival.epoch && is_member(&pin.node) => {
            Settlement::Release { from: pin.node }
        }
        Some(_) | None => Settlement::Discard,
    }
}

fn bound(view: &View, me: NodeId) -> BTreeMap<InstanceId, u64> {
    let services = view.documents.services.iter();
    let pins = services.flat_map(|(key, record)| record.pins.iter().map(move |pin| (key, pin)));
    pins.filter(|(_, (_, pin))| pin.node == me)
        .map(|(key, (number, pin))| (InstanceId::new(key.clone(), *number), pin.epoch))
        .collect()
}

/// What was removed, under names that no service uses and no volume has: who uses one has what is there, and a copy that was
/// made for an earlier volume of the name may be the data of the one that there is.
fn removed_volumes(view: &View) -> RemovedVolumes {
    let removed = &view.documents.removed_volumes;
    if removed.is_empty() {
        return RemovedVolumes::new();
    }
    let services = view.documents.services.values();
    let used: BTreeSet<&VolumeName> = services.flat_map(ServiceRecord::volumes).collect();
    let is_there = |name: &VolumeName| {
        let volume = view.documents.volumes.get(name);
        volume.is_some_and(|volume| !volume.removed)
    };
    let removed = removed
        .iter()
        .filter(|(name, _)| !used.contains(name) && !is_there(name));
    removed
        .map(|(name, creations)| (name.clone(), creations.clone()))
        .collect()
}

/// One service, as it concerns this node.
#[derive(Clone, Copy)]
struct Scene<'a> {
    view: &'a View,
    me: Holder<'a>,
    key: &'a ServiceKey,
    record: &'a ServiceRecord,
}

/// What shall run of a service, where this version of Kontena can read it.
#[derive(Clone, Copy)]
struct Target<'a> {
    service: &'a Arc<Service>,
    deployed: &'a Deployed,
}

impl<'a> Scene<'a> {
    fn ask(self, placement: &Placement, placed: &ServicePlacement, goals: &mut Goals) {
        match placed {
            ServicePlacement::Idle(Idle::NeverDeployed) => {}
            ServicePlacement::Idle(Idle::Stopped) => self.ask_to_rest(goals),
            ServicePlacement::Frozen(_) => self.leave_all(Departure::Unjudged, goals),
            ServicePlacement::Placed(assignments) => {
                self.ask_to_run(placement, assignments, goals);
                self.ask_to_leave(placement, goals);
            }
        }
    }

    fn ask_to_run(
        self,
        placement: &Placement,
        assignments: &BTreeMap<u32, Assignment>,
        goals: &mut Goals,
    ) {
        let Some(target) = self.target() else { return };
        let mine = |assignment: &Assignment| assignment.holder == Some(self.me.node);
        let mut of_all: Option<(Vec<Peer>, Option<Awaited>)> = None;
        for (number, assignment) in assignments.iter().filter(|(_, each)| mine(each)) {
            let (peers, awaited) = of_all.get_or_insert_with(|| {
                let peers = self.peers(target, assignments);
                (peers, self.awaited(target, placement))
            });
            let wanted = self.wanted(*number, assignment, target, peers.clone());
            goals.wanted.push(Wanted {
                awaited: awaited.clone(),
                ..wanted
            });
        }
    }

    /// The first service that it links to, or mounts the volumes of, and is to wait for. Who goes back waits for nobody: what it links to may be
    /// going back as well, and for good.
    fn awaited(self, target: Target<'_>, placement: &Placement) -> Option<Awaited> {
        if target.deployed.takes_back.is_some() {
            return None;
        }
        let links = target.service.links.iter();
        let within = links.filter(|link| {
            let stack = link.stack.as_ref();
            stack.is_none_or(|stack| *stack == self.key.stack) && link.service != self.key.service
        });
        let linked = within.map(|link| (&link.service, Tie::Link));
        let sources = target.service.volumes_from.iter();
        let sources = sources.map(|from| (&from.service, Tie::Volumes));
        let mut awaited = linked
            .chain(sources)
            .filter_map(|(service, tie)| self.awaits(service, tie, target, placement));
        let first = awaited.next()?;
        (!self.has_begun(target)).then_some(first)
    }

    /// Within a stack a service waits for one that was deployed by the same change, or later: a service that is
    /// deployed by itself later waits for nobody. One that was never deployed before waits for the same change alone,
    /// because that none of it runs may have another reason, long after.
    fn awaits(
        self,
        service: &ServiceName,
        tie: Tie,
        target: Target<'_>,
        placement: &Placement,
    ) -> Option<Awaited> {
        let key = ServiceKey::new(self.key.stack.clone(), service.clone());
        let (key, record) = self.view.documents.services.get_key_value(&key)?;
        let linked = Scene {
            key,
            record,
            ..self
        };
        let its = linked.target()?;
        let Some(ServicePlacement::Placed(assignments)) = placement.services.get(key) else {
            return None;
        };
        let is_older = its.deployed.generation < target.deployed.generation;
        let went_back = its.deployed.takes_back.is_some();
        let is_first = target.deployed.previous.is_none();
        let is_later = its.deployed.generation > target.deployed.generation;
        if is_older || (is_first && is_later) || (!went_back && linked.is_ready(its, assignments)) {
            return None;
        }
        Some(Awaited {
            service: service.clone(),
            tie,
            is_held: went_back || !its.deployed.goes_on(),
            is_first,
        })
    }

    /// Whether each instance that somebody has, and can be reached, is healthy at the wanted deploy.
    fn is_ready(self, target: Target<'_>, assignments: &BTreeMap<u32, Assignment>) -> bool {
        let peers = self.peers(target, assignments);
        let is_done = |peer: &Peer| peer.is_done() || peer.is_skippable() || peer.kept;
        assignments.is_empty() || (peers.iter().any(Peer::is_done) && peers.iter().all(is_done))
    }

    /// Whether any instance of it, as far as anybody said, has begun with the deploy: has a container where it is the
    /// first one, else is replaced or was.
    fn has_begun(self, target: Target<'_>) -> bool {
        let Deployed {
            generation,
            previous,
            ..
        } = target.deployed;
        let has_begun = |hold: &Hold| match previous {
            None => hold.container.is_some() && hold.generation >= self.record.born,
            Some(_) => {
                let is_made = hold.container.is_some() && hold.generation >= *generation;
                is_made || hold.updating || hold.on_trial
            }
        };
        let first = InstanceId::new(self.key.clone(), 0);
        let last = InstanceId::new(self.key.clone(), u32::MAX);
        let reports = self.view.reports.values();
        let said = reports.flat_map(|report| report.holds.range(&first..=&last));
        let own = self.me.holds.range(&first..=&last);
        said.chain(own).any(|(_, hold)| has_begun(hold))
    }

    /// What this node holds of the service and is not to run.
    fn ask_to_leave(self, placement: &Placement, goals: &mut Goals) {
        for instance in self.held() {
            let role = placement.role(instance, &self.me.node);
            let departure = match role {
                Role::Run(_) => continue,
                // Whoever is next cannot begin before this one has let go of the lease.
                Role::KeepUntilRelieved(next) if self.is_leased() && next.holder.is_some() => {
                    Departure::Unwanted
                }
                Role::Stop if self.is_leased() => Departure::Unwanted,
                Role::KeepUntilRelieved(_) => Departure::Handover {
                    winner_ready: false,
                },
                Role::Keep => Departure::Unjudged,
                Role::Stop => self.stop(placement.get(instance)),
            };
            goals.leaving.push(Leaving {
                instance: instance.clone(),
                departure,
            });
        }
    }

    fn stop(self, assignment: Option<&Assignment>) -> Departure {
        // Placement knows what this node has reported: of what it holds since then (its engine
        // answers again), it does not know whether the other one is ready to do without it.
        if assignment.is_some_and(|assignment| !assignment.relieved) {
            return Departure::Handover {
                winner_ready: false,
            };
        }
        match assignment.map(|assignment| &assignment.reason) {
            Some(Reason::Waits(Wait::PinDrains { node })) if *node == self.me.node => {
                Departure::Drained
            }
            // Whoever binds it looks for who has it.
            Some(Reason::Waits(Wait::NotBound)) => Departure::Drained,
            // Placement lets a loser go: whoever keeps it is right, or must be the only one.
            Some(Reason::Kept | Reason::Rebalanced { .. }) => {
                Departure::Handover { winner_ready: true }
            }
            Some(_) | None => Departure::Unwanted,
        }
    }

    /// A stopped service keeps its containers, but those that were scaled away.
    fn ask_to_rest(self, goals: &mut Goals) {
        let Some(target) = self.target() else {
            return self.leave_all(Departure::Drained, goals);
        };
        let daemon = target.service.deploy.strategy == Strategy::Daemon;
        for instance in self.held() {
            if daemon || instance.number <= self.record.instances {
                goals.wanted.push(Wanted {
                    state: Lifecycle::Stopped,
                    ..self.plain(instance.number, target)
                });
            }
        }
    }

    fn leave_all(self, departure: Departure, goals: &mut Goals) {
        let leaving = self.held().map(|instance| Leaving {
            instance: instance.clone(),
            departure,
        });
        goals.leaving.extend(leaving);
    }

    fn held(self) -> impl Iterator<Item = &'a InstanceId> {
        let key = self.key;
        let first = InstanceId::new(key.clone(), 0);
        let held = self.me.holds.range(first..).map(|(instance, _)| instance);
        held.take_while(move |instance| instance.service == *key)
    }

    /// The moves that concern this node.
    fn follow_moves(self, goals: &mut Goals) {
        for number in self.record.moves.keys() {
            let instance = InstanceId::new(self.key.clone(), *number);
            if let Some(order) = self.record.moving(*number) {
                self.follow_order(instance.clone(), order, goals);
            }
            if let Some((order, copies)) = self.record.came_by(*number) {
                self.follow_arrival(instance, order, copies, goals);
            }
        }
    }

    fn follow_order(self, instance: InstanceId, order: &MoveOrder, goals: &mut Goals) {
        let (me, from) = (self.me.node, order.from.node);
        let concerns = me == from || me == order.to;
        let is_due = concerns && self.view.takes_moves(&order.to);
        let target = self.target().filter(|_| is_due);
        let Some(target) = target.filter(|_| self.view.can_move(&instance).is_ok()) else {
            return;
        };
        let wanted = self.plain(instance.number, target);
        let epoch = order.from.epoch;
        if me == from {
            let outbound = Outbound {
                to: order.to,
                name: self.view.called(&order.to),
                epoch,
                copies: mounted(&wanted).collect(),
                megabits: order.megabits,
            };
            goals.outbound.insert(instance, outbound);
        } else {
            let inbound = Inbound {
                wanted,
                from,
                epoch,
            };
            goals.inbound.insert(instance, inbound);
        }
    }

    fn follow_arrival(
        self,
        instance: InstanceId,
        order: &MoveOrder,
        copies: &BTreeMap<String, Copy>,
        goals: &mut Goals,
    ) {
        if order.to == self.me.node {
            goals
                .came
                .insert(instance, copies.keys().cloned().collect());
        } else if order.from.node == self.me.node {
            let report = self.view.reports.get(&order.to);
            let arrived = report.and_then(|report| report.arrived.get(&instance));
            if arrived == Some(&order.target().epoch) {
                goals.departed.extend(copies.clone());
            }
        }
    }

    fn target(self) -> Option<Target<'a>> {
        let deployed = self.record.deployed.as_ref()?;
        let service = deployed.revision.service.as_ref().ok()?;
        Some(Target { service, deployed })
    }

    fn is_leased(self) -> bool {
        self.target()
            .is_some_and(|target| target.service.is_leased())
    }

    fn plain(self, number: u32, target: Target<'_>) -> Wanted {
        let revision = &target.deployed.revision;
        Wanted {
            instance: InstanceId::new(self.key.clone(), number),
            service: target.service.clone(),
            creation: self.record.creation,
            revision: revision.hash,
            revision_number: revision.number,
            generation: target.deployed.generation,
            volumes: self.volumes(target),
            sources: self.sources(number, target),
            image: revision.image.clone(),
            born: self.record.born,
            halted: target.deployed.halt.as_ref().map(Hindrance::of),
            canary: target.deployed.canary(),
            is_newest: self.me.is_up_to_date,
            keeps_from: target.deployed.keeps_from,
            awaited: None,
            state: Lifecycle::Running,
            fixed: target.service.is_bound() || target.service.deploy.strategy == Strategy::Daemon,
            lease: self.lease(target),
            takeover: false,
            epoch_seen: 0,
            run_elsewhere: None,
            hooks_ran: BTreeSet::new(),
            rivals: Vec::new(),
            peers: Vec::new(),
        }
    }

    fn lease(self, target: Target<'_>) -> Option<LeaseTerms> {
        let witnesses = &self.record.witnesses;
        target.service.is_leased().then(|| LeaseTerms {
            lease: LeaseId::of(self.key, self.record.creation, witnesses),
            witnesses: witnesses.clone(),
        })
    }

    fn sources(self, number: u32, target: Target<'_>) -> Vec<InstanceId> {
        let follower = InstanceId::new(self.key.clone(), number);
        let from = target.service.volumes_from.iter();
        from.map(|from| from.source_of(&follower)).collect()
    }

    fn volumes(self, target: Target<'_>) -> BTreeMap<VolumeName, Arc<Volume>> {
        let known = &self.view.documents.volumes;
        let names = target.service.named_volumes();
        names
            .filter_map(|name| Some((name.clone(), Arc::clone(known.get(name)?))))
            .collect()
    }

    fn wanted(
        self,
        number: u32,
        assignment: &Assignment,
        target: Target<'_>,
        peers: Vec<Peer>,
    ) -> Wanted {
        let wanted = self.plain(number, target);
        Wanted {
            takeover: matches!(assignment.reason, Reason::TakenOver { .. }),
            // The epoch of a new hold is one above all that were seen.
            epoch_seen: assignment.epoch.saturating_sub(1),
            run_elsewhere: self.run_elsewhere(&wanted),
            hooks_ran: self.hooks_ran(&wanted),
            rivals: self.rivals(&wanted.instance, assignment),
            peers,
            ..wanted
        }
    }

    fn run_elsewhere(self, wanted: &Wanted) -> Option<Slot> {
        let is_job = wanted.service.is_job();
        let run = || jobs::run_elsewhere(self.view, self.me.node, &wanted.instance, self.record);
        is_job.then(run).flatten()
    }

    /// By whoever holds it or said last that it does, in this life of the service.
    fn hooks_ran(self, wanted: &Wanted) -> BTreeSet<String> {
        let hooks = Stage::ALL.into_iter();
        let mut hooks = hooks.flat_map(|stage| wanted.service.hooks.of(stage));
        if !hooks.any(|hook| hook.oneshot) {
            return BTreeSet::new();
        }
        let reports = self.view.reports.values();
        let holds = reports.filter_map(|report| report.holds.get(&wanted.instance));
        let of_it = holds.filter(|hold| hold.generation >= self.record.born);
        of_it
            .flat_map(|hold| hold.hooks_ran.iter().cloned())
            .collect()
    }

    /// Other holders that are not absent. Placement chose this node, so it ranks before them.
    fn rivals(self, instance: &InstanceId, assignment: &Assignment) -> Vec<Rival> {
        let others = assignment.leaving.iter().chain(&assignment.rivals);
        let rival = |node: &NodeId| {
            let hold = self.hold(node, instance)?.clone();
            let is_there = self.view.freshness(node) < Freshness::Absent;
            (is_there && *node != self.me.node).then_some(Rival {
                node: *node,
                hold,
                ranks_before_us: false,
            })
        };
        others.filter_map(rival).collect()
    }

    fn peers(self, target: Target<'_>, assignments: &BTreeMap<u32, Assignment>) -> Vec<Peer> {
        // What no node fits and nobody has, nobody can make healthy: it counts for nothing.
        let counts = |assignment: &Assignment| assignment.holder.or(assignment.leaving).is_some();
        let counted = assignments.iter().filter(|(_, each)| counts(each));
        let peer =
            |(number, assignment): (&u32, &Assignment)| self.peer(*number, assignment, target);
        counted.map(peer).collect()
    }

    /// A rollout counts one holder of each instance: the rightful one, or a healthy one while that
    /// one is not yet.
    fn peer(self, number: u32, assignment: &Assignment, target: Target<'_>) -> Peer {
        let instance = InstanceId::new(self.key.clone(), number);
        let nodes = assignment.holder.iter().chain(&assignment.leaving);
        let holds: Vec<(NodeId, &Hold)> = nodes
            .chain(&assignment.rivals)
            .filter_map(|node| Some((*node, self.hold(node, &instance)?)))
            .collect();
        let healthy = holds.iter().find(|(_, hold)| is_healthy(hold));
        let Some((node, hold)) = healthy.or(holds.first()) else {
            return Peer::vacant(number);
        };
        let counted = self.peer_of(number, node, hold, target);
        // While a rival is healthy at another deploy, the rightful holder may have failed at this one.
        let rightful = assignment.holder.and_then(|node| {
            let hold = self.hold(&node, &instance)?;
            Some(self.peer_of(number, &node, hold, target))
        });
        Peer {
            failed: counted.failed || rightful.is_some_and(|peer| peer.failed),
            kept: assignment.holder.is_none(),
            ..counted
        }
    }

    fn peer_of(self, number: u32, node: &NodeId, hold: &Hold, target: Target<'_>) -> Peer {
        let aim = Aim {
            revision: &target.deployed.revision.hash,
            generation: target.deployed.generation,
            is_newest: self.me.is_up_to_date,
            keeps_from: target.deployed.keeps_from,
        };
        Peer::of(number, self.freshness(node), hold, aim)
    }

    fn freshness(self, node: &NodeId) -> Freshness {
        if *node == self.me.node {
            return Freshness::Fresh;
        }
        self.view.freshness(node)
    }

    fn hold(self, node: &NodeId, instance: &InstanceId) -> Option<&'a Hold> {
        if *node == self.me.node {
            return self.me.holds.get(instance);
        }
        self.view.reports.get(node)?.holds.get(instance)
    }
}

fn is_healthy(hold: &Hold) -> bool {
    hold.state == InstanceState::Running && hold.health == Health::Healthy
}
