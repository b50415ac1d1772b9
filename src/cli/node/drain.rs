//! `node drain`, `evacuate` and `activate`: emptying a node, and giving it work again.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use kontena_core::id::{GridName, NodeName};
use kontena_core::view::Availability;
use tokio::time::{Instant, sleep};

use super::super::failure::Failure;
use super::super::patience::ask;
use super::super::session::Session;
use super::super::text::printable;
use super::put;
use crate::api::paths;
use crate::api::types::node::{Departing, Departures, Fate, NodeChange};

/// A move takes a second or more; more often would only cost.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Args, Debug)]
pub(super) struct Drain {
    /// Nodes
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<NodeName>,
    /// Wait until nothing is left there that can move. It goes on without that, also when this is interrupted
    #[arg(long)]
    wait: bool,
    /// How long to wait for each node, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "wait", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: u32,
}

#[derive(Args, Debug)]
pub(super) struct Activate {
    /// Nodes
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<NodeName>,
}

pub(super) async fn activate(session: &Session, asked: &Activate) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let change = availability(Availability::Active);
    let activate_one = async |name: &NodeName| {
        let said = format!("node `{name}` takes work again");
        put(session, &grid, name, &change, &said).await
    };
    session.change_each(&asked.nodes, activate_one).await
}

pub(super) async fn drain(session: &Session, asked: &Drain) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let change = availability(Availability::Drain);
    let limit = Duration::from_secs(asked.timeout.into());
    let drain_one = async |name: &NodeName| {
        let said = format!("node `{name}` drains");
        let changed = put(session, &grid, name, &change, &said).await?;
        if asked.wait {
            empty(session, &grid, name, limit).await?;
        }
        Ok(changed)
    };
    session.change_each(&asked.nodes, drain_one).await
}

fn availability(availability: Availability) -> NodeChange {
    NodeChange {
        availability: Some(availability),
        ..NodeChange::default()
    }
}

/// Waits until nothing is left that can move, and tells what moves and what stays.
async fn empty(
    session: &Session,
    grid: &GridName,
    name: &NodeName,
    limit: Duration,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let path = paths::departures(grid, name);
    let mut progress = Progress::default();
    loop {
        let seen: Departures = ask(session, &path).await?;
        for line in progress.news(&seen.departures) {
            session.output.talk(&line);
        }
        let under_way = seen.departures.iter().filter(|one| one.is_under_way());
        let left = under_way.count();
        if left == 0 {
            for line in ending(name, &seen) {
                session.output.talk(&line);
            }
            return Ok(());
        }
        if begun.elapsed() >= limit {
            let message = format!(
                "node `{name}` still has {left} of its instances after {} s",
                limit.as_secs()
            );
            return Err(Failure::failed(message)
                .hint("it goes on; `kontena why SERVICE` tells what an instance waits for"));
        }
        sleep(PAUSE).await;
    }
}

/// What was told of each instance that is on its way.
#[derive(Default)]
struct Progress(BTreeMap<String, Option<String>>);

impl Progress {
    /// Each instance once when it begins to go, and once when it is gone.
    fn news(&mut self, departures: &[Departing]) -> Vec<String> {
        let mut lines = Vec::new();
        let under_way = || departures.iter().filter(|one| one.is_under_way());
        let is_gone = |instance: &String| !under_way().any(|one| one.instance == *instance);
        let gone: Vec<String> = self.0.keys().filter(|one| is_gone(one)).cloned().collect();
        for instance in gone {
            let to = self.0.remove(&instance).flatten();
            lines.push(match to {
                Some(to) => format!("`{instance}` runs on `{to}`"),
                None => format!("`{instance}` has stopped"),
            });
        }
        for one in under_way().filter(|one| !self.0.contains_key(&one.instance)) {
            let instance = printable(&one.instance);
            lines.push(match &one.to {
                Some(to) => format!("`{instance}` moves to `{to}`"),
                None => format!("`{instance}` stops"),
            });
        }
        let now = under_way().map(|one| (one.instance.clone(), one.to.clone()));
        self.0 = now.collect();
        lines
    }
}

/// What is said when nothing is under way any more.
fn ending(name: &NodeName, seen: &Departures) -> Vec<String> {
    if seen.away {
        let said = "is away: what it ran is taken over, or waits for it";
        return vec![format!("node `{name}` {said}")];
    }
    let mut lines: Vec<String> = seen.departures.iter().filter_map(staying).collect();
    lines.push(format!("node `{name}` has nothing left that can move"));
    lines
}

fn staying(one: &Departing) -> Option<String> {
    let instance = printable(&one.instance);
    match one.fate {
        Fate::Moves | Fate::Stops => None,
        Fate::StandsBy => Some(format!(
            "`{instance}` stands by: its data is here, and it runs again when the node is active"
        )),
        Fate::Stays => {
            let (service, number) = instance.rsplit_once('-')?;
            Some(format!(
                "`{instance}` stays: no other node fits; `kontena why {service} --instance {number}` tells more"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn departing(instance: &str, fate: Fate, to: Option<&str>) -> Departing {
        Departing {
            instance: instance.to_owned(),
            fate,
            to: to.map(str::to_owned),
        }
    }

    #[test]
    fn each_instance_is_told_when_it_goes_and_when_it_is_gone() {
        let mut progress = Progress::default();
        let moves = departing("shop/web-1", Fate::Moves, Some("b"));
        let stops = departing("agent-3", Fate::Stops, None);
        let both = [moves.clone(), stops];
        assert_eq!(
            progress.news(&both),
            ["`shop/web-1` moves to `b`", "`agent-3` stops"]
        );
        assert_eq!(progress.news(&both), [""; 0]);
        assert_eq!(progress.news(&[moves]), ["`agent-3` has stopped"]);
        assert_eq!(progress.news(&[]), ["`shop/web-1` runs on `b`"]);
    }

    #[test]
    fn what_stays_is_told_with_its_reason() {
        let seen = Departures {
            away: false,
            departures: vec![
                departing("db-1", Fate::StandsBy, None),
                departing("shop/web-12", Fate::Stays, None),
            ],
        };
        assert_eq!(
            ending(&"a".parse().unwrap(), &seen),
            [
                "`db-1` stands by: its data is here, and it runs again when the node is active",
                "`shop/web-12` stays: no other node fits; `kontena why shop/web --instance 12` tells more",
                "node `a` has nothing left that can move",
            ]
        );
    }

    #[test]
    fn a_node_that_is_away_is_not_waited_for() {
        let seen = Departures {
            away: true,
            departures: Vec::new(),
        };
        assert_eq!(
            ending(&"a".parse().unwrap(), &seen),
            ["node `a` is away: what it ran is taken over, or waits for it"]
        );
    }
}
