//! What Kontena's scheduler did, rule by rule, and what of it holds here: one case for each rule that placement carries out.
//!
//! A case says where each instance is to be, `-` for nowhere. Where the answer is another than Kontena's the rule says so,
//! and `docs/design/placement.md` says why.

use std::sync::Arc;

use super::language::{key, parse};
use crate::id::ServiceKey;
use crate::placement::survey::Survey;
use crate::placement::wanted::Wanted;
use crate::placement::{choose_pins, filter, place};
use crate::stack::{Port, Protocol, Service};
use crate::view::View;

struct Case {
    rule: &'static str,
    view: &'static str,
    placed: &'static str,
}

const fn case(rule: &'static str, view: &'static str, placed: &'static str) -> Case {
    Case { rule, view, placed }
}

const CASES: &[Case] = &[
    // --- affinities ---
    case(
        "`node==`, `node!=` compare names, `label==`, `label!=` complete labels",
        "nodes a(az=1) b(az=11) c(az)
         app x1 node==b
         bin x1 node!=a node!=b
         cat x1 label==az=1
         dog x1 label==az
         eel x1 label!=az=1 label!=az",
        "app.1@b bin.1@c cat.1@a dog.1@c eel.1@b",
    ),
    case(
        "`/text/` is an expression that is not anchored",
        "nodes db-1(az=1a) db-2(az=1b) web-3(az=2)
         app x1 node!=/^db-(2|3)$/ node==/b-1/
         bin x1 label==/2$/",
        "app.1@db-1 bin.1@web-3",
    ),
    case(
        "`%s` is the number of the instance",
        "nodes n-1 n-2 n-3
         app x3 node==n-%s",
        "app.1@n-1 app.2@n-2 app.3@n-3",
    ),
    case(
        "`service==x` means one of the same stack, `stack/x` reaches another",
        "nodes a b
         mail/db x1 mail/db.1@b
         shop/api x1 service==db
         shop/app x1 service==mail/db
         shop/db x1 shop/db.1@a",
        "mail/db.1@b shop/api.1@a shop/app.1@b shop/db.1@a",
    ),
    case(
        "`container==` compares names of containers",
        "nodes a b
         shop/db x1 shop/db.1@b
         shop/web x1 container==shop.db-1",
        "shop/db.1@b shop/web.1@b",
    ),
    case(
        "a list is ANDed; a hard rule that nothing satisfies leaves the instance nowhere",
        "nodes a(ssd) b(ssd,eu) c(eu)
         app x1 label==ssd label==eu
         bin x1 label==ssd label==us",
        "app.1@b bin.1@-",
    ),
    case(
        "`~` is soft: it narrows where it can and is left aside where nothing satisfies it",
        "nodes a(ssd) b
         app x1 label==~ssd
         bin x1 label==~tape node!=a",
        "app.1@a bin.1@b",
    ),
    case(
        "a service without affinities has those of the grid",
        "nodes a(compute) b
         app x1
         default label==compute",
        "app.1@a",
    ),
    case(
        "its own affinities replace those of the grid, and are not added to them",
        "nodes a(compute) b(ssd)
         app x1 label==ssd
         default label==compute",
        "app.1@b",
    ),
    case(
        "dependency: `volumes_from` needs a node with the instance of that name in the same stack",
        "nodes a b c
         shop/backup x2 from=db-%s
         shop/db x2 shop/db.1@c shop/db.2@a
         mail/db x1 mail/db.1@b
         shop/log x1 from=db-2",
        "mail/db.1@b shop/backup.1@c shop/backup.2@a shop/db.1@c shop/db.2@a shop/log.1@a",
    ),
    case(
        "dependency: an instance that is not there leaves the follower nowhere (of several, all must be there: Kontena asked for one)",
        "nodes a b
         shop/app x1 from=db-3
         shop/both x1 from=db-1,db-2
         shop/db x2 shop/db.1@a shop/db.2@b",
        "shop/app.1@- shop/both.1@- shop/db.1@a shop/db.2@b",
    ),
    // --- filters ---
    case(
        "availability: a node that drains takes nothing",
        "nodes a(drain) b
         app x2",
        "app.1@b app.2@b",
    ),
    case(
        "only connected nodes are candidates",
        "nodes a(absent) b c(stale)
         app x2",
        "app.1@b app.2@b",
    ),
    case(
        "port: a host port is taken by its number, so a service that publishes one is one per node",
        "nodes a b
         app x3 port=80 app.1@a app.2@b
         bin x1 port=80
         cat x1 port=81 node==a",
        "app.1@a app.2@b app.3@- bin.1@- cat.1@a",
    ),
    case(
        "cpu: a node has as many cores in all as `cpus`",
        "nodes a(cores=1) b(cores=2)
         app x1 cpus=2
         bin x2 cpus=1.5 node==b",
        "app.1@b bin.1@b bin.2@b",
    ),
    case(
        "memory: a node has what `mem_limit` asks for (otherwise: by what is set aside)",
        "nodes a(bytes=10) b(bytes=100)
         app x2 memory=40
         bin x1 memory=40",
        "app.1@b app.2@b bin.1@-",
    ),
    case(
        "memory: who holds the instance is never rejected",
        "nodes a(bytes=10) b(bytes=100)
         app x1 memory=40 app.1@a",
        "app.1@a",
    ),
    case(
        "memory: what has no `mem_limit` counts for nothing (otherwise: by what it used in the last hour)",
        "nodes a(bytes=10)
         app x2
         bin x1 memory=10",
        "app.1@a app.2@a bin.1@a",
    ),
    case(
        "ephemeral: only data keeps away from such a node",
        "nodes a(ephemeral)
         app x1",
        "app.1@a",
    ),
    case(
        "ephemeral: a stateful daemon too (otherwise: it is on each node that is asked for)",
        "nodes a(ephemeral,number=1)
         app x1 daemon stateful",
        "app.1@a",
    ),
    case(
        "an image runs where it was built for the node's processor",
        "nodes a(machine=aarch64) b(machine=x86_64) c(machine=armv7l) d
         app x1 for=amd64 node!=d
         bin x2 for=arm64,arm/v7 node!=d
         cat x1 for=s390x node!=d
         dog x1 for=s390x",
        "app.1@b bin.1@c bin.2@a cat.1@- dog.1@d",
    ),
    case(
        "a new deploy whose image was not built for a node moves what runs there",
        "nodes a(machine=aarch64) b(machine=x86_64)
         app x1 for=amd64 app.1@a(old)",
        "app.1@b",
    ),
    // --- strategies ---
    case(
        "ha: zones come first, then nodes (a node without `az` is in the zone `default`)",
        "nodes a(az=1) b(az=1) c(az=2)
         app x2 app.1@a
         bin x2 bin.1@c",
        "app.1@a app.2@c bin.1@c bin.2@b",
    ),
    case(
        "ha: among nodes that have as many of the service the less loaded one (otherwise: by instances, not by memory)",
        "nodes a b
         app x2 app.1@a app.2@a
         bin x1",
        "app.1@a app.2@a bin.1@b",
    ),
    case(
        "ha: an instance stays where it is (otherwise: ahead of spread)",
        "nodes a b c
         app x2 app.1@a app.2@a",
        "app.1@a app.2@a",
    ),
    case(
        "daemon: `instances` on each node, and the numbers of those that remain stay",
        "nodes a(number=1) b(number=3)
         app x1 daemon app.1@a app.3@b",
        "app.1@a app.3@b",
    ),
    case(
        "daemon: filtered nodes have none",
        "nodes a b(drain) c(us)
         app x1 daemon label!=us",
        "app.1@a",
    ),
    case(
        "daemon: so have those with too few cores, and those that its image was not built for",
        "nodes a(cores=4,machine=x86_64) b(cores=1,machine=x86_64) c(cores=4,machine=aarch64)
         app x1 daemon cpus=2 for=amd64",
        "app.1@a",
    ),
    case(
        "daemon: what such a node runs already it keeps (otherwise: nobody is taken down for what cannot follow)",
        "nodes a(machine=x86_64,number=1) b(machine=aarch64,number=2)
         app x1 daemon for=amd64 app.1@a app.2@b(old)",
        "app.1@a app.2@-",
    ),
    case(
        "random: an instance keeps its node as long as that fits",
        "nodes a b c(drain)
         app x2 random app.1@a app.2@a",
        "app.1@a app.2@a",
    ),
    case(
        "an instance above the wanted number goes",
        "nodes a b
         app x1 app.1@a app.2@b",
        "app.1@a",
    ),
    // --- stateful ---
    case(
        "stateful: only on its node, whatever strategy and filters say of others",
        "nodes a(absent) b c(us)
         app x1 stateful app.1->a
         bin x1 stateful random label!=us bin.1->c",
        "app.1@a bin.1@c",
    ),
    case(
        "stateful: a node that was removed took the data along (otherwise: a person decides)",
        "nodes a
         app x1 stateful app.1->b",
        "app.1@-",
    ),
    // --- the loop ---
    case(
        "a new node gets what is new (otherwise: what runs is not moved to it)",
        "nodes a b
         app x3 app.1@a app.2@a",
        "app.1@a app.2@a app.3@b",
    ),
    case(
        "instances of a node that is away beyond its grace are placed anew, those of one within it are not",
        "nodes a(absent,x) b(stale,y) c(x,y)
         app x1 label==x app.1@a
         bin x1 label==y bin.1@b",
        "app.1@c bin.1@b",
    ),
    case(
        "instances of a removed node are placed anew without any grace",
        "nodes a
         app x1 app.1@b",
        "app.1@a",
    ),
    // --- nodes ---
    case(
        "drain: stateless instances move, stateful ones stop at once and stay",
        "nodes a(drain) b
         app x1 app.1@a
         bin x1 stateful bin.1@a bin.1->a",
        "app.1@b bin.1@-",
    ),
    case(
        "active again: what stood by runs again",
        "nodes a b
         bin x1 stateful bin.1@a(stopped) bin.1->a",
        "bin.1@a",
    ),
];

/// What new stateful instances are bound to.
const PINS: &[Case] = &[
    case(
        "ephemeral: a node with that label gets no data",
        "nodes a(ephemeral) b(ephemeral=yes) c
         app x2 stateful",
        "app.1@c app.2@c",
    ),
    case(
        "ephemeral: unless the instance lives there already",
        "nodes a(ephemeral) b
         app x1 stateful app.1@a",
        "app.1@a",
    ),
    case(
        "stateful: chosen once by filters and strategy",
        "nodes a(drain) b(us) c
         app x2 stateful label!=us",
        "app.1@c app.2@c",
    ),
];

#[test]
fn every_rule_of_kontenas_scheduler_is_carried_out_as_the_page_on_placement_says() {
    for Case { rule, view, placed } in CASES {
        assert_eq!(holders(&parse(view)), *placed, "{rule}");
    }
}

#[test]
fn data_is_bound_by_the_rules_of_kontenas_scheduler() {
    for Case { rule, view, placed } in PINS {
        let view = parse(view);
        let app = key("app");
        let record = &view.documents.services[&app];
        let service = record.latest.service.as_ref().unwrap();
        let pins = choose_pins(&view, &app, service, None, 1..=record.instances);
        let chosen = pins
            .iter()
            .map(|(number, node)| format!("app.{number}@{}", name(&view, node)));
        assert_eq!(chosen.collect::<Vec<_>>().join(" "), *placed, "{rule}");
    }
}

#[test]
fn a_host_port_is_taken_for_others_whatever_their_address_and_protocol() {
    let mut view = parse(
        "nodes a
         app x1 port=53
         bin x1 port=53
         cat x1 port=53",
    );
    publish(&mut view, "bin", |port| port.protocol = Protocol::Udp);
    publish(&mut view, "cat", |port| port.ip = [127, 0, 0, 1].into());
    assert_eq!(holders(&view), "app.1@a bin.1@- cat.1@-");
}

fn publish(view: &mut View, of: &str, change: impl FnOnce(&mut Port)) {
    let documents = Arc::make_mut(&mut view.documents);
    let record = documents.services.get_mut(&key(of)).unwrap();
    let revision = &mut record.deployed.as_mut().unwrap().revision;
    let mut service = Service::clone(revision.service.as_ref().unwrap());
    change(&mut service.ports[0]);
    revision.service = Ok(Arc::new(service));
}

/// What keeps an instance from a node, in the order in which Kontena's filters come; ours come after them.
const FILTERS: &[(&str, &str)] = &[
    ("drain", "drains: takes no new work"),
    ("ephemeral", "is ephemeral: gets no data"),
    ("us", "needs label!=us"),
    ("taken", "port 80 is taken by web.1"),
    ("cores=1", "needs 2 cores, and has 1"),
    (
        "bytes=10",
        "has 10 B of memory, none of it taken, 40 B are needed",
    ),
    (
        "machine=aarch64",
        "is aarch64, and the image was built for amd64",
    ),
];

#[test]
fn of_several_filters_that_reject_a_node_the_first_in_kontenas_order_is_told() {
    for (at, (_, told)) in FILTERS.iter().enumerate() {
        let broken: Vec<&str> = FILTERS[at..]
            .iter()
            .map(|(attribute, _)| *attribute)
            .collect();
        let holds = if broken.contains(&"taken") {
            "web.1@a"
        } else {
            ""
        };
        let view = parse(&format!(
            "nodes a({})
             app x1 stateful label!=us port=80 cpus=2 memory=40 for=amd64
             web x1 port=80 {holds}",
            broken.join(",")
        ));
        assert_eq!(choice(&view, &key("app")), *told, "{broken:?}");
    }
}

/// Why the only node of a view is not chosen for the first instance.
fn choice(view: &View, of: &ServiceKey) -> String {
    let survey = Survey::of(view);
    let record = &view.documents.services[of];
    let service = record.latest.service.as_ref().unwrap();
    let wanted = Wanted::deployed(view, of, service, record);
    let rejection = filter::candidate(&survey, &wanted, 0, 1);
    rejection
        .map(|rejection| rejection.to_string())
        .unwrap_or_default()
}

#[test]
fn data_is_bound_to_a_node_that_its_image_was_built_for() {
    let view = parse(
        "nodes a(machine=aarch64) b(machine=x86_64)
         app x2 stateful for=amd64",
    );
    let (app, record) = (key("app"), &view.documents.services[&key("app")]);
    let service = record.latest.service.as_ref().unwrap();
    let image = record.deployed.as_ref().unwrap().revision.image.as_ref();
    let pins = choose_pins(&view, &app, service, image, 1..=2);
    let nodes: Vec<String> = pins.values().map(|node| name(&view, node)).collect();
    assert_eq!(nodes, ["b", "b"]);
}

/// `web.1@b web.2@-`, in the order of services and numbers.
fn holders(view: &View) -> String {
    let placement = place(view);
    let all = placement.assignments().map(|(key, number, assignment)| {
        let holder = assignment.holder.as_ref();
        let holder = holder.map_or_else(|| "-".to_owned(), |node| name(view, node));
        format!("{key}.{number}@{holder}")
    });
    all.collect::<Vec<_>>().join(" ")
}

fn name(view: &View, node: &crate::id::NodeId) -> String {
    view.documents.roster[node].name.to_string()
}
