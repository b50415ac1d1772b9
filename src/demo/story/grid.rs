//! The grid as its user sees it: kontena's commands, typed on one node or another, and their answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::host::Host;
use super::super::lab::Lab;

/// A lab with kontena on every host.
#[derive(Debug)]
pub(super) struct Grid<'a> {
    lab: &'a Lab,
    kontena: PathBuf,
}

/// What `kontena init --json` says, as far as the demo needs it.
#[derive(Debug, Deserialize)]
pub(super) struct Begun {
    pub(super) grid: String,
    pub(super) join_token: String,
}

/// A row of `kontena node ls --json`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) status: String,
}

/// `kontena service show --json`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Service {
    pub(super) counts: Counts,
    pub(super) instances: Vec<Instance>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Counts {
    pub(super) desired: usize,
}

/// One holder of an instance.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Instance {
    pub(super) number: u32,
    pub(super) node: Option<String>,
    pub(super) state: String,
    pub(super) health: String,
}

impl Instance {
    /// Whether it does its work, and on which node.
    pub(super) fn serving_on(&self) -> Option<&str> {
        let serves = self.state == "running" && self.health == "healthy";
        self.node.as_deref().filter(|_| serves)
    }
}

impl<'a> Grid<'a> {
    /// Starts kontena's daemon on every host.
    pub(super) async fn start(lab: &'a Lab, program: &Path) -> Result<Self> {
        let grid = Self {
            lab,
            kontena: lab.install(program).await?,
        };
        let start = async |host: Host| host.start_daemon(&grid.kontena).await;
        try_join_all(lab.hosts().into_iter().map(start)).await?;
        Ok(grid)
    }

    pub(super) async fn start_daemon(&self, node: u8) -> Result<()> {
        self.lab.host(node).start_daemon(&self.kontena).await
    }

    /// A command typed on `node`; what it printed.
    pub(super) async fn run(&self, node: u8, arguments: &[&str]) -> Result<String> {
        self.lab
            .host(node)
            .kontena(&self.kontena, arguments)?
            .run()
            .await
    }

    async fn ask<T: DeserializeOwned>(&self, node: u8, arguments: &[&str]) -> Result<T> {
        let answer = self.run(node, &[arguments, &["--json"]].concat()).await?;
        serde_json::from_str(&answer).with_context(|| {
            format!(
                "`kontena {} --json` answered something else: {answer}",
                arguments.join(" ")
            )
        })
    }

    pub(super) async fn init(&self, node: u8) -> Result<Begun> {
        self.ask(node, &["init", "--grid", "demo"]).await
    }

    pub(super) async fn join(&self, node: u8, through: u8, token: &str) -> Result<()> {
        let address = self.lab.host(through).address().to_string();
        self.run(node, &["join", &address, "--token", token])
            .await?;
        Ok(())
    }

    /// All nodes, as `node` knows them.
    pub(super) async fn nodes(&self, node: u8) -> Result<Vec<Node>> {
        self.ask(node, &["node", "ls"]).await
    }

    /// One service, as `node` knows it.
    pub(super) async fn service(&self, node: u8, service: &str) -> Result<Service> {
        self.ask(node, &["service", "show", service]).await
    }

    /// How many containers of each image run, by the word of the engines themselves.
    pub(super) async fn containers(&self, nodes: &[u8]) -> Result<BTreeMap<String, usize>> {
        let list = async |node: &u8| {
            self.lab
                .host(*node)
                .docker(&["ps", "--no-trunc", "--format", "{{.ID}}"])
                .await
        };
        let mut count = BTreeMap::new();
        for (node, ids) in nodes
            .iter()
            .zip(try_join_all(nodes.iter().map(list)).await?)
        {
            for image in self.images_of(*node, &ids).await? {
                *count.entry(image).or_default() += 1;
            }
        }
        Ok(count)
    }

    /// The image ids of these containers: a container may have been made by name or by id.
    async fn images_of(&self, node: u8, ids: &str) -> Result<Vec<String>> {
        let ids: Vec<&str> = ids.lines().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inspect = [&["inspect", "--format", "{{.Image}}"], &ids[..]].concat();
        Ok(self
            .lab
            .host(node)
            .docker(&inspect)
            .await?
            .lines()
            .map(str::to_owned)
            .collect())
    }

    pub(super) async fn image_id(&self, node: u8, image: &str) -> Result<String> {
        self.lab
            .host(node)
            .docker(&["inspect", "--format", "{{.Id}}", image])
            .await
    }
}
