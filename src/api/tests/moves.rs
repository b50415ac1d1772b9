//! Moving instances with their data, over the API.

use std::collections::BTreeMap;
use std::sync::Arc;

use kontena_core::command::{Command, Refusal};
use kontena_core::id::{EnvelopeHash, InstanceId};
use kontena_core::report::{Health, InstanceState};
use kontena_core::stack::Service;
use kontena_core::view::{Deployed, MoveOrder, MoveState, Pin, Revision, View};
use kontena_core::volume::Copy;
use serde_json::{Value, json};

use super::changes::documents;
use super::fixture::{NOON, Server, accepted, hold, key, node, view};
use crate::api::types::Changed;
use crate::api::types::error::ErrorKind;
use crate::api::types::moving::Move;
use kontena_core::time::WallTime;

const PATH: &str = "/v1/volumes/home/shop.db.data-1/move";
const OWN: &str = "shop.db-1.06060606.01020304";

fn instance() -> InstanceId {
    "shop/db-1".parse().unwrap()
}

fn from() -> Pin {
    Pin {
        epoch: 1,
        node: node(1),
        moved: false,
    }
}

/// A database with a volume and data of its own runs on alpha.
fn with_database() -> View {
    let mut view = view();
    let mut service = Service::new("postgres:15");
    service.stateful = true;
    service.volumes = vec!["data:/data".parse().unwrap(), "/own".parse().unwrap()];
    let hash = service.hash();
    let record = documents(&mut view)
        .services
        .get_mut(&key("shop/db"))
        .unwrap();
    let latest = Revision {
        hash,
        number: 1,
        service: Ok(Arc::new(service)),
        image: None,
    };
    record.latest = latest.clone();
    record.deployed = Some(Deployed::new(latest, 7, WallTime(NOON)));
    record.pins.insert(1, from());
    let mut holds = hold(hash, 'a', InstanceState::Running, Health::Healthy);
    holds.problem = Some("it moves to node beta: 40 %".to_owned());
    let report = Arc::make_mut(view.reports.get_mut(&node(1)).unwrap());
    report.holds.insert(instance(), holds);
    let own = Copy::Own {
        instance: instance(),
        creation: EnvelopeHash([6; 32]),
    };
    report.volumes.insert(OWN.to_owned(), own);
    view
}

fn with_order(view: &mut View, state: MoveState) {
    let order = MoveOrder {
        from: from(),
        to: node(4),
        megabits: None,
        state,
    };
    let services = &mut documents(view).services;
    let record = services.get_mut(&key("shop/db")).unwrap();
    record.moves.insert(1, order);
}

/// One that is ordered.
pub(super) fn with_a_move() -> View {
    let mut view = with_database();
    with_order(&mut view, MoveState::Ordered);
    view
}

async fn server(view: View) -> Server {
    Server::start(view, |command, view| match command {
        Command::MoveInstance {
            instance: asked,
            node: to,
            megabits,
        } => {
            assert_eq!((asked, to, megabits), (instance(), node(4), Some(200)));
            with_order(view, MoveState::Ordered);
            accepted()
        }
        Command::CancelMove(asked) => {
            assert_eq!(asked, instance());
            with_order(view, MoveState::Cancelled);
            accepted()
        }
        other => Err(Refusal::Invalid(format!("{other:?}"))),
    })
    .await
}

#[tokio::test]
async fn an_instance_is_moved_by_the_name_of_any_of_its_data_and_followed() {
    let server = server(with_database()).await;
    let asked = json!({"node": "delta", "bandwidth": 200});
    for name in ["shop.db.data-1", OWN, "data"] {
        let path = format!("/v1/volumes/home/{name}/move");
        let ordered: Changed<Move> = server.client.post(&path, &asked).await.unwrap();
        let Move {
            instance,
            from,
            to,
            state,
            running,
            problem,
        } = ordered.object;
        assert_eq!(
            (instance, from, to, state),
            (
                "shop/db-1".into(),
                "alpha".into(),
                "delta".into(),
                "moving".into()
            )
        );
        assert!(running);
        assert_eq!(problem.as_deref(), Some("it moves to node beta: 40 %"));
    }
    let shown: Value = server.client.get("/v1/volumes/home/data").await.unwrap();
    assert_eq!(shown["moves"][0]["to"], "delta", "{shown}");
    let taken: Changed<Move> = server.client.delete(PATH).await.unwrap();
    assert_eq!(taken.object.state, "cancelled");
    let shown: Value = server.client.get("/v1/volumes/home/data").await.unwrap();
    assert_eq!(shown["moves"], json!([]), "{shown}");
}

#[tokio::test]
async fn what_became_of_a_move_is_told() {
    let done = MoveState::Done {
        copies: BTreeMap::new(),
    };
    let given_up = MoveState::GivenUp {
        problem: "after 5 attempts".to_owned(),
    };
    for (state, bound, told) in [
        (MoveState::Ordered, None, "void"),
        (
            done,
            Some(Pin {
                epoch: 2,
                node: node(4),
                moved: true,
            }),
            "done",
        ),
        (given_up, Some(from()), "given_up"),
        (MoveState::Cancelled, Some(from()), "cancelled"),
    ] {
        let mut view = with_database();
        with_order(&mut view, state);
        let other = Pin {
            epoch: 7,
            node: node(3),
            moved: false,
        };
        let services = &mut documents(&mut view).services;
        let record = services.get_mut(&key("shop/db")).unwrap();
        record.pins.insert(1, bound.unwrap_or(other));
        let server = server(view).await;
        let shown: Move = server.client.get(PATH).await.unwrap();
        assert_eq!(shown.state, told);
    }
}

#[tokio::test]
async fn what_nobody_who_is_bound_has_is_not_moved() {
    let server = server(with_database()).await;
    let asked = json!({"node": "delta"});
    for (path, kind) in [
        ("/v1/volumes/home/nothing/move", ErrorKind::NotFound),
        ("/v1/volumes/other/data/move", ErrorKind::NotFound),
    ] {
        let refused = server
            .client
            .post::<_, Value>(path, &asked)
            .await
            .unwrap_err();
        assert_eq!(refused.kind, kind, "{path}");
    }
    let nowhere = json!({"node": "omega"});
    let refused = server.client.post::<_, Value>(PATH, &nowhere).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::NotFound);
    let none = server.client.get::<Value>(PATH).await.unwrap_err();
    assert_eq!(none.kind, ErrorKind::NotFound, "nothing was ordered");
}
