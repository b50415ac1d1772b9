//! Placement of 10,000 instances on 1,000 nodes: from nothing, at rest, and after one change; and who comes next.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use kontena_core::id::{EnvelopeHash, InstanceId, NodeId};
use kontena_core::placement::{Incremental, PLACEMENT_VERSION, Placement, place};
use kontena_core::report::{Engine, EngineState, Health, Hold, InstanceState, Report, ReportOrder};
use kontena_core::stack::Service;
use kontena_core::time::WallTime;
use kontena_core::view::{
    Availability, Deployed, Documents, Freshness, Lifecycle, Member, Revision, ServiceRecord,
    Standing, View,
};

use crate::figure::{Row, Times};
use crate::filtered::{self, Kind};
use crate::founded::service_key;

const NODES: u32 = 1_000;
const SERVICES: usize = 100;
const INSTANCES: u32 = 100;
const RUNS: usize = 11;
/// Different ones in a row.
const CHANGES: u32 = 40;

pub(crate) fn measure(report: &mut dyn FnMut(Row)) {
    let empty = view();
    let mut nothing = Times::default();
    let mut placement = Placement::default();
    for _ in 0..RUNS {
        placement = nothing.measure(|| place(&empty));
    }
    report(Row {
        what: format!(
            "{} instances placed on {NODES} nodes, from nothing",
            placement.assignments().count()
        ),
        figure: nothing.in_milliseconds(),
        aim: "< 100 ms",
    });

    let mut held = empty;
    carry_out(&mut held, &placement);
    let mut rest = Times::default();
    for _ in 0..RUNS {
        rest.measure(|| place(&held));
    }
    report(Row {
        what: "– again from nothing, with all of it held".to_owned(),
        figure: rest.in_milliseconds(),
        aim: "",
    });
    let held = Arc::new(held);
    report(Row {
        what: "– one node of them dies, or is back".to_owned(),
        figure: follow(&held, without),
        aim: "< 1 ms",
    });
    report(Row {
        what: "– one node joins, or leaves again".to_owned(),
        figure: follow(&held, joined),
        aim: "< 0.1 ms",
    });
    report(Row {
        what: "– one instance turns unhealthy, or healthy again".to_owned(),
        figure: follow(&held, worse),
        aim: "",
    });
    measure_standby(report);
    measure_filters(report);
}

/// The same numbers, with everything that a service can ask of its nodes.
fn measure_filters(report: &mut dyn FnMut(Row)) {
    for (kind, what, aim) in [
        (
            Kind::Filtered,
            "with every filter but services'",
            "< 100 ms",
        ),
        (
            Kind::Entangled,
            "with those, and a tenth shun another service",
            "",
        ),
    ] {
        let empty = filtered::view(kind);
        let mut nothing = Times::default();
        let mut placement = Placement::default();
        for _ in 0..RUNS {
            placement = nothing.measure(|| place(&empty));
        }
        let placed = placement
            .assignments()
            .filter(|(.., it)| it.holder.is_some())
            .count();
        report(Row {
            what: format!("{placed} instances placed on {NODES} nodes, from nothing, {what}"),
            figure: nothing.in_milliseconds(),
            aim,
        });
        let mut held = empty;
        carry_out(&mut held, &placement);
        report(Row {
            what: "– one node of them dies, or is back".to_owned(),
            figure: follow(&Arc::new(held), without),
            aim: "< 1 ms",
        });
    }
}

/// How long it takes to follow a change, and the next one.
fn follow(held: &Arc<View>, changed: fn(&View, u32) -> View) -> String {
    let mut incremental = Incremental::default();
    incremental.update(held);
    let numbers = (0..CHANGES).map(|number| 17 * number);
    let views: Vec<Arc<View>> = numbers
        .map(|number| Arc::new(changed(held, number)))
        .collect();
    incremental.update(&views[0]);
    assert_eq!(*incremental.placement(), place(&views[0]));
    let mut times = Times::default();
    for _ in 0..RUNS {
        times.measure_many(2 * CHANGES, || {
            for view in &views {
                incremental.update(held);
                incremental.update(view);
            }
        });
    }
    times.in_milliseconds()
}

/// One of the looks that each node takes at who comes next: at 64 of 1,000 services. One node has nothing and is a
/// candidate of all, so that it has to look at all others for each.
fn measure_standby(report: &mut dyn FnMut(Row)) {
    let mut view = view_of(1_000, INSTANCES / 10);
    let placement = place(&view);
    carry_out(&mut view, &placement);
    let mut documents = Documents::clone(&view.documents);
    add_node(&mut documents, &mut view, NODES + 1);
    view.documents = Arc::new(documents);
    let mut incremental = Incremental::default();
    incremental.update(&Arc::new(view));
    for (who, numbers) in [
        ("a node like all", 1..=20),
        ("an empty node", NODES + 1..=NODES + 1),
    ] {
        let mut times = Times::default();
        for number in numbers {
            times.measure_many(16, || look_through(&incremental, id(number)));
        }
        report(Row {
            what: format!("– 64 of 1,000 services looked at by {who}, for standby images"),
            figure: times.in_milliseconds(),
            aim: "< 5 ms",
        });
    }
}

fn look_through(incremental: &Incremental, node: NodeId) {
    let mut after = None;
    loop {
        let slice = incremental.candidacies(&node, after.as_ref(), 64);
        let Some((last, _)) = slice.last() else {
            return;
        };
        after = Some(last.clone());
    }
}

fn without(view: &View, number: u32) -> View {
    let mut view = view.clone();
    let node = id(number % NODES + 1);
    let standing = view.standings.get_mut(&node).expect("every node has one");
    standing.freshness = Freshness::Absent;
    view
}

/// A grid that runs all that it wants, each instance at an address of its own.
pub(crate) fn held() -> View {
    let mut view = view();
    let placement = place(&view);
    carry_out(&mut view, &placement);
    Arc::make_mut(&mut view.documents).grid.name = Some("demo".parse().expect("a label"));
    view
}

fn joined(view: &View, number: u32) -> View {
    let mut view = view.clone();
    let mut documents = Documents::clone(&view.documents);
    add_node(&mut documents, &mut view, NODES + 1 + number);
    view.documents = Arc::new(documents);
    view
}

fn worse(view: &View, number: u32) -> View {
    let mut view = view.clone();
    let report = view.reports.get_mut(&id(number % NODES + 1));
    let report = Arc::make_mut(report.expect("every node has one"));
    if let Some(hold) = report.holds.values_mut().next() {
        hold.health = Health::Unhealthy;
    }
    view
}

fn id(number: u32) -> NodeId {
    let mut key = [0; 32];
    // Spread, so that neighbours in the roster are not neighbours in order.
    key[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    key[4..8].copy_from_slice(&number.to_be_bytes());
    NodeId(key)
}

pub(crate) fn view() -> View {
    view_of(SERVICES, INSTANCES)
}

fn view_of(services: usize, instances: u32) -> View {
    let mut documents = Documents::default();
    documents.grid.placement_version = PLACEMENT_VERSION;
    let mut view = View::default();
    for number in 1..=NODES {
        add_node(&mut documents, &mut view, number);
    }
    documents.services = (0..services)
        .map(|number| (service_key(number), record(instances)))
        .collect();
    view.documents = Arc::new(documents);
    view
}

fn add_node(documents: &mut Documents, view: &mut View, number: u32) {
    let node = id(number);
    documents.roster.insert(node, member(node, number));
    view.reports.insert(node, Arc::new(empty_report(node)));
    let standing = Standing {
        freshness: Freshness::Fresh,
        since: WallTime(0),
    };
    view.standings.insert(node, standing);
}

fn member(node: NodeId, number: u32) -> Member {
    Member {
        name: format!("n{number}").parse().expect("a label"),
        sponsor: node,
        joined: WallTime(0),
        labels: vec![format!("az={}", number % 3)],
        availability: Availability::Active,
        number,
        addresses: Vec::new(),
        subnet: None,
    }
}

fn empty_report(node: NodeId) -> Report {
    Report {
        placement_version: PLACEMENT_VERSION,
        engine: Engine {
            state: EngineState::Working,
            ..Engine::default()
        },
        ..Report::empty(node, ReportOrder::default())
    }
}

fn record(instances: u32) -> ServiceRecord {
    let service = Service::new("web:1");
    let revision = Revision {
        hash: service.hash(),
        number: 1,
        service: Ok(Arc::new(service)),
        image: None,
    };
    ServiceRecord {
        creation: EnvelopeHash([0; 32]),
        born: 0,
        latest: revision.clone(),
        deployed: Some(Deployed::new(revision, 1, WallTime(0))),
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

/// What placement says is what every node holds.
pub(crate) fn carry_out(view: &mut View, placement: &Placement) {
    let first = u32::from(Ipv4Addr::new(10, 80, 0, 2));
    for (address, (key, number, assignment)) in (first..).zip(placement.assignments()) {
        let Some(report) = assignment
            .holder
            .and_then(|node| view.reports.get_mut(&node))
        else {
            continue;
        };
        let hold = Hold {
            epoch: assignment.epoch,
            revision: view.documents.services[key].latest.hash,
            generation: 1,
            state: InstanceState::Running,
            health: Health::Healthy,
            updating: false,
            on_trial: false,
            former: false,
            container: None,
            address: Some(Ipv4Addr::from_bits(address).into()),
            image: None,
            since: WallTime(0),
            age: 0,
            problem: None,
            hooks_ran: Default::default(),
            restarts: 0,
            exit_code: None,
        };
        let instance = InstanceId::new(key.clone(), number);
        Arc::make_mut(report).holds.insert(instance, hold);
    }
}
