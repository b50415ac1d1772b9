//! A rolling deploy of six instances over three hosts, one at a time, beside Docker Swarm's of the same images on the
//! same hosts: until the last new instance runs, and until it is said to be complete.
//!
//! What both do: one instance after the other, without a pause between them, in either order. What each does besides
//! is its own. Kontena waits for each instance's port, and for the names before it stops one. Swarm goes on as soon
//! as a container runs, and watches the last one for five seconds (its default) before it says that it is complete.
//! Both give each container an address in a network of all hosts; Swarm's service has no virtual address
//! (`dnsrr`), and nobody asks a registry.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::field::{Container, Field, INSTANCE};
use crate::figure::{Row, Samples, seconds};
use crate::source::demo::images::{WEB, WEB_NEXT};
use crate::{say, swarm};

const INSTANCES: usize = 6;
const SERVICE: &str = "r";
/// How often it is asked whether the deploy is complete: kontena's figure is right to this.
const LOOK: Duration = Duration::from_millis(20);
/// Far above what either takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// Whether an instance ends before its successor starts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    StopFirst,
    StartFirst,
}

impl Order {
    /// One rollout of each in a grid or swarm, to the other image and back.
    const ALL: [(Self, &'static str); 2] = [(Self::StopFirst, WEB_NEXT), (Self::StartFirst, WEB)];

    /// Swarm's word; kontena's has another joint.
    fn word(self) -> &'static str {
        match self {
            Self::StopFirst => "stop-first",
            Self::StartFirst => "start-first",
        }
    }
}

#[derive(Default)]
struct Taken {
    running: Samples,
    complete: Samples,
}

impl Taken {
    fn add(&mut self, sent: Timestamp, running: Timestamp, complete: Timestamp) {
        self.running.add(seconds(sent, running));
        self.complete.add(seconds(sent, complete));
    }

    fn last(&self) -> String {
        format!(
            "{:.2} s, {:.2} s",
            self.running.last(),
            self.complete.last()
        )
    }
}

pub(crate) async fn measure(field: &Field, runs: u32) -> Result<Vec<Row>> {
    let mut ours: [Taken; 2] = Default::default();
    let mut swarms: [Taken; 2] = Default::default();
    for _ in 0..runs {
        kontena(field, &mut ours).await?;
        docker_swarm(field, &mut swarms).await?;
        for (place, (order, _)) in Order::ALL.into_iter().enumerate() {
            let (ours, swarms) = (ours[place].last(), swarms[place].last());
            say(&format!("{}: kontena {ours}; Swarm {swarms}", order.word()));
        }
    }
    let orders = Order::ALL.iter().zip(ours.iter().zip(&swarms));
    Ok(orders
        .flat_map(|((order, _), (ours, swarms))| rows(*order, ours, swarms))
        .collect())
}

fn rows(order: Order, ours: &Taken, swarms: &Taken) -> [Row; 4] {
    let word = order.word();
    let until = "rolling deploy of 6 instances over 3 hosts";
    let beside = |ours: &Samples, swarms: &Samples| {
        let ratio = ours.median() / swarms.median();
        format!("{}; {ratio:.2} × Swarm's", ours.text("s", 2))
    };
    [
        Row::new(
            format!("kontena: {until}, {word}, sent → all new run"),
            beside(&ours.running, &swarms.running),
            "< 1 ×",
        ),
        Row::new(
            format!("– Docker Swarm: the same, {word}"),
            swarms.running.text("s", 2),
            "",
        ),
        Row::new(
            format!("kontena: {until}, {word}, sent → said to be complete"),
            beside(&ours.complete, &swarms.complete),
            "< 1 ×",
        ),
        Row::new(
            format!("– Docker Swarm: the same, {word}"),
            swarms.complete.text("s", 2),
            "",
        ),
    ]
}

async fn kontena(field: &Field, taken: &mut [Taken; 2]) -> Result<()> {
    field.begin_anew().await?;
    let body = json!({
        "name": SERVICE, "image": WEB, "instances": INSTANCES,
        "deploy_opts": { "min_health": 0.8, "wait_for_port": 80 },
    });
    field.define(&body).await?;
    let id = deploy(field).await?;
    succeeds(field, &id).await?;
    for ((order, image), taken) in Order::ALL.into_iter().zip(taken) {
        let body = json!({ "image": image, "deploy_opts": deploy_options(order) });
        field
            .daemon(1)
            .put(&Field::service_path(SERVICE), &body)
            .await?;
        let sent = Timestamp::now();
        let id = deploy(field).await?;
        let (running, complete) =
            tokio::try_join!(all_new(field, INSTANCE, image), succeeds(field, &id))?;
        taken.add(sent, running, complete);
        field
            .wait_for_instances(&field.numbers(), INSTANCES)
            .await?;
    }
    // Nothing of kontena's runs while Swarm is measured.
    field.clear().await
}

fn deploy_options(order: Order) -> Value {
    let mut options = json!({ "min_health": 0.8, "wait_for_port": 80 });
    if order == Order::StartFirst {
        options["order"] = json!("start_first");
    }
    options
}

/// Orders it; the deploy's id.
async fn deploy(field: &Field) -> Result<String> {
    let path = format!("{}/deploy", Field::service_path(SERVICE));
    let ordered = field.daemon(1).post(&path, &json!({})).await?;
    let id = ordered["id"].as_str().context("a deploy has no id")?;
    Ok(id.to_owned())
}

/// When the deploy was first said to be complete.
async fn succeeds(field: &Field, id: &str) -> Result<Timestamp> {
    let path = format!("{}/deploys/{id}", Field::service_path(SERVICE));
    let said = until("the deploy to be complete", async || {
        let deploy = field.daemon(1).get(&path).await?;
        let state = deploy["state"].as_str().unwrap_or_default();
        ensure!(state != "error", "the deploy failed: {deploy}");
        Ok((state == "success").then(Timestamp::now))
    });
    said.await
}

async fn docker_swarm(field: &Field, taken: &mut [Taken; 2]) -> Result<()> {
    swarm::begin(field, 3).await?;
    swarm::run_web(field, SERVICE, WEB, INSTANCES).await?;
    for ((order, image), taken) in Order::ALL.into_iter().zip(taken) {
        let sent = Timestamp::now();
        swarm::roll(field, SERVICE, image, order.word()).await?;
        let (running, complete) =
            tokio::try_join!(all_new(field, swarm::TASK, image), completed(field, sent))?;
        taken.add(sent, running, complete);
        field
            .wait_for(&field.numbers(), swarm::TASK, INSTANCES)
            .await?;
    }
    swarm::end(field).await
}

/// When Swarm says that its update was complete, of one that began after `sent`.
async fn completed(field: &Field, sent: Timestamp) -> Result<Timestamp> {
    until("Swarm's update to be complete", async || {
        let service = field.engine(1).get(&format!("/services/{SERVICE}")).await?;
        let status = &service["UpdateStatus"];
        let state = status["State"].as_str().unwrap_or_default();
        ensure!(state != "paused", "Swarm's update failed: {status}");
        let at = status["CompletedAt"].as_str().unwrap_or_default();
        let at = at.parse::<Timestamp>().ok();
        Ok(at.filter(|at| state == "completed" && *at > sent))
    })
    .await
}

/// When the last of the containers of this image started, once there are as many as there shall be.
async fn all_new(field: &Field, label: &str, image: &str) -> Result<Timestamp> {
    let found = field
        .engine(1)
        .get(&format!("/images/{image}/json"))
        .await?;
    let id = found["Id"].as_str().context("an image has no id")?;
    let all = until("all new instances to run", async || {
        let mut new: Vec<(u8, Container)> = Vec::new();
        for number in field.numbers() {
            let running = field.running(number, label).await?.into_iter();
            new.extend(
                running
                    .filter(|one| one.image == id)
                    .map(|one| (number, one)),
            );
        }
        Ok((new.len() >= INSTANCES).then_some(new))
    })
    .await?;
    field.last_start(&all).await
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "gave up waiting for {what}"
        );
        tokio::time::sleep(LOOK).await;
    }
}
