//! What a backup is made of: all that is on this node's disk, and its key.

use futures::FutureExt;
use futures::future::BoxFuture;
use kontena_core::identity::SecretKey;

use crate::api::backend::Backups;
use crate::backup::Contents;
use crate::disk::Reader;

pub(super) struct DiskBackups {
    pub(super) key: SecretKey,
    pub(super) boot: u64,
    pub(super) disk: Reader,
}

impl Backups for DiskBackups {
    fn contents(&self) -> BoxFuture<'_, anyhow::Result<Contents>> {
        let read = async move {
            let state = self.disk.read().await?;
            Ok(Contents::of(&self.key, self.boot, state))
        };
        read.boxed()
    }
}
