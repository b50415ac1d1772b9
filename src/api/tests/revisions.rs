//! The history of a stack: listed, compared, gone back to.

use std::collections::BTreeMap;
use std::sync::Arc;

use kontena_core::command::Command;
use kontena_core::id::EnvelopeHash;
use kontena_core::stack::Service;
use kontena_core::view::{
    ConflictSide, ConflictSubject, ConflictValue, Definition, History, RevisionName, StackConflict,
    StackRevision, View,
};
use serde_json::{Value, json};

use super::changes::{documents, noting};
use super::fixture::{NOON, Server, accepted, node, view};
use crate::api::types::Changed;
use crate::api::types::revision::{Plan, PlannedChange, Revisions, Rollback};
use crate::api::types::stack::Stack;
use kontena_core::time::WallTime;

const SHOP: &str = "/v1/stacks/home/shop";

/// A revision of `shop` with one service `web`.
fn revision(number: u64, first: u8, by: u8, image: &str) -> StackRevision {
    let mut record = view().documents.stacks[&"shop".parse().unwrap()].clone();
    let web = Service::new(image);
    let name: kontena_core::id::ServiceName = "web".parse().unwrap();
    let definition = Definition {
        hash: web.hash(),
        instances: Some(2),
    };
    record.revision = number;
    record.updated = WallTime(NOON);
    record.services = vec![name.clone()];
    record.definitions = BTreeMap::from([(name.clone(), definition)]);
    StackRevision {
        hash: EnvelopeHash([first; 32]),
        author: node(by),
        record: Arc::new(record),
        services: BTreeMap::from([(name, Ok(Arc::new(web)))]),
    }
}

/// Revisions 1, 2 of node 2, 2 of a node that nobody knows, and 3.
fn remember(view: &mut View) {
    let history = History {
        revisions: vec![
            revision(1, 0x11, 1, "nginx:1"),
            revision(2, 0x22, 2, "nginx:2"),
            revision(2, 0x33, 9, "nginx:3"),
            revision(3, 0x44, 1, "nginx:4"),
        ],
    };
    documents(view)
        .histories
        .insert("shop".parse().unwrap(), Arc::new(history));
}

async fn remembering() -> Server {
    let mut view = view();
    remember(&mut view);
    Server::reading(view).await
}

#[tokio::test]
async fn revisions_are_listed_newest_first_with_who_recorded_them() {
    let server = remembering().await;
    let path = format!("{SHOP}/revisions");
    let Revisions { revisions } = server.client.get(&path).await.unwrap();
    let told: Vec<(&str, &str, bool)> = revisions
        .iter()
        .map(|one| (one.revision.as_str(), one.by.as_str(), one.current))
        .collect();
    assert_eq!(
        told,
        [
            ("3", "alpha", true),
            ("2~3333", "09090909", false),
            ("2~2222", "beta", false),
            ("1", "alpha", false),
        ]
    );
    assert_eq!(revisions[0].hash, "44".repeat(32));
    assert_eq!(revisions[0].services, ["web"]);
    let missing = server.refused("/v1/stacks/home/nothing/revisions").await;
    assert!(missing.is_not_found());
}

#[tokio::test]
async fn two_revisions_and_what_is_stored_are_compared() {
    let server = remembering().await;
    let path = format!("{SHOP}/diff?from=1&to=2222");
    let plan: Plan = server.client.get(&path).await.unwrap();
    assert_eq!(plan.from.as_deref(), Some("1"));
    assert_eq!(plan.to.as_deref(), Some("2~2222"));
    assert_eq!(plan.services.len(), 1);
    assert_eq!(plan.services[0].change, PlannedChange::Replace);
    assert_eq!(plan.services[0].keys[0].after, Some(json!("nginx:2")));

    let path = format!("{SHOP}/diff?to=3");
    let plan: Plan = server.client.get(&path).await.unwrap();
    let changes: Vec<_> = plan.services.iter().map(|one| one.change).collect();
    assert_eq!(changes, [PlannedChange::Remove, PlannedChange::Replace]);

    for (query, problem) in [
        (
            "from=2",
            "there is more than one revision `2`: 2~2222, 2~3333",
        ),
        ("from=9", "there is no revision `9`"),
        (
            "from=x",
            "`x` is not a revision: `7`, `7~ab12`, or at least 4 digits of its hash",
        ),
    ] {
        let refused = server.refused(&format!("{SHOP}/diff?{query}")).await;
        assert_eq!(refused.message, problem);
    }
}

#[tokio::test]
async fn a_plan_says_what_an_upgrade_would_do_and_writes_nothing() {
    let (server, noted) = noting(|command, _| panic!("{command:?}")).await;
    let body = json!({
        "stack": "acme/shop", "version": "2.0.0", "source": "stack: acme/shop",
        "services": [{"name": "cache", "image": "redis:7"}, {"name": "db", "image": "postgres:15"}]
    });
    let path = format!("{SHOP}/plan");
    let plan: Plan = server.client.post(&path, &body).await.unwrap();
    let told: Vec<_> = plan
        .services
        .iter()
        .map(|one| (one.name.as_str(), one.change))
        .collect();
    assert_eq!(
        told,
        [
            ("cache", PlannedChange::Create),
            ("web", PlannedChange::Remove)
        ]
    );
    assert!(noted.lock().unwrap().is_empty());
    let wrong: Result<Plan, _> = server.client.post(&path, &json!({"services": 7})).await;
    assert!(wrong.is_err());
}

#[tokio::test]
async fn a_rollback_names_its_revision_by_the_hash() {
    let (server, noted) = noting(|command, view| {
        match command {
            Command::RollbackStack { name, .. } => {
                documents(view).stacks.get_mut(name).unwrap().revision += 1;
            }
            Command::StopStack(_) => remember(view),
            other => panic!("{other:?}"),
        }
        accepted()
    })
    .await;
    // The hand that makes the view reaches in through a command.
    let stop = format!("{SHOP}/stop");
    let _: Value = server.client.post(&stop, &json!({})).await.unwrap();
    let path = format!("{SHOP}/rollback");
    let body = |revision: &str| Rollback {
        revision: Some(revision.to_owned()),
    };
    let done: Changed<Stack> = server.client.post(&path, &body("1")).await.unwrap();
    assert_eq!(done.object.revision, 4);
    let ambiguous: Result<Value, _> = server.client.post(&path, &body("2")).await;
    assert!(ambiguous.is_err());
    let noted = noted.lock().unwrap();
    let [_, Command::RollbackStack { to: Some(to), .. }] = noted.as_slice() else {
        panic!("{noted:?}");
    };
    let hash: RevisionName = "11".repeat(32).parse().unwrap();
    assert_eq!(to.to_string(), hash.to_string());
}

/// Two sides that gave `web` another image each, in revisions 2 and 2, and a number of instances each.
fn quarrel(view: &mut View) {
    remember(view);
    let side = |first: u8, by: u8, value: ConflictValue| ConflictSide {
        change: EnvelopeHash([first; 32]),
        author: node(by),
        at: WallTime(NOON),
        value,
    };
    let definition = |image: &str| {
        let service = Service::new(image);
        ConflictValue::Definition {
            hash: service.hash(),
            service: Ok(Arc::new(service)),
        }
    };
    let conflict = |subject, sides| StackConflict {
        service: Some("web".parse().unwrap()),
        subject,
        sides,
    };
    let conflicts = vec![
        conflict(
            ConflictSubject::Definition,
            vec![
                side(0x22, 2, definition("nginx:2")),
                side(0x33, 9, definition("nginx:3")),
            ],
        ),
        conflict(
            ConflictSubject::Instances,
            vec![
                side(0x55, 1, ConflictValue::Instances(2)),
                side(0x66, 2, ConflictValue::Instances(4)),
            ],
        ),
    ];
    documents(view)
        .stack_conflicts
        .insert("shop".parse().unwrap(), conflicts);
}

#[tokio::test]
async fn a_stack_shows_who_wrote_what_where_both_sides_touched_the_same() {
    let mut view = view();
    quarrel(&mut view);
    let server = Server::reading(view).await;
    let shop: Value = server.client.get(SHOP).await.unwrap();
    let by = node(9).short();
    assert_eq!(
        shop["conflicts"],
        json!([
            {"service": "web", "subject": "definition", "sides": [
                {"value": {"image": "nginx:2"}, "revision": "2~2222", "by": "beta",
                 "at": "2026-01-02T03:04:05.000Z"},
                {"value": {"image": "nginx:3"}, "revision": "2~3333", "by": by,
                 "at": "2026-01-02T03:04:05.000Z"}
            ]},
            {"service": "web", "subject": "instances", "sides": [
                {"value": 2, "revision": null, "by": "alpha", "at": "2026-01-02T03:04:05.000Z"},
                {"value": 4, "revision": null, "by": "beta", "at": "2026-01-02T03:04:05.000Z"}
            ]}
        ])
    );
}

#[tokio::test]
async fn a_conflict_is_resolved_with_the_revision_that_is_taken_by_its_hash() {
    let (server, noted) = noting(|command, view| {
        match command {
            Command::ResolveStack { name, .. } => {
                documents(view).stacks.get_mut(name).unwrap().revision += 1;
            }
            Command::StopStack(_) => quarrel(view),
            other => panic!("{other:?}"),
        }
        accepted()
    })
    .await;
    // The hand that makes the view reaches in through a command.
    let stop = format!("{SHOP}/stop");
    let _: Value = server.client.post(&stop, &json!({})).await.unwrap();
    let path = format!("{SHOP}/resolve");
    let body = json!({"take": "2~3333", "services": ["web"]});
    let plan: Plan = server
        .client
        .post(&format!("{path}/plan"), &body)
        .await
        .unwrap();
    assert!(plan.services.iter().any(|one| one.name == "web"));
    let done: Changed<Stack> = server.client.post(&path, &body).await.unwrap();
    assert_eq!(done.object.revision, 4);
    for wrong in [
        json!({"take": "2"}),
        json!({"take": "9"}),
        json!({"services": ["web"]}),
        json!({"side": "2~3333"}),
    ] {
        let refused: Result<Value, _> = server.client.post(&path, &wrong).await;
        assert!(refused.is_err(), "{wrong}");
    }
    let noted = noted.lock().unwrap();
    let [
        _,
        Command::ResolveStack {
            take: Some(take), ..
        },
    ] = noted.as_slice()
    else {
        panic!("{noted:?}");
    };
    assert_eq!(take.revision.to_string(), "33".repeat(32));
    assert_eq!(take.services.len(), 1);
}
