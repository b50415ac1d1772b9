//! What the data plane is told, and when.

use std::net::Ipv4Addr;

use super::*;
use crate::id::RevisionHash;
use crate::network::vpn::{Entry, Reach};
use crate::report::{Health, Hold, InstanceState, Report};

#[test]
fn what_a_limited_vpn_user_may_reach_follows_a_report_that_changes_nothing_else() {
    let (mut first, second) = pair();
    first.give(create("web"), true);
    let (node, entry) = (first.node.me, Entry::default());
    first.give(Command::OpenVpn { node, entry }, true);
    let user = Command::AddVpnUser {
        name: "laptop".parse().unwrap(),
        key: "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="
            .parse()
            .unwrap(),
        reach: Reach::Only(["null/web".parse().unwrap()].into()),
    };
    first.give(user, true);

    let subnet = first.node.view.documents.roster[&second.node.me].subnet;
    let subnet = subnet.expect("its admission names one");
    // The first one tells that it is there; the second, that its instance is elsewhere.
    assert_eq!(
        reached(&mut first, &second, subnet.address(9), 1_000),
        [subnet.address(9)]
    );
    assert_eq!(
        reached(&mut first, &second, subnet.address(10), 1_001),
        [subnet.address(10)]
    );
}

#[test]
fn users_are_not_sent_where_no_host_can_be() {
    let (mut first, _) = pair();
    let node = first.node.me;
    for address in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1"] {
        let entry = Entry {
            address: Some(address.parse().unwrap()),
        };
        let outputs = first.give(Command::OpenVpn { node, entry }, false);
        let (_, reply) = replies(&outputs).remove(0);
        assert!(
            matches!(reply, Err(Refusal::Invalid(_))),
            "{address}: {reply:?}"
        );
    }
}

/// What the data plane is told of a limited user's reach after a report of `second`.
fn reached(first: &mut Hand, second: &Hand, address: Ipv4Addr, sequence: u64) -> Vec<Ipv4Addr> {
    let outputs = first.handle(Input::Received {
        from: second.node.me,
        message: Message::Reports(vec![holding("web-1", address, second, sequence)]),
    });
    let told = outputs.iter().filter_map(|output| {
        let Output::SetNetwork(Some(wanted)) = output else {
            return None;
        };
        wanted.clients.values().next()?.reach.clone()
    });
    told.flatten().collect()
}

/// A newer report of a node, which holds this.
fn holding(instance: &str, address: Ipv4Addr, by: &Hand, sequence: u64) -> SignedReport {
    let order = ReportOrder {
        boot: 1,
        nonce: by.node.config.nonce,
        sequence,
    };
    let hold = Hold {
        epoch: 1,
        revision: RevisionHash([0; 32]),
        generation: 1,
        state: InstanceState::Running,
        health: Health::Healthy,
        updating: false,
        on_trial: false,
        former: false,
        container: None,
        address: Some(address.into()),
        image: None,
        since: WallTime(1),
        age: 0,
        problem: None,
        hooks_ran: Default::default(),
        restarts: 0,
        exit_code: None,
    };
    let mut report = Report::empty(by.node.me, order);
    report.holds.insert(instance.parse().unwrap(), hold);
    SignedReport::new(&report, &by.node.config.key)
}
