//! Docker Swarm on the same engines, spoken to over the same HTTP, for comparison.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::field::Field;
use crate::figure::{Row, Samples, seconds};
use crate::say;
use crate::source::demo::images::BUSYBOX;
use crate::source::demo::wait;

/// The label by which a container is known as a task of Swarm's.
pub(crate) const TASK: &str = "com.docker.swarm.task.id";
/// The overlay's name.
const NETWORK: &str = "rolling";
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes one swarm of the three engines; `managers` of them decide, host 1 leads.
pub(crate) async fn begin(field: &Field, managers: u8) -> Result<()> {
    let leader = field.lab.host(1);
    let address = leader.address().to_string();
    leader
        .docker(&["swarm", "init", "--advertise-addr", &address])
        .await?;
    let target = format!("{address}:2377");
    for number in field.others(1) {
        let role = if number <= managers {
            "manager"
        } else {
            "worker"
        };
        let token = leader
            .docker(&["swarm", "join-token", "--quiet", role])
            .await?;
        field
            .lab
            .host(number)
            .docker(&["swarm", "join", "--token", &token, &target])
            .await?;
    }
    wait::until(PATIENCE, "the swarm's nodes to be ready", async || {
        let nodes = field.engine(1).get("/nodes").await?;
        let ready = |node: &&Value| node["Status"]["State"] == "ready";
        let ready = nodes.as_array().into_iter().flatten().filter(ready).count();
        Ok((ready == field.numbers().len()).then_some(()))
    })
    .await
}

/// Engines that are alone again, without tasks.
pub(crate) async fn end(field: &Field) -> Result<()> {
    for host in field.lab.hosts() {
        host.docker(&["swarm", "leave", "--force"]).await?;
    }
    field.wait_for(&field.numbers(), TASK, 0).await?;
    Ok(())
}

pub(crate) async fn run_service(field: &Field, instances: u32) -> Result<()> {
    let body = json!({
        "Name": "s",
        "TaskTemplate": { "ContainerSpec": {
            "Image": BUSYBOX, "Command": ["sleep", "1000000"], "StopSignal": "SIGKILL",
        }},
        "Mode": { "Replicated": { "Replicas": instances }},
    });
    field.engine(1).post("/services/create", &body).await?;
    field
        .wait_for(&field.numbers(), TASK, instances as usize)
        .await?;
    Ok(())
}

/// What the tasks of a service are attached to, beside their host's own bridge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    None,
    /// An overlay, in which each task has an address and a name.
    OfAllHosts,
}

/// A service of web servers, which is rolled one task at a time.
pub(crate) async fn run_web(
    field: &Field,
    name: &str,
    image: &str,
    instances: usize,
    network: Network,
) -> Result<()> {
    let mut template = json!({ "ContainerSpec": { "Image": image } });
    if network == Network::OfAllHosts {
        let overlay = json!({ "Name": NETWORK, "Driver": "overlay", "CheckDuplicate": true });
        field.engine(1).post("/networks/create", &overlay).await?;
        template["Networks"] = json!([{ "Target": NETWORK }]);
    }
    let body = json!({
        "Name": name,
        "TaskTemplate": template,
        "Mode": { "Replicated": { "Replicas": instances } },
        "EndpointSpec": { "Mode": "dnsrr" },
        "UpdateConfig": { "Parallelism": 1, "Delay": 0 },
    });
    field.engine(1).post("/services/create", &body).await?;
    field.wait_for(&field.numbers(), TASK, instances).await?;
    Ok(())
}

/// Orders that all tasks be replaced by some of another image.
pub(crate) async fn roll(field: &Field, name: &str, image: &str, order: &str) -> Result<()> {
    change(field, name, |spec| {
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(image);
        spec["UpdateConfig"]["Order"] = json!(order);
    })
    .await
}

/// Writes a service's definition back, changed.
async fn change(field: &Field, name: &str, edit: impl FnOnce(&mut Value)) -> Result<()> {
    let service = field.engine(1).get(&format!("/services/{name}")).await?;
    let version = &service["Version"]["Index"];
    let mut spec = service["Spec"].clone();
    edit(&mut spec);
    let path = format!("/services/{name}/update?version={version}");
    field.engine(1).post(&path, &spec).await?;
    Ok(())
}

/// Seconds from the command until the engines run so many.
pub(crate) async fn scale(field: &Field, instances: u32) -> Result<f64> {
    let sent = Timestamp::now();
    change(field, "s", |spec| {
        spec["Mode"]["Replicated"]["Replicas"] = json!(instances);
    })
    .await?;
    let all = field
        .wait_for(&field.numbers(), TASK, instances as usize)
        .await?;
    Ok(seconds(sent, field.last_start(&all).await?))
}

/// What Swarm does about a lost worker, and about its lost leader.
pub(crate) async fn measure(field: &Field, runs: u32) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (managers, lost, what) in [(1, 3, "worker"), (3, 1, "leader")] {
        let mut taken = Samples::default();
        for _ in 0..runs {
            field.clear().await?;
            begin(field, managers).await?;
            run_service(field, 6).await?;
            taken.add(lose(field, lost).await?);
            say(&format!("Swarm's {what} lost: {:.2} s", taken.last()));
            field.lab.heal(lost).await?;
            field.lab.host(lost).start().await?;
            end(field).await?;
        }
        rows.push(Row::new(
            format!("Docker Swarm: {what} killed behind a cut link → its 2 of 6 tasks run on the 2 others"),
            taken.text("s", 2),
            "",
        ));
    }
    Ok(rows)
}

async fn lose(field: &Field, lost: u8) -> Result<f64> {
    let others = field.others(lost);
    let before = field.wait_for(&others, TASK, 4).await?;
    let start = Timestamp::now();
    field.lab.cut(lost).await?;
    field.lab.host(lost).kill().await?;
    let after = field.wait_for(&others, TASK, 6).await?;
    let kept = |id: &str| after.iter().any(|(_, one)| one.id == id);
    ensure!(
        before.iter().all(|(_, one)| kept(&one.id)),
        "a task of a survivor was replaced"
    );
    let last = field.last_start(&after).await.context("no start")?;
    Ok(seconds(start, last))
}
