//! What the services of a stack must be to each other, whoever wrote the stack.

use std::collections::{BTreeMap, BTreeSet};

use super::Declared;
use crate::id::{ServiceName, StackName};

/// One thing wrong between the services of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackFault {
    pub service: ServiceName,
    pub need: Need,
    pub cause: InvalidStack,
}

/// Where a service says that it needs another one: the list, by its name in files and in the API, and the place in
/// it, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    pub list: &'static str,
    pub index: usize,
}

/// Why a stack cannot be run as it is.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidStack {
    #[error("service `{service}` needs `{needs}`, which this stack does not define")]
    UnknownService {
        service: ServiceName,
        needs: ServiceName,
    },
    #[error("service `{0}` links to itself")]
    OwnLink(ServiceName),
    #[error("service `{0}` mounts its own volumes")]
    OwnVolumes(ServiceName),
    #[error("services need each other in a circle: {}", shown_circle(.0))]
    Circle(Vec<ServiceName>),
}

/// What a stack exposes has to be one of its services.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`expose` names service `{0}`, which this stack does not define")]
pub struct UnknownExposed(pub ServiceName);

fn shown_circle(circle: &[ServiceName]) -> String {
    let steps = circle.iter().chain(circle.first());
    let steps: Vec<String> = steps.map(|name| format!("`{name}`")).collect();
    steps.join(" → ")
}

/// What is wrong with the links within a stack, and with whose volumes its services mount: a missing service, or circles,
/// in which no service can be started before the other. Links that name the stack itself have to be
/// [localized](super::Service::localize_links).
pub fn stack_faults(services: &BTreeMap<ServiceName, Declared>) -> Vec<StackFault> {
    let mut links = needs_within(services);
    let mut faults = Vec::new();
    for (service, targets) in &mut links {
        targets.retain(|(target, need)| {
            let cause = if target == service {
                own_need((*service).clone(), *need)
            } else if services.contains_key(target) {
                return true;
            } else {
                InvalidStack::UnknownService {
                    service: (*service).clone(),
                    needs: (*target).clone(),
                }
            };
            faults.push(StackFault {
                service: (*service).clone(),
                need: *need,
                cause,
            });
            false
        });
    }
    add_circles(links, &mut faults);
    faults
}

fn own_need(service: ServiceName, need: Need) -> InvalidStack {
    match need.list {
        VOLUMES_FROM => InvalidStack::OwnVolumes(service),
        _ => InvalidStack::OwnLink(service),
    }
}

const LINKS: &str = "links";
const VOLUMES_FROM: &str = "volumes_from";

/// For each service, the services of this stack that it needs, and where it says so.
type Needs<'a> = BTreeMap<&'a ServiceName, Vec<(&'a ServiceName, Need)>>;

fn needs_within(services: &BTreeMap<ServiceName, Declared>) -> Needs<'_> {
    let needs = services.iter().map(|(name, declared)| {
        let need = |list| move |index| Need { list, index };
        let links = declared.service.links.iter().enumerate();
        let within = links.filter(|(_, link)| link.stack.is_none());
        let linked = within.map(|(index, link)| (&link.service, need(LINKS)(index)));
        let sources = declared.service.volumes_from.iter().enumerate();
        let sources = sources.map(|(index, from)| (&from.service, need(VOLUMES_FROM)(index)));
        (name, linked.chain(sources).collect())
    });
    needs.collect()
}

/// One fault for each circle, where its first service by name needs the next.
fn add_circles(mut links: Needs<'_>, faults: &mut Vec<StackFault>) {
    loop {
        drop_free_ends(&mut links);
        let Some(circle) = circle(&links) else { return };
        let (first, need) = circle[0];
        faults.push(StackFault {
            service: first.clone(),
            need,
            cause: InvalidStack::Circle(circle.iter().map(|(name, _)| (*name).clone()).collect()),
        });
        for (name, _) in circle {
            links.remove(name);
        }
    }
}

/// Removes every service from which no circle can be reached.
fn drop_free_ends(links: &mut Needs<'_>) {
    loop {
        let names: BTreeSet<&ServiceName> = links.keys().copied().collect();
        links.retain(|_, targets| {
            targets.retain(|(target, _)| names.contains(target));
            !targets.is_empty()
        });
        if links.len() == names.len() {
            return;
        }
    }
}

/// The circle that following first links ends in, where every service has one; from the first
/// service by name, each with where it needs the next.
fn circle<'a>(links: &Needs<'a>) -> Option<Vec<(&'a ServiceName, Need)>> {
    let mut name = *links.keys().next()?;
    let mut walked: Vec<(&ServiceName, Need)> = Vec::new();
    loop {
        if let Some(start) = walked.iter().position(|(seen, _)| *seen == name) {
            let mut circle = walked.split_off(start);
            let first = circle.iter().enumerate().min_by_key(|(_, step)| *step);
            let first = first.map_or(0, |(index, _)| index);
            circle.rotate_left(first);
            return Some(circle);
        }
        let (next, need) = links[name][0];
        walked.push((name, need));
        name = next;
    }
}

/// Linux's limit for a host name.
pub const MAX_HOST_NAME: usize = 64;

/// A service whose instances would have host names that Linux refuses.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the host name `{host_name}` has {} characters, {MAX_HOST_NAME} are possible", host_name.len())]
pub struct LongHostName {
    pub host_name: String,
}

/// Checks `SERVICE-INSTANCES.STACK.GRID.kontena.local`, the longest host name of a service.
pub fn check_host_name(
    service: &ServiceName,
    instances: u32,
    stack: &StackName,
    grid: &str,
) -> Result<(), LongHostName> {
    let last = instances.max(1);
    let host_name = format!("{service}-{last}.{stack}.{grid}.kontena.local");
    if host_name.len() > MAX_HOST_NAME {
        return Err(LongHostName { host_name });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stack::Service;

    /// `a>b,c` links a to b and c; `a>c-1` mounts the volumes of c-1.
    fn faults(text: &str) -> Vec<String> {
        let services = text.split(' ').map(|part| {
            let (name, links) = part.split_once('>').unwrap();
            let mut service = Service::new("x:1");
            let needs = links.split(',').filter(|link| !link.is_empty());
            let (from, links): (Vec<&str>, Vec<&str>) = needs.partition(|need| need.contains('-'));
            service.links = links.iter().map(|link| link.parse().unwrap()).collect();
            service.volumes_from = from.iter().map(|from| from.parse().unwrap()).collect();
            let instances = None;
            (name.parse().unwrap(), Declared { service, instances })
        });
        let faults = stack_faults(&services.collect());
        faults
            .iter()
            .map(
                |StackFault {
                     service,
                     need,
                     cause,
                 }| {
                    let list = Some(need.list)
                        .filter(|list| *list != LINKS)
                        .unwrap_or_default();
                    format!("{service}{list}[{}] {cause}", need.index)
                },
            )
            .collect()
    }

    #[test]
    fn links_have_to_lead_to_a_service() {
        assert_eq!(faults("a>b,other/x b>c c>"), Vec::<String>::new());
        assert_eq!(
            faults("a>b,d b>b"),
            [
                "a[1] service `a` needs `d`, which this stack does not define",
                "b[0] service `b` links to itself",
            ]
        );
    }

    #[test]
    fn volumes_are_mounted_from_another_service_and_in_no_circle() {
        assert_eq!(faults("a>b-1 b>c,c-%s c>"), Vec::<String>::new());
        assert_eq!(
            faults("a>a-1 b>d-%s c>e e>c-1"),
            [
                "avolumes_from[0] service `a` mounts its own volumes",
                "bvolumes_from[0] service `b` needs `d`, which this stack does not define",
                "c[0] services need each other in a circle: `c` → `e` → `c`",
            ]
        );
    }

    #[test]
    fn every_circle_is_found_once() {
        assert_eq!(
            faults("a>b b>d,c c>b d> x>y y>z z>x q>x"),
            [
                "b[1] services need each other in a circle: `b` → `c` → `b`",
                "x[0] services need each other in a circle: `x` → `y` → `z` → `x`",
            ]
        );
    }

    proptest! {
        #[test]
        fn links_to_later_services_alone_make_no_circle(links in proptest::collection::vec((0..8_u8, 0..8_u8), 0..20)) {
            let name = |n: u8| char::from(b'a' + n);
            let service = |from: u8| {
                let to: Vec<String> = links.iter()
                    .filter(|(a, b)| *a.min(b) == from && a != b)
                    .map(|(a, b)| name(*a.max(b)).to_string())
                    .collect();
                format!("{}>{}", name(from), to.join(","))
            };
            let all: Vec<String> = (0..8).map(service).collect();
            prop_assert_eq!(faults(&all.join(" ")), Vec::<String>::new());
        }
    }
}
