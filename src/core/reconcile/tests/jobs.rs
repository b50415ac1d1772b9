//! Jobs: slots, what comes of them, and that none is run twice.

use std::sync::Arc;
use std::time::Duration;

use crate::id::InstanceId;
use crate::job::{Missed, Run, RunState};
use crate::reconcile::Wanted;
use crate::reconcile::action::{Action, ContainerState};
use crate::reconcile::jobs::Fate;
use crate::report::{Health, InstanceState};
use crate::schedule::Slot;
use crate::stack::{Concurrency, Schedule, Service};
use crate::time::WallTime;

use super::bench::{Bench, id, of_service};

fn service(cron: &str) -> Service {
    let mut service = Service::new("backup:1");
    service.deploy.schedule = Some(Schedule::new(cron.parse().unwrap()));
    service
}

fn job(service: Service) -> Wanted {
    let mut wanted = of_service("backup-1", 1, 1, service);
    wanted.fixed = true;
    wanted
}

/// A job that runs each minute, 1 s after its node began: its first slot is at 60 s.
fn each_minute() -> Bench {
    with(service("* * * * *"))
}

/// A node whose clock begins in 1970, and to which the job is bound.
fn beginning() -> Bench {
    let mut bench = Bench::new();
    bench.ahead = -1_000_000;
    bench.goals.bound = [(id("backup-1"), 1)].into();
    bench.observe();
    bench
}

fn with(service: Service) -> Bench {
    let mut bench = beginning();
    bench.want([job(service)]);
    bench.pass(Duration::from_secs(1));
    bench
}

impl Bench {
    fn runs(&self) -> Vec<Run> {
        let ledger = self.instances.told_jobs().get(&id("backup-1"));
        ledger.map(|ledger| ledger.runs.clone()).unwrap_or_default()
    }

    /// `60 running`, by seconds.
    fn told(&self) -> Vec<String> {
        let runs = self.runs();
        runs.iter()
            .map(|run| format!("{} {}", run.slot.0 / 1_000, word(&run.state)))
            .collect()
    }

    /// Up to this time by the wall clock, in seconds; each slot goes to the disk at once.
    fn until(&mut self, seconds: u64) {
        while self.now().wall.0 < seconds * 1_000 {
            self.pass(Duration::from_millis(500));
            self.save();
        }
    }

    fn save(&mut self) {
        let slots = self.instances.unsaved_slots();
        let now = self.now();
        self.instances.slots_saved(&slots, now);
        self.settle();
    }

    /// The run of this slot ends by itself.
    fn ends(&mut self, seconds: u64, code: i64) {
        let at = self.now().wall;
        let run = Some(Slot(seconds * 1_000));
        for container in self.engine.containers.values_mut() {
            if container.owner.slot == run {
                container.state = ContainerState::Exited { code, at };
            }
        }
        self.observe();
        self.settle();
        self.observe();
    }

    fn slots_there(&self) -> Vec<u64> {
        let containers = self.engine.containers.values();
        let mut slots: Vec<u64> = containers
            .filter_map(|it| it.owner.slot)
            .map(|it| it.0 / 1_000)
            .collect();
        slots.sort_unstable();
        slots
    }
}

fn word(state: &RunState) -> String {
    match state {
        RunState::Starting => "starting".to_owned(),
        RunState::Running { stops: None, .. } => "running".to_owned(),
        RunState::Running { stops: Some(_), .. } => "stopping".to_owned(),
        RunState::Ended {
            exit_code,
            stopped: None,
            ..
        } => format!("ended {exit_code}"),
        RunState::Ended {
            stopped: Some(why), ..
        } => format!("stopped {why:?}"),
        RunState::NotStarted { problem, .. } => format!("not started: {problem}"),
        RunState::Lost => "lost".to_owned(),
        RunState::Missed { why, count, .. } => format!("missed {count} {why:?}"),
    }
}

#[test]
fn a_job_is_well_before_its_first_slot_and_has_no_container() {
    let bench = each_minute();
    let hold = bench.hold("backup-1");
    assert_eq!(
        (hold.state, hold.health),
        (InstanceState::Running, Health::Healthy)
    );
    assert_eq!((&hold.container, hold.address), (&None, None));
    assert_eq!(bench.slots_there(), Vec::<u64>::new());
}

#[test]
fn a_run_is_made_for_each_slot_and_told_of_with_its_exit_code() {
    let mut bench = each_minute();
    bench.until(61);
    assert_eq!(bench.told(), ["60 running"]);
    assert_eq!(bench.slots_there(), [60]);
    let container = bench.engine.containers.values().next().unwrap().clone();
    assert_eq!(container.name, "backup-1.19700101T000100Z");
    assert!(
        bench.hold("backup-1").address.is_some(),
        "it has its name while it runs"
    );
    bench.ends(60, 0);
    assert_eq!(bench.told(), ["60 ended 0"]);
    assert_eq!(bench.hold("backup-1").address, None);
    bench.until(121);
    bench.ends(120, 3);
    assert_eq!(bench.told(), ["60 ended 0", "120 ended 3"]);
    assert_eq!(
        bench.slots_there(),
        [120],
        "the newest is kept, so that its log can be read"
    );
}

#[test]
fn no_container_is_made_before_its_slot_is_on_the_disk() {
    let mut bench = each_minute();
    bench.pass(Duration::from_secs(62));
    assert_eq!(bench.told(), ["60 starting"]);
    assert_eq!(bench.slots_there(), Vec::<u64>::new());
    bench.save();
    assert_eq!(bench.slots_there(), [60]);
}

#[test]
fn a_slot_that_cannot_be_written_down_within_a_minute_is_missed() {
    let mut bench = with(service("0 * * * *"));
    bench.pass(Duration::from_secs(3_600 + 62));
    assert_eq!(bench.told(), ["3600 missed 1 Disk"]);
    bench.save();
    assert_eq!(bench.slots_there(), Vec::<u64>::new());
}

#[test]
fn a_slot_that_was_written_down_is_not_run_by_the_next_boot() {
    let mut bench = each_minute();
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.told(), ["60 starting"]);
    bench.away(Duration::from_secs(2));
    bench.until(119);
    assert_eq!(bench.told(), ["60 lost"]);
    assert_eq!(bench.slots_there(), Vec::<u64>::new());
    bench.until(121);
    assert_eq!(bench.told(), ["60 lost", "120 running"]);
}

#[test]
fn a_run_goes_on_while_the_daemon_is_away_and_its_end_is_told_by_the_next_boot() {
    let mut bench = each_minute();
    bench.until(61);
    bench.away(Duration::from_secs(2));
    assert_eq!(bench.told(), ["60 running"]);
    bench.ends(60, 7);
    assert_eq!(bench.told(), ["60 ended 7"]);
}

#[test]
fn what_passed_while_the_daemon_was_away_is_missed_and_counted() {
    let mut bench = each_minute();
    bench.until(61);
    bench.ends(60, 0);
    bench.away(Duration::from_secs(300));
    assert_eq!(bench.told(), ["60 ended 0", "120 missed 5 Away"]);
    assert_eq!(bench.slots_there(), [60]);
}

#[test]
fn a_clock_that_is_set_back_runs_no_slot_again() {
    let mut bench = each_minute();
    bench.until(181);
    bench.ends(60, 0);
    let before = bench.told().len();
    bench.ahead -= 150_000;
    bench.until(170);
    assert_eq!(bench.told().len(), before, "{:?}", bench.told());
}

#[test]
fn of_a_run_that_goes_on_the_next_slot_is_missed_or_stops_it_or_is_beside_it() {
    let concurrent = |concurrency| {
        let mut service = service("* * * * *");
        if let Some(schedule) = &mut service.deploy.schedule {
            schedule.concurrency = concurrency;
        }
        let mut bench = with(service);
        bench.until(123);
        bench.observe();
        (bench.told(), bench.slots_there())
    };
    let (told, there) = concurrent(Concurrency::Forbid);
    assert_eq!(told, ["60 running", "120 missed 1 Busy"]);
    assert_eq!(there, [60]);
    let (told, there) = concurrent(Concurrency::Replace);
    assert_eq!(told, ["60 stopped Replaced", "120 running"]);
    assert_eq!(there, [60, 120]);
    let (told, there) = concurrent(Concurrency::Allow);
    assert_eq!(told, ["60 running", "120 running"]);
    assert_eq!(there, [60, 120]);
}

#[test]
fn no_more_than_eight_run_beside_each_other() {
    let mut service = service("* * * * *");
    if let Some(schedule) = &mut service.deploy.schedule {
        schedule.concurrency = Concurrency::Allow;
    }
    let mut bench = with(service);
    bench.until(60 * 10 + 1);
    assert_eq!(bench.slots_there().len(), Schedule::MAX_BESIDE);
    assert_eq!(bench.told().last().unwrap(), "540 missed 2 Busy");
}

#[test]
fn a_run_that_takes_longer_than_it_may_is_stopped() {
    let mut service = service("0 * * * *");
    if let Some(schedule) = &mut service.deploy.schedule {
        schedule.time_limit_millis = Some(90_000);
    }
    let mut bench = with(service);
    bench.until(3_600 + 80);
    assert_eq!(bench.told(), ["3600 running"]);
    bench.until(3_600 + 95);
    bench.observe();
    assert_eq!(bench.told(), ["3600 stopped TimeLimit"]);
}

#[test]
fn a_run_that_the_engine_refuses_is_over_and_is_not_tried_again() {
    let mut service = service("* * * * *");
    service.ports = vec!["80:80".parse().unwrap()];
    let mut bench = with(service);
    bench.engine.taken_ports.insert(80);
    bench.until(70);
    assert_eq!(
        bench.told(),
        ["60 not started: port 80 is taken on this node"]
    );
}

#[test]
fn a_run_of_which_the_engine_says_nothing_is_lost_unless_its_container_is_found() {
    let mut bench = each_minute();
    bench.pass(Duration::from_secs(60));
    let slots = bench.instances.unsaved_slots();
    let now = bench.now();
    bench.instances.slots_saved(&slots, now);
    let (run, action) = bench.next_action().unwrap();
    assert!(matches!(action, Action::Run(_)));
    bench.done(run, Err(Bench::unreachable()));
    bench.until(80);
    assert_eq!(bench.told(), ["60 starting"]);
    bench.until(95);
    assert_eq!(bench.told(), ["60 lost"]);
    // It was made after all.
    let _ = bench.engine.carry_out(&action, WallTime(60_500));
    bench.observe();
    assert_eq!(bench.told(), ["60 running"]);
}

#[test]
fn a_job_whose_node_drains_misses_its_slots_and_what_runs_ends_by_itself() {
    let mut bench = each_minute();
    bench.until(61);
    let service = Arc::new(service("* * * * *"));
    bench.goals.wanted.clear();
    bench.goals.jobs = [(id("backup-1"), Fate::Drains(service))].into();
    bench.reconcile();
    bench.until(121);
    assert_eq!(bench.told(), ["60 running", "120 missed 1 Drained"]);
    bench.ends(60, 0);
    assert_eq!(bench.told(), ["60 ended 0", "120 missed 1 Drained"]);
}

#[test]
fn a_job_that_is_stopped_or_goes_ends_at_once_and_starts_with_what_comes() {
    let mut bench = each_minute();
    bench.until(61);
    let fate = |fate| [(id("backup-1"), fate)].into();
    bench.goals.wanted.clear();
    bench.goals.jobs = fate(Fate::Rests);
    bench.reconcile();
    bench.until(62);
    bench.observe();
    assert_eq!(bench.told(), ["60 stopped Asked"]);
    bench.until(200);
    bench.goals.jobs.clear();
    bench.want([job(service("* * * * *"))]);
    bench.until(241);
    assert_eq!(
        bench.told(),
        ["60 stopped Asked", "240 running"],
        "nothing was missed"
    );
    bench.goals.wanted.clear();
    bench.goals.jobs = fate(Fate::Vanishes);
    bench.reconcile();
    bench.until(245);
    bench.observe();
    bench.until(246);
    assert_eq!(bench.slots_there(), Vec::<u64>::new());
    assert!(bench.instances.told_jobs().is_empty());
}

#[test]
fn a_slot_that_another_node_ran_is_not_run_again() {
    let mut bench = beginning();
    let mut wanted = job(service("* * * * *"));
    wanted.run_elsewhere = Some(Slot(120_000));
    bench.want([wanted]);
    bench.until(121);
    assert_eq!(bench.slots_there(), Vec::<u64>::new());
    bench.until(181);
    assert_eq!(bench.slots_there(), [180]);
}

#[test]
fn what_a_failed_run_wrote_last_is_told_of_the_newest() {
    let mut bench = each_minute();
    bench.engine.written = vec!["no space left".to_owned()];
    bench.until(61);
    bench.ends(60, 1);
    bench.settle();
    let runs = bench.runs();
    let RunState::Ended { words, .. } = &runs[0].state else {
        panic!("{runs:?}");
    };
    assert_eq!(words.as_deref(), Some("no space left"));
}

#[test]
fn an_instance_that_ran_a_slot_is_not_let_go() {
    let mut bench = each_minute();
    let instance: InstanceId = id("backup-1");
    assert!(bench.instances.can_let_go(&instance) || !bench.instances.has_made(&instance));
    bench.until(61);
    assert!(bench.instances.has_made(&instance));
    bench.ends(60, 0);
    bench.away(Duration::from_secs(2));
    assert!(bench.instances.has_made(&instance));
}

#[test]
fn a_missing_image_costs_a_slot_and_no_more() {
    let mut bench = beginning();
    bench.engine.missing_images.insert("backup:1".to_owned());
    bench.want([job(service("* * * * *"))]);
    bench.until(130);
    let first = bench.runs().into_iter().next().unwrap();
    assert_eq!(first.slot, Slot(60_000));
    assert!(matches!(
        first.state,
        RunState::Missed {
            why: Missed::Image,
            ..
        }
    ));
    assert_eq!(bench.state("backup-1"), "failed unknown");
}

#[test]
fn a_service_that_is_kept_running_makes_way_for_the_job_that_it_becomes() {
    let mut bench = beginning();
    bench.want([of_service("backup-1", 1, 1, Service::new("backup:1"))]);
    bench.seconds(5);
    let mut next = job(service("* * * * *"));
    next.generation = 2;
    bench.want([next]);
    bench.until(61);
    assert_eq!(bench.slots_there(), [60]);
    assert_eq!(bench.engine.containers.len(), 1);
}
