//! From a view to what is asked of one node.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{EnvelopeHash, InstanceId, NodeId, ServiceKey};
use crate::placement::place;
use crate::reconcile::{Departure, Goals, Holder, goals};
use crate::report::{Engine, EngineState, Hold, InstanceState, Report, ReportOrder};
use crate::stack::Service;
use crate::time::WallTime;
use crate::view::{
    Availability, Deployed, Documents, Freshness, Lifecycle, Member, Pin, Revision, ServiceRecord,
    Standing, View,
};

use super::bench::{hold, id};

pub(super) const A: NodeId = NodeId([1; 32]);
pub(super) const B: NodeId = NodeId([2; 32]);

pub(super) fn record(service: Service, instances: u32) -> ServiceRecord {
    let revision = Revision {
        hash: service.hash(),
        number: 3,
        service: Ok(Arc::new(service)),
        image: None,
    };
    ServiceRecord {
        creation: EnvelopeHash([0; 32]),
        born: 0,
        latest: revision.clone(),
        deployed: Some(Deployed::new(revision, 7, WallTime(0))),
        deploys: Arc::default(),
        instances,
        state: Lifecycle::Running,
        pins: BTreeMap::new(),
        moves: BTreeMap::new(),
        witnesses: Default::default(),
        created: WallTime(0),
        updated: WallTime(0),
    }
}

pub(super) fn member(name: &str, number: u32) -> Member {
    Member {
        name: name.parse().unwrap(),
        sponsor: A,
        joined: WallTime(0),
        labels: Vec::new(),
        availability: Availability::Active,
        number,
        addresses: Vec::new(),
        subnet: None,
    }
}

pub(super) fn report(node: NodeId, holds: BTreeMap<InstanceId, Hold>) -> Arc<Report> {
    Arc::new(Report {
        placement_version: 1,
        engine: Engine {
            state: EngineState::Working,
            ..Engine::default()
        },
        holds,
        ..Report::empty(node, ReportOrder::default())
    })
}

/// Two fresh nodes, one service `web`; `b` holds these.
fn view(record: ServiceRecord, of_b: BTreeMap<InstanceId, Hold>) -> View {
    let key: ServiceKey = "web".parse().unwrap();
    let mut documents = Documents {
        roster: BTreeMap::from([(A, member("a", 1)), (B, member("b", 2))]),
        services: BTreeMap::from([(key, record)]),
        ..Documents::default()
    };
    documents.grid.placement_version = 1;
    let fresh = Standing {
        freshness: Freshness::Fresh,
        since: WallTime(0),
    };
    View {
        documents: Arc::new(documents),
        reports: BTreeMap::from([(A, report(A, BTreeMap::new())), (B, report(B, of_b))]),
        standings: BTreeMap::from([(A, fresh), (B, fresh)]),
        ..View::default()
    }
}

/// What is asked of `a`, which holds these.
fn asked(mut view: View, holds: &BTreeMap<InstanceId, Hold>) -> Goals {
    view.reports.insert(A, report(A, holds.clone()));
    let placement = place(&view);
    let holder = Holder {
        node: A,
        holds,
        is_up_to_date: false,
        ledgers: &BTreeMap::new(),
        arrivals: &BTreeMap::new(),
    };
    goals(&view, &placement, holder, None)
}

fn held(record: &ServiceRecord, epoch: u64) -> BTreeMap<InstanceId, Hold> {
    let mut running = hold(epoch, InstanceState::Running);
    let deployed = record.deployed.as_ref().unwrap();
    running.revision = deployed.revision.hash;
    running.generation = deployed.generation;
    BTreeMap::from([(id("web-1"), running)])
}

fn departures(goals: &Goals) -> Vec<(String, Departure)> {
    let leaving = goals.leaving.iter();
    leaving
        .map(|leaving| (leaving.instance.to_string(), leaving.departure))
        .collect()
}

#[test]
fn what_is_held_rightly_is_wanted_with_all_that_a_rollout_needs() {
    let record = record(Service::new("web:1"), 2);
    let holds = held(&record, 4);
    let goals = asked(view(record, BTreeMap::new()), &holds);
    let web = &goals.wanted[0];
    assert_eq!(
        (web.instance.to_string().as_str(), web.generation),
        ("web-1", 7)
    );
    assert_eq!(web.revision_number, 3);
    assert!(!web.fixed && !web.takeover && web.rivals.is_empty());
    let peers: Vec<(u32, bool)> = web
        .peers
        .iter()
        .map(|peer| (peer.number, peer.current))
        .collect();
    assert_eq!(peers, [(1, true), (2, false)]);
    assert!(goals.leaving.is_empty());
}

#[test]
fn the_loser_of_two_holders_leaves_once_the_winner_is_healthy() {
    let record = record(Service::new("web:1"), 1);
    let (mine, better) = (held(&record, 5), held(&record, 4));
    let goals = asked(view(record, better), &mine);
    assert!(goals.wanted.is_empty());
    let gone = Departure::Handover { winner_ready: true };
    assert_eq!(departures(&goals), [("web-1".to_owned(), gone)]);
}

#[test]
fn the_winner_of_two_holders_keeps_its_instance_and_sees_the_rival() {
    let record = record(Service::new("web:1"), 1);
    let (mine, worse) = (held(&record, 4), held(&record, 5));
    let goals = asked(view(record, worse), &mine);
    assert_eq!(goals.wanted.len(), 1);
    assert_eq!(goals.wanted[0].rivals[0].node, B);
    assert!(!goals.wanted[0].rivals[0].ranks_before_us);
}

#[test]
fn an_instance_that_failed_with_its_rightful_holder_has_failed_though_another_is_healthy() {
    let record = record(Service::new("web:1"), 2);
    let mut mine = held(&record, 4);
    let mut rival = hold(4, InstanceState::Running);
    rival.health = crate::report::Health::Healthy;
    rival.generation = 6;
    mine.insert(id("web-2"), rival);
    let mut failed = held(&record, 1).remove(&id("web-1")).unwrap();
    failed.state = InstanceState::Failed;
    let goals = asked(view(record, BTreeMap::from([(id("web-2"), failed)])), &mine);
    let peer = goals.wanted[0].peers[1];
    assert!(peer.failed && peer.healthy && !peer.current, "{peer:?}");
}

#[test]
fn a_drained_node_hands_a_stateless_instance_over() {
    let record = record(Service::new("web:1"), 1);
    let holds = held(&record, 4);
    let mut view = view(record, BTreeMap::new());
    let documents = Arc::make_mut(&mut view.documents);
    documents.roster.get_mut(&A).unwrap().availability = Availability::Drain;
    let goals = asked(view, &holds);
    assert!(goals.wanted.is_empty());
    let waits = Departure::Handover {
        winner_ready: false,
    };
    assert_eq!(departures(&goals), [("web-1".to_owned(), waits)]);
}

#[test]
fn a_drained_node_stops_a_stateful_instance_and_keeps_it() {
    let mut service = Service::new("redis:7");
    service.stateful = true;
    let mut record = record(service, 1);
    record.pins.insert(
        1,
        Pin {
            epoch: 1,
            node: A,
            moved: false,
        },
    );
    let holds = held(&record, 1);
    let mut view = view(record, BTreeMap::new());
    let documents = Arc::make_mut(&mut view.documents);
    documents.roster.get_mut(&A).unwrap().availability = Availability::Drain;
    let goals = asked(view, &holds);
    assert_eq!(
        departures(&goals),
        [("web-1".to_owned(), Departure::Drained)]
    );
}

#[test]
fn a_stopped_service_rests_where_it_is_held_and_what_was_scaled_away_goes() {
    let mut record = record(Service::new("web:1"), 1);
    record.state = Lifecycle::Stopped;
    let mut holds = held(&record, 1);
    holds.insert(id("web-2"), holds[&id("web-1")].clone());
    let goals = asked(view(record, BTreeMap::new()), &holds);
    let rests: Vec<(String, Lifecycle)> = goals
        .wanted
        .iter()
        .map(|wanted| (wanted.instance.to_string(), wanted.state))
        .collect();
    assert_eq!(rests, [("web-1".to_owned(), Lifecycle::Stopped)]);
    assert!(goals.leaving.is_empty());
}

#[test]
fn a_service_that_cannot_be_read_keeps_what_it_runs() {
    let mut record = record(Service::new("web:1"), 1);
    let holds = held(&record, 1);
    record.deployed.as_mut().unwrap().revision.service = Err("newer".to_owned());
    let goals = asked(view(record, BTreeMap::new()), &holds);
    assert!(goals.wanted.is_empty());
    assert_eq!(
        departures(&goals),
        [("web-1".to_owned(), Departure::Unjudged)]
    );
}

#[test]
fn what_is_scaled_below_is_not_asked_for() {
    let record = record(Service::new("web:1"), 0);
    let holds = held(&record, 1);
    let goals = asked(view(record, BTreeMap::new()), &holds);
    assert!(goals.wanted.is_empty());
    assert_eq!(
        departures(&goals),
        [("web-1".to_owned(), Departure::Unwanted)]
    );
}
