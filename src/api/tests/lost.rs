//! A node that is lost in the middle of a command: who only reads asks the next one, and nothing is written twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::fixture::{Server, accepted, view};
use crate::api::client::Client;
use crate::api::target::Target;
use crate::api::types::exec::EXEC;

const NODES: &str = "/v1/grids/home/nodes";
const RESTART: &str = "/v1/services/home/shop/web/restart";
const COMMAND: &str = "/v1/containers/home/alpha/shop.web-1/exec";

fn gone() -> Target {
    Target::Socket("/nonexistent/kontena.sock".into())
}

/// A node that takes each request and is gone before it answers; and how many it took.
async fn breaking() -> (Target, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let read = stream.read(&mut [0; 1024]).await.unwrap();
            counted.fetch_add(usize::from(read > 0), Ordering::Relaxed);
        }
    });
    let target = Target::Tcp {
        authority,
        token: None,
    };
    (target, taken)
}

#[tokio::test]
async fn what_only_reads_is_asked_of_the_next_node_which_is_asked_from_then_on() {
    let server = Server::reading(view()).await;
    let (breaking, taken) = breaking().await;
    let there = server.client.target().clone();
    let client = Client::of_several(breaking, vec![gone(), there.clone()]);
    let _: Value = client.get(NODES).await.unwrap();
    assert_eq!(*client.target(), there);
    let _: Value = client.get(NODES).await.unwrap();
    assert_eq!(taken.load(Ordering::Relaxed), 1);

    let client = Client::of_several(gone(), vec![there.clone()]);
    client.carried(COMMAND, EXEC).await.unwrap();
    let client = Client::of_several(gone(), vec![there]);
    let followed = client.follow::<Value>("/v1/grids/home/container_logs?follow=1");
    followed.await.map(drop).unwrap();
}

#[tokio::test]
async fn what_is_refused_is_not_asked_again() {
    let server = Server::reading(view()).await;
    let there = server.client.target().clone();
    let client = Client::of_several(there.clone(), vec![gone()]);
    let refused = client.get::<Value>("/v1/nodes/home/omega").await;
    assert_eq!(refused.unwrap_err().status, Some(404));
    assert_eq!(*client.target(), there);
}

#[tokio::test]
async fn what_writes_is_never_repeated_and_says_that_it_may_have_been_done() {
    let server = Server::start(view(), |_, _| accepted()).await;
    let there = server.client.target().clone();
    let (breaking, taken) = breaking().await;
    let client = Client::of_several(breaking.clone(), vec![there]);
    let lost = client.post::<_, Value>(RESTART, &json!({})).await;
    let lost = lost.unwrap_err();
    assert!(lost.message.starts_with("the answer is lost: "), "{lost}");
    assert!(lost.hint.unwrap().contains("may have been made"));
    assert_eq!(taken.load(Ordering::Relaxed), 1);
    assert_eq!(*client.target(), breaking);
}

#[tokio::test]
async fn where_all_are_lost_that_is_told_and_each_was_asked_once() {
    let (first, first_taken) = breaking().await;
    let (second, second_taken) = breaking().await;
    let client = Client::of_several(first, vec![second]);
    let lost = client.get::<Value>(NODES).await.unwrap_err();
    assert!(
        lost.message.starts_with("none of 2 nodes answers"),
        "{lost}"
    );
    let taken = [first_taken, second_taken].map(|taken| taken.load(Ordering::Relaxed));
    assert_eq!(taken, [1, 1]);
}

#[tokio::test]
async fn a_command_about_one_node_asks_no_other() {
    let server = Server::reading(view()).await;
    let client = Client::of_several(gone(), vec![server.client.target().clone()]);
    client.stay();
    let lost = client.get::<Value>(NODES).await.unwrap_err();
    assert!(lost.is_unconnected(), "{lost}");
    assert_eq!(*client.target(), gone());
}
