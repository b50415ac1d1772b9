//! Why a dial failed, in words for people.

use std::io;

use libp2p::swarm::DialError;
use libp2p::{Multiaddr, TransportError};

use crate::p2p::keys::socket_address;

pub(super) const ITSELF: &str = "that is this node itself";

/// Whether a host answered that nobody listens there.
pub(super) fn is_refused(error: &DialError) -> bool {
    let DialError::Transport(attempts) = error else {
        return false;
    };
    attempts.iter().any(|(_, error)| has_refused(error))
}

/// By its words: libp2p wraps the system's error so that its kind cannot be reached.
fn has_refused(error: &TransportError<io::Error>) -> bool {
    cause(error).contains("Connection refused")
}

/// What libp2p's own text leaves out.
fn cause(error: &TransportError<io::Error>) -> String {
    match error {
        TransportError::Other(error) => error.to_string(),
        TransportError::MultiaddrNotSupported(_) => error.to_string(),
    }
}

/// In words for people, shorter than libp2p's.
pub(super) fn dial_problem(error: &DialError) -> String {
    match error {
        DialError::LocalPeerId { .. } => ITSELF.to_owned(),
        DialError::NoAddresses => "no address of it is known".to_owned(),
        DialError::WrongPeerId { address, .. } => {
            format!("another node answers at `{}`", plain(address))
        }
        DialError::Transport(attempts) => {
            let each = attempts
                .iter()
                .map(|(address, error)| attempt_problem(address, error));
            each.collect::<Vec<_>>().join(", ")
        }
        DialError::DialPeerConditionFalse(_) | DialError::Aborted | DialError::Denied { .. } => {
            error.to_string()
        }
    }
}

fn attempt_problem(address: &Multiaddr, error: &TransportError<io::Error>) -> String {
    match has_refused(error) {
        true => format!("`{}` refuses the connection", plain(address)),
        false => format!("`{}`: {}", plain(address), cause(error)),
    }
}

fn plain(address: &Multiaddr) -> String {
    socket_address(address).map_or_else(|| address.to_string(), |socket| socket.to_string())
}
