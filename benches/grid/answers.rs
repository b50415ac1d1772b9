//! An instance ends: until no node's name server answers with its address any more. Asked by `dig` on every host,
//! over and over; the simulator's report has the same without the machine (`scripts/benchmark-network answers`).

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use jiff::Timestamp;

use crate::failover::lose_host;
use crate::field::{Container, Field};
use crate::figure::{Row, Samples, seconds};
use crate::say;
use crate::source::demo::wait;

const SERVICE: &str = "f";
/// Two on each host.
const INSTANCES: u32 = 6;
const PATIENCE: Duration = Duration::from_secs(60);
/// Ends of one instance for each run of the others: they take a second.
const ENDS: u32 = 4;

pub(crate) async fn measure(field: &Field, runs: u32) -> Result<Vec<Row>> {
    let (mut stopped, mut dead) = (Samples::default(), Samples::default());
    begin(field).await?;
    for _ in 0..runs * ENDS {
        stopped.add(stop_one(field).await?);
    }
    say(&format!("stopped: {:.3} s", stopped.last()));
    for run in 0..runs {
        begin(field).await?;
        let lost = u8::try_from(run % 3)? + 1;
        dead.add(kill_host(field, lost).await?);
        say(&format!("node-{lost} killed: {:.2} s", dead.last()));
    }
    Ok(vec![
        Row::new(
            "an instance is scaled away → no node answers with it",
            stopped.text("s", 3),
            "< 1 s",
        ),
        Row::new(
            "host killed behind a cut link → the 2 others answer with none of its instances",
            dead.text("s", 2),
            "< 8 s",
        ),
    ])
}

async fn begin(field: &Field) -> Result<()> {
    field.begin_anew().await?;
    field.run_service(SERVICE, INSTANCES).await
}

async fn stop_one(field: &Field) -> Result<f64> {
    let all = field
        .wait_for_instances(&field.numbers(), INSTANCES as usize)
        .await?;
    let last = format!("-{INSTANCES}");
    let ends = all
        .iter()
        .filter(|(_, one)| one.instance().is_some_and(|name| name.ends_with(&last)));
    let ended = addresses(field, &ends.cloned().collect::<Vec<_>>()).await?;
    let end = async { field.scale(SERVICE, INSTANCES - 1).await };
    let took = until_forgotten(field, &field.numbers(), &ended, end).await?;
    // Its container is down by then, and has an address of its own again when it is back.
    field
        .wait_for_instances(&field.numbers(), INSTANCES as usize - 1)
        .await?;
    field.scale(SERVICE, INSTANCES).await?;
    Ok(took)
}

async fn kill_host(field: &Field, lost: u8) -> Result<f64> {
    let ends = field.running(lost, "io.kontena.instance").await?;
    let ends: Vec<_> = ends.into_iter().map(|one| (lost, one)).collect();
    let ended = addresses(field, &ends).await?;
    until_forgotten(field, &field.others(lost), &ended, lose_host(field, lost)).await
}

/// Seconds from the beginning of `end` until the last of these nodes has ceased to answer with any of the
/// addresses, all of which they know before.
async fn until_forgotten(
    field: &Field,
    nodes: &[u8],
    ended: &[IpAddr],
    end: impl Future<Output = Result<()>>,
) -> Result<f64> {
    wait::until(PATIENCE, "all to be answered with", async || {
        let known = nodes.iter().map(|node| is_answered(field, *node, ended));
        let known = try_join_all(known).await?;
        Ok(known.into_iter().all(|known| known).then_some(()))
    })
    .await?;
    let start = Timestamp::now();
    let forgotten = try_join_all(nodes.iter().map(|node| forgotten(field, *node, ended)));
    let (forgotten, ()) = tokio::try_join!(forgotten, end)?;
    let last = forgotten.into_iter().max().context("somebody is asked")?;
    Ok(seconds(start, last))
}

async fn is_answered(field: &Field, node: u8, all: &[IpAddr]) -> Result<bool> {
    let host = field.lab.host(node);
    let said = host.program("sh")?.args(["-c", &ask()]).run().await?;
    Ok(all
        .iter()
        .all(|address| said.lines().any(|line| line == address.to_string())))
}

/// When a node ceased to answer with any of the addresses.
async fn forgotten(field: &Field, node: u8, ended: &[IpAddr]) -> Result<Timestamp> {
    let any: Vec<String> = ended
        .iter()
        .map(|address| format!("-e {address}"))
        .collect();
    let script = format!(
        "while {} | grep -qxF {}; do :; done; date +%s.%N",
        ask(),
        any.join(" ")
    );
    let host = field.lab.host(node);
    let said = host.program("sh")?.args(["-c", &script]).run().await?;
    let (whole, nanos) = said.trim().split_once('.').context("no time")?;
    Ok(Timestamp::new(whole.parse()?, nanos.parse()?)?)
}

/// Asks the node's own server, which is the first of its host's.
fn ask() -> String {
    format!(
        "dig +short +tries=1 +time=1 @$(awk '/^nameserver/ {{ print $2; exit }}' /etc/resolv.conf) \
         {SERVICE}.bench.kontena.local"
    )
}

async fn addresses(field: &Field, containers: &[(u8, Container)]) -> Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for (number, one) in containers {
        let path = format!("/containers/{}/json", one.id);
        let found = field.engine(*number).get(&path).await?;
        let address = found["NetworkSettings"]["Networks"]["kontena"]["IPAddress"].as_str();
        addresses.push(address.context("a container has no address")?.parse()?);
    }
    Ok(addresses)
}
