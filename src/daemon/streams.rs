//! What the streams that other members open here are for.
//!
//! On the wire, the header is a [`Purpose`] as JSON; one that is none asks for a log (`logs`).

use kontena_core::id::NodeId;
use serde::{Deserialize, Serialize};

use super::containers::NodeContainers;
use super::logs::NodeLogs;
use super::networking::NodeNetworks;
use crate::p2p::PeerStream;

/// What a node wants of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    /// How its network is.
    Network(bool),
    /// A command in one of its containers: frames follow.
    Exec(OfContainer),
    /// What its engine says of one of its containers.
    Inspect(OfContainer),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OfContainer {
    /// Docker's id.
    pub(super) container: String,
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
    pub(super) logs: &'a std::sync::Arc<NodeLogs>,
}

impl Answering<'_> {
    pub(super) fn serve(&self, from: NodeId, header: Vec<u8>, stream: PeerStream) {
        match serde_json::from_slice(&header) {
            Ok(Purpose::Network(_)) => self.networks.serve(from, stream),
            Ok(Purpose::Exec(of)) => self.containers.serve_exec(from, of.container, stream),
            Ok(Purpose::Inspect(of)) => self.containers.serve_inspect(from, of.container, stream),
            Err(_) => self.logs.serve(from, header, stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose(header: &str) -> Option<Purpose> {
        serde_json::from_str(header).ok()
    }

    #[test]
    fn each_purpose_is_told_from_the_others_and_from_a_log() {
        let of = || OfContainer {
            container: "c".to_owned(),
        };
        for (text, expected) in [
            (r#"{"network":true}"#, Some(Purpose::Network(true))),
            (r#"{"exec":{"container":"c"}}"#, Some(Purpose::Exec(of()))),
            (
                r#"{"inspect":{"container":"c"}}"#,
                Some(Purpose::Inspect(of())),
            ),
            (
                r#"{"container":"c","tail":null,"since":null,"follow":false}"#,
                None,
            ),
            ("", None),
        ] {
            assert_eq!(purpose(text), expected, "{text}");
        }
    }
}
