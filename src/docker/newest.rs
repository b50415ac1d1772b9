//! What was seen and not read yet: only the newest, so that a slow reader never holds up the engine.

use std::sync::{Mutex, PoisonError};

use kontena_core::reconcile::action::Observed;
use tokio::sync::Notify;

/// The newest of each kind that was not read yet.
#[derive(Debug, Default)]
pub(super) struct Newest {
    unread: Mutex<Unread>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Unread {
    engine: Option<Observed>,
    containers: Option<Observed>,
    one_offs: Option<Observed>,
    volumes: Option<Observed>,
}

impl Newest {
    pub(super) fn put(&self, observed: Observed) {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        match observed {
            Observed::Containers(_) => unread.containers = Some(observed),
            Observed::OneOffs(_) => unread.one_offs = Some(observed),
            Observed::Volumes(_) => unread.volumes = Some(observed),
            Observed::Engine(_) => unread.engine = Some(observed),
            Observed::EngineTrouble { .. } => {
                // A list from before the trouble would look like a sign of life.
                unread.containers = None;
                unread.one_offs = None;
                unread.engine = Some(observed);
            }
        }
        drop(unread);
        self.changed.notify_one();
    }

    /// Returns after the next [`Newest::put`], or at once if there was one since it last returned.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn take(&self) -> Option<Observed> {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        // Who starts something looks at its volumes first.
        let engine = unread.engine.take();
        let volumes = engine.or_else(|| unread.volumes.take());
        let one_offs = volumes.or_else(|| unread.one_offs.take());
        one_offs.or_else(|| unread.containers.take())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kontena_core::report::Engine;

    use super::*;

    #[test]
    fn a_late_reader_gets_the_newest_of_each_kind_and_no_list_from_before_the_trouble() {
        let newest = Newest::default();
        let engine = || Observed::Engine(Engine::default());
        let trouble = || Observed::EngineTrouble {
            problem: "gone".to_owned(),
        };
        newest.put(engine());
        newest.put(Observed::Containers(BTreeMap::new()));
        newest.put(trouble());
        assert_eq!(newest.take(), Some(trouble()));
        assert_eq!(newest.take(), None);
        newest.put(Observed::Containers(BTreeMap::new()));
        newest.put(engine());
        assert_eq!(newest.take(), Some(engine()));
        assert!(matches!(newest.take(), Some(Observed::Containers(_))));
    }
}
