//! Starting, adopting, failing to start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use expect_test::expect;

use crate::id::{EnvelopeHash, NodeId};
use crate::reconcile::action::{Attachment, ContainerId, Failure, Success};
use crate::reconcile::{Instances, Rival, Wanted};
use crate::report::{EngineState, InstanceState};
use crate::stack::{FrozenImage, Port, Protocol, Service, Volume, VolumeSource};
use crate::time::{Instant, WallTime};
use crate::view::Lifecycle;
use crate::volume::Scope;

use super::bench::{Bench, hold, id, identity, of_service, remembered, wanted};

fn with_port(node_port: u16) -> Service {
    let mut service = Service::new("web:1");
    service.ports.push(Port {
        ip: [0, 0, 0, 0].into(),
        node_port,
        container_port: 80,
        protocol: Protocol::Tcp,
    });
    service
}

fn waiting_for_port() -> Service {
    let mut service = Service::new("web:1");
    service.deploy.wait_for_port = Some(80);
    service
}

#[test]
fn an_instance_is_fetched_run_and_healthy() {
    let mut bench = Bench::with([wanted("shop/web-1", 1)]);
    assert_eq!(bench.state("shop/web-1"), "pending unknown");
    bench.settle();
    assert_eq!(bench.did(), "fetch web:1, run shop.web-1 g1");
    assert_eq!(bench.state("shop/web-1"), "running healthy");
    assert_eq!(bench.hold("shop/web-1").epoch, 1);
}

#[test]
fn the_epoch_is_above_all_that_were_seen() {
    let mut taken = wanted("web-1", 1);
    taken.epoch_seen = 4;
    let bench = Bench::with([taken]);
    assert_eq!(bench.hold("web-1").epoch, 5);
}

#[test]
fn nothing_is_done_before_the_engine_has_listed_its_containers() {
    let mut bench = Bench::new();
    bench.want([wanted("web-1", 1)]);
    bench.seconds(30);
    assert_eq!(bench.did(), "");
    assert_eq!(bench.state("web-1"), "-");
    bench.observe();
    bench.settle();
    assert_eq!(bench.did(), "fetch web:1, run web-1 g1");
}

#[test]
fn nothing_is_done_before_it_is_known_what_is_wanted() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.restart_daemon();
    bench.observe();
    bench.seconds(60);
    bench.did();
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(bench.running().len(), 1);
    assert_eq!(bench.did(), "");
}

#[test]
fn a_daemon_that_starts_says_what_it_held_but_not_that_it_is_healthy_until_it_has_looked() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    let before = bench.instances.holds().clone();
    bench.restart_daemon();
    bench.reconcile();
    assert_eq!(bench.state("web-1"), "running unknown");
    assert_eq!(
        bench.hold("web-1").epoch,
        before.values().next().unwrap().epoch
    );
    bench.observe();
    bench.settle();
    assert_eq!(*bench.instances.holds(), before);
}

#[test]
fn what_was_held_and_is_gone_starts_again_under_its_epoch() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    let epoch = bench.hold("web-1").epoch;
    bench.restart_daemon();
    bench.engine.containers.clear();
    bench.observe();
    let mut again = wanted("web-1", 1);
    again.epoch_seen = epoch;
    bench.want([again]);
    bench.settle();
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(bench.hold("web-1").epoch, epoch);
}

#[test]
fn looking_twice_changes_nothing() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    let version = bench.instances.version();
    bench.did();
    bench.reconcile();
    bench.observe();
    bench.seconds(120);
    assert_eq!(bench.did(), "");
    assert_eq!(bench.instances.version(), version);
}

#[test]
fn an_image_that_is_missing_is_asked_for_ever_more_slowly_and_then_refused() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.engine.missing_images.insert("web:1".to_owned());
    bench.settle();
    assert_eq!(bench.state("web-1"), "pending unknown");
    assert_eq!(
        bench.problem("web-1"),
        "image `web:1` cannot be fetched: not found"
    );
    assert!(bench.instances.refusals().is_empty());
    bench.seconds(3);
    assert_eq!(bench.did().matches("fetch").count(), 3);
    assert_eq!(bench.state("web-1"), "failed unknown");
    assert!(bench.instances.refusals().contains_key(&id("web-1")));

    bench.seconds(3600);
    let tries = bench.did().matches("fetch").count();
    assert!(
        (55..70).contains(&tries),
        "about once a minute, not {tries}"
    );
    bench.engine.missing_images.clear();
    bench.seconds(60);
    assert_eq!(bench.state("web-1"), "running healthy");
    assert!(bench.instances.refusals().is_empty());
}

#[test]
fn an_instance_that_can_only_run_here_is_never_refused() {
    let mut pinned = wanted("web-1", 1);
    pinned.fixed = true;
    let mut bench = Bench::with([pinned]);
    bench.engine.missing_images.insert("web:1".to_owned());
    bench.seconds(600);
    assert_eq!(bench.state("web-1"), "failed unknown");
    assert!(bench.instances.refusals().is_empty());
}

#[test]
fn a_refusal_is_forgotten_after_ten_minutes() {
    let mut bench = Bench::with([of_service("web-1", 1, 1, with_port(80))]);
    bench.engine.taken_ports.insert(80);
    bench.settle();
    assert_eq!(bench.problem("web-1"), "port 80 is taken on this node");
    bench.want([]);
    bench.settle();
    assert_eq!(bench.state("web-1"), "-");
    assert!(bench.instances.refusals().contains_key(&id("web-1")));
    bench.seconds(601);
    assert!(bench.instances.refusals().is_empty());
}

#[test]
fn a_taken_port_is_refused_at_once() {
    let mut bench = Bench::with([of_service("web-1", 1, 1, with_port(80))]);
    bench.engine.taken_ports.insert(80);
    bench.settle();
    assert_eq!(bench.state("web-1"), "failed unknown");
    assert_eq!(
        bench.instances.refusals()[&id("web-1")],
        "port 80 is taken on this node"
    );
}

#[test]
fn an_instance_is_healthy_with_the_first_good_probe() {
    let mut bench = Bench::with([of_service("web-1", 1, 1, waiting_for_port())]);
    bench.engine.deaf = true;
    bench.seconds(10);
    assert_eq!(bench.state("web-1"), "running unknown");
    assert_eq!(
        bench.problem("web-1"),
        "waits until port 80 accepts connections"
    );
    bench.engine.deaf = false;
    bench.seconds(1);
    assert_eq!(bench.state("web-1"), "running healthy");
    bench.did();
    bench.seconds(600);
    assert_eq!(bench.did(), "");
}

#[test]
fn a_port_that_never_opens_fails_the_instance_after_five_minutes() {
    let mut bench = Bench::with([of_service("web-1", 1, 1, waiting_for_port())]);
    bench.engine.deaf = true;
    bench.engine.written = vec!["no configuration".to_owned()];
    bench.seconds(299);
    assert_eq!(bench.state("web-1"), "running unknown");
    bench.seconds(3);
    assert_eq!(bench.state("web-1"), "failed unhealthy");
    let problem = bench.problem("web-1");
    assert!(problem.ends_with("\nno configuration"), "{problem}");
    bench.engine.deaf = false;
    bench.seconds(61);
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_wait_for_a_port_does_not_delay_a_stop() {
    let mut web = of_service("web-1", 1, 1, waiting_for_port());
    let mut bench = Bench::with([web.clone()]);
    bench.engine.deaf = true;
    bench.seconds(10);
    bench.did();
    web.state = Lifecycle::Stopped;
    bench.want([web]);
    bench.settle();
    assert_eq!(bench.did(), "stop web-1 g1");
}

#[test]
fn a_container_of_another_grid_is_in_the_way_and_left_alone() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    let mut foreign = bench.container("web-1").clone();
    foreign.owner.grid = "another".to_owned();
    bench.engine.containers = BTreeMap::from([(foreign.id.clone(), foreign.clone())]);
    bench.observe();
    bench.seconds(30);
    assert_eq!(bench.state("web-1"), "failed unknown");
    assert_eq!(
        bench.problem("web-1"),
        "a container named `web-1` that is not this grid's is in the way: remove or rename it"
    );
    bench.want([]);
    bench.seconds(600);
    assert_eq!(
        bench.engine.containers.into_values().collect::<Vec<_>>(),
        [foreign]
    );
}

#[test]
fn a_second_container_of_an_instance_is_removed() {
    let mut bench = Bench::with([wanted("web-1", 2)]);
    bench.settle();
    let mut second = bench.container("web-1").clone();
    second.id = ContainerId("f".repeat(64));
    second.name = "renamed".to_owned();
    second.owner.generation = 1;
    bench.engine.containers.insert(second.id.clone(), second);
    bench.observe();
    bench.did();
    bench.settle();
    assert_eq!(bench.did(), "stop renamed g1, remove renamed g1");
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_takeover_waits_while_this_node_suspects_itself() {
    let mut taken = wanted("web-1", 1);
    taken.takeover = true;
    let mut bench = Bench::new();
    bench.observe();
    bench.goals.hold_takeovers_until = Some(bench.now().monotonic + Duration::from_secs(10));
    bench.want([taken]);
    bench.seconds(9);
    assert_eq!(
        (bench.state("web-1").as_str(), bench.did().as_str()),
        ("-", "")
    );
    bench.seconds(3);
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_takeover_is_announced_for_a_round_before_it_starts() {
    let mut taken = wanted("web-1", 1);
    taken.takeover = true;
    let mut bench = Bench::with([taken]);
    bench.settle();
    assert_eq!(bench.did(), "fetch web:1");
    assert_eq!(bench.state("web-1"), "creating unknown");
    bench.seconds(1);
    assert_eq!(bench.did(), "run web-1 g1");
}

#[test]
fn an_instance_is_not_started_beside_a_better_holder() {
    let mut web = wanted("web-1", 1);
    web.rivals.push(Rival {
        node: NodeId([9; 32]),
        hold: hold(3, InstanceState::Pending),
        ranks_before_us: true,
    });
    let mut bench = Bench::with([web.clone()]);
    bench.seconds(60);
    assert_eq!(
        (bench.state("web-1").as_str(), bench.did().as_str()),
        ("-", "")
    );
    web.rivals.clear();
    bench.want([web]);
    bench.settle();
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_stateful_instance_waits_until_every_other_holder_let_go() {
    let mut service = Service::new("redis:7");
    service.stateful = true;
    let mut redis = of_service("redis-1", 1, 1, service);
    redis.rivals.push(Rival {
        node: NodeId([9; 32]),
        hold: hold(1, InstanceState::Stopping),
        ranks_before_us: false,
    });
    let mut bench = Bench::with([redis]);
    bench.seconds(60);
    assert_eq!(bench.did(), "");
}

#[test]
fn a_lost_answer_never_makes_a_second_container() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.answer(Ok(Success::Image {
        pinned: "sha256:a".to_owned(),
    }));
    let (id, action) = bench.next_action().unwrap();
    bench.engine.carry_out(&action, WallTime(0)).unwrap();
    bench.done(id, Err(Bench::unreachable()));
    assert_eq!(bench.state("web-1"), "creating unknown");
    assert_eq!(bench.next_action(), None);
    bench.seconds(2);
    assert_eq!(bench.did(), "fetch web:1, run web-1 g1, run web-1 g1");
    assert_eq!(bench.engine.containers.len(), 1);
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn an_older_listing_does_not_undo_what_was_just_done() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    let before = bench.engine.list();
    while let Some((id, action)) = bench.next_action() {
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        bench.done(id, outcome);
    }
    let version = bench.instances.version();
    bench.instances.observe(before, bench.now());
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(bench.instances.version(), version);
}

#[test]
fn an_image_that_vanished_is_fetched_again() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.answer(Ok(Success::Image {
        pinned: "sha256:a".to_owned(),
    }));
    bench.answer(Err(Failure::NoImage {
        image: "sha256:a".to_owned(),
        problem: "no such image".to_owned(),
    }));
    bench.seconds(2);
    assert_eq!(
        bench.did(),
        "fetch web:1, run web-1 g1, fetch web:1, run web-1 g1"
    );
}

#[test]
fn how_far_a_pull_has_come_is_told_with_the_instance_until_the_image_is_there() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    let (id, _) = bench.next_action().unwrap();
    let told = |bench: &mut Bench, hundredths| {
        let before = bench.instances.version();
        let now = bench.now();
        bench.instances.progressed(id, hundredths, now);
        bench.instances.version() - before
    };
    assert!(told(&mut bench, 42) > 0);
    assert_eq!(bench.state("web-1"), "pending unknown");
    assert_eq!(bench.problem("web-1"), "its image is pulled: 40 %");
    assert_eq!(
        told(&mut bench, 49),
        0,
        "a report for each percent is too much"
    );
    assert!(told(&mut bench, 99) > 0);
    assert_eq!(bench.problem("web-1"), "its image is pulled: 90 %");
    bench.done(
        id,
        Ok(Success::Image {
            pinned: "sha256:a".to_owned(),
        }),
    );
    bench.settle();
    assert_eq!(told(&mut bench, 100), 0, "it is over");
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(bench.problem("web-1"), "");
}

#[test]
fn many_instances_start_eight_at_a_time_and_share_one_fetch() {
    let all = (1..=20).map(|n| of_service(&format!("web-{n}"), 1, 20, Service::new("web:1")));
    let mut bench = Bench::with(all);
    bench.answer(Ok(Success::Image {
        pinned: "sha256:a".to_owned(),
    }));
    let mut under_way = Vec::new();
    while let Some((id, _)) = bench.next_action() {
        under_way.push(id);
    }
    assert_eq!(under_way.len(), 8);
    bench.done(
        under_way[0],
        Err(Failure::Refused {
            problem: "no".to_owned(),
        }),
    );
    let (_, action) = bench.next_action().unwrap();
    assert!(
        format!("{action:?}").contains("web-9"),
        "first come, first served"
    );
    assert_eq!(bench.next_action(), None);
}

#[test]
fn a_container_is_made_as_kontena_made_it() {
    let mut service = Service::new("redis:7");
    service.stateful = true;
    service.environment = vec!["A=1".to_owned(), "KONTENA_NODE_NAME=mine".to_owned()];
    service
        .labels
        .insert("io.kontena.service.name".to_owned(), "other".to_owned());
    service.labels.insert("team".to_owned(), "blue".to_owned());
    service.volumes = [
        ("/data", VolumeSource::Anonymous),
        ("/etc/x", VolumeSource::Bind("/srv/x".to_owned())),
        ("/cache", VolumeSource::Named("cache".parse().unwrap())),
    ]
    .map(|(path, source)| Volume {
        path: path.to_owned(),
        source,
        flags: None,
    })
    .to_vec();
    let mut wanted = of_service("shop/redis-2", 40, 2, service);
    let cache = super::volumes::volume(Scope::Stack, 5);
    wanted.volumes.insert("cache".parse().unwrap(), cache);
    let spec =
        crate::reconcile::container::spec(&wanted, &identity(), 3, Attachment::Plain, "sha256:a");
    expect![[r#"
        redis-2.shop.demo.kontena.local
        A=1
        KONTENA_SERVICE_ID=demo/shop/redis
        KONTENA_SERVICE_NAME=redis
        KONTENA_GRID_NAME=demo
        KONTENA_PLATFORM_NAME=demo
        KONTENA_STACK_NAME=shop
        KONTENA_NODE_NAME=n1
        KONTENA_SERVICE_INSTANCE_NUMBER=2
        io.kontena.container.deploy_rev=40
        io.kontena.container.name=shop.redis-2
        io.kontena.container.service_revision=40
        io.kontena.container.stop_grace_period=10
        io.kontena.container.type=container
        io.kontena.grid.name=demo
        io.kontena.platform.name=demo
        io.kontena.service.id=demo/shop/redis
        io.kontena.service.instance_number=2
        io.kontena.service.name=redis
        io.kontena.stack.name=shop
        team=blue
        /data Some(Mounted { name: "shop.redis-2.06060606.bd47413b", definition: Definition { scope: Instance, driver: "local", options: {} }, copy: Own { instance: shop/redis-2, creation: 06060606 } })
        /etc/x None
        /cache Some(Mounted { name: "shop.cache", definition: Definition { scope: Stack, driver: "local", options: {} }, copy: Volume { volume: cache, creation: 05050505 } })"#]]
    .assert_eq(&lines(&spec));
    assert_eq!((spec.labels.epoch, spec.labels.generation), (3, 40));
}

#[test]
fn a_volume_outlives_a_deploy_and_belongs_to_one_life_of_its_service() {
    let mut service = Service::new("redis:7");
    service.stateful = true;
    service.volumes.push(Volume {
        path: "/data".to_owned(),
        source: VolumeSource::Anonymous,
        flags: None,
    });
    let volume = |wanted: &Wanted| {
        let spec = crate::reconcile::container::spec(
            wanted,
            &identity(),
            1,
            Attachment::Plain,
            "sha256:a",
        );
        spec.mounts[0].docker_volume.clone()
    };
    let first = of_service("redis-1", 40, 1, service.clone());
    service.image = "redis:8".to_owned();
    let mut second = of_service("redis-1", 41, 1, service);
    assert_eq!(volume(&first), volume(&second));
    second.creation = EnvelopeHash([7; 32]);
    assert_ne!(volume(&first), volume(&second));
}

fn lines(spec: &crate::reconcile::action::ContainerSpec) -> String {
    let name = format!("{}.{}", spec.hostname, spec.domainname);
    let labels = spec
        .extra_labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let mounts = spec
        .mounts
        .iter()
        .map(|mount| format!("{} {:?}", mount.volume.path, mount.docker_volume));
    std::iter::once(name)
        .chain(spec.environment.iter().cloned())
        .chain(labels)
        .chain(mounts)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn throw_away_volumes_have_no_name() {
    let mut service = Service::new("web:1");
    service.volumes.push(Volume {
        path: "/tmp".to_owned(),
        source: VolumeSource::Anonymous,
        flags: None,
    });
    let wanted = of_service("web-1", 1, 1, service);
    let spec =
        crate::reconcile::container::spec(&wanted, &identity(), 1, Attachment::Plain, "sha256:a");
    assert_eq!(spec.mounts[0].docker_volume, None);
    assert_eq!(spec.domainname, "demo.kontena.local");
}

#[test]
fn an_engine_in_trouble_is_left_alone_and_stateless_instances_are_released_after_a_minute() {
    let mut service = Service::new("redis:7");
    service.stateful = true;
    let mut bench = Bench::with([wanted("web-1", 1), of_service("redis-1", 1, 1, service)]);
    bench.settle();
    let begun = bench.now();
    bench.trouble();
    bench.did();
    let problem = || "connection refused".to_owned();
    let troubled = EngineState::Troubled {
        since: begun.wall,
        problem: problem(),
    };
    assert_eq!(bench.instances.engine(bench.now()).state, troubled);
    bench.seconds(59);
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(bench.instances.engine(bench.now()).state, troubled);
    bench.seconds(2);
    let failed = EngineState::Failed {
        since: begun.wall,
        problem: problem(),
    };
    assert_eq!(bench.instances.engine(bench.now()).state, failed);
    assert_eq!(bench.state("web-1"), "-");
    assert_eq!(bench.state("redis-1"), "failed unknown");
    assert_eq!(
        bench.problem("redis-1"),
        "the Docker engine does not work: connection refused"
    );
    let said = bench.instances.version();
    bench.seconds(10);
    bench.trouble();
    assert_eq!(bench.instances.version(), said, "it is said once");
    assert_eq!(bench.did(), "");
    bench.observe();
    bench.settle();
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(bench.state("redis-1"), "running healthy");
    assert_eq!(bench.did(), "");
}

#[test]
fn a_node_whose_engine_is_in_trouble_takes_nothing_on() {
    let mut bench = Bench::with([]);
    bench.trouble();
    bench.want([wanted("web-1", 1)]);
    assert_eq!(bench.state("web-1"), "-");
    bench.observe();
    assert_eq!(bench.state("web-1"), "pending unknown");
}

#[test]
fn a_node_that_only_looks_starts_nothing_and_stops_what_shall_not_run() {
    let mut bench = Bench::with([wanted("web-1", 1), wanted("old-1", 1)]);
    bench.settle();
    bench.did();
    bench.restart_daemon();
    bench
        .instances
        .only_look_until(bench.now().monotonic + Duration::from_secs(6), bench.now());
    bench.observe();
    bench.crash("web-1");
    bench.want([wanted("web-1", 1), wanted("new-1", 1)]);
    bench.seconds(5);
    let did = bench.did();
    let did: BTreeSet<&str> = did.split(", ").collect();
    assert_eq!(
        did,
        BTreeSet::from([
            "fetch web:1",
            "read web-1 g1",
            "remove old-1 g1",
            "stop old-1 g1"
        ])
    );
    bench.seconds(2);
    let did = bench.did();
    let did: BTreeSet<&str> = did.split(", ").collect();
    assert_eq!(did, BTreeSet::from(["run new-1 g1", "start web-1 g1"]));
}

#[test]
fn a_doubled_outcome_is_ignored() {
    let mut instances = Instances::new(identity(), remembered(BTreeMap::new()));
    let done = Ok(Success::Done);
    instances.done(
        crate::reconcile::action::ActionId(5),
        done,
        crate::time::Now::default(),
    );
    assert_eq!(instances.next_wake(), None::<Instant>);
}

/// Seed 6000688: a copy of its disk had it again at the epoch of then.
#[test]
fn what_others_had_meanwhile_and_is_gone_here_is_had_anew() {
    let held = [(id("web-1"), hold(1, InstanceState::Running))].into();
    let mut bench = Bench::new();
    bench.instances = Instances::new(identity(), remembered(held));
    bench.observe();
    let mut web = wanted("web-1", 1);
    web.epoch_seen = 2;
    bench.want([web]);
    bench.settle();
    assert_eq!(bench.hold("web-1").epoch, 3);
}

#[test]
fn an_image_that_was_frozen_is_what_runs_whatever_its_name_means_here() {
    let frozen = FrozenImage::Id {
        id: "sha256:first".to_owned(),
    };
    let mut bench = Bench::with([Wanted {
        image: Some(frozen),
        ..wanted("web-1", 1)
    }]);
    bench.settle();
    assert_eq!(bench.did(), "fetch web:1 as sha256:first, run web-1 g1");
    assert_eq!(bench.container("web-1").image, "sha256:first");
}
