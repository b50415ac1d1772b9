//! What the engine shows, always as a whole: [`Observed`].
//!
//! The engine's events only say *when* to look; what is reported is a full list. Nothing is queued:
//! whoever reads late gets the newest state, and never holds up the engine.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ContainerSummary, EventMessage, PluginsInfo, SystemInfo};
use bollard::query_parameters::{EventsOptions, ListContainersOptions};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use kontena_core::reconcile::action::{Container, ContainerId, ContainerState, Observed};
use kontena_core::report::{Engine, EngineState};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::container::{address, assigned, container, plain_name};
use super::labels::{GRID, owner};
use super::newest::Newest;
use super::one_off::{is_one_off, told};
use super::trouble::{NOT_FOUND, Trouble};
use super::{Docker, READ_LIMIT};

/// Events come in bursts (create, start): one look for all of them.
const SETTLE: Duration = Duration::from_millis(20);

/// A look without an event: finds an engine that hangs, and what no event told. Takes about 2 ms.
const LOOK_EVERY: Duration = Duration::from_secs(10);

const BACK_OFF_MIN: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);

/// How many containers are inspected at once after a restart of daemon or engine.
const INSPECT_AT_ONCE: usize = 8;

/// The events after which a container is not what it was. Health checks make three others each, every
/// few seconds.
const EVENTS: [&str; 8] = [
    "create", "start", "die", "destroy", "pause", "unpause", "rename", "restart",
];

/// What the engine shows, for one reader. Watching ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    newest: Arc<Newest>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Waits for something that was not read yet. Trouble and recovery come before containers, and
    /// of each only the newest. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Observed {
        loop {
            if let Some(observed) = self.newest.take() {
                return observed;
            }
            self.newest.changed().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Docker {
    /// Watches the engine and the containers of the grid in `grid` (none while it is `None`; it may
    /// change). Must be called within a tokio runtime.
    pub(crate) fn watch(&self, grid: watch::Receiver<Option<String>>) -> Watch {
        let newest = Arc::new(Newest::default());
        let watcher = Watcher {
            docker: self.clone(),
            grid,
            newest: Arc::clone(&newest),
            known: BTreeMap::new(),
            strange: BTreeSet::new(),
            swept: None,
            volumes_from: None,
            in_trouble: false,
        };
        Watch {
            newest,
            task: tokio::spawn(watcher.run()),
        }
    }
}

struct Watcher {
    docker: Docker,
    grid: watch::Receiver<Option<String>>,
    newest: Arc<Newest>,
    /// What an inspection said, until an event or another state shows that it is old.
    known: BTreeMap<ContainerId, Known>,
    /// Containers with our grid's label whose other labels cannot be read; each is told of once.
    strange: BTreeSet<String>,
    /// When its volumes were listed last.
    volumes_from: Option<Instant>,
    /// The grid of which what an earlier life left behind was removed.
    swept: Option<String>,
    /// Told once when trouble begins and once when it ends.
    in_trouble: bool,
}

struct Known {
    /// The state as the list named it.
    listed: String,
    container: Container,
}

type Events = BoxStream<'static, Result<EventMessage, Trouble>>;

impl Watcher {
    async fn run(mut self) {
        let mut back_off = BACK_OFF_MIN;
        loop {
            let started = Instant::now();
            let trouble = self.follow().await;
            self.docker.forget_client();
            self.known.clear();
            self.volumes_from = None;
            let problem = trouble.problem().to_owned();
            self.tell_trouble(&problem);
            self.newest.put(Observed::EngineTrouble { problem });
            if started.elapsed() > READ_LIMIT + BACK_OFF_MAX {
                back_off = BACK_OFF_MIN;
            }
            tokio::time::sleep(back_off).await;
            back_off = (back_off * 2).min(BACK_OFF_MAX);
        }
    }

    fn tell_trouble(&mut self, problem: &str) {
        if std::mem::replace(&mut self.in_trouble, true) {
            tracing::debug!(%problem, "Docker is still in trouble");
        } else {
            tracing::warn!(%problem, "Docker is in trouble: no container is started or stopped");
        }
    }

    fn tell_recovery(&mut self) {
        if std::mem::take(&mut self.in_trouble) {
            tracing::info!("Docker works again");
        }
    }

    /// One connection's life: returns why it ended.
    async fn follow(&mut self) -> Trouble {
        let (engine, mut events) = match self.open().await {
            Ok(opened) => opened,
            Err(trouble) => return trouble,
        };
        self.newest.put(Observed::Engine(engine));
        loop {
            if let Err(trouble) = self.look().await {
                return trouble;
            }
            self.tell_recovery();
            if let Err(trouble) = self.wait(&mut events).await {
                return trouble;
            }
        }
    }

    /// The events are asked for from the engine's present time on, by its own clock: whatever happens
    /// between this and the first list is told.
    async fn open(&self) -> Result<(Engine, Events), Trouble> {
        let info = self
            .docker
            .call(READ_LIMIT, |client| async move { client.info().await })
            .await?;
        let options = EventsOptions {
            since: info.system_time.as_deref().and_then(engine_time),
            until: None,
            filters: Some(HashMap::from([
                filter("type", &["container"]),
                filter("event", &EVENTS),
                filter("label", &[GRID]),
            ])),
        };
        let client = self.docker.client().await?;
        let events = client.events(Some(options)).map_err(Trouble::from).boxed();
        Ok((engine(info), events))
    }

    /// Until there is a reason to look again: an event, another grid, or [`LOOK_EVERY`].
    async fn wait(&mut self, events: &mut Events) -> Result<(), Trouble> {
        tokio::select! {
            event = events.next() => self.note(event)?,
            () = another_grid(&mut self.grid) => {
                self.volumes_from = None;
                return Ok(());
            }
            () = tokio::time::sleep(LOOK_EVERY) => return Ok(()),
        }
        let settled = tokio::time::sleep(SETTLE);
        tokio::pin!(settled);
        loop {
            tokio::select! {
                event = events.next() => self.note(event)?,
                () = &mut settled => return Ok(()),
            }
        }
    }

    fn note(&mut self, event: Option<Result<EventMessage, Trouble>>) -> Result<(), Trouble> {
        let ended = || Trouble::Unreachable("the engine closed its stream of events".to_owned());
        let event = event.ok_or_else(ended)??;
        if let Some(id) = event.actor.and_then(|actor| actor.id) {
            self.known.remove(&ContainerId(id));
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<(), Trouble> {
        let grid = self.grid.borrow_and_update().clone();
        let Some(grid) = grid else {
            self.known.clear();
            return self
                .docker
                .call(READ_LIMIT, |client| async move { client.ping().await })
                .await
                .map(|_| ());
        };
        if self.swept.as_ref() != Some(&grid) {
            self.docker.remove_old_hooks(&grid).await?;
            self.remove_leftovers(&grid);
            self.swept = Some(grid.clone());
        }
        let all = self.list(&grid).await?;
        let (one_offs, mut listed): (Vec<_>, Vec<_>) = all.into_iter().partition(is_one_off);
        listed.retain(|summary| self.is_readable(summary));
        self.docker.remove_strays(&one_offs);
        self.newest.put(Observed::OneOffs(told(&one_offs)));
        self.inspect_unknown(&listed).await?;
        let containers = listed
            .iter()
            .filter_map(|summary| self.observed(summary))
            .map(|container| (container.id.clone(), container))
            .collect();
        let ids: BTreeSet<ContainerId> = listed.iter().map(id_of).collect();
        self.known.retain(|id, _| ids.contains(id));
        self.newest.put(Observed::Containers(containers));
        self.look_at_volumes(&grid).await;
        Ok(())
    }

    /// Beside all else: it may take minutes, and a hook that is still to be run an hour.
    fn remove_leftovers(&self, grid: &str) {
        let (docker, grid) = (self.docker.clone(), grid.to_owned());
        tokio::spawn(async move { docker.remove_leftovers(&grid).await });
    }

    /// What this node makes and removes itself it knows at once: the rest may be told late.
    /// A driver of volumes that hangs keeps nobody from looking after containers.
    async fn look_at_volumes(&mut self, grid: &str) {
        let is_new = |at: Instant| at.elapsed() < LOOK_EVERY;
        if self.volumes_from.is_some_and(is_new) {
            return;
        }
        self.volumes_from = Some(Instant::now());
        match self.docker.list_volumes(grid).await {
            Ok(volumes) => self.newest.put(Observed::Volumes(volumes)),
            Err(trouble) => {
                let problem = trouble.problem();
                tracing::warn!(problem, "The engine does not list its volumes");
            }
        }
    }

    async fn list(&self, grid: &str) -> Result<Vec<ContainerSummary>, Trouble> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([filter(
                "label",
                &[&format!("{GRID}={grid}")],
            )])),
            ..ListContainersOptions::default()
        };
        self.docker
            .call(READ_LIMIT, |client| async move {
                client.list_containers(Some(options)).await
            })
            .await
    }

    fn is_readable(&mut self, summary: &ContainerSummary) -> bool {
        let readable = summary.labels.as_ref().is_some_and(|l| owner(l).is_some());
        let ContainerId(id) = id_of(summary);
        if !readable && self.strange.insert(id.clone()) {
            tracing::warn!(container = %id, "A container has this grid's label but not the others");
        }
        readable
    }

    /// The list does not say since when a container runs, nor how and when it ended.
    async fn inspect_unknown(&mut self, listed: &[ContainerSummary]) -> Result<(), Trouble> {
        let unknown: Vec<(ContainerId, String)> = listed
            .iter()
            .filter(|summary| !self.is_known(summary))
            .map(|summary| (id_of(summary), listed_state(summary)))
            .collect();
        let docker = &self.docker;
        let inspections = unknown.into_iter().map(|(id, listed)| async move {
            let inspected = docker.inspect(&id.0).await;
            (id, listed, inspected)
        });
        let mut results = futures::stream::iter(inspections).buffer_unordered(INSPECT_AT_ONCE);
        while let Some((id, listed, inspected)) = results.next().await {
            match inspected {
                Ok(inspected) => {
                    if let Some(container) = container(inspected, &docker.network) {
                        self.known.insert(id, Known { listed, container });
                    }
                }
                Err(trouble) if trouble.is_status(NOT_FOUND) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(())
    }

    fn is_known(&self, summary: &ContainerSummary) -> bool {
        self.known
            .get(&id_of(summary))
            .is_some_and(|known| known.listed == listed_state(summary))
    }

    /// What is known of a listed container, with what the list itself says newer. One that went away
    /// before it could be inspected is left out.
    fn observed(&self, summary: &ContainerSummary) -> Option<Container> {
        let known = self.known.get(&id_of(summary))?;
        let networks = summary.network_settings.as_ref();
        let name = summary.names.as_ref().and_then(|names| names.first());
        let mut container = known.container.clone();
        if matches!(container.state, ContainerState::Running { .. }) {
            let grid = &self.docker.network;
            let listed = networks.and_then(|settings| address(settings.networks.as_ref(), grid));
            container.address = listed.or(container.address);
            // The node may have another subnet since, and the container another address in it.
            let listed = networks.and_then(|settings| assigned(settings.networks.as_ref(), grid));
            container.assigned = listed.or(container.assigned);
        }
        if let Some(name) = name {
            container.name = plain_name(name);
        }
        Some(container)
    }
}

/// Never, once nobody can name another grid any more.
async fn another_grid(grid: &mut watch::Receiver<Option<String>>) {
    if grid.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn id_of(summary: &ContainerSummary) -> ContainerId {
    ContainerId(summary.id.clone().unwrap_or_default())
}

fn listed_state(summary: &ContainerSummary) -> String {
    let state = summary.state.as_ref();
    state.map(ToString::to_string).unwrap_or_default()
}

fn filter(key: &str, values: &[&str]) -> (String, Vec<String>) {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    (key.to_owned(), values)
}

/// `SECONDS.NANOSECONDS`, the form in which the engine reads a time.
pub(super) fn engine_time(rfc3339: &str) -> Option<String> {
    let time: jiff::Timestamp = rfc3339.parse().ok()?;
    Some(format!(
        "{}.{:09}",
        time.as_second(),
        time.subsec_nanosecond()
    ))
}

fn engine(info: SystemInfo) -> Engine {
    Engine {
        state: EngineState::Working,
        version: info.server_version.unwrap_or_default(),
        cpus: u32::try_from(info.ncpu.unwrap_or_default()).unwrap_or_default(),
        memory_bytes: u64::try_from(info.mem_total.unwrap_or_default()).unwrap_or_default(),
        architecture: info.architecture.unwrap_or_default(),
        operating_system: info.operating_system.unwrap_or_default(),
        kernel: info.kernel_version.unwrap_or_default(),
        volume_drivers: volume_drivers(info.plugins),
    }
}

fn volume_drivers(plugins: Option<PluginsInfo>) -> Vec<String> {
    let drivers = plugins.and_then(|plugins| plugins.volume);
    let mut drivers = drivers.unwrap_or_default();
    drivers.sort_unstable();
    drivers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_the_engine_reads_it() {
        assert_eq!(
            engine_time("1970-01-01T00:00:02.000000005+00:00").unwrap(),
            "2.000000005"
        );
        assert_eq!(engine_time("yesterday"), None);
    }
}
