//! Commands about the VPN → edits.

use super::Refusal;
use super::member::find;
use crate::document::edit::Edit;
use crate::id::{NodeId, VpnUserName};
use crate::network::addresses::is_one_host;
use crate::network::keys;
use crate::network::vpn::{Entry, HOSTS, Reach, Target, UserRecord, VpnKey};
use crate::view::{Documents, View};

pub(super) fn open(view: &View, node: NodeId, entry: Entry) -> Result<Vec<Edit>, Refusal> {
    find(view, node)?;
    check_address(entry)?;
    if view.documents.vpn.entries.get(&node) == Some(&entry) {
        return Ok(Vec::new());
    }
    let entry = Some(entry);
    Ok(vec![Edit::VpnEntry { node, entry }])
}

/// Users could send nothing there, and would wonder.
fn check_address(entry: Entry) -> Result<(), Refusal> {
    match entry.address.filter(|address| !is_one_host(*address)) {
        None => Ok(()),
        Some(address) => Err(Refusal::Invalid(format!(
            "`{address}` is not the address of one host"
        ))),
    }
}

pub(super) fn close(view: &View, node: NodeId) -> Result<Vec<Edit>, Refusal> {
    let member = find(view, node)?;
    if !view.documents.vpn.entries.contains_key(&node) {
        return Err(Refusal::NotFound {
            what: "VPN entry",
            name: member.name.to_string(),
        });
    }
    Ok(vec![Edit::VpnEntry { node, entry: None }])
}

pub(super) fn add(
    view: &View,
    name: &VpnUserName,
    key: VpnKey,
    reach: &Reach,
) -> Result<Vec<Edit>, Refusal> {
    let vpn = &view.documents.vpn;
    if vpn.named(name).next().is_some() {
        return Err(Refusal::Exists {
            what: "VPN user",
            name: name.to_string(),
        });
    }
    if let Some(owner) = vpn.users.get(&key) {
        let problem = format!("the key `{key}` is that of VPN user `{}`", owner.name);
        return Err(Refusal::Invalid(problem));
    }
    if vpn.revoked.contains(&key) {
        let problem = format!("the key `{key}` was revoked and never counts again: make a new one");
        return Err(Refusal::Invalid(problem));
    }
    check_is_no_member(&view.documents, key)?;
    check_reach(&view.documents, reach)?;
    let host = vpn.free_host(&key).ok_or_else(full)?;
    let user = UserRecord {
        name: name.clone(),
        host,
    };
    let mut edits = vec![Edit::VpnUser { key, user }];
    if *reach != Reach::Everything {
        let reach = reach.clone();
        edits.push(Edit::VpnReach { key, reach });
    }
    Ok(edits)
}

/// It would be no peer anywhere: the member would be cut off.
fn check_is_no_member(documents: &Documents, key: VpnKey) -> Result<(), Refusal> {
    let mut members = documents.roster.iter();
    let is_its = |node: &NodeId| keys::public(node).as_ref() == Some(key.as_bytes());
    match members.find(|(node, _)| is_its(node)) {
        None => Ok(()),
        Some((_, member)) => Err(Refusal::Invalid(format!(
            "the key `{key}` is that of node `{}`",
            member.name
        ))),
    }
}

fn full() -> Refusal {
    let most = HOSTS.count();
    Refusal::Invalid(format!("a grid has at most {most} VPN users: remove one"))
}

pub(super) fn limit(view: &View, name: &VpnUserName, reach: &Reach) -> Result<Vec<Edit>, Refusal> {
    check_reach(&view.documents, reach)?;
    let others = keys(view, name)?.into_iter().filter(|key| {
        let user = view.documents.vpn.users.get(key);
        user.is_none_or(|user| user.reach != *reach)
    });
    let edit = |key| Edit::VpnReach {
        key,
        reach: reach.clone(),
    };
    Ok(others.map(edit).collect())
}

pub(super) fn remove(view: &View, name: &VpnUserName) -> Result<Vec<Edit>, Refusal> {
    let keys = keys(view, name)?;
    Ok(keys.into_iter().map(Edit::RevokeVpnKey).collect())
}

fn keys(view: &View, name: &VpnUserName) -> Result<Vec<VpnKey>, Refusal> {
    let named = view.documents.vpn.named(name);
    let keys: Vec<VpnKey> = named.map(|(key, _)| *key).collect();
    if keys.is_empty() {
        return Err(Refusal::NotFound {
            what: "VPN user",
            name: name.to_string(),
        });
    }
    Ok(keys)
}

/// A name that means nothing is a slip of the hand: a user limited to it would wonder.
fn check_reach(documents: &Documents, reach: &Reach) -> Result<(), Refusal> {
    let Reach::Only(targets) = reach else {
        return Ok(());
    };
    if targets.is_empty() {
        let problem = "a VPN user that reaches nothing is none: remove it";
        return Err(Refusal::Invalid(problem.to_owned()));
    }
    let missing = targets.iter().find(|target| match target {
        Target::Stack(name) => !documents.stacks.contains_key(name),
        Target::Service(key) => !documents.services.contains_key(key),
    });
    missing.map_or(Ok(()), |target| {
        let what = match target {
            Target::Stack(_) => "stack",
            Target::Service(_) => "service",
        };
        let name = target.to_string();
        Err(Refusal::NotFound { what, name })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::identity::SecretKey;
    use crate::time::WallTime;
    use crate::view::{Availability, Member};

    #[test]
    fn the_key_of_a_member_is_no_user_s() {
        let node = SecretKey::from_seed([1; 32]).node_id();
        let member = Member {
            name: "a".parse().unwrap(),
            sponsor: node,
            joined: WallTime(1),
            labels: Vec::new(),
            availability: Availability::Active,
            number: 1,
            addresses: Vec::new(),
            subnet: None,
        };
        let view = View {
            documents: Arc::new(Documents {
                roster: [(node, member)].into(),
                ..Documents::default()
            }),
            ..View::default()
        };
        let add_key_of = |seed: u8| {
            let node = SecretKey::from_seed([seed; 32]).node_id();
            let key = data_encoding::BASE64.encode(&keys::public(&node).unwrap());
            let key: VpnKey = key.parse().unwrap();
            add(&view, &"laptop".parse().unwrap(), key, &Reach::Everything)
        };
        match add_key_of(1) {
            Err(Refusal::Invalid(problem)) => assert!(problem.ends_with("node `a`"), "{problem}"),
            other => panic!("{other:?}"),
        }
        assert!(add_key_of(2).is_ok());
    }
}
