//! Containers that stop by themselves.

use std::time::Duration;

use crate::reconcile::Departure;
use crate::reconcile::action::{Action, ContainerState, Failure, Success};
use crate::view::Lifecycle;

use super::bench::{Bench, id, wanted};

#[test]
fn a_crashed_container_is_started_again_and_not_made_anew() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    let id = bench.container("web-1").id.clone();
    bench.did();
    bench.crash("web-1");
    assert_eq!(bench.state("web-1"), "failed unknown");
    assert_eq!(bench.problem("web-1"), "the container exited with status 3");
    bench.settle();
    assert_eq!(bench.did(), "start web-1 g1");
    assert_eq!(bench.state("web-1"), "running healthy");
    assert_eq!(bench.container("web-1").id, id);
}

#[test]
fn a_container_that_crashes_again_and_again_waits_longer_and_is_unhealthy() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    let mut waits = Vec::new();
    for _ in 0..8 {
        bench.crash("web-1");
        let start = bench.now().monotonic;
        bench.settle();
        while bench.running().is_empty() {
            bench.seconds(1);
        }
        waits.push(bench.now().monotonic.since(start).as_secs());
    }
    assert_eq!(waits, [0, 1, 4, 9, 16, 25, 30, 30]);
    assert_eq!(bench.state("web-1"), "running unhealthy");
    bench.seconds(10);
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_node_on_which_it_crashed_five_times_in_five_minutes_refuses_that_deploy() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    for crash in 1..=5 {
        assert!(bench.instances.refusals().is_empty(), "{crash}");
        bench.crash("web-1");
        bench.settle();
        while crash < 5 && bench.running().is_empty() {
            bench.seconds(1);
        }
    }
    let problem = "the container exited with status 3, at least 5 times in five minutes";
    assert_eq!(bench.instances.refusals()[&id("web-1")], problem);
    bench.want([wanted("web-1", 2)]);
    bench.settle();
    assert!(bench.instances.refusals().is_empty());
}

/// Seed 9501066: whoever refused it elsewhere would get it ten minutes later, from a node where it works.
#[test]
fn what_nobody_else_could_have_and_runs_here_after_all_is_not_refused_any_more() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    for crash in 1..=5 {
        bench.crash("web-1");
        bench.settle();
        while crash < 5 && bench.running().is_empty() {
            bench.seconds(1);
        }
    }
    assert!(!bench.instances.refusals().is_empty());
    let winner_ready = false;
    bench.leave("web-1", Departure::Handover { winner_ready });
    bench.seconds(60);
    assert_eq!(bench.state("web-1"), "running healthy");
    assert!(bench.instances.refusals().is_empty());
}

#[test]
fn what_can_only_run_here_is_not_refused_however_often_it_crashes() {
    let mut fixed = wanted("web-1", 1);
    fixed.fixed = true;
    let mut bench = Bench::with([fixed]);
    bench.settle();
    for _ in 0..6 {
        bench.crash("web-1");
        while bench.running().is_empty() {
            bench.seconds(1);
        }
    }
    assert!(bench.instances.refusals().is_empty());
}

#[test]
fn an_instance_that_comes_back_to_a_node_waits_as_if_it_had_stayed() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    let mut waits = Vec::new();
    for _ in 0..6 {
        bench.crash("web-1");
        let crashed = bench.now().monotonic;
        bench.want([]);
        bench.settle();
        assert!(bench.running().is_empty());
        bench.want([wanted("web-1", 1)]);
        bench.settle();
        while bench.running().is_empty() {
            bench.seconds(1);
        }
        waits.push(bench.now().monotonic.since(crashed).as_secs());
    }
    assert_eq!(waits, [0, 1, 4, 9, 16, 25]);
}

#[test]
fn an_instance_that_was_moved_away_while_it_ran_has_not_crashed() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    for _ in 0..4 {
        bench.want([wanted("web-1", 1)]);
        bench.settle();
        assert_eq!(bench.state("web-1"), "running healthy");
        bench.want([]);
        bench.settle();
    }
}

#[test]
fn a_container_that_was_stopped_while_nobody_looked_is_started() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.restart_daemon();
    bench.crash("web-1");
    bench.did();
    bench.reconcile();
    bench.settle();
    assert_eq!(bench.did(), "start web-1 g1");
}

#[test]
fn a_container_that_vanished_is_made_anew_under_its_epoch() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.seconds(10);
    bench.engine.containers.clear();
    bench.did();
    bench.observe();
    assert_eq!(bench.state("web-1"), "creating unknown");
    bench.settle();
    assert_eq!(bench.did(), "run web-1 g1");
    assert_eq!(bench.hold("web-1").epoch, 1);
}

#[test]
fn a_container_that_vanishes_while_it_is_stopped_is_gone() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.want([]);
    let (stop, _) = bench.next_action().expect("it is to be stopped");
    bench.engine.containers.clear();
    bench.observe();
    bench.done(stop, Ok(Success::Done));
    bench.settle();
    assert_eq!(bench.did(), "fetch web:1, run web-1 g1, stop web-1 g1");
}

#[test]
fn a_dead_container_is_removed_and_made_anew() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.did();
    bench.set_state("web-1", ContainerState::Dead);
    bench.settle();
    assert_eq!(bench.did(), "remove web-1 g1, run web-1 g1");
}

#[test]
fn a_paused_container_is_left_to_whoever_paused_it() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.did();
    bench.set_state("web-1", ContainerState::Paused);
    bench.seconds(60);
    assert_eq!(bench.did(), "");
    assert_eq!(bench.state("web-1"), "running unhealthy");
}

#[test]
fn a_container_that_cannot_be_started_any_more_is_made_anew() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.crash("web-1");
    bench.did();
    for _ in 0..3 {
        let problem = "no such mount".to_owned();
        bench.answer(Err(Failure::Refused { problem }));
        assert_eq!(bench.state("web-1"), "failed unknown");
        let until = bench.instances.next_wake().unwrap();
        let wait = until.since(bench.now().monotonic);
        bench.skip(wait);
    }
    bench.settle();
    let did = bench.did().replace("read web-1 g1, ", "");
    assert_eq!(
        did,
        "start web-1 g1, start web-1 g1, start web-1 g1, remove web-1 g1, run web-1 g1"
    );
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_stopped_service_keeps_its_container_and_starts_it_again() {
    let mut web = wanted("web-1", 1);
    let mut bench = Bench::with([web.clone()]);
    bench.settle();
    bench.did();
    web.state = Lifecycle::Stopped;
    bench.want([web.clone()]);
    assert_eq!(bench.state("web-1"), "stopping unknown");
    bench.settle();
    assert_eq!(bench.state("web-1"), "stopped unknown");
    bench.seconds(600);
    assert_eq!(bench.did(), "stop web-1 g1");
    web.state = Lifecycle::Running;
    bench.want([web]);
    bench.settle();
    assert_eq!(bench.did(), "start web-1 g1");
    assert_eq!(bench.state("web-1"), "running healthy");
}

#[test]
fn a_service_that_was_stopped_before_it_started_holds_nothing() {
    let mut web = wanted("web-1", 1);
    let mut bench = Bench::with([web.clone()]);
    assert_eq!(bench.state("web-1"), "pending unknown");
    web.state = Lifecycle::Stopped;
    bench.want([web]);
    bench.settle();
    assert_eq!(
        (bench.state("web-1").as_str(), bench.did().as_str()),
        ("-", "")
    );
}

#[test]
fn starts_whose_answers_are_lost_count_for_the_back_off_too() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    let end = bench.now().monotonic + Duration::from_secs(60);
    let mut starts = 0;
    while bench.now().monotonic < end {
        let Some((id, action)) = bench.next_action() else {
            bench.skip(Duration::from_millis(100));
            continue;
        };
        let wall = bench.now().wall;
        let mut outcome = bench.engine.carry_out(&action, wall);
        if matches!(action, Action::Run(_) | Action::Start { .. }) {
            starts += 1;
            if starts % 3 != 0 {
                outcome = Err(Bench::unreachable());
            }
        }
        bench.done(id, outcome);
        if starts > 0 {
            bench.crash("web-1");
        }
    }
    assert!((4..=8).contains(&starts), "{starts} starts in a minute");
}

#[test]
fn the_last_lines_of_a_crashed_container_are_part_of_what_is_said() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.engine.written = (0..30)
        .map(|number| format!("{number} {}", "x".repeat(500)))
        .collect();
    bench.settle();
    bench.crash("web-1");
    bench.settle();
    bench.crash("web-1");
    bench.settle();
    assert_eq!(bench.state("web-1"), "failed unknown");
    let problem = bench.problem("web-1");
    let lines: Vec<&str> = problem.lines().collect();
    assert_eq!(
        lines[0],
        "the container exited with status 3, 2 times in five minutes"
    );
    assert_eq!(lines.len(), 11);
    assert!(lines[1].starts_with("20 x") && lines[10].starts_with("29 x"));
    assert!(problem.len() < 2_200, "every node has it");
    let hold = bench.hold("web-1");
    assert_eq!((hold.restarts, hold.exit_code), (2, Some(3)));

    bench.seconds(30);
    assert_eq!(bench.problem("web-1"), "");
    assert_eq!(
        bench.hold("web-1").restarts,
        2,
        "that it was restarted is still said"
    );
    bench.want([wanted("web-1", 2)]);
    bench.seconds(5);
    assert_eq!(
        bench.hold("web-1").restarts,
        0,
        "another deploy begins anew"
    );
}

#[test]
fn last_lines_that_cannot_be_read_are_asked_for_once() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.settle();
    bench.crash("web-1");
    bench.settle();
    bench.crash("web-1");
    bench.did();
    let (reading, _) = bench.next_action().unwrap();
    bench.done(reading, Err(Failure::Gone));
    assert_eq!(bench.did(), "read web-1 g1");
    bench.settle();
    assert!(!bench.did().contains("read"));
    assert_eq!(
        bench.problem("web-1"),
        "the container exited with status 3, 2 times in five minutes"
    );
}
