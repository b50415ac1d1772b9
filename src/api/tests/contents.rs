//! What is in volumes over the API, with copies that are texts. What real engines do is told by the e2e tests.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{SinkExt, StreamExt};
use kontena_core::id::{EnvelopeHash, NodeId};
use kontena_core::view::{Freshness, View};
use kontena_core::volume::Copy;
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};

use super::fixture::{Server, add_report, node, view};
use crate::api::backend::{Carried, Contents, Volumes};
use crate::api::client::ApiError;
use crate::api::types::error::ErrorKind;
use crate::api::types::exec::{EXEC, Failed, Heard, Said, answering, asking};

/// Copies whose tar is their name, and that take every tar but a `broken` one.
#[derive(Default)]
pub(super) struct FakeVolumes {
    /// What was asked for, and of whom.
    asked: Mutex<Vec<(NodeId, Contents)>>,
    /// What was put in place.
    written: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Volumes for FakeVolumes {
    fn open(
        &self,
        asked: NodeId,
        contents: Contents,
    ) -> BoxFuture<'_, Result<Box<dyn Carried>, String>> {
        self.asked.lock().unwrap().push((asked, contents.clone()));
        if asked == node(2) {
            return Box::pin(async { Err("it is cut off".to_owned()) });
        }
        let (near, far) = duplex(1024);
        match contents {
            Contents::Read { copy, .. } => tokio::spawn(read(far, copy)),
            Contents::Write { .. } => tokio::spawn(write(far, Arc::clone(&self.written))),
            Contents::Remove { copy } => tokio::spawn(remove(far, copy)),
        };
        Box::pin(async move { Ok(Box::new(near) as Box<dyn Carried>) })
    }
}

async fn read(io: DuplexStream, copy: String) -> Option<()> {
    let mut words = answering(io);
    let piece = Heard::Output(Bytes::from(copy));
    words.send(piece).await.ok()?;
    words.send(Heard::Ended(0)).await.ok()?;
    words.close().await.ok()
}

async fn write(io: DuplexStream, written: Arc<Mutex<Vec<Vec<u8>>>>) -> Option<()> {
    let mut words = answering(io);
    let mut tar = Vec::new();
    loop {
        match words.next().await?.ok()? {
            Said::Input(bytes) => tar.extend_from_slice(&bytes),
            Said::InputEnds => break,
            Said::Alive | Said::Start(_) | Said::Resize(_) => {}
        }
    }
    let last = match tar.as_slice() {
        b"broken" => Heard::Failed(Failed::NotNow, "it is no tar".to_owned()),
        _ => Heard::Ended(0),
    };
    written.lock().unwrap().push(tar);
    words.send(last).await.ok()?;
    words.close().await.ok()
}

async fn remove(io: DuplexStream, copy: String) -> Option<()> {
    let mut words = answering(io);
    let last = match copy.as_str() {
        "shop.db.data-1" => Heard::Failed(Failed::NotNow, "it is somebody's data".to_owned()),
        _ => Heard::Ended(0),
    };
    words.send(last).await.ok()?;
    words.close().await.ok()
}

/// Alpha has two copies, beta one of the same name as the first, and an instance's own data.
fn with_copies() -> View {
    let mut view = view();
    let creation = EnvelopeHash([7; 32]);
    let data = || Copy::Volume {
        volume: "data".parse().unwrap(),
        creation,
    };
    let own = Copy::Own {
        instance: "shop/redis-1".parse().unwrap(),
        creation,
    };
    add_report(&mut view, 1, Freshness::Fresh, &[]);
    for (number, name, copy) in [
        (1, "shop.db.data-1", data()),
        (1, "shop.db.data-2", data()),
        (2, "shop.db.data-1", data()),
        (2, "shop.redis-1.aa.bb", own),
    ] {
        let report = view.reports.get_mut(&node(number)).unwrap();
        let volumes = &mut Arc::make_mut(report).volumes;
        volumes.insert(name.to_owned(), copy);
    }
    view
}

async fn heard(server: &Server, path: &str, said: &[Said]) -> Result<Vec<Heard>, ApiError> {
    let mut words = asking(server.client.carried(path, EXEC).await?);
    for word in said {
        words.send(word.clone()).await.unwrap();
    }
    Ok(words.map(Result::unwrap).collect().await)
}

#[tokio::test]
async fn a_copy_is_read_where_it_is_and_its_end_is_told() {
    let server = Server::reading(with_copies()).await;
    let path = "/v1/volumes/home/shop.db.data-2/backup?live=1";
    let told = heard(&server, path, &[]).await.unwrap();
    let tar = Heard::Output(Bytes::from_static(b"shop.db.data-2"));
    assert_eq!(told, [tar, Heard::Ended(0)]);
    let asked = server.volumes.asked.lock().unwrap().clone();
    let read = Contents::Read {
        copy: "shop.db.data-2".to_owned(),
        live: true,
    };
    assert_eq!(asked, [(node(1), read)]);
}

#[tokio::test]
async fn a_tar_is_put_in_place_of_a_copy_and_what_is_wrong_with_it_is_told() {
    let server = Server::reading(with_copies()).await;
    let path = "/v1/volumes/home/shop.db.data-1/restore?node=alpha";
    let said = |tar: &'static str| [Said::Input(tar.into()), Said::InputEnds];
    let told = heard(&server, path, &said("whole")).await.unwrap();
    assert_eq!(told, [Heard::Ended(0)]);
    let told = heard(&server, path, &said("broken")).await.unwrap();
    let problem = "it is no tar".to_owned();
    assert_eq!(told, [Heard::Failed(Failed::NotNow, problem)]);
    let written = server.volumes.written.lock().unwrap().clone();
    assert_eq!(written, [b"whole".to_vec(), b"broken".to_vec()]);
}

#[tokio::test]
async fn which_copy_is_meant_has_to_be_clear() {
    let server = Server::reading(with_copies()).await;
    for (copy, kind, words) in [
        ("nothing/backup", ErrorKind::NotFound, "`nothing`"),
        (
            "data/backup",
            ErrorKind::Invalid,
            "`shop.db.data-1` on node `alpha`",
        ),
        (
            "shop.db.data-1/backup",
            ErrorKind::Invalid,
            "on node `beta`",
        ),
        (
            "shop.db.data-2/backup?node=beta",
            ErrorKind::NotFound,
            "`shop.db.data-2`",
        ),
        (
            "shop.db.data-2/backup?node=omega",
            ErrorKind::NotFound,
            "omega",
        ),
        ("shop.redis-1.aa.bb/backup", ErrorKind::Busy, "cut off"),
        (
            "shop.db.data-2/backup?live=maybe",
            ErrorKind::Invalid,
            "live",
        ),
    ] {
        let path = format!("/v1/volumes/home/{copy}");
        let refused = heard(&server, &path, &[]).await.unwrap_err();
        assert_eq!(refused.kind, kind, "{path}: {refused}");
        assert!(refused.message.contains(words), "{path}: {refused}");
    }
    let plain = server
        .refused("/v1/volumes/home/shop.db.data-2/restore")
        .await;
    assert!(plain.message.contains("kontena-exec"), "{plain}");
}

#[tokio::test]
async fn a_volume_with_one_copy_on_a_node_is_enough_of_a_name() {
    let server = Server::reading(with_copies()).await;
    let path = "/v1/volumes/home/data/restore?node=beta";
    let refused = heard(&server, path, &[]).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Busy);
    let write = Contents::Write {
        copy: "shop.db.data-1".to_owned(),
    };
    let asked = server.volumes.asked.lock().unwrap().clone();
    assert_eq!(asked, [(node(2), write)]);
}

#[tokio::test]
async fn copies_are_listed_with_whose_they_are() {
    let server = Server::reading(with_copies()).await;
    let path = "/v1/grids/home/volume_copies";
    let listed: Value = server.client.get(path).await.unwrap();
    let copy = |name: &str, node: &str| json!({"name": name, "node": node, "volume": "data", "instance": null});
    assert_eq!(
        listed["copies"],
        json!([
            copy("shop.db.data-1", "alpha"),
            copy("shop.db.data-1", "beta"),
            copy("shop.db.data-2", "alpha"),
            {"name": "shop.redis-1.aa.bb", "node": "beta", "volume": null, "instance": "home/shop/redis-1"},
        ])
    );
}

#[tokio::test]
async fn a_copy_is_removed_from_its_node_unless_that_refuses() {
    let server = Server::reading(with_copies()).await;
    let remove = async |copy: &str| {
        let path = format!("/v1/grids/home/volume_copies/{copy}");
        server.client.delete::<Value>(&path).await
    };
    let removed = remove("alpha/shop.db.data-2").await.unwrap();
    assert_eq!(removed["name"], "shop.db.data-2");
    for (copy, words) in [
        ("alpha/shop.db.data-1", "somebody's data"),
        ("alpha/shop.redis-1.aa.bb", "`shop.redis-1.aa.bb`"),
        ("beta/shop.db.data-1", "cut off"),
        ("omega/shop.db.data-1", "omega"),
    ] {
        let refused = remove(copy).await.unwrap_err();
        assert!(refused.message.contains(words), "{copy}: {refused}");
    }
}
