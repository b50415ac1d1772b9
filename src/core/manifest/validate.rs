//! What the services of a stack must be to each other.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::{Position, Report};
use super::service::Draft;
use super::suggestion::nearest;
use crate::id::{ServiceName, StackName};
use crate::stack::{Link, ServiceField};

/// Linux's limit for a host name, and so for `SERVICE-N.STACK.GRID.kontena.local`.
const MAX_HOST_NAME: usize = 64;

/// Checks links and names. `installed` is the name of the stack, if it is known.
pub(super) fn check(
    services: &BTreeMap<ServiceName, Draft>,
    installed: Option<&StackName>,
    grid: &str,
    report: &mut Report,
) {
    let links = links_within(services, installed);
    for (name, draft) in services {
        for (target, at) in &links[name] {
            check_target(name, target, *at, services, report);
        }
        if let Some(stack) = installed {
            check_host_name(name, draft, stack, grid, report);
        }
    }
    report_circles(links, report);
}

type Links<'a> = BTreeMap<&'a ServiceName, Vec<(&'a ServiceName, Position)>>;

fn links_within<'a>(
    services: &'a BTreeMap<ServiceName, Draft>,
    installed: Option<&StackName>,
) -> Links<'a> {
    let is_within = |link: &Link| link.stack.is_none() || link.stack.as_ref() == installed;
    let targets = services.iter().map(|(name, draft)| {
        let links = draft.declared.service.links.iter().enumerate();
        let links = links.filter(|(_, link)| is_within(link));
        let targets = links.map(|(index, link)| {
            let at = draft.places.get(ServiceField::Links, index);
            (&link.service, at.unwrap_or(draft.at))
        });
        (name, targets.collect())
    });
    targets.collect()
}

fn check_target(
    name: &ServiceName,
    target: &ServiceName,
    at: Position,
    services: &BTreeMap<ServiceName, Draft>,
    report: &mut Report,
) {
    if name == target {
        report.error(at, format!("service `{name}` links to itself"));
    } else if !services.contains_key(target) {
        let message =
            format!("service `{name}` needs `{target}`, which this stack does not define");
        let hint = match nearest(target.as_str(), services.keys().map(ServiceName::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "define `{target}` under `services`, or write `STACK/{target}` for a service of another stack"
            ),
        };
        report.error_with_hint(at, message, hint);
    }
}

fn check_host_name(
    name: &ServiceName,
    draft: &Draft,
    stack: &StackName,
    grid: &str,
    report: &mut Report,
) {
    let last = draft.declared.instances.unwrap_or(1).max(1);
    let host_name = format!("{name}-{last}.{stack}.{grid}.kontena.local");
    if host_name.len() > MAX_HOST_NAME {
        let message = format!(
            "the host name `{host_name}` has {} characters, {MAX_HOST_NAME} are possible",
            host_name.len()
        );
        let hint = "shorten the name of the service or of the stack";
        report.error_with_hint(draft.at, message, hint);
    }
}

/// Services that need each other cannot be started one after the other. One problem for each
/// circle, at the link of its first service.
fn report_circles(mut links: Links<'_>, report: &mut Report) {
    for (name, targets) in &mut links {
        targets.retain(|(target, _)| target != name);
    }
    loop {
        drop_free_ends(&mut links);
        let Some(circle) = circle(&links) else { return };
        let path: Vec<String> = circle.iter().map(|(name, _)| format!("`{name}`")).collect();
        let message = format!(
            "services need each other in a circle: {} → {}",
            path.join(" → "),
            path[0]
        );
        report.error_with_hint(circle[0].1, message, "remove one of these links");
        for (name, _) in circle {
            links.remove(name);
        }
    }
}

/// Removes every service that no circle goes through because it leads nowhere.
fn drop_free_ends(links: &mut Links<'_>) {
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

/// The circle that following first links leads into, where every service has one; each with the
/// place of its link, from the first by name.
fn circle<'a>(links: &Links<'a>) -> Option<Vec<(&'a ServiceName, Position)>> {
    let mut name = *links.keys().next()?;
    let mut walked: Vec<(&ServiceName, Position)> = Vec::new();
    loop {
        if let Some(start) = walked.iter().position(|(seen, _)| *seen == name) {
            let mut circle = walked.split_off(start);
            let first = circle.iter().enumerate().min_by_key(|(_, (name, _))| *name);
            let first = first.map_or(0, |(index, _)| index);
            circle.rotate_left(first);
            return Some(circle);
        }
        let (next, at) = links[name][0];
        walked.push((name, at));
        name = next;
    }
}
