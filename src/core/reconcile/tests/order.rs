//! Services of a stack start and are updated in the order of their links.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::asked::{A, B, member, record, report};
use super::bench::{Bench, healthy, hold, id, wanted};
use crate::id::{NodeId, ServiceKey};
use crate::placement::place;
use crate::reconcile::{Awaited, Holder, Tie, Wanted, goals};
use crate::report::{Health, Hold, InstanceState};
use crate::stack::{Link, Service};
use crate::time::WallTime;
use crate::view::{Deployed, Freshness, Halt, HaltCause, ServiceRecord, Standing, TakenBack, View};

fn waiting(instance: &str, generation: u64, is_first: bool, is_held: bool) -> Wanted {
    Wanted {
        awaited: Some(Awaited {
            service: "db".parse().unwrap(),
            tie: Tie::Link,
            is_held,
            is_first,
        }),
        ..wanted(instance, generation)
    }
}

#[test]
fn the_first_instance_waits_with_its_image_until_the_linked_service_is_healthy() {
    let mut bench = Bench::with([waiting("web-1", 1, true, false)]);
    bench.seconds(60);
    assert_eq!(bench.did(), "fetch web:1");
    assert_eq!(bench.state("web-1"), "pending unknown");
    assert_eq!(bench.problem("web-1"), "waits for `db`, which it links to");
    bench.want([wanted("web-1", 1)]);
    bench.settle();
    assert_eq!(bench.did(), "run web-1 g1");
    // What it links to may fail later.
    bench.want([waiting("web-1", 1, true, false)]);
    bench.crash("web-1");
    bench.seconds(60);
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn nobody_waits_for_a_linked_service_for_longer_than_ten_minutes() {
    let mut bench = Bench::with([waiting("web-1", 1, true, false)]);
    bench.seconds(599);
    assert_eq!(bench.did(), "fetch web:1");
    bench.seconds(1);
    assert_eq!(bench.did(), "run web-1 g1");
}

#[test]
fn what_was_never_deployed_before_begins_after_ten_minutes_though_the_linked_deploy_was_halted() {
    let mut bench = Bench::with([waiting("web-1", 1, true, true)]);
    bench.seconds(599);
    assert_eq!(bench.did(), "fetch web:1");
    bench.seconds(1);
    assert_eq!(bench.did(), "run web-1 g1");
}

#[test]
fn an_update_waits_for_the_linked_service_and_what_has_lost_its_container_does_not() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.did();
    let update = Wanted {
        peers: vec![healthy(1, false)],
        ..waiting("web-1", 2, false, true)
    };
    bench.want([update.clone()]);
    bench.seconds(3600);
    assert_eq!(bench.did(), "fetch web:1");
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(
        bench.problem("web-1"),
        "waits because the deploy of `db`, which it links to, does not go on"
    );
    let container = bench.container("web-1").id.clone();
    bench.engine.containers.remove(&container);
    bench.observe();
    bench.want([update]);
    bench.settle();
    assert_eq!(bench.did(), "run web-1 g2");
}

/// Two nodes, and `web` that links to `db`, both deployed by one change. `me` is the one that is to have `web-1`.
struct Scene {
    view: View,
    me: NodeId,
}

fn key(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

fn linking() -> ServiceRecord {
    let mut web = Service::new("web:1");
    web.links = vec!["db".parse::<Link>().unwrap()];
    record(web, 1)
}

impl Scene {
    fn new() -> Self {
        let mut view = View::default();
        let documents = Arc::make_mut(&mut view.documents);
        documents.grid.placement_version = 1;
        documents.roster = BTreeMap::from([(A, member("a", 1)), (B, member("b", 2))]);
        documents.services = BTreeMap::from([
            (key("db"), record(Service::new("db:1"), 1)),
            (key("web"), linking()),
        ]);
        let mut scene = Self { view, me: A };
        for node in [A, B] {
            scene.report(node, &[]);
            let standing = Standing {
                freshness: Freshness::Fresh,
                since: WallTime(0),
            };
            scene.view.standings.insert(node, standing);
        }
        let placed = place(&scene.view);
        scene.me = placed.get(&id("web-1")).unwrap().holder.unwrap();
        scene
    }

    fn report(&mut self, node: NodeId, holds: &[(&str, Hold)]) {
        let holds = holds.iter().map(|(name, hold)| (id(name), hold.clone()));
        self.view
            .reports
            .insert(node, report(node, holds.collect()));
    }

    fn service(&mut self, name: &str) -> &mut ServiceRecord {
        let documents = Arc::make_mut(&mut self.view.documents);
        documents.services.get_mut(&key(name)).unwrap()
    }

    fn deployed(&mut self, name: &str) -> &mut Deployed {
        self.service(name).deployed.as_mut().unwrap()
    }

    /// `db-1` is with the node that is to have it.
    fn db_is(&mut self, state: InstanceState, health: Health) {
        let at = hold_of(self.deployed("db"), state, health);
        let node = place(&self.view).get(&id("db-1")).unwrap().holder.unwrap();
        self.report(node, &[("db-1", at)]);
    }

    fn awaited(&self) -> Option<String> {
        let placed = place(&self.view);
        let me = placed.get(&id("web-1")).unwrap().holder.unwrap();
        let holder = Holder {
            node: me,
            holds: &self.view.reports[&me].holds,
            is_up_to_date: true,
            ledgers: &BTreeMap::new(),
            arrivals: &BTreeMap::new(),
        };
        let goals = goals(&self.view, &placed, holder, None);
        let mut wanted = goals.wanted.into_iter();
        let web = wanted
            .find(|wanted| wanted.instance == id("web-1"))
            .unwrap();
        web.awaited.map(|awaited| awaited.to_string())
    }
}

fn hold_of(deployed: &Deployed, state: InstanceState, health: Health) -> Hold {
    Hold {
        revision: deployed.revision.hash,
        generation: deployed.generation,
        health,
        container: Some("c1".to_owned()),
        ..hold(1, state)
    }
}

const WAITS: Option<&str> = Some("waits for `db`, which it links to");
const HELD: Option<&str> =
    Some("waits because the deploy of `db`, which it links to, does not go on");

#[test]
fn a_service_waits_until_what_it_links_to_is_healthy() {
    let mut scene = Scene::new();
    assert_eq!(scene.awaited().as_deref(), WAITS);
    scene.db_is(InstanceState::Creating, Health::Unknown);
    assert_eq!(scene.awaited().as_deref(), WAITS);
    scene.db_is(InstanceState::Running, Health::Healthy);
    assert_eq!(scene.awaited(), None);
}

#[test]
fn once_an_instance_has_begun_nobody_waits() {
    let mut scene = Scene::new();
    let me = scene.me;
    let web = hold_of(
        scene.deployed("web"),
        InstanceState::Running,
        Health::Unhealthy,
    );
    scene.report(me, &[("web-1", web)]);
    assert_eq!(scene.awaited(), None);
}

#[test]
fn what_was_deployed_later_by_itself_waits_for_nobody() {
    let mut scene = Scene::new();
    scene.deployed("web").generation += 1;
    assert_eq!(scene.awaited(), None);
    scene.deployed("db").generation += 2;
    assert_eq!(
        scene.awaited(),
        None,
        "that none of it runs may have another reason"
    );
    let previous = scene.deployed("web").revision.clone();
    scene.deployed("web").previous = Some(previous);
    assert_eq!(scene.awaited().as_deref(), WAITS);
    scene.service("db").deployed = None;
    assert_eq!(scene.awaited(), None, "nobody deployed it");
}

#[test]
fn an_update_waits_without_a_limit_for_one_that_is_halted() {
    let mut scene = Scene::new();
    let previous = scene.deployed("web").revision.clone();
    scene.deployed("web").previous = Some(previous);
    scene.deployed("db").halt = Some(Halt {
        cause: HaltCause::Aborted,
        by: A,
        at: WallTime(0),
    });
    assert_eq!(scene.awaited().as_deref(), HELD);
}

#[test]
fn who_goes_back_waits_for_nobody() {
    let mut scene = Scene::new();
    for service in ["db", "web"] {
        let taken_back = TakenBack {
            generation: 1,
            revision: scene.deployed(service).revision.clone(),
            halt: Halt {
                cause: HaltCause::Aborted,
                by: A,
                at: WallTime(0),
            },
        };
        let deployed = scene.deployed(service);
        deployed.generation = 2;
        deployed.takes_back = Some(taken_back);
    }
    assert_eq!(scene.awaited(), None);
}

#[test]
fn an_instance_that_is_down_waits_for_nobody() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    let id = bench.container("web-1").id.clone();
    let now = bench.now().wall;
    bench.engine.exit(&id, 1, now);
    bench.did();
    let update = Wanted {
        peers: vec![healthy(1, false)],
        ..waiting("web-1", 2, false, true)
    };
    bench.want([update]);
    bench.observe();
    bench.seconds(60);
    assert_eq!(bench.hold("web-1").generation, 2);
}

#[test]
fn what_is_right_already_waits_for_nothing() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.want([waiting("web-1", 1, false, true)]);
    bench.seconds(60);
    assert_eq!(bench.hold("web-1").problem, None);
}

#[test]
fn the_ten_minutes_begin_once_the_linked_deploy_goes_on() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    let update = |is_held| Wanted {
        peers: vec![healthy(1, false)],
        ..waiting("web-1", 2, false, is_held)
    };
    bench.want([update(true)]);
    bench.seconds(3600);
    bench.want([update(false)]);
    bench.seconds(599);
    assert_eq!(bench.hold("web-1").generation, 1);
    bench.seconds(5);
    assert_eq!(bench.hold("web-1").generation, 2);
}
