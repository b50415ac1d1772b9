//! Jobs: which slots are due, and the runs under way.
//!
//! A job's instance falls to this node as any other does: it is held, its image is fetched, it is given up in the same ways. Only
//! its containers are not kept running: each is made for one slot, ends by itself, and is never started again. What is decided
//! is written into its [`Ledger`], and that onto the disk, before a container is made. So whatever is lost, no slot is run
//! twice here: what the ledger has is over, and what a boot finds already past is missed.

mod due;
mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{EnvelopeHash, InstanceId};
use crate::job::{Ledger, MAX_RUNS};
use crate::schedule::{Calendar, Slot};
use crate::stack::{Schedule, Service};
use crate::time::{Instant, Now, WallTime};

use super::action::{Action, Container, ContainerSpec, Ownership};
use super::queue::{Queue, Subject};
use super::sight::Sight;
use super::wanted::Wanted;
use super::wiring::Unattached;

use runs::Attempt;

/// A slot is begun so long after its time at the latest: an engine that hangs for a moment, or an image that is pulled, costs
/// no run.
pub const START_WITHIN: Duration = Duration::from_secs(60);

/// A clock may be set at any time, so that what is waited for by it is looked at again.
const LOOKS_EVERY: Duration = Duration::from_secs(30);

/// So many runs of all jobs are told of; each has a few at least.
const MAX_TOLD: usize = 1_000;
const FEWEST_TOLD: usize = 3;

/// What becomes of a job that this node has a ledger of and is not to run.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// This node drains: what runs ends by itself, and slots that come are missed.
    Drains(Arc<Service>),
    /// Another node is about to have it, or it cannot be judged: what runs ends by itself.
    Leaves,
    /// Its service is stopped: what runs is stopped.
    Rests,
    /// It is not this node's: what runs is stopped, and its containers go.
    Goes,
    /// Its service is gone: so does what was written down of it.
    Vanishes,
}

/// What this node has to do about a job.
#[derive(Clone, Copy, Debug)]
pub(super) enum Charge<'a> {
    /// `is_ready`: it is this node's for certain, and the node may act.
    Run {
        wanted: &'a Wanted,
        is_ready: bool,
    },
    Given(&'a Fate),
}

/// What a look at one job reads.
pub(super) struct JobScene<'a> {
    pub instance: &'a InstanceId,
    pub charge: Charge<'a>,
    pub containers: Vec<&'a Container>,
    /// What is of an older deploy is of an earlier service of the name.
    pub born: u64,
    /// A container of the service as it was before it was a job.
    pub has_other: bool,
    /// The image of the wanted deploy, once it is there.
    pub pinned: Option<&'a str>,
    /// Nothing is begun, because the engine fails or the instance is to be bound elsewhere.
    pub is_blind: bool,
    pub is_let_go: bool,
    pub spec: &'a dyn Fn(&Wanted, &str, &BTreeSet<Ipv4Addr>) -> Result<ContainerSpec, Unattached>,
    pub sight: &'a Sight,
    pub queue: &'a Queue,
    pub now: Now,
}

impl JobScene<'_> {
    /// Nothing is left of it, and nobody is to know of it any more.
    fn has_vanished(&self) -> bool {
        let is_there = !self.containers.is_empty() || self.queue.is_busy(self.instance);
        matches!(self.charge, Charge::Given(Fate::Vanishes)) && !is_there
    }

    /// Whether a container is of this service, and not of an earlier one of the name.
    fn is_of_it(&self, container: &Container) -> bool {
        container.owner.generation >= self.born
    }
}

/// What follows from a look.
#[derive(Debug, Default)]
pub(super) struct JobFindings {
    pub ready: BTreeMap<Subject, Action>,
    pub wakes: Vec<Instant>,
}

/// The jobs of one node, and those that it had.
#[derive(Clone, Debug, Default)]
pub(super) struct Jobs {
    by_instance: BTreeMap<InstanceId, Job>,
}

/// One job on this node. Of this boot is everything but the ledger.
#[derive(Clone, Debug)]
pub(super) struct Job {
    ledger: Ledger,
    attempts: BTreeMap<Slot, Attempt>,
    /// Slots up to this time are not this boot's; `None` until it looked first.
    since: Option<WallTime>,
    calendar: Option<(Schedule, Calendar)>,
    /// The slot that follows a time: found once.
    next: Option<(WallTime, Option<Slot>)>,
    /// It fell to this node when it was looked at last, or is not known not to.
    is_ours: bool,
    /// Why the slot that is due was not begun yet.
    hindrance: Option<crate::job::Missed>,
    /// Addresses that the engine refused.
    avoided: BTreeSet<Ipv4Addr>,
}

impl Job {
    fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            attempts: BTreeMap::new(),
            since: None,
            calendar: None,
            next: None,
            is_ours: true,
            hindrance: None,
            avoided: BTreeSet::new(),
        }
    }

    /// Takes note of what is seen, and says what is to be done next.
    fn look(&mut self, scene: &JobScene<'_>, found: &mut JobFindings) {
        self.see(scene);
        match scene.charge {
            Charge::Run { wanted, is_ready } => {
                if !is_ready {
                    self.since = Some(scene.now.wall);
                }
                self.fall_to_us(scene.now.wall);
                if let Some(schedule) = &wanted.service.deploy.schedule {
                    self.due(schedule, scene, found);
                }
            }
            Charge::Given(Fate::Drains(service)) => {
                self.fall_to_us(scene.now.wall);
                if let Some(schedule) = &service.deploy.schedule {
                    self.due(schedule, scene, found);
                }
            }
            Charge::Given(Fate::Leaves | Fate::Rests | Fate::Goes | Fate::Vanishes) => {
                self.is_ours = false;
            }
        }
        self.step(scene, found);
    }

    /// What came while it was stopped, or another node's, is not this node's to run or to miss.
    fn fall_to_us(&mut self, now: WallTime) {
        if !self.is_ours {
            self.is_ours = true;
            self.since = Some(now);
            self.ledger.until = self.ledger.until.max(now);
        }
    }
}

impl Jobs {
    pub(super) fn remembered(ledgers: BTreeMap<InstanceId, Ledger>) -> Self {
        let job = |(instance, ledger)| (instance, Job::new(ledger));
        Self {
            by_instance: ledgers.into_iter().map(job).collect(),
        }
    }

    /// What others have of this node's ledgers, where its disk is older than they are.
    pub(super) fn recall(&mut self, ledgers: &BTreeMap<InstanceId, Ledger>) {
        for (instance, ledger) in ledgers {
            match self.by_instance.get_mut(instance) {
                Some(job) => job.ledger.merge(ledger),
                None => {
                    let job = Job::new(ledger.clone());
                    self.by_instance.insert(instance.clone(), job);
                }
            }
        }
    }

    /// Whether a slot of it was begun here, ever.
    pub(super) fn has_run(&self, instance: &InstanceId) -> bool {
        let job = self.by_instance.get(instance);
        job.is_some_and(|job| job.ledger.last_run().is_some())
    }

    /// Those of which a slot was begun here.
    pub(super) fn run_instances(&self) -> impl Iterator<Item = &InstanceId> {
        let jobs = self.by_instance.iter();
        let run = jobs.filter(|(_, job)| job.ledger.last_run().is_some());
        run.map(|(instance, _)| instance)
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = &InstanceId> {
        self.by_instance.keys()
    }

    /// An instance falls to this node; of a service that was created anew nothing is known.
    pub(super) fn meet(&mut self, wanted: &Wanted, now: WallTime) {
        let job = self.by_instance.get(&wanted.instance);
        if job.is_none_or(|job| job.ledger.creation != wanted.creation) {
            let ledger = Ledger::new(wanted.creation, now);
            let job = Job::new(ledger);
            self.by_instance.insert(wanted.instance.clone(), job);
        }
    }

    /// A container of a run is there. One that nothing is known of is none of this service's.
    pub(super) fn find(&mut self, instance: &InstanceId, now: WallTime) {
        let unknown = || Job::new(Ledger::new(EnvelopeHash([0; 32]), now));
        let job = self.by_instance.entry(instance.clone());
        job.or_insert_with(unknown);
    }

    pub(super) fn look(&mut self, scene: &JobScene<'_>, found: &mut JobFindings) {
        let most = (MAX_TOLD / self.by_instance.len().max(1)).clamp(FEWEST_TOLD, MAX_RUNS);
        if let Some(job) = self.by_instance.get_mut(scene.instance) {
            job.look(scene, found);
            job.ledger.forget_beyond(most);
        }
        if scene.has_vanished() {
            self.by_instance.remove(scene.instance);
        }
    }

    /// Whether this is what was told last.
    pub(super) fn are(&self, told: &BTreeMap<InstanceId, Ledger>) -> bool {
        self.by_instance.len() == told.len()
            && self.by_instance.iter().zip(told).all(|(ours, theirs)| {
                let (instance, job) = ours;
                (instance, &job.ledger) == theirs
            })
    }

    /// For the report.
    pub(super) fn report(&self) -> BTreeMap<InstanceId, Ledger> {
        let jobs = self.by_instance.iter();
        jobs.map(|(instance, job)| (instance.clone(), job.ledger.clone()))
            .collect()
    }

    /// The slots that were decided to be run, and are not known to be on the disk.
    pub(super) fn unsaved(&self) -> BTreeSet<(InstanceId, Slot)> {
        let jobs = self.by_instance.iter();
        jobs.flat_map(|(instance, job)| job.unsaved().map(|slot| (instance.clone(), slot)))
            .collect()
    }

    /// These are on the disk.
    pub(super) fn saved(&mut self, slots: &BTreeSet<(InstanceId, Slot)>) {
        for (instance, slot) in slots {
            let job = self.by_instance.get_mut(instance);
            if let Some(attempt) = job.and_then(|job| job.attempts.get_mut(slot)) {
                attempt.is_saved = true;
            }
        }
    }

    pub(super) fn get_mut(&mut self, instance: &InstanceId) -> Option<&mut Job> {
        self.by_instance.get_mut(instance)
    }
}

/// The container of one run: the instance's, under a name of its own.
pub(super) fn run_spec(spec: ContainerSpec, slot: Slot) -> ContainerSpec {
    let mut environment = spec.environment;
    environment.retain(|line| !line.starts_with(SLOT_VARIABLE));
    environment.push(format!("{SLOT_VARIABLE}{slot}"));
    ContainerSpec {
        name: format!("{}.{}", spec.name, slot.compact()),
        labels: Ownership {
            slot: Some(slot),
            ..spec.labels
        },
        environment,
        ..spec
    }
}

/// What a job's program is told of its slot: `2026-01-31T12:00:00Z`.
const SLOT_VARIABLE: &str = "KONTENA_JOB_SLOT=";
