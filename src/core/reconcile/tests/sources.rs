//! Volumes of others: a container is made with what its source's has, and anew once that has something else.

use std::collections::BTreeSet;

use crate::reconcile::Wanted;
use crate::reconcile::action::Action;
use crate::stack::{Hook, Service};
use crate::volume::Scope;

use super::bench::{Bench, id, of_service};
use super::volumes::volume;

fn source(generation: u64, mount: &str) -> Wanted {
    let mut service = Service::new("db:1");
    service.volumes = vec![mount.parse().unwrap()];
    let mut wanted = of_service("db-1", generation, 1, service);
    let data = "data".parse().unwrap();
    wanted.volumes.insert(data, volume(Scope::Instance, 5));
    wanted
}

fn follower() -> Wanted {
    follower_of(Service::new("log:1"))
}

fn follower_of(mut service: Service) -> Wanted {
    service.volumes_from = vec!["db-%s".parse().unwrap()];
    Wanted {
        sources: vec![id("db-1")],
        ..of_service("log-1", 1, 1, service)
    }
}

/// Both run.
fn bench(mount: &str) -> Bench {
    let mut bench = Bench::with([source(1, mount), follower()]);
    bench.settle();
    bench.did();
    bench
}

#[test]
fn a_container_is_made_once_that_of_its_source_is_there() {
    let mut bench = Bench::with([follower()]);
    bench.seconds(60);
    assert_eq!(bench.did(), "fetch log:1");
    assert_eq!(
        bench.problem("log-1"),
        "waits for `db-1`, whose volumes it mounts"
    );
    bench.want([source(1, "/data"), follower()]);
    bench.settle();
    assert_eq!(bench.did(), "fetch db:1, run db-1 g1, run log-1 g1");
    assert_eq!(bench.problem("log-1"), "");
    let data = &bench.container("db-1").mounts["/data"];
    assert_eq!(bench.container("log-1").mounts["/data"], *data);
}

#[test]
fn what_docker_is_told_is_the_name_of_the_sources_container() {
    let mut service = Service::new("log:1");
    service.hooks.pre_start = vec![Hook {
        name: "look".to_owned(),
        command: "ls /data".to_owned(),
        instances: BTreeSet::new(),
        oneshot: false,
    }];
    let mut bench = Bench::with([source(1, "/data"), follower_of(service)]);
    let mut told = Vec::new();
    while let Some((action_id, action)) = bench.next_action() {
        if let Action::Run(spec) | Action::Hook { spec, .. } = &action {
            told.push((spec.name.clone(), spec.volumes_from.clone()));
        }
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        bench.done(action_id, outcome);
        bench.observe();
    }
    let of = |name: &str, from: &[&str]| {
        let from = from.iter().map(ToString::to_string).collect::<Vec<_>>();
        (name.to_owned(), from)
    };
    let expected = [
        of("db-1", &[]),
        of("log-1-hook", &["db-1"]),
        of("log-1", &["db-1"]),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_source_that_is_made_anew_with_another_volume_brings_its_follower_along() {
    let mut bench = bench("/data");
    bench.want([source(2, "/data"), follower()]);
    bench.seconds(30);
    assert_eq!(
        bench.did(),
        "fetch db:1, stop db-1 g1, remove db-1 g1, run db-1 g2, stop log-1 g1, remove log-1 g1, run log-1 g1"
    );
    let data = &bench.container("db-1").mounts["/data"];
    assert_eq!(bench.container("log-1").mounts["/data"], *data);
    assert_eq!(bench.hold("log-1").restarts, 0, "it did not crash");
    bench.seconds(600);
    assert_eq!(bench.did(), "");
}

#[test]
fn a_source_that_is_made_anew_with_the_same_volume_disturbs_nobody() {
    let mut bench = bench("data:/data");
    bench.want([source(2, "data:/data"), follower()]);
    bench.seconds(30);
    assert_eq!(
        bench.did(),
        "fetch db:1, stop db-1 g1, remove db-1 g1, run db-1 g2"
    );
}

#[test]
fn a_path_that_the_follower_mounts_itself_is_its_own() {
    let mut service = Service::new("log:1");
    service.volumes = vec!["/srv:/data/".parse().unwrap()];
    let follower = follower_of(service);
    let mut bench = Bench::with([source(1, "/data"), follower.clone()]);
    bench.settle();
    bench.did();
    bench.want([source(2, "/data"), follower]);
    bench.seconds(30);
    assert_eq!(
        bench.did(),
        "fetch db:1, stop db-1 g1, remove db-1 g1, run db-1 g2"
    );
}

#[test]
fn a_follower_is_made_anew_once_for_each_container_of_its_source_whatever_the_engine_shows() {
    let mut bench = bench("/data");
    let log = bench.container("log-1").id.clone();
    bench
        .engine
        .containers
        .get_mut(&log)
        .unwrap()
        .mounts
        .clear();
    bench.observe();
    bench.seconds(600);
    assert_eq!(bench.did(), "", "it was made with this very container");
}

#[test]
fn what_runs_goes_on_without_its_source_and_is_replaced_once_that_is_back() {
    let mut bench = bench("data:/data");
    bench.want([follower()]);
    bench.seconds(60);
    assert_eq!(bench.did(), "stop db-1 g1, remove db-1 g1");
    assert_eq!(bench.state("log-1"), "running healthy");
    assert_eq!(bench.problem("log-1"), "");
    let mut newer = follower();
    newer.generation = 2;
    bench.want([newer.clone()]);
    bench.seconds(60);
    assert_eq!(
        bench.did(),
        "fetch log:1",
        "nothing could be made in its place"
    );
    bench.crash("log-1");
    bench.seconds(10);
    let did = bench.did();
    assert!(did.ends_with("start log-1 g1"), "the same one: {did}");
    bench.want([source(1, "data:/data"), newer]);
    bench.seconds(60);
    let did = bench.did();
    let replaced = "run db-1 g1, stop log-1 g1, remove log-1 g1, run log-1 g2";
    assert!(did.ends_with(replaced), "{did}");
}
