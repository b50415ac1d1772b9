//! Docker volumes of data that comes to this node, or goes: made with the labels of the copy that they are, and removed again.

use kontena_core::reconcile::action::{Failure, Outcome};
use kontena_core::volume::{Copy, Mounted};

use super::Docker;

impl Docker {
    /// Whether the engine has a volume of that name, whoever made it.
    pub(crate) async fn has_volume(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.find_volume(name).await?.is_some())
    }

    /// One that is there is taken as it is.
    pub(crate) async fn ensure_arrival(&self, copy: &Mounted, grid: &str) -> Result<(), Failure> {
        self.make_volume(copy, grid).await
    }

    /// One of this name that is not that copy is somebody else's, and stays.
    pub(crate) async fn remove_arrival(&self, name: &str, copy: &Copy) -> Outcome {
        self.remove_volume(name, copy).await
    }
}
