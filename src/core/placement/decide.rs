//! The decisions for one service: the rules of `docs/design/placement.md` in their order.
//!
//! In: the survey as the services before this one left it. Out: an [`Assignment`] for each wanted
//! number, counted into the survey for the services that follow. What is kept is settled before
//! anything is placed, so that new instances spread around the ones that stay.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::NodeId;
use crate::report::InstanceState;
use crate::stack::Strategy;
use crate::view::{Availability, Freshness, Pin, ServiceRecord};

use super::balance::{self, Move};
use super::filter::{self, Rejection};
use super::front::Front;
use super::survey::{DAEMON_STRIDE, Holder, Survey};
use super::takeover::{self, Seen, is_right};
use super::wanted::Wanted;
use super::{Assignment, MAX_DAEMON_INSTANCES, MAX_INSTANCES, Observer, Reason, Wait};

/// Decides every wanted instance of a service.
pub(super) fn service<'v>(
    survey: &mut Survey<'v>,
    wanted: &Wanted<'v>,
    record: &ServiceRecord,
    observe: &mut Observer<'_>,
) -> BTreeMap<u32, Assignment> {
    survey.begin(wanted.key, wanted.service);
    let mut decided = BTreeMap::new();
    let mut settle = |survey: &mut Survey<'v>, number, assignment: Assignment| {
        observe(survey, wanted, number, &assignment);
        let holder = assignment.holder.and_then(|id| survey.index(&id));
        if let Some(node) = holder {
            survey.assign(wanted.key, wanted.service, number, node);
        }
        decided.insert(number, assignment);
    };
    if wanted.service.deploy.strategy == Strategy::Daemon {
        for (number, node) in daemon_numbers(survey, wanted, record.instances) {
            let assignment = daemon(survey, wanted, number, node);
            settle(survey, number, assignment);
        }
        return decided;
    }
    let numbers = 1..=record.instances.min(MAX_INSTANCES);
    if wanted.service.is_bound() {
        for number in numbers {
            let assignment = stateful(survey, wanted, record.pins.get(&number), number);
            settle(survey, number, assignment);
        }
        return decided;
    }
    let better = balance::step(survey, wanted, *numbers.end());
    stateless(survey, wanted, numbers, better, &mut settle);
    decided
}

/// What is kept comes first, so that the others spread around it.
fn stateless<'v>(
    survey: &mut Survey<'v>,
    wanted: &Wanted<'v>,
    numbers: impl Iterator<Item = u32>,
    better: Option<Move<'v>>,
    settle: &mut dyn FnMut(&mut Survey<'v>, u32, Assignment),
) {
    let mut loose = Vec::new();
    for number in numbers {
        let moves = better.filter(|better| better.number == number);
        let stays = moves.map(|better| moved(survey, wanted, better));
        match stays.or_else(|| kept(survey, wanted, number)) {
            Some(assignment) => settle(survey, number, assignment),
            None => loose.push(number),
        }
    }
    let mut front = Front::of(wanted);
    for number in loose {
        let assignment = placed(survey, wanted, &mut front, number);
        settle(survey, number, assignment);
    }
}

/// Decides some instances of a stateless service again, while all others stay where they were
/// decided to be, which is where they are held.
pub(super) fn again<'v>(
    survey: &mut Survey<'v>,
    wanted: &Wanted<'v>,
    numbers: &BTreeSet<u32>,
    decided: &mut BTreeMap<u32, Assignment>,
) {
    survey.begin(wanted.key, wanted.service);
    for (number, assignment) in decided.iter() {
        let holder = assignment.holder.and_then(|id| survey.index(&id));
        if let Some(node) = holder.filter(|_| !numbers.contains(number)) {
            survey.count_kept(node);
        }
    }
    let numbers = numbers.iter().copied();
    let wanted_numbers: Vec<u32> = numbers
        .filter(|number| decided.contains_key(number))
        .collect();
    let mut settle = |survey: &mut Survey<'v>, number, assignment: Assignment| {
        let holder = assignment.holder.and_then(|id| survey.index(&id));
        if let Some(node) = holder {
            survey.assign(wanted.key, wanted.service, number, node);
        }
        decided.insert(number, assignment);
    };
    stateless(
        survey,
        wanted,
        wanted_numbers.into_iter(),
        None,
        &mut settle,
    );
}

/// A stateless instance that is well where it is, and moves for the sake of the spread.
fn moved(survey: &Survey<'_>, wanted: &Wanted<'_>, better: Move<'_>) -> Assignment {
    let Move {
        from, to, begun, ..
    } = better;
    let node = &survey.nodes[to];
    let is_right = begun.is_some_and(|holder| is_right(holder.hold, wanted.revision));
    Assignment {
        holder: Some(node.id),
        leaving: Some(survey.nodes[from.node].id),
        rivals: Vec::new(),
        relieved: node.freshness.is_online() && is_right,
        epoch: match begun {
            Some(holder) => holder.hold.epoch,
            None => from.hold.epoch.saturating_add(1),
        },
        reason: Reason::Rebalanced {
            from: survey.nodes[from.node].id,
        },
    }
}

/// A stateless instance stays with the best holder that is not away and may keep it.
fn kept(survey: &Survey<'_>, wanted: &Wanted<'_>, number: u32) -> Option<Assignment> {
    let present = wanted.holders(survey, number, false);
    let may_keep =
        |holder: &&Holder<'_>| filter::keeper(survey, wanted, holder.node, number).is_none();
    let holder = *present.iter().find(may_keep)?;
    let node = &survey.nodes[holder.node];
    let others = present.iter().filter(|other| other.node != holder.node);
    let (rivals, outgoing): (Vec<_>, Vec<_>) = others.partition(may_keep);
    let id = |holder: &Holder<'_>| survey.nodes[holder.node].id;
    let mut outgoing = outgoing.into_iter().map(id);
    Some(Assignment {
        holder: Some(node.id),
        leaving: outgoing.next(),
        rivals: rivals.into_iter().map(id).chain(outgoing).collect(),
        relieved: node.freshness.is_online() && is_right(holder.hold, wanted.revision),
        epoch: holder.hold.epoch,
        reason: match node.freshness {
            Freshness::Fresh | Freshness::Late => Reason::Kept,
            Freshness::Stale | Freshness::Absent | Freshness::Gone => Reason::HolderStale,
        },
    })
}

/// A stateless instance that nobody may keep goes to the best node, if this side may decide that.
fn placed<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    front: &mut Front,
    number: u32,
) -> Assignment {
    let outgoing = wanted.holders(survey, number, false);
    let away = wanted.holders(survey, number, true);
    let mut leaving = outgoing.iter().map(|holder| survey.nodes[holder.node].id);
    let assignment = |holder, epoch, reason| Assignment {
        holder,
        leaving: leaving.next(),
        rivals: leaving.collect(),
        relieved: false,
        epoch,
        reason,
    };
    let unreleased = |holder: &&Holder<'_>| !survey.nodes[holder.node].has_released();
    let lost = away.iter().filter(unreleased).map(|holder| Lost {
        from: survey.nodes[holder.node].id,
        epoch: holder.hold.epoch,
        seen: takeover::seen(survey, wanted, number),
    });
    // Each of them may have it: whoever is to be waited for is, though another has been away for longer.
    let mut waits = lost.clone().filter_map(|lost| {
        let wait = takeover::wait(survey.view, wanted.service, lost.from, lost.seen)?;
        Some((lost, wait))
    });
    if let Some((Lost { from, epoch, .. }, wait)) = waits.next() {
        return assignment(Some(from), epoch, Reason::Waits(wait));
    }
    let lost = lost.clone().next();
    let highest = outgoing.iter().chain(&away).map(|h| h.hold.epoch).max();
    let epoch = highest.map_or(1, |epoch| epoch.saturating_add(1));
    let Some(node) = front.best(survey, wanted, number) else {
        let waits = assignment(None, epoch, Reason::Waits(nowhere(survey, wanted, number)));
        return without_successor(survey, &outgoing, waits);
    };
    let reason = match (lost, outgoing.first().or(away.first())) {
        (Some(Lost { from, seen, .. }), _) => Reason::TakenOver { from, seen },
        (None, Some(holder)) => Reason::Moved {
            from: survey.nodes[holder.node].id,
            because: why_not(survey, wanted, holder.node, number),
        },
        (None, None) => Reason::New,
    };
    assignment(Some(survey.nodes[node].id), epoch, reason)
}

/// Why no node is to have it.
fn nowhere(survey: &Survey<'_>, wanted: &Wanted<'_>, number: u32) -> Wait {
    filter::sourceless(survey, wanted, number).map_or(Wait::NoNodeFits, Wait::Sourceless)
}

/// Nobody is to have it: of those that had to give it up one keeps it for good, the others go. None of
/// them gets another revision, so a healthy one is all that can be waited for.
fn without_successor(
    survey: &Survey<'_>,
    outgoing: &[Holder<'_>],
    mut waits: Assignment,
) -> Assignment {
    let works = |holder: &&Holder<'_>| {
        survey.nodes[holder.node].freshness.is_online() && takeover::is_healthy(holder.hold)
    };
    let Some(keeper) = outgoing.iter().find(works) else {
        return waits;
    };
    let id = |holder: &Holder<'_>| survey.nodes[holder.node].id;
    let others = outgoing.iter().filter(|other| other.node != keeper.node);
    waits.rivals = others.map(id).collect();
    waits.leaving = Some(id(keeper));
    waits.relieved = true;
    waits
}

/// An instance's holder that is away.
#[derive(Clone, Copy)]
struct Lost {
    from: NodeId,
    epoch: u64,
    seen: Seen,
}

fn why_not(survey: &Survey<'_>, wanted: &Wanted<'_>, node: usize, number: u32) -> String {
    filter::keeper(survey, wanted, node, number)
        .map(|rejection: Rejection<'_>| rejection.to_string())
        .unwrap_or_default()
}

/// A stateful instance runs on the node that it is bound to, or nowhere.
fn stateful(
    survey: &Survey<'_>,
    wanted: &Wanted<'_>,
    pin: Option<&Pin>,
    number: u32,
) -> Assignment {
    match pin {
        Some(pin) => bound(survey, wanted, *pin, number),
        None => unbound(survey, wanted, number),
    }
}

fn bound(survey: &Survey<'_>, wanted: &Wanted<'_>, pin: Pin, number: u32) -> Assignment {
    let wait = |wait| exclusive(None, Vec::new(), pin.epoch, Reason::Waits(wait));
    let Some(index) = survey.index(&pin.node) else {
        return wait(Wait::PinLost { node: pin.node });
    };
    if survey.nodes[index].member.availability == Availability::Drain {
        return wait(Wait::PinDrains { node: pin.node });
    }
    let mut running = survey.holders(wanted.key, number).iter();
    let holds = running.any(|h| h.node == index && h.hold.state != InstanceState::Stopped);
    let others = wanted.holders(survey, number, false);
    let others = others.iter().filter(|holder| holder.node != index);
    let alive = |holder: &&Holder<'_>| holder.hold.state != InstanceState::Stopped;
    if let Some(other) = others.clone().find(alive).filter(|_| !holds) {
        let node = survey.nodes[other.node].id;
        return wait(Wait::RunsElsewhere {
            pin: pin.node,
            node,
        });
    }
    let rivals = others.map(|holder| survey.nodes[holder.node].id).collect();
    exclusive(Some(pin.node), rivals, pin.epoch, Reason::Pinned)
}

/// Without a pin it runs on where it runs, and nobody starts it: whoever holds it may have it of an earlier
/// service of the name. The next command that binds it finds its holder.
fn unbound(survey: &Survey<'_>, wanted: &Wanted<'_>, number: u32) -> Assignment {
    let present = wanted.holders(survey, number, false);
    let away = wanted.holders(survey, number, true);
    if let ([], [holder, ..]) = (present.as_slice(), away.as_slice()) {
        let node = survey.nodes[holder.node].id;
        let reason = Reason::Waits(Wait::HolderAbsent { node });
        return exclusive(Some(node), Vec::new(), holder.hold.epoch, reason);
    }
    let waits = exclusive(None, Vec::new(), 1, Reason::Waits(Wait::NotBound));
    let runs = |holder: &&Holder<'_>| holder.hold.state == InstanceState::Running;
    let Some(holder) = present.iter().find(runs) else {
        return waits;
    };
    let node = &survey.nodes[holder.node];
    if node.member.availability == Availability::Drain {
        let reason = Reason::Waits(Wait::PinDrains { node: node.id });
        return exclusive(None, Vec::new(), holder.hold.epoch, reason);
    }
    let others = present.iter().filter(|other| other.node != holder.node);
    Assignment {
        leaving: Some(node.id),
        rivals: others.map(|other| survey.nodes[other.node].id).collect(),
        epoch: holder.hold.epoch,
        ..waits
    }
}

/// An assignment whose losers stop at once.
fn exclusive(
    holder: Option<NodeId>,
    rivals: Vec<NodeId>,
    epoch: u64,
    reason: Reason,
) -> Assignment {
    Assignment {
        holder,
        leaving: None,
        rivals,
        relieved: true,
        epoch,
        reason,
    }
}

/// The numbers of a daemon on every node that may have it, round by round.
fn daemon_numbers(survey: &Survey<'_>, wanted: &Wanted<'_>, instances: u32) -> Vec<(u32, usize)> {
    let mut nodes: Vec<_> = (0..survey.nodes.len()).collect();
    nodes.sort_by_key(|node| survey.nodes[*node].number);
    let rounds = 0..instances.min(MAX_DAEMON_INSTANCES);
    let numbers = rounds.flat_map(|round| {
        let number = move |node: usize| round * DAEMON_STRIDE + survey.nodes[node].number;
        nodes.iter().map(move |node| (number(*node), *node))
    });
    let may_have = |(number, node): &(u32, usize)| {
        filter::unsuitable(survey, wanted, *node, *number).is_none()
            && (filter::unfit(survey, wanted, *node).is_none()
                || holds(survey, wanted, *number, *node))
    };
    numbers.filter(may_have).collect()
}

fn holds(survey: &Survey<'_>, wanted: &Wanted<'_>, number: u32, node: usize) -> bool {
    let mut holders = survey.holders(wanted.key, number).iter();
    holders.any(|holder| holder.node == node)
}

/// A daemon's instance belongs to its node, present or away: nobody else holds it rightly.
fn daemon(survey: &Survey<'_>, wanted: &Wanted<'_>, number: u32, node: usize) -> Assignment {
    let holders = survey.holders(wanted.key, number).iter();
    let epoch = holders
        .filter(|h| h.node == node)
        .map(|h| h.hold.epoch)
        .max();
    let epoch = epoch.unwrap_or(1);
    let is_held = holds(survey, wanted, number, node);
    let is_here = !survey.nodes[node].is_away();
    let is_sourceless = || filter::sourceless(survey, wanted, number).is_some();
    if is_here && (filter::unfit(survey, wanted, node).is_some() || is_sourceless()) {
        // It runs what came before, and nobody else could: it keeps that.
        let reason = Reason::Waits(nowhere(survey, wanted, number));
        let waits = exclusive(None, Vec::new(), epoch, reason);
        return Assignment {
            leaving: is_held.then_some(survey.nodes[node].id),
            ..waits
        };
    }
    let lacks_memory = || !is_held && filter::memory(survey, wanted, node).is_some();
    let lacks_port = filter::port(survey, wanted, node, number).is_some();
    if lacks_port || lacks_memory() {
        return exclusive(None, Vec::new(), epoch, Reason::Waits(Wait::NoNodeFits));
    }
    exclusive(
        Some(survey.nodes[node].id),
        Vec::new(),
        epoch,
        Reason::Daemon,
    )
}

/// Another node for a number that is bound: the best, as if it were not; whoever holds it is one of many. Or whoever's turn it
/// is.
pub(super) fn other<'v>(
    survey: &mut Survey<'v>,
    wanted: &Wanted<'v>,
    record: &ServiceRecord,
    number: u32,
    by_turns: bool,
) -> Option<NodeId> {
    let others = record.pins.iter().filter(|(bound, _)| **bound != number);
    count_bound(survey, wanted, others);
    let node = match record.pins.get(&number) {
        Some(pin) if by_turns => wanted.next_after(survey, number, pin.node)?,
        Some(_) | None => wanted.best(survey, number)?,
    };
    Some(survey.nodes[node].id)
}

fn count_bound<'v, 'p>(
    survey: &mut Survey<'v>,
    wanted: &Wanted<'v>,
    bound: impl Iterator<Item = (&'p u32, &'p Pin)>,
) {
    survey.begin(wanted.key, wanted.service);
    for (number, pin) in bound {
        if let Some(node) = survey.index(&pin.node) {
            survey.assign(wanted.key, wanted.service, *number, node);
        }
    }
}

/// Chooses nodes for the numbers that are not bound yet, as if all of them were placed now.
pub(super) fn pins<'v>(
    survey: &mut Survey<'v>,
    wanted: &Wanted<'v>,
    record: Option<&ServiceRecord>,
    numbers: impl IntoIterator<Item = u32>,
) -> BTreeMap<u32, NodeId> {
    let bound = record.map(|record| &record.pins).into_iter().flatten();
    count_bound(survey, wanted, bound.clone());
    let mut chosen = BTreeMap::new();
    for number in numbers {
        if bound.clone().any(|(bound, _)| *bound == number) || chosen.contains_key(&number) {
            continue;
        }
        let held = wanted.holders(survey, number, false);
        let held = held.first().map(|holder| holder.node);
        if let Some(node) = held.or_else(|| wanted.best(survey, number)) {
            survey.assign(wanted.key, wanted.service, number, node);
            chosen.insert(number, survey.nodes[node].id);
        }
    }
    chosen
}
