//! External registries, written on two sides of a split.

use super::*;
use crate::external_registry::{Account, Lock, RegistryName, SealedKey, SealedText};

fn quay() -> RegistryName {
    "quay.io".parse().unwrap()
}

fn account(username: &str, lock: u8) -> Edit {
    let account = Account {
        url: "https://quay.io".to_owned(),
        username: username.to_owned(),
        email: None,
        password: SealedText {
            lock: Lock([lock; 32]),
            text: vec![lock; 40],
        },
    };
    let name = quay();
    let account = Some(account);
    Edit::Registry { name, account }
}

fn key(node: NodeId, lock: u8) -> Edit {
    Edit::RegistryKey {
        name: quay(),
        node,
        key: SealedKey {
            lock: Lock([lock; 32]),
            key: vec![9; 80],
        },
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

fn members(replica: &mut Replica) -> Vec<NodeId> {
    replica.documents().roster.keys().copied().collect()
}

#[test]
fn a_registry_is_known_with_the_keys_that_open_its_password() {
    let (mut a, mut b) = two();
    let nodes = members(&mut a);
    let stranger = NodeId([0xee; 32]);
    write(
        &mut a,
        &[
            account("me", 1),
            key(nodes[0], 1),
            key(nodes[1], 2),
            key(stranger, 1),
        ],
    );
    let documents = meet(&mut a, &mut b);
    let registry = &documents.registries[&quay()];
    assert_eq!(registry.account.username, "me");
    assert_eq!(registry.account.password.text, [1; 40]);
    let holders: Vec<&NodeId> = registry.keys.keys().collect();
    assert_eq!(
        holders,
        [&nodes[0]],
        "one is of another password, one is no member's"
    );
}

#[test]
fn a_new_password_needs_new_keys() {
    let (mut a, mut b) = two();
    let nodes = members(&mut a);
    write(&mut a, &[account("me", 1), key(nodes[0], 1)]);
    write(&mut a, &[account("me", 2)]);
    let documents = meet(&mut a, &mut b);
    assert!(documents.registries[&quay()].keys.is_empty());
    write(&mut b, &[key(nodes[0], 2), key(nodes[1], 2)]);
    let documents = meet(&mut a, &mut b);
    assert_eq!(documents.registries[&quay()].keys.len(), 2);
}

#[test]
fn of_two_accounts_that_two_sides_gave_one_counts_and_people_are_told() {
    let (mut a, mut b) = two();
    let nodes = members(&mut a);
    write(&mut a, &[account("ann", 1), key(nodes[0], 1)]);
    write(&mut b, &[account("bob", 2), key(nodes[0], 2)]);
    let documents = meet(&mut a, &mut b);
    let registry = &documents.registries[&quay()];
    let counts = registry.account.password.lock;
    assert_eq!(
        registry.keys[&nodes[0]].lock, counts,
        "the key of the one that counts"
    );
    let [conflict] = documents.conflicts.as_slice() else {
        panic!("{:?}", documents.conflicts);
    };
    let told = format!("{} {}", conflict.applied, conflict.others.join(" "));
    assert!(told.contains("as ann") && told.contains("as bob"), "{told}");
}

#[test]
fn a_removed_registry_is_gone_until_it_is_added_again() {
    let (mut a, mut b) = two();
    write(&mut a, &[account("me", 1)]);
    let (name, account_of_none) = (quay(), None);
    write(
        &mut a,
        &[Edit::Registry {
            name,
            account: account_of_none,
        }],
    );
    assert!(meet(&mut a, &mut b).registries.is_empty());
    write(&mut b, &[account("me", 2)]);
    assert_eq!(meet(&mut a, &mut b).registries.len(), 1);
}
