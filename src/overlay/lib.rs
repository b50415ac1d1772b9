//! The data plane of Kontena's overlay network: a network interface of this host whose packets
//! reach the other members of the grid sealed, as WireGuard does it, and by the way that works.
//!
//! ```text
//!  containers, host                                                       other members
//!        │                                                                      │
//!   kernel ── frames ──► Driver ── Engine ─► segments ─► Tunn ─► Outbox ──► UDP sockets
//!  (kontena0) ◄─ frames ────┘   └ Coalescer ◄─ source check ◄─ Tunn ◄── datagrams ─┘
//! ```
//!
//! [`Overlay`] is all that the control side sees: start it, say which peers there shall be, look
//! at what is, stop it. `Engine` decides what becomes of each packet and does no I/O; `Driver` is
//! the one thread that does. `docs/design/overlay.md` has the whole picture.

mod config;
mod driver;
mod drops;
mod engine;
mod hash;
mod key;
mod mtu;
mod netlink;
mod outbox;
mod overlay;
mod packet;
mod path;
mod peer;
mod prefix;
mod probe;
mod relay;
mod routes;
mod snapshot;
mod socket;
mod tun;

pub use config::{
    Applied, Config, ConfigError, DEFAULT_FORWARD_LIMIT, DEFAULT_MTU, Peer, PeerKind, PeersError,
    Reach,
};
pub use driver::StartError;
pub use drops::{Drop, Drops};
pub use key::{KEY_LENGTH, PrivateKey, PublicKey};
pub use overlay::{Overlay, Stopped};
pub use prefix::{Prefix, PrefixError};
pub use snapshot::{PeerStatus, Snapshot, Traffic, Way};

/// Keeps packets to a range of addresses on this host where no interface leads there: they are lost instead of
/// going out unsealed by the default route. It outlives the interface and the process, and stays until [`let_go`].
///
/// # Errors
/// The process may not change routes (`CAP_NET_ADMIN`).
pub fn hold_back(range: Prefix) -> std::io::Result<()> {
    Ok(netlink::hold_back(range)?)
}

/// Ends [`hold_back`]; it need not have begun.
///
/// # Errors
/// The process may not change routes (`CAP_NET_ADMIN`).
pub fn let_go(range: Prefix) -> std::io::Result<()> {
    Ok(netlink::let_go(range)?)
}
