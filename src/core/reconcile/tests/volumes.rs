//! Copies of volumes, and what is bound to a node before it has made anything of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::EnvelopeHash;
use crate::reconcile::Wanted;
use crate::reconcile::action::{Action, ActionId, ContainerState, Failure, Outcome, Success};
use crate::stack::Service;
use crate::time::WallTime;
use crate::volume::{Copy, Definition, Scope, Volume};

use super::bench::{Bench, id, of_service};

pub(super) fn volume(scope: Scope, creation: u8) -> Arc<Volume> {
    Arc::new(Volume {
        definition: Definition::local(scope),
        creation: EnvelopeHash([creation; 32]),
        created: WallTime(1),
        removed: false,
    })
}

fn copy(creation: u8) -> Copy {
    Copy::Volume {
        volume: "data".parse().unwrap(),
        creation: EnvelopeHash([creation; 32]),
    }
}

/// An instance that mounts `data`, bound to the node.
fn database() -> Wanted {
    let mut service = Service::new("db:1");
    service.stateful = true;
    service.volumes = vec!["data:/data".parse().unwrap()];
    let mut wanted = of_service("db-1", 1, 1, service);
    wanted.fixed = true;
    let data = "data".parse().unwrap();
    wanted.volumes.insert(data, volume(Scope::Instance, 5));
    wanted
}

impl Bench {
    fn bind(&mut self) {
        self.goals.bound = [(id("db-1"), 1)].into();
        self.observe();
        self.want([database()]);
    }

    /// Up to the action that makes its container, which is under way.
    fn begin_to_run(&mut self) -> (ActionId, Action) {
        self.bind();
        let (fetch, _) = self.next_action().unwrap();
        let pinned = "sha256:db:1".to_owned();
        self.done(fetch, Ok(Success::Image { pinned }));
        self.next_action().unwrap()
    }

    /// Of the volume that this creation made.
    fn removed(&mut self, creation: u8) {
        let creations = [EnvelopeHash([creation; 32])].into();
        let name = "data".parse().unwrap();
        self.goals.removed_volumes = BTreeMap::from([(name, creations)]);
        self.reconcile();
    }

    fn volumes(&self) -> Vec<&str> {
        let volumes = self.instances.volumes().keys();
        volumes.map(String::as_str).collect()
    }
}

#[test]
fn what_a_container_mounts_is_told_once_it_is_made_and_kept_until_its_removal_is_ordered() {
    let mut bench = Bench::new();
    bench.bind();
    bench.settle();
    assert_eq!(bench.did(), "fetch db:1, run db-1 g1");
    assert_eq!(bench.volumes(), ["db.data-1"]);
    assert!(bench.instances.has_made(&id("db-1")));
    bench.restart_daemon();
    assert_eq!(bench.volumes(), ["db.data-1"], "before the engine is asked");
    bench.bind();
    bench.observe_volumes();
    bench.goals.bound.clear();
    bench.want([]);
    bench.settle();
    assert_eq!(bench.volumes(), ["db.data-1"], "its service is gone");
    bench.did();
    bench.removed(4);
    bench.settle();
    assert_eq!(bench.did(), "", "another one of the name was removed");
    bench.removed(5);
    bench.settle();
    assert_eq!(bench.did(), "remove volume db.data-1");
    assert!(bench.volumes().is_empty() && bench.engine.volumes.is_empty());
}

#[test]
fn a_volume_that_a_container_has_is_tried_again_later() {
    let mut bench = Bench::new();
    bench.engine.volumes.insert("db.data-1".to_owned(), copy(5));
    bench.observe();
    bench.observe_volumes();
    bench.want([]);
    bench.removed(5);
    let in_use: Outcome = Err(Failure::Refused {
        problem: "volume is in use".to_owned(),
    });
    bench.answer(in_use);
    assert!(bench.next_action().is_none(), "not at once");
    bench.seconds(60);
    assert!(bench.engine.volumes.is_empty());
}

#[test]
fn nothing_is_made_of_what_mounts_a_volume_that_is_not_known_here() {
    let mut bench = Bench::new();
    bench.goals.bound = [(id("db-1"), 1)].into();
    bench.observe();
    let mut wanted = database();
    let known = std::mem::take(&mut wanted.volumes);
    bench.want([wanted.clone()]);
    bench.seconds(30);
    assert_eq!(bench.did(), "fetch db:1");
    let problem = bench.hold("db-1").problem.as_deref();
    assert_eq!(problem, Some("the volume `data` is not known on this node"));
    wanted.volumes = known;
    bench.want([wanted]);
    bench.settle();
    assert_eq!(bench.did(), "run db-1 g1");
}

#[test]
fn what_was_never_made_here_is_refused_and_let_go_and_nothing_of_it_is_begun_from_then_on() {
    let mut bench = Bench::new();
    bench.engine.is_full = true;
    bench.bind();
    bench.seconds(60);
    assert!(
        !bench.instances.can_let_go(&id("db-1")),
        "who knows what volumes there are"
    );
    bench.observe_volumes();
    let refused = bench.instances.refusals();
    assert_eq!(refused[&id("db-1")], "no space left on device");
    assert!(!bench.instances.has_made(&id("db-1")));
    assert!(bench.instances.can_let_go(&id("db-1")));
    let now = bench.now();
    bench.instances.let_go(&id("db-1"), now);
    bench.engine.is_full = false;
    bench.did();
    bench.seconds(900);
    assert!(!bench.did().contains("run"), "it is to be bound elsewhere");
    let now = bench.now();
    bench.instances.take_back(&id("db-1"), now);
    bench.settle();
    assert!(bench.instances.has_made(&id("db-1")));
}

#[test]
fn what_was_made_here_is_never_let_go_whatever_becomes_of_its_container() {
    let mut bench = Bench::new();
    bench.bind();
    bench.settle();
    bench.engine.containers.clear();
    bench.engine.missing_images.insert("db:1".to_owned());
    bench.engine.missing_images.insert("sha256:db:1".to_owned());
    bench.observe();
    bench.seconds(300);
    assert!(bench.instances.refusals().is_empty());
    assert!(!bench.instances.can_let_go(&id("db-1")));
    bench.restart_daemon();
    bench.bind();
    assert!(bench.instances.has_made(&id("db-1")), "over a restart, too");
    // A copy that somebody else left is data as well.
    let mut bench = Bench::new();
    bench.engine.is_full = true;
    bench.engine.volumes.insert("db.data-1".to_owned(), copy(9));
    bench.observe_volumes();
    bench.bind();
    assert!(bench.instances.has_made(&id("db-1")));
}

#[test]
fn a_container_that_was_listed_between_its_making_and_its_refused_start_left_nothing() {
    let mut bench = Bench::new();
    let (run, action) = bench.begin_to_run();
    bench.engine.carry_out(&action, WallTime(0)).unwrap();
    let created = bench.engine.containers.values_mut();
    created.for_each(|container| container.state = ContainerState::Created);
    bench.observe();
    bench.engine.containers.clear();
    bench.engine.volumes.clear();
    bench.done(run, Err(Failure::PortTaken { port: 8099 }));
    bench.observe();
    bench.observe_volumes();
    assert!(bench.instances.can_let_go(&id("db-1")));
}

#[test]
fn an_action_whose_end_is_not_known_keeps_what_is_under_way() {
    let mut bench = Bench::new();
    let (_, action) = bench.begin_to_run();
    assert!(matches!(action, Action::Run(_)));
    assert!(!bench.instances.can_let_go(&id("db-1")));
}
