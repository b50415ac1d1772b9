use proptest::prelude::*;

use super::*;

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
        (key(1), user("a", 254)),
        (key(2), user("b", 254)),
        (key(3), user("c", 192)),
    ]);
    settle_hosts(&mut users, &[key(1), key(2), key(3)]);
    assert_eq!(hosts(&users), [Some(254), Some(193), Some(192)]);
}

#[test]
fn a_host_outside_of_the_range_is_not_believed() {
    let mut users = BTreeMap::from([(key(1), user("a", 7))]);
    settle_hosts(&mut users, &[key(1)]);
    assert_eq!(hosts(&users), [Some(192)]);
}

#[test]
fn the_sixty_fourth_user_has_no_host() {
    let keys: Vec<VpnKey> = (2..66).map(key).collect();
    let mut users: BTreeMap<VpnKey, User> = keys.iter().map(|key| (*key, user("a", 192))).collect();
    settle_hosts(&mut users, &keys);
    assert_eq!(users[&keys[63]].host, None);
    users.remove(&keys[63]);
    let vpn = Vpn {
        users,
        ..Vpn::default()
    };
    assert_eq!(vpn.free_host(&key(100)), None);
}

proptest! {
    #[test]
    fn settled_hosts_are_of_the_range_and_each_once(
        wanted in prop::collection::btree_map(2_u8..120, any::<u8>(), 0..63),
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
