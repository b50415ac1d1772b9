//! One look at everything: first what is seen and taken on, then the next step of each instance and
//! what this node says of it.

mod leased;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::id::InstanceId;
use crate::report::{Health, Hold, InstanceState};
use crate::stack::NetworkMode;
use crate::time::{Instant, Now};
use crate::view::{Freshness, Lifecycle};
use crate::volume::Copy;

use super::action::{Action, Attachment, CheckTarget, Container, ContainerState};
use super::arriving::{Arriving, Inbound, Settlement};
use super::backoff::Setback;
use super::checks::CheckStep;
use super::container::{mounted, spec};
use super::engine::EngineSight;
use super::images::{ImageKey, Images};
use super::instances::Identity;
use super::jobs::{Charge, Fate, JobFindings, JobScene, Jobs};
use super::leases::{Leases, Leave};
use super::lifecycle::{Ending, Local, Scene, Task, Turn, is_up};
use super::moving::{Moving, Outbound};
use super::plan::{Decision, Step, Surroundings, decide, in_container};
use super::queue::{Queue, Subject};
use super::refusals::Refusals;
use super::rollout::{ANNOUNCED_FOR, Peer, Rollout};
use super::sight::{Seen, Sight};
use super::sources::Sources;
use super::succession::{Berth, Beside, Seats, told_with};
use super::trial::Failed;
use super::volumes::{RemovedVolumes, Volumes};
use super::wanted::{Departure, Goals, Wanted};
use super::wiring::{self, Unattached, Wiring};
use super::yielding::{Farewell, farewell};

/// The goals, by instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub wanted: BTreeMap<InstanceId, Wanted>,
    leaving: BTreeMap<InstanceId, Departure>,
    takeovers_from: Option<Instant>,
    pub removed_volumes: RemovedVolumes,
    /// All that are bound to this node.
    pub bound: BTreeMap<InstanceId, u64>,
    /// Jobs that it knows and is not to run.
    jobs: BTreeMap<InstanceId, Fate>,
    pub outbound: BTreeMap<InstanceId, Outbound>,
    pub inbound: BTreeMap<InstanceId, Inbound>,
    pub fates: BTreeMap<InstanceId, Settlement>,
    pub came: BTreeMap<InstanceId, BTreeSet<String>>,
    pub departed: BTreeMap<String, Copy>,
}

impl Asked {
    /// What this node has to do about a job that it knows. `decided`: since when it holds it.
    pub(super) fn charge<'a>(
        &'a self,
        instance: &InstanceId,
        decided: Option<Instant>,
        round: &Round<'_>,
    ) -> Charge<'a> {
        let wanted = self.wanted.get(instance);
        let Some(wanted) = wanted.filter(|wanted| wanted.is_job()) else {
            let fate = self.jobs.get(instance);
            return Charge::Given(fate.unwrap_or(&Fate::Leaves));
        };
        let is_announced = |decided: Instant| {
            let heard_by_all = decided + ANNOUNCED_FOR;
            !wanted.takeover || heard_by_all <= round.now.monotonic
        };
        let is_ready = !round.only_looks() && decided.is_some_and(is_announced);
        Charge::Run { wanted, is_ready }
    }

    pub(super) fn departure(&self, instance: &InstanceId) -> Option<Departure> {
        self.leaving.get(instance).copied()
    }

    pub(super) fn new(goals: Goals) -> Self {
        let wanted = goals.wanted.into_iter();
        let leaving = goals.leaving.into_iter();
        Self {
            wanted: wanted
                .map(|wanted| (wanted.instance.clone(), wanted))
                .collect(),
            leaving: leaving
                .map(|leaving| (leaving.instance, leaving.departure))
                .collect(),
            takeovers_from: goals.hold_takeovers_until,
            removed_volumes: goals.removed_volumes,
            bound: goals.bound,
            jobs: goals.jobs,
            outbound: goals.outbound,
            inbound: goals.inbound,
            fates: goals.fates,
            came: goals.came,
            departed: goals.departed,
        }
    }
}

/// What a look reads. `asked` is `None` until the goals are known: then nothing is changed.
pub(super) struct Round<'a> {
    pub identity: &'a Identity,
    pub wiring: Wiring,
    pub sight: &'a Sight,
    pub asked: Option<&'a Asked>,
    pub seen: &'a BTreeMap<InstanceId, Seen>,
    pub engine: &'a EngineSight,
    pub queue: &'a Queue,
    /// Those bound to this node that have data here.
    pub made: &'a BTreeSet<InstanceId>,
    /// Nothing of these is begun.
    pub let_go: &'a BTreeSet<InstanceId>,
    /// What goes from here, and what comes.
    pub moving: &'a Moving,
    pub leases: &'a Leases,
    pub arriving: &'a Arriving,
    pub volumes: &'a Volumes,
    /// What was said before this look.
    pub said: &'a BTreeMap<InstanceId, Hold>,
    /// What the engine holds is not known now: nothing is taken on.
    pub blind: bool,
    /// No container is started or replaced before.
    pub acts_from: Instant,
    pub now: Now,
}

/// Where a step is taken: with the container that is the instance, or with the one beside it.
#[derive(Clone, Copy)]
struct Place<'a> {
    instance: &'a InstanceId,
    task: Task<'a>,
    seats: &'a Seats<'a>,
    /// The one that is the instance, of the one beside it.
    beside: Option<&'a Container>,
    /// The image of the wanted deploy, once it is there.
    pinned: Option<&'a str>,
}

/// What a look brings forth.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Images that are missing, and all that wanted instances run.
    pub missing_images: BTreeSet<ImageKey>,
    pub wanted_images: BTreeSet<ImageKey>,
    pub ready: BTreeMap<Subject, Action>,
    pub wakes: Vec<Instant>,
    pub holds: BTreeMap<InstanceId, Hold>,
    /// Those that failed for good at the wanted deploy.
    pub failed: BTreeMap<InstanceId, Failed>,
}

impl<'a> Round<'a> {
    /// Knows exactly the instances that are wanted here, or seen, or under way, and those that crashed here lately.
    pub(super) fn meet(&self, locals: &mut BTreeMap<InstanceId, Local>) {
        if let Some(asked) = self.asked {
            locals.retain(|instance, local| {
                asked.wanted.contains_key(instance)
                    || self.seen.contains_key(instance)
                    || self.queue.is_busy(instance)
                    || local.crashes.are_recent(self.now.monotonic)
            });
            for (instance, wanted) in &asked.wanted {
                locals.entry(instance.clone()).or_default().aim_at(wanted);
            }
        }
        for instance in self.seen.keys() {
            locals.entry(instance.clone()).or_default();
        }
    }

    /// Takes note of what is seen of an instance, and decides whether it is taken on.
    pub(super) fn look(&self, instance: &InstanceId, local: &mut Local, found: &mut Findings) {
        let task = self.task(instance);
        let containers = self.containers(instance);
        if self.asked.is_some() {
            let is_free = |berth| !self.is_in_flight(instance, berth);
            local.seat(task, containers, is_free, self.now.monotonic);
        }
        let seats = local.seats(containers);
        let best = seats.present;
        let ending = self.ending(instance, local, task);
        local.look(best, ending, self.now.monotonic);
        self.look_beside(instance, local, seats.beside);
        if best.is_none() && !self.queue.is_busy(instance) {
            self.take_on(task, local, found);
        }
        let Task::Run(wanted) = task else { return };
        found.wanted_images.insert(ImageKey::of(wanted));
        let is_right = best.is_some_and(|best| wanted.is_met_by(&best.owner));
        if !is_right && (local.decided.is_some() || self.will_take(wanted)) {
            found.missing_images.insert(ImageKey::of(wanted));
        }
    }

    fn look_beside(&self, instance: &InstanceId, local: &mut Local, seen: Option<&Container>) {
        match &mut local.beside {
            Beside::Nobody => {}
            Beside::Former(former) => former.look(seen, Ending::Asked, self.now.monotonic),
            Beside::Successor(next) => {
                let stops = self.is_stopping(instance, next.berth);
                let ending = if stops {
                    Ending::UnderWay
                } else {
                    Ending::Crash
                };
                next.look(seen, ending, self.now.monotonic);
            }
        }
    }

    /// What it means if its container has stopped.
    fn ending(&self, instance: &InstanceId, local: &Local, task: Task<'_>) -> Ending {
        match task {
            _ if self.is_stopping(instance, local.berth) => Ending::UnderWay,
            Task::Run(wanted) if self.is_out_of_time(wanted) => Ending::Asked,
            Task::Rest => Ending::Asked,
            Task::Run(_) | Task::Keep if local.turn == Turn::Granted => Ending::Asked,
            Task::Run(_) | Task::Keep | Task::Remove => Ending::Crash,
        }
    }

    /// Decides about an instance that there is no container of.
    fn take_on(&self, task: Task<'_>, local: &mut Local, found: &mut Findings) {
        let Some(asked) = self.asked else { return };
        let Task::Run(wanted) = task else {
            local.decided = None;
            return;
        };
        let now = self.now.monotonic;
        match (decide(wanted, asked.takeovers_from, now), local.decided) {
            (Decision::Yield, _) => local.decided = None,
            // Somebody had it since, who is away: whoever has it anew comes later.
            (Decision::Take, Some(_))
                if wanted.rivals.is_empty() && wanted.epoch_seen > local.epoch =>
            {
                local.epoch = wanted.epoch_seen.saturating_add(1);
            }
            (Decision::Take | Decision::Wait(_), Some(_)) => {}
            (Decision::Wait(until), None) => found.wakes.push(until),
            (Decision::Take, None) if self.blind => {}
            // What it held it has again at once; what is new waits until all that others hold is known.
            (Decision::Take, None)
                if self.only_looks() && !self.said.contains_key(&wanted.instance) =>
            {
                found.wakes.push(self.acts_from);
            }
            (Decision::Take, None) => {
                local.epoch = local.epoch.max(wanted.epoch_seen).saturating_add(1);
                local.decided = Some(now);
            }
        }
    }

    /// The next step of one instance, and what this node says of it.
    pub(super) fn plan(
        &self,
        instance: &InstanceId,
        local: &mut Local,
        images: &Images,
        refusals: &mut Refusals,
        found: &mut Findings,
    ) {
        let leave = self.leave(instance);
        let task = match &leave {
            // It is stopped; what does not run is made ready, but for its container.
            Leave::Denied { .. } if self.is_any_up(instance) => Task::Rest,
            Leave::Denied { .. } | Leave::Free => self.task(instance),
            Leave::Until(at) => {
                found.wakes.push(*at);
                self.task(instance)
            }
        };
        let image = match task {
            Task::Run(wanted) => Some(ImageKey::of(wanted)),
            Task::Rest | Task::Keep | Task::Remove => None,
        };
        let pinned = image.as_ref().and_then(|image| images.pinned(image));
        self.look_at_order(instance, local, task, found);
        // Whoever waits for others does nothing with the image that is there.
        let is_let_go = self.let_go.contains(instance);
        let lacks_data = self.lacks_data(instance).or_else(|| match task {
            Task::Run(wanted) => self.mounts_what_comes(wanted),
            Task::Rest | Task::Keep | Task::Remove => None,
        });
        let is_denied = matches!(leave, Leave::Denied { .. });
        let sources = self.sources(task);
        let waits = is_denied || sources.waits().is_some();
        let may_begin = !is_let_go && lacks_data.is_none() && !waits;
        let usable = pinned.filter(|_| local.awaited().is_none() && may_begin);
        self.step(instance, local, task, usable, found);
        let usable_beside = pinned.filter(|_| lacks_data.is_none() && !is_denied);
        self.step_beside(instance, local, task, usable_beside, found);
        let seats = local.seats(self.containers(instance));
        self.check(instance, local, seats.present, found);
        if let Beside::Successor(next) = &local.beside {
            self.check(instance, next, seats.beside, found);
        }
        let pull = image.as_ref().and_then(|image| images.pull(image));
        let scene = Scene {
            task,
            best: seats.present,
            stopping: self.is_stopping(instance, local.berth),
            image_ready: pinned.is_some(),
            image_setback: image.as_ref().and_then(|image| images.setback(image)),
            pull: pull.as_deref(),
        };
        let next = self.hold_beside(instance, local, seats.beside, scene);
        if let Some(wait) = local.ages_in(scene.best, self.now.wall) {
            found.wakes.push(self.now.monotonic + wait);
        }
        let said = self.said.get(instance);
        let hold = local.hold(scene, said, self.now.wall);
        let hold = hold.map(|hold| self.told_as_job(hold, local, scene, said));
        let judge = |hold| self.engine.judge(hold, local.stateful, said, self.now);
        let Some(mut hold) = hold.and_then(judge) else {
            return;
        };
        found
            .wakes
            .extend(local.judge(&mut hold, self.now.monotonic));
        if let Task::Run(wanted) = task {
            let (tried, hold) = match (&local.beside, &next) {
                (Beside::Successor(tried), Some(next)) => (&**tried, next),
                (Beside::Nobody | Beside::Former(_) | Beside::Successor(_), _) => (&*local, &hold),
            };
            let failure = tried.failure(hold, scene.image_setback);
            found
                .failed
                .extend(failure.map(|failed| (instance.clone(), failed)));
            let setbacks = [tried.starting.as_ref(), scene.image_setback];
            let crashes_on = tried.crashes.are_reason_to_refuse();
            let has_data = || wanted.is_daemon() || self.made.contains(instance);
            let is_kept = wanted.fixed && (!wanted.service.is_bound() || has_data());
            refuse_or_accept(
                refusals,
                wanted,
                is_kept,
                setbacks,
                crashes_on,
                hold,
                self.now.monotonic,
            );
        }
        if let Task::Keep = task {
            accept_what_runs(refusals, instance, &hold);
        }
        local.said(&hold, scene.best, self.now.monotonic);
        // What runs goes on without the container that it was made with.
        let waits = sources.waits().filter(|_| scene.best.is_none());
        if let Some(words) = self.moving.words(instance).or(lacks_data).or(waits) {
            hold.problem = Some(words);
        } else if hold.problem.is_none() {
            hold.problem = self.moving.problem(instance);
        }
        if let Leave::Denied { why, .. } = leave {
            hold.problem.get_or_insert_with(|| why.clone());
            self.give_up(instance, why, refusals, found);
        }
        let hold = told_with(hold, next.as_ref(), local.former_problem());
        found.holds.insert(instance.clone(), hold);
    }

    /// One job, whether it falls to this node or did.
    pub(super) fn look_at_job(
        &self,
        instance: &InstanceId,
        charge: Charge<'_>,
        images: &Images,
        jobs: &mut Jobs,
        ready: &BTreeMap<Subject, Action>,
        found: &mut JobFindings,
    ) {
        let wanted = match charge {
            Charge::Run { wanted, .. } => Some(wanted),
            Charge::Given(_) => None,
        };
        let complete = wanted.filter(|wanted| wanted.lacks().is_none());
        let spec = |wanted: &Wanted, pinned: &str, avoided: &BTreeSet<Ipv4Addr>| {
            let attachment = self.attachment(instance, None, avoided, ready)?;
            let epoch = self.said.get(instance).map_or(0, |said| said.epoch);
            Ok(spec(wanted, self.identity, epoch, attachment, pinned))
        };
        let scene = JobScene {
            instance,
            charge,
            containers: self.sight.runs_of(instance),
            born: wanted.map_or(0, |wanted| wanted.born),
            has_other: !self.containers(instance).is_empty(),
            pinned: complete.and_then(|wanted| images.pinned(&ImageKey::of(wanted))),
            is_blind: self.blind,
            is_let_go: self.let_go.contains(instance),
            spec: &spec,
            sight: self.sight,
            queue: self.queue,
            now: self.now,
        };
        jobs.look(&scene, found);
    }

    /// A job is well as soon as it can be run. Its container is that of a run, and so is its address.
    fn told_as_job(
        &self,
        hold: Hold,
        local: &Local,
        scene: Scene<'_>,
        said: Option<&Hold>,
    ) -> Hold {
        let Task::Run(wanted) = scene.task else {
            return hold;
        };
        let can_run = scene.image_ready && local.awaited().is_none();
        if !wanted.is_job() || scene.best.is_some() || !can_run {
            return hold;
        }
        let runs = self.sight.runs_of(&wanted.instance);
        let newest = |runs: &mut dyn Iterator<Item = &&'a Container>| {
            runs.max_by_key(|container| container.owner.slot).copied()
        };
        let up = newest(&mut runs.iter().filter(|container| is_up(container)));
        let shown = up.or_else(|| newest(&mut runs.iter()));
        let since = said.filter(|said| said.state == InstanceState::Running);
        Hold {
            state: InstanceState::Running,
            health: Health::Healthy,
            since: since.map_or(self.now.wall, |said| said.since),
            container: shown.map(|container| container.id.0.clone()),
            address: up.and_then(|container| container.address),
            image: shown.map(|container| container.image.clone()),
            exit_code: shown.and_then(exit_code),
            problem: None,
            ..hold
        }
    }

    /// What would be said of the successor if it were the instance.
    fn hold_beside(
        &self,
        instance: &InstanceId,
        local: &Local,
        seen: Option<&Container>,
        scene: Scene<'_>,
    ) -> Option<Hold> {
        let Beside::Successor(next) = &local.beside else {
            return None;
        };
        let scene = Scene {
            best: seen,
            stopping: self.is_stopping(instance, next.berth),
            ..scene
        };
        next.hold(scene, None, self.now.wall)
    }

    /// What it waits for in the order of links: before it is made for the first time, or begins to be replaced.
    /// One that is down already, or has lost its container, waits for nobody.
    fn look_at_order(
        &self,
        instance: &InstanceId,
        local: &mut Local,
        task: Task<'_>,
        found: &mut Findings,
    ) {
        let wanted = match task {
            Task::Run(wanted) => Some(wanted),
            Task::Keep | Task::Rest | Task::Remove => None,
        };
        let is_untouched = local.turn == Turn::Waiting && matches!(local.beside, Beside::Nobody);
        let present = local.seats(self.containers(instance)).present;
        let begins = |wanted: &&Wanted| match present {
            Some(present) => is_untouched && is_up(present) && !wanted.is_met_by(&present.owner),
            None => wanted
                .awaited
                .as_ref()
                .is_some_and(|awaited| awaited.is_first),
        };
        let awaited = wanted
            .filter(begins)
            .and_then(|wanted| wanted.awaited.as_ref());
        let wake = local.order.look(awaited, self.now.monotonic);
        found.wakes.extend(wake);
    }

    /// The next step of the container that is the instance, or is to be.
    fn step(
        &self,
        instance: &InstanceId,
        local: &mut Local,
        task: Task<'_>,
        pinned: Option<&str>,
        found: &mut Findings,
    ) {
        let seats = local.seats(self.containers(instance));
        // One that is made beside it is the instance, where there is no other.
        let waits = seats.present.is_none() && self.queue.is_busy(instance);
        if !waits && !self.is_in_flight(instance, local.berth) {
            let at = Place {
                instance,
                task,
                seats: &seats,
                beside: None,
                pinned,
            };
            self.step_at(at, local, found);
        }
    }

    fn step_beside(
        &self,
        instance: &InstanceId,
        local: &mut Local,
        task: Task<'_>,
        pinned: Option<&str>,
        found: &mut Findings,
    ) {
        let Seats {
            present,
            beside,
            extras,
        } = local.seats(self.containers(instance));
        // What an abandoned successor made has the name that the next one gets, and goes first.
        let is_next = matches!(local.beside, Beside::Successor(_));
        if is_next && beside.is_none() && !extras.is_empty() {
            return;
        }
        let seats = Seats {
            present: beside,
            beside: None,
            extras: Vec::new(),
        };
        let (other, task) = match &mut local.beside {
            Beside::Nobody => return,
            Beside::Successor(next) => (next, task),
            Beside::Former(former) => (former, Task::Remove),
        };
        if !self.is_in_flight(instance, other.berth) {
            let at = Place {
                instance,
                task,
                seats: &seats,
                beside: present,
                pinned,
            };
            self.step_at(at, other, found);
        }
    }

    fn step_at(&self, at: Place<'_>, local: &mut Local, found: &mut Findings) {
        let instance = at.instance;
        let (address, avoided) = (local.address, local.avoided.clone());
        let around = Surroundings {
            identity: self.identity,
            attachment: &|| self.attachment(instance, address, &avoided, &found.ready),
            beside: &|other| {
                let avoided = avoided.iter().copied().chain(other).collect();
                self.attachment(instance, None, &avoided, &found.ready)
            },
            pinned: at.pinned,
            fence: self.fence(instance),
            hurry: self.hurry(instance),
            rollout: &|| self.rollout(instance, at.seats.present, &found.holds),
            sources: &self.sources(at.task),
            succeeds: at.beside,
            only_looks: self.only_looks(),
            now: self.now.monotonic,
        };
        match local.step(at.task, at.seats, &around) {
            Step::Settled => {}
            Step::Wait(until) => found.wakes.push(until),
            Step::Do(action) if self.is_too_soon(instance, &action) => {
                found.wakes.push(self.acts_from);
            }
            Step::Do(action) => {
                let subject = Subject::Instance(instance.clone(), local.berth);
                found.ready.insert(subject, *action);
            }
        }
    }

    /// The next probe of its container, which waits for nothing else that is done about it.
    fn check(
        &self,
        instance: &InstanceId,
        local: &Local,
        best: Option<&Container>,
        found: &mut Findings,
    ) {
        let Some(best) = best else { return };
        let is_stopping = self.is_stopping(instance, local.berth);
        if is_stopping || self.queue.is_checked(instance, local.berth) {
            return;
        }
        let subject = Subject::Check(instance.clone(), local.berth);
        if local.lacks_last_words(best, self.now.monotonic) {
            let container = best.id.clone();
            found.ready.insert(subject, Action::LastLines { container });
            return;
        }
        if let Some(hook) = local.hooks.after(best) {
            let from = local.hooks.after_from();
            if let Some(from) = from.filter(|from| *from > self.now.monotonic) {
                found.wakes.push(from);
                return;
            }
            // They hold up no stop either.
            if let Task::Run(_) | Task::Keep = self.task(instance) {
                found.ready.insert(subject, in_container(hook, best));
            }
            return;
        }
        let Some(check) = &best.care.health_check else {
            return;
        };
        match local.checks.step(self.now.monotonic) {
            None => {}
            Some(CheckStep::Wait(until)) => found.wakes.push(until),
            // Without an address there is nothing to ask: the next listing brings one.
            Some(CheckStep::Probe) => {
                let limit = check.timeout();
                if let Some(target) = CheckTarget::of(check, best) {
                    let action = Action::Check { target, limit };
                    found.ready.insert(subject, action);
                }
            }
        }
    }

    /// What the next container of an instance is attached to.
    fn attachment(
        &self,
        instance: &InstanceId,
        before: Option<Ipv4Addr>,
        avoided: &BTreeSet<Ipv4Addr>,
        ready: &BTreeMap<Subject, Action>,
    ) -> Result<Attachment, Unattached> {
        let planned = ready.values().chain(self.queue.actions_in_flight());
        let taken = self.sight.assigned().chain(planned.filter_map(address_of));
        let wanted = self.asked.and_then(|asked| asked.wanted.get(instance));
        let mode = wanted.map_or_else(NetworkMode::default, |wanted| wanted.service.network_mode);
        wiring::attach(
            self.wiring,
            mode,
            instance,
            before,
            avoided,
            &taken.collect(),
        )
    }

    /// Whether it takes it on as soon as it may act: the image can come before.
    fn will_take(&self, wanted: &Wanted) -> bool {
        let takeovers_from = self.asked.and_then(|asked| asked.takeovers_from);
        let decision = decide(wanted, takeovers_from, self.now.monotonic);
        self.only_looks() && !self.blind && matches!(decision, Decision::Take)
    }

    fn only_looks(&self) -> bool {
        self.now.monotonic < self.acts_from
    }

    /// What shall run is not touched while the node only looks. What shall not run may go at once.
    fn is_too_soon(&self, instance: &InstanceId, action: &Action) -> bool {
        let shall_run = match self.task(instance) {
            Task::Run(_) | Task::Keep => true,
            Task::Rest | Task::Remove => false,
        };
        self.only_looks() && shall_run && action.touches_container()
    }

    /// What this node has to do about the instance.
    fn task(&self, instance: &InstanceId) -> Task<'a> {
        let Some(asked) = self.asked else {
            return Task::Keep;
        };
        if let Some(wanted) = asked.wanted.get(instance) {
            return match wanted.state {
                Lifecycle::Running if self.moving.holds_back(instance) => Task::Rest,
                Lifecycle::Running => Task::Run(wanted),
                Lifecycle::Stopped => Task::Rest,
            };
        }
        match asked.departure(instance).map(farewell) {
            Some(Farewell::Stay) if self.moving.holds_back(instance) => Task::Rest,
            Some(Farewell::Stay) => Task::Keep,
            Some(Farewell::Stop) => Task::Rest,
            Some(Farewell::Go) | None => Task::Remove,
        }
    }

    /// Why nothing of an instance is begun that came by a move: its data does not count yet, or is not here.
    fn lacks_data(&self, instance: &InstanceId) -> Option<String> {
        let asked = self.asked?;
        if self.arriving.has(instance) {
            let problem = self.arriving.problem(instance);
            let settles = || "its data is being settled in".to_owned();
            return Some(problem.map_or_else(settles, ToOwned::to_owned));
        }
        let came = asked.came.get(instance)?;
        if self.made.contains(instance) {
            return None;
        }
        if !self.volumes.is_listed() {
            return Some("its data was moved here, and the volumes are not listed yet".to_owned());
        }
        let missing = came.iter().find(|copy| !self.volumes.has(copy))?;
        Some(format!(
            "its data was moved here, and the volume `{missing}` is not here"
        ))
    }

    /// Why nothing is begun that mounts what does not count yet.
    fn mounts_what_comes(&self, wanted: &Wanted) -> Option<String> {
        let coming = self.arriving.volumes();
        let mut mounts = mounted(wanted).filter(|_| !coming.is_empty());
        let found = mounts.find(|mounted| coming.contains(&mounted.name))?;
        Some(format!(
            "the volume `{}` comes by a move, which is not over",
            found.name
        ))
    }

    fn sources(&self, task: Task<'a>) -> Sources<'a> {
        match task {
            Task::Run(wanted) => Sources::of(wanted, self.seen),
            Task::Rest | Task::Keep | Task::Remove => Sources::default(),
        }
    }

    fn containers(&self, instance: &InstanceId) -> &'a [Container] {
        let seen = self.seen.get(instance);
        seen.map(Vec::as_slice).unwrap_or_default()
    }

    fn is_in_flight(&self, instance: &InstanceId, berth: Berth) -> bool {
        self.queue.action_in_flight(instance, berth).is_some()
    }

    fn is_stopping(&self, instance: &InstanceId, berth: Berth) -> bool {
        matches!(
            self.queue.action_in_flight(instance, berth),
            Some(Action::Stop { .. })
        )
    }

    /// The rollout as this node sees it: by the reports of others, and of its own instances by what
    /// it knows itself, `found` in this round before what it said in the last.
    fn rollout(
        &self,
        instance: &InstanceId,
        present: Option<&Container>,
        found: &BTreeMap<InstanceId, Hold>,
    ) -> Rollout {
        let all = self.asked.map(|asked| &asked.wanted);
        let wanted = all.and_then(|all| all.get(instance));
        let mut peers: BTreeMap<u32, Peer> = wanted
            .iter()
            .flat_map(|wanted| &wanted.peers)
            .map(|peer| (peer.number, *peer))
            .collect();
        let ours = all.into_iter().flat_map(BTreeMap::values);
        for sibling in ours.filter(|sibling| sibling.instance.service == instance.service) {
            let id = &sibling.instance;
            if let Some(hold) = found.get(id).or_else(|| self.said.get(id)) {
                let peer = Peer::of(id.number, Freshness::Fresh, hold, sibling.aim());
                peers.insert(id.number, peer);
            }
        }
        // What another service of the name left here is replaced, however the deploy stands.
        let is_of_it = |wanted: &&Wanted| {
            present.is_none_or(|present| present.owner.generation >= wanted.born)
        };
        let held_up = wanted.filter(is_of_it);
        let own = Peer::vacant(instance.number);
        peers.entry(instance.number).or_insert(own);
        Rollout {
            number: instance.number,
            min_health: wanted.map_or(1000, |wanted| wanted.service.deploy.min_health),
            daemon: wanted.is_some_and(Wanted::is_daemon),
            halted: held_up.and_then(|wanted| wanted.halted),
            canary: held_up.and_then(|wanted| wanted.canary),
            peers,
        }
    }
}

fn exit_code(container: &Container) -> Option<i64> {
    match container.state {
        ContainerState::Exited { code, .. } => Some(code),
        ContainerState::Created
        | ContainerState::Running { .. }
        | ContainerState::Paused
        | ContainerState::Restarting
        | ContainerState::Dead => None,
    }
}

/// The address that an action is about to take.
fn address_of(action: &Action) -> Option<Ipv4Addr> {
    action.makes()?.network.address()
}

/// Nobody else could have it, so it stayed where it had failed, and works there now.
fn accept_what_runs(refusals: &mut Refusals, instance: &InstanceId, hold: &Hold) {
    if hold.state == InstanceState::Running && hold.health == Health::Healthy {
        refusals.accept_at(instance, (hold.revision, hold.generation));
    }
}

/// Refuses an instance that failed for a reason that may not hold elsewhere.
fn refuse_or_accept(
    refusals: &mut Refusals,
    wanted: &Wanted,
    is_kept: bool,
    setbacks: [Option<&Setback>; 2],
    crashes_on: bool,
    hold: &Hold,
    now: Instant,
) {
    let aim = (wanted.revision, wanted.generation);
    refusals.aim_at(&wanted.instance, aim);
    if hold.state == InstanceState::Running && hold.health == Health::Healthy {
        refusals.accept(&wanted.instance);
    }
    if is_kept || hold.state != InstanceState::Failed {
        return;
    }
    let mut reasons = setbacks.into_iter().flatten();
    if let Some(setback) = reasons.find(|setback| setback.is_reason_to_refuse()) {
        refusals.refuse(&wanted.instance, aim, setback.problem.clone(), now);
    } else if let Some(problem) = hold.problem.as_ref().filter(|_| crashes_on) {
        refusals.refuse(&wanted.instance, aim, problem.clone(), now);
    }
}
