//! Keys and events in etcd's form.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use kontena_core::id::GridId;
use kontena_core::keys::{Content, Entry, Event, Found, Key, KeyAction, Keys};
use kontena_core::time::Instant;
use serde::Serialize;

/// A key, and what is below it as far as that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node {
    /// Absent for the root, as etcd leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<Self>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_index: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    action: String,
    node: Node,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_node: Option<Node>,
}

impl Node {
    /// What is under a key, with what is in a directory: the directories in it stay shut unless `recursive`.
    pub(super) fn found(keys: &Keys, key: &Key, recursive: bool, now: Instant) -> Option<Self> {
        let mut node = Self::alone(keys, key, now)?;
        if node.dir {
            let children = keys.children(key).into_iter();
            node.nodes = children
                .filter_map(|(child, found)| match found {
                    Found::Directory(_) if recursive => Self::found(keys, &child, true, now),
                    Found::Directory(_) | Found::Value(_) => Self::alone(keys, &child, now),
                })
                .collect();
        }
        Some(node)
    }

    fn alone(keys: &Keys, key: &Key, now: Instant) -> Option<Self> {
        match keys.find(key)? {
            Found::Value(entry) | Found::Directory(Some(entry)) => Some(Self::of(key, entry, now)),
            // Nobody made it: it came with the first key that is in it.
            Found::Directory(None) => {
                let created = keys.first_created(key);
                Some(Self {
                    dir: true,
                    created_index: created,
                    modified_index: created,
                    ..Self::named(key)
                })
            }
        }
    }

    fn named(key: &Key) -> Self {
        Self {
            key: (!key.is_root()).then(|| key.to_string()),
            ..Self::default()
        }
    }

    fn of(key: &Key, entry: &Entry, now: Instant) -> Self {
        let left = entry.until.map(|until| until.since(now));
        let value = match &entry.content {
            Content::Value(text) => Some(text.to_string()),
            Content::Directory => None,
        };
        Self {
            dir: value.is_none(),
            value,
            ttl: left
                .map(|left| u64::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)),
            expiration: left.and_then(|left| {
                let left = SignedDuration::try_from(left).ok()?;
                let end = Timestamp::now().checked_add(left).ok()?;
                Some(end.to_string())
            }),
            created_index: Some(entry.created),
            modified_index: Some(entry.modified),
            ..Self::named(key)
        }
    }

    /// What is left of a key that is gone.
    fn gone(event: &Event) -> Self {
        let created = event.previous.as_ref().map(|previous| previous.created);
        Self {
            dir: event.is_directory,
            created_index: created,
            modified_index: Some(event.index),
            ..Self::named(&event.key)
        }
    }
}

pub(super) fn got(node: &Node) -> Response {
    let answer = Answer {
        action: "get".to_owned(),
        node: node.clone(),
        prev_node: None,
    };
    Json(answer).into_response()
}

pub(super) fn happened(event: &Event, now: Instant) -> Response {
    let node = match &event.entry {
        Some(entry) => Node::of(&event.key, entry, now),
        None => Node::gone(event),
    };
    let previous = event.previous.as_ref();
    let answer = Answer {
        action: event.action.to_string(),
        node,
        prev_node: previous.map(|entry| Node::of(&event.key, entry, now)),
    };
    let is_new = event.action == KeyAction::Create
        || (event.action == KeyAction::Set && event.previous.is_none());
    let status = match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    (status, Json(answer)).into_response()
}

/// Clients go on from the index, and notice by the cluster that it is another store's; there is no Raft, whose numbers some of
/// them want.
pub(super) fn with_index(mut response: Response, index: u64, grid: Option<GridId>) -> Response {
    let headers = response.headers_mut();
    for name in ["x-etcd-index", "x-raft-index"] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(index));
    }
    let term = HeaderName::from_static("x-raft-term");
    headers.insert(term, HeaderValue::from(1));
    let cluster = grid.and_then(|grid| HeaderValue::from_str(&grid.to_string()[..16]).ok());
    if let Some(cluster) = cluster {
        headers.insert(HeaderName::from_static("x-etcd-cluster-id"), cluster);
    }
    response
}
