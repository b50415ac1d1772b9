//! Replacing containers of an older deploy.

use crate::reconcile::action::{Action, Failure, Success};
use crate::reconcile::journal::{Why, why_start};
use crate::reconcile::rollout::{ANNOUNCED_FOR, Hindrance, Peer, Rollout, floor};
use crate::reconcile::{Instances, Wanted};
use crate::stack::Service;
use crate::view::{Freshness, Lifecycle};

use super::bench::{Bench, healthy, hold, id, identity, of_service, remembered, wanted};
use crate::reconcile::wanted::Aim;
use crate::report::{Health, Hold, InstanceState};

/// Instance 2 of 3, of whose deploy 2 the others say this.
fn second_of_three(first: Peer, third: Peer) -> Wanted {
    let mut web = of_service("web-2", 2, 3, Service::new("web:2"));
    web.peers = vec![first, healthy(2, false), third];
    web
}

fn running_second() -> Bench {
    let mut bench = Bench::with([of_service("web-2", 1, 3, Service::new("web:1"))]);
    bench.settle();
    bench.did();
    bench
}

#[test]
fn a_new_deploy_fetches_first_then_stops_removes_and_runs() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.did();
    bench.want([of_service("web-1", 2, 1, Service::new("web:2"))]);
    bench.settle();
    assert_eq!(
        bench.did(),
        "fetch web:2, stop web-1 g1, remove web-1 g1, run web-1 g2"
    );
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(bench.hold("web-1").epoch, 1);
    assert!(!bench.hold("web-1").updating);
}

#[test]
fn the_start_of_a_replacement_is_told_as_one() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    let mut web = wanted("web-1", 1);
    for why in [Why::Placed, Why::Replaced] {
        bench.want([web.clone()]);
        while let Some((id, action)) = bench.next_action() {
            if let Action::Run(_) = action {
                let turn = bench.instances.locals[&web.instance].turn;
                assert_eq!(why_start(&web, turn, false), why);
            }
            let outcome = bench.engine.carry_out(&action, bench.now().wall);
            bench.done(id, outcome);
            bench.observe();
        }
        assert!(bench.did().contains("run web-1"));
        web = wanted("web-1", 2);
    }
}

#[test]
fn a_forced_deploy_of_the_same_revision_makes_a_new_container() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.did();
    bench.want([wanted("web-1", 2)]);
    bench.settle();
    assert_eq!(
        bench.did(),
        "fetch web:1, stop web-1 g1, remove web-1 g1, run web-1 g2"
    );
}

#[test]
fn the_old_container_runs_on_while_the_new_image_cannot_be_fetched() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.engine.missing_images.insert("web:2".to_owned());
    bench.want([of_service("web-1", 2, 1, Service::new("web:2"))]);
    bench.seconds(600);
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(
        bench.problem("web-1"),
        "image `web:2` cannot be fetched: not found"
    );
    assert!(bench.instances.refusals().is_empty());
    bench.crash("web-1");
    bench.settle();
    assert_eq!(bench.state("web-1"), "running healthy");
}

/// Else names would lead to it before it serves: a service that is scaled up and changed at once.
#[test]
fn one_that_starts_when_a_newer_deploy_comes_is_not_healthy_before_its_port_is_open() {
    let service = |image: &str| {
        let mut service = Service::new(image);
        service.deploy.wait_for_port = Some(80);
        service
    };
    let mut bench = Bench::with([of_service("web-1", 1, 1, service("web:1"))]);
    bench.engine.missing_images.insert("web:2".to_owned());
    while let Some((id, action)) = bench.next_action() {
        let starts = matches!(action, Action::Run(_));
        if starts {
            bench.want([of_service("web-1", 2, 1, service("web:2"))]);
        }
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        bench.done(id, outcome);
        if starts {
            break;
        }
    }
    assert_eq!(bench.state("web-1"), "running unknown");
    bench.did();
    bench.settle();
    assert_eq!(bench.did(), "fetch web:2, probe 80");
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_container_of_a_deploy_that_this_replica_does_not_know_yet_is_kept() {
    let mut bench = Bench::with([wanted("web-1", 5)]);
    bench.settle();
    bench.did();
    bench.want([of_service("web-1", 4, 1, Service::new("web:0"))]);
    bench.seconds(60);
    assert_eq!(bench.did(), "");
}

#[test]
fn an_update_is_announced_for_a_round() {
    let mut bench = running_second();
    bench.want([second_of_three(healthy(1, true), healthy(3, false))]);
    bench.settle();
    assert_eq!(bench.did(), "fetch web:2");
    assert!(bench.hold("web-2").updating);
    assert_eq!(bench.state("web-2"), "running healthy");
    bench.seconds(1);
    assert_eq!(bench.did(), "stop web-2 g1, remove web-2 g1, run web-2 g2");
    assert!(!bench.hold("web-2").updating);
}

#[test]
fn a_lower_number_goes_first() {
    let mut bench = running_second();
    bench.want([second_of_three(healthy(1, false), healthy(3, false))]);
    bench.seconds(60);
    assert_eq!(bench.did(), "fetch web:2");
    assert!(!bench.hold("web-2").updating);
    assert_eq!(bench.problem("web-2"), "waits for its turn in the deploy");
}

#[test]
fn one_that_is_kept_as_it_is_for_want_of_a_node_does_not_hold_up_the_others_and_counts_as_healthy()
{
    let mut bench = running_second();
    let mut kept = healthy(1, false);
    kept.kept = true;
    bench.want([second_of_three(kept, healthy(3, false))]);
    bench.seconds(5);
    assert_eq!(bench.hold("web-2").generation, 2);
}

#[test]
fn an_absent_holder_does_not_hold_up_the_others_where_the_floor_allows() {
    let mut web = of_service("web-2", 2, 10, Service::new("web:2"));
    for peer in &mut web.peers {
        peer.current = false;
    }
    web.peers[0].holder = Some(Freshness::Absent);
    let mut bench = Bench::with([of_service("web-2", 1, 10, Service::new("web:1"))]);
    bench.settle();
    bench.want([web]);
    bench.seconds(2);
    assert_eq!(bench.hold("web-2").generation, 2);
}

#[test]
fn an_announcement_is_taken_back_when_a_lower_number_announced_too() {
    let mut bench = running_second();
    let mut first = healthy(1, true);
    bench.want([second_of_three(first, healthy(3, false))]);
    bench.settle();
    assert!(bench.hold("web-2").updating);
    first.updating = true;
    bench.want([second_of_three(first, healthy(3, false))]);
    bench.seconds(60);
    assert!(!bench.hold("web-2").updating);
    assert_eq!(bench.did(), "fetch web:2");
    assert_eq!(
        bench.problem("web-2"),
        "waits until 2 other instances are healthy"
    );
}

#[test]
fn a_container_of_a_newer_deploy_is_kept_until_nobody_knows_that_deploy() {
    let mut bench = Bench::with([wanted("web-1", 5)]);
    bench.settle();
    bench.did();
    let mut older = of_service("web-1", 3, 1, Service::new("web:2"));
    bench.want([older.clone()]);
    bench.seconds(60);
    assert_eq!(bench.did(), "");
    older.is_newest = true;
    bench.want([older]);
    bench.settle();
    assert_eq!(
        bench.did(),
        "fetch web:2, stop web-1 g5, remove web-1 g5, run web-1 g3"
    );
}

#[test]
fn a_failed_instance_of_the_new_deploy_halts_it() {
    let mut bench = running_second();
    let failed = Peer {
        healthy: false,
        failed: true,
        ..healthy(3, true)
    };
    bench.want([second_of_three(healthy(1, true), failed)]);
    bench.seconds(600);
    assert_eq!(bench.did(), "fetch web:2");
    assert_eq!(
        bench.problem("web-2"),
        "the deploy is halted: instance 3 failed"
    );
}

#[test]
fn a_deploy_that_fails_while_the_engine_refuses_the_stop_is_halted() {
    let mut bench = running_second();
    bench.want([second_of_three(healthy(1, true), healthy(3, false))]);
    bench.settle();
    bench.skip(ANNOUNCED_FOR);
    bench.answer(Err(Bench::unreachable()));
    assert_eq!(bench.did(), "fetch web:2, stop web-2 g1");
    let failed = Peer {
        healthy: false,
        failed: true,
        ..healthy(3, true)
    };
    bench.want([second_of_three(healthy(1, true), failed)]);
    bench.seconds(600);
    assert_eq!(bench.did(), "");
    assert_eq!(bench.state("web-2"), "running healthy");
}

#[test]
fn an_instance_that_is_down_is_replaced_whatever_the_floor_says() {
    let mut bench = running_second();
    let unhealthy = |number, current| Peer {
        healthy: false,
        ..healthy(number, current)
    };
    bench.want([second_of_three(healthy(1, true), unhealthy(3, false))]);
    bench.seconds(60);
    assert_eq!(bench.did(), "fetch web:2");
    bench.crash("web-2");
    bench.settle();
    assert_eq!(bench.did(), "remove web-2 g1, run web-2 g2");
}

#[test]
fn a_port_that_is_free_for_the_new_container_only_later_fails_the_instance_and_is_tried_again() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.want([of_service("web-1", 2, 1, Service::new("web:2"))]);
    bench.answer(Ok(Success::Image {
        pinned: "sha256:b".to_owned(),
    }));
    for _ in 0..2 {
        let (id, action) = bench.next_action().unwrap();
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        bench.done(id, outcome);
    }
    bench.answer(Err(Failure::PortTaken { port: 80 }));
    assert_eq!(bench.state("web-1"), "failed unknown");
    assert!(bench.hold("web-1").updating);
    bench.seconds(2);
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn all_instances_on_one_node_are_replaced_one_after_the_other() {
    let deploy = |generation| {
        (1..=3).map(move |n| of_service(&format!("web-{n}"), generation, 3, Service::new("web:1")))
    };
    let mut bench = Bench::with(deploy(1));
    bench.settle();
    bench.want(deploy(2));
    let mut least = 3;
    for _ in 0..2000 {
        bench.skip(std::time::Duration::from_millis(10));
        while let Some((id, action)) = bench.next_action() {
            let outcome = bench.engine.carry_out(&action, bench.now().wall);
            least = least.min(bench.running().len());
            bench.done(id, outcome);
        }
    }
    assert_eq!(least, 2, "min_health 0.8 of 3 is 3, but one must go");
    for n in 1..=3 {
        assert_eq!(bench.hold(&format!("web-{n}")).generation, 2);
    }
}

#[test]
fn a_daemon_killed_between_stop_and_run_goes_on() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.want([wanted("web-1", 2)]);
    loop {
        let (id, action) = bench.next_action().unwrap();
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        if matches!(action, Action::Stop { .. }) {
            break;
        }
        bench.done(id, outcome);
    }
    bench.restart_daemon();
    bench.observe();
    bench.reconcile();
    bench.settle();
    assert_eq!(bench.hold("web-1").generation, 2);
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn the_floor_is_min_health_and_leaves_room_for_one() {
    let cases = [
        (800, 1, 0),
        (800, 2, 1),
        (800, 3, 2),
        (800, 5, 4),
        (800, 10, 8),
        (1000, 4, 3),
        (500, 4, 2),
        (0, 4, 0),
        (800, 0, 0),
    ];
    for (min_health, n, expected) in cases {
        assert_eq!(floor(min_health, n), expected, "{min_health} of {n}");
    }
}

#[test]
fn at_most_twenty_are_replaced_at_once() {
    let rollout = |number| Rollout {
        number,
        min_health: 0,
        daemon: false,
        halted: None,
        canary: None,
        peers: (1..=100).map(|n| (n, healthy(n, false))).collect(),
    };
    assert!(rollout(20).may_announce().is_ok());
    assert!(rollout(21).may_announce().is_err());
}

#[test]
fn a_daemon_service_does_not_count_nodes_that_are_absent() {
    let mut peers: std::collections::BTreeMap<u32, Peer> =
        (1..=3).map(|n| (n, healthy(n, false))).collect();
    for n in [1, 2] {
        peers.get_mut(&n).unwrap().holder = Some(Freshness::Absent);
    }
    let mut rollout = Rollout {
        number: 3,
        min_health: 800,
        daemon: true,
        halted: None,
        canary: None,
        peers,
    };
    assert!(rollout.may_announce().is_ok());
    rollout.daemon = false;
    assert!(rollout.may_announce().is_err());
}

#[test]
fn holds_are_remembered_by_instance() {
    let bench = running_second();
    let again = Instances::new(identity(), remembered(bench.instances.holds().clone()));
    assert!(again.holds().contains_key(&id("web-2")));
}

#[test]
fn a_deploy_that_is_halted_or_aborted_takes_nobody_down_however_the_others_are() {
    for halted in [Hindrance::Halted { number: 1 }, Hindrance::Aborted] {
        let mut bench = running_second();
        let mut web = second_of_three(healthy(1, true), healthy(3, false));
        web.halted = Some(halted);
        bench.want([web]);
        bench.seconds(60);
        assert_eq!(bench.did(), "fetch web:2");
        assert_eq!(bench.problem("web-2"), halted.to_string());
        bench.crash("web-2");
        bench.settle();
        assert_eq!(bench.did(), "start web-2 g1", "what runs is kept");
    }
}

#[test]
fn those_behind_the_canary_wait_until_the_deploy_is_promoted() {
    let mut bench = running_second();
    let mut web = second_of_three(healthy(1, true), healthy(3, false));
    web.canary = Some(1);
    bench.want([web.clone()]);
    bench.seconds(60);
    assert_eq!(bench.did(), "fetch web:2");
    assert_eq!(bench.problem("web-2"), "waits until the deploy is promoted");
    web.canary = None;
    bench.want([web]);
    bench.seconds(5);
    assert_eq!(bench.did(), "stop web-2 g1, remove web-2 g1, run web-2 g2");
}

#[test]
fn the_first_numbers_are_the_canary() {
    let mut bench = running_second();
    let mut web = second_of_three(healthy(1, true), healthy(3, false));
    web.canary = Some(2);
    bench.want([web]);
    bench.seconds(5);
    assert_eq!(
        bench.did(),
        "fetch web:2, stop web-2 g1, remove web-2 g1, run web-2 g2"
    );
}

#[test]
fn what_replaces_another_is_on_trial_until_it_was_healthy_for_ten_seconds() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.seconds(60);
    assert!(!bench.hold("web-1").on_trial, "it replaced nothing");
    bench.want([of_service("web-1", 2, 1, Service::new("web:2"))]);
    bench.settle();
    assert!(bench.hold("web-1").on_trial);
    bench.seconds(9);
    assert!(bench.hold("web-1").on_trial);
    bench.seconds(1);
    assert!(!bench.hold("web-1").on_trial);
}

#[test]
fn a_trial_goes_on_after_the_daemon_was_killed() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    let newer = of_service("web-1", 2, 1, Service::new("web:2"));
    bench.want([newer.clone()]);
    bench.settle();
    bench.restart_daemon();
    bench.observe();
    bench.want([newer]);
    assert!(bench.hold("web-1").on_trial);
}

#[test]
fn a_deploy_has_failed_when_its_container_crashes_twice_in_a_row() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.want([of_service("web-1", 2, 1, Service::new("web:2"))]);
    bench.settle();
    bench.crash("web-1");
    bench.settle();
    assert!(bench.instances.failures().is_empty(), "once is bad luck");
    bench.crash("web-1");
    bench.seconds(1);
    let failed = bench.instances.failures();
    assert_eq!(failed[&id("web-1")].generation, 2);
    assert!(bench.hold("web-1").on_trial);
}

#[test]
fn a_deploy_has_failed_when_its_image_cannot_be_fetched_ten_times() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.engine.missing_images.insert("web:2".to_owned());
    bench.want([of_service("web-1", 2, 1, Service::new("web:2"))]);
    bench.seconds(120);
    assert!(bench.instances.failures().is_empty());
    bench.seconds(180);
    let failed = bench.instances.failures();
    assert_eq!(
        failed[&id("web-1")].problem,
        "image `web:2` cannot be fetched: not found"
    );
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_deploy_whose_port_never_opens_fails_with_what_the_container_wrote() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    let mut service = Service::new("web:2");
    service.deploy.wait_for_port = Some(80);
    bench.engine.deaf = true;
    bench.engine.written = vec!["starting".to_owned(), "no configuration".to_owned()];
    bench.want([of_service("web-1", 2, 1, service)]);
    bench.seconds(299);
    assert!(bench.instances.failures().is_empty());
    bench.seconds(10);
    let failed = &bench.instances.failures()[&id("web-1")];
    let mut lines = failed.problem.lines().rev();
    assert_eq!(lines.next(), Some("no configuration"));
    assert_eq!(lines.next(), Some("starting"));
}

#[test]
fn a_deploy_whose_port_never_opens_fails_though_its_health_check_is_good() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    let mut service = Service::new("web:2");
    service.deploy.wait_for_port = Some(80);
    service.health_check = Some(crate::stack::HealthCheck::new(
        crate::stack::Question::Exec {
            command: "true".to_owned(),
        },
    ));
    bench.engine.deaf = true;
    bench.want([of_service("web-1", 2, 1, service)]);
    bench.seconds(310);
    assert!(bench.instances.failures().contains_key(&id("web-1")));
}

#[test]
fn the_way_back_leaves_alone_what_was_not_replaced_unless_it_is_of_an_earlier_service() {
    let mut bench = running_second();
    let mut back = of_service("web-2", 3, 3, Service::new("web:1"));
    back.keeps_from = Some(1);
    bench.want([back.clone()]);
    bench.seconds(60);
    assert_eq!(bench.did(), "");
    assert!(bench.hold("web-2").problem.is_none());
    back.keeps_from = Some(2);
    bench.want([back]);
    bench.seconds(60);
    assert_eq!(
        bench.did(),
        "fetch web:1, stop web-2 g1, remove web-2 g1, run web-2 g3"
    );
}

#[test]
fn a_port_that_is_taken_for_a_moment_fails_no_deploy() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.want([of_service("web-1", 2, 1, Service::new("web:2"))]);
    while let Some((id, action)) = bench.next_action() {
        if matches!(action, Action::Run(_)) {
            bench.done(id, Err(Failure::PortTaken { port: 80 }));
            break;
        }
        let outcome = bench.engine.carry_out(&action, bench.now().wall);
        bench.done(id, outcome);
        bench.observe();
    }
    assert!(bench.instances.failures().is_empty());
    bench.seconds(5);
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn what_the_way_back_leaves_as_it_is_does_not_hold_it_up_though_it_is_broken() {
    let service = Service::new("web:1");
    let hold = Hold {
        revision: service.hash(),
        health: Health::Unhealthy,
        ..hold(1, InstanceState::Running)
    };
    let aim = |keeps_from| Aim {
        revision: &hold.revision,
        generation: 3,
        is_newest: true,
        keeps_from,
    };
    let kept = Peer::of(2, Freshness::Fresh, &hold, aim(Some(0)));
    assert!(kept.current && !kept.failed);
    let older = Peer::of(2, Freshness::Fresh, &hold, aim(None));
    assert!(!older.current && !older.failed);
}

/// Kontena gave a deploy up after thirty minutes.
#[test]
fn a_deploy_that_nobody_failed_goes_on_however_long_it_takes() {
    let mut bench = running_second();
    let mut first = healthy(1, true);
    first.healthy = false;
    bench.want([second_of_three(first, healthy(3, false))]);
    bench.seconds(2 * 3600);
    assert_eq!(bench.did(), "fetch web:2");
    bench.want([second_of_three(healthy(1, true), healthy(3, false))]);
    bench.seconds(5);
    assert!(bench.did().contains("run web-2 g2"));
}

/// Kontena removed images that were not used for an hour.
#[test]
fn images_that_nobody_runs_any_more_are_left_alone() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.want([of_service("web-1", 2, 1, Service::new("web:2"))]);
    bench.settle();
    bench.did();
    bench.seconds(2 * 3600);
    assert_eq!(bench.did(), "");
}

#[test]
fn a_service_that_is_stopped_in_a_deploy_goes_on_with_it_when_it_is_started() {
    let mut bench = running_second();
    let mut deploying = second_of_three(healthy(1, true), healthy(3, false));
    deploying.state = Lifecycle::Stopped;
    bench.want([deploying.clone()]);
    bench.seconds(60);
    assert!(bench.running().is_empty());
    assert!(
        !bench.did().contains("g2"),
        "what is stopped is not replaced"
    );
    deploying.state = Lifecycle::Running;
    bench.want([deploying]);
    bench.seconds(10);
    assert!(bench.did().contains("run web-2 g2"));
}
