//! Where things run: the grid's default affinity, plans, drained nodes and those that are assumed dead.

use expect_test::expect;
use kontena_core::command::{Command, Refusal};
use kontena_core::placement::{Outcome, Plan};
use serde_json::{Value, json};

use super::changes::{documents, noting};
use super::fixture::{Server, accepted, node, view};
use crate::api::types::Saved;
use crate::api::types::grid::{Grid, GridChange};
use crate::api::types::node::{Departures, Fate, Node};
use crate::api::types::{Changed, error::ErrorKind};

#[tokio::test]
async fn the_default_affinity_is_changed_as_a_whole_and_shown() {
    let (server, _) = noting(|command, view| {
        let Command::UpdateGrid { default_affinity } = command else {
            panic!("{command:?}");
        };
        let grid = &mut documents(view).grid;
        grid.default_affinity.clone_from(default_affinity);
        accepted()
    })
    .await;
    let change = GridChange {
        default_affinity: Some(vec!["label!=~edge".parse().unwrap()]),
    };
    let path = "/v1/grids/home";
    let grid: Changed<Grid> = server.client.put(path, &change).await.unwrap();
    assert_eq!(grid.object.default_affinity, ["label!=~edge"]);
    let kept: Changed<Grid> = server.client.put(path, &json!({})).await.unwrap();
    assert_eq!(kept.object.default_affinity, ["label!=~edge"]);
    let wrong = json!({"default_affinity": ["zone==a"]});
    let refused = server.client.put::<_, Value>(path, &wrong).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Invalid);
}

#[tokio::test]
async fn too_much_in_a_plan_is_refused_before_anything_is_looked_for() {
    let (server, _) = noting(|command, _| panic!("{command:?}")).await;
    let request = json!({"kill": vec!["nobody"; 600], "drain": vec!["nobody"; 401]});
    let refused = server
        .client
        .post::<_, Value>("/v1/grids/home/plan", &request)
        .await
        .unwrap_err();
    assert_eq!(refused.status, Some(422));
    assert_eq!(refused.message, "1001 suppositions, 1000 are possible");
}

#[tokio::test]
async fn a_plan_tells_what_would_happen_and_does_nothing() {
    let (server, noted) = noting(|command, _| panic!("{command:?}")).await;
    let request = json!({"drain": ["alpha"], "add": [{"name": "omega", "labels": ["az=b"]}]});
    let path = "/v1/grids/home/plan";
    let plan: Plan = server.client.post(path, &request).await.unwrap();
    let web = plan
        .changes
        .iter()
        .find(|it| it.instance.to_string() == "shop/web-1");
    let omega = "omega".parse().unwrap();
    assert_eq!(web.unwrap().outcome, Outcome::Moves { to: omega });
    assert!(noted.lock().unwrap().is_empty());
    for (wrong, kind) in [
        (json!({"kill": ["nobody"]}), ErrorKind::NotFound),
        (json!({"add": [{"name": "alpha"}]}), ErrorKind::Invalid),
        (
            json!({"label": [{"node": "alpha", "label": ""}]}),
            ErrorKind::Invalid,
        ),
        (json!({"burn": ["alpha"]}), ErrorKind::Invalid),
    ] {
        let refused = server.client.post::<_, Value>(path, &wrong).await;
        assert_eq!(refused.unwrap_err().kind, kind, "{wrong}");
    }
}

#[tokio::test]
async fn a_drained_node_tells_what_it_still_has() {
    let mut view = view();
    let roster = &mut documents(&mut view).roster;
    roster.get_mut(&node(1)).unwrap().availability = kontena_core::view::Availability::Drain;
    let server = Server::reading(view).await;
    expect![[r#"
        {
          "away": false,
          "departures": [
            {
              "fate": "stays",
              "instance": "shop/web-1",
              "to": null
            }
          ]
        }"#]]
    .assert_eq(&server.get("/v1/nodes/home/alpha/departures").await);
    let path = "/v1/nodes/home/gamma/departures";
    let away: Departures = server.client.get(path).await.unwrap();
    assert!(away.away);
    assert!(!away.departures.iter().any(|one| one.fate == Fate::Moves));
}

#[tokio::test]
async fn a_node_that_is_assumed_dead_is_shown_so() {
    let mut view = view();
    view.absences.entry(node(3)).or_default().assumed_dead = true;
    let server = Server::reading(view).await;
    let gamma: Node = server.client.get("/v1/nodes/home/gamma").await.unwrap();
    let said = "assumed dead: nobody waits for it until it is heard of again";
    assert_eq!(gamma.problems, [said]);
}

#[tokio::test]
async fn a_node_that_is_heard_of_is_not_assumed_dead() {
    let (server, noted) = noting(|command, _| match command {
        Command::AssumeDead(dead) if *dead == node(3) => accepted(),
        Command::AssumeDead(_) => Err(Refusal::Invalid("it is heard of".to_owned())),
        other => panic!("{other:?}"),
    })
    .await;
    let path = |name: &str| format!("/v1/nodes/home/{name}/assume_dead");
    let _: Saved = server
        .client
        .post(&path("gamma"), &json!({}))
        .await
        .unwrap();
    let refused = server
        .client
        .post::<_, Saved>(&path("alpha"), &json!({}))
        .await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Invalid);
    let missing = server
        .client
        .post::<_, Saved>(&path("nobody"), &json!({}))
        .await;
    assert_eq!(missing.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(noted.lock().unwrap().len(), 2);
}
