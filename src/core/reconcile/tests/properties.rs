//! What holds whatever happens: commands, crashes, lost answers, kills of the daemon, in any order.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use crate::reconcile::action::{
    Action, ActionId, Container, ContainerId, ContainerState, Failure, Outcome,
};
use crate::reconcile::{Departure, Leaving, Wanted};
use crate::stack::{Order, Service};
use crate::view::Lifecycle;

use super::bench::{Bench, of_service};

const INSTANCES: u32 = 3;

#[derive(Clone, Debug)]
enum Happening {
    /// Another deploy, of another image if `image`.
    Deploy {
        image: bool,
    },
    Scale(u32),
    SetLifecycle(Lifecycle),
    Leave(u32, bool),
    Crash(usize),
    Vanish(usize),
    Kill(usize),
    RestartDaemon,
    /// The next action is handed to the edge.
    Take,
    /// The edge answers: it did it, or did it and the answer was lost, or did nothing.
    Answer(usize, Answer),
    Observe,
    Trouble,
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Done,
    DoneAndLost,
    NotDoneAndLost,
    Refused,
}

fn happening() -> impl Strategy<Value = Happening> {
    let answer = prop_oneof![
        4 => Just(Answer::Done),
        1 => Just(Answer::DoneAndLost),
        1 => Just(Answer::NotDoneAndLost),
        1 => Just(Answer::Refused),
    ];
    prop_oneof![
        2 => any::<bool>().prop_map(|image| Happening::Deploy { image }),
        1 => (0..=INSTANCES).prop_map(Happening::Scale),
        1 => prop_oneof![Just(Lifecycle::Running), Just(Lifecycle::Stopped)].prop_map(Happening::SetLifecycle),
        1 => (1..=INSTANCES, any::<bool>()).prop_map(|(n, ready)| Happening::Leave(n, ready)),
        1 => any::<usize>().prop_map(Happening::Crash),
        1 => any::<usize>().prop_map(Happening::Vanish),
        1 => any::<usize>().prop_map(Happening::Kill),
        1 => Just(Happening::RestartDaemon),
        8 => Just(Happening::Take),
        8 => (any::<usize>(), answer).prop_map(|(at, answer)| Happening::Answer(at, answer)),
        3 => Just(Happening::Observe),
        1 => Just(Happening::Trouble),
        3 => (0_u64..4000).prop_map(Happening::Pass),
    ]
}

struct Story {
    bench: Bench,
    foreign: Container,
    under_way: Vec<(ActionId, Action)>,
    generation: u64,
    image: u32,
    instances: u32,
    lifecycle: Lifecycle,
    order: Order,
}

impl Story {
    fn new(order: Order) -> Self {
        // A container of another grid, under the name of an instance that nobody wants here.
        let mut bench = Bench::with([of_service("web-9", 1, 1, Service::new("web:1"))]);
        bench.settle();
        let mut foreign = bench.container("web-9").clone();
        foreign.id = ContainerId("f".repeat(64));
        foreign.owner.grid = "another".to_owned();
        let containers = [(foreign.id.clone(), foreign.clone())];
        bench.engine.containers = containers.into();
        bench.observe();
        Self {
            bench,
            foreign,
            under_way: Vec::new(),
            generation: 1,
            image: 1,
            instances: INSTANCES,
            lifecycle: Lifecycle::Running,
            order,
        }
    }

    fn wanted(&self, number: u32) -> Wanted {
        let mut service = Service::new(format!("web:{}", self.image));
        service.deploy.order = self.order;
        let text = format!("web-{number}");
        let mut wanted = of_service(&text, self.generation, self.instances, service);
        wanted.state = self.lifecycle;
        wanted
    }

    fn want_all(&mut self) {
        let all: Vec<Wanted> = (1..=self.instances).map(|n| self.wanted(n)).collect();
        self.bench.want(all);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deploy { image } => {
                self.generation += 1;
                self.image += u32::from(image);
                self.want_all();
            }
            Happening::Scale(instances) => {
                self.instances = instances;
                self.want_all();
            }
            Happening::SetLifecycle(lifecycle) => {
                self.lifecycle = lifecycle;
                self.want_all();
            }
            Happening::Leave(number, winner_ready) => self.leave(number, winner_ready),
            Happening::Crash(at) => self.with_container(at, |container, wall| {
                container.state = ContainerState::Exited { code: 1, at: wall };
            }),
            Happening::Kill(at) => self.with_container(at, |container, _| {
                container.state = ContainerState::Dead;
            }),
            Happening::Vanish(at) => {
                if let Some(id) = self.pick(at) {
                    self.bench.engine.containers.remove(&id);
                }
            }
            Happening::RestartDaemon => {
                self.bench.restart_daemon();
                self.under_way.clear();
                self.bench.reconcile();
            }
            Happening::Take => self.take(),
            Happening::Answer(at, answer) => self.answer(at, answer),
            Happening::Observe => self.bench.observe(),
            Happening::Trouble => self.bench.trouble(),
            Happening::Pass(millis) => self.bench.skip(Duration::from_millis(millis)),
        }
    }

    fn leave(&mut self, number: u32, winner_ready: bool) {
        let instance = self.wanted(number).instance;
        self.bench
            .goals
            .wanted
            .retain(|wanted| wanted.instance != instance);
        let departure = Departure::Handover { winner_ready };
        self.bench.goals.leaving.push(Leaving {
            instance,
            departure,
        });
        self.bench.reconcile();
    }

    fn pick(&self, at: usize) -> Option<ContainerId> {
        let ours: Vec<&Container> = self
            .bench
            .engine
            .containers
            .values()
            .filter(|container| container.id != self.foreign.id)
            .collect();
        Some(ours.get(at.checked_rem(ours.len())?)?.id.clone())
    }

    fn with_container(
        &mut self,
        at: usize,
        change: impl FnOnce(&mut Container, crate::time::WallTime),
    ) {
        let wall = self.bench.now().wall;
        if let Some(id) = self.pick(at) {
            change(self.bench.engine.containers.get_mut(&id).unwrap(), wall);
        }
    }

    fn take(&mut self) {
        let Some((id, action)) = self.bench.next_action() else {
            return;
        };
        self.check(&action);
        self.under_way.push((id, action));
        let subjects: Vec<String> = self
            .under_way
            .iter()
            .filter_map(|(_, action)| self.subject(action))
            .collect();
        let distinct: BTreeSet<&String> = subjects.iter().collect();
        assert_eq!(
            distinct.len(),
            subjects.len(),
            "two actions for one container: {:?}",
            self.under_way
        );
    }

    /// The container that it is about, by its name; stop-first there is one of each instance at a time.
    fn subject(&self, action: &Action) -> Option<String> {
        let (name, instance) = match action {
            Action::Run(spec) => (&spec.name, &spec.labels.instance),
            Action::Start { container }
            | Action::Stop { container, .. }
            | Action::Rename { container, .. }
            | Action::Remove { container } => {
                let found = self.bench.engine.containers.get(container)?;
                (&found.name, &found.owner.instance)
            }
            Action::Fetch { .. }
            | Action::RemoveVolume { .. }
            | Action::Move(_)
            | Action::Probe { .. }
            | Action::Check { .. }
            | Action::LastLines { .. }
            | Action::Hook { .. }
            | Action::Command { .. } => return None,
        };
        Some(match self.order {
            Order::StopFirst => instance.to_string(),
            Order::StartFirst => name.clone(),
        })
    }

    /// No action touches what is not ours, or stops what is right.
    fn check(&self, action: &Action) {
        let (Action::Start { container }
        | Action::Stop { container, .. }
        | Action::Remove { container }) = action
        else {
            return;
        };
        assert_ne!(*container, self.foreign.id, "not ours to touch");
        let Some(found) = self.bench.engine.containers.get(container) else {
            return;
        };
        let stops = !matches!(action, Action::Start { .. });
        let is_right = matches!(found.state, ContainerState::Running { .. })
            && self.bench.goals.wanted.iter().any(|wanted| {
                wanted.instance == found.owner.instance
                    && wanted.state == Lifecycle::Running
                    && wanted.generation == found.owner.generation
            });
        assert!(!(stops && is_right), "{action:?} stops what is right");
    }

    fn answer(&mut self, at: usize, answer: Answer) {
        let Some(at) = at.checked_rem(self.under_way.len()) else {
            return;
        };
        let (id, action) = self.under_way.remove(at);
        let outcome = self.outcome(&action, answer);
        self.bench.done(id, outcome);
    }

    fn outcome(&mut self, action: &Action, answer: Answer) -> Outcome {
        let wall = self.bench.now().wall;
        match answer {
            Answer::Done => self.bench.engine.carry_out(action, wall),
            Answer::DoneAndLost => {
                let _ = self.bench.engine.carry_out(action, wall);
                Err(Bench::unreachable())
            }
            Answer::NotDoneAndLost => Err(Bench::unreachable()),
            Answer::Refused => Err(Failure::Refused {
                problem: "not today".to_owned(),
            }),
        }
    }

    /// Faults stop, and time goes by.
    fn calm_down(&mut self) {
        while !self.under_way.is_empty() {
            self.answer(0, Answer::Done);
        }
        self.want_all();
        for _ in 0..8 {
            self.bench.observe();
            self.bench.seconds(30);
        }
    }

    /// Exactly what is wanted is there.
    fn check_rest(&mut self) {
        let stopped = self.lifecycle == Lifecycle::Stopped;
        let mut there = BTreeSet::new();
        for container in self.bench.engine.containers.values() {
            if container.id == self.foreign.id {
                assert_eq!(*container, self.foreign);
                continue;
            }
            let instance = &container.owner.instance;
            assert!(
                there.insert(instance.number),
                "two containers of {instance}"
            );
            let runs = matches!(container.state, ContainerState::Running { .. });
            assert_eq!(runs, !stopped, "{container:?}");
            assert!(stopped || container.owner.generation == self.generation);
        }
        if !stopped {
            let wanted: BTreeSet<u32> = (1..=self.instances).collect();
            assert_eq!(there, wanted);
        }
        self.bench.did();
        self.bench.reconcile();
        self.bench.observe();
        self.bench.seconds(120);
        assert_eq!(self.bench.did(), "", "there is nothing left to do");
    }
}

proptest! {
    #[test]
    fn whatever_happens_what_is_right_stays_and_what_is_wanted_comes(
        happenings in prop::collection::vec(happening(), 0..80),
        order in prop_oneof![Just(Order::StopFirst), Just(Order::StartFirst)],
    ) {
        let mut story = Story::new(order);
        story.want_all();
        for happening in happenings {
            story.happen(happening);
        }
        story.calm_down();
        story.check_rest();
    }
}
