//! `service monitor` and `stack monitor`: what runs where, looked at again and again until nobody wants to see more.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::failure::Failure;
use super::output::Look;
use super::service::{name, state_colour};
use super::session::Session;
use super::table::{Cell, Table};
use super::text::{Colour, age, or_dash};
use crate::api::client::ApiError;
use crate::api::types::instance::Instance;
use crate::api::types::service::Service;

/// A daemon that is restarted answers again within that.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Interval {
    /// How long after one look the next one follows
    #[arg(
        long = "interval",
        value_name = "SECONDS",
        default_value_t = 2,
        value_parser = clap::value_parser!(u64).range(1..=3_600)
    )]
    seconds: u64,
}

/// Shows what `look` finds, each time; with `--json` a line each time.
pub(crate) async fn watch<J: Serialize>(
    session: &Session,
    interval: Interval,
    look: impl AsyncFn() -> Result<Vec<Service>, ApiError>,
    json: impl Fn(Vec<Service>) -> J,
) -> Result<(), Failure> {
    let mut answered = None;
    loop {
        match look().await {
            Ok(services) => {
                answered = Some(Instant::now());
                show(session, services, &json)?;
            }
            Err(problem) if problem.status.is_none() && is_recent(answered) => {
                session.output.warn(&problem.message);
            }
            Err(problem) => return Err(problem.into()),
        }
        sleep(Duration::from_secs(interval.seconds)).await;
    }
}

fn is_recent(answered: Option<Instant>) -> bool {
    answered.is_some_and(|answered| answered.elapsed() < SILENCE_LIMIT)
}

fn show<J: Serialize>(
    session: &Session,
    services: Vec<Service>,
    json: impl Fn(Vec<Service>) -> J,
) -> Result<(), Failure> {
    if session.output.is_json() {
        return session.output.json_line(&json(services));
    }
    let text = shown(&services, Timestamp::now(), session.output.look());
    session.output.screen(&text)
}

/// The services, then their instances; a blank line ends it.
fn shown(services: &[Service], now: Timestamp, look: Look) -> String {
    let of_services = table(services).render(look);
    let of_instances = instances(services, now).render(look);
    format!("{of_services}\n{of_instances}\n")
}

fn table(services: &[Service]) -> Table {
    let mut table = Table::new(&["SERVICE", "INSTANCES", "HEALTHY", "STRATEGY", "STATE"]);
    for service in services {
        let counts = service.counts;
        table.row([
            name(service).into(),
            format!("{} / {}", counts.running, counts.desired).into(),
            counts.healthy.to_string().into(),
            service.definition.strategy.as_str().into(),
            Cell::coloured(service.state.as_str(), state_colour(service)),
        ]);
    }
    table
}

fn instances(services: &[Service], now: Timestamp) -> Table {
    let mut table = Table::new(&["INSTANCE", "NODE", "STATE", "HEALTH", "SINCE", "PROBLEM"]);
    for service in services {
        for instance in service.instance_rows.iter().flatten() {
            let node = instance.node.as_ref().map(|node| &node.name);
            let since = instance.since.map(|since| age(since, now));
            table.row([
                format!("{}-{}", name(service), instance.instance_number).into(),
                or_dash(node).into(),
                Cell::coloured(&instance.state, colour(instance)),
                instance.health.as_str().into(),
                or_dash(since.as_ref()).into(),
                problem(instance).into(),
            ]);
        }
    }
    table
}

/// The first line of it: `show` has the others.
fn problem(instance: &Instance) -> &str {
    let problem = instance.error.as_deref().unwrap_or_default();
    problem.lines().next().unwrap_or("-")
}

fn colour(instance: &Instance) -> Option<Colour> {
    match (instance.state.as_str(), instance.health.as_str()) {
        ("failed", _) | (_, "unhealthy") => Some(Colour::Red),
        ("running", "healthy") => Some(Colour::Green),
        ("stopped", _) => None,
        (_, _) => Some(Colour::Yellow),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::service::example;
    use super::*;

    #[test]
    fn services_are_shown_with_where_their_instances_run() {
        let now = "2026-01-31T12:05:00Z".parse().unwrap();
        let mut web = example("shop", "web");
        for row in web.instance_rows.iter_mut().flatten() {
            row.since = Some("2026-01-31T12:00:00Z".parse().unwrap());
        }
        expect![[r#"
            SERVICE   INSTANCES  HEALTHY  STRATEGY  STATE
            shop/web  2 / 2      1        ha        running

            INSTANCE    NODE  STATE    HEALTH   SINCE  PROBLEM
            shop/web-1  a     running  healthy  5 min  -
            shop/web-2  -     pending  unknown  5 min  no node fits

        "#]]
        .assert_eq(&shown(&[web], now, Look::PLAIN));
    }
}
