//! Where everything is measured: three hosts, their engines, and a grid that can be begun anew.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::http::Endpoint;
use crate::say;
use crate::source::demo::daemon::DAEMON;
use crate::source::demo::host::{Host, VOLATILE};
use crate::source::demo::images::{self, BUSYBOX};
use crate::source::demo::lab::Lab;
use crate::source::demo::wait;

/// One benchmark at a time: the next one removes what the last one left.
const NAME: &str = "kontena-bench";
const HOSTS: u8 = 3;
const GRID: &str = "bench";
/// The label by which a container is known as an instance of kontena's.
pub(crate) const INSTANCE: &str = "io.kontena.instance";
/// Far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often engines are asked whether all runs. It bounds nothing: when a container started is read from its engine.
const LOOK: Duration = Duration::from_millis(200);

/// The hosts, and the program on them.
pub(crate) struct Field {
    pub(crate) lab: Lab,
    kontena: std::path::PathBuf,
    archive: std::path::PathBuf,
    engines: Vec<Endpoint>,
    daemons: Vec<Endpoint>,
}

/// A container as its engine knows it.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) id: String,
    /// The id of its image.
    pub(crate) image: String,
    pub(crate) labels: Value,
}

impl Container {
    pub(crate) fn instance(&self) -> Option<&str> {
        self.labels.get(INSTANCE)?.as_str()
    }
}

/// When a container was created and when it ran, by its engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) created: Timestamp,
    pub(crate) started: Timestamp,
}

impl Field {
    /// Hosts with engines that have all images; no grid yet.
    pub(crate) async fn prepare(kontena: &Path) -> Result<Self> {
        let lab = Lab::new(NAME, HOSTS)?;
        lab.down().await?;
        say("starting three hosts");
        lab.up().await?;
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("images");
        let archive = images::build::<images::Demo>(&cache, lab.name()).await?;
        lab.load(&archive).await?;
        Ok(Self {
            kontena: lab.install(kontena).await?,
            archive,
            engines: lab
                .hosts()
                .iter()
                .map(|host| Endpoint::new(&host.engine_socket()))
                .collect(),
            daemons: lab
                .hosts()
                .iter()
                .map(|host| Endpoint::new(&host.kontena_socket()))
                .collect(),
            lab,
        })
    }

    /// The engine of host `number`, counted from 1.
    pub(crate) fn engine(&self, number: u8) -> &Endpoint {
        &self.engines[usize::from(number) - 1]
    }

    /// Kontena's daemon on host `number`.
    pub(crate) fn daemon(&self, number: u8) -> &Endpoint {
        &self.daemons[usize::from(number) - 1]
    }

    /// Where the program is that the hosts run.
    pub(crate) fn program(&self) -> &Path {
        &self.kontena
    }

    pub(crate) fn numbers(&self) -> Vec<u8> {
        (1..=HOSTS).collect()
    }

    pub(crate) fn others(&self, lost: u8) -> Vec<u8> {
        (1..=HOSTS).filter(|number| *number != lost).collect()
    }

    /// The images again, where they were removed.
    pub(crate) async fn load_images(&self) -> Result<()> {
        self.lab.load(&self.archive).await
    }

    /// A grid that has no past: whole cables, running hosts, no containers, fresh identities.
    pub(crate) async fn begin_anew(&self) -> Result<()> {
        self.clear().await?;
        let host = |number| self.lab.host(number);
        let start = async |host: Host| host.start_daemon(&self.kontena).await;
        try_join_all(self.lab.hosts().into_iter().map(start)).await?;
        let begun = self.kontena(1, &["init", "--grid", GRID, "--json"]).await?;
        let begun: Value = serde_json::from_str(&begun).context("`kontena init` said no JSON")?;
        let token = begun["join_token"].as_str().context("no join token")?;
        for number in self.others(1) {
            let address = host(1).address().to_string();
            self.kontena(number, &["join", &address, "--token", token])
                .await?;
        }
        wait::until(PATIENCE, "all nodes to be online", async || {
            self.all_online().await
        })
        .await
    }

    /// No daemon, no container, no grid; hosts and cables whole.
    pub(crate) async fn clear(&self) -> Result<()> {
        for host in self.lab.hosts() {
            self.lab.heal(host.number()).await?;
            if !host.is_up() {
                host.start().await?;
            }
            let script = format!(
                "pid=$(cat {VOLATILE}/{DAEMON}.pid) && kill -KILL $pid && while kill -0 $pid; do sleep 0.02; done"
            );
            // It may not run.
            let _ = host.program("sh")?.args(["-c", &script]).finish().await?;
            if host.kontena_data().exists() {
                std::fs::remove_dir_all(host.kontena_data())
                    .context("failed to remove kontena's data")?;
            }
        }
        try_join_all(
            self.numbers()
                .into_iter()
                .map(|number| self.remove_all(number)),
        )
        .await?;
        Ok(())
    }

    /// Removes every container of one engine.
    async fn remove_all(&self, number: u8) -> Result<()> {
        let all = self.engine(number).get("/containers/json?all=1").await?;
        for one in all.as_array().into_iter().flatten() {
            let id = one["Id"].as_str().unwrap_or_default();
            self.remove_container(number, id).await?;
        }
        Ok(())
    }

    pub(crate) async fn remove_container(&self, number: u8, id: &str) -> Result<()> {
        let path = format!("/containers/{id}?force=1&v=1");
        self.engine(number).delete(&path).await?;
        Ok(())
    }

    async fn kontena(&self, number: u8, arguments: &[&str]) -> Result<String> {
        self.lab
            .host(number)
            .kontena(&self.kontena, arguments)?
            .run()
            .await
    }

    /// Whether every node has heard of every node, and has seen its engine.
    async fn all_online(&self) -> Result<Option<()>> {
        for number in self.numbers() {
            let nodes = self.nodes(number).await?;
            let ready = |node: &&Value| {
                node["status"] == "online"
                    && node["freshness"] == "fresh"
                    && node["docker_version"].is_string()
            };
            if nodes.iter().filter(ready).count() != usize::from(HOSTS) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// The nodes as node `number` sees them.
    pub(crate) async fn nodes(&self, number: u8) -> Result<Vec<Value>> {
        let answer = self
            .daemon(number)
            .get(&format!("/v1/grids/{GRID}/nodes"))
            .await?;
        Ok(answer["nodes"].as_array().cloned().unwrap_or_default())
    }

    pub(crate) fn node_path(number: u8) -> String {
        format!("/v1/nodes/{GRID}/node-{number}")
    }

    /// Makes a service through node 1; nothing runs yet. It ends at once when it is told to.
    pub(crate) async fn create(&self, name: &str, image: &str, instances: u32) -> Result<()> {
        let body = json!({
            "name": name, "image": image, "instances": instances,
            "cmd": ["sleep", "1000000"], "stop_signal": "SIGKILL",
        });
        self.define(&body).await
    }

    /// The same of one that is defined so.
    pub(crate) async fn define(&self, service: &Value) -> Result<()> {
        let path = format!("/v1/grids/{GRID}/services");
        self.daemon(1).post(&path, service).await?;
        Ok(())
    }

    pub(crate) fn service_path(name: &str) -> String {
        format!("/v1/services/{GRID}/null/{name}")
    }

    pub(crate) async fn deploy(&self, name: &str) -> Result<()> {
        let path = format!("{}/deploy", Self::service_path(name));
        self.daemon(1).post(&path, &json!({})).await?;
        Ok(())
    }

    pub(crate) async fn scale(&self, name: &str, instances: u32) -> Result<()> {
        let path = format!("{}/scale", Self::service_path(name));
        self.daemon(1)
            .post(&path, &json!({ "instances": instances }))
            .await?;
        Ok(())
    }

    /// Creates, deploys and waits until the engines run all of it.
    pub(crate) async fn run_service(&self, name: &str, instances: u32) -> Result<()> {
        self.create(name, BUSYBOX, instances).await?;
        self.deploy(name).await?;
        self.wait_for_instances(&self.numbers(), instances as usize)
            .await?;
        Ok(())
    }

    pub(crate) async fn remove_service(&self, name: &str) -> Result<()> {
        self.daemon(1).delete(&Self::service_path(name)).await?;
        self.wait_for_instances(&self.numbers(), 0).await?;
        Ok(())
    }

    /// Running containers of the engine with this label.
    pub(crate) async fn running(&self, number: u8, label: &str) -> Result<Vec<Container>> {
        let path = format!("/containers/json?filters=%7B%22label%22%3A%5B%22{label}%22%5D%7D");
        let list = self.engine(number).get(&path).await?;
        let read = |one: &Value| Container {
            id: one["Id"].as_str().unwrap_or_default().to_owned(),
            image: one["ImageID"].as_str().unwrap_or_default().to_owned(),
            labels: one["Labels"].clone(),
        };
        Ok(list.as_array().into_iter().flatten().map(read).collect())
    }

    /// Waits until these engines run exactly so many instances of kontena's, each once.
    pub(crate) async fn wait_for_instances(
        &self,
        numbers: &[u8],
        wanted: usize,
    ) -> Result<Vec<(u8, Container)>> {
        let found = self.wait_for(numbers, INSTANCE, wanted).await?;
        let mut names: Vec<_> = found.iter().filter_map(|(_, one)| one.instance()).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != wanted {
            bail!("an instance runs twice: {names:?}");
        }
        Ok(found)
    }

    /// Waits until these engines run exactly so many containers with this label.
    pub(crate) async fn wait_for(
        &self,
        numbers: &[u8],
        label: &str,
        wanted: usize,
    ) -> Result<Vec<(u8, Container)>> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut found = Vec::new();
            for number in numbers {
                let running = self.running(*number, label).await?;
                found.extend(running.into_iter().map(|one| (*number, one)));
            }
            if found.len() == wanted {
                return Ok(found);
            }
            if tokio::time::Instant::now() > deadline {
                bail!(
                    "gave up waiting for {wanted} containers: {} run",
                    found.len()
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// When a container was created and started.
    pub(crate) async fn times(&self, number: u8, id: &str) -> Result<Times> {
        let found = self
            .engine(number)
            .get(&format!("/containers/{id}/json"))
            .await?;
        Ok(Times {
            created: moment(&found["Created"])?,
            started: moment(&found["State"]["StartedAt"])?,
        })
    }

    /// When the last of these containers started.
    pub(crate) async fn last_start(&self, containers: &[(u8, Container)]) -> Result<Timestamp> {
        let mut last = Timestamp::UNIX_EPOCH;
        for (number, one) in containers {
            last = last.max(self.times(*number, &one.id).await?.started);
        }
        Ok(last)
    }

    /// What the daemons said last: their logs go with the hosts.
    pub(crate) fn say_last_words(&self) {
        for host in self.lab.hosts() {
            let log = std::fs::read(host.log(DAEMON)).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            say(&format!("the daemon of {} said last:", host.name()));
            for line in &lines[lines.len().saturating_sub(20)..] {
                say(line);
            }
        }
    }
}

fn moment(text: &Value) -> Result<Timestamp> {
    let text = text.as_str().context("the engine names no time")?;
    text.parse().with_context(|| format!("`{text}` is no time"))
}
