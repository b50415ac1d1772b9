//! The CPUs are saturated by ordinary programs, and nothing is lost: nobody may take anything over.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

use crate::field::{Container, Field};
use crate::figure::Row;
use crate::say;

const INSTANCES: u32 = 6;
const LOOK: Duration = Duration::from_secs(1);

/// What was seen meanwhile.
#[derive(Default)]
struct Seen {
    /// Containers that were not there at the start.
    started: BTreeSet<String>,
    /// Containers of the start that were not there once.
    ended: BTreeSet<String>,
    /// How many looks found a node called so by another.
    called: BTreeMap<String, usize>,
    looks: usize,
}

pub(crate) async fn measure(field: &Field, length: Duration) -> Result<Vec<Row>> {
    field.begin_anew().await?;
    field.run_service("s", INSTANCES).await?;
    let before = ids(&running(field).await?);
    let loops = saturate()?;
    let count = loops.len();
    let mut seen = Seen::default();
    let end = Instant::now() + length;
    while Instant::now() < end {
        look(field, &before, &mut seen).await?;
        tokio::time::sleep(LOOK).await;
    }
    drop(loops);
    say(&format!(
        "{} looks; freshness was {:?}",
        seen.looks, seen.called
    ));
    let minutes = length.as_secs() / 60;
    let not_fresh: usize = seen.called.values().sum();
    Ok(vec![
        Row::new(
            format!("{minutes} min with {count} busy loops: containers started or ended"),
            format!(
                "**{}** and **{}** of {}",
                seen.started.len(),
                seen.ended.len(),
                before.len()
            ),
            "0",
        ),
        Row::new(
            "– looks at which a node was not `fresh` to another",
            format!("{not_fresh} of {} {:?}", seen.looks, seen.called),
            "",
        ),
    ])
}

async fn running(field: &Field) -> Result<Vec<Container>> {
    let mut all = Vec::new();
    for number in field.numbers() {
        all.extend(field.running(number, "io.kontena.instance").await?);
    }
    Ok(all)
}

fn ids(containers: &[Container]) -> BTreeSet<String> {
    containers.iter().map(|one| one.id.clone()).collect()
}

async fn look(field: &Field, before: &BTreeSet<String>, seen: &mut Seen) -> Result<()> {
    let now = ids(&running(field).await?);
    seen.started.extend(now.difference(before).cloned());
    seen.ended.extend(before.difference(&now).cloned());
    for number in field.numbers() {
        for node in field.nodes(number).await? {
            seen.looks += 1;
            let freshness = node["freshness"].as_str().unwrap_or_default();
            if freshness != "fresh" {
                *seen.called.entry(freshness.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(())
}

/// Twice as many busy loops as there are cores, at the priority that everybody has.
fn saturate() -> Result<Vec<Child>> {
    let cores = std::thread::available_parallelism().context("failed to count the cores")?;
    let spin = || {
        Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("failed to start a busy loop")
    };
    (0..2 * cores.get()).map(|_| spin()).collect()
}
