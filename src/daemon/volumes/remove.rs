//! A copy of a volume removed by order, where it is nobody's data any more.

use std::sync::Arc;

use anyhow::{Context, bail};
use kontena_core::command::copy_user;
use kontena_core::id::NodeId;
use kontena_core::view::View;

use crate::docker::Docker;

/// Removes it from this node, `me`.
///
/// # Errors
/// It is an instance's data, a container has it, or it is not there.
pub(super) async fn remove(
    docker: Docker,
    view: Arc<View>,
    me: NodeId,
    grid: String,
    name: String,
) -> anyhow::Result<()> {
    let _copy = docker.claim(vec![name.clone()])?;
    docker.copy(&name, &grid).await?;
    let report = view.reports.get(&me);
    let copy = report.and_then(|report| report.volumes.get(&name));
    let copy = copy.with_context(|| format!("this node has no copy `{name}`"))?;
    if let Some(instance) = copy_user(&view, me, &name, copy) {
        bail!("it is the data of `{instance}`, which is bound to this node or runs here");
    }
    docker.remove_volume(&name, copy).await?;
    Ok(())
}
