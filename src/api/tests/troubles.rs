//! What is answered where something is wrong: with an engine, an instance, or the asked node itself.

use std::sync::Arc;

use expect_test::expect;
use kontena_core::report::{EngineState, Health, InstanceState};
use kontena_core::time::WallTime;
use kontena_core::view::{Freshness, View};

use super::fixture::{NOON, Server, add_report, hold, key, node, view};
use crate::api::types::deploy::{DeployState, ServiceDeploy};
use crate::api::types::grid::Grids;
use crate::api::types::instance::{InstanceJson, Instances};
use crate::api::types::membership::{Phase, Status};
use crate::api::types::node::Node;

#[tokio::test]
async fn an_engine_in_trouble_is_a_problem_of_its_node_at_once() {
    let server = Server::reading(in_trouble(view())).await;
    let alpha: Node = server.client.get("/v1/nodes/home/alpha").await.unwrap();
    assert_eq!(alpha.problems, [TROUBLE]);
}

const TROUBLE: &str =
    "docker engine: in trouble since 2026-01-02T03:04:05.000Z: connection refused";

/// The engine of `alpha`.
fn in_trouble(mut view: View) -> View {
    let report = Arc::make_mut(view.reports.get_mut(&node(1)).unwrap());
    report.engine.state = EngineState::Troubled {
        since: WallTime(NOON),
        problem: "connection refused".to_owned(),
    };
    view
}

#[tokio::test]
async fn a_deploy_that_waits_for_an_engine_in_trouble_says_so() {
    let mut view = waiting();
    let report = Arc::make_mut(view.reports.get_mut(&node(1)).unwrap());
    report
        .holds
        .values_mut()
        .for_each(|hold| hold.problem = None);
    let server = Server::reading(in_trouble(view)).await;
    let path = "/v1/services/home/shop/web/deploys/7";
    let deploy: ServiceDeploy = server.client.get(path).await.unwrap();
    let errors = deploy.instance_deploys.into_iter().map(|one| one.error);
    let errors: Vec<Option<String>> = errors.collect();
    let waits = "waits: gamma is absent since 2026-01-02T03:04:07Z, and this side sees only 1 of 3 eligible nodes";
    assert_eq!(errors, [TROUBLE, waits].map(|text| Some(text.to_owned())));
}

/// `web-1` runs an older deploy and waits for the image of the newer one.
fn waiting() -> View {
    let mut view = view();
    let hash = view.documents.services[&key("shop/web")].latest.hash;
    let mut hold = hold(hash, 'a', InstanceState::Running, Health::Healthy);
    hold.generation = 6;
    hold.problem = Some("no such image".to_owned());
    add_report(&mut view, 1, Freshness::Fresh, &[("shop/web-1", hold)]);
    view
}

#[tokio::test]
async fn a_deploy_that_waits_says_what_the_holder_waits_for() {
    let server = Server::reading(waiting()).await;
    let path = "/v1/services/home/shop/web/deploys/7";
    let deploy: ServiceDeploy = server.client.get(path).await.unwrap();
    let first = &deploy.instance_deploys[0];
    assert_eq!(first.state, DeployState::Created);
    assert_eq!(first.node.as_deref(), Some("alpha"));
    assert_eq!(first.error.as_deref(), Some("no such image"));
}

#[tokio::test]
async fn an_instance_in_json_has_its_problem_or_null() {
    let server = Server::reading(waiting()).await;
    let path = "/v1/services/home/shop/web/instances";
    let Instances { instances } = server.client.get(path).await.unwrap();
    let problems: Vec<Option<String>> = instances
        .into_iter()
        .map(|instance| InstanceJson::from(instance).problem)
        .collect();
    assert_eq!(problems, [Some("no such image".to_owned()), None]);
}

#[tokio::test]
async fn a_removed_node_warns_of_its_answers_and_knows_the_name_that_it_had() {
    let mut view = view();
    let documents = Arc::make_mut(&mut view.documents);
    let member = documents.roster.remove(&node(1)).unwrap();
    documents.removed.insert(node(1));
    documents.former.insert(node(1), member.name);
    let server = Server::in_phase(Phase::Removed, view).await;
    let grids: Grids = server.client.get("/v1/grids").await.unwrap();
    expect![
        "the asked node was removed from this grid: it shows what it knew then, and nothing newer"
    ]
    .assert_eq(&grids.warning.unwrap());
    let status: Status = server.client.get("/v1/status").await.unwrap();
    assert_eq!(status.name, "alpha");
}

#[tokio::test]
async fn a_member_warns_of_nothing() {
    let server = Server::reading(view()).await;
    let grids: Grids = server.client.get("/v1/grids").await.unwrap();
    assert_eq!(grids.warning, None);
}
