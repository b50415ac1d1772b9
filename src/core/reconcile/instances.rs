//! All instances of this node: what is asked, seen and under way, and the actions that follow.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use crate::id::{GridId, GridName, InstanceId, NodeName};
use crate::report::{Engine, Health, Hold, InstanceState};
use crate::time::{Instant, Now};
use crate::view::{Freshness, Lifecycle};

use super::action::{Action, ActionId, Container, Observed, Outcome};
use super::engine::EngineSight;
use super::images::{ImageKey, Images};
use super::lifecycle::{Local, Scene, Task, Turn};
use super::plan::{Decision, Step, Surroundings, choose, decide};
use super::queue::{Queue, Subject};
use super::refusals::Refusals;
use super::rollout::{Peer, Rollout};
use super::sight::{Seen, Sight};
use super::wanted::{Departure, Goals, Wanted};
use super::yielding::{Farewell, farewell};

/// Whose containers these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub grid: GridId,
    pub grid_name: GridName,
    pub node_name: NodeName,
}

/// The goals, by instance.
#[derive(Clone, Debug, Default)]
struct Asked {
    wanted: BTreeMap<InstanceId, Wanted>,
    leaving: BTreeMap<InstanceId, Departure>,
    takeovers_from: Option<Instant>,
}

/// The instances of one node. Drained by [`Instances::poll_action`] after each call with `now`.
#[derive(Clone, Debug)]
pub struct Instances {
    identity: Identity,
    /// `None` until the documents are loaded and this node is a member: nothing is decided before.
    asked: Option<Asked>,
    pub(super) sight: Sight,
    engine: EngineSight,
    /// The engine was in trouble after its last listing: what it holds is not known.
    blind: bool,
    pub(super) locals: BTreeMap<InstanceId, Local>,
    pub(super) images: Images,
    pub(super) queue: Queue,
    refusals: Refusals,
    holds: BTreeMap<InstanceId, Hold>,
    refused: BTreeMap<InstanceId, String>,
    version: u64,
    wake: Option<Instant>,
}

impl Instances {
    /// `remembered`: what this node held when it last said so. It is what it says of itself until
    /// the engine has listed its containers, so that others take nothing over while it starts.
    pub fn new(identity: Identity, remembered: BTreeMap<InstanceId, Hold>) -> Self {
        let local = |hold: &Hold| Local {
            epoch: hold.epoch,
            aim: Some((hold.revision, hold.generation)),
            decided: Some(Instant::ZERO),
            ..Local::default()
        };
        Self {
            identity,
            asked: None,
            sight: Sight::default(),
            engine: EngineSight::default(),
            blind: false,
            locals: remembered
                .iter()
                .map(|(instance, hold)| (instance.clone(), local(hold)))
                .collect(),
            images: Images::default(),
            queue: Queue::default(),
            refusals: Refusals::default(),
            holds: remembered,
            refused: BTreeMap::new(),
            version: 0,
            wake: None,
        }
    }

    /// What is asked of this node now, as a whole. Only a member of the grid with loaded documents
    /// asks: what is in neither list is removed.
    pub fn reconcile(&mut self, goals: Goals, now: Now) {
        let wanted = goals.wanted.into_iter();
        let leaving = goals.leaving.into_iter();
        self.asked = Some(Asked {
            wanted: wanted
                .map(|wanted| (wanted.instance.clone(), wanted))
                .collect(),
            leaving: leaving
                .map(|leaving| (leaving.instance, leaving.departure))
                .collect(),
            takeovers_from: goals.hold_takeovers_until,
        });
        self.refresh(now);
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
            Subject::Instance(instance) => self.conclude(&instance, &action, outcome, now),
        }
        self.refresh(now);
    }

    /// The time of [`Instances::next_wake`] has come.
    pub fn wake(&mut self, now: Now) {
        self.refresh(now);
    }

    /// The next action to carry out. At most one is under way for each instance.
    pub fn poll_action(&mut self) -> Option<(ActionId, Action)> {
        let (id, subject, action) = self.queue.take()?;
        if let Subject::Image(key) = &subject {
            self.images.fetching(key);
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

    /// The engine, for the report.
    pub fn engine(&self, now: Now) -> Engine {
        self.engine.report(now.monotonic)
    }

    /// Rises whenever [`Instances::holds`], [`Instances::refusals`] or the state of the engine changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether the engine has listed its containers: before that, the holds are remembered ones.
    pub fn has_observed(&self) -> bool {
        self.sight.is_listed()
    }

    /// Works everything out again from all that is known.
    fn refresh(&mut self, now: Now) {
        self.refusals.expire(now.monotonic);
        let mut round = Round::new(now.monotonic);
        if self.sight.is_listed() {
            self.plan(&mut round, now);
        } else {
            self.release_if_failed(&mut round, now);
        }
        let may_act = self.sight.is_listed() && self.asked.is_some() && !self.blind;
        self.queue.set(if may_act {
            round.ready
        } else {
            BTreeMap::new()
        });
        round.wakes.extend(self.engine.fails_at(now.monotonic));
        round.wakes.extend(self.refusals.next_expiry());
        round.wakes.extend(self.images.next_retry(now.monotonic));
        self.wake = round
            .wakes
            .into_iter()
            .filter(|at| *at > now.monotonic)
            .min();
        self.publish(round.holds, now);
    }

    fn publish(&mut self, holds: BTreeMap<InstanceId, Hold>, now: Now) {
        let refused = self.refusals.report();
        let engine = self.engine.take_change(now.monotonic);
        if engine || holds != self.holds || refused != self.refused {
            self.version += 1;
            self.holds = holds;
            self.refused = refused;
        }
    }

    /// Before the first listing: what is remembered stands, unless the engine is gone for good.
    fn release_if_failed(&self, round: &mut Round, now: Now) {
        let asked = self.asked.as_ref();
        round.holds = self.holds.clone();
        let Some(problem) = self.engine.failed(now.monotonic) else {
            return;
        };
        round.holds.retain(|instance, _| {
            let wanted = asked.and_then(|asked| asked.wanted.get(instance));
            wanted.is_none_or(|wanted| wanted.service.stateful)
        });
        for hold in round.holds.values_mut() {
            fail(hold, problem, now);
        }
    }

    fn plan(&mut self, round: &mut Round, now: Now) {
        let asked = self.asked.take();
        let seen = self.sight.by_instance();
        let mut locals = mem::take(&mut self.locals);
        self.meet(asked.as_ref(), &seen, &mut locals);
        for (instance, local) in &mut locals {
            self.look(asked.as_ref(), instance, local, &seen, round);
        }
        self.images.need(mem::take(&mut round.images));
        for (instance, local) in &mut locals {
            self.plan_one(asked.as_ref(), instance, local, &seen, round, now);
        }
        for key in self.images.due(now.monotonic) {
            let image = key.image.clone();
            round
                .ready
                .insert(Subject::Image(key), Action::Fetch { image });
        }
        self.locals = locals;
        self.asked = asked;
    }

    /// Knows exactly the instances that are wanted here, or seen, or under way.
    fn meet(
        &self,
        asked: Option<&Asked>,
        seen: &BTreeMap<InstanceId, Seen>,
        locals: &mut BTreeMap<InstanceId, Local>,
    ) {
        if let Some(asked) = asked {
            locals.retain(|instance, _| {
                asked.wanted.contains_key(instance)
                    || seen.contains_key(instance)
                    || self
                        .queue
                        .is_in_flight(&Subject::Instance(instance.clone()))
            });
            for (instance, wanted) in &asked.wanted {
                locals.entry(instance.clone()).or_default().aim_at(wanted);
            }
        }
        for instance in seen.keys() {
            locals.entry(instance.clone()).or_default();
        }
    }

    /// Takes note of what is seen of an instance, and decides whether it is taken on.
    fn look(
        &mut self,
        asked: Option<&Asked>,
        instance: &InstanceId,
        local: &mut Local,
        seen: &BTreeMap<InstanceId, Seen>,
        round: &mut Round,
    ) {
        let task = task(asked, instance);
        let best = best(seen, instance);
        let expected = match task {
            Task::Rest | Task::Remove => true,
            Task::Run(_) | Task::Keep => local.turn == Turn::Granted || self.is_stopping(instance),
        };
        local.look(best, expected, round.now);
        let Task::Run(wanted) = task else {
            let subject = Subject::Instance(instance.clone());
            if asked.is_some() && best.is_none() && !self.queue.is_in_flight(&subject) {
                local.decided = None;
            }
            return;
        };
        self.refusals
            .aim_at(instance, (wanted.revision, wanted.generation));
        if best.is_none() {
            self.take_on(asked, instance, wanted, local, round);
        }
        let is_right =
            best.is_some_and(|best| wanted.is_met_by(&best.owner.revision, best.owner.generation));
        if !is_right && local.decided.is_some() {
            round.images.insert(ImageKey::of(wanted));
        }
    }

    fn take_on(
        &self,
        asked: Option<&Asked>,
        instance: &InstanceId,
        wanted: &Wanted,
        local: &mut Local,
        round: &mut Round,
    ) {
        let subject = Subject::Instance(instance.clone());
        if self.blind || self.queue.is_in_flight(&subject) {
            return;
        }
        let takeovers_from = asked.and_then(|asked| asked.takeovers_from);
        match (decide(wanted, takeovers_from, round.now), local.decided) {
            (Decision::Yield, _) => local.decided = None,
            (Decision::Take | Decision::Wait(_), Some(_)) => {}
            (Decision::Wait(until), None) => round.wakes.push(until),
            (Decision::Take, None) => {
                local.epoch = local.epoch.max(wanted.epoch_seen).saturating_add(1);
                local.decided = Some(round.now);
            }
        }
    }

    /// The next step of one instance, and what this node says of it.
    fn plan_one(
        &mut self,
        asked: Option<&Asked>,
        instance: &InstanceId,
        local: &mut Local,
        seen: &BTreeMap<InstanceId, Seen>,
        round: &mut Round,
        now: Now,
    ) {
        let task = task(asked, instance);
        let containers = seen.get(instance).map(Vec::as_slice).unwrap_or_default();
        let image = match task {
            Task::Run(wanted) => Some(ImageKey::of(wanted)),
            Task::Rest | Task::Keep | Task::Remove => None,
        };
        let pinned = image.as_ref().and_then(|image| self.images.pinned(image));
        let subject = Subject::Instance(instance.clone());
        if !self.queue.is_in_flight(&subject) {
            let around = Surroundings {
                identity: &self.identity,
                pinned,
                rollout: &|| rollout(asked, instance, &round.holds, &self.holds),
                now: round.now,
            };
            match local.step(task, containers, &around) {
                Step::Settled => {}
                Step::Wait(until) => round.wakes.push(until),
                Step::Do(action) => {
                    round.ready.insert(subject, *action);
                }
            }
        }
        let scene = Scene {
            task,
            best: best(seen, instance),
            stopping: self.is_stopping(instance),
            image_ready: pinned.is_some(),
            image_setback: image.as_ref().and_then(|image| self.images.setback(image)),
        };
        let hold = local.hold(scene, self.holds.get(instance), now.wall);
        if let Some(hold) = self.as_engine_is(hold, local, now) {
            if let Task::Run(wanted) = task {
                refuse_or_accept(&mut self.refusals, wanted, local, scene, &hold, round.now);
            }
            round.holds.insert(instance.clone(), hold);
        }
    }

    /// While the engine has failed, stateless instances are released, and of stateful ones nothing
    /// is known.
    fn as_engine_is(&self, hold: Option<Hold>, local: &Local, now: Now) -> Option<Hold> {
        let mut hold = hold?;
        if let Some(problem) = self.engine.failed(now.monotonic) {
            if !local.stateful {
                return None;
            }
            fail(&mut hold, problem, now);
        }
        Some(hold)
    }

    /// The image that the wanted deploy of an instance runs.
    pub(super) fn wanted_image(&self, instance: &InstanceId) -> Option<ImageKey> {
        let wanted = self.asked.as_ref()?.wanted.get(instance)?;
        Some(ImageKey::of(wanted))
    }

    fn is_stopping(&self, instance: &InstanceId) -> bool {
        match self.queue.action_in_flight(instance) {
            Some(Action::Stop { .. }) => true,
            Some(
                Action::Fetch { .. }
                | Action::Run(_)
                | Action::Start { .. }
                | Action::Remove { .. }
                | Action::Probe { .. },
            )
            | None => false,
        }
    }
}

/// What one look at everything brings forth.
struct Round {
    now: Instant,
    images: BTreeSet<ImageKey>,
    ready: BTreeMap<Subject, Action>,
    wakes: Vec<Instant>,
    holds: BTreeMap<InstanceId, Hold>,
}

impl Round {
    fn new(now: Instant) -> Self {
        Self {
            now,
            images: BTreeSet::new(),
            ready: BTreeMap::new(),
            wakes: Vec::new(),
            holds: BTreeMap::new(),
        }
    }
}

/// Refuses an instance that failed for a reason that may not hold elsewhere.
fn refuse_or_accept(
    refusals: &mut Refusals,
    wanted: &Wanted,
    local: &Local,
    scene: Scene<'_>,
    hold: &Hold,
    now: Instant,
) {
    if hold.state == InstanceState::Running && hold.health == Health::Healthy {
        refusals.accept(&wanted.instance);
    }
    if wanted.fixed || hold.state != InstanceState::Failed {
        return;
    }
    let setbacks = [local.starting.as_ref(), scene.image_setback];
    let reason = setbacks
        .into_iter()
        .flatten()
        .find(|setback| setback.is_reason_to_refuse());
    if let Some(setback) = reason {
        let aim = (wanted.revision, wanted.generation);
        refusals.refuse(&wanted.instance, aim, setback.problem.clone(), now);
    }
}

fn fail(hold: &mut Hold, problem: &str, now: Now) {
    if hold.state != InstanceState::Failed {
        hold.since = now.wall;
    }
    hold.state = InstanceState::Failed;
    hold.health = Health::Unknown;
    hold.problem = Some(format!("the Docker engine does not work: {problem}"));
}

fn best<'a>(seen: &'a BTreeMap<InstanceId, Seen>, instance: &InstanceId) -> Option<&'a Container> {
    choose(seen.get(instance)?).map(|(best, _)| best)
}

fn task<'a>(asked: Option<&'a Asked>, instance: &InstanceId) -> Task<'a> {
    let Some(asked) = asked else {
        return Task::Keep;
    };
    if let Some(wanted) = asked.wanted.get(instance) {
        return match wanted.state {
            Lifecycle::Running => Task::Run(wanted),
            Lifecycle::Stopped => Task::Rest,
        };
    }
    match asked.leaving.get(instance).copied().map(farewell) {
        Some(Farewell::Stay) => Task::Keep,
        Some(Farewell::Stop) => Task::Rest,
        Some(Farewell::Go) | None => Task::Remove,
    }
}

/// The rollout as this node sees it: by the reports of others, and of its own instances by what it
/// knows itself, `current` (worked out in this round) before `earlier`.
fn rollout(
    asked: Option<&Asked>,
    instance: &InstanceId,
    current: &BTreeMap<InstanceId, Hold>,
    earlier: &BTreeMap<InstanceId, Hold>,
) -> Rollout {
    let wanted = asked.and_then(|asked| asked.wanted.get(instance));
    let mut peers: BTreeMap<u32, Peer> = wanted
        .iter()
        .flat_map(|wanted| &wanted.peers)
        .map(|peer| (peer.number, *peer))
        .collect();
    let ours = asked.iter().flat_map(|asked| asked.wanted.values());
    for sibling in ours.filter(|sibling| sibling.instance.service == instance.service) {
        let id = &sibling.instance;
        if let Some(hold) = current.get(id).or_else(|| earlier.get(id)) {
            let (revision, generation) = (&sibling.revision, sibling.generation);
            let peer = Peer::of(id.number, Freshness::Fresh, hold, revision, generation);
            peers.insert(id.number, peer);
        }
    }
    peers
        .entry(instance.number)
        .or_insert_with(|| Peer::vacant(instance.number));
    Rollout {
        number: instance.number,
        min_health: wanted.map_or(1000, |wanted| wanted.service.deploy.min_health),
        daemon: wanted.is_some_and(Wanted::is_daemon),
        peers,
    }
}
