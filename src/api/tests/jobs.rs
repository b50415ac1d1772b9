//! Jobs: what became of their slots, and when they run.

use std::sync::Arc;

use kontena_core::job::{Ledger, Missed, RunState as CoreState, Stop};
use kontena_core::report::{Health, InstanceState};
use kontena_core::schedule::Slot;
use kontena_core::stack::{Schedule, Service};
use kontena_core::time::WallTime;
use kontena_core::view::{Freshness, View};

use super::changes::documents;
use super::fixture::{NOON, Server, add_report, hold, key, node, view};
use super::paging::page;
use crate::api::types::run::{Run, RunState, Runs};
use crate::api::types::service::Service as Shown;

const PATH: &str = "/v1/services/home/shop/web";
const MINUTE: u64 = 60_000;

fn ledger(view: &View) -> Ledger {
    let creation = view.documents.services[&key("shop/web")].creation;
    let mut ledger = Ledger::new(creation, WallTime(NOON));
    let begun = |ledger: &mut Ledger, minutes: u64, state| {
        let slot = Slot(NOON + minutes * MINUTE);
        ledger.begin(slot);
        *ledger.state_of(slot).unwrap() = state;
    };
    let ended = |minutes: u64, exit_code, stopped, words: Option<&str>| CoreState::Ended {
        since: Some(WallTime(NOON + minutes * MINUTE + 1_000)),
        at: WallTime(NOON + minutes * MINUTE + 3_500),
        exit_code,
        stopped,
        words: words.map(str::to_owned),
    };
    begun(&mut ledger, 1, ended(1, 0, None, None));
    begun(&mut ledger, 2, ended(2, 137, Some(Stop::TimeLimit), None));
    ledger.miss(
        Slot(NOON + 3 * MINUTE),
        4,
        WallTime(NOON + 6 * MINUTE),
        Missed::Away,
    );
    begun(&mut ledger, 7, ended(7, 3, None, Some("no space left")));
    begun(&mut ledger, 8, CoreState::Lost);
    ledger
}

/// `shop/web` is a job, whose first instance `alpha` has.
fn with_job() -> View {
    let mut view = view();
    let mut service = Service::new("nginx:1.25");
    service.deploy.schedule = Some(Schedule::new("* * * * *".parse().unwrap()));
    let web = documents(&mut view)
        .services
        .get_mut(&key("shop/web"))
        .unwrap();
    web.latest.service = Ok(Arc::new(service));
    web.deployed.as_mut().unwrap().revision = web.latest.clone();
    let latest = web.latest.hash;
    let hold = hold(latest, 'a', InstanceState::Running, Health::Healthy);
    add_report(&mut view, 1, Freshness::Fresh, &[("shop/web-1", hold)]);
    let ledger = ledger(&view);
    let report = view.reports.get_mut(&node(1)).unwrap();
    Arc::make_mut(report)
        .jobs
        .insert("shop/web-1".parse().unwrap(), ledger);
    view
}

#[tokio::test]
async fn what_became_of_slots_is_told_the_newest_first() {
    let server = Server::reading(with_job()).await;
    let Runs { runs } = server.client.get(&format!("{PATH}/runs")).await.unwrap();
    let said = |run: &Run| (run.state, run.exit_code, run.missed, run.duration);
    let said: Vec<_> = runs.iter().map(said).collect();
    assert_eq!(
        said,
        [
            (RunState::Lost, None, None, None),
            (RunState::Failed, Some(3), None, Some(2_500)),
            (RunState::Missed, None, Some(4), None),
            (RunState::TimedOut, Some(137), None, Some(2_500)),
            (RunState::Succeeded, Some(0), None, Some(2_500)),
        ]
    );
    assert_eq!(runs[1].reason.as_deref(), Some("no space left"));
    assert_eq!(runs[2].reason.as_deref(), Some("the node was away"));
    assert_eq!(runs[0].node.name, "alpha");
    let (first, next) = page(&server, &format!("{PATH}/runs?limit=2")).await;
    assert_eq!(first.len(), 2);
    let (rest, _) = page(&server, &format!("{PATH}/runs{}", next.unwrap())).await;
    assert_eq!(rest[0]["state"], "missed");
}

#[tokio::test]
async fn a_job_is_scheduled_and_says_when_it_ran_and_runs() {
    let server = Server::reading(with_job()).await;
    let shown: Shown = server.client.get(PATH).await.unwrap();
    let options = &shown.definition.deploy_opts;
    assert_eq!(options.schedule.as_deref(), Some("* * * * *"));
    assert_eq!(options.time_zone.as_deref(), Some("UTC"));
    assert_eq!(options.time_limit, Some(86_400));
    let job = shown.job.unwrap();
    let at = |time: Option<crate::api::types::Time>| time.map(|time| time.wall().0 - NOON);
    assert_eq!(at(job.last_run), Some(8 * MINUTE));
    // NOON is 4 minutes and 5 seconds past an hour.
    assert_eq!(at(job.next_run), Some(8 * MINUTE + 55_000));
}

#[tokio::test]
async fn a_service_that_is_no_job_has_no_runs() {
    let server = Server::reading(view()).await;
    let Runs { runs } = server.client.get(&format!("{PATH}/runs")).await.unwrap();
    assert_eq!(runs, []);
    let shown: Shown = server.client.get(PATH).await.unwrap();
    assert_eq!(
        (shown.job, shown.definition.deploy_opts.schedule),
        (None, None)
    );
}
