//! A rolling deploy of six instances over three hosts, one at a time, beside Docker Swarm's of the same images on the
//! same hosts: until the last new instance runs, and until it is said to be complete.
//!
//! What both do: one instance after the other, without a pause between them, in either order. What each does besides
//! is its own. Kontena waits for each instance's port, and for the names before it stops one. Swarm goes on as soon
//! as a container runs, and watches the last one for five seconds (its default) before it says that it is complete.
//! Kontena's containers are in its network of all hosts. Swarm is measured twice: with tasks in such a network of its
//! own, without a virtual address (`dnsrr`), and, which is faster, with tasks that only their own hosts reach. Nobody
//! asks a registry.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::json;

use crate::field::{Container, Field, INSTANCE};
use crate::figure::{Row, Samples, seconds};
use crate::source::demo::images::{WEB, WEB_NEXT};
use crate::swarm::Network;
use crate::{say, swarm};

const INSTANCES: usize = 6;
const SERVICE: &str = "r";
/// How often it is asked whether the deploy is complete: kontena's figure is right to this.
const LOOK: Duration = Duration::from_millis(20);
/// Far above what either takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// Whether an instance ends before its successor starts.
#[derive(Clone, Copy)]
enum Order {
    StopFirst,
    StartFirst,
}

impl Order {
    /// One rollout of each in a grid or swarm, to the other image and back.
    const ALL: [(Self, &'static str); 2] = [(Self::StopFirst, WEB_NEXT), (Self::StartFirst, WEB)];

    /// The word for it, which is the same for both.
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

/// Of both orders.
type Both = [Taken; 2];

pub(crate) async fn measure(field: &Field, runs: u32) -> Result<Vec<Row>> {
    let (mut ours, mut alone, mut joined) = (Both::default(), Both::default(), Both::default());
    for _ in 0..runs {
        kontena(field, &mut ours).await?;
        docker_swarm(field, Network::None, &mut alone).await?;
        docker_swarm(field, Network::OfAllHosts, &mut joined).await?;
        for (place, (order, _)) in Order::ALL.into_iter().enumerate() {
            let [ours, alone, joined] = [&ours, &alone, &joined].map(|taken| taken[place].last());
            say(&format!(
                "{}: kontena {ours}; Swarm {alone}; Swarm with a network {joined}",
                order.word()
            ));
        }
    }
    let mut rows = Vec::new();
    for (place, (order, _)) in Order::ALL.into_iter().enumerate() {
        let of_order = [&ours[place], &alone[place], &joined[place]];
        rows.extend(rows_until(
            order,
            "all new run",
            of_order.map(|taken| &taken.running),
        ));
        rows.extend(rows_until(
            order,
            "said to be complete",
            of_order.map(|taken| &taken.complete),
        ));
    }
    Ok(rows)
}

fn rows_until(order: Order, until: &str, [ours, alone, joined]: [&Samples; 3]) -> [Row; 3] {
    let word = order.word();
    let ratio = |other: &Samples| ours.median() / other.median();
    [
        Row::new(
            format!("kontena: rolling deploy of 6 instances, {word}: sent → {until}"),
            format!(
                "{}; {:.2} × Swarm's, {:.2} × with a network",
                ours.text("s", 2),
                ratio(alone),
                ratio(joined)
            ),
            "< 1 ×",
        ),
        Row::new("– Docker Swarm: the same", alone.text("s", 2), ""),
        Row::new(
            "– Docker Swarm, in a network of all hosts",
            joined.text("s", 2),
            "",
        ),
    ]
}

async fn kontena(field: &Field, taken: &mut Both) -> Result<()> {
    field.begin_anew().await?;
    let body = json!({
        "name": SERVICE, "image": WEB, "instances": INSTANCES,
        "deploy_opts": { "min_health": 0.8, "wait_for_port": 80 },
    });
    field.define(&body).await?;
    let id = deploy(field).await?;
    succeeds(field, &id).await?;
    for ((order, image), taken) in Order::ALL.into_iter().zip(taken) {
        let body = json!({
            "image": image,
            "deploy_opts": { "min_health": 0.8, "wait_for_port": 80, "order": order.word() },
        });
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

async fn docker_swarm(field: &Field, network: Network, taken: &mut Both) -> Result<()> {
    swarm::begin(field, 3).await?;
    swarm::run_web(field, SERVICE, WEB, INSTANCES, network).await?;
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
