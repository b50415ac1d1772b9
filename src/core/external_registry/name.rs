//! Which registry: by its host, and by the name of an image.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Docker's own, where an image comes from whose name says nothing else.
const DOCKER: &str = "index.docker.io";

/// The host of a registry, with its port where that is neither 80 nor 443: `quay.io`, `registry.local:5000`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegistryName(String);

/// Why a text names no registry.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidRegistry {
    #[error("`{0}` is not the address of a registry: `https://HOST[:PORT]/` is expected")]
    Url(String),
    #[error("`{0}` is not the name of a registry: `HOST` or `HOST:PORT` is expected")]
    Name(String),
    /// It would be shown wherever the registry is.
    #[error("the address holds a user name or a password: give them by themselves")]
    Credentials,
}

impl RegistryName {
    /// The longest, in bytes: the name of a register holds it beside a node's id.
    pub const MAX: usize = 177;

    /// The registry at an address, which gets `https://` where it has no scheme (as Kontena), and that address.
    pub fn of_url(raw: &str) -> Result<(Self, String), InvalidRegistry> {
        let shown = || raw.chars().take(Self::MAX).collect();
        let url = match raw.contains("://") {
            true => raw.to_owned(),
            false => format!("https://{raw}"),
        };
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        let rest = rest.ok_or_else(|| InvalidRegistry::Url(shown()))?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains('@') {
            return Err(InvalidRegistry::Credentials);
        }
        let name = Self::of_host(host).ok_or_else(|| InvalidRegistry::Url(shown()))?;
        Ok((name, url))
    }

    /// As addresses and names of images both have it.
    fn of_host(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(":443").unwrap_or(&host);
        let host = host.strip_suffix(":80").unwrap_or(host);
        match host {
            "docker.io" | "registry-1.docker.io" => DOCKER.parse().ok(),
            host => host.parse().ok(),
        }
    }

    /// Where an image is pulled from: the first part of its name, if that is a host (as Docker has it). `None` for a host
    /// that no registry can have: nobody is sent there with credentials.
    pub fn of_image(image: &str) -> Option<Self> {
        let first = image.split_once('/').map(|(first, _)| first);
        let is_host = |first: &&str| first.contains(['.', ':']) || *first == "localhost";
        Self::of_host(first.filter(is_host).unwrap_or(DOCKER))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What its password is the secret of: sealed for one registry, it opens for no other.
    pub fn secret(&self) -> String {
        format!("registry/{self}")
    }
}

impl FromStr for RegistryName {
    type Err = InvalidRegistry;

    fn from_str(raw: &str) -> Result<Self, InvalidRegistry> {
        let (host, port) = match raw.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (raw, None),
        };
        match raw.len() <= Self::MAX && is_host(host) && port.is_none_or(is_port) {
            true => Ok(Self(raw.to_owned())),
            false => {
                let shown = raw.chars().take(Self::MAX).collect();
                Err(InvalidRegistry::Name(shown))
            }
        }
    }
}

/// In one spelling.
fn is_port(raw: &str) -> bool {
    let number = raw.parse::<u16>().ok().filter(|number| *number > 0);
    number.is_some_and(|number| number.to_string() == raw)
}

fn is_host(raw: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    raw.split('.').all(is_label)
}

impl TryFrom<String> for RegistryName {
    type Error = InvalidRegistry;

    fn try_from(raw: String) -> Result<Self, InvalidRegistry> {
        raw.parse()
    }
}

impl From<RegistryName> for String {
    fn from(name: RegistryName) -> Self {
        name.0
    }
}

impl fmt::Display for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_known_by_its_host_and_a_port_that_is_not_usual() {
        let of = |raw: &str| RegistryName::of_url(raw).map(|(name, url)| format!("{name} {url}"));
        let known = |raw: &str| of(raw).unwrap();
        assert_eq!(
            known("https://index.docker.io/v2/"),
            "index.docker.io https://index.docker.io/v2/"
        );
        assert_eq!(known("quay.io"), "quay.io https://quay.io");
        assert_eq!(
            known("http://10.0.0.1:5000"),
            "10.0.0.1:5000 http://10.0.0.1:5000"
        );
        assert_eq!(known("https://GCR.io:443/x"), "gcr.io https://GCR.io:443/x");
        assert_eq!(known("http://r.local:80/"), "r.local http://r.local:80/");
        for bad in [
            "",
            "https://",
            "ftp://a.b",
            "https://a b",
            "https://a:0",
            "https://a:x",
            "https://a:05000",
            "https://a:+5000",
            &format!(
                "https://{}.{}.{}",
                "a".repeat(60),
                "b".repeat(60),
                "c".repeat(60)
            ),
        ] {
            assert!(matches!(of(bad), Err(InvalidRegistry::Url(_))), "{bad}");
        }
        assert_eq!(known("docker.io"), "index.docker.io https://docker.io");
        assert_eq!(
            of("https://me:secret@quay.io"),
            Err(InvalidRegistry::Credentials)
        );
    }

    #[test]
    fn an_image_says_where_it_comes_from() {
        let of = |image| RegistryName::of_image(image).unwrap().to_string();
        for image in [
            "redis",
            "redis:7",
            "library/redis",
            "docker.io/library/redis",
            "me/app:1",
        ] {
            assert_eq!(of(image), DOCKER, "{image}");
        }
        assert_eq!(of("quay.io/me/app:1"), "quay.io");
        assert_eq!(of("r.local:443/app"), "r.local");
        assert_eq!(RegistryName::of_image("host:0/app"), None);
        assert_eq!(RegistryName::of_image("a..b/app"), None);
        assert_eq!(of("localhost/app"), "localhost");
        assert_eq!(
            of("registry.local:5000/app@sha256:00"),
            "registry.local:5000"
        );
    }
}
