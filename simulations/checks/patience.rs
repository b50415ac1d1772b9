//! Patience: how long a silence is borne, and who doubts itself first.

use std::collections::BTreeMap;
use std::time::Duration;

use kontena_core::id::{InstanceId, NodeId};
use kontena_core::membership::freshness::Pace;
use kontena_core::report::Report;
use kontena_core::time::Instant;
use kontena_core::view::{Freshness, View};

use super::stateful::is_stateful;
use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&COLD_START, &GROWS, &DOUBTS];

static COLD_START: Check = Check {
    name: "a-start-waits-for-the-others",
    says: "who was not heard in this boot of a node is absent to it only after 60 s, unless two others are there to say so",
    why: "rules of the mesh 1: absence counts from what this boot has heard, else each start takes over what runs",
};

static GROWS: Check = Check {
    name: "graces-grow",
    says: "a node that came back from being stale in the last hour is absent only after twice the usual grace",
    why: "rules of the mesh 1: who comes and goes must not have its work moved each time",
};

static DOUBTS: Check = Check {
    name: "a-late-loop-doubts-itself",
    says: "a node whose loop stood still takes nothing over for 30 s after that",
    why: "rules of the mesh 1: it was deaf, and what it takes for silence may be its own",
};

const STARTS_FOR: Duration = Duration::from_secs(60);
const DOUBTS_FOR: Duration = Duration::from_secs(30);
/// One doubt, and the time after it in which the same cause raises no other.
const DOUBT_AND_REST: Duration = Duration::from_secs(90);
/// How long it counts that somebody came back.
const REMEMBERED_FOR: Duration = Duration::from_secs(3500);
/// Clocks that drift, and the moment between a silence and what is shown of it.
const MARGIN: Duration = Duration::from_secs(2);
/// A loop that stood still for less may not have been late.
const LATE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Patience {
    /// When the node of each host was started, or ended, last.
    turned: Vec<Instant>,
    /// What each host saw of each node in this boot.
    seen: BTreeMap<(usize, NodeId), Seen>,
}

/// What one node saw of another.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Since when it is in the roster.
    known: Instant,
    /// It was online once.
    heard: bool,
    /// Since when it is not fresh.
    silent: Option<Instant>,
    /// It has been stale since then.
    stale: bool,
    /// Nobody else was online meanwhile: the silence may be the viewer's own.
    lonely: bool,
    /// When it came back from that last.
    returned: Option<Instant>,
}

impl Patience {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            turned: vec![Instant::ZERO; hosts],
            seen: BTreeMap::new(),
        }
    }

    fn look(&mut self, scene: Scene<'_>, viewer: usize, before: &View, findings: &mut Findings) {
        let view = scene.view(viewer);
        self.seen
            .retain(|(host, node), _| *host != viewer || view.standings.contains_key(node));
        let me = scene.world.id(viewer);
        for node in view.standings.keys().filter(|node| **node != me) {
            let seen = self.follow(scene, viewer, node, before);
            let was = before.standings.get(node);
            let was_there = was.is_some_and(|was| was.freshness < Freshness::Absent);
            let is_absent = view.freshness(node) >= Freshness::Absent;
            if was_there && is_absent && !view.absence(node).assumed_dead {
                let witnesses = [before, view].map(|view| online_others(view, &me, node));
                let is_witnessed = witnesses.into_iter().any(|count| count >= 2);
                is_borne(scene, viewer, (node, seen, is_witnessed), findings);
            }
        }
    }

    /// Takes note of how a node stands to a viewer. Gives what was known of it before: where that is the
    /// first sight of a boot that goes on already, by what was shown last.
    fn follow(&mut self, scene: Scene<'_>, viewer: usize, node: &NodeId, shown: &View) -> Seen {
        let now = scene.now();
        let freshness = scene.view(viewer).freshness(node);
        let has_company = online_others(scene.view(viewer), &scene.world.id(viewer), node) > 0;
        let was_up = self.was_up(scene, node);
        let seen = self.seen.entry((viewer, *node)).or_insert(Seen {
            known: now,
            heard: shown.is_fresh(node),
            silent: None,
            stale: false,
            lonely: false,
            returned: None,
        });
        let before = *seen;
        if freshness == Freshness::Fresh {
            let silent = seen.silent.take();
            // Who was down meanwhile may have asked for patience: that is another matter.
            if seen.heard && seen.stale && !seen.lonely && silent.is_some_and(was_up) {
                seen.returned = Some(now);
            }
            (seen.heard, seen.stale, seen.lonely) = (true, false, false);
        } else {
            seen.silent.get_or_insert(now);
        }
        seen.stale |= freshness >= Freshness::Stale;
        seen.lonely |= freshness > Freshness::Fresh && !has_company;
        before
    }

    /// Whether the node's process has run since a moment, and ten seconds before it.
    fn was_up<'a>(&self, scene: Scene<'a>, node: &NodeId) -> impl Fn(Instant) -> bool + use<'a> {
        let hosts = scene.world.hosts.iter().enumerate();
        let mut of_node = hosts.filter(|(_, machine)| machine.id() == *node);
        let turned = of_node.next().map(|(host, _)| self.turned[host]);
        let is_only_one = of_node.next().is_none();
        move |since| {
            is_only_one && turned.is_some_and(|turned| turned + Duration::from_secs(10) < since)
        }
    }

    fn takes_over(&self, scene: Scene<'_>, host: usize, before: &View, findings: &mut Findings) {
        let (view, me) = (scene.view(host), scene.world.id(host));
        let Some((was, is)) = scene.own_reports(host, before) else {
            return;
        };
        if !self.doubts(scene, host) {
            return;
        }
        for (instance, hold) in &is.holds {
            let is_new = !was.holds.contains_key(instance) && hold.container.is_none();
            if is_new && !is_stateful(instance) {
                findings.expect(!is_of_the_absent(view, &me, instance), &DOUBTS, || {
                    format!("{} takes {instance} over", name(host))
                });
            }
        }
    }

    /// Whether its loop was late just now, for the first time in a while and in this boot.
    fn doubts(&self, scene: Scene<'_>, host: usize) -> bool {
        let Some(((from, until), earlier)) = scene.host(host).stalls.split_last() else {
            return false;
        };
        let was_calm = |(_, until): &(Instant, Instant)| *until + DOUBT_AND_REST < *from;
        let now = scene.now();
        *until <= now
            && now.since(*until) + MARGIN < DOUBTS_FOR
            && until.since(*from) >= LATE
            && self.turned[host] < *from
            && earlier.iter().all(was_calm)
    }
}

/// How many nodes beside two are online.
fn online_others(view: &View, viewer: &NodeId, node: &NodeId) -> usize {
    let standings = view.standings.iter();
    let others = standings.filter(|(other, _)| *other != viewer && *other != node);
    others
        .filter(|(_, standing)| standing.freshness.is_online())
        .count()
}

fn is_borne(
    scene: Scene<'_>,
    viewer: usize,
    (node, seen, is_witnessed): (&NodeId, Seen, bool),
    findings: &mut Findings,
) {
    let now = scene.now();
    let what = || {
        let (viewer, node) = (name(viewer), scene.name_of(node));
        format!("{viewer} finds {node} absent: {seen:?}")
    };
    if !seen.heard {
        let is_late = now.since(seen.known) + MARGIN >= STARTS_FOR;
        findings.expect(is_late || is_witnessed, &COLD_START, what);
        return;
    }
    let lately = |at: &Instant| now.since(*at) < REMEMBERED_FOR;
    let (Some(_), Some(silent)) = (seen.returned.filter(lately), seen.silent) else {
        return;
    };
    let pace = Pace::of(scene.view(viewer).standings.len());
    let grace = pace.absent * 2 - pace.late;
    let is_late = now.since(silent) + MARGIN >= grace;
    let was_deaf = !scene.host(viewer).stalls.is_empty();
    findings.expect(is_late || was_deaf, &GROWS, what);
}

/// Whether all others that hold an instance are absent, and have not let go of it.
fn is_of_the_absent(view: &View, me: &NodeId, instance: &InstanceId) -> bool {
    let holds = |report: &Report| report.holds.contains_key(instance);
    let reports = view
        .reports
        .iter()
        .filter(|(node, report)| *node != me && holds(report));
    let mut holders = reports.peekable();
    holders.peek().is_some()
        && holders.all(|(node, report)| {
            view.freshness(node) >= Freshness::Absent && !report.has_released()
        })
}

impl Topic for Patience {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Booted | Fact::Died { .. } = fact {
            self.turned[host] = scene.now();
            self.seen.retain(|(viewer, _), _| *viewer != host);
        }
        if let Fact::Shown { before, .. } = fact {
            self.look(scene, host, before, findings);
            self.takes_over(scene, host, before, findings);
        }
    }
}
