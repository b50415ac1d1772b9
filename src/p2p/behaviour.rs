//! What libp2p is asked to do: the join protocol, plain streams, and hard limits.

use std::time::Duration;

use anyhow::Context;
use kontena_core::identity::SecretKey;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Swarm, SwarmBuilder, noise, tcp, yamux};

use super::joining::{ASK_LIMIT, JoinCodec, PROTOCOL};
use super::keys;
use super::strangers::STRANGERS;

/// For TCP, noise and yamux together: five round trips, so 0.8 s each at most.
pub(super) const DIAL_LIMIT: Duration = Duration::from_secs(4);

/// A connection that nobody has used for so long is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// Handshakes with unknown hosts at once; each costs a few kilobytes and 0.3 ms.
const HANDSHAKES: u32 = 64;

/// Established connections: twice the largest roster, 130 KB each when used.
const CONNECTIONS: u32 = 8192;

/// A simultaneous dial makes two; a clone and a restart some more, for seconds.
const CONNECTIONS_PER_PEER: u32 = 8;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(super) join: request_response::Behaviour<JoinCodec>,
    pub(super) streams: libp2p_stream::Behaviour,
}

pub(super) fn swarm(key: &SecretKey) -> anyhow::Result<Swarm<Behaviour>> {
    let swarm = SwarmBuilder::with_existing_identity(keys::keypair(key)?)
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )
        .context("failed to prepare encryption")?
        .with_behaviour(|_| behaviour())
        .context("failed to prepare the protocols")?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_LIMIT))
        .with_connection_timeout(DIAL_LIMIT)
        .build();
    Ok(swarm)
}

fn behaviour() -> Behaviour {
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(HANDSHAKES))
        .with_max_established(Some(CONNECTIONS))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER));
    let join = request_response::Config::default()
        .with_request_timeout(ASK_LIMIT)
        .with_max_concurrent_streams(STRANGERS);
    Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        join: request_response::Behaviour::with_codec(
            JoinCodec,
            [(PROTOCOL, ProtocolSupport::Full)],
            join,
        ),
        streams: libp2p_stream::Behaviour::new(),
    }
}
