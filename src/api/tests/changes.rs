//! Commands: what reaches the node, and what is answered.

use std::sync::{Arc, Mutex};

use kontena_core::command::{Accepted, Command, Refusal, Reply};
use kontena_core::stack::Service as Definition;
use kontena_core::view::{Availability, Documents, Lifecycle, View};
use serde_json::{Value, json};

use super::fixture::{Server, accepted, key, node, route, view};
use crate::api::types::deploy::ServiceDeploy;
use crate::api::types::error::ErrorKind;
use crate::api::types::membership::{InitAnswer, NewJoinToken};
use crate::api::types::node::{Node, NodeChange};
use crate::api::types::service::{Scale, Service};
use crate::api::types::stack::Stack;
use crate::api::types::{Changed, Saved};

pub(super) fn documents(view: &mut View) -> &mut Documents {
    Arc::make_mut(&mut view.documents)
}

/// What images mean is not what most tests are about.
fn without_images(command: Command) -> Command {
    if let Command::Frozen { command, .. } = command {
        return *command;
    }
    command
}

/// A server whose node notes each command and then does `obey`.
pub(super) async fn noting(
    mut obey: impl FnMut(&Command, &mut View) -> Reply + Send + 'static,
) -> (Server, Arc<Mutex<Vec<Command>>>) {
    let noted = Arc::new(Mutex::new(Vec::new()));
    let notes = noted.clone();
    let server = Server::start(view(), move |command, view| {
        let command = without_images(command);
        let reply = obey(&command, view);
        notes.lock().unwrap().push(command);
        reply
    })
    .await;
    (server, noted)
}

#[tokio::test]
async fn a_created_service_is_answered_as_it_is_shown() {
    let (server, noted) = noting(|command, view| {
        let Command::CreateService {
            key,
            service,
            instances,
        } = command
        else {
            panic!("{command:?}");
        };
        let services = &mut documents(view).services;
        let mut record = services[&super::fixture::key("redis")].clone();
        record.latest.hash = service.hash();
        record.latest.service = Ok(Arc::new(service.as_ref().clone()));
        record.instances = *instances;
        services.insert(key.clone(), record);
        accepted()
    })
    .await;
    // As Kontena's own command line sends it, empty options and all.
    let body = json!({
        "name": "cache", "image": "memcached", "stateful": false, "ports": [], "links": [],
        "volumes": [], "volumes_from": [], "memory": null, "secrets": [], "container_count": 3,
        "env": ["A=b"], "privileged": false, "deploy_opts": {"min_health": 0.5}
    });
    let created: Changed<Service> = server
        .client
        .post("/v1/grids/home/services", &body)
        .await
        .unwrap();
    assert_eq!(created.object.id, "home/null/cache");
    assert_eq!(
        created.object.definition.image.as_deref(),
        Some("memcached:latest")
    );
    assert_eq!(created.saved.saved_on, ["alpha", "beta"]);
    assert!(created.saved.has_others && !created.saved.on_one_only());

    let noted = noted.lock().unwrap();
    let [
        Command::CreateService {
            key,
            service,
            instances: 3,
        },
    ] = noted.as_slice()
    else {
        panic!("{noted:?}");
    };
    assert_eq!(key.to_string(), "cache");
    assert_eq!(service.deploy.min_health, 500);
}

#[tokio::test]
async fn an_update_keeps_what_it_does_not_name() {
    let (server, noted) = noting(|command, view| {
        let Command::UpdateService { key, service, .. } = command else {
            panic!("{command:?}");
        };
        let record = documents(view).services.get_mut(key).unwrap();
        record.latest.hash = service.hash();
        record.latest.number += 1;
        record.latest.service = Ok(Arc::new(service.as_ref().clone()));
        accepted()
    })
    .await;
    let path = "/v1/services/home/shop/web";
    let body = json!({"image": "nginx:1.27", "env": []});
    let updated: Changed<Service> = server.client.put(path, &body).await.unwrap();
    assert_eq!(updated.object.revision, 3);
    assert_eq!(updated.object.deployed.unwrap().revision, 2);

    let noted = noted.lock().unwrap();
    let [
        Command::UpdateService {
            service,
            instances: None,
            ..
        },
    ] = noted.as_slice()
    else {
        panic!("{noted:?}");
    };
    assert_eq!(service.image, "nginx:1.27");
    assert!(service.environment.is_empty());
    assert_eq!(service.deploy.wait_for_port, Some(8080));
}

#[tokio::test]
async fn a_service_can_be_written_back_as_it_was_read() {
    let (server, noted) = noting(|_, _| accepted()).await;
    let path = "/v1/services/home/shop/web";
    let read: Value = server.client.get(path).await.unwrap();
    // What Kontena's command line sends of it: links as they were read.
    let body = json!({"links": read["links"], "env": read["env"], "ports": read["ports"]});
    let _: Changed<Service> = server.client.put(path, &body).await.unwrap();
    let before = view().documents.services[&key("shop/web")].latest.clone();
    let noted = noted.lock().unwrap();
    let [Command::UpdateService { service, .. }] = noted.as_slice() else {
        panic!("{noted:?}");
    };
    let before: &Definition = before.service.as_ref().unwrap();
    assert_eq!(**service, *before);
}

#[tokio::test]
async fn a_deploy_answers_with_its_record() {
    let (server, noted) = noting(|command, view| {
        if let Command::DeployService { key, force: true } = command {
            let record = documents(view).services.get_mut(key).unwrap();
            record.deployed.as_mut().unwrap().generation = 9;
        }
        accepted()
    })
    .await;
    let path = "/v1/services/home/shop/web/deploy";
    let deploy: Changed<ServiceDeploy> = server
        .client
        .post(path, &json!({"force": true}))
        .await
        .unwrap();
    assert_eq!(deploy.object.id, "9");
    assert_eq!(deploy.object.service_id, "home/shop/web");
    let again: Changed<ServiceDeploy> = server.client.post(path, &json!({})).await.unwrap();
    assert_eq!(again.object.id, "9");
    let noted = noted.lock().unwrap();
    assert!(matches!(
        noted.as_slice(),
        [
            Command::DeployService { force: true, .. },
            Command::DeployService { force: false, .. }
        ]
    ));
}

#[tokio::test]
async fn scaling_stopping_starting_and_removing_reach_the_node() {
    let (server, noted) = noting(|command, view| {
        let services = &mut documents(view).services;
        let web = services.get_mut(&key("shop/web")).unwrap();
        match command {
            Command::ScaleService { instances, .. } => web.instances = *instances,
            Command::StopService(_) => web.state = Lifecycle::Stopped,
            Command::StartService(_) => web.state = Lifecycle::Running,
            Command::RemoveService(key) => drop(services.remove(key)),
            other => panic!("{other:?}"),
        }
        accepted()
    })
    .await;
    let client = &server.client;
    let path = "/v1/services/home/shop/web";
    let scaled: Changed<ServiceDeploy> = client
        .post(&format!("{path}/scale"), &Scale { instances: 5 })
        .await
        .unwrap();
    assert_eq!(scaled.object.instance_deploys.len(), 5);
    let empty = json!({});
    let stopped: Changed<Service> = client.post(&format!("{path}/stop"), &empty).await.unwrap();
    assert_eq!(stopped.object.state.as_str(), "stopped");
    let started: Changed<Service> = client.post(&format!("{path}/start"), &empty).await.unwrap();
    assert_eq!(started.object.state.as_str(), "deploying");
    let removed: Saved = client.delete(path).await.unwrap();
    assert_eq!(removed.saved_on.len(), 2);
    assert!(
        client
            .get::<Service>(path)
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert_eq!(noted.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn labels_of_a_stack_are_changed_one_by_one_or_given_whole_as_kontena_does() {
    let (server, noted) = noting(|command, view| {
        let Command::LabelStack { name, labels } = command else {
            panic!("{command:?}");
        };
        let stack = documents(view).stacks.get_mut(name).unwrap();
        let present = labels.iter().filter(|(_, present)| **present);
        stack.labels = present.map(|(label, _)| label.clone()).collect();
        accepted()
    })
    .await;
    let path = "/v1/stacks/home/shop";
    let some = json!({"add": ["team=a", "tier=1"]});
    let changed: Changed<Stack> = server.client.patch(path, &some).await.unwrap();
    assert_eq!(changed.object.labels, ["team=a", "tier=1"]);
    let all = json!({"labels": ["team=b", "tier=1"]});
    let changed: Changed<Stack> = server.client.patch(path, &all).await.unwrap();
    assert_eq!(changed.object.labels, ["team=b", "tier=1"]);
    let Command::LabelStack { labels, .. } = noted.lock().unwrap()[1].clone() else {
        panic!("that was the second one");
    };
    let labels: Vec<(&str, bool)> = labels
        .iter()
        .map(|(label, is)| (label.as_str(), *is))
        .collect();
    assert_eq!(
        labels,
        [("team=a", false), ("team=b", true), ("tier=1", true)]
    );
    for (path, body) in [
        (path, json!({"add": ["Team=a"]})),
        (path, json!({"nothing": []})),
        ("/v1/stacks/home/nothing", json!({"add": []})),
    ] {
        let refused: Result<Value, _> = server.client.patch(path, &body).await;
        assert!(refused.is_err(), "{body}");
    }
}

#[tokio::test]
async fn a_stack_is_installed_and_upgraded_from_its_compiled_form() {
    let (server, noted) = noting(|command, view| {
        match command {
            Command::InstallStack { name, .. } => {
                let stacks = &mut documents(view).stacks;
                let record = stacks[&"shop".parse().unwrap()].clone();
                stacks.insert(name.clone(), record);
            }
            Command::UpgradeStack { name, .. } => {
                documents(view).stacks.get_mut(name).unwrap().revision += 1;
            }
            other => panic!("{other:?}"),
        }
        accepted()
    })
    .await;
    let body = |name: Value| {
        json!({
            "name": name, "stack": "acme/blog", "version": "0.1.0", "source": "stack: acme/blog",
            "services": [{"name": "web", "image": "nginx", "instances": 2}]
        })
    };
    let client = &server.client;
    let installed: Changed<Stack> = client
        .post("/v1/grids/home/stacks", &body(json!("blog")))
        .await
        .unwrap();
    assert_eq!(installed.object.id, "home/blog");
    let path = "/v1/stacks/home/blog";
    let upgraded: Changed<Stack> = client.put(path, &body(Value::Null)).await.unwrap();
    assert_eq!(upgraded.object.revision, 4);
    let other: Result<Value, _> = client.put(path, &body(json!("shop"))).await;
    assert_eq!(
        other.unwrap_err().message,
        "name: `shop` differs from `blog`"
    );

    let noted = noted.lock().unwrap();
    let [
        Command::InstallStack { stack, .. },
        Command::UpgradeStack { .. },
    ] = noted.as_slice()
    else {
        panic!("{noted:?}");
    };
    assert_eq!(stack.source.as_deref(), Some("stack: acme/blog"));
    let (web, instances) = &stack.services[&"web".parse().unwrap()];
    assert_eq!((web.image.as_str(), *instances), ("nginx:latest", Some(2)));
}

#[tokio::test]
async fn a_node_is_labelled_and_drained() {
    let (server, _) = noting(|command, view| {
        let Command::UpdateNode {
            node,
            labels,
            availability,
        } = command
        else {
            panic!("{command:?}");
        };
        let member = documents(view).roster.get_mut(node).unwrap();
        member.labels = labels.clone().unwrap();
        member.availability = availability.unwrap();
        accepted()
    })
    .await;
    let change = NodeChange {
        labels: Some(vec!["b".to_owned(), "a".to_owned(), "b".to_owned()]),
        availability: Some(Availability::Drain),
    };
    let path = "/v1/nodes/home/alpha";
    let node: Changed<Node> = server.client.put(path, &change).await.unwrap();
    assert_eq!(node.object.labels, ["a", "b"]);
    assert_eq!(node.object.availability, "drain");
}

#[tokio::test]
async fn a_node_that_is_online_is_removed_only_by_force() {
    let (server, _) = noting(|command, view| match command {
        Command::RemoveNode { force: false, .. } => Err(Refusal::NeedsForce {
            problem: "node `alpha` is online".to_owned(),
        }),
        Command::RemoveNode { node, force: true } => {
            documents(view).roster.remove(node);
            accepted()
        }
        other => panic!("{other:?}"),
    })
    .await;
    let path = "/v1/nodes/home/alpha";
    let refused = server.client.delete::<Saved>(path).await.unwrap_err();
    assert_eq!(refused.status, Some(409));
    assert_eq!(refused.kind, ErrorKind::NeedsForce);
    assert_eq!(
        refused.hint.as_deref(),
        Some("use `--force` to do it all the same")
    );
    let forced = format!("{path}?force=true");
    let _: Saved = server.client.delete(&forced).await.unwrap();
}

#[tokio::test]
async fn init_answers_with_both_tokens_and_the_address() {
    let server = Server::start(View::default(), |command, empty| {
        let Command::Init { grid, name, .. } = &command else {
            panic!("{command:?}");
        };
        assert_eq!((grid.as_str(), name.as_str()), ("default", "myhost"));
        *empty = view();
        Ok(Accepted {
            join_token: Some("token-text".to_owned()),
            ..accepted().unwrap()
        })
    })
    .await;
    let refused = server.refused("/v1/grids/default/services").await;
    assert_eq!(refused.kind, ErrorKind::NoGrid);
    let answer: Changed<InitAnswer> = server.client.post("/v1/init", &json!({})).await.unwrap();
    assert_eq!(answer.object.grid, "home");
    assert_eq!(answer.object.node, "alpha");
    assert_eq!(answer.object.address.as_deref(), Some("10.0.0.1:8470"));
    assert_eq!(answer.object.join_token, "token-text");
    assert_eq!(answer.object.admin_token, "07".repeat(32));
}

#[tokio::test]
async fn init_takes_an_address_plan_and_refuses_what_is_none() {
    let (server, noted) = noting(|command, _| match command {
        Command::Init { .. } => Ok(Accepted {
            join_token: Some("token-text".to_owned()),
            ..accepted().unwrap()
        }),
        other => panic!("{other:?}"),
    })
    .await;
    let post = |supernet: &str, subnet: &str| {
        let body = json!({"supernet": supernet, "subnet": subnet});
        let client = &server.client;
        async move {
            client
                .post::<_, Changed<InitAnswer>>("/v1/init", &body)
                .await
        }
    };
    post("10.160.0.0/12", "10.161.0.0/16").await.unwrap();
    for (supernet, subnet, because) in [
        ("10.160.0.0", "10.161.0.0/16", "is not an IPv4 network"),
        ("8.0.0.0/8", "8.8.0.0/16", "on the internet"),
        ("10.160.0.0/12", "10.81.0.0/16", "is not within supernet"),
        ("10.160.0.0/12", "10.160.0.0/25", "too small"),
    ] {
        let refused = post(supernet, subnet).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Invalid, "{refused:?}");
        assert!(refused.message.contains(because), "{refused:?}");
    }
    let noted = noted.lock().unwrap();
    let [Command::Init { plan, routes, .. }] = &noted[..] else {
        panic!("{noted:?}");
    };
    assert_eq!(plan.supernet().to_string(), "10.160.0.0/12");
    assert_eq!(plan.subnet().to_string(), "10.161.0.0/16");
    assert_eq!(*routes, [route()]);
}

#[tokio::test]
async fn a_join_token_is_made_and_revoked() {
    let id = node(5).to_string();
    let (server, noted) = noting(|command, _| match command {
        Command::CreateJoinToken { seed: [7, ..] } => Ok(Accepted {
            join_token: Some("secret".to_owned()),
            ..accepted().unwrap()
        }),
        Command::RevokeJoinToken(_) => accepted(),
        other => panic!("{other:?}"),
    })
    .await;
    let client = &server.client;
    let made: Changed<NewJoinToken> = client.post("/v1/join_tokens", &json!({})).await.unwrap();
    assert_eq!(made.object.join_token, "secret");
    let _: Saved = client
        .delete(&format!("/v1/join_tokens/{id}"))
        .await
        .unwrap();
    assert_eq!(noted.lock().unwrap().len(), 2);
    let refused = client
        .delete::<Saved>("/v1/join_tokens/x")
        .await
        .unwrap_err();
    assert!(refused.is_not_found());
}

#[tokio::test]
async fn a_deploy_is_given_with_what_its_image_means_and_warns_where_nobody_can_tell() {
    let noted: Arc<Mutex<Vec<Command>>> = Arc::default();
    let notes = noted.clone();
    let server = Server::start(view(), move |command, _| {
        notes.lock().unwrap().push(command);
        accepted()
    })
    .await;
    let path = "/v1/services/home/shop/web";
    let body = json!({"force": true});
    let deploy: Changed<ServiceDeploy> = server
        .client
        .post(&format!("{path}/deploy"), &body)
        .await
        .unwrap();
    assert!(deploy.saved.unfrozen.is_empty());
    let unknown: Changed<Service> = server
        .client
        .put(path, &json!({"image": "nowhere:1"}))
        .await
        .unwrap();
    assert_eq!(unknown.saved.unfrozen, ["nowhere:1"]);
    let noted = noted.lock().unwrap();
    let [
        Command::Frozen { images, .. },
        Command::Frozen { images: none, .. },
    ] = noted.as_slice()
    else {
        panic!("{noted:?}");
    };
    assert_eq!(images["nginx:1.25"].to_string(), "sha256:d1");
    assert!(none.is_empty());
}

/// The newest definition of `shop/web` follows what is commanded.
fn redefining(command: Command, view: &mut View) -> Reply {
    let Command::UpdateService { key, service, .. } = without_images(command) else {
        panic!("only services are changed here");
    };
    let documents = Arc::make_mut(&mut view.documents);
    let latest = &mut documents.services.get_mut(&key).unwrap().latest;
    latest.hash = service.hash();
    latest.service = Ok(Arc::from(service));
    accepted()
}

#[tokio::test]
async fn single_variables_are_set_changed_and_taken_away() {
    let server = Server::start(view(), redefining).await;
    let path = "/v1/services/home/shop/web";
    let set = |variable: &str| json!({"env": variable});
    let variables = async || {
        let service: Value = server.client.get(path).await.unwrap();
        service["env"].clone()
    };
    let before = variables().await;
    for variable in ["LEVEL=debug", "LEVEL=info", "EMPTY="] {
        let _: Value = server
            .client
            .post(&format!("{path}/envs"), &set(variable))
            .await
            .unwrap();
    }
    let mut expected = before.as_array().unwrap().clone();
    expected.extend(["LEVEL=info".into(), "EMPTY=".into()]);
    assert_eq!(variables().await, Value::from(expected));
    for name in ["LEVEL", "EMPTY"] {
        let _: Value = server
            .client
            .delete(&format!("{path}/envs/{name}"))
            .await
            .unwrap();
    }
    assert_eq!(variables().await, before);
    let missing = server
        .client
        .delete::<Value>(&format!("{path}/envs/LEVEL"))
        .await;
    assert_eq!(missing.unwrap_err().kind, ErrorKind::NotFound);
    let wrong = server
        .client
        .post::<_, Value>(&format!("{path}/envs"), &set("LEVEL"))
        .await;
    assert_eq!(wrong.unwrap_err().kind, ErrorKind::Invalid);
}

#[tokio::test]
async fn changes_to_parts_of_one_service_at_once_lose_nothing() {
    let server = Server::start(view(), redefining).await;
    let path = "/v1/services/home/shop/web";
    let envs = format!("{path}/envs");
    for round in 0..8 {
        let image = json!({"image": format!("nginx:{round}")});
        let variable = json!({"env": format!("ROUND={round}")});
        let (put, posted) = tokio::join!(
            server.client.put::<_, Value>(path, &image),
            server.client.post::<_, Value>(&envs, &variable)
        );
        put.unwrap();
        posted.unwrap();
        let service: Value = server.client.get(path).await.unwrap();
        assert_eq!(service["image"], image["image"]);
        let variables = service["env"].as_array().unwrap();
        assert!(variables.contains(&variable["env"]), "{service}");
    }
}
