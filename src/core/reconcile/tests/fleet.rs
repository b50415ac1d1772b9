//! Several owners of one service, who see each other's reports late.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use crate::id::InstanceId;
use crate::reconcile::action::{Action, ActionId, Container, ContainerState};
use crate::reconcile::rollout::{MAX_PARALLEL, Peer, floor};
use crate::reconcile::{Goals, Instances, Remembered, Wanted};
use crate::report::{Health, Hold, InstanceState};
use crate::stack::{Order, Service};
use crate::time::{Instant, Now, WallTime};
use crate::view::Freshness;

use super::bench::{id, identity, of_service};
use super::engine::Engine;

/// One step of the simulation.
const STEP_MILLIS: u64 = 50;

struct Owner {
    number: u32,
    instances: Instances,
    engine: Engine,
    under_way: Vec<(u64, ActionId, Action)>,
}

/// One owner for each instance of a service, and a board where reports appear late.
struct Fleet {
    millis: u64,
    owners: Vec<Owner>,
    /// (author, what it said at that time), oldest first.
    board: VecDeque<(u64, u32, Hold)>,
    /// What each owner has heard of each other.
    heard: BTreeMap<(u32, u32), Hold>,
    delays: Delays,
    service: Service,
    generation: u64,
}

#[derive(Clone, Debug)]
struct Delays {
    /// From the author to every reader, in milliseconds, by (author + reader).
    report: Vec<u64>,
    action: u64,
}

impl Fleet {
    fn new(n: u32, service: Service, delays: Delays) -> Self {
        let owner = |number| Owner {
            number,
            instances: Instances::new(identity(), Remembered::default()),
            engine: Engine::default(),
            under_way: Vec::new(),
        };
        let mut fleet = Self {
            millis: 0,
            owners: (1..=n).map(owner).collect(),
            board: VecDeque::new(),
            heard: BTreeMap::new(),
            delays,
            service,
            generation: 1,
        };
        fleet.run(Duration::from_secs(5), |_| {});
        fleet
    }

    fn n(&self) -> u32 {
        u32::try_from(self.owners.len()).unwrap()
    }

    /// Truly healthy: its container runs, of whatever deploy.
    fn healthy(&self) -> u32 {
        let healthy = self.owners.iter().filter(|owner| {
            let hold = owner.instances.holds().get(&instance(owner.number));
            let up = owner.engine.containers.values().any(is_up);
            up && hold.is_some_and(|hold| hold.health == Health::Healthy)
        });
        u32::try_from(healthy.count()).unwrap()
    }

    fn is_done(&self) -> bool {
        self.healthy() == self.n() && self.generations().iter().all(|g| *g == self.generation)
    }

    fn generations(&self) -> Vec<u64> {
        self.owners
            .iter()
            .flat_map(|owner| owner.engine.containers.values())
            .map(|container| container.owner.generation)
            .collect()
    }

    /// `check` is asked after each step.
    fn run(&mut self, time: Duration, mut check: impl FnMut(&Self)) {
        let end = self.millis + u64::try_from(time.as_millis()).unwrap();
        while self.millis < end {
            self.millis += STEP_MILLIS;
            self.deliver();
            for at in 0..self.owners.len() {
                self.turn(at);
            }
            check(self);
        }
    }

    /// Deploys `web:2`, for two minutes at most.
    fn roll_out(&mut self, mut check: impl FnMut(&Self)) {
        self.service.image = "web:2".to_owned();
        self.generation = 2;
        while !self.is_done() && self.millis < 120_000 {
            self.run(Duration::from_secs(1), &mut check);
        }
    }

    /// How many containers are being made.
    fn being_made(&self) -> u32 {
        let under_way = self.owners.iter().flat_map(|owner| &owner.under_way);
        let made = under_way.filter(|(_, _, action)| matches!(action, Action::Run(_)));
        u32::try_from(made.count()).unwrap()
    }

    fn now(&self) -> Now {
        Now {
            monotonic: Instant::from_millis(self.millis),
            wall: WallTime(self.millis),
        }
    }

    fn deliver(&mut self) {
        for reader in 1..=self.n() {
            for (at, author, hold) in &self.board {
                let slot = usize::try_from(author + reader).unwrap() % self.delays.report.len();
                if at + self.delays.report[slot] <= self.millis {
                    self.heard.insert((reader, *author), hold.clone());
                }
            }
        }
        let oldest = self.millis.saturating_sub(2_000);
        self.board.retain(|(at, _, _)| *at >= oldest);
    }

    fn turn(&mut self, at: usize) {
        let now = self.now();
        let goals = Goals {
            wanted: vec![self.wanted(self.owners[at].number)],
            ..Goals::default()
        };
        let owner = &mut self.owners[at];
        let before = owner.instances.version();
        if now.wall.0.is_multiple_of(1_000) {
            owner.instances.observe(owner.engine.list(), now);
        }
        owner.instances.reconcile(goals, now);
        let (due, rest) = owner
            .under_way
            .drain(..)
            .partition(|(at, _, _)| *at <= now.wall.0);
        owner.under_way = rest;
        let due: Vec<(u64, ActionId, Action)> = due;
        for (_, id, action) in due {
            let outcome = owner.engine.carry_out(&action, now.wall);
            owner.instances.done(id, outcome, now);
        }
        while let Some((id, action)) = owner.instances.poll_action() {
            let done_at = now.wall.0 + self.delays.action;
            owner.under_way.push((done_at, id, action));
        }
        let said = owner
            .instances
            .holds()
            .get(&instance(owner.number))
            .cloned();
        if let (Some(hold), true) = (said, owner.instances.version() != before) {
            self.board.push_back((now.wall.0, owner.number, hold));
        }
    }

    fn wanted(&self, number: u32) -> Wanted {
        let text = instance(number).to_string();
        let wanted = of_service(&text, self.generation, self.n(), self.service.clone());
        let peer = |peer: &Peer| match self.heard.get(&(number, peer.number)) {
            Some(hold) => Peer::of(peer.number, Freshness::Fresh, hold, wanted.aim()),
            None => Peer::vacant(peer.number),
        };
        let peers = wanted.peers.iter().map(peer).collect();
        Wanted { peers, ..wanted }
    }
}

fn is_up(container: &Container) -> bool {
    matches!(container.state, ContainerState::Running { .. })
}

fn instance(number: u32) -> InstanceId {
    id(&format!("shop/web-{number}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_rollout_never_goes_below_the_floor_and_ends(
        n in 1_u32..8,
        min_health in prop_oneof![Just(0_u16), Just(500), Just(800), Just(1000)],
        report in prop::collection::vec(0_u64..450, 1..6),
        action in 0_u64..1500,
    ) {
        let mut service = Service::new("web:1");
        service.deploy.min_health = min_health;
        let mut fleet = Fleet::new(n, service, Delays { report, action });
        prop_assert_eq!(fleet.healthy(), n);
        let mut least = n;
        fleet.roll_out(|fleet| least = least.min(fleet.healthy()));
        let floor = floor(min_health, n);
        prop_assert!(least >= floor, "{} were healthy, the floor is {}", least, floor);
        prop_assert_eq!(fleet.generations(), vec![2; n as usize]);
        prop_assert_eq!(fleet.healthy(), n);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn owners_who_see_each_other_late_do_not_both_go_where_one_is_down_already(
        n in 2_u32..8,
        min_health in prop_oneof![Just(300_u16), Just(500), Just(800)],
        broken in 0_usize..8,
        report in prop::collection::vec(0_u64..450, 1..6),
        action in 0_u64..1500,
    ) {
        let mut service = Service::new("web:1");
        service.deploy.min_health = min_health;
        let mut fleet = Fleet::new(n, service, Delays { report, action });
        let broken = broken % fleet.owners.len();
        let engine = &mut fleet.owners[broken].engine;
        engine.containers.clear();
        engine.missing_images = ["web:1", "web:2", "sha256:web:1"].map(str::to_owned).into();
        fleet.run(Duration::from_secs(2), |_| {});
        prop_assert_eq!(fleet.healthy(), n - 1);
        fleet.service.image = "web:2".to_owned();
        fleet.generation = 2;
        let mut least = n;
        fleet.run(Duration::from_secs(15), |fleet| least = least.min(fleet.healthy()));
        let floor = floor(min_health, n);
        prop_assert!(least >= floor, "{} were healthy, the floor is {}", least, floor);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_rollout_that_starts_first_takes_nobody_down_and_ends(
        n in 1_u32..8,
        min_health in prop_oneof![Just(0_u16), Just(500), Just(800), Just(1000)],
        report in prop::collection::vec(0_u64..450, 1..6),
        action in 100_u64..1500,
    ) {
        let mut service = Service::new("web:1");
        service.deploy.min_health = min_health;
        service.deploy.order = Order::StartFirst;
        let mut fleet = Fleet::new(n, service, Delays { report, action });
        let (mut least, mut most) = (n, 0);
        fleet.roll_out(|fleet| {
            least = least.min(fleet.healthy());
            most = most.max(fleet.being_made());
        });
        prop_assert_eq!(least, n);
        let allowance = (n - floor(min_health, n)).clamp(1, MAX_PARALLEL);
        prop_assert!((1..=allowance).contains(&most), "{} at once, {} are allowed", most, allowance);
        prop_assert_eq!(fleet.generations(), vec![2; n as usize]);
    }
}

#[test]
fn a_deploy_that_never_gets_healthy_takes_one_instance_down_and_a_repaired_one_goes_on() {
    let report = vec![100, 300];
    let delays = Delays {
        report,
        action: 200,
    };
    let mut fleet = Fleet::new(5, Service::new("web:1"), delays);
    fleet.service.deploy.wait_for_port = Some(80);
    fleet.generation = 2;
    for owner in &mut fleet.owners {
        owner.engine.deaf = true;
    }
    fleet.run(Duration::from_secs(400), |fleet| {
        assert!(fleet.healthy() >= 4);
    });
    assert_eq!(fleet.generations(), [2, 1, 1, 1, 1]);
    let second = &fleet.owners[1].instances.holds()[&instance(2)];
    assert_eq!(second.state, InstanceState::Running);
    assert_eq!(
        second.problem.as_deref(),
        Some("the deploy is halted: instance 1 failed")
    );
    fleet.service.deploy.wait_for_port = None;
    fleet.generation = 3;
    fleet.run(Duration::from_secs(30), |fleet| {
        assert!(fleet.healthy() >= 4);
    });
    assert_eq!(fleet.generations(), [3; 5]);
}

#[test]
fn a_deploy_whose_image_is_missing_takes_nothing_down_and_the_next_goes_on() {
    let report = vec![100];
    let mut fleet = Fleet::new(3, Service::new("web:1"), Delays { report, action: 0 });
    for owner in &mut fleet.owners {
        owner.engine.missing_images.insert("web:2".to_owned());
    }
    fleet.service.image = "web:2".to_owned();
    fleet.generation = 2;
    fleet.run(Duration::from_secs(120), |fleet| {
        assert_eq!(fleet.healthy(), 3);
    });
    fleet.service.image = "web:3".to_owned();
    fleet.generation = 3;
    fleet.run(Duration::from_secs(60), |fleet| {
        assert!(fleet.healthy() >= 2);
    });
    assert_eq!(fleet.generations(), [3, 3, 3]);
}

#[test]
fn a_deploy_repairs_the_broken_instance_where_the_floor_leaves_no_room() {
    let report = vec![100];
    let mut fleet = Fleet::new(5, Service::new("web:1"), Delays { report, action: 0 });
    // The third is down for good: its container cannot be started, and nobody else may go.
    let third = &mut fleet.owners[2].engine;
    third.containers.clear();
    third.missing_images.insert("web:1".to_owned());
    third.missing_images.insert("sha256:web:1".to_owned());
    fleet.run(Duration::from_secs(40), |_| {});
    assert_eq!(fleet.healthy(), 4);
    fleet.service.image = "web:2".to_owned();
    fleet.generation = 2;
    fleet.run(Duration::from_secs(40), |fleet| {
        assert!(fleet.healthy() >= 4);
    });
    assert_eq!(fleet.generations(), [2; 5]);
}
