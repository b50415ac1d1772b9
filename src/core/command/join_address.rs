//! The node that `join` asks, as a person names it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The most characters of a host's name (RFC 1035).
const MAX_HOST: usize = 253;

/// Where a node of the grid is. Only its form is checked: whether somebody is there is found out by
/// asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinAddress {
    /// A name or an IP address, IPv6 without brackets; the default port where there is none.
    Host { host: String, port: Option<u16> },
    /// `/ip4/…/tcp/PORT` or `/ip6/…/tcp/PORT`, with or without `/p2p/PEER`.
    Multiaddr(String),
}

/// The text has neither form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address: expected HOST[:PORT] or a multiaddr as /ip4/10.0.0.1/tcp/8470")]
pub struct NotAnAddress;

impl FromStr for JoinAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if text.starts_with('/') {
            return multiaddr(text).ok_or(NotAnAddress);
        }
        bare_ipv6(text)
            .or_else(|| bracketed(text))
            .or_else(|| host_and_port(text))
            .ok_or(NotAnAddress)
    }
}

fn multiaddr(text: &str) -> Option<JoinAddress> {
    let parts: Vec<&str> = text.split('/').collect();
    let ["", family, ip, "tcp", number, rest @ ..] = &parts[..] else {
        return None;
    };
    let is_ip = match *family {
        "ip4" => ip.parse::<Ipv4Addr>().is_ok(),
        "ip6" => ip.parse::<Ipv6Addr>().is_ok(),
        _ => false,
    };
    let names_peer = match rest {
        [] => true,
        ["p2p", peer] => !peer.is_empty() && peer.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        _ => false,
    };
    port(number)?;
    (is_ip && names_peer).then(|| JoinAddress::Multiaddr(text.to_owned()))
}

fn bare_ipv6(text: &str) -> Option<JoinAddress> {
    text.parse::<Ipv6Addr>().ok()?;
    Some(JoinAddress::Host {
        host: text.to_owned(),
        port: None,
    })
}

fn bracketed(text: &str) -> Option<JoinAddress> {
    let (host, after) = text.strip_prefix('[')?.split_once(']')?;
    host.parse::<Ipv6Addr>().ok()?;
    let port = match after {
        "" => None,
        _ => Some(port(after.strip_prefix(':')?)?),
    };
    Some(JoinAddress::Host {
        host: host.to_owned(),
        port,
    })
}

fn host_and_port(text: &str) -> Option<JoinAddress> {
    let (host, port) = match text.split_once(':') {
        Some((host, number)) => (host, Some(port(number)?)),
        None => (text, None),
    };
    is_host(host).then(|| JoinAddress::Host {
        host: host.to_owned(),
        port,
    })
}

/// What looks like an IPv4 address has to be one: no name server knows `10.0.0.256`.
fn is_host(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_numeric = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let is_name = !text.bytes().all(is_numeric) || text.parse::<Ipv4Addr>().is_ok();
    let starts_well = text.bytes().next().is_some_and(|byte| byte != b'-');
    starts_well && text.len() <= MAX_HOST && text.bytes().all(may) && is_name
}

fn port(text: &str) -> Option<u16> {
    // `+1` is a number to Rust.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_have_a_port() {
        for (text, host, port) in [
            ("node-1", "node-1", None),
            ("node-1:1", "node-1", Some(1)),
            ("a.example.org", "a.example.org", None),
            ("10.0.0.1:2", "10.0.0.1", Some(2)),
            ("fe80::1", "fe80::1", None),
            ("[fe80::1]", "fe80::1", None),
            ("[fe80::1]:3", "fe80::1", Some(3)),
        ] {
            let host = host.to_owned();
            assert_eq!(text.parse(), Ok(JoinAddress::Host { host, port }), "{text}");
        }
    }

    #[test]
    fn a_multiaddr_may_name_the_peer() {
        for text in [
            "/ip4/10.0.0.1/tcp/1",
            "/ip6/fe80::1/tcp/8470",
            "/ip4/10.0.0.1/tcp/1/p2p/12D3KooW",
        ] {
            let whole = JoinAddress::Multiaddr(text.to_owned());
            assert_eq!(text.parse(), Ok(whole), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_address() {
        for text in [
            "",
            ":8470",
            "-v",
            "node 1",
            "node-1:http",
            "node-1:0",
            "node-1:+1",
            "node-1:65536",
            "node-1:1:2",
            "10.0.0.256",
            "[10.0.0.1]",
            "[fe80::1]3",
            "[fe80::1",
            "http://node-1",
            "/nonsense",
            "/dns4/a/tcp/1",
            "/ip4/10.0.0.1/udp/1",
            "/ip4/fe80::1/tcp/1",
            "/ip4/10.0.0.1/tcp/1/p2p/",
            "/ip4/10.0.0.1/tcp/1/p2p/a/ws",
        ] {
            assert_eq!(text.parse::<JoinAddress>(), Err(NotAnAddress), "{text}");
        }
    }
}
