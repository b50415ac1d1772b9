//! A person's machine as a part of the grid's network: a tunnel to one entry of its VPN, for as long as that
//! answers.
//!
//! In: a private key, and where to enter. Out: an interface with a route to the grid, and the machine's own
//! programs asking the entry for the grid's names. Everything is gone again once the tunnel is closed. Not here:
//! who may come in (the entries), and which entry is taken when (`cli`).

mod question;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use kontena_core::network::plan::{HostRoute, Range, in_the_way};
use kontena_core::network::zone::DOMAIN;
use kontena_names::resolv::Owner;
use kontena_names::{Host, Way};
use kontena_overlay::{Config, Overlay, Peer, Prefix, PrivateKey, PublicKey};
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use crate::network::{Names, host_routes};

/// Goes through whatever lies between a laptop and a node: the least that IPv6 allows.
pub(crate) const MTU: u16 = 1280;
/// Keeps the way back open through home routers, most of which forget one after 30 s or more.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(25);

/// A handshake and an answer across the world take half a second; the first handshake may be lost, and is
/// repeated after 5 s at most.
const ANSWERS_FIRST_WITHIN: Duration = Duration::from_secs(8);
/// How often the entry is asked whether it is there.
const ASKED_EVERY: Duration = Duration::from_secs(3);
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// So many questions in a row without an answer, and the entry is taken for silent: 15 s.
const SILENT_AFTER: u32 = 3;
/// RFC 1035.
const NAMES_PORT: u16 = 53;

/// One way in, and what this machine is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entrance {
    /// The entry's name.
    pub(crate) node: String,
    pub(crate) endpoint: SocketAddr,
    pub(crate) key: PublicKey,
    /// This machine's address behind it.
    pub(crate) address: IpAddr,
    /// Where it answers names.
    pub(crate) names: IpAddr,
}

/// What is the same at every entry.
pub(crate) struct Laptop {
    pub(crate) interface: String,
    pub(crate) key: PrivateKey,
    /// What lies behind the VPN.
    pub(crate) networks: Vec<Range>,
}

/// Takes the entry out of the machine's resolvers, where a tunnel that was killed left it.
///
/// # Errors
/// The tunnel is there, or the resolvers could not be put back.
pub(crate) fn tidy(interface: &str) -> anyhow::Result<()> {
    if is_there(interface) {
        bail!("the interface `{interface}` is there");
    }
    Ok(Host::default().forget(interface)?)
}

/// Whether the machine has such an interface.
pub(crate) fn is_there(interface: &str) -> bool {
    Path::new("/sys/class/net").join(interface).exists()
}

/// An open tunnel. Dropped, it is closed, and the machine's resolvers are left as they are: see [`Self::close`].
pub(crate) struct Tunnel {
    interface: String,
    entrance: Entrance,
    host: Host,
    // Held, so that the interface stays.
    _overlay: Overlay,
}

impl Laptop {
    /// The first route of this machine that leads addresses of the grid elsewhere: a node, or another VPN.
    ///
    /// # Errors
    /// The interface has no fit name, or the machine's routes cannot be read.
    pub(crate) fn overlap(&self) -> anyhow::Result<Option<HostRoute>> {
        let own = Names::of(&self.interface).map_err(anyhow::Error::msg)?;
        let routes = host_routes(&own)?;
        let mut found = self.networks.iter();
        Ok(found.find_map(|range| in_the_way(*range, &routes).cloned()))
    }

    /// Makes the interface, with its address and routes. Nobody has answered yet.
    ///
    /// # Errors
    /// No TUN device, no right to make one, or an interface of this name is there.
    pub(crate) fn open(&self, entrance: &Entrance) -> anyhow::Result<Tunnel> {
        let networks: Result<Vec<Prefix>, _> = self.networks.iter().map(prefix).collect();
        let networks = networks.context("the grid's network is none")?;
        let config = Config {
            addresses: vec![Prefix::host(entrance.address)],
            routes: networks.clone(),
            mtu: MTU,
            // A laptop carries nothing for others.
            forward: None,
            ..Config::new(&self.interface, self.key.clone())
        };
        let overlay = Overlay::start(&config).context("failed to make the tunnel")?;
        let entry = Peer {
            allowed: networks,
            endpoints: vec![entrance.endpoint],
            keepalive: Some(KEEPALIVE),
            // To the entry this machine is a stock WireGuard, and the other way round.
            ..Peer::client(entrance.key)
        };
        overlay
            .apply(vec![entry])?
            .context("failed to name the entry to the tunnel")?;
        Ok(Tunnel {
            interface: self.interface.clone(),
            entrance: entrance.clone(),
            host: Host::default(),
            _overlay: overlay,
        })
    }
}

impl Tunnel {
    /// Waits until the entry has answered.
    ///
    /// # Errors
    /// It did not in time: it is away, does not know the key, or something in between carries no UDP.
    pub(crate) async fn answers(&self) -> anyhow::Result<()> {
        let answered = async {
            while !self.is_there().await {
                sleep(Duration::from_millis(100)).await;
            }
        };
        if timeout(ANSWERS_FIRST_WITHIN, answered).await.is_err() {
            let (node, at) = (&self.entrance.node, self.entrance.endpoint);
            let limit = ANSWERS_FIRST_WITHIN.as_secs();
            bail!("node `{node}` does not answer at {at} within {limit} s");
        }
        Ok(())
    }

    /// Waits until the entry does not answer any more.
    pub(crate) async fn falls_silent(&self) {
        let mut missed = 0;
        while missed < SILENT_AFTER {
            sleep(ASKED_EVERY).await;
            missed = match self.is_there().await {
                true => 0,
                false => missed + 1,
            };
        }
    }

    /// Makes the machine's programs ask the entry for the grid's names.
    ///
    /// # Errors
    /// The resolvers stay as they were.
    pub(crate) fn resolve_names(&self) -> anyhow::Result<Way> {
        let owner = Owner {
            interface: self.interface.clone(),
            remover: "kontena vpn down".to_owned(),
        };
        Ok(self.host.ask(self.entrance.names, &owner, DOMAIN)?)
    }

    /// Takes the tunnel down, and the entry out of the machine's resolvers.
    ///
    /// # Errors
    /// The resolvers could not be put back; the tunnel is down.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        Ok(self.host.forget(&self.interface)?)
    }

    /// Whether the entry's name server answers, which every user reaches, however limited.
    async fn is_there(&self) -> bool {
        let asked = timeout(ANSWERS_WITHIN, ask(&self.entrance)).await;
        match asked {
            Ok(Ok(())) => true,
            Ok(Err(problem)) => {
                tracing::debug!(%problem, "The entry could not be asked");
                false
            }
            Err(_) => false,
        }
    }
}

async fn ask(entrance: &Entrance) -> std::io::Result<()> {
    let socket = UdpSocket::bind(SocketAddr::new(entrance.address, 0)).await?;
    socket
        .connect(SocketAddr::new(entrance.names, NAMES_PORT))
        .await?;
    // The port is a fresh one for each question, so the number need not be.
    let question = question::of(DOMAIN, 1);
    socket.send(&question).await?;
    let mut answer = [0; 512];
    loop {
        let length = socket.recv(&mut answer).await?;
        if question::is_answered_by(&question, &answer[..length]) {
            return Ok(());
        }
    }
}

fn prefix(range: &Range) -> Result<Prefix, kontena_overlay::PrefixError> {
    Prefix::new(IpAddr::V4(range.network()), range.prefix())
}
