//! What must be true after each story, whatever happened in it: every node shows the same grid, the
//! services are those that were acknowledged, and the engines run each wanted instance exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::grid::Grid;
use super::{Node, eventually, seen};

/// One container of the grid, by the word of its engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Container {
    pub(crate) host: u8,
    pub(crate) id: String,
    pub(crate) started: String,
    /// Its id.
    pub(crate) image: String,
    pub(crate) revision: String,
}

/// All instances that run: `stack/service-N` → its one container.
pub(crate) type Running = BTreeMap<String, Container>;

/// `[STACK/]SERVICE` and how many instances of it shall run.
pub(crate) type Wanted<'a> = [(&'a str, usize)];

impl Grid {
    /// Waits until `nodes`, and their engines, agree that exactly this runs on them.
    ///
    /// What a node that is not among them may hold is not known, and does not count.
    #[track_caller]
    pub(crate) fn settled(&self, nodes: &[u8], wanted: &Wanted<'_>, wait: Duration) -> Running {
        eventually(wait, "every service to have exactly its instances", || {
            self.settled_now(nodes, wanted)
        })
    }

    fn settled_now(&self, nodes: &[u8], wanted: &Wanted<'_>) -> Result<Running, String> {
        for listing in [["node", "ls"], ["grid", "show"], ["stack", "ls"]] {
            self.one_answer(nodes, &listing)?;
        }
        let services = self.one_answer(nodes, &["service", "ls"])?;
        let names: BTreeSet<String> = rows(&services).map(full_name).collect();
        let expected: BTreeSet<String> = wanted.iter().map(|(name, _)| (*name).into()).collect();
        seen(names == expected, (&names, &expected))?;

        let running = self.running(nodes)?;
        let mut told = BTreeSet::new();
        for (name, instances) in wanted {
            let service = self.one_answer(nodes, &["service", "show", name])?;
            told.extend(self.told_by(&service, name, *instances, nodes, &running)?);
        }
        let found: BTreeSet<String> = running.keys().cloned().collect();
        seen(found == told, (&found, &told))?;
        Ok(running)
    }

    /// The instances of a service that is whole, each with the container that its engine runs.
    fn told_by(
        &self,
        service: &Value,
        name: &str,
        wanted: usize,
        nodes: &[u8],
        running: &Running,
    ) -> Result<Vec<String>, String> {
        let hosts: BTreeMap<String, u8> = nodes
            .iter()
            .map(|node| (self.node(*node).name(), *node))
            .collect();
        let mut told = Vec::new();
        for row in rows(&service["instances"]) {
            let Some(node) = row["node"].as_str() else {
                return Err(format!("nobody holds {row} of `{name}`"));
            };
            let Some(host) = hosts.get(node) else {
                continue;
            };
            let instance = format!("{name}-{}", row["number"]);
            let container = running
                .get(&instance)
                .ok_or_else(|| format!("no engine runs `{instance}`, told {row}"))?;
            let agree = container.host == *host
                && row["container_id"] == container.id.as_str()
                && row["state"] == "running"
                && row["health"] == "healthy"
                && service["revision_id"] == container.revision.as_str();
            seen(agree, (&instance, row, container))?;
            told.push(instance);
        }
        let distinct: BTreeSet<&String> = told.iter().collect();
        let whole = told.len() == wanted
            && distinct.len() == wanted
            && service["counts"]["desired"] == wanted
            && service["counts"]["healthy"] == wanted;
        seen(whole, service)?;
        Ok(told)
    }

    /// What the engines of these hosts run of the grid. A container that does not run, and one
    /// instance twice, is an error.
    pub(crate) fn running(&self, nodes: &[u8]) -> Result<Running, String> {
        let mut running = Running::new();
        for host in nodes {
            for (instance, container, state) in self.node(*host).grid_containers(*host)? {
                seen(state == "running", (&instance, &container, state))?;
                if let Some(other) = running.insert(instance.clone(), container.clone()) {
                    return Err(format!("`{instance}` twice: {other:?}, {container:?}"));
                }
            }
        }
        Ok(running)
    }
}

impl Node<'_> {
    /// Each container of a grid that this engine has: its instance, what it is, and its state.
    pub(crate) fn grid_containers(
        &self,
        host: u8,
    ) -> Result<Vec<(String, Container, String)>, String> {
        let list = [
            "ps",
            "-aq",
            "--no-trunc",
            "--filter",
            "label=io.kontena.grid.id",
        ];
        let ids = self.try_docker(&list)?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let format = "{{.Id}}\t{{.State.StartedAt}}\t{{.Image}}\t{{.State.Status}}\t\
                      {{index .Config.Labels \"io.kontena.instance\"}}\t\
                      {{index .Config.Labels \"io.kontena.revision.id\"}}";
        let inspect = ["inspect", "--format", format];
        let ids: Vec<&str> = ids.lines().collect();
        let lines = self.try_docker(&[&inspect[..], &ids].concat())?;
        lines.lines().map(|line| container(host, line)).collect()
    }
}

fn container(host: u8, line: &str) -> Result<(String, Container, String), String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [id, started, image, state, instance, revision] = fields[..] else {
        return Err(format!("not six fields: {line}"));
    };
    let container = Container {
        host,
        id: id.to_owned(),
        started: started.to_owned(),
        image: image.to_owned(),
        revision: revision.to_owned(),
    };
    Ok((instance.to_owned(), container, state.to_owned()))
}

/// That each container that was running `before` on one of `nodes` runs on, never stopped since.
#[track_caller]
pub(crate) fn none_restarted(before: &Running, after: &Running, nodes: &[u8]) {
    for (instance, container) in before {
        if nodes.contains(&container.host) {
            assert_eq!(
                after.get(instance),
                Some(container),
                "{instance} was touched"
            );
        }
    }
}

/// The hosts that run an instance of a service, in their order.
pub(crate) fn hosts_of(running: &Running, service: &str) -> BTreeSet<u8> {
    let of_service = running.iter().filter(|(instance, _)| {
        let number = instance
            .strip_prefix(service)
            .and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    });
    of_service.map(|(_, container)| container.host).collect()
}

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn full_name(service: &Value) -> String {
    let name = service["name"].as_str().unwrap_or_default();
    match service["stack"].as_str() {
        Some(stack) => format!("{stack}/{name}"),
        None => name.to_owned(),
    }
}
