//! What an upgrade or a rollback does, said before it is done; and what lies between two revisions.

use std::fmt::Write;
use std::io::IsTerminal;

use kontena_core::id::{GridName, StackName};
use kontena_core::manifest::compiled::{self, Compiled};
use serde::Serialize;
use serde_json::Value;

use super::super::confirm::confirm;
use super::super::failure::Failure;
use super::super::session::Session;
use super::super::text::printable;
use crate::api::paths;
use crate::api::types::revision::{KeyPlan, Plan, PlannedChange, ServicePlan};
use crate::api::types::stack::Stack;

/// What an upgrade to a file would do now.
pub(super) async fn of_file(
    session: &Session,
    grid: &GridName,
    compiled: &Compiled,
) -> Result<Plan, Failure> {
    let path = format!("{}/plan", paths::stack(grid, &compiled.name));
    let body = compiled::write(compiled);
    Ok(session.client.post(&path, &body).await?)
}

/// What lies between two revisions; what is stored now where one is missing.
pub(super) async fn between(
    session: &Session,
    grid: &GridName,
    name: &StackName,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<Plan, Failure> {
    let sides = [("from", from), ("to", to)].into_iter();
    let query: Vec<String> = sides
        .filter_map(|(side, revision)| Some(format!("{side}={}", revision?)))
        .collect();
    let path = format!("{}/diff?{}", paths::stack(grid, name), query.join("&"));
    Ok(session.client.get(&path).await?)
}

/// What a removal of the whole stack does.
pub(super) fn of_removal(stack: &Stack) -> Plan {
    let services = stack.services.iter();
    Plan {
        from: None,
        to: None,
        services: services
            .map(|service| ServicePlan {
                name: service.name.clone(),
                change: PlannedChange::Remove,
                stateful: service.definition.stateful,
                keys: Vec::new(),
            })
            .collect(),
    }
}

/// A plan of a stack and of those that it brings along. It is its own `--json`.
#[derive(Debug, Serialize)]
pub(super) struct WholePlan {
    #[serde(flatten)]
    own: Plan,
    dependencies: Vec<DependencyPlan>,
}

#[derive(Debug, Serialize)]
struct DependencyPlan {
    /// What it is installed as.
    name: String,
    change: StackChange,
    services: Vec<ServicePlan>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum StackChange {
    Install,
    Upgrade,
    Remove,
}

impl WholePlan {
    pub(super) fn alone(own: Plan) -> Self {
        Self {
            own,
            dependencies: Vec::new(),
        }
    }

    pub(super) fn upgrades(&mut self, name: &StackName, plan: Plan) {
        self.add(name.to_string(), StackChange::Upgrade, plan.services);
    }

    pub(super) fn installs(&mut self, stack: &Compiled) {
        let services = stack.stack.services.iter();
        let services = services.map(|(name, declared)| ServicePlan {
            name: name.to_string(),
            change: PlannedChange::Create,
            stateful: declared.service.stateful,
            keys: Vec::new(),
        });
        let services = services.collect();
        self.add(stack.name.to_string(), StackChange::Install, services);
    }

    pub(super) fn removes(&mut self, stack: &Stack) {
        let plan = of_removal(stack);
        self.add(stack.name.clone(), StackChange::Remove, plan.services);
    }

    fn add(&mut self, name: String, change: StackChange, services: Vec<ServicePlan>) {
        self.dependencies.push(DependencyPlan {
            name,
            change,
            services,
        });
    }

    fn services(&self) -> impl Iterator<Item = &ServicePlan> {
        let below = self.dependencies.iter();
        let below = below.flat_map(|dependency| &dependency.services);
        self.own.services.iter().chain(below)
    }

    fn text(&self) -> String {
        let mut text = text(&self.own);
        for dependency in &self.dependencies {
            let done = match dependency.change {
                StackChange::Install => "installed",
                StackChange::Upgrade => "upgraded",
                StackChange::Remove => "removed",
            };
            let name = printable(&dependency.name);
            writeln!(text, "stack `{name}` is {done}:").expect("a text takes everything");
            text.push_str(&services_text(&dependency.services));
        }
        text
    }
}

pub(super) fn print(session: &Session, plan: &WholePlan) -> Result<(), Failure> {
    session.print_object(plan, || plan.text())
}

/// Says what will be done, and asks: for the stack's name where stateful services go, else for a yes,
/// and that only where there is somebody to ask, because programs upgrade stacks too.
pub(super) fn announce(
    session: &Session,
    name: &StackName,
    plan: &WholePlan,
    force: bool,
) -> Result<(), Failure> {
    session.output.talk(plan.text().trim_end());
    if force || plan.services().next().is_none() {
        return Ok(());
    }
    if plan.services().any(leaves_data_behind) {
        let what = "remove stateful services of stack";
        return confirm(&session.output, what, name.as_str(), force);
    }
    if !std::io::stdin().is_terminal() {
        return Ok(());
    }
    let question = format!("change stack `{name}` like this? (y/n)");
    let answer = session
        .output
        .ask(&question)
        .map_err(|problem| Failure::failed(format!("failed to read the answer: {problem}")))?;
    match answer.as_deref() {
        Some("y" | "Y" | "yes") => Ok(()),
        Some(_) | None => Err(Failure::failed("it was not confirmed: nothing was changed")),
    }
}

fn leaves_data_behind(service: &ServicePlan) -> bool {
    service.stateful && service.change == PlannedChange::Remove
}

pub(super) fn text(plan: &Plan) -> String {
    services_text(&plan.services)
}

fn services_text(services: &[ServicePlan]) -> String {
    if services.is_empty() {
        return "no service changes\n".to_owned();
    }
    let mut text = String::new();
    for service in services {
        let note = note(service);
        let change = service.change.as_str();
        writeln!(text, "{change:<8} {}{note}", printable(&service.name))
            .expect("a text takes everything");
        for key in &service.keys {
            writeln!(text, "         {}", self::key(key)).expect("a text takes everything");
        }
    }
    text
}

/// What happens to containers and data.
fn note(service: &ServicePlan) -> &'static str {
    match (service.change, service.stateful) {
        (PlannedChange::Remove, true) => {
            ": its volumes stay on their nodes, and no new service gets them"
        }
        (PlannedChange::Create, true) => ": with new volumes",
        (PlannedChange::Replace, _) => ": its containers are replaced in turn",
        (PlannedChange::Remove, false)
        | (PlannedChange::Create, false)
        | (PlannedChange::Scale, _) => "",
    }
}

fn key(key: &KeyPlan) -> String {
    let name = printable(&key.key);
    match (&key.before, &key.after) {
        (None, Some(after)) => format!("{name}: {}", shown(after)),
        (Some(before), Some(after)) => format!("{name}: {} -> {}", shown(before), shown(after)),
        (Some(before), None) => format!("{name}: {} -> (none)", shown(before)),
        (None, None) => name,
    }
}

/// As it stands in a stack file: a text without quotes, but where nothing would be seen.
pub(super) fn shown(value: &Value) -> String {
    match value.as_str() {
        Some(text) if !text.is_empty() => printable(text),
        Some(_) | None => printable(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::super::super::service::example;
    use super::super::render::example as shop;
    use super::*;

    fn plan(services: Value) -> Plan {
        let plan = json!({"from": null, "to": null, "services": services});
        serde_json::from_value(plan).unwrap()
    }

    #[test]
    fn a_plan_says_what_becomes_of_each_service_and_its_data() {
        let plan = plan(json!([
            {"name": "cache", "change": "create", "stateful": false, "keys": [
                {"key": "image", "before": null, "after": "redis:7"},
                {"key": "environment.EMPTY", "before": null, "after": ""}
            ]},
            {"name": "files", "change": "create", "stateful": true, "keys": []},
            {"name": "api", "change": "scale", "stateful": false, "keys": [
                {"key": "instances", "before": 2, "after": 3}
            ]},
            {"name": "web", "change": "replace", "stateful": false, "keys": [
                {"key": "image", "before": "nginx:1", "after": "nginx:2"},
                {"key": "ports", "before": ["80:80"], "after": null}
            ]},
            {"name": "old", "change": "remove", "stateful": false, "keys": []},
            {"name": "db", "change": "remove", "stateful": true, "keys": []}
        ]));
        expect![[r#"
            create   cache
                     image: redis:7
                     environment.EMPTY: ""
            create   files: with new volumes
            scale    api
                     instances: 2 -> 3
            replace  web: its containers are replaced in turn
                     image: nginx:1 -> nginx:2
                     ports: ["80:80"] -> (none)
            remove   old
            remove   db: its volumes stay on their nodes, and no new service gets them
        "#]]
        .assert_eq(&text(&plan));
        let lost: Vec<&str> = plan
            .services
            .iter()
            .filter(|service| leaves_data_behind(service))
            .map(|service| service.name.as_str())
            .collect();
        assert_eq!(lost, ["db"]);
    }

    #[test]
    fn a_plan_tells_of_the_stacks_that_come_along() {
        let own = plan(json!([{"name": "web", "change": "create", "stateful": false, "keys": []}]));
        let mut whole = WholePlan::alone(own);
        whole.upgrades(&"shop-db".parse().unwrap(), plan(json!([])));
        let mut old = shop(vec![example("shop-old", "store")]);
        old.name = "shop-old".to_owned();
        old.services[0].definition.stateful = true;
        whole.removes(&old);
        expect![[r"
            create   web
            stack `shop-db` is upgraded:
            no service changes
            stack `shop-old` is removed:
            remove   store: its volumes stay on their nodes, and no new service gets them
        "]]
        .assert_eq(&whole.text());
        assert!(whole.services().any(leaves_data_behind));
        let json = serde_json::to_value(&whole).unwrap();
        assert_eq!(json["dependencies"][1]["change"], "remove");
        assert_eq!(json["services"][0]["name"], "web");
    }

    #[test]
    fn a_removal_says_what_goes_and_what_stays() {
        let mut db = example("shop", "db");
        db.definition.stateful = true;
        let stack = shop(vec![example("shop", "web"), db]);
        expect![[r"
            remove   web
            remove   db: its volumes stay on their nodes, and no new service gets them
        "]]
        .assert_eq(&text(&of_removal(&stack)));
    }

    #[test]
    fn a_plan_that_changes_nothing_says_so_and_no_value_moves_the_cursor() {
        assert_eq!(text(&plan(json!([]))), "no service changes\n");
        assert!(!shown(&json!("a\u{1b}[2Jb")).contains('\u{1b}'));
    }
}
