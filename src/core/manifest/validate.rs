//! What the services of a stack must be to each other, with the places in the file.

use std::collections::BTreeMap;

use super::problem::{Position, Problem, Report};
use super::service::Places;
use super::suggestion::nearest;
use crate::id::{ServiceName, StackName};
use crate::stack::{
    Declared, InvalidStack, ServiceField, StackFault, check_host_name, stack_faults,
};

/// Where a service and the items of its lists stand.
pub(super) struct ServicePlaces {
    pub(super) at: Position,
    pub(super) places: Places,
}

/// Checks links, and host names if the name of the stack is known.
pub(super) fn check(
    services: &BTreeMap<ServiceName, Declared>,
    places: &BTreeMap<ServiceName, ServicePlaces>,
    installed: Option<&StackName>,
    grid: &str,
    report: &mut Report,
) {
    for fault in stack_faults(services) {
        let place = &places[&fault.service];
        let link = place.places.get(ServiceField::Links, fault.link);
        let hint = hint(&fault, services);
        report.push(Problem::new(link.unwrap_or(place.at), fault.cause, hint));
    }
    let Some(stack) = installed else { return };
    for (name, declared) in services {
        let instances = declared.instances.unwrap_or(1);
        if let Err(problem) = check_host_name(name, instances, stack, grid) {
            let hint = "shorten the name of the service or of the stack";
            report.error_with_hint(places[name].at, problem, hint);
        }
    }
}

fn hint(fault: &StackFault, services: &BTreeMap<ServiceName, Declared>) -> Option<String> {
    match &fault.cause {
        InvalidStack::UnknownService { needs, .. } => {
            let others = services.keys().filter(|name| **name != fault.service);
            Some(
                match nearest(needs.as_str(), others.map(ServiceName::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "define `{needs}` under `services`, or write `STACK/{needs}` for a service of another stack"
                    ),
                },
            )
        }
        InvalidStack::OwnLink(_) => Some("remove this link".to_owned()),
        InvalidStack::Circle(_) => Some("remove one of these links".to_owned()),
    }
}
