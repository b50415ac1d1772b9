//! `kontena demo`: a whole grid on this one machine, with real Docker engines, and a stack on it.
//!
//! In: how many nodes. Out: a narration with measured times, and success only if every step of it held.
//! Below the [`story`] is a [`lab`]: hosts with a network, an engine and a disk each, that can be cut off
//! and killed; the e2e tests use the same. Needs root, Linux and Debian's packages (`scripts/demo`).
//!
//! This part knows kontena only from outside, by its commands and their `--json`: it imports nothing else
//! of this program.

pub(crate) mod daemon;
pub(crate) mod engine;
pub(crate) mod host;
mod http;
pub(crate) mod images;
pub(crate) mod lab;
mod leftovers;
mod network;
mod processes;
pub(crate) mod program;
mod requirements;
mod story;
pub(crate) mod wait;

use std::io::Write;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use self::host::Host;
use self::lab::{Lab, MOST_HOSTS};
use self::story::{Teller, WEB_PORT};

/// The demo's name for all that it makes.
const NAME: &str = "kontena-demo";

/// What `kontena demo` was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// 2 to 16: one of them is lost, and somebody must take over.
    pub(crate) nodes: u8,
    /// Leave the grid running at the end.
    pub(crate) keep: bool,
    /// Only remove what an earlier demo kept or left behind.
    pub(crate) down: bool,
}

/// Tells the story to `out`. What it made is removed again, also when it fails or is interrupted,
/// unless it is to be kept.
pub(crate) async fn run(options: &Options, out: &mut dyn Write) -> Result<()> {
    let mut teller = Teller::new(out);
    if options.down {
        Lab::new(NAME, 1)?.down().await?;
        return teller.tell("nothing of the demo is left");
    }
    let lab = check(options)?;
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    let told = tokio::select! {
        told = story::tell(&lab, &program, &mut teller) => told,
        interrupted = interruption() => interrupted,
    };
    if told.is_err() {
        // If nobody reads any more, the hosts must still be removed.
        let _ = story::last_words_of_all(&lab, &mut teller);
    }
    if options.keep {
        return told.and_then(|()| how_to_talk_to(&lab, &mut teller));
    }
    let removed = lab.down().await;
    told?;
    removed?;
    teller.tell("removed the hosts and all that was on them (`--keep` keeps them)")
}

fn check(options: &Options) -> Result<Lab> {
    if !(2..=MOST_HOSTS).contains(&options.nodes) {
        bail!(
            "a demo has 2 to {MOST_HOSTS} nodes, not {}: one of them will be lost",
            options.nodes
        );
    }
    requirements::check()?;
    let lab = Lab::new(NAME, options.nodes)?;
    if lab.exists() {
        bail!(
            "a demo is running, was kept or was left behind\nhint: `kontena demo --down` removes it"
        );
    }
    Ok(lab)
}

/// Returns, with an error, when somebody wants the demo to end.
async fn interruption() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    bail!("the demo was interrupted")
}

fn how_to_talk_to(lab: &Lab, teller: &mut Teller<'_>) -> Result<()> {
    teller.tell(
        "the grid is kept; talk to any of its nodes, and end it with `kontena demo --down`:",
    )?;
    for host in lab.hosts() {
        let socket = host.kontena_socket();
        teller.detail(&format!(
            "KONTENA_SOCKET={} kontena node ls",
            socket.display()
        ))?;
    }
    teller.tell("the page of `web`, as any of the hosts sees it:")?;
    teller.detail(&page_command(&lab.host(1)))
}

/// The hosts' network is their own: the request is made inside it.
fn page_command(host: &Host) -> String {
    let (namespace, address) = (host.namespace(), host.address());
    format!("ip netns exec {namespace} curl http://{address}:{WEB_PORT}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_asked_for_inside_the_hosts_network() {
        let lab = Lab::new(NAME, 3).unwrap();
        assert_eq!(
            page_command(&lab.host(1)),
            "ip netns exec kontena-demo-1 curl http://10.77.0.11:8080/"
        );
    }
}
