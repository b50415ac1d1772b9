//! `vpn config`: what a user's WireGuard is told.

use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use data_encoding::BASE64;
use kontena_core::id::{GridName, NodeName, VpnUserName};
use kontena_core::network::plan::Range;
use kontena_core::network::vpn::VpnKey;
use kontena_overlay::PrivateKey;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde::Serialize;

use super::super::failure::Failure;
use super::super::session::{Environment, Session};
use super::keys::{self, KeyFile};
use super::{get, named};
use crate::api::types::vpn::{Vpn, VpnEntry, VpnUser};
use crate::laptop::{KEEPALIVE, MTU};

/// Print the WireGuard configuration of a user, with its private key
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena vpn config laptop > laptop.conf
  kontena vpn config phone --qr

For wg-quick, NetworkManager (`nmcli connection import type wireguard file laptop.conf`) and the \
WireGuard apps. It names one entry: where there are several, print one configuration for each with \
--node, and bring up another when one is down.")]
pub(crate) struct Config {
    /// The user
    user: VpnUserName,
    /// The node to enter at; without it, the first that is online
    #[arg(long)]
    node: Option<NodeName>,
    /// As a code that the apps of phones read
    #[arg(long)]
    qr: bool,
    /// The file with the private key, if it was not made by `kontena vpn user add` here
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// The answer of `vpn config --json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct ConfigJson<'a> {
    user: &'a str,
    node: &'a str,
    endpoint: &'a str,
    address: String,
    config: &'a str,
}

pub(super) async fn run(
    session: &Session,
    environment: Environment<'_>,
    grid: &GridName,
    asked: &Config,
) -> Result<(), Failure> {
    let vpn = get(session, grid).await?;
    let users = named(&vpn, &asked.user)?;
    let key = private_key(environment, grid, &asked.user, asked.key_file.as_deref())?;
    let user = owner(&users, &key, &asked.user)?;
    let entry = choose(&vpn, asked.node.as_ref())?;
    let known = known(entry)?;
    let config = config(&vpn, grid, user, &known, &key)?;
    if asked.node.is_none() && vpn.entries.len() > 1 {
        let others = others(&vpn, entry);
        session
            .output
            .talk(&format!("users may also enter at {others}: see --node"));
    }
    if session.output.is_json() {
        return session.output.json(&ConfigJson {
            user: &user.name,
            node: &entry.node,
            endpoint: known.endpoint,
            address: address(user, entry)?,
            config: &config,
        });
    }
    match asked.qr {
        true => session.output.data(&code(&config)?),
        false => session.output.data(&config),
    }
}

/// Of the file that is named, or where `kontena vpn user add` put it.
pub(super) fn private_key(
    environment: Environment<'_>,
    grid: &GridName,
    user: &VpnUserName,
    key_file: Option<&Path>,
) -> Result<PrivateKey, Failure> {
    if let Some(path) = key_file {
        return Ok(keys::read(path)?);
    }
    let file = KeyFile::of(environment, grid, user)?;
    if file.exists() {
        return Ok(keys::read(file.path())?);
    }
    let place = file.path().display();
    Err(Failure::failed(format!(
        "the key of VPN user `{user}` is not on this machine: there is no `{place}`"
    ))
    .hint(format!(
        "give its file with `--key-file FILE`, or make a new key: `kontena vpn user rm {user}`, then `add`"
    )))
}

/// The user whose key this is.
pub(super) fn owner<'a>(
    users: &[&'a VpnUser],
    key: &PrivateKey,
    name: &VpnUserName,
) -> Result<&'a VpnUser, Failure> {
    let public = keys::public(key).to_string();
    let owner = users.iter().find(|user| user.public_key == public);
    owner.copied().ok_or_else(|| {
        Failure::failed(format!(
            "the key that is here is not that of VPN user `{name}`"
        ))
        .hint("it was let in with a key that was made elsewhere: give its file with `--key-file FILE`")
    })
}

fn choose<'a>(vpn: &'a Vpn, node: Option<&NodeName>) -> Result<&'a VpnEntry, Failure> {
    let Some(node) = node else {
        let online = |entry: &&VpnEntry| matches!(entry.freshness.as_str(), "fresh" | "late");
        let first = vpn.entries.iter().find(online).or(vpn.entries.first());
        return first.ok_or_else(|| {
            Failure::failed("no node lets VPN users in").hint("open one with `kontena vpn create`")
        });
    };
    let found = vpn.entries.iter().find(|entry| entry.node == node.as_str());
    found.ok_or_else(|| {
        Failure::failed(format!("node `{node}` lets no VPN users in"))
            .hint(format!("open it with `kontena vpn create --node {node}`"))
    })
}

/// What an entry says once its network is up.
struct Known<'a> {
    entry: &'a VpnEntry,
    endpoint: &'a str,
    public_key: &'a str,
}

fn known(entry: &VpnEntry) -> Result<Known<'_>, Failure> {
    match (&entry.endpoint, &entry.public_key) {
        (Some(endpoint), Some(public_key)) => Ok(Known {
            entry,
            endpoint,
            public_key,
        }),
        (None, _) | (_, None) => Err(Failure::failed(format!(
            "node `{}` has not said yet where and with which key it lets users in",
            entry.node
        ))
        .hint(format!(
            "`kontena node show {}` says what it lacks",
            entry.node
        ))),
    }
}

fn others(vpn: &Vpn, chosen: &VpnEntry) -> String {
    let others = vpn.entries.iter().filter(|entry| entry.node != chosen.node);
    let names: Vec<String> = others.map(|entry| format!("`{}`", entry.node)).collect();
    names.join(", ")
}

fn address(user: &VpnUser, entry: &VpnEntry) -> Result<String, Failure> {
    let mut addresses = user.addresses.iter();
    let found = addresses.find(|address| address.node == entry.node);
    found.map(|found| found.address.to_string()).ok_or_else(|| {
        Failure::failed(format!(
            "VPN user `{}` has no address at node `{}`",
            user.name, entry.node
        ))
        .hint("two sides of a split let in more users than there is room for: remove one")
    })
}

/// The format of wg-quick (its manual page), which the apps and NetworkManager read too.
fn config(
    vpn: &Vpn,
    grid: &GridName,
    user: &VpnUser,
    entry: &Known<'_>,
    key: &PrivateKey,
) -> Result<String, Failure> {
    let mut text = String::new();
    let mut line = |line: String| {
        writeln!(text, "{line}").expect("writing to a text does not fail");
    };
    let node: NodeName = checked("node", &entry.entry.node)?;
    let user_name: VpnUserName = checked("name", &user.name)?;
    let endpoint: SocketAddr = checked("endpoint", entry.endpoint)?;
    let public_key: VpnKey = checked("public_key", entry.public_key)?;
    let networks = each_checked::<Private>("networks", &vpn.networks)?;
    line(format!(
        "# `{user_name}` in grid `{grid}`, by node `{node}`"
    ));
    line("[Interface]".to_owned());
    line(format!("PrivateKey = {}", BASE64.encode(&key.to_bytes())));
    line(format!("Address = {}/32", address(user, entry.entry)?));
    if let Some(dns) = entry.entry.dns {
        let search = each_checked::<Domain>("search", &vpn.search)?.join(", ");
        line(format!("DNS = {dns}, {search}"));
    }
    line(format!("MTU = {MTU}"));
    line(String::new());
    line("[Peer]".to_owned());
    line(format!("PublicKey = {public_key}"));
    line(format!("Endpoint = {endpoint}"));
    line(format!("AllowedIPs = {}", networks.join(", ")));
    line(format!("PersistentKeepalive = {}", KEEPALIVE.as_secs()));
    Ok(text)
}

/// Whoever answers may be anybody, and wg-quick runs as root what `PostUp` says: nothing of an answer gets
/// into the file but what it has to be.
fn checked<T: FromStr>(field: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| {
        let shown: String = text.escape_debug().take(80).collect();
        Failure::failed(format!(
            "the node's answer cannot be trusted: its `{field}` is `{shown}`"
        ))
        .hint("ask another node, over its socket")
    })
}

fn each_checked<T: FromStr + ToString>(
    field: &str,
    texts: &[String],
) -> Result<Vec<String>, Failure> {
    let each = texts.iter().map(|text| checked::<T>(field, text));
    each.map(|each| each.map(|each| each.to_string())).collect()
}

/// A range that a grid may have: never one that all of a machine's traffic goes to.
struct Private(Range);

impl FromStr for Private {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let range: Range = text.parse().map_err(|_| ())?;
        range.is_private().then_some(Self(range)).ok_or(())
    }
}

impl fmt::Display for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A domain to look for short names in: labels of letters, digits and hyphens.
struct Domain(String);

impl FromStr for Domain {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_label = |label: &str| {
            !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        let is_domain = text.len() < 254 && text.split('.').all(is_label);
        is_domain.then(|| Self(text.to_owned())).ok_or(())
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Two modules to a character; light on dark, as most terminals are, with the quiet zone that readers need.
fn code(config: &str) -> Result<String, Failure> {
    let code = QrCode::new(config)
        .map_err(|problem| Failure::failed(format!("failed to draw the code: {problem}")))?;
    let mut rendered = code.render::<Dense1x2>();
    let drawn = rendered
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build();
    Ok(drawn + "\n")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::api::types::vpn::VpnAddress;

    const PUBLIC: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

    fn entry(node: &str, freshness: &str) -> VpnEntry {
        VpnEntry {
            node: node.to_owned(),
            freshness: freshness.to_owned(),
            endpoint: Some("203.0.113.7:8472".to_owned()),
            public_key: Some(PUBLIC.to_owned()),
            dns: Some("10.80.7.1".parse().unwrap()),
        }
    }

    fn user() -> VpnUser {
        VpnUser {
            name: "laptop".to_owned(),
            public_key: keys::public(&key()).to_string(),
            only: None,
            created_at: None,
            addresses: vec![VpnAddress {
                node: "a".to_owned(),
                address: "10.80.7.200".parse().unwrap(),
            }],
        }
    }

    fn vpn(entries: Vec<VpnEntry>) -> Vpn {
        Vpn {
            entries,
            users: vec![user()],
            networks: vec!["10.80.0.0/12".to_owned()],
            search: vec!["home.kontena.local".to_owned(), "kontena.local".to_owned()],
        }
    }

    fn key() -> PrivateKey {
        PrivateKey::new([7; 32])
    }

    fn written(entry: &VpnEntry) -> Result<String, Failure> {
        let vpn = vpn(vec![entry.clone()]);
        config(
            &vpn,
            &"home".parse().unwrap(),
            &vpn.users[0],
            &known(entry)?,
            &key(),
        )
    }

    #[test]
    fn a_configuration_is_what_wg_quick_reads() {
        expect![[r#"
            # `laptop` in grid `home`, by node `a`
            [Interface]
            PrivateKey = BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=
            Address = 10.80.7.200/32
            DNS = 10.80.7.1, home.kontena.local, kontena.local
            MTU = 1280

            [Peer]
            PublicKey = HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=
            Endpoint = 203.0.113.7:8472
            AllowedIPs = 10.80.0.0/12
            PersistentKeepalive = 25
        "#]]
        .assert_eq(&written(&entry("a", "fresh")).unwrap());
    }

    #[test]
    fn a_configuration_fits_into_a_code() {
        let code = code(&written(&entry("a", "fresh")).unwrap()).unwrap();
        let lines: Vec<&str> = code.lines().collect();
        assert!(lines.len() < 50, "{code}");
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
    }

    #[test]
    fn the_first_entry_that_is_online_is_taken_and_else_the_first() {
        let vpn = vpn(vec![entry("a", "absent"), entry("b", "fresh")]);
        assert_eq!(choose(&vpn, None).unwrap().node, "b");
        assert_eq!(choose(&vpn, Some(&"a".parse().unwrap())).unwrap().node, "a");
        assert!(choose(&vpn, Some(&"c".parse().unwrap())).is_err());
    }

    #[test]
    fn nothing_that_wg_quick_would_run_gets_from_an_answer_into_the_file() {
        let injected = "x\n[Interface]\nPostUp = reboot";
        let of_entry: [fn(&mut VpnEntry, String); 3] = [
            |entry, text| entry.endpoint = Some(text),
            |entry, text| entry.public_key = Some(text),
            |entry, text| entry.node = text,
        ];
        for set in of_entry {
            let mut entry = entry("a", "fresh");
            set(&mut entry, injected.to_owned());
            assert!(written(&entry).is_err(), "{entry:?}");
        }
        let of_grid: [fn(&mut Vpn, String); 4] = [
            |vpn, text| vpn.networks = vec![text],
            |vpn, _| vpn.networks = vec!["0.0.0.0/0".to_owned()],
            |vpn, text| vpn.search = vec![text],
            |vpn, text| vpn.users[0].name = text,
        ];
        let entry = entry("a", "fresh");
        for set in of_grid {
            let mut vpn = vpn(vec![entry.clone()]);
            set(&mut vpn, injected.to_owned());
            let grid = "home".parse().unwrap();
            let known = known(&entry).unwrap();
            assert!(
                config(&vpn, &grid, &vpn.users[0], &known, &key()).is_err(),
                "{vpn:?}"
            );
        }
    }

    #[test]
    fn an_entry_whose_network_is_not_up_has_no_configuration() {
        let mut silent = entry("a", "fresh");
        silent.public_key = None;
        assert!(written(&silent).is_err());
    }
}
