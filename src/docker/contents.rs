//! What is in a Docker volume, as a tar: read by the engine, and put in place of what was there.
//!
//! The engine makes and reads the tar itself, with any volume driver, through a container that mounts the volume and is
//! never started. The image of that one is empty: nothing is pulled for it. What is put in is written into a volume
//! beside it first, and changes places with what was there in one step of the kernel (`renameat2`, `RENAME_EXCHANGE`): there is
//! no moment at which half of it is in place, whatever ends when.

mod carrier;
mod place;
mod tar;
mod users;

pub(crate) use place::Staged;
pub(crate) use tar::{Tar, TarProblem};
pub(crate) use users::{User, Users};

use anyhow::{Context, ensure};
use bollard::models::Volume;

use super::Docker;
use super::labels::GRID;
use super::trouble::Trouble;

/// Bears the grid for which it was made, and nothing else of ours does: neither a container that an instance is, nor data.
const PASSING: &str = "io.kontena.passing.grid";

impl Docker {
    /// A copy of the grid, as the engine knows it.
    ///
    /// # Errors
    /// It is not there, is another grid's, or the engine does not answer.
    pub(crate) async fn copy(&self, name: &str, grid: &str) -> anyhow::Result<Volume> {
        let found = self.find_volume(name).await;
        let found = found.context("failed to find the volume")?;
        let volume = found.with_context(|| format!("there is no Docker volume `{name}`"))?;
        let of = volume.labels.get(GRID);
        ensure!(
            of.is_some_and(|of| of == grid),
            "the Docker volume `{name}` is not of this grid"
        );
        Ok(volume)
    }

    /// Removes what an earlier life of the daemon left behind while it read volumes, or wrote them: nobody waits for it.
    pub(super) async fn remove_old_passing(&self, grid: &str) -> Result<(), Trouble> {
        self.remove_old_carriers(grid).await?;
        self.remove_old_staged(grid).await
    }
}

/// What the engine said against something.
fn said(what: &str, trouble: &Trouble) -> anyhow::Error {
    anyhow::anyhow!("failed to {what}: {}", trouble.problem())
}

/// All that bears the label of what was made for a grid in passing.
fn passing(grid: &str) -> std::collections::HashMap<String, Vec<String>> {
    let label = format!("{PASSING}={grid}");
    std::collections::HashMap::from([("label".to_owned(), vec![label])])
}

/// A name that nobody else has.
fn name_of(what: &str) -> anyhow::Result<String> {
    let random = crate::entropy::entropy().context("failed to make a name")?;
    let random: String = random[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("kontena-{what}-{random}"))
}
