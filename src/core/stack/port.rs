//! Published ports as people write them: `[IP:]HOST:CONTAINER[/tcp|udp]`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::{Port, Protocol};

/// Why a text is not a published port.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidPort {
    #[error("`{0}` is not a port: expected `[IP:]HOST:CONTAINER[/tcp|udp]`")]
    Form(String),
    #[error("`{0}` names no host port: expected `HOST:CONTAINER`")]
    NoHostPort(String),
    #[error("`{number}` in `{text}` is not a port number from 1 to 65535")]
    Number { number: String, text: String },
    #[error("`{address}` in `{text}` is not an IP address")]
    Address { address: String, text: String },
    #[error("`{protocol}` in `{text}` is not a protocol: use tcp or udp")]
    Protocol { protocol: String, text: String },
}

impl Port {
    /// The address of a port that names none: every address of the host.
    pub const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

    /// Whether one host cannot bind both: the same port and protocol on overlapping addresses.
    pub fn collides_with(&self, other: &Self) -> bool {
        let same_family = self.ip.is_ipv4() == other.ip.is_ipv4();
        let overlap = self.ip == other.ip
            || (same_family && (self.ip.is_unspecified() || other.ip.is_unspecified()));
        overlap && self.node_port == other.node_port && self.protocol == other.protocol
    }
}

impl FromStr for Port {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        let (addresses, protocol) = match text.rsplit_once('/') {
            Some((addresses, protocol)) => (addresses, protocol_of(protocol, text)?),
            None => (text, Protocol::Tcp),
        };
        let mut parts = addresses.rsplitn(3, ':');
        let container = parts.next().unwrap_or_default();
        let Some(host) = parts.next() else {
            return Err(without_host(container, text));
        };
        Ok(Self {
            ip: parts.next().map_or(Ok(Self::ANY), |ip| address(ip, text))?,
            node_port: number(host, text)?,
            container_port: number(container, text)?,
            protocol,
        })
    }
}

fn without_host(container: &str, text: &str) -> InvalidPort {
    match number(container, text) {
        Ok(_) => InvalidPort::NoHostPort(text.to_owned()),
        Err(_) => InvalidPort::Form(text.to_owned()),
    }
}

fn protocol_of(protocol: &str, text: &str) -> Result<Protocol, InvalidPort> {
    protocol.parse().map_err(|()| InvalidPort::Protocol {
        protocol: protocol.to_owned(),
        text: text.to_owned(),
    })
}

fn address(raw: &str, text: &str) -> Result<IpAddr, InvalidPort> {
    let bare = raw
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(raw);
    bare.parse().map_err(|_| InvalidPort::Address {
        address: raw.to_owned(),
        text: text.to_owned(),
    })
}

fn number(raw: &str, text: &str) -> Result<u16, InvalidPort> {
    let digits = !raw.is_empty() && raw.bytes().all(|byte| byte.is_ascii_digit());
    let number = raw.parse().ok().filter(|number| digits && *number > 0_u16);
    number.ok_or_else(|| InvalidPort::Number {
        number: raw.to_owned(),
        text: text.to_owned(),
    })
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => Err(()),
        }
    }
}

/// As it is written in a file, with everything spelt out: `0.0.0.0:80:8080/tcp`.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}")?,
            IpAddr::V6(ip) => write!(f, "[{ip}]")?,
        }
        write!(
            f,
            ":{}:{}/{}",
            self.node_port, self.container_port, self.protocol
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_fills_in_what_is_not_said() {
        for (text, expected) in [
            ("80:8080", "0.0.0.0:80:8080/tcp"),
            ("53:53/udp", "0.0.0.0:53:53/udp"),
            ("127.0.0.1:80:8080", "127.0.0.1:80:8080/tcp"),
            ("[::1]:80:8080/tcp", "[::1]:80:8080/tcp"),
            ("::1:80:8080", "[::1]:80:8080/tcp"),
        ] {
            assert_eq!(text.parse::<Port>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn a_wrong_port_says_what_is_wrong() {
        for (text, expected) in [
            ("80", "`80` names no host port"),
            ("web", "`web` is not a port: "),
            ("", "`` is not a port: "),
            ("0:80", "`0` in `0:80` is not a port number"),
            ("80:70000", "`70000` in"),
            ("+80:80", "`+80` in"),
            ("80-90:80-90", "`80-90` in"),
            ("80:", "`` in `80:` is not a port number"),
            ("localhost:80:80", "`localhost` in"),
            ("80:80/sctp", "`sctp` in"),
        ] {
            let problem = text.parse::<Port>().unwrap_err().to_string();
            assert!(problem.starts_with(expected), "{text}: {problem}");
        }
    }

    #[test]
    fn every_address_collides_with_one_of_them() {
        let port = |text: &str| text.parse::<Port>().unwrap();
        assert!(port("80:1").collides_with(&port("127.0.0.1:80:2")));
        assert!(!port("80:1").collides_with(&port("80:1/udp")));
        assert!(!port("10.0.0.1:80:1").collides_with(&port("10.0.0.2:80:1")));
    }
}
