//! External registries as wire types.

use kontena_core::external_registry::{Registry, RegistryName};

use super::Snapshot;
use crate::api::types::Time;
use crate::api::types::registry::ExternalRegistry;

pub(in crate::api) fn registry(
    snapshot: &Snapshot,
    name: &RegistryName,
    known: &Registry,
) -> ExternalRegistry {
    let lacking = snapshot
        .members()
        .filter(|(node, _)| !known.keys.contains_key(node));
    ExternalRegistry {
        id: format!("{}/{name}", snapshot.grid),
        name: name.to_string(),
        url: known.account.url.clone(),
        username: known.account.username.clone(),
        email: known.account.email.clone(),
        created_at: Time::known(known.since),
        missing_on: lacking.map(|(_, member)| member.name.to_string()).collect(),
    }
}
