//! Names that the asked node knows, for somebody who is typing: at once or not at all.

use std::time::Duration;

use kontena_core::id::GridName;
use kontena_core::keys::Key;
use tokio::time::timeout;

use crate::api::client::ApiError;
use crate::api::paths;
use crate::api::types::instance::Containers;
use crate::api::types::key::KeyRead;
use crate::api::types::membership::Status;
use crate::api::types::node::Nodes;
use crate::api::types::service::Services;
use crate::api::types::stack::Stacks;
use crate::api::types::volume::{VolumeCopies, Volumes};
use crate::cli::session::Session;

/// Longer than that nobody waits for a key.
pub(super) const LIMIT: Duration = Duration::from_millis(500);

/// What the names are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nodes,
    Stacks,
    Services,
    Containers,
    Keys,
    Volumes,
    /// What Docker calls copies of volumes.
    Copies,
}

/// None where the node does not answer.
pub(super) async fn names(session: &Session, kind: Kind) -> Vec<String> {
    match timeout(LIMIT, asked(session, kind)).await {
        Ok(Ok(names)) => names,
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

async fn asked(session: &Session, kind: Kind) -> Result<Vec<String>, ApiError> {
    let status: Status = session.client.get(paths::STATUS).await?;
    let Some(grid) = status.grid.and_then(|name| name.parse::<GridName>().ok()) else {
        return Ok(Vec::new());
    };
    Ok(match kind {
        Kind::Nodes => {
            let all: Nodes = session.client.get(&paths::nodes(&grid)).await?;
            all.nodes.into_iter().map(|node| node.name).collect()
        }
        Kind::Stacks => {
            let all: Stacks = session.client.get(&paths::stacks(&grid)).await?;
            all.stacks.into_iter().map(|stack| stack.name).collect()
        }
        Kind::Services => {
            let all: Services = session.client.get(&paths::services(&grid)).await?;
            all.services
                .into_iter()
                .map(|service| named(&service.id))
                .collect()
        }
        Kind::Containers => {
            let all: Containers = session.client.get(&paths::containers(&grid, false)).await?;
            all.containers
                .into_iter()
                .map(|container| below(&container.id))
                .collect()
        }
        Kind::Volumes => {
            let all: Volumes = session.client.get(&paths::volumes(&grid)).await?;
            all.volumes.into_iter().map(|volume| volume.name).collect()
        }
        Kind::Copies => {
            let all: VolumeCopies = session.client.get(&paths::volume_copies(&grid)).await?;
            all.copies.into_iter().map(|copy| copy.name).collect()
        }
        Kind::Keys => {
            let path = paths::key(&grid, &Key::root());
            match session
                .client
                .get(&format!("{path}?recursive=true"))
                .await?
            {
                KeyRead::Directory(all) => all.children.into_iter().map(|one| one.key).collect(),
                KeyRead::Value(_) => Vec::new(),
            }
        }
    })
}

/// `STACK/SERVICE` of `GRID/STACK/SERVICE`, and `SERVICE` where it is in no stack.
fn named(id: &str) -> String {
    let name = below(id);
    name.strip_prefix("null/")
        .map_or(name.clone(), str::to_owned)
}

/// An id without its grid.
fn below(id: &str) -> String {
    id.split_once('/').map_or(id, |(_, rest)| rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_would_be_typed() {
        assert_eq!(named("home/shop/web"), "shop/web");
        assert_eq!(named("home/null/redis"), "redis");
        assert_eq!(below("home/alpha/shop.web-1"), "alpha/shop.web-1");
    }
}
