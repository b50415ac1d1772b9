//! `service force-move`.

use kontena_core::id::{NodeName, ServiceKey};
use serde_json::json;

use crate::api::paths;
use crate::api::types::Saved;
use crate::api::types::instance::ForceMove;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

pub(super) async fn force_move(
    session: &Session,
    name: &ServiceKey,
    instance: u32,
    node: &NodeName,
    data_loss: bool,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let service = paths::service(&grid, name);
    let path = format!("{service}/instances/{instance}/force_move");
    let asked = ForceMove {
        node: node.to_string(),
        data_loss: Some(data_loss),
    };
    let saved: Saved = session.client.post(&path, &asked).await?;
    let said =
        format!("bound `{name}-{instance}` to node `{node}`: it starts there without its data");
    session.print_change(
        &said,
        &saved,
        json!({"service": name, "instance": instance, "node": node}),
    )
}
