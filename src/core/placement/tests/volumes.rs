//! Volumes: an instance goes where its data is, and nowhere where nobody could keep it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::language::{key, node_id, parse};
use crate::id::EnvelopeHash;
use crate::placement::{Incremental, choose_other, choose_pins, place};
use crate::stack::Service;
use crate::time::WallTime;
use crate::view::View;
use crate::volume::{Copy, Definition, Scope, Volume, VolumeName};

const CREATION: EnvelopeHash = EnvelopeHash([5; 32]);

fn data() -> VolumeName {
    "data".parse().unwrap()
}

/// The service `web` mounts `data`.
pub(super) fn mounting(words: &str, definition: Definition) -> View {
    let mut view = parse(words);
    let documents = Arc::make_mut(&mut view.documents);
    let volume = Volume {
        definition,
        creation: CREATION,
        created: WallTime(1),
        removed: false,
    };
    documents.volumes.insert(data(), Arc::new(volume));
    let record = documents.services.get_mut(&key("web")).unwrap();
    let mount = |service: &Arc<Service>| {
        let mut service = Service::clone(service);
        service.volumes = vec!["data:/data".parse().unwrap()];
        Arc::new(service)
    };
    let service = mount(record.latest.service.as_ref().unwrap());
    record.latest.service = Ok(service.clone());
    record.deployed.as_mut().unwrap().revision.service = Ok(service);
    view
}

pub(super) fn has_copy(view: &mut View, node: &str, name: &str) {
    let report = Arc::make_mut(view.reports.get_mut(&node_id(node)).unwrap());
    let copy = Copy::Volume {
        volume: data(),
        creation: CREATION,
    };
    report.volumes.insert(name.to_owned(), copy);
}

fn has_drivers(view: &mut View, node: &str, drivers: &[&str]) {
    let report = Arc::make_mut(view.reports.get_mut(&node_id(node)).unwrap());
    report.engine.volume_drivers = drivers.iter().map(ToString::to_string).collect();
}

fn placed(view: &View) -> BTreeMap<u32, Option<&'static str>> {
    let names = ["a", "b", "c"];
    let name = |id| names.into_iter().find(|name| node_id(name) == id);
    let placement = place(view);
    let assignments = placement.of_service(&key("web")).unwrap();
    assignments
        .iter()
        .map(|(number, assignment)| (*number, assignment.holder.and_then(name)))
        .collect()
}

#[test]
fn an_instance_goes_where_the_copy_of_its_volume_is() {
    let words = "nodes a b c\n web x3";
    let spread = placed(&mounting(words, Definition::local(Scope::Instance)));
    let nodes: BTreeSet<_> = spread.values().collect();
    assert_eq!(nodes.len(), 3, "no copy is anywhere: {spread:?}");
    for node in ["a", "b", "c"] {
        let mut view = mounting(words, Definition::local(Scope::Instance));
        has_copy(&mut view, node, "web.data-2");
        assert_eq!(
            placed(&view)[&2],
            Some(node),
            "though spread says otherwise"
        );
        // Where everybody shares one the copies say nothing of an instance.
        let mut view = mounting(words, Definition::local(Scope::Grid));
        has_copy(&mut view, node, "web.data-2");
        assert_eq!(placed(&view), spread);
    }
    // Who runs stays where it runs.
    let mut view = mounting(
        "nodes a b c\n web x1 web.1@a",
        Definition::local(Scope::Instance),
    );
    has_copy(&mut view, "b", "web.data-1");
    assert_eq!(placed(&view)[&1], Some("a"));
}

#[test]
fn what_is_bound_is_bound_to_where_its_data_is() {
    for node in ["a", "b", "c"] {
        let mut view = mounting(
            "nodes a b c\n web x1 stateful",
            Definition::local(Scope::Instance),
        );
        has_copy(&mut view, node, "web.data-1");
        let record = &view.documents.services[&key("web")];
        let service = record.latest.service.clone().unwrap();
        let pins = choose_pins(&view, &key("web"), &service, None, [1]);
        assert_eq!(pins[&1], node_id(node));
    }
}

#[test]
fn a_node_without_the_driver_of_a_volume_runs_nothing_that_mounts_it() {
    let definition = Definition {
        driver: "rexray".to_owned(),
        ..Definition::local(Scope::Grid)
    };
    let mut view = mounting("nodes a b\n web x1", definition);
    has_drivers(&mut view, "a", &["local"]);
    has_drivers(&mut view, "b", &["local"]);
    assert_eq!(placed(&view)[&1], None);
    // Who has not said which ones it has is let be.
    has_drivers(&mut view, "b", &[]);
    assert_eq!(placed(&view)[&1], Some("b"));
    has_drivers(&mut view, "a", &["local", "rexray"]);
    has_drivers(&mut view, "b", &["local"]);
    assert_eq!(placed(&view)[&1], Some("a"));
}

#[test]
fn a_driver_that_comes_or_a_volume_that_gets_known_is_followed() {
    let definition = Definition {
        driver: "rexray".to_owned(),
        ..Definition::local(Scope::Grid)
    };
    let mut view = mounting("nodes a\n web x1", definition);
    has_drivers(&mut view, "a", &["local"]);
    let mut followed = Incremental::default();
    followed.update(&Arc::new(view.clone()));
    has_drivers(&mut view, "a", &["local", "rexray"]);
    followed.update(&Arc::new(view.clone()));
    assert_eq!(*followed.placement(), place(&view));
    assert_eq!(placed(&view)[&1], Some("a"));
    let documents = Arc::make_mut(&mut view.documents);
    documents.volumes.clear();
    followed.update(&Arc::new(view.clone()));
    assert_eq!(*followed.placement(), place(&view));
}

#[test]
fn what_its_node_refuses_is_bound_to_the_next_best_and_to_nobody_where_all_refuse() {
    let instance = "web-1".parse().unwrap();
    let mut view = parse("nodes a b c\n web x1 stateful web.1->a web.1@a(pending)");
    let mut refusing = vec!["a"];
    loop {
        for node in &refusing {
            let report = Arc::make_mut(view.reports.get_mut(&node_id(node)).unwrap());
            let refusal = "no space left on device".to_owned();
            report.refusals.insert("web-1".parse().unwrap(), refusal);
        }
        let Some(other) = choose_other(&view, &instance, false) else {
            break;
        };
        let names = ["a", "b", "c"];
        let name = names
            .into_iter()
            .find(|name| node_id(name) == other)
            .unwrap();
        assert!(!refusing.contains(&name));
        refusing.push(name);
    }
    assert_eq!(refusing.len(), 3);
}

#[test]
fn by_turns_each_node_comes_after_the_one_before_it() {
    let instance = "web-1".parse().unwrap();
    let mut bound = "a";
    let mut had = Vec::new();
    for _ in 0..6 {
        let mut view = parse(&format!(
            "nodes a b c\n web x1 stateful web.1->{bound} web.1@{bound}(pending)"
        ));
        let report = Arc::make_mut(view.reports.get_mut(&node_id(bound)).unwrap());
        let refusal = "no space left on device".to_owned();
        report.refusals.insert("web-1".parse().unwrap(), refusal);
        let next = choose_other(&view, &instance, true).unwrap();
        let mut names = ["a", "b", "c"].into_iter();
        bound = names
            .find(|name| node_id(name) == next)
            .expect("it is one of them");
        had.push(bound);
    }
    let (first, second) = had.split_at(3);
    assert_eq!(first, second);
    had.sort_unstable();
    assert_eq!(had, ["a", "a", "b", "b", "c", "c"]);
}
