//! A host is lost: its cable cut, or cut and then killed. How long until the others run what it ran.
//!
//! Each run has a grid of its own, because a node that came back from silence is given more time the next
//! time. Which host is lost goes round.

use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;

use crate::field::{Container, Field};
use crate::figure::{Row, Samples, seconds};
use crate::say;

/// Two on each host: kontena spreads them.
const INSTANCES: usize = 6;
const LOOK: Duration = Duration::from_millis(100);

/// How a host is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    Cut,
    CutAndKilled,
}

#[derive(Default)]
struct Taken {
    until_absent: Samples,
    until_running: Samples,
}

pub(crate) async fn measure(field: &Field, runs: u32) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (loss, what) in [
        (Loss::Cut, "link cut"),
        (Loss::CutAndKilled, "host killed behind a cut link"),
    ] {
        let mut taken = Taken::default();
        for run in 0..runs {
            let lost = u8::try_from(run % 3)? + 1;
            field.begin_anew().await?;
            field.run_service("f", u32::try_from(INSTANCES)?).await?;
            lose(field, loss, lost, &mut taken).await?;
            say(&format!(
                "{what}, node-{lost}: {:.2} s",
                taken.until_running.last()
            ));
        }
        rows.push(Row::new(
            format!("{what} → its 2 of 6 instances run on the 2 others"),
            taken.until_running.text("s", 2),
            "< 12 s",
        ));
        rows.push(Row::new(
            format!("– {what} → a survivor calls it absent"),
            taken.until_absent.text("s", 2),
            "",
        ));
    }
    Ok(rows)
}

async fn lose(field: &Field, loss: Loss, lost: u8, taken: &mut Taken) -> Result<()> {
    let others = field.others(lost);
    let before = field.wait_for_instances(&others, INSTANCES - 2).await?;
    let start = Timestamp::now();
    match loss {
        Loss::Cut => field.lab.cut(lost).await?,
        Loss::CutAndKilled => lose_host(field, lost).await?,
    }
    let (absent, after) = tokio::try_join!(
        absent(field, &others, lost),
        field.wait_for_instances(&others, INSTANCES)
    )?;
    ensure!(
        is_kept(&before, &after),
        "a survivor's own instance was replaced"
    );
    taken.until_absent.add(seconds(start, absent));
    taken
        .until_running
        .add(seconds(start, field.last_start(&after).await?));
    Ok(())
}

/// Its cable first, so that no closed connection tells the others.
pub(crate) async fn lose_host(field: &Field, lost: u8) -> Result<()> {
    field.lab.cut(lost).await?;
    field.lab.host(lost).kill().await
}

fn is_kept(before: &[(u8, Container)], after: &[(u8, Container)]) -> bool {
    before
        .iter()
        .all(|(_, one)| after.iter().any(|(_, other)| one.id == other.id))
}

/// When one of the others first called it absent.
pub(crate) async fn absent(field: &Field, others: &[u8], lost: u8) -> Result<Timestamp> {
    loop {
        for number in others {
            let nodes = field.nodes(*number).await?;
            if nodes
                .iter()
                .any(|node| node["name"] == format!("node-{lost}") && node["freshness"] == "absent")
            {
                return Ok(Timestamp::now());
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
