//! All instances of this node: what is asked, seen and under way, and the actions that follow.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::id::{GridId, GridName, InstanceId, NodeName};
use crate::job::Ledger;
use crate::placement::StandbyImage;
use crate::report::{Engine, Health, Hold, OneOff};
use crate::schedule::Slot;
use crate::stack::ImageMark;
use crate::time::{Instant, Now};
use crate::view::Lifecycle;
use crate::volume::Copy;

use super::action::{Action, ActionId, ContainerId, Failure, Observed, Outcome};
use super::arriving::{Arrival, Arriving};
use super::engine::EngineSight;
use super::hooks::HookRuns;
use super::images::{ImageKey, Images};
use super::jobs::{JobFindings, Jobs};
use super::journal;
use super::leases::{Held, LeaseNeed, Leases};
use super::lifecycle::Local;
use super::moving::Moving;
use super::parting::Leaves;
use super::queue::{Queue, Subject};
use super::refusals::Refusals;
use super::round::{Asked, Findings, Round};
use super::sight::Sight;
use super::standby::Standby;
use super::trial::{Failed, Trial};
use super::volumes::{Going, Volumes};
use super::wanted::Goals;
use super::wiring::Wiring;

/// Longer than any boot lasts: ten years.
const FOR_GOOD: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Whose containers these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub grid: GridId,
    pub grid_name: GridName,
    pub node_name: NodeName,
}

/// What a node said of itself when it last did.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    pub holds: BTreeMap<InstanceId, Hold>,
    /// The copies of volumes that it kept, by their names on its engine.
    pub volumes: BTreeMap<String, Copy>,
    /// The instances bound to it of which it had started a container.
    pub made: BTreeSet<InstanceId>,
    /// What it had written down of jobs.
    pub jobs: BTreeMap<InstanceId, Ledger>,
    /// What is on its disk of instances that came, or come, by moves.
    pub arrivals: BTreeMap<InstanceId, Arrival>,
}

/// The instances of one node. Drained by [`Instances::poll_action`] after each call with `now`.
#[derive(Clone, Debug)]
pub struct Instances {
    identity: Identity,
    wiring: Wiring,
    /// No container is started or replaced before.
    pub(super) acts_from: Instant,
    /// `None` until the documents are loaded and this node is a member: nothing is decided before.
    pub(super) asked: Option<Asked>,
    pub(super) sight: Sight,
    engine: EngineSight,
    /// The engine was in trouble after its last listing: what it holds is not known.
    blind: bool,
    pub(super) locals: BTreeMap<InstanceId, Local>,
    pub(super) images: Images,
    standby: Standby,
    pub(super) queue: Queue,
    refusals: Refusals,
    holds: BTreeMap<InstanceId, Hold>,
    refused: BTreeMap<InstanceId, String>,
    failed: BTreeMap<InstanceId, Failed>,
    ready_images: BTreeSet<ImageMark>,
    missing_images: BTreeMap<ImageMark, String>,
    volumes: Volumes,
    told_volumes: BTreeMap<String, Copy>,
    /// Those bound to this node of which it has started a container: they have their data here.
    made: BTreeSet<InstanceId>,
    told_made: BTreeSet<InstanceId>,
    pub(super) jobs: Jobs,
    told_jobs: BTreeMap<InstanceId, Ledger>,
    /// Containers beside the instances, which are only told of.
    one_offs: BTreeMap<String, OneOff>,
    /// Nothing of these is begun: they are to be bound elsewhere.
    let_go: BTreeSet<InstanceId>,
    pub(super) moving: Moving,
    leases: Leases,
    pub(super) arriving: Arriving,
    /// Why what is to come does not, as told.
    pub(super) told_arrivals: BTreeMap<InstanceId, String>,
    told_arriving: u64,
    pub(super) aborted: BTreeSet<ActionId>,
    version: u64,
    wake: Option<Instant>,
}

fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// A hold as it can be stated before the engine was asked.
fn unproved((instance, hold): (InstanceId, Hold)) -> (InstanceId, Hold) {
    let health = Health::Unknown;
    (instance, Hold { health, ..hold })
}

impl Instances {
    /// `remembered`: what this node held when it last said so. It is what it says of itself until
    /// the engine has listed its containers, so that others take nothing over while it starts. That
    /// it is healthy is not remembered: the host may have been off, and whoever took an instance over
    /// meanwhile would stop it for a container that does not run.
    pub fn new(identity: Identity, remembered: Remembered) -> Self {
        let Remembered {
            holds: remembered,
            volumes,
            made,
            jobs,
            arrivals,
        } = remembered;
        let local = |hold: &Hold| Local {
            container: hold.container.clone().map(ContainerId),
            epoch: hold.epoch,
            aim: Some((hold.revision, hold.generation)),
            decided: Some(Instant::ZERO),
            trial: hold
                .on_trial
                .then_some(Trial::of((hold.revision, hold.generation))),
            address: hold.address.and_then(ipv4),
            hooks: HookRuns::remembered(hold.hooks_ran.clone()),
            ..Local::default()
        };
        Self {
            identity,
            wiring: Wiring::default(),
            acts_from: Instant::ZERO,
            asked: None,
            sight: Sight::default(),
            engine: EngineSight::default(),
            blind: false,
            locals: remembered
                .iter()
                .map(|(instance, hold)| (instance.clone(), local(hold)))
                .collect(),
            images: Images::default(),
            standby: Standby::default(),
            queue: Queue::default(),
            refusals: Refusals::default(),
            holds: remembered.into_iter().map(unproved).collect(),
            refused: BTreeMap::new(),
            failed: BTreeMap::new(),
            ready_images: BTreeSet::new(),
            missing_images: BTreeMap::new(),
            volumes: Volumes::remembered(volumes.clone()),
            told_volumes: volumes,
            told_made: made.clone(),
            made,
            jobs: Jobs::remembered(jobs.clone()),
            told_jobs: jobs,
            one_offs: BTreeMap::new(),
            let_go: BTreeSet::new(),
            moving: Moving::default(),
            leases: Leases::default(),
            arriving: Arriving::remembered(arrivals),
            told_arrivals: BTreeMap::new(),
            told_arriving: 0,
            aborted: BTreeSet::new(),
            version: 0,
            wake: None,
        }
    }

    /// What this node is called on the containers that it creates from now on.
    pub fn rename_node(&mut self, name: NodeName) {
        self.identity.node_name = name;
    }

    /// The network that new containers are created in. Those that are there stay as they are.
    pub fn wire(&mut self, wiring: Wiring, now: Now) {
        if self.wiring != wiring {
            self.wiring = wiring;
            self.refresh(now);
        }
    }

    /// No container is created, started or replaced before `at`. What shall not run is stopped and
    /// removed, images are fetched, and what runs is looked at.
    pub fn only_look_until(&mut self, at: Instant, now: Now) {
        if self.acts_from != at {
            self.acts_from = at;
            self.refresh(now);
        }
    }

    /// Nothing is taken over or begun any more in this boot: it is not known what is asked of this node.
    pub fn only_look_from_now_on(&mut self, now: Now) {
        self.only_look_until(Instant::ZERO + FOR_GOOD, now);
    }

    /// What is asked of this node now, as a whole. Only a member of the grid with loaded documents
    /// asks: what is in neither list is removed.
    pub fn reconcile(&mut self, goals: Goals, now: Now) {
        let asked = Asked::new(goals);
        self.made
            .retain(|instance| asked.bound.contains_key(instance));
        self.let_go
            .retain(|instance| asked.bound.contains_key(instance));
        self.moving
            .follow(&asked.outbound, &asked.bound, now.monotonic);
        self.arriving.follow(&asked.inbound);
        self.asked = Some(asked);
        self.refresh(now);
    }

    /// The images that are to be ready for services that this node holds nothing of, all of them;
    /// [`super::MAX_STANDBY`] at most.
    pub fn stand_by(&mut self, images: BTreeMap<ImageMark, StandbyImage>, now: Now) {
        if self.standby.keep(images, now.monotonic) {
            self.refresh(now);
        }
    }

    /// What the Docker edge sees.
    pub fn observe(&mut self, observed: Observed, now: Now) {
        match observed {
            Observed::Containers(listing) => {
                let grid = self.identity.grid.to_string();
                self.sight.list(listing, &grid, now.monotonic);
                self.engine.works();
                self.blind = false;
            }
            Observed::OneOffs(listing) => {
                if self.one_offs != listing {
                    self.one_offs = listing;
                    self.version += 1;
                }
            }
            Observed::Volumes(listing) => self.volumes.list(listing),
            Observed::Engine(engine) => self.engine.described(engine, now),
            Observed::EngineTrouble { problem } => {
                self.engine.fails(problem, now);
            }
        }
        self.blind |= self.engine.is_in_trouble();
        self.refresh(now);
    }

    /// What became of an action. One that is not under way is ignored.
    pub fn done(&mut self, id: ActionId, outcome: Outcome, now: Now) {
        let Some((subject, action)) = self.queue.finish(id) else {
            return;
        };
        match subject {
            Subject::Image(key) => self.conclude_fetch(key, outcome, now),
            Subject::Standby(mark) => self.standby.conclude(mark, outcome, now.monotonic),
            Subject::Volume(name) => self.volumes.conclude(name, outcome, now.monotonic),
            Subject::Arrival(instance) => {
                if let Action::Move(step) = &action {
                    self.conclude_move(instance, step, outcome, now);
                }
            }
            Subject::Instance(instance, berth) => {
                if let Action::Move(step) = &action {
                    self.conclude_move(instance, step, outcome, now);
                    return self.refresh(now);
                }
                self.note_volumes(&action, &outcome);
                self.conclude(&instance, berth, &action, outcome, now);
            }
            Subject::Check(instance, berth) => {
                self.conclude_aside(&instance, berth, &action, outcome, now);
            }
            Subject::Run(instance, slot) => {
                self.note_volumes(&action, &outcome);
                self.conclude_run(&instance, slot, &action, outcome, now);
            }
        }
        self.refresh(now);
    }

    /// So many hundredths of what an action brings are here. Only of pulls that somebody waits for anything is told.
    pub fn progressed(&mut self, id: ActionId, hundredths: u8, now: Now) {
        let is_news = match self.queue.subject(id) {
            Some(Subject::Image(key)) => self.images.progressed(key, hundredths),
            Some(Subject::Instance(instance, _)) => self.moving.progressed(instance, hundredths),
            Some(
                Subject::Standby(_)
                | Subject::Volume(_)
                | Subject::Arrival(_)
                | Subject::Check(..)
                | Subject::Run(..),
            )
            | None => false,
        };
        if is_news {
            self.refresh(now);
        }
    }

    /// Everybody who may lead somebody to these containers has taken note that they stop, or are replaced.
    pub fn heard(&mut self, leaving: &[(InstanceId, Leaves)], now: Now) {
        let mut is_news = false;
        for (instance, leaves) in leaving {
            let local = self.locals.get_mut(instance);
            let parting = local.and_then(|local| local.parting_of(*leaves));
            if let Some(parting) = parting {
                is_news |= parting.heard(now.monotonic);
            }
        }
        if is_news {
            self.refresh(now);
        }
    }

    /// The time of [`Instances::next_wake`] has come.
    pub fn wake(&mut self, now: Now) {
        self.refresh(now);
    }

    /// The next action to carry out. At most one is under way for each container, but for a check of it.
    pub fn poll_action(&mut self) -> Option<(ActionId, Action)> {
        let (id, subject, action) = self.queue.take()?;
        match &subject {
            Subject::Image(key) => self.images.fetching(key),
            Subject::Standby(_) | Subject::Volume(_) => {}
            Subject::Arrival(_) => {
                if let Action::Move(step) = &action {
                    self.arriving.began(step);
                }
            }
            Subject::Instance(instance, berth) => {
                if let Some(local) = self.locals.get_mut(instance) {
                    let is_beside = local.berth != *berth;
                    if let Some(local) = local.at(*berth) {
                        journal::began(self.asked.as_ref(), local, is_beside, instance, &action);
                        local.began(&action);
                    }
                }
            }
            Subject::Check(instance, berth) => {
                let local = self.locals.get_mut(instance);
                if let Some(local) = local.and_then(|local| local.at(*berth))
                    && let Action::Check { .. } = action
                {
                    local.checks.began();
                }
            }
            Subject::Run(instance, slot) => {
                journal::run_began(instance, *slot, &action);
                if let Some(job) = self.jobs.get_mut(instance) {
                    job.began(*slot, &action);
                }
            }
        }
        Some((id, action))
    }

    /// When [`Instances::wake`] is to be called, if nothing else happens before.
    pub fn next_wake(&self) -> Option<Instant> {
        self.wake
    }

    /// Everything that this node holds, for its report.
    pub fn holds(&self) -> &BTreeMap<InstanceId, Hold> {
        &self.holds
    }

    /// Instances that this node was asked to run and could not, and why.
    pub fn refusals(&self) -> &BTreeMap<InstanceId, String> {
        &self.refused
    }

    /// Of how many jobs there are containers of runs.
    pub fn runs(&self) -> usize {
        self.sight.run_instances().len()
    }

    /// Images that are ready for services that this node holds nothing of.
    pub fn ready_images(&self) -> &BTreeSet<ImageMark> {
        &self.ready_images
    }

    /// Images that are to be ready and could not be fetched, and why.
    pub fn missing_images(&self) -> &BTreeMap<ImageMark, String> {
        &self.missing_images
    }

    /// Whether an instance that is bound to this node has, or may have, data here.
    pub fn has_made(&self, instance: &InstanceId) -> bool {
        let has_volumes = || self.volumes.has_of(instance, self.asked.as_ref());
        let has_run = || self.jobs.has_run(instance);
        self.made.contains(instance) || self.arriving.has(instance) || has_volumes() || has_run()
    }

    /// The instances bound to this node of which it has started a container, since they are bound to it.
    pub fn told_made(&self) -> &BTreeSet<InstanceId> {
        &self.told_made
    }

    /// What is written down of the runs of jobs, for the report.
    pub fn told_jobs(&self) -> &BTreeMap<InstanceId, Ledger> {
        &self.told_jobs
    }

    /// A later life of this node had this written down: its disk is older than that.
    pub fn recall(&mut self, jobs: &BTreeMap<InstanceId, Ledger>, now: Now) {
        self.jobs.recall(jobs);
        self.refresh(now);
    }

    /// The slots that are to be run as soon as they are on the disk.
    pub fn unsaved_slots(&self) -> BTreeSet<(InstanceId, Slot)> {
        self.jobs.unsaved()
    }

    /// These slots are on the disk: they may be run.
    pub fn slots_saved(&mut self, slots: &BTreeSet<(InstanceId, Slot)>, now: Now) {
        self.jobs.saved(slots);
        self.refresh(now);
    }

    /// Whether an instance is to run here, and nothing of it is there or under way.
    pub fn can_let_go(&self, instance: &InstanceId) -> bool {
        let asked = self.asked.as_ref();
        let wanted = asked.and_then(|asked| asked.wanted.get(instance));
        let is_wanted = wanted.is_some_and(|wanted| wanted.state == Lifecycle::Running);
        let is_listed = self.sight.is_listed() && self.volumes.is_listed() && !self.blind;
        let is_there = self.has_made(instance) || self.sight.has(instance);
        is_wanted && is_listed && !is_there && !self.queue.is_busy(instance)
    }

    /// Nothing of an instance is begun from now on, if nothing of it is there or under way: else it is not let go.
    pub fn let_go(&mut self, instance: &InstanceId, now: Now) {
        if self.can_let_go(instance) {
            self.let_go.insert(instance.clone());
            self.refresh(now);
        }
    }

    /// Those that were let go, and are bound to this node yet.
    pub fn gone_from_here(&self) -> impl Iterator<Item = &InstanceId> {
        self.let_go.iter()
    }

    /// It is tried again.
    pub fn take_back(&mut self, instance: &InstanceId, now: Now) {
        if self.let_go.remove(instance) {
            self.refresh(now);
        }
    }

    /// What this node needs a lease for: instances that it took upon itself, and whatever runs of them. While it only looks
    /// that alone: another machine may have its identity, and the lease.
    pub fn lease_needs(&self, now: Now) -> BTreeMap<InstanceId, LeaseNeed> {
        let runs = self.running_leased();
        let only_looks = now.monotonic < self.acts_from;
        let asked = self.asked.iter().flat_map(|asked| asked.wanted.values());
        let leased = asked.filter_map(|wanted| Some((wanted, wanted.lease.as_ref()?)));
        let taken = leased.filter(|(wanted, _)| {
            let local = self.locals.get(&wanted.instance);
            let is_taken = local.is_some_and(|local| local.decided.is_some());
            let is_wanted = is_taken && wanted.state == Lifecycle::Running;
            is_wanted && (!only_looks || runs.contains(&wanted.instance))
        });
        let wants =
            taken.map(|(wanted, terms)| (wanted.instance.clone(), LeaseNeed::Wants(terms.clone())));
        let mut needs: BTreeMap<_, _> = wants.collect();
        for instance in runs {
            match needs.get(&instance) {
                // What runs of another lease goes first.
                Some(LeaseNeed::Wants(terms)) if self.leases.is_of(&instance, terms) => {}
                Some(LeaseNeed::Wants(_) | LeaseNeed::Runs { .. }) | None => {
                    let is_seen = !self.blind;
                    needs.insert(instance, LeaseNeed::Runs { is_seen });
                }
            }
        }
        needs
    }

    /// The leased instances of which anything runs, or may in a moment.
    fn running_leased(&self) -> BTreeSet<InstanceId> {
        let seen = self.sight.up_and_leased().chain(self.queue.making_leased());
        let unseen = self.leases.instances().filter(|_| self.blind);
        seen.chain(unseen).cloned().collect()
    }

    /// How the leases stand that this node asks for, whether the fence does its work, and until when what ran before
    /// this boot needs neither.
    pub fn lease(
        &mut self,
        held: BTreeMap<InstanceId, Held>,
        fence: Option<Result<(), String>>,
        recalls_until: Instant,
        now: Now,
    ) {
        if self.leases.set(held, fence, recalls_until, now.monotonic) {
            self.refresh(now);
        }
    }

    /// The copies of volumes that this node keeps, by their names on its engine.
    pub fn volumes(&self) -> &BTreeMap<String, Copy> {
        &self.told_volumes
    }

    /// One-off containers that run here, by their names.
    pub fn one_offs(&self) -> &BTreeMap<String, OneOff> {
        &self.one_offs
    }

    /// Instances that failed for good at the wanted deploy.
    pub fn failures(&self) -> &BTreeMap<InstanceId, Failed> {
        &self.failed
    }

    /// The engine, for the report.
    pub fn engine(&self, now: Now) -> Engine {
        self.engine.report(now.monotonic)
    }

    /// Rises whenever what this node says of its instances, images and engine changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether the engine has listed its containers: before that, the holds are remembered ones.
    pub fn has_observed(&self) -> bool {
        self.sight.is_listed()
    }

    /// Works everything out again from all that is known.
    pub(super) fn refresh(&mut self, now: Now) {
        self.refusals.expire(now.monotonic);
        self.moving.expire(now.monotonic);
        let found = if self.sight.is_listed() {
            self.look_and_plan(now)
        } else {
            self.remember(now)
        };
        let may_act = self.sight.is_listed() && self.asked.is_some() && !self.blind;
        let ready = if may_act {
            found.ready
        } else {
            BTreeMap::new()
        };
        self.queue.set(ready);
        self.wake = self.earliest(found.wakes, now.monotonic);
        self.failed = found.failed;
        self.publish(found.holds, now);
    }

    fn look_and_plan(&mut self, now: Now) -> Findings {
        self.note_made();
        let mut found = Findings::default();
        let mut locals = mem::take(&mut self.locals);
        let mut jobs = mem::take(&mut self.jobs);
        let seen = self.sight.by_instance();
        let round = Round {
            identity: &self.identity,
            wiring: self.wiring,
            sight: &self.sight,
            asked: self.asked.as_ref(),
            seen: &seen,
            engine: &self.engine,
            queue: &self.queue,
            made: &self.made,
            let_go: &self.let_go,
            moving: &self.moving,
            leases: &self.leases,
            arriving: &self.arriving,
            volumes: &self.volumes,
            said: &self.holds,
            blind: self.blind,
            acts_from: self.acts_from,
            now,
        };
        round.meet(&mut locals);
        for (instance, local) in &mut locals {
            round.look(instance, local, &mut found);
        }
        self.need_images_of_what_comes(&mut found);
        let missing = mem::take(&mut found.missing_images);
        self.images
            .need(missing, &found.wanted_images, now.monotonic);
        for (instance, local) in &mut locals {
            let refusals = &mut self.refusals;
            round.plan(instance, local, &self.images, refusals, &mut found);
        }
        for key in self.images.due(now.monotonic) {
            let action = Action::Fetch {
                image: key.image.clone(),
                frozen: key.frozen.clone(),
            };
            found.ready.insert(Subject::Image(key), action);
        }
        self.plan_jobs(&round, &mut jobs, &locals, &mut found);
        self.locals = locals;
        self.jobs = jobs;
        self.plan_moves(&seen, &mut found, now.monotonic);
        self.plan_removals(&mut found, now.monotonic);
        self.plan_standby(&mut found, now.monotonic);
        found
    }

    /// The jobs of this node, those that it had, and those whose containers it finds.
    fn plan_jobs(
        &self,
        round: &Round<'_>,
        jobs: &mut Jobs,
        locals: &BTreeMap<InstanceId, Local>,
        found: &mut Findings,
    ) {
        let Some(asked) = &self.asked else { return };
        for wanted in asked.wanted.values().filter(|wanted| wanted.is_job()) {
            jobs.meet(wanted, round.now.wall);
        }
        for instance in self.sight.run_instances() {
            jobs.find(&instance, round.now.wall);
        }
        let all: Vec<InstanceId> = jobs.instances().cloned().collect();
        for instance in all {
            let is_ours = locals.get(&instance).and_then(|local| local.decided);
            let charge = asked.charge(&instance, is_ours, round);
            let mut jobs_found = JobFindings::default();
            round.look_at_job(
                &instance,
                charge,
                &self.images,
                jobs,
                &found.ready,
                &mut jobs_found,
            );
            found.ready.extend(jobs_found.ready);
            found.wakes.extend(jobs_found.wakes);
        }
    }

    /// Copies of volumes that were removed.
    fn plan_removals(&self, found: &mut Findings, now: Instant) {
        let Some(asked) = &self.asked else { return };
        let order = Going {
            removed: &asked.removed_volumes,
            departed: &asked.departed,
        };
        let due = self.volumes.due(order, now);
        let due = due.map(|(name, action)| (Subject::Volume(name), action));
        found
            .ready
            .extend(due.filter(|(subject, _)| !self.queue.has(subject)));
        found.wakes.extend(self.volumes.next_try(order, now));
    }

    fn note_made(&mut self) {
        let Some(asked) = &self.asked else { return };
        let started = self.sight.started_instances();
        let made = started.chain(self.jobs.run_instances());
        let made = made.filter(|instance| asked.bound.contains_key(*instance));
        self.made.extend(made.cloned());
    }

    /// What a container was made with is there, and what a hook was run with may have data, however it ended.
    fn note_volumes(&mut self, action: &Action, outcome: &Outcome) {
        let spec = match (action, outcome) {
            (Action::Run(spec), Ok(_)) => spec,
            (Action::Hook { spec, .. }, Ok(_) | Err(Failure::HookFailed { .. })) => spec,
            _ => return,
        };
        let mounts = spec.mounts.iter();
        let mounted = mounts.filter_map(|mount| mount.docker_volume.as_ref());
        let copies = mounted.map(|mounted| (mounted.name.clone(), mounted.copy.clone()));
        self.volumes.made(copies);
    }

    /// What nothing here needs yet is fetched when nothing else is to be done.
    fn plan_standby(&self, found: &mut Findings, now: Instant) {
        let mut subjects = found.ready.keys();
        let is_other = |subject: &Subject| !matches!(subject, Subject::Check(..));
        let is_busy = self.queue.is_fetching() || subjects.any(is_other);
        let may_fetch = self.asked.is_some() && now >= self.acts_from && !is_busy;
        if let Some((mark, action)) = self.standby.due(now).filter(|_| may_fetch) {
            found.ready.insert(Subject::Standby(mark), action);
        }
    }

    /// Before the first listing: what is remembered stands, unless the engine has failed.
    fn remember(&self, now: Now) -> Findings {
        let wanted = self.asked.as_ref().map(|asked| &asked.wanted);
        let stateful = |instance| {
            let wanted = wanted.and_then(|wanted| wanted.get(instance));
            wanted.is_none_or(|wanted| wanted.service.is_bound())
        };
        let said = self.holds.iter().filter_map(|(instance, hold)| {
            let judged = self
                .engine
                .judge(hold.clone(), stateful(instance), Some(hold), now);
            Some((instance.clone(), judged?))
        });
        Findings {
            holds: said.collect(),
            ..Findings::default()
        }
    }

    fn earliest(&self, mut wakes: Vec<Instant>, now: Instant) -> Option<Instant> {
        wakes.extend(self.engine.fails_at(now));
        wakes.extend(self.refusals.next_expiry());
        wakes.extend(self.images.next_retry(now));
        wakes.extend(self.standby.next_look(now));
        wakes.push(self.acts_from);
        wakes.into_iter().filter(|at| *at > now).min()
    }

    fn publish(&mut self, holds: BTreeMap<InstanceId, Hold>, now: Now) {
        let refused = self.refusals.report();
        let engine_changed = self.engine.take_change(now.monotonic);
        let (ready, missing) = (self.standby.ready(), self.standby.missing());
        let images_changed = ready != self.ready_images || missing != self.missing_images;
        let volumes = self.volumes.report(&self.arriving.volumes());
        let is_kept_anew = volumes != self.told_volumes
            || self.made != self.told_made
            || !self.jobs.are(&self.told_jobs);
        let arrivals = self.problems_of_what_comes();
        let arriving = self.arriving.version();
        let moved = arrivals != self.told_arrivals || arriving != self.told_arriving;
        let is_news = engine_changed || images_changed || is_kept_anew || moved;
        if is_news || holds != self.holds || refused != self.refused {
            self.version += 1;
            self.holds = holds;
            self.refused = refused;
            self.ready_images = ready;
            self.missing_images = missing;
            self.told_volumes = volumes;
            self.told_made = self.made.clone();
            self.told_jobs = self.jobs.report();
            self.told_arrivals = arrivals;
            self.told_arriving = arriving;
        }
    }

    /// The image that the wanted deploy of an instance runs.
    pub(super) fn wanted_image(&self, instance: &InstanceId) -> Option<ImageKey> {
        let wanted = self.asked.as_ref()?.wanted.get(instance)?;
        Some(ImageKey::of(wanted))
    }
}
