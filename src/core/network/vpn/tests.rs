//! VPN users: their keys, hosts, limits, and what an entry makes of them.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::id::RevisionHash;
use crate::report::{Health, Hold, InstanceState, Report, ReportOrder};
use crate::view::{Availability, Documents, Member, View};

fn key(byte: u8) -> VpnKey {
    let text = data_encoding::BASE64.encode(&[byte; 32]);
    text.parse().unwrap()
}

fn user(name: &str, host: u8) -> User {
    User {
        name: name.parse().unwrap(),
        host: Some(host),
        reach: Reach::Everything,
        created: WallTime::default(),
    }
}

fn hosts(users: &BTreeMap<VpnKey, User>) -> Vec<Option<u8>> {
    users.values().map(|user| user.host).collect()
}

#[test]
fn a_key_is_read_as_wireguard_writes_it() {
    let text = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    let key: VpnKey = text.parse().unwrap();
    assert_eq!(key.to_string(), text);
    assert_eq!(VpnKey::from_hex(&key.hex()), Some(key));
    for bad in [
        "",
        "hSDw",
        &text[1..],
        "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTm",
    ] {
        let refused = bad.parse::<VpnKey>();
        assert_eq!(refused, Err(InvalidVpnKey::Form(bad.to_owned())));
    }
}

#[test]
fn a_key_that_agrees_with_everybody_on_the_same_is_refused() {
    let mut one = [0; 32];
    one[0] = 1;
    for bytes in [[0; 32], one] {
        let text = data_encoding::BASE64.encode(&bytes);
        let refused = text.parse::<VpnKey>();
        assert_eq!(refused, Err(InvalidVpnKey::LowOrder(text)));
        assert_eq!(
            VpnKey::from_hex(&data_encoding::HEXLOWER.encode(&bytes)),
            None
        );
    }
}

#[test]
fn a_key_has_one_form() {
    let largest = |first: u8| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (first, 0x7f);
        bytes
    };
    let parse = |bytes: [u8; 32]| data_encoding::BASE64.encode(&bytes).parse::<VpnKey>();
    let mut with_top_bit = *key(9).as_bytes();
    with_top_bit[31] |= 0x80;
    for bytes in [with_top_bit, largest(0xed + 9), largest(0xff)] {
        assert!(
            matches!(parse(bytes), Err(InvalidVpnKey::NotCanonical(_))),
            "{bytes:?}"
        );
        assert_eq!(
            VpnKey::from_hex(&data_encoding::HEXLOWER.encode(&bytes)),
            None
        );
    }
    assert!(parse(largest(0xed - 2)).is_ok());
}

#[test]
fn a_target_is_a_stack_or_one_of_its_services() {
    let reach =
        |texts: &[&str]| Reach::Only(texts.iter().map(|text| text.parse().unwrap()).collect());
    let covers = |reach: &Reach, service: &str| reach.covers(&service.parse().unwrap());
    let shop = reach(&["shop"]);
    assert!(covers(&shop, "shop/web") && !covers(&shop, "other/web") && !covers(&shop, "shop"));
    let two = reach(&["shop/db", "null/web"]);
    assert!(covers(&two, "shop/db") && covers(&two, "web") && !covers(&two, "shop/web"));
    let written = serde_json::to_string(&two).unwrap();
    assert_eq!(written, r#"["null/web","shop/db"]"#);
    assert_eq!(serde_json::from_str::<Reach>(&written).unwrap(), two);
    assert_eq!(
        serde_json::from_str::<Reach>("null").unwrap(),
        Reach::Everything
    );
}

#[test]
fn of_two_users_of_one_host_the_first_keeps_it() {
    let mut users = BTreeMap::from([(key(1), user("a", 200)), (key(2), user("b", 200))]);
    settle_hosts(&mut users, &[key(2), key(1)]);
    assert_eq!(hosts(&users), [Some(201), Some(200)]);
}

#[test]
fn whoever_comes_late_takes_no_host_that_was_given_to_somebody_after_it() {
    let mut users = BTreeMap::from([
        (key(1), user("a", 239)),
        (key(2), user("b", 239)),
        (key(3), user("c", 192)),
    ]);
    settle_hosts(&mut users, &[key(1), key(2), key(3)]);
    assert_eq!(hosts(&users), [Some(239), Some(193), Some(192)]);
}

#[test]
fn a_host_outside_of_the_range_is_not_believed() {
    let mut users = BTreeMap::from([(key(1), user("a", 7))]);
    settle_hosts(&mut users, &[key(1)]);
    assert_eq!(hosts(&users), [Some(192)]);
}

#[test]
fn one_user_too_many_has_no_host() {
    let keys: Vec<VpnKey> = (2..51).map(key).collect();
    let mut users: BTreeMap<VpnKey, User> = keys.iter().map(|key| (*key, user("a", 192))).collect();
    settle_hosts(&mut users, &keys);
    assert_eq!(users[&keys[48]].host, None);
    users.remove(&keys[48]);
    let vpn = Vpn {
        users,
        ..Vpn::default()
    };
    assert_eq!(vpn.free_host(&key(100)), None);
}

proptest! {
    #[test]
    fn settled_hosts_are_of_the_range_and_each_once(
        wanted in prop::collection::btree_map(2_u8..120, any::<u8>(), 0..48),
    ) {
        let mut users: BTreeMap<VpnKey, User> =
            wanted.iter().map(|(byte, host)| (key(*byte), user("a", *host))).collect();
        let order: Vec<VpnKey> = users.keys().rev().copied().collect();
        settle_hosts(&mut users, &order);
        let given: BTreeSet<u8> = users.values().map(|user| user.host.unwrap()).collect();
        prop_assert_eq!(given.len(), users.len());
        prop_assert!(given.iter().all(|host| HOSTS.contains(host)));
        let settled = users.clone();
        settle_hosts(&mut users, &order);
        prop_assert_eq!(users, settled);
    }
}

fn view() -> View {
    let member = |number: u8| Member {
        name: format!("n{number}").parse().unwrap(),
        sponsor: NodeId([1; 32]),
        joined: WallTime(1),
        labels: Vec::new(),
        availability: Availability::Active,
        number: number.into(),
        addresses: Vec::new(),
        subnet: format!("10.80.{number}.0/24").parse().ok(),
    };
    let limited = User {
        reach: Reach::Only(["shop".parse().unwrap()].into()),
        ..user("b", 201)
    };
    let documents = Documents {
        roster: (1..=2)
            .map(|number| (NodeId([number; 32]), member(number)))
            .collect(),
        vpn: Vpn {
            entries: [(NodeId([1; 32]), Entry::default())].into(),
            users: [(key(1), user("a", 200)), (key(2), limited)].into(),
            revoked: BTreeSet::new(),
        },
        ..Documents::default()
    };
    let mut report = Report::empty(NodeId([2; 32]), ReportOrder::default());
    for (instance, address) in [
        ("shop/web-1", "10.80.2.7"),
        ("other/web-1", "10.80.2.8"),
        ("shop/web-2", "10.80.1.9"),
    ] {
        let hold = hold(address.parse().unwrap());
        report.holds.insert(instance.parse().unwrap(), hold);
    }
    View {
        documents: Arc::new(documents),
        reports: [(report.node, Arc::new(report))].into(),
        ..View::default()
    }
}

fn hold(address: IpAddr) -> Hold {
    Hold {
        epoch: 1,
        revision: RevisionHash([0; 32]),
        generation: 1,
        state: InstanceState::Running,
        health: Health::Healthy,
        updating: false,
        on_trial: false,
        former: false,
        container: None,
        address: Some(address),
        image: None,
        since: WallTime(1),
        age: 0,
        problem: None,
        hooks_ran: Default::default(),
        restarts: 0,
        exit_code: None,
    }
}

#[test]
fn an_entry_carries_every_user_with_an_address_of_its_own_subnet() {
    let clients = clients(&view(), NodeId([1; 32]));
    let addresses: Vec<String> = clients
        .values()
        .map(|client| client.address.to_string())
        .collect();
    assert_eq!(addresses, ["10.80.1.200", "10.80.1.201"]);
    assert!(
        super::clients(&view(), NodeId([2; 32])).is_empty(),
        "it is no entry"
    );
}

#[test]
fn a_limited_user_reaches_what_is_named_and_nothing_that_a_node_claims_of_others() {
    let clients = clients(&view(), NodeId([1; 32]));
    assert_eq!(clients[&key(1)].reach, None);
    assert!(limits_clients(&view(), NodeId([1; 32])));
    assert!(!limits_clients(&view(), NodeId([2; 32])), "it is no entry");
    let reach = clients[&key(2)].reach.clone().unwrap();
    let reach: Vec<String> = reach.iter().map(ToString::to_string).collect();
    // 10.80.1.9 is of the other node's subnet.
    assert_eq!(reach, ["10.80.2.7"]);
}
