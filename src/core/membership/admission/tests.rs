//! Who is admitted, and with which record.

use super::*;
use crate::view::{Availability, JoinToken, Member};

const SPONSOR: NodeId = NodeId([1; 32]);
const STRANGER: NodeId = NodeId([2; 32]);

#[test]
fn a_stranger_with_a_token_is_admitted() {
    let documents = grid();
    let record = admitted(&documents, &request("web"));
    assert_eq!((record.node, record.sponsor), (STRANGER, SPONSOR));
    assert_eq!(record.labels, ["az=b", "ssd"]);
    assert_eq!(record.addresses, ["192.0.2.7:7400", "[2001:db8::1]:7400"]);
    assert_ne!(
        record.subnet.parse().ok(),
        documents.roster[&SPONSOR].subnet
    );
    assert!(record.subnet.parse::<Subnet>().is_ok());
    let (token, proof) = (record.token.unwrap(), record.proof.unwrap());
    assert!(proof_is_valid(record.grid, record.node, token, &proof));
}

#[test]
fn asking_again_after_a_lost_answer_writes_nothing() {
    let mut documents = grid();
    documents.roster.insert(STRANGER, member("web"));
    documents.join_tokens.clear();
    let answer = admit(&documents, &request("other"), &call());
    assert_eq!(answer, Ok(Admitted::Already));
}

#[test]
fn without_a_valid_token_nobody_is_admitted() {
    let revoke = |documents: &mut Documents, _: &mut JoinRequest| {
        documents
            .join_tokens
            .values_mut()
            .for_each(|token| token.revoked = true);
    };
    refused(JoinRefusal::Token, revoke);
    refused(JoinRefusal::Token, |documents, _| {
        documents.join_tokens.clear();
    });
    refused(JoinRefusal::Token, |_, request| {
        request.grid = GridId([8; 32]);
    });
    refused(JoinRefusal::Token, |_, request| {
        request.proof = token().prove(NodeId([3; 32]));
    });
    refused(JoinRefusal::Token, |_, request| {
        let other = Token::new(request.grid, [8; 32]);
        request.proof = other.prove(STRANGER);
    });
}

#[test]
fn a_node_with_the_overlay_key_of_a_member_is_refused() {
    let mut documents = grid();
    let mut negative = STRANGER;
    negative.0[31] ^= 0x80;
    documents.roster.insert(negative, member("twin"));
    let answer = admit(&documents, &request("web"), &call());
    assert!(
        matches!(answer, Err(JoinRefusal::NotNow { .. })),
        "{answer:?}"
    );
}

#[test]
fn a_removed_node_never_comes_back() {
    refused(JoinRefusal::Removed, |documents, _| {
        documents.removed.insert(STRANGER);
    });
}

#[test]
fn a_request_speaks_for_its_own_connection_only() {
    let mut request = request("web");
    request.node = NodeId([3; 32]);
    let answer = admit(&grid(), &request, &call());
    assert!(
        matches!(answer, Err(JoinRefusal::NotNow { .. })),
        "{answer:?}"
    );
}

#[test]
fn a_taken_name_is_refused_with_a_free_one() {
    let long = "n".repeat(62);
    for (name, suggestion) in [
        ("first", "first-3".to_owned()),
        (&long, format!("{}-2", "n".repeat(61))),
    ] {
        let mut documents = grid();
        for (number, taken) in ["first-2", &long].into_iter().enumerate() {
            let id = NodeId([50 + number as u8; 32]);
            documents.roster.insert(id, member(taken));
        }
        let name = name.to_owned();
        let refusal = admit(&documents, &request(&name), &call()).unwrap_err();
        assert_eq!(refusal, JoinRefusal::NameTaken { name, suggestion });
    }
}

#[test]
fn what_a_stranger_sends_is_bounded() {
    let check = |change: fn(&mut JoinRequest)| {
        let mut request = request("web");
        change(&mut request);
        let answer = admit(&grid(), &request, &call());
        assert!(
            matches!(answer, Err(JoinRefusal::NotNow { .. })),
            "{answer:?}"
        );
    };
    check(|request| request.labels = vec!["a".to_owned(); 65]);
    check(|request| request.labels = vec!["a".repeat(256)]);
    check(|request| request.labels = vec![String::new()]);
    check(|request| request.labels = vec!["a\u{1b}[2J".to_owned()]);
    check(|request| request.addresses = vec!["192.0.2.1:1".to_owned(); 17]);
    check(|request| request.addresses = vec!["example.com:80".to_owned()]);
    check(|request| request.version = "1".repeat(65));
}

#[test]
fn unknown_fields_of_a_stranger_are_not_signed() {
    let mut request = request("web");
    request.unknown.insert("rights".to_owned(), "all".into());
    assert!(admitted(&grid(), &request).unknown.is_empty());
}

#[test]
fn a_host_whose_routes_lead_into_the_grids_network_is_refused_by_the_first_of_them() {
    let route = |to: &str, device: &str| HostRoute {
        to: to.parse().unwrap(),
        device: device.to_owned(),
    };
    let mut asks = request("web");
    asks.routes = vec![
        route("192.168.1.0/24", "eth0"),
        route("10.64.0.0/12", "eth1"),
    ];
    admitted(&grid(), &asks);

    asks.routes.push(route("10.88.0.0/16", "podman0"));
    let refusal = admit(&grid(), &asks, &call());
    let supernet = AddressPlan::default().supernet();
    let route_in_the_way = route("10.88.0.0/16", "podman0");
    let expected = JoinRefusal::Overlap {
        supernet,
        route: route_in_the_way,
    };
    assert_eq!(refusal, Err(expected));

    let mut elsewhere = grid();
    let supernet = "10.160.0.0/16".parse().unwrap();
    elsewhere.grid.plan = AddressPlan::new(supernet, None).unwrap();
    let record = admitted(&elsewhere, &asks);
    let subnet: Subnet = record.subnet.parse().unwrap();
    assert!(subnet.is_of(elsewhere.grid.plan), "{subnet}");
}

#[test]
fn a_grid_that_has_no_subnet_left_admits_nobody() {
    let mut full = grid();
    let only: Subnet = "192.168.7.0/24".parse().unwrap();
    let supernet = "192.168.7.0/24".parse().unwrap();
    full.grid.plan = AddressPlan::new(supernet, None).unwrap();
    let sponsor = full.roster.get_mut(&SPONSOR).unwrap();
    sponsor.subnet = Some(only);
    let answer = admit(&full, &request("web"), &call());
    assert!(
        matches!(&answer, Err(JoinRefusal::NotNow { problem }) if problem == "all 1 subnets of this grid are taken"),
        "{answer:?}"
    );
    full.roster.get_mut(&SPONSOR).unwrap().subnet = None;
    assert_eq!(admitted(&full, &request("web")).subnet, only.to_string());
}

#[test]
fn who_shows_more_routes_than_there_may_be_or_such_as_no_host_has_is_refused() {
    let route = HostRoute {
        to: "192.168.1.0/24".parse().unwrap(),
        device: "eth0".to_owned(),
    };
    let not_now = |routes: Vec<HostRoute>| {
        let mut asks = request("web");
        asks.routes = routes;
        let answer = admit(&grid(), &asks, &call());
        assert!(
            matches!(answer, Err(JoinRefusal::NotNow { .. })),
            "{answer:?}"
        );
    };
    not_now(vec![route.clone(); MAX_ROUTES + 1]);
    for device in ["", "sixteen-letters!", "a\nb"] {
        let device = device.to_owned();
        not_now(vec![HostRoute {
            device,
            ..route.clone()
        }]);
    }
}

#[test]
fn addresses_that_others_cannot_use_are_left_out() {
    let seen = |seen: &str, own: &str| reachable(&[own.to_owned()], seen.parse().ok()).join(" ");
    assert_eq!(seen("192.0.2.7", "0.0.0.0:7400"), "192.0.2.7:7400");
    assert_eq!(seen("::ffff:192.0.2.7", "[::]:7400"), "192.0.2.7:7400");
    assert_eq!(seen("192.0.2.7", "127.0.0.1:7400"), "");
    assert_eq!(seen("127.0.0.1", "127.0.0.1:7400"), "127.0.0.1:7400");
    assert_eq!(seen("192.0.2.7", "192.0.2.7:0"), "");
    assert_eq!(seen("unknown", "0.0.0.0:7400"), "");
    assert_eq!(seen("unknown", "10.0.0.1:7400"), "10.0.0.1:7400");
}

#[test]
fn the_first_node_admits_itself() {
    let plan = AddressPlan::default();
    let record = Admission::founding(token().grid(), plan, candidate("first"), WallTime(7));
    assert_eq!((record.sponsor, record.token), (STRANGER, None));
    assert!(record.subnet.parse::<Subnet>().is_ok());
}

#[track_caller]
fn refused(expected: JoinRefusal, change: fn(&mut Documents, &mut JoinRequest)) {
    let (mut documents, mut request) = (grid(), request("web"));
    change(&mut documents, &mut request);
    assert_eq!(admit(&documents, &request, &call()), Err(expected));
}

#[track_caller]
fn admitted(documents: &Documents, request: &JoinRequest) -> Admission {
    match admit(documents, request, &call()) {
        Ok(Admitted::Now(record)) => *record,
        other => panic!("not admitted: {other:?}"),
    }
}

fn token() -> Token {
    Token::new(GridId([9; 32]), [5; 32])
}

fn grid() -> Documents {
    let mut documents = Documents::default();
    documents.grid.id = Some(token().grid());
    let mut first = member("first");
    // The stranger's own first choice is taken.
    first.subnet = ipam::allocate(AddressPlan::default(), STRANGER, &BTreeSet::new());
    documents.roster.insert(SPONSOR, first);
    let known = JoinToken {
        created: WallTime(1),
        revoked: false,
    };
    documents.join_tokens.insert(token().id(), known);
    documents
}

fn member(name: &str) -> Member {
    Member {
        name: name.parse().unwrap(),
        sponsor: SPONSOR,
        joined: WallTime(1),
        labels: Vec::new(),
        availability: Availability::Active,
        number: 1,
        addresses: Vec::new(),
        subnet: None,
    }
}

fn request(name: &str) -> JoinRequest {
    JoinRequest::new(&token(), candidate(name), "2.0.0".to_owned())
}

fn candidate(name: &str) -> Candidate {
    Candidate {
        node: STRANGER,
        name: name.parse().unwrap(),
        labels: ["ssd", "az=b", "ssd"].map(str::to_owned).to_vec(),
        addresses: ["0.0.0.0:7400", "[2001:db8::1]:7400", "127.0.0.1:7400"]
            .map(str::to_owned)
            .to_vec(),
        routes: Vec::new(),
    }
}

fn call() -> Call {
    Call {
        from: STRANGER,
        seen: Some(IpAddr::from([192, 0, 2, 7])),
        sponsor: SPONSOR,
        now: WallTime(2),
    }
}
