//! SWIM beside ours: the same questions to `foca` with the constants that it gives for a local network,
//! on the same pretended network.
//!
//! A node that is *down* to it may be replaced, so *down* stands beside our *absent* where alarms are
//! counted, and beside our *stale* where a crash is detected.

mod machines;

use std::time::Duration;

use super::absences::Condition;
use super::effort::Setup;
use super::observe::SAMPLE;
use super::percentile::percentile;
use super::{Point, Value};
use machines::Machines;

const SETTLED: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(120);
const REST: Duration = Duration::from_secs(60);
const SPLIT: Duration = Duration::from_secs(300);
const HEAL_LIMIT: Duration = Duration::from_secs(300);

fn settled(nodes: usize, seed: u64) -> Machines {
    let mut machines = Machines::new(nodes, seed);
    machines.run_for(SETTLED);
    machines
}

/// Until each node that lives takes one that crashed for down.
pub fn detection(setup: Setup) -> Vec<Point> {
    let Setup { nodes, seed, .. } = setup;
    let (mut each, mut last) = (Vec::new(), Vec::new());
    let mut span = Duration::ZERO;
    for crash in 0..setup.effort.crashes {
        // A node that was down comes back as another: a fresh grid for each crash is simpler.
        let mut machines = settled(nodes, seed.wrapping_add(crash as u64));
        let times = machines.crash(crash % nodes, LIMIT);
        span += times.iter().max().copied().unwrap_or_default();
        last.extend(times.iter().max().copied());
        each.extend(times);
    }
    let point = |series, times: &[Duration], thousandths| Point {
        nodes,
        series,
        value: Value::within(percentile(times, thousandths), LIMIT),
        samples: times.len(),
        span,
    };
    vec![
        point("SWIM: known to a node, p99", &each, 990),
        point("SWIM: known to all, worst", &last, 1_000),
    ]
}

/// How often a node that lives is declared down by another.
pub fn alarms(setup: Setup) -> Vec<Point> {
    let conditions = Condition::ALL.into_iter();
    conditions
        .map(|condition| under(condition, setup))
        .collect()
}

fn under(condition: Condition, setup: Setup) -> Point {
    let Setup { nodes, seed, .. } = setup;
    let mut machines = settled(nodes, seed);
    condition.impose(&mut machines.network, nodes);
    let before = machines.downs;
    let span = setup.effort.watch;
    let start = machines.now();
    let mut rhythms = condition.rhythms(nodes, start, &mut machines.chance);
    while machines.now().since(start) < span {
        machines.run_for(SAMPLE);
        for host in rhythms.due(machines.now()) {
            machines.stall(host, Condition::STALL);
        }
    }
    Point {
        nodes,
        series: match condition {
            Condition::Loss => "SWIM: down, 10 % loss",
            Condition::Deaf => "SWIM: down, cut from 80 %",
            Condition::Stalling => "SWIM: down, tenth stalls 3 s",
        },
        value: Value::Seen((machines.downs - before) as f64),
        samples: nodes * nodes.saturating_sub(1),
        span,
    }
}

/// After a split into halves: until each node has all others again.
pub fn heal(setup: Setup) -> Point {
    let Setup { nodes, seed, .. } = setup;
    let mut machines = settled(nodes, seed);
    let (left, right): (Vec<usize>, Vec<usize>) = (0..nodes).partition(|host| *host < nodes / 2);
    machines.network.split(&left, &right);
    machines.run_for(SPLIT);
    machines.network.heal();
    let start = machines.now();
    while !machines.all_know_all() && machines.now().since(start) < HEAL_LIMIT {
        machines.run_for(SAMPLE);
    }
    let took = machines.now().since(start);
    Point {
        nodes,
        series: "SWIM: membership",
        value: Value::within(Some(took), HEAL_LIMIT),
        samples: 1,
        span: took,
    }
}

/// Bytes that a node sends at rest, of its packets alone.
pub fn rest(setup: Setup) -> Point {
    let Setup { nodes, seed, .. } = setup;
    let mut machines = settled(nodes, seed);
    let before = machines.bytes;
    machines.run_for(REST);
    let each = (machines.bytes - before) as f64 / nodes as f64;
    Point {
        nodes,
        series: "SWIM: at rest, average node",
        value: Value::Seen(each / REST.as_secs_f64()),
        samples: nodes,
        span: REST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yardstick_finds_a_crash_and_raises_no_alarm_when_all_is_quiet() {
        let mut machines = settled(10, 1);
        assert!(machines.all_know_all());
        assert_eq!(machines.downs, 0);
        let times = machines.crash(3, LIMIT);
        assert_eq!(times.len(), 9);
        let worst = times.into_iter().max().unwrap();
        assert!(
            worst > Duration::from_secs(3) && worst < Duration::from_secs(15),
            "{worst:?}"
        );
        assert_eq!(machines.downs, 0, "it is no false alarm");
    }

    #[test]
    fn equal_seeds_give_equal_points() {
        let setup = Setup::new(3, 5, 100);
        assert_eq!(detection(setup), detection(setup));
        assert_eq!(rest(setup), rest(setup));
    }
}
