//! Calling a node that may not know us, to be admitted or to say that we are a member: whom, and in which
//! bytes.

use std::io;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use kontena_core::command::JoinAddress;
use kontena_core::message::{MAX_CALL_BYTES, MAX_MESSAGE_BYTES};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, StreamProtocol, request_response};

use super::DEFAULT_PORT;
use super::keys::multiaddr;

pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/kontena/join/2");

/// For connecting, asking and the answer. The one that is asked has a little less.
pub(super) const ASK_LIMIT: Duration = Duration::from_secs(15);

/// For the name server.
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);

/// How many of a host's addresses are tried.
pub(super) const MAX_TARGETS: usize = 4;

/// Where to ask, and whom, if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: Multiaddr,
    pub(super) peer: Option<PeerId>,
}

/// The targets behind `HOST`, `HOST:PORT`, `[IPV6]:PORT` or a multiaddr.
pub(super) async fn resolve(text: &str) -> anyhow::Result<Vec<Target>> {
    let (host, port) = match text.parse()? {
        JoinAddress::Multiaddr(text) => return Ok(vec![multiaddr_target(&text)?]),
        JoinAddress::Host { host, port } => (host, port.unwrap_or(DEFAULT_PORT)),
    };
    let found = tokio::time::timeout(
        RESOLVE_LIMIT,
        tokio::net::lookup_host((host.as_str(), port)),
    )
    .await
    .with_context(|| format!("no name server answered for `{host}`"))?
    .with_context(|| format!("failed to find `{host}`"))?;
    let target = |address| Target {
        address: multiaddr(address),
        peer: None,
    };
    Ok(found.take(MAX_TARGETS).map(target).collect())
}

fn multiaddr_target(text: &str) -> anyhow::Result<Target> {
    let mut address: Multiaddr = text
        .parse()
        .with_context(|| format!("`{text}` is not a multiaddr"))?;
    let peer = match address.iter().last() {
        Some(Protocol::P2p(peer)) => {
            address.pop();
            Some(peer)
        }
        _ => None,
    };
    if super::keys::socket_address(&address).is_none() {
        bail!("`{text}` cannot be reached: use /ip4/ADDRESS/tcp/PORT");
    }
    Ok(Target { address, peer })
}

/// Bytes both ways, each with its length in front: half a MiB to ask, a message's limit to answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct JoinCodec;

impl request_response::Codec for JoinCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, MAX_CALL_BYTES).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, MAX_MESSAGE_BYTES).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &bytes).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &bytes).await
    }
}

/// Grows with what arrives, not with what is announced.
async fn read<T: AsyncRead + Unpin + Send>(io: &mut T, limit: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length);
    if usize::try_from(length).map_or(true, |length| length > limit) {
        return Err(io::Error::other(format!("{length} bytes are too many")));
    }
    let mut bytes = Vec::new();
    io.take(length.into()).read_to_end(&mut bytes).await?;
    match bytes.len() == length as usize {
        true => Ok(bytes),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn write<T: AsyncWrite + Unpin + Send>(io: &mut T, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(bytes).await?;
    io.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_port_is_the_default_one_unless_it_is_given() {
        for (text, expected) in [
            ("10.0.0.1", format!("/ip4/10.0.0.1/tcp/{DEFAULT_PORT}")),
            ("10.0.0.1:2", "/ip4/10.0.0.1/tcp/2".to_owned()),
            ("[fe80::1]:3", "/ip6/fe80::1/tcp/3".to_owned()),
        ] {
            let targets = resolve(text).await.unwrap();
            assert_eq!(targets[0].address.to_string(), expected);
        }
        assert!(resolve("10.0.0.1:http").await.is_err());
    }

    #[test]
    fn a_multiaddr_may_name_the_peer() {
        let peer = PeerId::random();
        let target = multiaddr_target(&format!("/ip4/10.0.0.1/tcp/1/p2p/{peer}")).unwrap();
        assert_eq!(target.peer, Some(peer));
        assert_eq!(target.address.to_string(), "/ip4/10.0.0.1/tcp/1");
        assert!(multiaddr_target("/dns4/a/tcp/1").is_err());
        assert!(multiaddr_target("/nonsense").is_err());
    }

    #[tokio::test]
    async fn a_length_is_not_believed() {
        let short = [0, 0, 0, 9, 1, 2];
        assert!(read(&mut &short[..], 64).await.is_err());
        let long = [0xff; 8];
        assert!(read(&mut &long[..], 64).await.is_err());
        let right = [0, 0, 0, 2, 1, 2];
        assert_eq!(read(&mut &right[..], 64).await.unwrap(), [1, 2]);
    }
}
