//! What the containers of a service use: each is asked of its node, all at once, and nobody is waited for for long.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use futures::StreamExt;
use futures::stream;
use kontena_core::id::NodeId;
use tokio::time::{Instant, timeout_at};

use super::{Answer, Shared, service_key, snapshot_of};
use crate::api::backend::Containers as Engines;
use crate::api::present;
use crate::api::request::Segments;
use crate::api::types::instance::Container;
use crate::api::types::segments::OfService;
use crate::api::types::usage::{MissingStat, Stat, Stats, Usage};

const LIMIT: Duration = Duration::from_secs(10);
/// An engine looks for a second or two for each.
const AT_ONCE: usize = 64;

/// `GET …/stats`.
pub(super) async fn of_service(
    State(backend): Shared,
    Segments(path): Segments<OfService>,
) -> Answer<Stats> {
    let asked = {
        let snapshot = snapshot_of(&backend, &path.grid)?;
        let key = service_key(&path.stack, &path.service)?;
        snapshot.service(&key)?;
        let mut containers = present::containers::of_service(&snapshot, &key);
        containers.retain(|container| container.state.running);
        let with_node = |container: Container| {
            let (node, _) = snapshot.node(&container.node.name).ok()?;
            Some((*node, container))
        };
        containers
            .into_iter()
            .filter_map(with_node)
            .collect::<Vec<_>>()
    };
    let until = Instant::now() + LIMIT;
    let engines = backend.containers.as_ref();
    let told = stream::iter(asked)
        .map(|(node, container)| tell(engines, until, node, container))
        .buffered(AT_ONCE);
    let (mut stats, mut missing) = (Vec::new(), Vec::new());
    for told in told.collect::<Vec<_>>().await {
        match told {
            Ok(stat) => stats.push(stat),
            Err(problem) => missing.push(problem),
        }
    }
    Ok(Json(Stats { stats, missing }))
}

async fn tell(
    engines: &dyn Engines,
    until: Instant,
    node: NodeId,
    container: Container,
) -> Result<Stat, MissingStat> {
    let asked = timeout_at(until, engines.usage(node, container.container_id.clone())).await;
    let late = |_| format!("no answer in {} s", LIMIT.as_secs());
    match asked.map_err(late).and_then(|told| told) {
        Ok(usage) => Ok(stat(container, usage)),
        Err(problem) => Err(MissingStat {
            name: container.name,
            node: container.node.name,
            problem,
        }),
    }
}

fn stat(container: Container, usage: Usage) -> Stat {
    let Usage {
        cpu,
        memory,
        network,
    } = usage;
    Stat {
        id: container.id,
        container_id: container.name,
        node: container.node.name,
        cpu,
        memory,
        network,
    }
}
