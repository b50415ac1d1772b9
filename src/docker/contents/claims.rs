//! What is being read or replaced: one at a time for each copy, and for each container that hooks hold still for it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::bail;

/// What is taken, by Docker's names of copies and ids of containers.
#[derive(Clone, Debug, Default)]
pub(in crate::docker) struct Claims(Arc<Mutex<BTreeSet<String>>>);

/// Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Claims,
    taken: Vec<String>,
}

impl Claims {
    /// All of them, or none.
    ///
    /// # Errors
    /// One is taken.
    pub(in crate::docker) fn take(&self, wanted: Vec<String>) -> anyhow::Result<Claim> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(busy) = wanted.iter().find(|name| taken.contains(*name)) {
            bail!("`{busy}` is being read or replaced already");
        }
        taken.extend(wanted.iter().cloned());
        drop(taken);
        Ok(Claim {
            claims: self.clone(),
            taken: wanted,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let claims = &self.claims.0;
        let mut taken = claims.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|name| !self.taken.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_taken_once_until_it_is_given_back() {
        let claims = Claims::default();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let first = claims.take(names(&["a", "b"])).unwrap();
        assert!(claims.take(names(&["c", "b"])).is_err());
        let other = claims.take(names(&["c"])).unwrap();
        drop(first);
        assert!(claims.take(names(&["a", "c"])).is_err());
        drop(other);
        assert!(claims.take(names(&["a", "b", "c"])).is_ok());
    }
}
