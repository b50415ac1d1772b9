//! What may be said to a node that does not know the speaker.

use serde::{Deserialize, Serialize};

use super::{JoinAnswer, JoinCall};
use crate::document::{Have, SignedEnvelope};
use crate::id::GridId;

/// The largest call of a stranger: the largest change, and the words around it.
pub const MAX_CALL_BYTES: usize = 512 * 1024;

/// What a stranger says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StrangerCall {
    /// It asks to be admitted.
    Join(Box<JoinCall>),
    /// It says that it is a member already.
    Present(Presentation),
}

/// What a stranger is answered, to a call of the same name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StrangerAnswer {
    Join(JoinAnswer),
    Present(Presented),
}

/// "You do not know that I am a member of your grid: here is the proof."
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presentation {
    pub grid: GridId,
    /// Changes of the `grid` document, in causal order, at most [`Presentation::MAX_CHANGES`]. Each
    /// proves itself by its signature and by who admitted its author. None in the first call.
    pub envelopes: Vec<SignedEnvelope>,
}

impl Presentation {
    /// Taking one in costs some 0.1 ms.
    pub const MAX_CHANGES: usize = 64;
}

/// What the receiver has of the `grid` document now; `None` if it belongs to another grid, or to none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presented {
    pub have: Option<Have>,
}
