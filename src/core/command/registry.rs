//! Commands about external registries → edits.

use std::collections::BTreeMap;

use super::Refusal;
use crate::document::edit::Edit;
use crate::external_registry::{Account, MAX_SHARED, RegistryName, SealedKey};
use crate::id::NodeId;
use crate::view::View;

/// Registries of one grid. Each is as many sealed keys as there are nodes, in a document that every node has.
const MAX_REGISTRIES: usize = 32;

pub(super) fn add(
    view: &View,
    name: &RegistryName,
    account: &Account,
    keys: &BTreeMap<NodeId, SealedKey>,
) -> Result<Vec<Edit>, Refusal> {
    let known = &view.documents.registries;
    if known.len() >= MAX_REGISTRIES && !known.contains_key(name) {
        let problem = format!("a grid has at most {MAX_REGISTRIES} registries: remove one");
        return Err(Refusal::Invalid(problem));
    }
    account.check().map_err(Refusal::Invalid)?;
    let mut edits = vec![Edit::Registry {
        name: name.clone(),
        account: Some(account.clone()),
    }];
    edits.extend(gives(view, name, account, keys));
    Ok(edits)
}

pub(super) fn remove(view: &View, name: &RegistryName) -> Result<Vec<Edit>, Refusal> {
    if !view.documents.registries.contains_key(name) {
        return Err(Refusal::NotFound {
            what: "external registry",
            name: name.to_string(),
        });
    }
    Ok(vec![Edit::Registry {
        name: name.clone(),
        account: None,
    }])
}

/// Nothing where the registry is gone, or has another password by now.
pub(super) fn share(
    view: &View,
    name: &RegistryName,
    keys: &BTreeMap<NodeId, SealedKey>,
) -> Vec<Edit> {
    let Some(registry) = view.documents.registries.get(name) else {
        return Vec::new();
    };
    let lacking = keys
        .iter()
        .filter(|(node, _)| !registry.keys.contains_key(node));
    let lacking = lacking.map(|(node, key)| (*node, key.clone())).collect();
    gives(view, name, &registry.account, &lacking)
}

fn gives(
    view: &View,
    name: &RegistryName,
    account: &Account,
    keys: &BTreeMap<NodeId, SealedKey>,
) -> Vec<Edit> {
    let lock = account.password.lock;
    let opens = |key: &SealedKey| key.lock == lock && key.key.len() <= SealedKey::MAX;
    let given = keys
        .iter()
        .filter(|(node, key)| view.documents.roster.contains_key(node) && opens(key));
    let edit = |(node, key): (&NodeId, &SealedKey)| Edit::RegistryKey {
        name: name.clone(),
        node: *node,
        key: key.clone(),
    };
    given.take(MAX_SHARED).map(edit).collect()
}
