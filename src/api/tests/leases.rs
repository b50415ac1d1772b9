//! A singleton with a lease, from a body to its answer.

use std::sync::Arc;

use kontena_core::command::{Command, Refusal, edits};
use kontena_core::document::edit::Edit;
use kontena_core::stack::Singleton;
use kontena_core::time::WallTime;
use serde_json::{Value, json};

use super::changes::{documents, noting};
use super::fixture::{accepted, key, node};
use crate::api::types::Changed;
use crate::api::types::error::ErrorKind;
use crate::api::types::service::Service;

fn body(witnesses: &[&str]) -> Value {
    let options = json!({"singleton": "lease", "witnesses": witnesses});
    json!({"name": "clock", "image": "clock:1", "deploy_opts": options})
}

#[tokio::test]
async fn a_singleton_is_answered_with_what_was_written_and_with_whom_that_means() {
    let (server, _) = noting(|command, view| {
        let Command::CreateService { key, service, .. } = command else {
            panic!("{command:?}");
        };
        let written = edits(view, node(1), command, WallTime(7))?;
        let Some(Edit::Witnesses { witnesses, .. }) = written.last() else {
            panic!("{written:?}");
        };
        let services = &mut documents(view).services;
        let mut record = services[&super::fixture::key("redis")].clone();
        record.latest.hash = service.hash();
        record.latest.service = Ok(Arc::new(service.as_ref().clone()));
        record.witnesses = witnesses.clone();
        services.insert(key.clone(), record);
        accepted()
    })
    .await;
    let path = "/v1/grids/home/services";
    let wanted = body(&["gamma", "alpha", "beta"]);
    let created: Changed<Service> = server.client.post(path, &wanted).await.unwrap();
    let service = created.object;
    assert_eq!(service.witnesses, ["alpha", "beta", "gamma"]);
    let options = service.definition.deploy_opts;
    assert_eq!(options.singleton, Some(Singleton::Lease));
    assert_eq!(options.witnesses, ["gamma", "alpha", "beta"]);
}

#[tokio::test]
async fn a_witness_that_is_no_node_is_a_conflict_and_what_contradicts_itself_is_not_taken() {
    let (server, _) = noting(|_, _| {
        Err(Refusal::NoWitness {
            service: key("clock"),
            node: "omega".parse().unwrap(),
        })
    })
    .await;
    let post = async |body: Value| {
        let answer = server
            .client
            .post::<_, Changed<Service>>("/v1/grids/home/services", &body)
            .await;
        answer.unwrap_err()
    };
    let refused = post(body(&["alpha", "beta", "omega"])).await;
    assert_eq!(
        (
            refused.message.as_str(),
            refused.hint.as_deref(),
            refused.kind
        ),
        (
            "service `clock` names the witness `omega`, which is no node of this grid",
            Some("`kontena node ls` lists the nodes of this grid"),
            ErrorKind::Invalid,
        )
    );
    let mut doubled = body(&["alpha", "beta", "gamma"]);
    doubled["instances"] = json!(2);
    let refused = post(doubled).await;
    let expected = "instances: is one at most with `singleton: lease`";
    assert_eq!(refused.message, expected);
}
