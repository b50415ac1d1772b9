//! What an upgrade takes away: the services that the new file has no more. They go when it is deployed.

use std::collections::BTreeSet;

use kontena_core::id::{GridName, StackName};
use kontena_core::manifest::compiled::Compiled;

use super::super::confirm::confirm;
use super::super::failure::Failure;
use super::super::session::Session;
use crate::api::paths;
use crate::api::types::service::Service;
use crate::api::types::stack::Stack;

/// Says which services go, and has it confirmed where data is left behind with one of them.
pub(super) async fn announce(
    session: &Session,
    grid: &GridName,
    compiled: &Compiled,
    force: bool,
) -> Result<(), Failure> {
    let name = &compiled.name;
    let installed: Stack = session.client.get(&paths::stack(grid, name)).await?;
    let kept = compiled.stack.services.keys().map(ToString::to_string);
    let removed = removed(&installed.services, &kept.collect());
    for service in &removed {
        session.output.warn(&warning(name, service));
    }
    if !removed.iter().any(|service| service.definition.stateful) {
        return Ok(());
    }
    let what = "remove stateful services in an upgrade of stack";
    confirm(&session.output, what, name.as_str(), force)
}

fn removed<'s>(installed: &'s [Service], kept: &BTreeSet<String>) -> Vec<&'s Service> {
    let services = installed.iter();
    services
        .filter(|service| !kept.contains(&service.name))
        .collect()
}

fn warning(stack: &StackName, service: &Service) -> String {
    let name = &service.name;
    let said = format!("the file has no service `{name}`: its deploy removes `{stack}/{name}`");
    if !service.definition.stateful {
        return said;
    }
    format!("{said}; its volumes stay on their nodes, and no new service gets them")
}

#[cfg(test)]
mod tests {
    use super::super::super::service::example;
    use super::*;

    #[test]
    fn what_the_file_has_no_more_goes_and_is_named() {
        let mut installed = [example("shop", "web"), example("shop", "db")];
        installed[1].definition.stateful = true;
        let kept = BTreeSet::from(["web".to_owned()]);
        let gone = removed(&installed, &kept);
        let shop = "shop".parse().unwrap();
        let said: Vec<String> = gone.iter().map(|service| warning(&shop, service)).collect();
        assert_eq!(
            said,
            [
                "the file has no service `db`: its deploy removes `shop/db`; its volumes stay on their \
                 nodes, and no new service gets them"
            ]
        );
    }

    #[test]
    fn an_upgrade_that_keeps_all_services_says_nothing() {
        let installed = [example("shop", "web")];
        let kept = BTreeSet::from(["web".to_owned(), "new".to_owned()]);
        assert!(removed(&installed, &kept).is_empty());
    }
}
