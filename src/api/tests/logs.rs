//! Logs: merged, bounded, and followed into containers that come later.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kontena_core::report::{Health, InstanceState};
use kontena_core::view::{Freshness, View};
use tokio::sync::watch;
use tokio::time::timeout;

use super::fixture::{FakeLogs, NOON, Server, add_report, hold, key, view};
use crate::api::backend::{LogLine, LogStream};
use crate::api::client::ApiError;
use crate::api::logs::{Range, Selection, follow};
use crate::api::types::log::{FollowedLine, Logs};

const LOGS: &str = "/v1/services/home/shop/web/container_logs";

/// A line so many milliseconds after noon.
fn line(millis: u64, text: &str) -> LogLine {
    LogLine {
        nanos: (NOON + millis) * 1_000_000,
        stream: LogStream::Stdout,
        text: text.to_owned(),
    }
}

/// `web-1` runs on `alpha` as container `a`, `web-2` on `delta` as `d`; `gamma` is absent with `b`.
fn two_containers() -> View {
    let mut view = view();
    let hash = view.documents.services[&key("shop/web")].latest.hash;
    let second = hold(hash, 'd', InstanceState::Running, Health::Healthy);
    add_report(&mut view, 4, Freshness::Fresh, &[("shop/web-2", second)]);
    view
}

fn texts(logs: &Logs) -> Vec<&str> {
    logs.logs.iter().map(|entry| entry.data.as_str()).collect()
}

#[tokio::test]
async fn lines_of_all_containers_are_merged_by_time() {
    let server = Server::reading(two_containers()).await;
    server
        .logs
        .put('a', vec![Ok(line(1, "one")), Ok(line(3, "three"))]);
    server
        .logs
        .put('d', vec![Ok(line(2, "two")), Ok(line(4, "four"))]);

    let all: Logs = server.client.get(LOGS).await.unwrap();
    assert_eq!(texts(&all), ["one", "two", "three", "four"]);
    assert_eq!(all.logs[1].name, "shop.web-2");
    assert_eq!(all.logs[1].node, "delta");
    assert_eq!(all.missing.len(), 1);
    assert_eq!(all.missing[0].node, "gamma");

    let last: Logs = server.client.get(&format!("{LOGS}?limit=2")).await.unwrap();
    assert_eq!(texts(&last), ["three", "four"]);
    let from = format!("{LOGS}?from={}", all.logs[1].id);
    let rest: Logs = server.client.get(&from).await.unwrap();
    assert_eq!(texts(&rest), ["three", "four"]);
    let one: Logs = server
        .client
        .get(&format!("{LOGS}?instance=1"))
        .await
        .unwrap();
    assert_eq!(texts(&one), ["one", "three"]);
    let next = format!("{LOGS}?limit=2&from={}", all.logs[0].id);
    let next: Logs = server.client.get(&next).await.unwrap();
    assert_eq!(texts(&next), ["two", "three"]);
    let since = format!("{LOGS}?since=2026-01-02T03:04:05.003Z");
    let since: Logs = server.client.get(&since).await.unwrap();
    assert_eq!(texts(&since), ["three", "four"]);
}

#[tokio::test]
async fn the_grids_logs_can_be_narrowed() {
    let server = Server::reading(two_containers()).await;
    server.logs.put('a', vec![Ok(line(1, "one"))]);
    server.logs.put('d', vec![Ok(line(2, "two"))]);
    for (query, expected) in [
        ("nodes=delta", vec!["two"]),
        ("services=web", vec!["one", "two"]),
        ("services=home/shop/web&nodes=alpha", vec!["one"]),
        ("services=shop/db", vec![]),
        ("containers=shop.web-2", vec!["two"]),
    ] {
        let path = format!("/v1/grids/home/container_logs?{query}");
        let logs: Logs = server.client.get(&path).await.unwrap();
        assert_eq!(texts(&logs), expected, "{query}");
    }
    let path = "/v1/containers/home/alpha/shop.web-1/logs";
    let logs: Logs = server.client.get(path).await.unwrap();
    assert_eq!(texts(&logs), ["one"]);
}

#[tokio::test]
async fn what_a_path_names_is_not_widened_by_parameters() {
    let server = Server::reading(two_containers()).await;
    server.logs.put('a', vec![Ok(line(1, "one"))]);
    server.logs.put('d', vec![Ok(line(2, "two"))]);
    let container = "/v1/containers/home/alpha/shop.web-1/logs";
    for (path, expected) in [
        (format!("{LOGS}?services=db"), vec![]),
        (format!("{LOGS}?containers=shop.web-2"), vec!["two"]),
        (format!("{container}?nodes=delta"), vec![]),
        (format!("{container}?containers=shop.web-2"), vec![]),
        (format!("{container}?nodes=alpha,delta"), vec!["one"]),
    ] {
        let logs: Logs = server.client.get(&path).await.unwrap();
        assert_eq!(texts(&logs), expected, "{path}");
    }
}

#[tokio::test]
async fn a_log_of_what_does_not_exist_is_404_by_its_name() {
    let server = Server::reading(view()).await;
    for (path, message) in [
        (
            "/v1/stacks/home/shop/container_logs?services=web,nope",
            "service `shop/nope` does not exist",
        ),
        (
            "/v1/stacks/home/shop/container_logs?services=shop/nope&follow=1&missing=1",
            "service `shop/nope` does not exist",
        ),
        (
            "/v1/grids/home/container_logs?services=nope",
            "service `nope` does not exist",
        ),
        (
            "/v1/grids/home/container_logs?nodes=alpha,tpyo",
            "node `tpyo` does not exist",
        ),
        (
            "/v1/grids/home/container_logs?containers=shop.web-9&follow=1",
            "container `shop.web-9` does not exist",
        ),
        (
            "/v1/services/home/shop/web/container_logs?instance=9",
            "instance 9 of `shop/web` does not exist",
        ),
        (
            "/v1/grids/home/container_logs?services=web&instance=0",
            "instance 0 of `shop/web` does not exist",
        ),
        (
            "/v1/why/shop/web?instance=9",
            "instance 9 of `shop/web` does not exist",
        ),
    ] {
        let refused = server.refused(path).await;
        assert_eq!(
            (refused.status, refused.message.as_str()),
            (Some(404), message)
        );
    }
    // Nothing of it shall run, so no number is wrong: the answer says that it was never deployed.
    assert!(
        server
            .get("/v1/why/shop/db?instance=1")
            .await
            .contains("deploy")
    );
}

#[tokio::test]
async fn a_log_that_breaks_off_leaves_a_gap_that_is_told() {
    let server = Server::reading(two_containers()).await;
    server
        .logs
        .put('a', vec![Ok(line(1, "one")), Err("it broke".to_owned())]);
    let logs: Logs = server.client.get(LOGS).await.unwrap();
    assert_eq!(texts(&logs), ["one"]);
    let gap = logs.missing.iter().find(|gap| gap.node == "alpha").unwrap();
    assert_eq!(gap.problem, "it broke");
}

#[tokio::test]
async fn wrong_parameters_are_refused() {
    let server = Server::reading(view()).await;
    for query in [
        "limit=99999",
        "limit=x",
        "since=noon",
        "from=1",
        "follow=maybe",
        "missing=maybe",
        "tail=1",
    ] {
        let refused = server.refused(&format!("{LOGS}?{query}")).await;
        assert_eq!(refused.status, Some(422), "{query}");
        let (name, _) = query.split_once('=').unwrap();
        assert!(refused.message.contains(name), "{refused}");
    }
}

async fn next(
    lines: &mut (impl Stream<Item = Result<FollowedLine, ApiError>> + Unpin),
) -> Result<String, String> {
    match lines.next().await.unwrap().unwrap() {
        FollowedLine::Entry(entry) => Ok(format!("{} {}", entry.name, entry.data)),
        FollowedLine::Missing { missing } => Err(format!("{} {}", missing.node, missing.problem)),
    }
}

#[tokio::test]
async fn following_goes_on_into_containers_that_come_later() {
    let server = Server::reading(view()).await;
    server.logs.put('a', vec![Ok(line(1, "old"))]);
    server.logs.put('d', vec![Ok(line(5, "hello"))]);
    let lines = server
        .client
        .follow::<FollowedLine>(&format!("{LOGS}?follow=1&missing=1"))
        .await;
    let mut lines = pin!(lines.unwrap());
    let mut first = vec![next(&mut lines).await, next(&mut lines).await];
    first.sort();
    assert_eq!(
        first,
        [
            Ok("shop.web-1 old".to_owned()),
            Err("gamma the node is offline".to_owned())
        ]
    );
    server.logs.push('a', &line(2, "new"));
    assert_eq!(next(&mut lines).await.unwrap(), "shop.web-1 new");

    server.view.send_replace(Arc::new(two_containers()));
    assert_eq!(next(&mut lines).await.unwrap(), "shop.web-2 hello");
    // A view that changes nothing opens nothing twice.
    server.view.send_replace(Arc::new(two_containers()));
    server.logs.push('a', &line(6, "still"));
    assert_eq!(next(&mut lines).await.unwrap(), "shop.web-1 still");
    assert_eq!(server.logs.opened.lock().unwrap().len(), 2);
}

/// Only `web-1`, as container `a` on `alpha`.
fn one_container(state: InstanceState) -> Arc<View> {
    let mut view = view();
    let hash = view.documents.services[&key("shop/web")].latest.hash;
    let only = hold(hash, 'a', state, Health::Healthy);
    add_report(&mut view, 1, Freshness::Fresh, &[("shop/web-1", only)]);
    add_report(&mut view, 3, Freshness::Fresh, &[]);
    Arc::new(view)
}

/// Without a server, so that time can be made.
fn followed(
    logs: &Arc<FakeLogs>,
    view: &watch::Sender<Arc<View>>,
) -> impl Stream<Item = FollowedLine> + Unpin + use<> {
    let range = Range {
        limit: 100,
        since: None,
        after: None,
    };
    let lines = follow(logs.clone(), view.subscribe(), Selection::default(), range);
    Box::pin(lines)
}

/// What is heard until nothing comes for an hour.
async fn in_an_hour(lines: &mut (impl Stream<Item = FollowedLine> + Unpin)) -> Vec<String> {
    let mut heard = Vec::new();
    while let Ok(Some(line)) = timeout(Duration::from_secs(3600), lines.next()).await {
        heard.push(match line {
            FollowedLine::Entry(entry) => entry.data,
            FollowedLine::Missing { missing } => format!("missing: {}", missing.problem),
        });
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn a_container_that_stops_and_starts_again_is_followed_from_its_last_line() {
    let logs = Arc::new(FakeLogs::default());
    let view = watch::Sender::new(one_container(InstanceState::Running));
    logs.put('a', vec![Ok(line(1, "one")), Ok(line(2, "two"))]);
    let mut lines = followed(&logs, &view);
    assert_eq!(in_an_hour(&mut lines).await, ["one", "two"]);

    // It crashed, and started within one view: its last words share their time with what was heard.
    let all = [(1, "one"), (2, "two"), (2, "oops"), (3, "hello")];
    let all = all.map(|(time, text)| Ok(line(time, text)));
    logs.put('a', all.to_vec());
    logs.end('a');
    assert_eq!(in_an_hour(&mut lines).await, ["oops", "hello"]);
    logs.push('a', &line(4, "on"));
    assert_eq!(in_an_hour(&mut lines).await, ["on"]);
    assert_eq!(logs.times_opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_run_is_opened_again_once_it_does() {
    let logs = Arc::new(FakeLogs::default());
    let view = watch::Sender::new(one_container(InstanceState::Running));
    logs.put('a', vec![Ok(line(1, "one"))]);
    let mut lines = followed(&logs, &view);
    assert_eq!(in_an_hour(&mut lines).await, ["one"]);
    view.send_replace(one_container(InstanceState::Failed));
    logs.end('a');
    assert!(in_an_hour(&mut lines).await.is_empty());
    assert_eq!(logs.times_opened(), 1);

    logs.put('a', vec![Ok(line(1, "one")), Ok(line(9, "again"))]);
    view.send_replace(one_container(InstanceState::Running));
    assert_eq!(in_an_hour(&mut lines).await, ["again"]);
    assert_eq!(logs.times_opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_is_told_once_and_tried_now_and_then() {
    let logs = Arc::new(FakeLogs::default());
    let view = watch::Sender::new(one_container(InstanceState::Running));
    logs.put('a', vec![Err("it broke".to_owned())]);
    let mut lines = followed(&logs, &view);
    assert_eq!(in_an_hour(&mut lines).await, ["missing: it broke"]);
    // Every ten seconds, and at first a little sooner.
    let tried = logs.times_opened();
    assert!((300..=370).contains(&tried), "{tried}");

    logs.put('a', vec![Ok(line(1, "one"))]);
    assert_eq!(in_an_hour(&mut lines).await, ["one"]);
    logs.put('a', vec![Ok(line(1, "one")), Err("it broke".to_owned())]);
    logs.end('a');
    assert_eq!(in_an_hour(&mut lines).await, ["missing: it broke"]);
}

#[tokio::test]
async fn a_stopping_server_ends_followed_logs() {
    let server = Server::reading(view()).await;
    server.logs.put('a', vec![Ok(line(1, "old"))]);
    let lines = server
        .client
        .follow::<FollowedLine>(&format!("{LOGS}?follow=1&missing=1"))
        .await;
    let mut lines = pin!(lines.unwrap());
    assert!(lines.next().await.is_some());
    server.stop().await;
    let mut rest = 0;
    while let Some(line) = lines.next().await {
        rest += usize::from(line.is_ok());
    }
    assert!(rest <= 1, "{rest} more lines");
}

#[tokio::test]
async fn whoever_stops_following_stops_the_reading() {
    let server = Server::reading(view()).await;
    server.logs.put('a', vec![Ok(line(1, "old"))]);
    let path = format!("{LOGS}?follow=1&missing=1");
    let lines = server.client.follow::<FollowedLine>(&path).await;
    let mut lines = Box::pin(lines.unwrap());
    assert!(lines.next().await.is_some());
    drop(lines);
    server.logs.unfollowed().await;
}
