//! What is in a Docker volume, as a tar: read by the engine, and put in place of what was there.
//!
//! The engine makes and reads the tar itself, with any volume driver, through a container that mounts the volume and is
//! never started. The image of that one is empty: nothing is pulled for it. What is put in is written into a volume
//! beside it first, and changes places with what was there in one step of the kernel (`renameat2`, `RENAME_EXCHANGE`): there is
//! no moment at which half of it is in place, whatever ends when.

mod carrier;
pub(super) mod claims;
mod fill;
mod leftovers;
mod mounts;
mod place;
mod tar;
mod users;

pub(crate) use carrier::Carrier;
pub(crate) use mounts::MountWatch;
pub(crate) use place::Staged;
pub(crate) use tar::{Tar, TarProblem};
pub(crate) use users::User;

use std::collections::HashMap;

use anyhow::{Context, ensure};
use bollard::models::Volume;
use data_encoding::HEXLOWER;

use super::Docker;
use super::labels::GRID;
use super::trouble::Trouble;

/// The grid for which something was made in passing: neither a container that an instance is, nor data.
pub(super) const PASSING: &str = "io.kontena.passing.grid";
/// The life of the daemon that made it: what another one made nobody waits for.
const LIFE: &str = "io.kontena.passing.life";

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

    /// Takes copies and containers, until the claim is dropped.
    ///
    /// # Errors
    /// One of them is taken.
    pub(crate) fn claim(&self, names: Vec<String>) -> anyhow::Result<claims::Claim> {
        self.claims.take(names)
    }

    /// What is known by it that something was made in passing, by this life of the daemon.
    fn in_passing(&self, grid: &str) -> HashMap<String, String> {
        let labels = [(PASSING, grid), (LIFE, &self.life)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        HashMap::from(labels)
    }
}

/// What the engine said against something.
fn said(what: &str, trouble: &Trouble) -> anyhow::Error {
    anyhow::anyhow!("failed to {what}: {}", trouble.problem())
}

/// A name that nobody else has.
fn name_of(what: &str) -> anyhow::Result<String> {
    Ok(format!("kontena-{what}-{}", random()?))
}

/// Sixteen digits that nobody else has.
pub(super) fn random() -> anyhow::Result<String> {
    let random = crate::entropy::entropy().context("failed to make a name")?;
    Ok(HEXLOWER.encode(&random[..8]))
}
