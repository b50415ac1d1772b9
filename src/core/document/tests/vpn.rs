//! VPN users and entries, written on two sides of a split.

use data_encoding::BASE64;

use super::hostile::{draft, with_change};
use super::*;
use crate::network::vpn::{Entry, Reach, UserRecord, VpnKey};

fn user_key(byte: u8) -> VpnKey {
    BASE64.encode(&[byte; 32]).parse().unwrap()
}

fn user(key: u8, name: &str, host: u8) -> Edit {
    let user = UserRecord {
        name: name.parse().unwrap(),
        host,
    };
    let key = user_key(key);
    Edit::VpnUser { key, user }
}

fn only(key: u8, target: &str) -> Edit {
    Edit::VpnReach {
        key: user_key(key),
        reach: Reach::Only([target.parse().unwrap()].into()),
    }
}

fn two() -> (Replica, Replica) {
    let mut both = replicas(2).into_iter();
    (both.next().unwrap(), both.next().unwrap())
}

#[track_caller]
fn meet(a: &mut Replica, b: &mut Replica) -> Arc<Documents> {
    sync(a, b, 1 << 20);
    assert_eq!(a.documents(), b.documents());
    a.documents()
}

#[test]
fn a_user_is_known_with_its_host_and_its_limits() {
    let (mut a, mut b) = two();
    write(&mut a, &[user(5, "laptop", 200), only(5, "shop")]);
    let documents = meet(&mut a, &mut b);
    let laptop = &documents.vpn.users[&user_key(5)];
    assert_eq!(laptop.name.as_str(), "laptop");
    assert_eq!(laptop.host, Some(200));
    assert_eq!(laptop.created, WallTime(7));
    assert!(laptop.reach.covers(&web()) && !laptop.reach.covers(&"other/web".parse().unwrap()));
}

#[test]
fn a_revoked_key_stays_so_whatever_the_other_side_wrote_meanwhile() {
    let (mut a, mut b) = two();
    write(&mut a, &[user(5, "laptop", 200)]);
    meet(&mut a, &mut b);
    write(&mut a, &[Edit::RevokeVpnKey(user_key(5))]);
    write(&mut b, &[user(5, "laptop", 201), only(5, "shop")]);
    let documents = meet(&mut a, &mut b);
    assert!(documents.vpn.users.is_empty());
    assert!(documents.vpn.revoked.contains(&user_key(5)));
}

#[test]
fn two_users_that_got_one_host_on_two_sides_end_with_two() {
    let (mut a, mut b) = two();
    write(&mut a, &[user(5, "laptop", 200)]);
    write(&mut b, &[user(6, "phone", 200)]);
    let documents = meet(&mut a, &mut b);
    let mut hosts: Vec<_> = documents.vpn.users.values().map(|user| user.host).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, [Some(200), Some(201)]);
}

#[test]
fn a_limit_that_nobody_here_can_read_lets_nobody_through() {
    let (mut a, mut b) = two();
    write(&mut a, &[user(5, "laptop", 200)]);
    sync(&mut a, &mut b, 1 << 20);
    let later = with_change(&draft(&mut b, &[only(5, "shop")]), |change| {
        change.writes[0].value = r#"{"of":"a later version"}"#.to_owned();
    });
    assert!(matches!(
        a.ingest(later.sign(&key(2))),
        Ingested::Applied { .. }
    ));
    let documents = a.documents();
    let laptop = &documents.vpn.users[&user_key(5)];
    assert_eq!(laptop.reach, Reach::Only([].into()));
}

#[test]
fn an_entry_opens_moves_and_closes_and_goes_with_its_node() {
    let (mut a, mut b) = two();
    let entry = |n, address: Option<&str>| {
        let address = address.map(|text| text.parse().unwrap());
        let entry = Some(Entry { address });
        Edit::VpnEntry {
            node: node(n),
            entry,
        }
    };
    write(&mut a, &[entry(1, None), entry(2, Some("192.0.2.1"))]);
    let documents = meet(&mut a, &mut b);
    assert_eq!(documents.vpn.entries[&node(1)].address, None);
    let second = documents.vpn.entries[&node(2)].address;
    assert_eq!(second, Some("192.0.2.1".parse().unwrap()));

    let closed = Edit::VpnEntry {
        node: node(1),
        entry: None,
    };
    write(&mut a, &[closed, Edit::RemoveNode(node(2))]);
    let documents = a.documents();
    assert!(documents.vpn.entries.is_empty());
}
