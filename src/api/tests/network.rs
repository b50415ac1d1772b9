//! The network of a node, asked of that node and shown with names.

use super::fixture::{Server, view};
use crate::api::types::error::ErrorKind;
use crate::api::types::network::{NodeNetwork, Way};

#[tokio::test]
async fn a_node_s_network_names_the_others_as_people_do() {
    let server = Server::reading(view()).await;
    let network: NodeNetwork = server
        .client
        .get("/v1/nodes/home/alpha/network")
        .await
        .unwrap();
    assert_eq!(network.node, "alpha");
    assert_eq!(network.interface.as_deref(), Some("kontena0"));
    let peer = &network.peers[0];
    assert_eq!((peer.node.as_str(), peer.way), ("beta", Way::Relayed));
    assert_eq!(peer.through.as_deref(), Some("alpha"));
}

#[tokio::test]
async fn a_node_that_cannot_be_asked_is_told_with_the_reason() {
    let server = Server::reading(view()).await;
    let refused = server.refused("/v1/nodes/home/beta/network").await;
    assert_eq!((refused.status, refused.kind), (Some(502), ErrorKind::Busy));
    assert_eq!(
        refused.message,
        "node `beta` cannot be asked: it is cut off"
    );
    let refused = server.refused("/v1/nodes/home/nobody/network").await;
    assert_eq!(refused.status, Some(404));
}
