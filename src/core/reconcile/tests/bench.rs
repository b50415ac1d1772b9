//! One node's instances on an engine, step by step, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::id::{EnvelopeHash, GridId, InstanceId, RevisionHash};
use crate::reconcile::action::{
    Action, ActionId, Container, ContainerState, Failure, MoveStep, Observed, Outcome,
};
use crate::reconcile::rollout::Peer;
use crate::reconcile::{Departure, Goals, Identity, Instances, Leaving, Remembered, Wanted};
use crate::report::{Health, Hold, InstanceState};
use crate::stack::Service;
use crate::time::{Instant, Now, WallTime};
use crate::view::{Freshness, Lifecycle};

use super::engine::Engine;

pub(super) const GRID: GridId = GridId([7; 32]);

pub(super) fn id(text: &str) -> InstanceId {
    text.parse().unwrap()
}

pub(super) fn identity() -> Identity {
    Identity {
        grid: GRID,
        grid_name: "demo".parse().unwrap(),
        node_name: "n1".parse().unwrap(),
    }
}

/// `instance` of a service with one instance, deployed as `generation`.
pub(super) fn wanted(instance: &str, generation: u64) -> Wanted {
    of_service(instance, generation, 1, Service::new("web:1"))
}

/// One of `n` instances; the others are healthy at this deploy on other nodes.
pub(super) fn of_service(instance: &str, generation: u64, n: u32, service: Service) -> Wanted {
    let instance = id(instance);
    Wanted {
        peers: (1..=n).map(|number| healthy(number, true)).collect(),
        revision: service.hash(),
        service: Arc::new(service),
        creation: EnvelopeHash([6; 32]),
        volumes: BTreeMap::new(),
        sources: Vec::new(),
        revision_number: generation,
        generation,
        image: None,
        born: 0,
        halted: None,
        canary: None,
        is_newest: false,
        keeps_from: None,
        awaited: None,
        state: Lifecycle::Running,
        fixed: false,
        lease: None,
        takeover: false,
        epoch_seen: 0,
        run_elsewhere: None,
        hooks_ran: BTreeSet::new(),
        rivals: Vec::new(),
        instance,
    }
}

pub(super) fn healthy(number: u32, current: bool) -> Peer {
    Peer {
        number,
        holder: Some(Freshness::Fresh),
        healthy: true,
        current,
        failed: false,
        updating: false,
        kept: false,
    }
}

/// What was held in an earlier life.
pub(super) fn remembered(holds: BTreeMap<InstanceId, Hold>) -> Remembered {
    Remembered {
        holds,
        ..Remembered::default()
    }
}

/// A hold of another node.
pub(super) fn hold(epoch: u64, state: InstanceState) -> Hold {
    Hold {
        epoch,
        revision: RevisionHash([0; 32]),
        generation: 1,
        state,
        health: Health::Healthy,
        updating: false,
        on_trial: false,
        former: false,
        container: None,
        address: None,
        image: None,
        since: WallTime(0),
        age: 0,
        problem: None,
        hooks_ran: BTreeSet::new(),
        restarts: 0,
        exit_code: None,
    }
}

pub(super) struct Bench {
    pub instances: Instances,
    pub engine: Engine,
    pub goals: Goals,
    millis: u64,
    /// By so much the clock on the wall is ahead.
    pub ahead: i64,
    /// What was done, in short: `fetch web:1`, `run web-1 g1`, `stop web-1 g1` …
    pub log: Vec<String>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self {
            instances: Instances::new(identity(), Remembered::default()),
            engine: Engine::default(),
            goals: Goals::default(),
            millis: 1_000_000,
            ahead: 0,
            log: Vec::new(),
        }
    }

    /// A bench whose engine was listed and whose node wants these.
    pub(super) fn with(wanted: impl IntoIterator<Item = Wanted>) -> Self {
        let mut bench = Self::new();
        bench.observe();
        bench.want(wanted);
        bench
    }

    pub(super) fn now(&self) -> Now {
        Now {
            monotonic: Instant::from_millis(self.millis),
            wall: WallTime(self.millis.saturating_add_signed(self.ahead)),
        }
    }

    pub(super) fn want(&mut self, wanted: impl IntoIterator<Item = Wanted>) {
        self.goals.wanted = wanted.into_iter().collect();
        self.goals.leaving.clear();
        self.reconcile();
    }

    pub(super) fn leave(&mut self, instance: &str, departure: Departure) {
        let instance = id(instance);
        self.goals
            .wanted
            .retain(|wanted| wanted.instance != instance);
        self.goals.leaving = vec![Leaving {
            instance,
            departure,
        }];
        self.reconcile();
    }

    pub(super) fn reconcile(&mut self) {
        self.instances.reconcile(self.goals.clone(), self.now());
    }

    pub(super) fn observe(&mut self) {
        let observed = self.engine.list();
        self.instances.observe(observed, self.now());
    }

    pub(super) fn observe_volumes(&mut self) {
        let observed = Observed::Volumes(self.engine.volumes.clone());
        self.instances.observe(observed, self.now());
    }

    pub(super) fn trouble(&mut self) {
        let problem = "connection refused".to_owned();
        let observed = Observed::EngineTrouble { problem };
        self.instances.observe(observed, self.now());
    }

    /// Time goes by, and whatever it brings is carried out.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.millis + u64::try_from(time.as_millis()).unwrap();
        self.settle();
        while let Some(at) = self.instances.next_wake() {
            let at = u64::try_from(at.since_start().as_millis()).unwrap();
            if at > end {
                break;
            }
            self.millis = at.max(self.millis + 1);
            self.instances.wake(self.now());
            self.settle();
        }
        self.millis = end;
        self.instances.wake(self.now());
        self.settle();
    }

    /// Time goes by, and nothing is carried out.
    pub(super) fn skip(&mut self, time: Duration) {
        self.millis += u64::try_from(time.as_millis()).unwrap();
        self.instances.wake(self.now());
    }

    pub(super) fn seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Carries out everything that is to be done now, and lists the engine after each action.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let Some((id, action)) = self.next_action() else {
                return;
            };
            let outcome = self.engine.carry_out(&action, self.now().wall);
            self.instances.done(id, outcome, self.now());
            self.observe();
        }
        panic!(
            "the instances never settle: {:?}",
            &self.log[self.log.len() - 10..]
        );
    }

    pub(super) fn next_action(&mut self) -> Option<(ActionId, Action)> {
        let (id, action) = self.instances.poll_action()?;
        let words = self.words(&action);
        self.log.push(words);
        Some((id, action))
    }

    pub(super) fn done(&mut self, id: ActionId, outcome: Outcome) {
        self.instances.done(id, outcome, self.now());
    }

    /// Answers the next action with this. What only reads is carried out.
    pub(super) fn answer(&mut self, outcome: Outcome) {
        let (id, action) = self.next_action().expect("there is an action");
        if let Action::LastLines { .. } = action {
            let lines = self.engine.carry_out(&action, self.now().wall);
            self.done(id, lines);
            return self.answer(outcome);
        }
        self.done(id, outcome);
    }

    pub(super) fn unreachable() -> Failure {
        let problem = "timed out".to_owned();
        Failure::Unreachable { problem }
    }

    /// The daemon is killed and started again.
    pub(super) fn restart_daemon(&mut self) {
        let instances = &self.instances;
        let remembered = Remembered {
            holds: instances.holds().clone(),
            volumes: instances.volumes().clone(),
            made: instances.told_made().clone(),
            jobs: instances.told_jobs().clone(),
            arrivals: instances.arrivals().clone(),
        };
        self.instances = Instances::new(identity(), remembered);
    }

    /// The daemon is killed, and started again after this time.
    pub(super) fn away(&mut self, time: Duration) {
        self.restart_daemon();
        self.millis += u64::try_from(time.as_millis()).unwrap();
        self.observe();
        self.reconcile();
        self.settle();
    }

    /// What was done since this was asked last.
    pub(super) fn did(&mut self) -> String {
        std::mem::take(&mut self.log).join(", ")
    }

    pub(super) fn hold(&self, instance: &str) -> &Hold {
        &self.instances.holds()[&id(instance)]
    }

    /// `state health`, or `-`.
    pub(super) fn state(&self, instance: &str) -> String {
        match self.instances.holds().get(&id(instance)) {
            Some(hold) => format!("{} {}", hold.state, hold.health),
            None => "-".to_owned(),
        }
    }

    pub(super) fn problem(&self, instance: &str) -> String {
        self.hold(instance).problem.clone().unwrap_or_default()
    }

    pub(super) fn container(&self, instance: &str) -> &Container {
        let instance = id(instance);
        let mut all = self.engine.containers.values();
        all.find(|container| container.owner.instance == instance)
            .expect("there is a container")
    }

    pub(super) fn crash(&mut self, instance: &str) {
        let id = self.container(instance).id.clone();
        self.engine.exit(&id, 3, self.now().wall);
        self.observe();
    }

    pub(super) fn set_state(&mut self, instance: &str, state: ContainerState) {
        let id = self.container(instance).id.clone();
        self.engine.containers.get_mut(&id).unwrap().state = state;
        self.observe();
    }

    /// The instances that run, as the engine sees it.
    pub(super) fn running(&self) -> BTreeSet<InstanceId> {
        let all = self.engine.containers.values();
        all.filter(|container| matches!(container.state, ContainerState::Running { .. }))
            .filter(|container| container.owner.grid == GRID.to_string())
            .map(|container| container.owner.instance.clone())
            .collect()
    }

    fn words(&self, action: &Action) -> String {
        let named = |verb: &str, container| match self.engine.containers.get(container) {
            Some(found) => format!("{verb} {} g{}", found.name, found.owner.generation),
            None => format!("{verb} ?"),
        };
        match action {
            Action::Fetch { image, frozen } => match frozen {
                Some(frozen) => format!("fetch {image} as {frozen}"),
                None => format!("fetch {image}"),
            },
            Action::Run(spec) => format!("run {} g{}", spec.name, spec.labels.generation),
            Action::Start { container } => named("start", container),
            Action::Stop { container, .. } => named("stop", container),
            Action::Remove { container } => named("remove", container),
            Action::RemoveVolume { name, .. } => format!("remove volume {name}"),
            Action::Move(step) => step_words(step),
            Action::Rename { container, name } => {
                format!("{} to {name}", named("rename", container))
            }
            Action::Probe { port, .. } => format!("probe {port}"),
            Action::Check { .. } => "check".to_owned(),
            Action::LastLines { container } => named("read", container),
            Action::Hook { hook, .. } => format!("before {hook}"),
            Action::Command { hook, .. } => format!("in {hook}"),
        }
    }
}

fn step_words(step: &MoveStep) -> String {
    match step {
        MoveStep::Send { .. } => "send".to_owned(),
        MoveStep::Bring { .. } => "bring".to_owned(),
        MoveStep::Accept { .. } => "accept".to_owned(),
        MoveStep::Release { .. } => "release".to_owned(),
        MoveStep::Discard { .. } => "discard".to_owned(),
    }
}
