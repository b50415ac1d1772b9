//! Members that do not know each other any more.
//!
//! A node whose disk lost the admission of the others, or that was off while each of them was replaced,
//! knows nobody who is there. To it they are strangers, and it does not listen to strangers; nor does it
//! know where they are. But they know it. So a member that is not heard of is told now and then what it
//! may not know: changes of the `grid` document. These prove themselves, whoever brings them. Nothing else
//! is taken from a stranger, and nothing of it is kept that was not written by a member.
//!
//! Not told so: a node that was removed meanwhile. Nobody knows its addresses any more.

use std::time::Duration;

use crate::document::{DocumentId, Have, SignedEnvelope};
use crate::id::NodeId;
use crate::message::{Presentation, Presented};
use crate::time::{Instant, Now};

use super::{Node, Output, Phase};

/// One of those that are not heard of is called so often.
const EVERY: Duration = Duration::from_secs(10);

/// A call that is not answered by then is given up.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// What one call carries, unless one change is larger.
const PAGE_BYTES: usize = 128 * 1024;

/// The most calls in a row: who answers always something else is called again later.
const MAX_CALLS: u32 = 64;

/// Whom this node calls, and when again.
#[derive(Debug, Default)]
pub(super) struct Presenting {
    next: Option<Instant>,
    call: Option<Call>,
}

/// A call that is under way.
#[derive(Debug)]
struct Call {
    to: NodeId,
    until: Instant,
    number: u32,
    /// What it had, when it was asked last.
    had: Option<Have>,
}

impl Presenting {
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.next
    }
}

impl Node {
    /// Calls a member that is not heard of, if it is time.
    pub(super) fn present(&mut self, now: Now) {
        if self.phase != Phase::Member || self.is_stopping() {
            self.presenting = Presenting::default();
            return;
        }
        let next = *self.presenting.next.get_or_insert(now.monotonic + EVERY);
        if now.monotonic < next {
            return;
        }
        self.presenting.next = Some(now.monotonic + EVERY);
        let is_over = |call: &mut Call| call.until <= now.monotonic;
        self.presenting.call.take_if(is_over);
        if self.presenting.call.is_none()
            && let Some(to) = self.somebody_unheard_of()
        {
            self.call(to, 1, None, Vec::new(), now);
        }
    }

    fn somebody_unheard_of(&mut self) -> Option<NodeId> {
        let others = self.view.standings.iter();
        let unheard_of: Vec<NodeId> = others
            .filter(|(node, standing)| **node != self.me && !standing.freshness.is_online())
            .map(|(node, _)| *node)
            .collect();
        self.chance.pick(&unheard_of).copied()
    }

    fn call(
        &mut self,
        to: NodeId,
        number: u32,
        had: Option<Have>,
        envelopes: Vec<SignedEnvelope>,
        now: Now,
    ) {
        let Some(grid) = self.view.documents.grid.id else {
            return;
        };
        self.presenting.call = Some(Call {
            to,
            until: now.monotonic + ANSWERED_WITHIN,
            number,
            had,
        });
        let presentation = Presentation { grid, envelopes };
        self.push(Output::Present { to, presentation });
    }

    /// The member that was called says what it has, or cannot be reached. It is given what it lacks, as
    /// long as that changes anything.
    pub(super) fn presented(&mut self, to: NodeId, answer: Result<Presented, String>, now: Now) {
        let Some(call) = self.presenting.call.take_if(|call| call.to == to) else {
            return;
        };
        let Ok(Presented { have: Some(have) }) = answer else {
            return;
        };
        if call.had.as_ref() == Some(&have) || call.number >= MAX_CALLS {
            return;
        }
        let mut missing = self.replica.missing(&DocumentId::Grid, &have, PAGE_BYTES);
        missing.truncate(Presentation::MAX_CHANGES);
        if !missing.is_empty() {
            self.call(to, call.number + 1, Some(have), missing, now);
        }
    }

    /// Somebody whom this node may not know says that it is a member.
    pub(super) fn stranger_presents(&mut self, id: u64, presentation: Presentation) {
        let is_ours = self.in_grid() && self.replica.grid() == Some(presentation.grid);
        if is_ours {
            self.take_from_stranger(presentation.envelopes);
        }
        let have = is_ours.then(|| self.replica.have(&DocumentId::Grid));
        let presented = Presented { have };
        self.push(Output::AnswerPresentation { id, presented });
    }

    /// Whatever does not follow from what is here ends it.
    fn take_from_stranger(&mut self, envelopes: Vec<SignedEnvelope>) {
        for envelope in envelopes.into_iter().take(Presentation::MAX_CHANGES) {
            let Some(newly) = self.replica.ingest_from_stranger(envelope) else {
                break;
            };
            for envelope in newly {
                self.saving.add(envelope);
            }
        }
        self.store();
    }
}
