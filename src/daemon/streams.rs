//! What the streams that other members open here are for.
//!
//! On the wire, the header is a [`Purpose`] as JSON; one that is none asks for a log (`logs`).

use kontena_core::id::NodeId;
use kontena_core::reconcile::MoveAsk;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::containers::NodeContainers;
use super::logs::NodeLogs;
use super::moves::NodeMoves;
use super::networking::NodeNetworks;
use super::volumes::NodeVolumes;
use crate::api::backend::{Contents, OneOffAsked};
use crate::p2p::PeerStream;

/// What a node wants of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    /// How its network is.
    Network(bool),
    /// A command in one of its containers: frames follow.
    Exec(OfContainer),
    /// A command in a container that is made for it: frames follow.
    OneOff(OneOffAsked),
    /// What its engine says of one of its containers.
    Inspect(OfContainer),
    /// What one of its containers uses now.
    Usage(OfContainer),
    /// What is in a copy of a volume: frames follow.
    Contents(Contents),
    /// The data of an instance that moves: frames follow.
    Move(MoveAsk),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OfContainer {
    /// Docker's id.
    #[serde(deserialize_with = "container_id")]
    pub(super) container: String,
}

/// It becomes part of a path that the engine is asked for, and is looked for in the names of control groups.
fn container_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_id {
        true => Ok(id),
        false => Err(D::Error::custom("it is no id of a container")),
    }
}

impl Purpose {
    pub(super) fn header(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(self).map_err(|problem| problem.to_string())
    }
}

/// Everybody who answers streams.
pub(super) struct Answering<'a> {
    pub(super) networks: &'a NodeNetworks,
    pub(super) containers: &'a NodeContainers,
    pub(super) volumes: &'a NodeVolumes,
    pub(super) moves: &'a NodeMoves,
    pub(super) logs: &'a std::sync::Arc<NodeLogs>,
}

impl Answering<'_> {
    pub(super) fn serve(&self, from: NodeId, header: Vec<u8>, stream: PeerStream) {
        match serde_json::from_slice(&header) {
            Ok(Purpose::Network(_)) => self.networks.serve(from, stream),
            Ok(Purpose::Exec(of)) => self.containers.serve_exec(from, of.container, stream),
            Ok(Purpose::OneOff(asked)) => self.containers.serve_one_off(from, asked, stream),
            Ok(Purpose::Inspect(of)) => self.containers.serve_inspect(from, of.container, stream),
            Ok(Purpose::Usage(of)) => self.containers.serve_usage(from, of.container, stream),
            Ok(Purpose::Contents(contents)) => self.volumes.serve(from, contents, stream),
            Ok(Purpose::Move(asked)) => self.moves.serve(from, asked, stream),
            Err(_) => self.logs.serve(from, header, stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use kontena_core::reconcile::MoveWord;

    use super::*;

    fn purpose(header: &str) -> Option<Purpose> {
        serde_json::from_str(header).ok()
    }

    #[test]
    fn each_purpose_is_told_from_the_others_and_from_a_log() {
        let id = "c0de".repeat(16);
        let of = || OfContainer {
            container: id.clone(),
        };
        for (text, expected) in [
            (r#"{"network":true}"#, Some(Purpose::Network(true))),
            (r#"{"exec":{"container":"ID"}}"#, Some(Purpose::Exec(of()))),
            (r#"{"exec":{"container":"c"}}"#, None),
            (
                r#"{"one_off":{"instance":"shop/web-1","generation":7}}"#,
                Some(Purpose::OneOff(OneOffAsked {
                    instance: "shop/web-1".parse().unwrap(),
                    generation: 7,
                })),
            ),
            (r#"{"one_off":{"instance":"web","generation":7}}"#, None),
            (r#"{"inspect":{"container":"x/export?a="}}"#, None),
            (
                r#"{"inspect":{"container":"ID"}}"#,
                Some(Purpose::Inspect(of())),
            ),
            (
                r#"{"usage":{"container":"ID"}}"#,
                Some(Purpose::Usage(of())),
            ),
            (
                r#"{"contents":{"read":{"copy":"shop.db.data-1","live":false}}}"#,
                Some(Purpose::Contents(Contents::Read {
                    copy: "shop.db.data-1".to_owned(),
                    live: false,
                })),
            ),
            (r#"{"contents":{"write":{"copy":"../x"}}}"#, None),
            (r#"{"contents":{"write":{"copy":"x?force=1"}}}"#, None),
            (
                r#"{"move":{"instance":"shop/db-1","epoch":3,"word":"release"}}"#,
                Some(Purpose::Move(MoveAsk {
                    instance: "shop/db-1".parse().unwrap(),
                    epoch: 3,
                    word: MoveWord::Release,
                })),
            ),
            (
                r#"{"container":"c","tail":null,"since":null,"follow":false}"#,
                None,
            ),
            ("", None),
        ] {
            assert_eq!(purpose(&text.replace("ID", &id)), expected, "{text}");
        }
    }
}
