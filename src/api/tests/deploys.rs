//! How deploys end, and what is said of it on the way.

use std::num::NonZeroU32;
use std::sync::Arc;

use expect_test::expect;
use kontena_core::command::Command;
use kontena_core::id::RevisionHash;
use kontena_core::report::{Health, InstanceState};
use kontena_core::stack::Service;
use kontena_core::time::WallTime;
use kontena_core::view::{
    DeployRecord, Deployed, Freshness, Halt, HaltCause, Revision, ServiceRecord, TakenBack, View,
};
use serde_json::json;

use super::changes::{documents, noting};
use super::fixture::{NOON, Server, accepted, add_report, hold, key, node, view};
use super::paging::page;
use crate::api::types::Changed;
use crate::api::types::deploy::{DeployState, ServiceDeploy, ServiceDeploys};

const PATH: &str = "/v1/services/home/shop/web";

fn old() -> Revision {
    let service = Service::new("nginx:1.24");
    Revision {
        hash: service.hash(),
        number: 1,
        service: Ok(Arc::new(service)),
        image: None,
    }
}

fn halt() -> Halt {
    Halt {
        cause: HaltCause::failed(1, "the container exited with status 3"),
        by: node(4),
        at: WallTime(NOON + 9_000),
    }
}

/// `shop/web` was updated by deploy 7 from `nginx:1.24`.
fn updated(change: impl FnOnce(&mut ServiceRecord)) -> View {
    let mut view = view();
    let services = &mut documents(&mut view).services;
    let web = services.get_mut(&key("shop/web")).unwrap();
    web.deployed.as_mut().unwrap().previous = Some(old());
    change(web);
    view
}

fn deployed(web: &mut ServiceRecord) -> &mut Deployed {
    web.deployed.as_mut().unwrap()
}

/// Instance 1 is with `alpha` and 2 with `delta`, each at a deploy in a state.
fn held(view: &mut View, first: (u64, InstanceState), second: (u64, InstanceState)) {
    let latest = view.documents.services[&key("shop/web")].latest.hash;
    let holds = [
        (1, "shop/web-1", 'a', first),
        (4, "shop/web-2", 'd', second),
    ];
    for (node, instance, container, (generation, state)) in holds {
        let health = match state {
            InstanceState::Running => Health::Healthy,
            _ => Health::Unknown,
        };
        let mut hold = hold(latest, container, state, health);
        hold.generation = generation;
        hold.on_trial = generation == 7 && state == InstanceState::Failed;
        hold.problem = (state == InstanceState::Failed).then(|| "it exited".to_owned());
        add_report(view, node, Freshness::Fresh, &[(instance, hold)]);
    }
}

async fn deploy(view: View, id: u64) -> ServiceDeploy {
    let server = Server::reading(view).await;
    server
        .client
        .get(&format!("{PATH}/deploys/{id}"))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_failed_instance_ends_an_update_only_once_its_node_says_so() {
    use InstanceState::{Failed, Running};
    let mut trying = updated(|_| {});
    held(&mut trying, (7, Failed), (6, Running));
    assert_eq!(deploy(trying, 7).await.state, DeployState::Ongoing);

    let mut halted = updated(|web| deployed(web).halt = Some(halt()));
    held(&mut halted, (7, Failed), (6, Running));
    let deploy = deploy(halted, 7).await;
    assert_eq!(deploy.state, DeployState::Error);
    assert_eq!(
        deploy.reason.as_deref(),
        Some("instance 1 failed: the container exited with status 3")
    );
}

#[tokio::test]
async fn an_update_whose_failed_instance_replaced_nothing_and_waits_for_nobody_is_over() {
    use InstanceState::{Failed, Running};
    let mut scaled = updated(|_| {});
    held(&mut scaled, (7, Failed), (7, Running));
    let report = scaled.reports.get_mut(&node(1)).unwrap();
    let holds = &mut Arc::make_mut(report).holds;
    let instance = "shop/web-1".parse().unwrap();
    holds.get_mut(&instance).unwrap().on_trial = false;
    assert_eq!(deploy(scaled, 7).await.state, DeployState::Error);
}

#[tokio::test]
async fn a_deploy_that_is_taken_back_ends_when_all_are_back() {
    use InstanceState::{Creating, Running};
    let back = |second: InstanceState| {
        let mut view = updated(|web| {
            let failed = deployed(web).revision.clone();
            web.deployed = Some(Deployed {
                takes_back: Some(TakenBack {
                    revision: failed,
                    generation: 7,
                    halt: halt(),
                }),
                ..Deployed::new(old(), 8, WallTime(NOON + 9_000))
            });
        });
        held(&mut view, (8, Running), (8, second));
        for report in view.reports.values_mut() {
            for hold in Arc::make_mut(report).holds.values_mut() {
                hold.revision = old().hash;
            }
        }
        view
    };
    let going = deploy(back(Creating), 7).await;
    assert_eq!(going.state, DeployState::Ongoing);
    assert_eq!(
        going.reason.as_deref(),
        Some(
            "instance 1 failed: the container exited with status 3; all go back to what ran before"
        )
    );
    let gone = deploy(back(Running), 7).await;
    assert_eq!((gone.id.as_str(), gone.state), ("7", DeployState::Error));
    assert!(
        gone.reason
            .unwrap()
            .ends_with("; all went back to what ran before")
    );
    assert_eq!(deploy(back(Running), 8).await.state, DeployState::Success);
}

fn canary(web: &mut ServiceRecord) {
    let deployed = deployed(web);
    let service = Arc::make_mut(deployed.revision.service.as_mut().unwrap());
    service.deploy.canary = NonZeroU32::new(1);
}

#[tokio::test]
async fn a_canary_that_is_healthy_awaits_its_promotion() {
    use InstanceState::{Creating, Running};
    let awaits = async |first: InstanceState, promoted: bool| {
        let mut view = updated(|web| {
            canary(web);
            deployed(web).promoted = promoted;
        });
        held(&mut view, (7, first), (6, Running));
        let deploy = deploy(view, 7).await;
        assert_eq!(deploy.state, DeployState::Ongoing);
        deploy.awaits_promotion
    };
    assert!(awaits(Running, false).await);
    assert!(!awaits(Creating, false).await);
    assert!(!awaits(Running, true).await);
}

fn order(generation: u64, number: u64, is_taken_back: bool) -> DeployRecord {
    DeployRecord {
        generation,
        revision: RevisionHash([5; 32]),
        number,
        image: None,
        at: WallTime(NOON),
        by: node(1),
        halt: is_taken_back.then(halt),
        is_taken_back,
    }
}

#[tokio::test]
async fn deploys_are_listed_with_what_became_of_them() {
    use InstanceState::Running;
    let mut view = updated(|web| {
        web.deploys = [order(7, 3, false), order(5, 2, true), order(2, 1, false)].into();
    });
    held(&mut view, (7, Running), (7, Running));
    let server = Server::reading(view).await;
    let listed: ServiceDeploys = server.client.get(&format!("{PATH}/deploys")).await.unwrap();
    let rows: Vec<String> = listed
        .deploys
        .iter()
        .map(|row| {
            let reason = row.reason.as_deref().unwrap_or("-");
            let state = row.state.as_str();
            format!(
                "{} r{} {} {state}: {reason}",
                row.id, row.revision, row.node
            )
        })
        .collect();
    expect![[r#"
        7 r3 alpha success: -
        5 r2 alpha rolled back: instance 1 failed: the container exited with status 3
        2 r1 alpha replaced: -"#]]
    .assert_eq(&rows.join("\n"));
}

#[tokio::test]
async fn deploys_that_two_nodes_gave_one_number_are_all_on_the_pages() {
    let view = updated(|web| {
        let twice = [3, 2, 1].map(|number| DeployRecord {
            by: node(number),
            ..order(7, 3, false)
        });
        let [higher, middle, lower] = twice;
        web.deploys = [higher, middle, lower, order(2, 1, false)].into();
    });
    let server = Server::reading(view).await;
    let path = format!("{PATH}/deploys");
    let (whole, _) = page(&server, &path).await;
    let nodes: Vec<_> = whole.iter().map(|row| &row["node"]).collect();
    assert_eq!(nodes, ["gamma", "beta", "alpha", "alpha"]);
    let (mut read, mut query) = (Vec::new(), Some("?limit=1".to_owned()));
    while let Some(asked) = query {
        let (items, next) = page(&server, &format!("{path}{asked}")).await;
        read.extend(items);
        query = next;
    }
    assert_eq!(read, whole);
}

#[tokio::test]
async fn aborting_and_promoting_reach_the_node() {
    let (server, noted) = noting(|command, view| {
        let services = &mut documents(view).services;
        let web = services.get_mut(&key("shop/web")).unwrap();
        match command {
            Command::AbortDeploy { .. } => deployed(web).halt = Some(halt()),
            Command::PromoteDeploy(_) => deployed(web).promoted = true,
            other => panic!("{other:?}"),
        }
        accepted()
    })
    .await;
    let client = &server.client;
    let promote = format!("{PATH}/promote");
    let _: Changed<ServiceDeploy> = client.post(&promote, &json!({})).await.unwrap();
    let abort = format!("{PATH}/abort");
    let wish = json!({"rollback": false});
    let aborted: Changed<ServiceDeploy> = client.post(&abort, &wish).await.unwrap();
    assert_eq!(aborted.object.state, DeployState::Error);
    let nonsense = json!({"back": true});
    let refused = client.post::<_, serde_json::Value>(&abort, &nonsense).await;
    assert_eq!(refused.unwrap_err().status, Some(422));
    assert!(matches!(
        noted.lock().unwrap()[..],
        [
            Command::PromoteDeploy(_),
            Command::AbortDeploy {
                rollback: Some(false),
                ..
            }
        ]
    ));
}
