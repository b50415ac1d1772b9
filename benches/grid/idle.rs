//! Memory and CPU of a daemon that has nothing to do but be a member. Nobody asks it anything meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::field::Field;
use crate::figure::{Row, Samples};
use crate::source::demo::daemon::DAEMON;
use crate::source::demo::host::VOLATILE;

/// Until what the start of the instances stirred up has settled.
const SETTLE: Duration = Duration::from_secs(15);
const WATCHED: Duration = Duration::from_secs(60);
/// `/proc/PID/stat` counts hundredths of a second on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// What the kernel says of one daemon.
#[derive(Clone, Copy)]
struct Usage {
    resident_megabytes: f64,
    cpu_seconds: f64,
}

pub(crate) async fn measure(field: &Field) -> Result<Vec<Row>> {
    field.begin_anew().await?;
    field.run_service("s", 3).await?;
    let mut rows = watched(field, 3).await?;
    field.scale("s", 30).await?;
    field.wait_for_instances(&field.numbers(), 30).await?;
    rows.extend(watched(field, 30).await?);
    Ok(rows)
}

async fn watched(field: &Field, instances: usize) -> Result<Vec<Row>> {
    tokio::time::sleep(SETTLE).await;
    let (before, start) = (usages(field).await?, Instant::now());
    tokio::time::sleep(WATCHED).await;
    let (after, taken) = (usages(field).await?, start.elapsed().as_secs_f64());
    let (mut memory, mut cpu) = (Samples::default(), Samples::default());
    for (before, after) in before.iter().zip(&after) {
        memory.add(after.resident_megabytes);
        cpu.add((after.cpu_seconds - before.cpu_seconds) / taken * 100.0);
    }
    let what = format!("an idle daemon of 3 nodes with {instances} instances");
    Ok(vec![
        Row::new(format!("RSS of {what}"), memory.text("MB", 1), "< 50 MB"),
        Row::new(
            format!("CPU of {what}, over 60 s"),
            cpu.text("% of a core", 2),
            "< 1 %",
        ),
    ])
}

async fn usages(field: &Field) -> Result<Vec<Usage>> {
    let mut all = Vec::new();
    for host in field.lab.hosts() {
        let script =
            format!("p=/proc/$(cat {VOLATILE}/{DAEMON}.pid); cat $p/stat; grep VmRSS $p/status");
        let said = host.program("sh")?.args(["-c", &script]).run().await?;
        all.push(usage(&said).with_context(|| format!("the kernel says: {said}"))?);
    }
    Ok(all)
}

fn usage(said: &str) -> Option<Usage> {
    // The name in brackets may hold anything; user and system time are the 14th and 15th field of all.
    let fields: Vec<&str> = said
        .lines()
        .next()?
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let resident: f64 = said
        .lines()
        .nth(1)?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()?;
    Some(Usage {
        resident_megabytes: resident * 1024.0 / 1e6,
        cpu_seconds: ticks as f64 / TICKS_A_SECOND,
    })
}
