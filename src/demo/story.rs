//! The story that `kontena demo` tells: a grid begins, runs a stack, loses a node and gets it back.
//!
//! Each step does what a user would do, waits until it is true, and says how long that took. A step that
//! does not come true within its deadline is an error: the demo succeeds only if all of it held.

mod grid;
mod settle;
mod stack;
mod teller;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::grid::{Grid, Service};
pub(super) use self::stack::WEB_PORT;
pub(crate) use self::teller::Teller;
use super::daemon::DAEMON;
use super::host::last_words;
use super::images;
use super::lab::Lab;
use super::wait;

/// Containers of images that are there start in a second or two.
const DEPLOY_DEADLINE: Duration = Duration::from_secs(60);
/// Absence is believed after 7 s at this size; a busy machine makes nodes careful for up to 30 s more.
const TAKEOVER_DEADLINE: Duration = Duration::from_secs(90);
const RETURN_DEADLINE: Duration = Duration::from_secs(90);
const JOIN_DEADLINE: Duration = Duration::from_secs(30);
const PAGE_DEADLINE: Duration = Duration::from_secs(10);

/// The whole story. Whatever it leaves is for the caller to remove.
pub(super) async fn tell(lab: &Lab, program: &Path, teller: &mut Teller<'_>) -> Result<()> {
    hosts(lab, teller).await?;
    let scene = Scene {
        nodes: lab.size(),
        grid: Grid::start(lab, program).await?,
        lab,
    };
    scene.begin(teller).await?;
    scene.deploy(teller).await?;
    let lost = scene.lose(teller).await?;
    scene.welcome(lost, teller).await?;
    teller.tell("all of it held")
}

/// What the daemons said last, for a story that did not come true: their logs go with the hosts.
pub(super) fn last_words_of_all(lab: &Lab, teller: &mut Teller<'_>) -> Result<()> {
    for host in lab.hosts() {
        let words = last_words(&host.log(DAEMON));
        if !words.is_empty() {
            teller.detail(&format!("the daemon of {}{words}", host.name()))?;
        }
    }
    Ok(())
}

async fn hosts(lab: &Lab, teller: &mut Teller<'_>) -> Result<()> {
    let nodes = lab.size();
    teller.tell(&format!(
        "starting {nodes} hosts, each with its own network and Docker engine"
    ))?;
    lab.up().await?;
    teller.tell("building images of nginx and redis from Debian packages")?;
    let archive =
        images::build::<images::Demo>(&lab.directory().join("images"), lab.name()).await?;
    lab.load(&archive).await?;
    teller.tell("every engine has the images; starting `kontena daemon` on every host")
}

struct Scene<'a> {
    lab: &'a Lab,
    nodes: u8,
    grid: Grid<'a>,
}

impl Scene<'_> {
    fn all(&self) -> Vec<u8> {
        (1..=self.nodes).collect()
    }

    fn name(&self, node: u8) -> String {
        self.lab.host(node).name()
    }

    async fn begin(&self, teller: &mut Teller<'_>) -> Result<()> {
        let begun = self.grid.init(1).await?;
        teller.tell(&format!(
            "node-1: `kontena init` began the grid `{}`",
            begun.grid
        ))?;
        for node in 2..=self.nodes {
            self.grid.join(node, 1, &begun.join_token).await?;
            let address = self.lab.host(1).address();
            teller.tell(&format!(
                "{}: `kontena join {address} --token …`",
                self.name(node)
            ))?;
        }
        let start = Instant::now();
        wait::until(
            JOIN_DEADLINE,
            "all nodes to be online on all nodes",
            async || self.all_online().await,
        )
        .await?;
        teller.tell(&format!(
            "every node sees {} nodes online ({})",
            self.nodes,
            since(start)
        ))
    }

    /// Whether every node says that every node is online.
    async fn all_online(&self) -> Result<Option<()>> {
        for node in self.all() {
            let nodes = self.grid.nodes(node).await?;
            let online = nodes.iter().filter(|node| node.status == "online").count();
            if online != usize::from(self.nodes) || nodes.len() != online {
                bail!("{} sees {nodes:?}", self.name(node));
            }
        }
        Ok(Some(()))
    }

    async fn deploy(&self, teller: &mut Teller<'_>) -> Result<()> {
        let file = self.lab.directory().join("kontena.yml");
        let text = stack::file(self.nodes);
        std::fs::write(&file, &text)
            .with_context(|| format!("failed to write `{}`", file.display()))?;
        let (from, to) = (2, if self.nodes > 2 { 3 } else { 1 });
        teller.tell(&format!(
            "{}: `kontena stack install kontena.yml`, which says",
            self.name(from)
        ))?;
        teller.detail(&text)?;
        let start = Instant::now();
        self.grid
            .run(from, &["stack", "install", &file.display().to_string()])
            .await?;
        let services = self.settled(to, &self.all(), DEPLOY_DEADLINE).await?;
        teller.tell(&format!(
            "everything runs and is healthy ({})",
            since(start)
        ))?;
        teller.detail(&table(&services))?;
        teller.tell(&format!("{}: `kontena stack show shop`", self.name(to)))?;
        teller.detail(&self.grid.run(to, &["stack", "show", "shop"]).await?)?;
        self.pages(&services, teller).await
    }

    /// Cuts a node off that runs something, kills it, and waits for the others to take over.
    async fn lose(&self, teller: &mut Teller<'_>) -> Result<u8> {
        let left = |lost: u8| self.all().into_iter().filter(move |node| *node != lost);
        let services = self.services(1).await?;
        let lost = self.busiest(&services).context("no node runs `web`")?;
        let left: Vec<u8> = left(lost).collect();
        let start = Instant::now();
        self.lab.cut(lost).await?;
        self.lab.host(lost).kill().await?;
        let name = self.name(lost);
        teller.tell(&format!(
            "cut the cable of {name} and killed it: {}",
            lost_text(lost)
        ))?;
        let services = self.settled(left[0], &left, TAKEOVER_DEADLINE).await?;
        teller.tell(&format!(
            "the others run all that it ran: {} after the cut",
            since(start)
        ))?;
        teller.detail(&table(&services))?;
        self.pages(&services, teller).await?;
        Ok(lost)
    }

    /// The node that runs `web` and the most besides; the one that began the grid, if it may be.
    fn busiest(&self, services: &Services) -> Option<u8> {
        let web = services.get("shop/web")?;
        let runs = |service: &Service, name: &str| {
            service
                .instances
                .iter()
                .filter(|one| one.serving_on() == Some(name))
                .count()
        };
        let candidates = self
            .all()
            .into_iter()
            .filter(|node| runs(web, &self.name(*node)) > 0);
        candidates.max_by_key(|node| {
            let all: usize = services
                .values()
                .map(|one| runs(one, &self.name(*node)))
                .sum();
            (*node == 1, all, *node)
        })
    }

    /// Starts the lost node again, and waits until the grid is as it was wanted.
    async fn welcome(&self, lost: u8, teller: &mut Teller<'_>) -> Result<()> {
        let name = self.name(lost);
        self.lab.host(lost).start().await?;
        self.grid.start_daemon(lost).await?;
        teller.tell(&format!(
            "started {name} again, with its old disk and its cable still cut"
        ))?;
        let start = Instant::now();
        self.lab.heal(lost).await?;
        wait::until(
            RETURN_DEADLINE,
            "the returned node to be online",
            async || self.all_online().await,
        )
        .await?;
        teller.tell(&format!(
            "healed the cable: {name} is online again ({})",
            since(start)
        ))?;
        let services = self.settled(lost, &self.all(), RETURN_DEADLINE).await?;
        teller.tell(&format!(
            "each service has exactly its instances ({})",
            since(start)
        ))?;
        teller.detail(&table(&services))?;
        self.pages(&services, teller).await
    }

    /// Fetches the web page from every node that runs `web`.
    async fn pages(&self, services: &Services, teller: &mut Teller<'_>) -> Result<()> {
        let web = services.get("shop/web").context("`web` is not there")?;
        for node in self.all() {
            let name = self.name(node);
            if web
                .instances
                .iter()
                .any(|one| one.serving_on() == Some(&name))
            {
                let page = wait::until(PAGE_DEADLINE, "the web page", async || {
                    self.lab
                        .get(node, WEB_PORT, "/", Duration::from_secs(2))
                        .await
                        .map(Some)
                })
                .await?;
                let address = self.lab.host(node).address();
                teller.detail(&format!(
                    "http://{address}:{WEB_PORT} answers: {}",
                    page.trim()
                ))?;
            }
        }
        Ok(())
    }
}

type Services = BTreeMap<&'static str, Service>;

fn lost_text(lost: u8) -> &'static str {
    if lost == 1 {
        "the node that began the grid"
    } else {
        "no goodbye, only silence"
    }
}

fn since(start: Instant) -> String {
    format!("{:.1} s", start.elapsed().as_secs_f64())
}

/// Which instance is where.
fn table(services: &Services) -> String {
    let mut text = String::new();
    for (name, service) in services {
        let mut instances: Vec<_> = service.instances.iter().collect();
        instances.sort();
        for one in instances {
            let instance = format!("{name}-{}", one.number);
            let node = one.node.as_deref().unwrap_or("-");
            text.push_str(&format!(
                "{instance:<14} {node:<8} {:<9} {}\n",
                one.state, one.health
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_place_to_go_to_when_a_node_is_lost() {
        for nodes in 2..=16 {
            let [web, ..] = stack::wanted(nodes);
            assert!(web.instances < usize::from(nodes));
            assert!(stack::file(nodes).contains(&format!("instances: {}\n", web.instances)));
        }
    }
}
