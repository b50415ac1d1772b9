//! Docker volumes made of what came.

use anyhow::{Context, ensure};
use kontena_core::reconcile::action::Failure;
use kontena_core::volume::{Definition, Mounted, Scope};
use tokio::fs::File;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use super::arrival::{Note, Part, Spool};
use super::wire::PIECE;
use super::{UNWANTED, on_disk, room};
use crate::docker::Docker;

/// Whoever makes them, until nobody waits for it any more.
pub(super) struct Unpacking<'a> {
    pub(super) docker: &'a Docker,
    pub(super) grid: String,
    pub(super) stop: CancellationToken,
}

impl Unpacking<'_> {
    /// Makes all of them, durably, and notes that. What was made of an earlier attempt goes first.
    pub(super) async fn make_all(
        &self,
        spool: &mut Spool,
        copies: &[Mounted],
        digests: Vec<String>,
    ) -> anyhow::Result<()> {
        spool.note.whole = None;
        for (index, copy) in copies.iter().enumerate() {
            self.make(spool, index, copy).await?;
        }
        spool.note.whole = Some(digests);
        write_note(spool).await
    }

    /// Those that a person has removed since are made anew, if what came is here yet.
    pub(super) async fn mend(&self, spool: &mut Spool) -> anyhow::Result<()> {
        for index in 0..spool.note.copies.len() {
            let part = &spool.note.copies[index];
            if self.is_here(part).await? {
                continue;
            }
            let lost = format!("the volume `{}` was removed", part.name);
            let copy = Mounted {
                name: part.name.clone(),
                // No others move.
                definition: Definition::local(Scope::Instance),
                copy: part.copy.clone(),
            };
            let came = spool.clone();
            let checked = on_disk(move || came.check_is_whole(index)).await;
            checked.with_context(|| lost)?;
            self.make(spool, index, &copy).await?;
        }
        Ok(())
    }

    /// Whether all were made, and nobody has removed one since.
    pub(super) async fn are_here(&self, note: &Note) -> anyhow::Result<bool> {
        for part in &note.copies {
            if !self.is_here(part).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn is_here(&self, part: &Part) -> Result<bool, Failure> {
        let Part { name, copy, .. } = part;
        Ok(part.filled && self.docker.has_arrival(name, copy, &self.grid).await?)
    }

    /// That nobody can have read what is not all there, or written to it.
    pub(super) async fn check_are_nobodys(&self, note: &Note) -> anyhow::Result<()> {
        for part in &note.copies {
            self.docker.check_is_nobodys(&part.name).await?;
        }
        Ok(())
    }

    /// What is made and not filled is in the way of others that need the room.
    pub(super) async fn make_room(&self, note: &Note) {
        let halves = note.copies.iter().filter(|part| part.made && !part.filled);
        for Part { name, copy, .. } in halves {
            if let Err(problem) = self.docker.remove_arrival(name, copy).await {
                tracing::warn!(volume = name, %problem, "A part of a volume is left over");
            }
        }
    }

    async fn make(&self, spool: &mut Spool, index: usize, copy: &Mounted) -> anyhow::Result<()> {
        ensure!(!self.stop.is_cancelled(), UNWANTED);
        self.clear_the_place(spool, index, copy).await?;
        let root = self.docker.data_root().await?;
        let bytes = spool.length(index);
        if let Some(root) = root {
            on_disk(move || room::check_for_volume(&root, bytes)).await?;
        }
        self.docker.ensure_arrival(copy, &self.grid).await?;
        let tar = File::open(spool.tar(index)).await;
        let tar = tar.context("failed to read what has come")?;
        let tar = ReaderStream::with_capacity(tar, PIECE);
        let filling = self
            .docker
            .fill_volume(&copy.name, &self.grid, tar, &self.stop);
        filling.await?;
        spool.note.copies[index].filled = true;
        write_note(spool).await
    }

    /// It is noted that the volume is the arrival's before there is one.
    async fn clear_the_place(
        &self,
        spool: &mut Spool,
        index: usize,
        copy: &Mounted,
    ) -> anyhow::Result<()> {
        if spool.note.copies[index].made {
            spool.note.copies[index].filled = false;
            write_note(spool).await?;
            self.docker.check_is_nobodys(&copy.name).await?;
            self.docker.remove_arrival(&copy.name, &copy.copy).await?;
        }
        ensure!(
            !self.docker.has_volume(&copy.name).await?,
            "it has a Docker volume `{}` already",
            copy.name
        );
        if spool.note.copies[index].made {
            return Ok(());
        }
        spool.note.copies[index].made = true;
        write_note(spool).await
    }
}

async fn write_note(spool: &Spool) -> anyhow::Result<()> {
    let spool = spool.clone();
    on_disk(move || spool.write_note()).await
}
