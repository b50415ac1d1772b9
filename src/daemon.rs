//! The daemon: builds the edges, owns the node, runs the loop.
//!
//! The loop is all there is: carry out what the node wants, wait for the next thing that happens or
//! for the time that the node named, and let it decide. A node that left its grid ends the loop, and
//! a new one with a new identity begins.

mod addresses;
mod backups;
mod clock;
pub(crate) mod config;
mod containers;
mod edges;
mod effects;
mod fences;
mod images;
mod keys;
mod logs;
mod moves;
mod naming;
mod networking;
mod node_name;
pub(crate) mod preflight;
mod registries;
mod streams;
mod volumes;

use std::time::Duration;

use anyhow::Context;
use kontena_core::command::CommandId;
use kontena_core::node::{Input, Node, NodeConfig, Phase, SavedState};
use kontena_core::time;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::disk::Disk;
use clock::Clock;
use config::Config;
use edges::{Edges, Happened};

/// Lag beyond this is told to the node: its own eyes may be the problem.
const LAG: Duration = Duration::from_millis(500);

/// How much more the scheduler favours a daemon than the containers beside it: a busy host must not
/// look like a dead one.
const NICENESS: i32 = -10;

/// How the life of a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The daemon was told to stop.
    Stopped,
    /// The node left its grid: its identity is spent.
    Left,
}

/// Runs until it is told to stop.
///
/// # Errors
/// Something that the daemon cannot do without: the data directory, the port, the socket.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    favour_this_process();
    let mut stop = Stop::new()?;
    while live(&config, &mut stop).await? == End::Left {
        tracing::info!("This node left its grid; it begins anew with a new identity");
    }
    Ok(())
}

/// Without the right to it, the daemon runs as everybody does.
fn favour_this_process() {
    if let Err(problem) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%problem, "The priority stays as it is");
    }
}

/// One node, from what its disk remembers until it stops or has left its grid.
async fn live(config: &Config, stop: &mut Stop) -> anyhow::Result<End> {
    let clock = Clock::start();
    let (disk, loaded) = Disk::open(&config.data_dir)?;
    tracing::info!(node = %loaded.key.node_id(), boot = loaded.boot, "Starting");
    let identity = NodeConfig {
        key: loaded.key.clone(),
        boot: loaded.boot,
        nonce: loaded.nonce,
        seed: loaded.nonce,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let saved = SavedState {
        envelopes: loaded.envelopes,
        reports: loaded.reports.into_values().collect(),
        local: loaded.local,
        keys: loaded.keys,
        arrivals: moves::arrivals(&config.data_dir)?,
    };
    let mut edges = Edges::open(config, disk, &loaded.key, loaded.boot, clock).await?;
    let mut node = Node::new(identity, saved, clock.now());
    node.handle(Input::Addresses(edges.addresses()), clock.now());
    let network = networking::begins(config.overlay.is_some());
    node.handle(Input::Network(network), clock.now());
    let end = turn(&mut node, &mut edges, clock, stop).await;
    let network = match &end {
        Ok(End::Left) => networking::End::Remove,
        Ok(End::Stopped) | Err(_) => networking::End::Stop,
    };
    edges.close(network).await?;
    end
}

/// The loop.
async fn turn(
    node: &mut Node,
    edges: &mut Edges,
    clock: Clock,
    stop: &mut Stop,
) -> anyhow::Result<End> {
    let (mut was_in_grid, mut is_stopping) = (false, false);
    loop {
        while let Some(output) = node.poll_output() {
            edges.effects.carry_out(output).await?;
        }
        edges.effects.answer_nobody();
        let phase = edges.effects.phase();
        if edges.effects.has_stopped() {
            return Ok(End::Stopped);
        }
        if was_in_grid && phase == Phase::Alone {
            return Ok(if is_stopping { End::Stopped } else { End::Left });
        }
        was_in_grid |= is_in_grid(&phase);
        let wake = node.poll_timeout().map(|(at, _)| at);
        tokio::select! {
            () = stop.called(), if !is_stopping => {
                is_stopping = true;
                edges.refuse_orders();
                node.handle(Input::Stopping, clock.now());
            }
            () = until(wake.map(|wake| clock.when(wake))) => {
                report_lag(node, wake, clock);
                node.handle(Input::Wake, clock.now());
            }
            happened = edges.next() => take(node, edges, happened, clock)?,
        }
    }
}

/// Whether a disk has a grid to forget: also that of a node which starts as a removed one, or its
/// next grid would be written over what the disk is about to forget.
fn is_in_grid(phase: &Phase) -> bool {
    match phase {
        Phase::Alone | Phase::Joining => false,
        Phase::Member | Phase::Leaving | Phase::Removed | Phase::Cloned => true,
    }
}

/// Waits for the time that the node named; for ever if it named none.
async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

/// A wake-up that comes late means that this host stood still, was suspended, or is too busy.
fn report_lag(node: &mut Node, wake: Option<time::Instant>, clock: Clock) {
    let lag = wake.map_or(Duration::ZERO, |wake| clock.monotonic().since(wake));
    if lag > LAG {
        tracing::warn!(?lag, "The loop lags");
        node.handle(Input::Lagged(lag), clock.now());
    }
}

fn take(
    node: &mut Node,
    edges: &mut Edges,
    happened: Happened,
    clock: Clock,
) -> anyhow::Result<()> {
    match happened {
        Happened::Input(input) => node.handle(*input, clock.now()),
        Happened::Order(order) => {
            let (command, answer) = *order;
            let id = edges.effects.expect_reply(answer);
            node.handle(Input::Command { id, command }, clock.now());
        }
        Happened::KeyOrder(order) => {
            let (write, answer) = *order;
            let id = edges.effects.expect_key_reply(answer);
            node.handle(Input::WriteKey { id, write }, clock.now());
        }
        Happened::Nothing => {}
        Happened::Ended(what) => anyhow::bail!("{what} has ended"),
    }
    Ok(())
}

/// SIGTERM or SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?,
        })
    }

    async fn called(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Numbers the commands of one life.
#[derive(Debug, Default)]
struct Commands(u64);

impl Commands {
    fn next(&mut self) -> CommandId {
        self.0 += 1;
        CommandId(self.0)
    }
}
