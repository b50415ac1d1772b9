//! From registers to [`Documents`]: each document gives a part, and the parts are put together.
//!
//! A pure function of what the registers say, who belongs, and which change lies in the past of
//! which: equal envelopes give equal values, in whatever order they came. What cannot be read is
//! left out; what two sides wrote differently is listed.

mod contested;
mod deploys;
mod grid;
mod history;
mod life;
mod registries;
mod stack;
mod volumes;
mod vpn;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::DocumentId;
use super::log::{Log, Value};
use crate::access::Members;
use crate::id::{GridId, ServiceKey, StackName};
use crate::view::{Conflict, Documents};
use grid::GridPart;
#[cfg(test)]
pub(crate) use history::merged_services;
use stack::StackPart;

/// What each document says.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    grid: GridPart,
    stacks: BTreeMap<StackName, StackPart>,
}

impl Parts {
    /// Reads one document anew.
    pub(crate) fn update(
        &mut self,
        id: GridId,
        document: &DocumentId,
        log: &Log,
        members: &Members,
    ) {
        match document {
            DocumentId::Grid => self.grid = grid::read(id, log, members),
            DocumentId::Stack(name) => {
                let part = self.stacks.entry(name.clone()).or_default();
                part.read(name, log);
            }
        }
    }

    pub(crate) fn combine(&self) -> Documents {
        let mut documents = Documents {
            grid: self.grid.grid.clone(),
            roster: self.grid.roster.clone(),
            removed: self.grid.removed.clone(),
            former: self.grid.former.clone(),
            disowned: self.grid.disowned.clone(),
            assumed_dead: self.grid.assumed_dead.clone(),
            join_tokens: self.grid.join_tokens.clone(),
            admin_tokens: self.grid.admin_tokens.clone(),
            vpn: self.grid.vpn.clone(),
            registries: self.grid.registries.clone(),
            volumes: self.grid.volumes.clone(),
            removed_volumes: self.grid.removed_volumes.clone(),
            conflicts: self.grid.conflicts.clone(),
            ..Documents::default()
        };
        for (name, part) in &self.stacks {
            if let Some(record) = &part.record {
                documents.stacks.insert(name.clone(), record.clone());
                let history = Arc::clone(&part.history);
                documents.histories.insert(name.clone(), history);
            }
            for (service, record) in &part.services {
                let key = ServiceKey::new(name.clone(), service.clone());
                documents.services.insert(key, record.clone());
            }
            documents.conflicts.extend(part.conflicts.iter().cloned());
            if !part.contested.is_empty() {
                let contested = part.contested.clone();
                documents.stack_conflicts.insert(name.clone(), contested);
            }
        }
        volumes::drop_what_is_removed(&mut documents);
        documents
    }
}

/// A value that could be read, and where it comes from.
struct Read<T> {
    value: T,
    source: usize,
}

/// The values of a register that this version can read, the winner first.
fn readable<T: DeserializeOwned>(values: &[Value]) -> impl Iterator<Item = Read<T>> {
    values.iter().filter_map(|value| {
        let read = serde_json::from_str(&value.text).ok()?;
        Some(Read {
            value: read,
            source: value.source,
        })
    })
}

/// The conflict between values that differ in what people see of them, if any.
fn conflict<T, S: AsRef<str>>(
    document: &DocumentId,
    register: S,
    values: &[Read<T>],
    show: impl Fn(&T) -> String,
) -> Option<Conflict> {
    let (winner, others) = values.split_first()?;
    let applied = show(&winner.value);
    let mut others: Vec<String> = others.iter().map(|other| show(&other.value)).collect();
    others.retain(|other| *other != applied);
    others.sort_unstable();
    others.dedup();
    (!others.is_empty()).then(|| Conflict {
        document: document.to_string(),
        register: register.as_ref().to_owned(),
        applied,
        others,
    })
}

/// As people write it: text without quotes, everything else as JSON.
fn shown<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}
