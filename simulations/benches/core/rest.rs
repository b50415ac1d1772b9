//! A grid at rest: how many times faster than real time it runs, and what a message costs.

use std::time::Duration;

use crate::figure::{Clock, Row};
use crate::founded::{deploy, founded};

/// A measurement ends after this much time of the processor.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn measure(sizes: &[usize], report: &mut dyn FnMut(Row)) {
    // Each instance that starts is told to each node some four times: a thousand nodes get fewer.
    for (hosts, stacks, instances, span, aim) in [
        (5, 20, 1, Duration::from_secs(3_600), "≥ 5,000 ×"),
        (50, 20, 2, Duration::from_secs(3_600), "≥ 300 ×"),
        (1_000, 2, 1, Duration::from_secs(60), "≥ 10 ×"),
    ] {
        if !sizes.is_empty() && !sizes.contains(&hosts) {
            continue;
        }
        let services = 10 * stacks;
        let start = Clock::start();
        let mut world = founded(hosts);
        world.run_for(Duration::from_secs(20));
        let booted = start.elapsed();
        let start = Clock::start();
        let before = world.now();
        deploy(&mut world, stacks, instances);
        let wanted = services * instances as usize;
        while world.running().len() < wanted && start.elapsed() < 10 * PATIENCE {
            world.run_for(Duration::from_secs(1));
        }
        let (settled, started) = (start.elapsed(), world.now().since(before));
        report(Row {
            what: format!("{hosts} nodes: booted, and {wanted} instances started"),
            figure: format!(
                "{:.2} s and {:.2} s, for {:.0} s; {} run",
                booted.as_secs_f64(),
                settled.as_secs_f64(),
                started.as_secs_f64(),
                world.running().len()
            ),
            aim: "",
        });
        world.run_for(Duration::from_secs(20).min(span / 4));
        let (start, before, messages) = (Clock::start(), world.now(), world.messages);
        while world.now().since(before) < span && start.elapsed() < PATIENCE {
            world.run_for(Duration::from_secs(1));
        }
        let (took, simulated) = (start.elapsed(), world.now().since(before));
        let messages = world.messages - messages;
        report(Row {
            what: format!("{hosts} nodes at rest with {services} services: times real time"),
            figure: format!(
                "**{:.1} ×** ({:.0} s in {:.2} s; {} messages, {:.1} µs each)",
                simulated.as_secs_f64() / took.as_secs_f64(),
                simulated.as_secs_f64(),
                took.as_secs_f64(),
                messages,
                took.as_secs_f64() * 1e6 / messages as f64
            ),
            aim,
        });
    }
}
