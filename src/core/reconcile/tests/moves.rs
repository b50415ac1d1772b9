//! Instances that move with their data, at either end.

use std::collections::BTreeSet;

use crate::id::NodeId;
use crate::reconcile::action::{Action, ActionId, Failure, MoveStep, Outcome, Success};
use crate::reconcile::container::mounted;
use crate::reconcile::{
    AskId, Departure, Inbound, MoveAsk, MoveWord, Outbound, Settlement, Wanted,
};
use crate::stack::Service;
use crate::volume::Scope;

use super::bench::{Bench, id, of_service};
use super::volumes::volume;

const THERE: NodeId = NodeId([9; 32]);
const COPY: &str = "db.data-1";

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

fn bring(epoch: u64) -> MoveAsk {
    MoveAsk {
        instance: id("db-1"),
        epoch,
        word: MoveWord::Bring {
            copies: [COPY.to_owned()].into(),
        },
    }
}

fn broken() -> Outcome {
    let problem = "the connection broke".to_owned();
    Err(Failure::Unreachable { problem })
}

fn refused(problem: &str) -> Outcome {
    let problem = problem.to_owned();
    Err(Failure::Refused { problem })
}

impl Bench {
    /// A database runs, and is ordered to go at the binding of epoch 3.
    fn with_order() -> Self {
        let mut bench = Self::with([database()]);
        bench.settle();
        bench.observe_volumes();
        bench.goals.bound = [(id("db-1"), 3)].into();
        let order = Outbound {
            to: THERE,
            name: "beta".to_owned(),
            epoch: 3,
            copies: mounted(&database()).collect(),
            megabits: Some(8),
        };
        bench.goals.outbound = [(id("db-1"), order)].into();
        bench.reconcile();
        bench.did();
        bench
    }

    fn asked(&mut self, ask: u64, word: MoveAsk) {
        let now = self.now();
        self.instances.asked_to_move(AskId(ask), THERE, word, now);
    }

    fn answers(&mut self) -> Vec<(u64, Result<(), String>)> {
        let answers = self.instances.take_answers().into_iter();
        answers.map(|(id, answer)| (id.0, answer)).collect()
    }

    /// Everything up to the step of a move, which is under way then.
    fn until_step(&mut self) -> (ActionId, MoveStep) {
        for _ in 0..100 {
            let Some((id, action)) = self.next_action() else {
                self.seconds_without(1);
                continue;
            };
            if let Action::Move(step) = action {
                return (id, step);
            }
            let outcome = self.engine.carry_out(&action, self.now().wall);
            self.done(id, outcome);
            self.observe();
        }
        panic!("no step of a move: {:?}", self.log);
    }

    fn progressed(&mut self, sending: ActionId, hundredths: u8) {
        let now = self.now();
        self.instances.progressed(sending, hundredths, now);
    }

    fn seconds_without(&mut self, seconds: u64) {
        self.skip(std::time::Duration::from_secs(seconds));
    }

    /// A database is ordered to come from the binding of epoch 3.
    fn with_inbound() -> Self {
        let mut bench = Self::with([]);
        bench.observe_volumes();
        let inbound = Inbound {
            wanted: database(),
            from: THERE,
            epoch: 3,
        };
        bench.goals.inbound = [(id("db-1"), inbound)].into();
        bench.reconcile();
        bench
    }
}

#[test]
fn what_is_asked_for_is_stopped_and_then_sent_and_nothing_of_it_is_begun_until_it_is_bound_elsewhere()
 {
    let mut bench = Bench::with_order();
    bench.seconds(60);
    assert_eq!(bench.did(), "", "nobody asks yet");
    bench.asked(1, bring(3));
    let (sending, step) = bench.until_step();
    assert_eq!(bench.did(), "stop db-1 g1, send");
    let MoveStep::Send {
        ask,
        copies,
        megabits,
        image,
    } = step
    else {
        panic!("it is sent");
    };
    assert_eq!((ask, megabits), (AskId(1), Some(8)));
    assert_eq!(copies[0].name, COPY);
    assert!(image.is_some());
    let now = bench.now();
    bench.instances.progressed(sending, 47, now);
    assert_eq!(bench.problem("db-1"), "it moves to node beta: 40 %");
    bench.done(sending, Ok(Success::Done));
    bench.seconds(3600);
    assert_eq!(
        bench.did(),
        "",
        "though nobody binds it elsewhere for an hour"
    );
    assert_eq!(bench.instances.given().count(), 1);
    bench.goals.bound.clear();
    bench.goals.outbound.clear();
    bench.leave("db-1", Departure::Unwanted);
    bench.settle();
    assert_eq!(bench.did(), "remove db-1 g1");
    assert_eq!(bench.instances.given().count(), 0);
    assert!(
        bench.instances.volumes().contains_key(COPY),
        "it is not known to run there"
    );
    let copy = mounted(&database()).next().unwrap().copy.clone();
    bench.goals.departed = [(COPY.to_owned(), copy)].into();
    bench.reconcile();
    bench.settle();
    assert_eq!(bench.did(), "remove volume db.data-1");
}

#[test]
fn only_whom_the_order_names_gets_it_and_only_what_both_know_of() {
    let mut bench = Bench::with_order();
    let now = bench.now();
    let somebody = NodeId([8; 32]);
    bench
        .instances
        .asked_to_move(AskId(1), somebody, bring(3), now);
    bench.asked(2, bring(2));
    let other = MoveAsk {
        word: MoveWord::Bring {
            copies: BTreeSet::new(),
        },
        ..bring(3)
    };
    bench.asked(3, other);
    let answers = bench.answers();
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|(_, answer)| answer.is_err()));
    bench.seconds(30);
    assert_eq!(bench.did(), "", "nothing is stopped for it");
}

#[test]
fn what_waits_for_its_turn_in_a_deploy_is_not_moved_before() {
    let mut bench = Bench::with_order();
    let mut next = database();
    next.generation = 2;
    next.halted = Some(crate::reconcile::rollout::Hindrance::Aborted);
    bench.want([next]);
    bench.asked(1, bring(3));
    let said = bench.answers();
    assert_eq!(said, [(1, Err("its deploy is not over yet".to_owned()))]);
}

#[test]
fn where_the_connection_breaks_it_waits_a_minute_for_the_other_node_and_is_started_again() {
    let mut bench = Bench::with_order();
    bench.asked(1, bring(3));
    let (sending, _) = bench.until_step();
    bench.progressed(sending, 3);
    bench.done(sending, broken());
    bench.seconds(30);
    assert_eq!(bench.did(), "stop db-1 g1, send");
    bench.asked(2, bring(3));
    let (again, _) = bench.until_step();
    assert_eq!(bench.did(), "send", "at once: it is at rest");
    bench.progressed(again, 4);
    bench.done(again, broken());
    bench.seconds(59);
    assert_eq!(bench.did(), "");
    bench.seconds(2);
    assert_eq!(bench.did(), "start db-1 g1");
    bench.asked(3, bring(3));
    let answers = bench.answers();
    assert!(
        answers[0].1.as_ref().unwrap_err().contains("later"),
        "{answers:?}"
    );
    bench.seconds(40);
    bench.asked(4, bring(3));
    bench.until_step();
}

#[test]
fn an_attempt_that_comes_no_further_than_the_last_lets_the_instance_run_on_and_counts() {
    let mut bench = Bench::with_order();
    bench.asked(1, bring(3));
    let (sending, _) = bench.until_step();
    bench.progressed(sending, 30);
    bench.done(sending, broken());
    for attempt in 0..10 {
        let now = bench.now();
        assert!(bench.instances.moves_given_up(now).is_empty(), "{attempt}");
        bench.asked(attempt + 2, bring(3));
        let (sending, _) = bench.until_step();
        bench.did();
        bench.progressed(sending, 30);
        bench.done(sending, broken());
        bench.settle();
        assert_eq!(bench.did(), "start db-1 g1", "{attempt}");
        bench.seconds(601);
    }
    let now = bench.now();
    assert_eq!(
        bench.instances.moves_given_up(now)[&id("db-1")],
        "after 10 attempts: the connection broke"
    );
}

#[test]
fn what_is_in_the_way_for_an_hour_ends_a_move_however_often_it_is_asked_for() {
    let mut bench = Bench::with_order();
    let mut next = database();
    next.generation = 2;
    next.halted = Some(crate::reconcile::rollout::Hindrance::Aborted);
    bench.want([next]);
    for ask in 0..37 {
        bench.asked(ask, bring(3));
        bench.seconds(100);
    }
    let now = bench.now();
    assert_eq!(
        bench.instances.moves_given_up(now)[&id("db-1")],
        "nothing was asked for in 60 minutes: its deploy is not over yet"
    );
}

#[test]
fn nobody_but_whom_the_order_names_keeps_it_alive() {
    let mut bench = Bench::with_order();
    let mut next = database();
    next.generation = 2;
    bench.want([next]);
    let now = bench.now();
    let somebody = NodeId([8; 32]);
    bench
        .instances
        .asked_to_move(AskId(1), somebody, bring(3), now);
    let said = bench.answers().remove(0).1.unwrap_err();
    assert_eq!(said, "no such move is ordered, as far as the node knows");
}

#[test]
fn so_many_go_at_a_time_and_what_waits_for_its_turn_runs_on() {
    let databases: Vec<Wanted> = (1..=17)
        .map(|number| Wanted {
            instance: id(&format!("db-{number}")),
            ..database()
        })
        .collect();
    let mut bench = Bench::with(databases.clone());
    bench.settle();
    bench.observe_volumes();
    for wanted in databases {
        let order = Outbound {
            to: THERE,
            name: "beta".to_owned(),
            epoch: 3,
            copies: mounted(&wanted).collect(),
            megabits: None,
        };
        bench.goals.bound.insert(wanted.instance.clone(), 3);
        bench.goals.outbound.insert(wanted.instance, order);
    }
    bench.reconcile();
    bench.did();
    for number in 1..=17 {
        let asked = MoveAsk {
            instance: id(&format!("db-{number}")),
            epoch: 3,
            word: MoveWord::Bring {
                copies: [format!("db.data-{number}")].into(),
            },
        };
        bench.asked(number, asked);
    }
    let refused = Err("the node sends 16 others".to_owned());
    assert_eq!(bench.answers(), [(17, refused)]);
    let sent: Vec<MoveStep> = (0..16).map(|_| bench.until_step().1).collect();
    assert_eq!(sent.len(), 16, "each has a place");
    assert_eq!(bench.state("db-17"), "running healthy");
}

#[test]
fn who_asks_anew_begins_anew_and_what_the_first_ask_brought_counts_no_more() {
    let mut bench = Bench::with_order();
    bench.asked(1, bring(3));
    let (first, _) = bench.until_step();
    bench.asked(2, bring(3));
    assert_eq!(bench.instances.take_aborts(), [first]);
    assert_eq!(bench.instances.take_aborts(), [], "once");
    // It had everything, and has thrown it away since.
    bench.done(first, Ok(Success::Done));
    assert_eq!(bench.instances.given().count(), 0);
    let (_, step) = bench.until_step();
    assert!(matches!(step, MoveStep::Send { ask: AskId(2), .. }));
}

#[test]
fn a_move_that_is_taken_back_lets_the_instance_run_on_once_nothing_is_sent_any_more() {
    let mut bench = Bench::with_order();
    bench.asked(1, bring(3));
    let (sending, _) = bench.until_step();
    bench.did();
    bench.goals.outbound.clear();
    bench.reconcile();
    assert_eq!(bench.instances.take_aborts(), [sending]);
    bench.seconds(60);
    assert_eq!(bench.did(), "", "it is sent yet");
    bench.done(sending, broken());
    bench.settle();
    assert_eq!(bench.did(), "start db-1 g1");
}

#[test]
fn a_move_is_given_up_after_five_refusals_or_an_hour_without_a_word() {
    let mut bench = Bench::with_order();
    for attempt in 0..5 {
        let now = bench.now();
        assert!(bench.instances.moves_given_up(now).is_empty(), "{attempt}");
        bench.asked(attempt, bring(3));
        let (sending, _) = bench.until_step();
        bench.done(sending, refused("node beta: no space left"));
        bench.seconds(601);
    }
    let now = bench.now();
    let given_up = bench.instances.moves_given_up(now);
    assert_eq!(
        given_up[&id("db-1")],
        "after 5 attempts: node beta: no space left"
    );
    assert_eq!(bench.state("db-1"), "running healthy");
    let mut bench = Bench::with_order();
    bench.seconds(3601);
    let now = bench.now();
    let given_up = bench.instances.moves_given_up(now);
    assert_eq!(
        given_up[&id("db-1")],
        "node beta did not ask for the data in 60 minutes"
    );
}

#[test]
fn a_node_that_restarts_on_the_way_starts_what_it_had_stopped() {
    let mut bench = Bench::with_order();
    bench.asked(1, bring(3));
    bench.until_step();
    bench.did();
    bench.restart_daemon();
    bench.observe();
    bench.observe_volumes();
    bench.reconcile();
    bench.settle();
    assert_eq!(bench.did(), "start db-1 g1");
}

#[test]
fn what_comes_is_asked_for_once_its_image_is_there_and_is_nothing_until_it_is_accepted() {
    let mut bench = Bench::with_inbound();
    let (bringing, _) = bench.until_step();
    assert_eq!(bench.did(), "fetch db:1, bring");
    bench.engine.volumes.insert(
        COPY.to_owned(),
        mounted(&database()).next().unwrap().copy.clone(),
    );
    bench.observe_volumes();
    assert!(bench.instances.volumes().is_empty(), "it does not count");
    bench.done(bringing, Ok(Success::Done));
    bench.seconds(30);
    assert_eq!(bench.did(), "", "the other node has its time");
    // Bound here by that very move.
    bench.goals.inbound.clear();
    bench.goals.bound = [(id("db-1"), 4)].into();
    bench.goals.came = [(id("db-1"), [COPY.to_owned()].into())].into();
    bench.want([database()]);
    bench.seconds(30);
    assert_eq!(bench.did(), "", "nobody said yet what becomes of it");
    bench.goals.fates = [(id("db-1"), Settlement::Accept)].into();
    bench.reconcile();
    let (accepting, _) = bench.until_step();
    bench.done(accepting, Ok(Success::Done));
    bench.settle();
    assert_eq!(bench.did(), "accept, run db-1 g1");
    assert_eq!(bench.instances.arrived(), [(id("db-1"), 4)].into());
    assert!(bench.instances.volumes().contains_key(COPY));
}

#[test]
fn what_was_moved_here_and_is_not_here_is_not_begun_without_it() {
    let mut bench = Bench::with([]);
    bench.observe_volumes();
    bench.goals.bound = [(id("db-1"), 4)].into();
    bench.goals.came = [(id("db-1"), [COPY.to_owned()].into())].into();
    bench.want([database()]);
    bench.seconds(60);
    assert_eq!(bench.did(), "fetch db:1");
    assert_eq!(
        bench.problem("db-1"),
        "its data was moved here, and the volume `db.data-1` is not here"
    );
}

#[test]
fn what_was_moved_here_is_not_begun_before_the_volumes_are_listed() {
    let mut bench = Bench::with([]);
    bench.goals.bound = [(id("db-1"), 4)].into();
    bench.goals.came = [(id("db-1"), [COPY.to_owned()].into())].into();
    bench.want([database()]);
    bench.seconds(60);
    assert_eq!(bench.did(), "fetch db:1");
    assert_eq!(
        bench.problem("db-1"),
        "its data was moved here, and the volumes are not listed yet"
    );
}

#[test]
fn nobody_mounts_what_comes_before_it_counts() {
    let mut bench = Bench::with_inbound();
    let mut service = Service::new("web:1");
    service.volumes = vec!["data:/data".parse().unwrap()];
    let mut web = of_service("db-2", 1, 1, service);
    let shared = "data".parse().unwrap();
    web.volumes.insert(shared, volume(Scope::Stack, 5));
    let theirs = mounted(&web).next().unwrap().name;
    let mut inbound = bench.goals.inbound[&id("db-1")].clone();
    let name = "data".parse().unwrap();
    inbound.wanted.volumes.insert(name, volume(Scope::Stack, 5));
    assert_eq!(mounted(&inbound.wanted).next().unwrap().name, theirs);
    bench.goals.inbound = [(id("db-1"), inbound)].into();
    bench.reconcile();
    let (_, step) = bench.until_step();
    assert!(matches!(step, MoveStep::Bring { .. }));
    bench.want([web]);
    bench.seconds(60);
    assert_eq!(
        bench.problem("db-2"),
        format!("the volume `{theirs}` comes by a move, which is not over")
    );
}

#[test]
fn what_came_by_a_move_that_is_off_goes_once_the_other_node_knows_that() {
    let mut bench = Bench::with_inbound();
    let (bringing, _) = bench.until_step();
    bench.done(bringing, broken());
    bench.goals.inbound.clear();
    bench.goals.fates = [(id("db-1"), Settlement::Release { from: THERE })].into();
    bench.did();
    bench.restart_daemon();
    bench.observe();
    bench.reconcile();
    let (releasing, _) = bench.until_step();
    bench.done(releasing, refused("it is handed over"));
    bench.seconds_without(1);
    let (releasing, _) = bench.until_step();
    bench.done(releasing, Ok(Success::Done));
    let (discarding, _) = bench.until_step();
    bench.done(discarding, Ok(Success::Done));
    bench.seconds(600);
    assert_eq!(bench.did(), "release, release, discard");
    assert!(bench.instances.arrivals().is_empty());
}

#[test]
fn what_is_handed_over_is_not_released() {
    let mut bench = Bench::with_order();
    bench.asked(1, bring(3));
    let (sending, _) = bench.until_step();
    bench.done(sending, Ok(Success::Done));
    let release = || MoveAsk {
        word: MoveWord::Release,
        ..bring(3)
    };
    bench.goals.outbound.clear();
    bench.reconcile();
    bench.asked(2, release());
    assert!(bench.answers()[0].1.is_err());
    // Bound elsewhere, and nothing of it is remembered.
    bench.goals.bound.clear();
    bench.restart_daemon();
    bench.observe();
    bench.observe_volumes();
    bench.reconcile();
    bench.asked(3, release());
    assert!(bench.answers()[0].1.is_err());
}

#[test]
fn what_is_kept_after_all_is_released() {
    let mut bench = Bench::with_order();
    bench.asked(1, bring(3));
    let (sending, _) = bench.until_step();
    bench.done(sending, Ok(Success::Done));
    let release = || MoveAsk {
        word: MoveWord::Release,
        ..bring(3)
    };
    bench.goals.outbound.clear();
    bench.reconcile();
    let now = bench.now();
    bench.instances.keep_what_was_given(&id("db-1"), now);
    bench.asked(3, release());
    assert_eq!(bench.answers(), [(3, Ok(()))]);
    bench.settle();
    assert_eq!(bench.did(), "stop db-1 g1, send, start db-1 g1");
}
