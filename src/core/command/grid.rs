//! Commands about the grid as a whole → edits.

use super::Refusal;
use crate::document::edit::Edit;
use crate::stack::Affinity;
use crate::view::View;

/// More than anybody writes, and each is asked of every node for every service that has none of its own.
const MAX_AFFINITIES: usize = 100;

pub(super) fn update(view: &View, default_affinity: &[Affinity]) -> Result<Vec<Edit>, Refusal> {
    if default_affinity.len() > MAX_AFFINITIES {
        return Err(Refusal::Invalid(format!(
            "{} affinities, {MAX_AFFINITIES} are possible",
            default_affinity.len()
        )));
    }
    if default_affinity == view.documents.grid.default_affinity {
        return Ok(Vec::new());
    }
    Ok(vec![Edit::DefaultAffinity(default_affinity.to_vec())])
}
