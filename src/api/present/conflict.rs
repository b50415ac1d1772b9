//! The conflicts of a stack as wire types.

use std::collections::BTreeMap;

use kontena_core::id::{ServiceName, StackName};
use kontena_core::stack::{Side, difference};
use kontena_core::view::{self, ConflictValue};
use serde_json::{Map, Value, json};

use super::Snapshot;
use super::revision::{label_of, node_name};
use crate::api::types::Time;
use crate::api::types::conflict::{ConflictSide, ConflictSubject, StackConflict};

pub(super) fn conflicts(snapshot: &Snapshot, stack: &StackName) -> Vec<StackConflict> {
    let conflicts = snapshot.view.documents.stack_conflicts.get(stack);
    let conflicts = conflicts.into_iter().flatten();
    conflicts
        .map(|conflict| StackConflict {
            service: conflict.service.as_ref().map(ToString::to_string),
            subject: subject(conflict.subject),
            sides: sides(snapshot, stack, conflict),
        })
        .collect()
}

fn subject(subject: view::ConflictSubject) -> ConflictSubject {
    match subject {
        view::ConflictSubject::File => ConflictSubject::File,
        view::ConflictSubject::Presence => ConflictSubject::Presence,
        view::ConflictSubject::Definition => ConflictSubject::Definition,
        view::ConflictSubject::Instances => ConflictSubject::Instances,
        view::ConflictSubject::State => ConflictSubject::State,
        view::ConflictSubject::Deploy => ConflictSubject::Deploy,
    }
}

fn sides(
    snapshot: &Snapshot,
    stack: &StackName,
    conflict: &view::StackConflict,
) -> Vec<ConflictSide> {
    let values = values(&conflict.sides);
    let sides = conflict.sides.iter().zip(values);
    sides
        .map(|(side, value)| ConflictSide {
            value,
            revision: label_of(snapshot, stack, &side.change),
            by: node_name(snapshot, &side.author),
            at: Time::known(side.at),
        })
        .collect()
}

fn values(sides: &[view::ConflictSide]) -> Vec<Value> {
    let mut keys = vec![Map::new(); sides.len()];
    let Some(first) = sides.first().and_then(definition) else {
        return sides.iter().map(|side| plain(&side.value)).collect();
    };
    for (index, side) in sides.iter().enumerate() {
        let other = definition(side).unwrap_or_default();
        for key in difference(&first, &other)
            .into_iter()
            .flat_map(|one| one.keys)
        {
            let before = key.before.unwrap_or_default();
            keys[0].insert(key.key.clone(), before);
            keys[index].insert(key.key, key.after.unwrap_or_default());
        }
    }
    keys.into_iter().map(Value::Object).collect()
}

/// The side of a comparison that a definition is.
fn definition(side: &view::ConflictSide) -> Option<BTreeMap<ServiceName, Side<'_>>> {
    let ConflictValue::Definition { service, .. } = &side.value else {
        return None;
    };
    let side = Side {
        service: service.as_deref().map_err(String::as_str),
        instances: None,
    };
    // The name is of no matter: it is the same on both sides.
    let name = "definition".parse().expect("a label");
    Some(BTreeMap::from([(name, side)]))
}

fn plain(value: &ConflictValue) -> Value {
    match value {
        ConflictValue::File {
            stack,
            version,
            expose,
        } => json!({"stack": stack, "version": version, "expose": expose}),
        ConflictValue::Kept => json!("kept"),
        ConflictValue::Dropped => json!("dropped"),
        ConflictValue::Definition { hash, .. } => json!(hash.short()),
        ConflictValue::Instances(instances) => json!(instances),
        ConflictValue::State(state) => json!(state),
    }
}
