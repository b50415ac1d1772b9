//! Placement, by property.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::language::{empty_report, key, node_id, parse, right_hold};
use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::placement::front::Front;
use crate::placement::survey::Survey;
use crate::placement::wanted::Wanted;
use crate::placement::{
    Assignment, Candidacy, Incremental, Placement, Reason, Verdict, Wait, explain, filter,
    in_order, place, place_service, readable, standbys,
};
use crate::stack;
use crate::view::{Freshness, Standing, View};

const NODES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn node() -> impl Strategy<Value = String> {
    let state = select(vec![
        "fresh", "fresh", "fresh", "late", "stale", "absent", "gone",
    ]);
    let extra = select(vec![
        "az=1",
        "az=2",
        "az=2",
        "ssd",
        "drain",
        "engine",
        "starting",
        "troubled",
        "unreported",
        "misses=a",
        "misses=b,misses=c",
        "cores=1",
        "machine=x86_64",
        "machine=aarch64",
        "bytes=100",
        "bytes=60,az=1",
        "image=web",
        "image=app,image=web",
        "image=app,az=2",
        "no-standby",
        "away=30",
        "dead",
    ]);
    (state, extra).prop_map(|(state, extra)| format!("{state},{extra}"))
}

fn service(name: &'static str) -> impl Strategy<Value = String> {
    let kind = select(vec!["ha", "ha", "ha", "random", "daemon", "stateful"]);
    let rule = select(vec![
        "",
        "",
        "",
        "label==az=1",
        "label!=az=2",
        "label==~ssd",
        "service!=app",
        "service==~web",
        "node!=/[ab]/",
        "port=80",
        "cpus=1.5",
        "for=amd64",
        "for=arm64,arm/v7",
        "memory=30",
        "memory=30",
        "memory=50",
        "most=1",
        "most=2",
        "spread=ssd,az",
        "after=60",
        "takeover=always",
        "takeover=never after=10",
        "return=keep_replacement",
        "return=longest_running",
        "standbys=1",
        "standbys=0",
        "rebalance",
        "rebalance label==~ssd",
        "rebalance most=2 spread=ssd",
        "from=app-%s",
        "from=web-%s",
        "from=web-1 port=80",
        "from=db-2,app-1",
    ]);
    let place = (
        1..5_u32,
        select(&NODES[..]),
        1..4_u32,
        any::<bool>(),
        any::<bool>(),
    );
    let holds = prop::collection::vec(place, 0..6);
    (kind, rule, 0..5_u32, holds).prop_map(move |(kind, rule, instances, holds)| {
        let mut line = format!("{name} x{instances} {kind} {rule}");
        for (number, node, epoch, pending, pinned) in holds {
            let state = if pending { ",pending" } else { "" };
            write!(line, " {name}.{number}@{node}(epoch={epoch}{state})").unwrap();
            if pinned {
                write!(line, " {name}.{number}->{node}").unwrap();
            }
        }
        line
    })
}

fn any_text() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    let nodes = prop::collection::vec(node(), 1..=NODES.len());
    let services = (service("app"), service("db"), service("web"));
    (nodes, services).prop_map(|(nodes, (app, db, web))| {
        let nodes = NODES.iter().zip(nodes).zip(1..);
        let nodes = nodes.map(|((name, attributes), number)| {
            format!("nodes {name}({attributes},number={number})")
        });
        (nodes.collect(), vec![app, db, web])
    })
}

fn any_view() -> impl Strategy<Value = View> {
    any_text().prop_map(|(nodes, services)| parse(&[nodes, services].concat().join("\n")))
}

/// A grid that is at rest: all nodes fresh, everything held where it was placed.
fn settled(instances: u32, strategy: &str, nodes: usize) -> View {
    let nodes = NODES[..nodes].join(" ");
    let mut view = parse(&format!(
        "nodes {nodes}
         app x{instances} {strategy}
         web x3 port=80
         zoo x2 service!=app"
    ));
    carry_out(&mut view);
    view
}

/// What placement says is what every node holds from now on.
fn carry_out(view: &mut View) {
    let placement = place(view);
    for report in view.reports.values_mut() {
        Arc::make_mut(report).holds.clear();
    }
    for (key, number, assignment) in placement.assignments() {
        if let Some(report) = assignment.holder.and_then(|id| view.reports.get_mut(&id)) {
            let wanted = view.documents.services[key].latest.hash;
            let hold = right_hold(wanted, assignment.epoch);
            let instance = InstanceId::new(key.clone(), number);
            Arc::make_mut(report).holds.insert(instance, hold);
        }
    }
}

/// The newer view, with the reports of the older one where the text says nothing else.
fn changed(old: &View, new: &View) -> View {
    let mut view = new.clone();
    for (node, report) in &mut view.reports {
        if let Some(before) = old.reports.get(node).filter(|_| report.holds.is_empty()) {
            Arc::make_mut(report).holds.clone_from(&before.holds);
        }
        if let Some(before) = old.reports.get(node).filter(|before| *before == report) {
            *report = Arc::clone(before);
        }
    }
    view
}

fn holders(placement: &Placement) -> Vec<(InstanceId, Option<NodeId>)> {
    let all = placement.assignments();
    all.map(|(key, number, it)| (InstanceId::new(key.clone(), number), it.holder))
        .collect()
}

fn set_freshness(view: &mut View, node: NodeId, freshness: Freshness) {
    view.standings.get_mut(&node).unwrap().freshness = freshness;
}

/// Who stands by for what, as each node finds out by itself, two services at a time.
fn standbys_asked(incremental: &Incremental, view: &View) -> BTreeSet<(ServiceKey, NodeId)> {
    let mut found = BTreeSet::new();
    for node in view.documents.roster.keys() {
        let mut after = None;
        loop {
            let slice = incremental.candidacies(node, after.as_ref(), 2);
            let Some((last, _)) = slice.last() else { break };
            after = Some(last.clone());
            let is_one = |candidacy: &Candidacy| matches!(candidacy, Candidacy::StandsBy(_));
            let ones = slice.into_iter().filter(|(_, candidacy)| is_one(candidacy));
            found.extend(ones.map(|(key, _)| (key, *node)));
        }
    }
    found
}

fn standbys_found(view: &View) -> BTreeSet<(ServiceKey, NodeId)> {
    let services = view.documents.services.keys();
    let found = services.flat_map(|key| {
        let nodes = standbys(view, key).into_iter();
        nodes.map(|node| (key.clone(), node))
    });
    found.collect()
}

/// Whether zones, and the nodes of each, have as many instances as each other, or one more.
fn is_even(view: &View, placement: &Placement) -> bool {
    let mut zones: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (node, member) in &view.documents.roster {
        let count = placement.of_node(*node).count();
        zones.entry(member.zone()).or_default().push(count);
    }
    let within_one = |counts: &[usize]| {
        let (least, most) = (counts.iter().min(), counts.iter().max());
        most.zip(least)
            .is_none_or(|(most, least)| most - least <= 1)
    };
    let sums: Vec<usize> = zones.values().map(|counts| counts.iter().sum()).collect();
    within_one(&sums) && zones.values().all(|counts| within_one(counts))
}

/// One line of a view, written anew, or everything carried out as it was placed.
#[derive(Clone, Debug)]
enum Step {
    Node(usize, String),
    Service(usize, String),
    Default(&'static str),
    CarryOut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..NODES.len(), node()).prop_map(|(at, attributes)| Step::Node(at, attributes)),
        1 => service("app").prop_map(|line| Step::Service(0, line)),
        1 => service("db").prop_map(|line| Step::Service(1, line)),
        1 => service("web").prop_map(|line| Step::Service(2, line)),
        1 => (0..3_usize).prop_map(|at| Step::Service(at, String::new())),
        1 => select(vec!["", "label==~ssd", "label!=az=1", "service!=web"]).prop_map(Step::Default),
        2 => Just(Step::CarryOut),
    ]
}

proptest! {
    #[test]
    fn the_front_answers_what_a_look_at_all_candidates_answers(view in any_view(), numbers in 1..12_u32) {
        let mut survey = Survey::of(&view);
        for (key, record) in &view.documents.services {
            let Ok(service) = readable(&view, record) else { continue };
            let wanted = Wanted::deployed(&view, key, service, record);
            survey.begin(key, service);
            let mut front = Front::of(&wanted);
            for number in 1..=numbers {
                let best = wanted.best(&survey, number);
                prop_assert_eq!(front.best(&survey, &wanted, number), best);
                if let Some(node) = best {
                    survey.assign(key, service, number, node);
                }
            }
        }
    }

    #[test]
    fn what_is_placed_after_a_change_is_what_is_placed_from_nothing(
        (mut nodes, mut services) in any_text(), steps in prop::collection::vec(step(), 1..12),
    ) {
        let mut incremental = Incremental::default();
        let mut default = String::new();
        let mut view = parse(&[nodes.clone(), services.clone()].concat().join("\n"));
        for step in steps {
            incremental.update(&Arc::new(view.clone()));
            prop_assert_eq!(incremental.placement(), &place(&view));
            prop_assert_eq!(standbys_asked(&incremental, &view), standbys_found(&view));
            let carried_out = matches!(step, Step::CarryOut);
            match step {
                Step::CarryOut => carry_out(&mut view),
                Step::Node(at, attributes) => {
                    nodes.resize(nodes.len().max(at + 1), String::new());
                    nodes[at] = format!("nodes {}({attributes},number={})", NODES[at], at + 1);
                }
                Step::Service(at, line) => services[at] = line,
                Step::Default(affinity) => default = format!("default {affinity}"),
            }
            if !carried_out {
                let lines = [nodes.clone(), services.clone(), vec![default.clone()]];
                view = changed(&view, &parse(&lines.concat().join("\n")));
            }
        }
    }

    #[test]
    fn equal_views_give_equal_answers_in_whatever_order_they_were_learnt(
        (nodes, services) in any_text(),
    ) {
        let forward = parse(&[nodes.clone(), services.clone()].concat().join("\n"));
        let backward: Vec<String> = nodes.into_iter().rev().chain(services.into_iter().rev()).collect();
        let backward = parse(&backward.join("\n"));
        prop_assert_eq!(&forward, &backward);
        prop_assert_eq!(place(&forward), place(&backward));
    }

    #[test]
    fn nobody_is_given_or_keeps_what_does_not_fit(view in any_view()) {
        let mut survey = Survey::of(&view);
        let mut wrong = Vec::new();
        for (key, record) in in_order(&view) {
            place_service(&mut survey, key, record, &mut |survey, wanted, number, decided| {
                let holder = decided.holder.and_then(|id| survey.index(&id)).unwrap_or(usize::MAX);
                let rejection = match decided.reason {
                    Reason::New | Reason::TakenOver { .. } | Reason::Moved { .. } => {
                        filter::candidate(survey, wanted, holder, number)
                    }
                    Reason::Kept | Reason::HolderStale | Reason::Rebalanced { .. } if !wanted.service.stateful => {
                        filter::keeper(survey, wanted, holder, number)
                    }
                    Reason::Kept | Reason::HolderStale | Reason::Rebalanced { .. } | Reason::Pinned | Reason::Daemon
                    | Reason::Waits(_) => None,
                };
                wrong.extend(rejection.map(|why| format!("{key}.{number} {why}")));
            });
        }
        prop_assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn every_no_node_fits_is_true(view in any_view()) {
        for (key, number, assignment) in place(&view).assignments() {
            let explanation = explain(&view, key, Some(number));
            let rows = &explanation.instances[0].nodes;
            let eligible = rows.iter().filter(|row| matches!(row.verdict, Verdict::Eligible { .. }));
            if assignment.reason == Reason::Waits(Wait::NoNodeFits) {
                prop_assert_eq!(eligible.count(), 0);
            }
            let chosen = rows.iter().filter(|row| matches!(row.verdict, Verdict::Chosen { .. }));
            prop_assert_eq!(chosen.count(), usize::from(assignment.holder.is_some()));
        }
    }

    #[test]
    fn a_stateful_instance_has_no_holder_but_its_pin_or_whoever_holds_it(view in any_view()) {
        for (key, number, assignment) in place(&view).assignments() {
            let record = &view.documents.services[key];
            let service = record.latest.service.as_ref().unwrap();
            if !service.stateful || service.deploy.strategy == stack::Strategy::Daemon {
                continue;
            }
            let Some(holder) = assignment.holder else { continue };
            let holds = |node: &NodeId| view.reports.get(node).is_some_and(|report| {
                report.holds.contains_key(&InstanceId::new(key.clone(), number))
            });
            match record.pins.get(&number) {
                Some(pin) => prop_assert_eq!(pin.node, holder),
                None => prop_assert!(holds(&holder)),
            }
        }
    }

    #[test]
    fn nobody_holds_two_roles_and_nobody_that_is_away_loses(view in any_view()) {
        for (_, _, Assignment { holder, leaving, rivals, .. }) in place(&view).assignments() {
            let all: Vec<_> = holder.iter().chain(leaving).chain(rivals).collect();
            let distinct: BTreeSet<_> = all.iter().collect();
            prop_assert_eq!(all.len(), distinct.len());
            for loser in leaving.iter().chain(rivals) {
                prop_assert!(view.freshness(loser) < Freshness::Absent);
            }
        }
    }

    #[test]
    fn what_is_at_rest_stays_at_rest(
        instances in 0..12_u32, nodes in 1..=6_usize, strategy in select(vec!["ha", "random"]),
    ) {
        let mut view = settled(instances, strategy, nodes);
        let before = holders(&place(&view));
        carry_out(&mut view);
        prop_assert_eq!(holders(&place(&view)), before);
    }

    #[test]
    fn rebalancing_ends_with_an_even_spread_and_moves_one_at_a_time(
        held in prop::collection::vec(select(&NODES[..]), 1..12),
        zones in prop::collection::vec(select(vec!["az=1", "az=2", "az=3"]), NODES.len()),
    ) {
        let nodes = NODES.iter().zip(zones).map(|(name, zone)| format!("nodes {name}({zone})\n"));
        let holds = (1..).zip(&held).map(|(number, node)| format!(" web.{number}@{node}"));
        let holds: String = holds.collect();
        let nodes: String = nodes.collect();
        let mut view = parse(&format!("{nodes}web x{} rebalance{holds}", held.len()));
        for _ in 0..=held.len() {
            let placement = place(&view);
            let moves = placement.assignments().filter(|(_, _, it)| it.leaving.is_some());
            match moves.count() {
                0 => {
                    prop_assert!(is_even(&view, &placement));
                    return Ok(());
                }
                count => prop_assert_eq!(count, 1),
            }
            carry_out(&mut view);
        }
        prop_assert!(false, "it does not end");
    }

    #[test]
    fn a_node_that_joins_moves_nothing(
        instances in 0..12_u32, nodes in 1..=6_usize, strategy in select(vec!["ha", "random"]),
    ) {
        let mut view = settled(instances, strategy, nodes);
        let before = place(&view);
        let newcomer = node_id("new");
        let mut member = view.documents.roster[&node_id("a")].clone();
        member.name = "new".parse().unwrap();
        member.number = 7;
        Arc::make_mut(&mut view.documents).roster.insert(newcomer, member);
        let since = view.standings[&node_id("a")].since;
        view.standings.insert(newcomer, Standing { freshness: Freshness::Fresh, since });
        view.reports.insert(newcomer, Arc::new(empty_report(newcomer)));
        let after = place(&view);
        for (instance, holder) in holders(&before) {
            if holder.is_some() {
                prop_assert_eq!(after.get(&instance).unwrap().holder, holder);
            }
        }
    }

    #[test]
    fn losing_a_node_moves_only_what_it_ran(
        instances in 0..12_u32, nodes in 2..=6_usize, pick in any::<Index>(),
        away in select(vec![Freshness::Absent, Freshness::Gone]),
    ) {
        let mut view = settled(instances, "ha", nodes);
        let lost = node_id(pick.get::<&str>(&NODES[..nodes]));
        let before = place(&view);
        set_freshness(&mut view, lost, away);
        let after = place(&view);
        // `zoo` shuns `app`, so what the lost node ran may drive it out where it is taken over.
        let all = holders(&before).into_iter();
        for (instance, holder) in all.filter(|(instance, _)| instance.service != key("zoo")) {
            if holder != Some(lost) {
                prop_assert_eq!(after.get(&instance).unwrap().holder, holder);
            } else if instance.service == key("app") {
                prop_assert_ne!(after.get(&instance).unwrap().holder, Some(lost));
            }
        }
    }

    #[test]
    fn a_takeover_does_not_change_its_mind_as_it_is_carried_out(
        instances in 0..12_u32, nodes in 2..=6_usize, pick in any::<Index>(), first in any::<Index>(),
    ) {
        let mut view = settled(instances, "ha", nodes);
        let lost = node_id(pick.get::<&str>(&NODES[..nodes]));
        set_freshness(&mut view, lost, Freshness::Absent);
        let meant = place(&view);
        let taker = node_id(first.get::<&str>(&NODES[..nodes]));
        for (instance, assignment) in meant.of_node(taker).filter(|_| taker != lost) {
            let wanted = view.documents.services[&instance.service].latest.hash;
            let report = Arc::make_mut(view.reports.get_mut(&taker).unwrap());
            report.holds.insert(instance, right_hold(wanted, assignment.epoch));
        }
        prop_assert_eq!(holders(&place(&view)), holders(&meant));
    }
}
