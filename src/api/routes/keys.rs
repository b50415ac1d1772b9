//! The key-value store, as Kontena's own command line asks for it.
//!
//! Each node answers with what it has, and takes every write. The store itself is the core's (`keys`).

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use kontena_core::keys::{
    Change, Condition, Content, Found, Key, KeyRefusal, KeyWrite, Keys, MAX_BYTES, MAX_KEYS,
};
use kontena_core::time::Instant;

use super::{Answer, Shared, snapshot_of};
use crate::api::answer::Refused;
use crate::api::backend::{Backend, KeyFailure};
use crate::api::request::{Body, Parameters, Segments};
use crate::api::types::key::{
    KeyChanged, KeyChild, KeyDepth, KeyDirectory, KeyRead, KeyRemoval, KeySetting, KeyStore,
    KeyValue,
};
use crate::api::types::segments::{OfGrid, OfStoreKey};

/// `GET /v1/etcd/{grid}`: how full it is. *Ours.*
pub(super) async fn store(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
) -> Answer<KeyStore> {
    snapshot_of(&backend, &grid)?;
    let keys = backend.keys.borrow();
    Ok(Json(KeyStore {
        keys: keys.len() as u64,
        max_keys: MAX_KEYS as u64,
        bytes: keys.bytes() as u64,
        max_bytes: MAX_BYTES as u64,
        index: keys.index(),
    }))
}

/// `GET /v1/etcd/{grid}/{key}`.
pub(super) async fn read(
    State(backend): Shared,
    Segments(OfStoreKey { grid, key }): Segments<OfStoreKey>,
    Parameters(KeyDepth { recursive }): Parameters<KeyDepth>,
) -> Answer<KeyRead> {
    snapshot_of(&backend, &grid)?;
    let key = named(&key)?;
    let keys = backend.keys.borrow().clone();
    let now = (backend.core_now)();
    match keys.find(&key) {
        None => Err(KeyRefusal::NotFound { key }.into()),
        Some(Found::Value(entry)) => Ok(Json(KeyRead::Value(KeyValue {
            value: Found::Value(entry).value().unwrap_or_default().to_owned(),
            ttl: entry.until.map(|until| seconds(until, now)),
        }))),
        Some(Found::Directory(_)) => {
            let mut children = Vec::new();
            list(&keys, &key, recursive, &mut children);
            Ok(Json(KeyRead::Directory(KeyDirectory { children })))
        }
    }
}

/// What is in a directory itself; or all values below it, and the directories that are empty.
fn list(keys: &Keys, directory: &Key, recursive: bool, children: &mut Vec<KeyChild>) {
    for (key, found) in keys.children(directory) {
        let is_full = !keys.children(&key).is_empty();
        match found {
            Found::Directory(_) if recursive && is_full => list(keys, &key, recursive, children),
            Found::Directory(_) | Found::Value(_) => children.push(KeyChild {
                key: key.to_string(),
                value: found.value().map(str::to_owned),
            }),
        }
    }
}

/// Of the last second something is left until it is over.
fn seconds(until: Instant, now: Instant) -> u64 {
    until
        .since(now)
        .as_millis()
        .div_ceil(1000)
        .try_into()
        .unwrap_or(u64::MAX)
}

/// `POST`: a value, or a directory.
pub(super) async fn set(
    State(backend): Shared,
    Segments(OfStoreKey { grid, key }): Segments<OfStoreKey>,
    Body(KeySetting { value, ttl }): Body<KeySetting>,
) -> Answer<KeyChanged> {
    let content = match value {
        Some(value) => Content::Value(value.into()),
        None => Content::Directory,
    };
    let ttl = ttl.map(Duration::from_secs);
    write(&backend, &grid, &key, Change::Set { content, ttl }).await
}

/// `DELETE`: a value, or a directory with all that is in it.
pub(super) async fn remove(
    State(backend): Shared,
    Segments(OfStoreKey { grid, key }): Segments<OfStoreKey>,
    Body(KeyRemoval { recursive }): Body<KeyRemoval>,
) -> Answer<KeyChanged> {
    let change = Change::Remove {
        directory: false,
        recursive,
    };
    write(&backend, &grid, &key, change).await
}

async fn write(backend: &Backend, grid: &str, key: &str, change: Change) -> Answer<KeyChanged> {
    snapshot_of(backend, grid)?;
    let write = KeyWrite {
        key: named(key)?,
        change,
        condition: Condition::default(),
    };
    let event = backend.write_key(write).await.map_err(failed)?;
    Ok(Json(KeyChanged {
        key: event.key.to_string(),
        index: event.index,
    }))
}

fn named(key: &str) -> Result<Key, Refused> {
    key.parse()
        .map_err(|problem| KeyRefusal::Key(problem).into())
}

fn failed(failure: KeyFailure) -> Refused {
    match failure {
        KeyFailure::Refused(refusal) => refusal.into(),
        KeyFailure::Late(limit) => Refused::late(limit),
    }
}
