//! Zones by example, and what holds of any.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{Class, Zone, Zones, zone};
use crate::id::{EnvelopeHash, InstanceId, NodeId, RevisionHash, ServiceKey};
use crate::report::{Health, Hold, InstanceState, Report, ReportOrder};
use crate::stack::{Port, Protocol, Service, Strategy};
use crate::time::WallTime;
use crate::view::{
    Availability, Deployed, Freshness, Lifecycle, Member, Revision, ServiceRecord, StackRecord,
    Standing, View,
};

#[test]
fn a_service_has_kontenas_forms_with_and_without_a_stack() {
    check(
        "node a
         node b
         stack shop
         service shop/web 2
         service cache 1
         hold shop/web-1@a.5 hold shop/web-2@b.6 hold cache-1@b.7",
        expect![[r#"
            a.node.demo.kontena.local      10.80.1.1
            b.node.demo.kontena.local      10.80.2.1
            cache-1.demo.kontena.local     10.80.2.7
            cache-1.kontena.local          10.80.2.7
            cache.demo.kontena.local       10.80.2.7
            cache.kontena.local            10.80.2.7
            web-1.shop.demo.kontena.local  10.80.1.5
            web-2.shop.demo.kontena.local  10.80.2.6
            web.shop.demo.kontena.local    10.80.1.5 10.80.2.6
        "#]],
    );
}

#[test]
fn an_exposed_service_has_the_name_of_its_stack_too() {
    check(
        "node a
         stack shop expose=web
         service shop/web 1
         service shop/db 1
         hold shop/web-1@a.5",
        expect![[r#"
            a.node.demo.kontena.local      10.80.1.1
            db-1.shop.demo.kontena.local  
            db.shop.demo.kontena.local    
            shop-1.demo.kontena.local      10.80.1.5
            shop.demo.kontena.local        10.80.1.5
            web-1.shop.demo.kontena.local  10.80.1.5
            web.shop.demo.kontena.local    10.80.1.5
        "#]],
    );
}

#[test]
fn late_ones_come_last_and_stale_unhealthy_leaving_and_draining_ones_are_gone() {
    check(
        "node a late
         node b
         node c stale
         node d drain
         service web 6
         hold web-1@a.5 hold web-2@b.6 hold web-3@c.7 hold web-4@d.8
         hold web-5@b.9,unhealthy hold web-6@b.10,updating hold web-7@b.11",
        expect![[r#"
            a.node.demo.kontena.local      10.80.1.1(late)
            b.node.demo.kontena.local      10.80.2.1
            c.node.demo.kontena.local      10.80.3.1(lost)
            d.node.demo.kontena.local      10.80.4.1
            web-1.demo.kontena.local       10.80.1.5(late)
            web-1.kontena.local            10.80.1.5(late)
            web-2.demo.kontena.local       10.80.2.6
            web-2.kontena.local            10.80.2.6
            web-3.demo.kontena.local       10.80.3.7(lost)
            web-3.kontena.local            10.80.3.7(lost)
            web-4.demo.kontena.local       10.80.4.8(unready)
            web-4.kontena.local            10.80.4.8(unready)
            web-5.demo.kontena.local       10.80.2.9(unready)
            web-5.kontena.local            10.80.2.9(unready)
            web-6.demo.kontena.local       10.80.2.10(unready)
            web-6.kontena.local            10.80.2.10(unready)
            web-7.demo.kontena.local       10.80.2.11(unready)
            web-7.kontena.local            10.80.2.11(unready)
            web.demo.kontena.local         10.80.2.6 10.80.1.5(late)
            web.kontena.local              10.80.2.6 10.80.1.5(late)
        "#]],
    );
}

#[test]
fn without_a_healthy_one_the_known_ones_are_answered_and_a_name_without_any_exists() {
    check(
        "node a stale
         node b
         service web 2
         service gone 1
         service off 1 stopped
         hold web-1@a.5 hold web-2@b.6,unhealthy hold off-1@b.7",
        expect![[r#"
            a.node.demo.kontena.local      10.80.1.1(lost)
            b.node.demo.kontena.local      10.80.2.1
            gone-1.demo.kontena.local     
            gone-1.kontena.local          
            gone.demo.kontena.local       
            gone.kontena.local            
            off-1.demo.kontena.local       10.80.2.7(unready)
            off-1.kontena.local            10.80.2.7(unready)
            off.demo.kontena.local         10.80.2.7(unready)
            off.kontena.local              10.80.2.7(unready)
            web-1.demo.kontena.local       10.80.1.5(lost)
            web-1.kontena.local            10.80.1.5(lost)
            web-2.demo.kontena.local       10.80.2.6(unready)
            web-2.kontena.local            10.80.2.6(unready)
            web.demo.kontena.local         10.80.2.6(unready) 10.80.1.5(lost)
            web.kontena.local              10.80.2.6(unready) 10.80.1.5(lost)
        "#]],
    );
}

#[test]
fn a_name_that_several_want_belongs_to_what_a_person_called_so() {
    // Who would have it besides: instance 1 of `web`; stack `cache` and its instance; node `web`.
    check(
        "node a
         node web
         stack cache expose=redis
         stack node
         service web 1
         service web-1 1
         service cache 1
         service cache/redis 1
         service node/web 1
         hold web-1@a.5 hold web-1-1@a.6 hold cache-1@a.7 hold cache/redis-1@a.8 hold node/web-1@a.9",
        expect![[r#"
            a.node.demo.kontena.local      10.80.1.1
            cache-1.demo.kontena.local     10.80.1.7
            cache-1.kontena.local          10.80.1.7
            cache.demo.kontena.local       10.80.1.7
            cache.kontena.local            10.80.1.7
            redis-1.cache.demo.kontena.local 10.80.1.8
            redis.cache.demo.kontena.local 10.80.1.8
            web-1-1.demo.kontena.local     10.80.1.6
            web-1-1.kontena.local          10.80.1.6
            web-1.demo.kontena.local       10.80.1.6
            web-1.kontena.local            10.80.1.6
            web-1.node.demo.kontena.local  10.80.1.9
            web.demo.kontena.local         10.80.1.5
            web.kontena.local              10.80.1.5
            web.node.demo.kontena.local    10.80.1.9
        "#]],
    );
}

#[test]
fn a_node_speaks_for_addresses_of_the_supernet_that_are_no_other_nodes_alone() {
    check(
        "node a
         node b
         service web 4
         hold web-1@a=10.80.2.5 hold web-2@a=172.17.0.2 hold web-3@a=10.80.99.5 hold web-4@a=127.0.0.1",
        expect![[r#"
            a.node.demo.kontena.local      10.80.1.1
            b.node.demo.kontena.local      10.80.2.1
            web-1.demo.kontena.local      
            web-1.kontena.local           
            web-2.demo.kontena.local      
            web-2.kontena.local           
            web-3.demo.kontena.local       10.80.99.5
            web-3.kontena.local            10.80.99.5
            web-4.demo.kontena.local      
            web-4.kontena.local           
            web.demo.kontena.local         10.80.99.5
            web.kontena.local              10.80.99.5
        "#]],
    );
}

#[test]
fn what_is_held_of_an_earlier_service_of_the_name_is_not_of_this_one() {
    let mut view = parse("node a\nservice web 1\nhold web-1@a.5");
    let services = &mut Arc::make_mut(&mut view.documents).services;
    let record = services.get_mut(&key("web")).unwrap();
    record.born = 100;
    let deployed = record.deployed.as_mut().unwrap();
    let held = std::mem::replace(&mut deployed.generation, 101);
    let answered = |view: &View| addresses(&zone(view), "web.demo.kontena.local");
    assert_eq!(answered(&view), Vec::<String>::new());

    // Across a split a new life counts its deploys by itself.
    let services = &mut Arc::make_mut(&mut view.documents).services;
    let record = services.get_mut(&key("web")).unwrap();
    record.deployed.as_mut().unwrap().generation = held;
    assert_eq!(answered(&view), ["10.80.1.5"]);
}

#[test]
fn a_daemon_service_has_names_for_what_is_held() {
    let mut view = parse("node a\nservice web 1\nhold web-1@a.5 hold web-100001@a.6");
    let services = &mut Arc::make_mut(&mut view.documents).services;
    let record = services.get_mut(&key("web")).unwrap();
    let mut service = definition_of(record);
    service.deploy.strategy = Strategy::Daemon;
    record.deployed.as_mut().unwrap().revision.service = Ok(service.into());
    let zone = zone(&view);
    let both = ["10.80.1.5", "10.80.1.6"];
    assert_eq!(addresses(&zone, "web.demo.kontena.local"), both);
    assert_eq!(addresses(&zone, "web-100001.demo.kontena.local"), both[1..]);
}

#[test]
fn ports_are_those_of_the_containers() {
    let mut view = parse("node a\nservice web 1");
    let services = &mut Arc::make_mut(&mut view.documents).services;
    let record = services.get_mut(&key("web")).unwrap();
    let mut service = definition_of(record);
    let port = |node_port, container_port, protocol| Port {
        ip: "0.0.0.0".parse().unwrap(),
        node_port,
        container_port,
        protocol,
    };
    service.ports = vec![port(8080, 80, Protocol::Tcp), port(53, 53, Protocol::Udp)];
    service.deploy.wait_for_port = Some(80);
    record.deployed.as_mut().unwrap().revision.service = Ok(service.into());
    let zone = zone(&view);
    let records = &zone.names["web.demo.kontena.local"];
    assert_eq!(*records.ports, [(53, Protocol::Udp), (80, Protocol::Tcp)]);
}

#[test]
fn an_address_is_called_by_its_instance_and_by_the_better_of_two() {
    let zone = zone(&parse(
        "node a
         node b stale
         service web 2
         hold web-1@a.5 hold web-2@b=10.80.50.5 hold web-1@a=10.80.50.5",
    ));
    let name = |address: &str| zone.reverse[&address.parse().unwrap()].to_string();
    assert_eq!(name("10.80.1.1"), "a.node.demo.kontena.local");
    assert_eq!(name("10.80.50.5"), "web-1.demo.kontena.local");
}

#[test]
fn an_instance_number_that_makes_a_label_too_long_has_no_name_of_its_own() {
    let long = "w".repeat(62);
    let zone = zone(&parse(&format!(
        "node a\nservice {long} 1\nhold {long}-1@a.5"
    )));
    assert_eq!(zone.names.len(), 3, "{zone:?}");
    assert_eq!(
        addresses(&zone, &format!("{long}.demo.kontena.local")),
        ["10.80.1.5"]
    );
}

#[test]
fn a_zone_is_built_when_something_changed_that_it_is_made_of() {
    let mut view = parse("node a\nservice web 1\nhold web-1@a.5");
    let mut zones = Zones::default();
    assert!(zones.follow(&view).is_some());
    assert!(zones.follow(&view).is_none());
    // Another report that says the same of its instances.
    let node = node_id("a");
    let mut report = (*view.reports[&node]).clone();
    report.order.sequence += 1;
    view.reports.insert(node, Arc::new(report.clone()));
    assert!(zones.follow(&view).is_none());
    report
        .holds
        .values_mut()
        .for_each(|hold| hold.health = Health::Unhealthy);
    view.reports.insert(node, Arc::new(report));
    assert!(zones.follow(&view).is_some());
    view.standings.get_mut(&node).unwrap().freshness = Freshness::Absent;
    assert!(zones.follow(&view).is_some());
    // For names, away is away.
    view.standings.get_mut(&node).unwrap().freshness = Freshness::Gone;
    assert!(zones.follow(&view).is_none());
}

#[test]
fn before_there_is_a_grid_there_are_no_names() {
    assert_eq!(zone(&View::default()), Zone::default());
}

/// Services named so that they get in each other's way.
const SERVICES: [&str; 6] = ["web", "web-1", "shop", "shop/web", "shop/web-1", "node/a"];

prop_compose! {
    fn any_view()(
        nodes in prop::collection::vec((0..5_u8, any::<bool>()), 1..5),
        wanted in prop::collection::vec((0..4_u32, any::<bool>()), SERVICES.len()),
        holds in prop::collection::vec((0..SERVICES.len(), 1..5_u32, 0..4_usize, 2..250_u8, 0..8_u8), 0..24),
        expose in prop::option::of(Just("web")),
    ) -> View {
        let mut text = String::new();
        for (index, (freshness, drains)) in nodes.iter().enumerate() {
            let freshness = ["fresh", "late", "stale", "absent", "gone"][usize::from(*freshness)];
            let drain = if *drains { "drain" } else { "" };
            writeln!(text, "node {} {freshness} {drain}", letter(index)).unwrap();
        }
        let expose = expose.map(|service| format!("expose={service}")).unwrap_or_default();
        writeln!(text, "stack shop {expose}\nstack node").unwrap();
        for (service, (instances, stopped)) in SERVICES.iter().zip(wanted) {
            let stopped = if stopped { "stopped" } else { "" };
            writeln!(text, "service {service} {instances} {stopped}").unwrap();
        }
        for (service, number, node, last, trouble) in holds {
            let node = letter(node % nodes.len());
            let trouble = match trouble { 0 => ",unhealthy", 1 => ",updating", 2 => ",failed", _ => "" };
            writeln!(text, "hold {}-{number}@{node}.{last}{trouble}", SERVICES[service]).unwrap();
        }
        parse(&text)
    }
}

proptest! {
    #[test]
    fn every_healthy_wanted_instance_of_a_fresh_node_is_in_the_name_of_its_service(view in any_view()) {
        let zone = zone(&view);
        for (node, report) in &view.reports {
            let active = view.documents.roster[node].availability == Availability::Active;
            for (instance, hold) in &report.holds {
                let record = &view.documents.services[&instance.service];
                let wanted = record.state == Lifecycle::Running && instance.number <= record.instances;
                let healthy = hold.state == InstanceState::Running && hold.health == Health::Healthy;
                if active && wanted && healthy && !hold.updating && view.is_fresh(node) {
                    let targets = &zone.names[service_name(&instance.service).as_str()].targets;
                    let found = targets.iter().find(|target| Some(target.address) == hold.address);
                    prop_assert_eq!(found.map(|target| target.class), Some(Class::Ready));
                }
            }
        }
    }

    #[test]
    fn nobody_who_is_not_ready_is_named_beside_one_who_is(view in any_view()) {
        for records in zone(&view).names.values() {
            let ready = records.targets.iter().filter(|target| target.class.is_ready()).count();
            prop_assert!(ready == 0 || ready == records.targets.len());
            let classes: Vec<Class> = records.targets.iter().map(|target| target.class).collect();
            prop_assert!(classes.is_sorted());
            let addresses: BTreeSet<_> = records.targets.iter().map(|target| target.address).collect();
            prop_assert_eq!(addresses.len(), records.targets.len());
        }
    }

    #[test]
    fn every_service_has_its_name_whoever_can_be_reached(view in any_view()) {
        let zone = zone(&view);
        for key in view.documents.services.keys() {
            prop_assert!(zone.names.contains_key(service_name(key).as_str()));
        }
    }

    #[test]
    fn names_are_host_names(view in any_view()) {
        for name in zone(&view).names.keys() {
            prop_assert!(name.as_str().len() <= 253);
            for label in name.as_str().split('.') {
                prop_assert!(!label.is_empty() && label.len() <= 63);
                prop_assert_eq!(label, label.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn a_zone_that_follows_is_the_zone_of_the_view(first in any_view(), second in any_view()) {
        let mut zones = Zones::default();
        let before = zones.follow(&first).unwrap();
        prop_assert_eq!(&*before, &zone(&first));
        let after = zones.follow(&second).unwrap_or(before);
        prop_assert_eq!(&*after, &zone(&second));
    }
}

fn letter(index: usize) -> char {
    ['a', 'b', 'c', 'd', 'e'][index]
}

/// The form that a service has in any case.
fn service_name(key: &ServiceKey) -> String {
    if key.stack.is_null() {
        format!("{}.demo.kontena.local", key.service)
    } else {
        format!("{}.{}.demo.kontena.local", key.service, key.stack)
    }
}

fn addresses(zone: &Zone, name: &str) -> Vec<String> {
    let targets = zone.names[name].targets.iter();
    targets.map(|target| target.address.to_string()).collect()
}

#[track_caller]
fn check(view: &str, expected: Expect) {
    let mut text = String::new();
    for (name, records) in &zone(&parse(view)).names {
        write!(text, "{:<30}", name.as_str()).unwrap();
        for target in records.targets.iter() {
            write!(text, " {}{}", target.address, shown(target.class)).unwrap();
        }
        text.push('\n');
    }
    expected.assert_eq(&text);
}

fn shown(class: Class) -> &'static str {
    match class {
        Class::Ready => "",
        Class::Late => "(late)",
        Class::Unready => "(unready)",
        Class::Lost => "(lost)",
    }
}

fn node_id(name: &str) -> NodeId {
    let mut key = [0; 32];
    key[..name.len()].copy_from_slice(name.as_bytes());
    NodeId(key)
}

fn key(name: &str) -> ServiceKey {
    name.parse().unwrap()
}

/// ```text
/// node NAME [FRESHNESS] [drain]                   the n-th has 10.80.n.0/24
/// stack NAME [expose=SERVICE]
/// service NAME INSTANCES [stopped]
/// hold INSTANCE@NODE.LAST|=ADDRESS[,TROUBLE] …    many to a line
/// ```
fn parse(text: &str) -> View {
    let mut view = View::default();
    Arc::make_mut(&mut view.documents).grid.name = Some("demo".parse().unwrap());
    for line in text.lines().map(str::trim) {
        let (what, rest) = line.split_once(' ').unwrap();
        match what {
            "node" => add_node(&mut view, rest),
            "stack" => add_stack(&mut view, rest),
            "service" => add_service(&mut view, rest),
            _ => rest
                .split("hold ")
                .for_each(|hold| add_hold(&mut view, hold.trim())),
        }
    }
    view
}

fn add_node(view: &mut View, words: &str) {
    let mut words = words.split_whitespace();
    let name = words.next().unwrap();
    let id = node_id(name);
    let documents = Arc::make_mut(&mut view.documents);
    let number = u32::try_from(documents.roster.len()).unwrap() + 1;
    let mut member = Member {
        name: name.parse().unwrap(),
        sponsor: id,
        joined: WallTime(0),
        labels: Vec::new(),
        availability: Availability::Active,
        number,
        addresses: Vec::new(),
        subnet: format!("10.80.{number}.0/24").parse().ok(),
    };
    let mut freshness = Freshness::Fresh;
    for word in words {
        match word {
            "drain" => member.availability = Availability::Drain,
            "late" => freshness = Freshness::Late,
            "stale" => freshness = Freshness::Stale,
            "absent" => freshness = Freshness::Absent,
            "gone" => freshness = Freshness::Gone,
            _ => assert_eq!(word, "fresh"),
        }
    }
    documents.roster.insert(id, member);
    let since = WallTime(0);
    view.standings.insert(id, Standing { freshness, since });
    view.reports
        .insert(id, Arc::new(Report::empty(id, ReportOrder::default())));
}

fn add_stack(view: &mut View, words: &str) {
    let (name, expose) = words.split_once(" expose=").unwrap_or((words.trim(), ""));
    let record = StackRecord {
        stack: name.to_owned(),
        version: "1".to_owned(),
        description: None,
        source: None,
        expose: (!expose.is_empty()).then(|| expose.parse().unwrap()),
        labels: Vec::new(),
        variables: Default::default(),
        metadata: Default::default(),
        parent: None,
        revision: 1,
        services: Vec::new(),
        definitions: Default::default(),
        created: WallTime(0),
        updated: WallTime(0),
        unknown: Default::default(),
    };
    let stacks = &mut Arc::make_mut(&mut view.documents).stacks;
    stacks.insert(name.parse().unwrap(), record);
}

fn add_service(view: &mut View, words: &str) {
    let words: Vec<&str> = words.split_whitespace().collect();
    let service = Service::new("web:1");
    let revision = Revision {
        hash: service.hash(),
        number: 1,
        service: Ok(Arc::new(service)),
        image: None,
    };
    let stopped = words.get(2) == Some(&"stopped");
    let record = ServiceRecord {
        creation: EnvelopeHash([1; 32]),
        born: 1,
        latest: revision.clone(),
        deployed: Some(Deployed::new(revision, 1, WallTime(0))),
        deploys: Arc::default(),
        instances: words[1].parse().unwrap(),
        state: if stopped {
            Lifecycle::Stopped
        } else {
            Lifecycle::Running
        },
        pins: Default::default(),
        moves: Default::default(),
        witnesses: Default::default(),
        created: WallTime(0),
        updated: WallTime(0),
    };
    Arc::make_mut(&mut view.documents)
        .services
        .insert(key(words[0]), record);
}

fn definition_of(record: &ServiceRecord) -> Service {
    let deployed = record.deployed.as_ref().unwrap();
    (**deployed.revision.service.as_ref().unwrap()).clone()
}

fn add_hold(view: &mut View, text: &str) {
    let (place, trouble) = text.split_once(',').unwrap_or((text, ""));
    let (instance, at) = place.split_once('@').unwrap();
    let (node, address) = match at.split_once('=') {
        Some((node, address)) => (node, address.parse().unwrap()),
        None => {
            let (node, last) = at.split_once('.').unwrap();
            let number = view.documents.roster[&node_id(node)].number;
            (node, format!("10.80.{number}.{last}").parse().unwrap())
        }
    };
    let instance: InstanceId = instance.parse().unwrap();
    let hold = Hold {
        epoch: 1,
        revision: RevisionHash([1; 32]),
        generation: 1,
        state: if trouble == "failed" {
            InstanceState::Failed
        } else {
            InstanceState::Running
        },
        health: if trouble == "unhealthy" {
            Health::Unhealthy
        } else {
            Health::Healthy
        },
        updating: trouble == "updating",
        on_trial: false,
        former: false,
        container: None,
        address: Some(address),
        image: None,
        since: WallTime(0),
        age: 0,
        problem: None,
        hooks_ran: Default::default(),
        restarts: 0,
        exit_code: None,
    };
    let report = view.reports.get_mut(&node_id(node)).unwrap();
    Arc::make_mut(report).holds.insert(instance, hold);
}
