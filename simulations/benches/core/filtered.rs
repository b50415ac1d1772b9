//! The grid of the placement benchmark, where services ask for everything that can be asked of nodes.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use kontena_core::stack::{FrozenImage, Platforms, Port, Protocol, Service, Spread};
use kontena_core::view::{Documents, ServiceRecord, View};

use crate::placing;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Labels, names, ports, cores, memory, processors, a limit for each node, spread.
    Filtered,
    /// And affinities to services.
    Entangled,
}

pub(crate) fn view(kind: Kind) -> View {
    let mut view = placing::view();
    let mut documents = Documents::clone(&view.documents);
    for member in documents.roster.values_mut() {
        let number = member.number;
        member.labels.push(format!("rack={}", number % 20));
        if number.is_multiple_of(2) {
            member.labels.push("ssd".to_owned());
        }
    }
    for (number, report) in view.reports.values_mut().enumerate() {
        let engine = &mut Arc::make_mut(report).engine;
        engine.cpus = 8;
        engine.memory_bytes = 16 << 30;
        engine.architecture = ["x86_64", "aarch64"][number % 2].to_owned();
    }
    let services = std::mem::take(&mut documents.services);
    let keys: Vec<_> = services.keys().cloned().collect();
    let asking = services
        .into_iter()
        .enumerate()
        .map(|(number, (key, record))| {
            let shuns =
                (kind == Kind::Entangled && number % 10 == 1).then(|| keys[number - 1].to_string());
            (key, asking(record, number, shuns))
        });
    documents.services = asking.collect::<BTreeMap<_, _>>();
    view.documents = Arc::new(documents);
    view
}

/// What a service asks for that is given `number`.
fn asking(mut record: ServiceRecord, number: usize, shuns: Option<String>) -> ServiceRecord {
    let mut service = Service::new("web:1");
    let rules = ["label!=retired", "node!=/^x/", "label==~ssd"].map(str::to_owned);
    let shuns = shuns.map(|other| format!("service!={other}"));
    let rules = rules.into_iter().chain(shuns);
    service.affinity = rules
        .map(|rule| rule.parse().expect("an affinity"))
        .collect();
    service.resources.cpus = Some("0.5".parse().expect("cores"));
    service.resources.memory = Some(64 << 20);
    service.deploy.max_per_node = NonZeroU32::new(3);
    let labels = vec![
        "label=az".parse().expect("a key"),
        "label=rack".parse().expect("a key"),
    ];
    service.deploy.spread = Spread::new(labels).expect("two labels");
    if number.is_multiple_of(10) {
        service.ports.push(Port {
            ip: [0, 0, 0, 0].into(),
            node_port: 8_000 + u16::try_from(number).expect("small"),
            container_port: 80,
            protocol: Protocol::Tcp,
        });
    }
    let deployed = record.deployed.as_mut().expect("it is deployed");
    deployed.revision.hash = service.hash();
    deployed.revision.service = Ok(Arc::new(service));
    deployed.revision.image = Some(FrozenImage::Digest {
        digest: "sha256:aa".to_owned(),
        id: None,
        platforms: Platforms::from(vec!["amd64".to_owned(), "arm64".to_owned()]),
        said: true,
    });
    record.latest = deployed.revision.clone();
    record
}
