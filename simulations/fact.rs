//! What has happened, as somebody sees it who sees all hosts at once. Checks and traces are made of
//! facts alone.

use std::sync::Arc;

use kontena_core::command::{CommandId, Reply};
use kontena_core::document::SignedEnvelope;
use kontena_core::id::EnvelopeHash;
use kontena_core::keys::{KeyReply, KeyWrite};
use kontena_core::node::Phase;
use kontena_core::reconcile::action::Action;
use kontena_core::view::View;

use crate::engine::Change;

/// One thing that happened on a host.
#[derive(Clone, Debug)]
pub enum Fact {
    Booted,
    /// The node's process is told to stop.
    ToldToStop,
    /// The node's process ended, and with the power all containers.
    Died {
        power: bool,
    },
    /// A person gave a command.
    Given(CommandId),
    Replied {
        id: CommandId,
        reply: Reply,
    },
    /// Somebody writes a key, and is answered.
    KeyWritten {
        id: CommandId,
        write: KeyWrite,
    },
    KeyAnswered {
        id: CommandId,
        reply: KeyReply,
    },
    /// The node asks its engine for something; it sees the view that it shows at that moment.
    Asked(Action),
    /// The engine did something, or something happened to its containers.
    Changed(Change),
    /// These are on the disk now.
    Saved(Vec<SignedEnvelope>),
    /// These are on the disk no more.
    Lost(Vec<EnvelopeHash>),
    /// The node shows another view than before, or another phase.
    Shown {
        before: Arc<View>,
        was: Phase,
    },
    /// One input made many outputs.
    Answered {
        outputs: usize,
    },
    /// A message of so many bytes was sent.
    Sent {
        bytes: usize,
    },
}
