//! Whether this node knows all that is known by those whom it hears.
//!
//! A replica may lag: its disk was restored, or a change is on its way. So a container of a newer deploy
//! than the documents here name is right, as long as somebody may know that deploy. If every disk that
//! had it is lost, nobody does: its container would stay for ever beside those of the others. News
//! reach everybody within some rounds of exchanges, however large the grid; so whoever heard from
//! nobody for a minute that has other documents lacks nothing that one of them knows.
//!
//! Who is away may still know it. That is heard of when it is back, and its deploy is then rolled out as
//! any newer one.

use std::time::Duration;

use crate::time::Instant;
use crate::view::{Freshness, View};

use super::Node;

/// How long all that is heard has to agree: 60 exchanges and more, where ten reach everybody.
const AGREES_FOR: Duration = Duration::from_secs(60);

/// Since when every exchange that came said that its sender has the same documents.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    since: Option<Instant>,
}

impl Agreement {
    /// Somebody said what documents it has.
    pub(super) fn hear(&mut self, is_same: bool, now: Instant) {
        match is_same {
            true => _ = self.since.get_or_insert(now),
            false => self.since = None,
        }
    }

    /// The roster is another one: who is alone agrees with itself, all others have to be heard.
    pub(super) fn begin_anew(&mut self, is_alone: bool, now: Instant) {
        self.since = is_alone.then_some(now);
    }

    fn lasts(&self, now: Instant) -> bool {
        let since = self.since;
        since.is_some_and(|since| now.since(since) >= AGREES_FOR)
    }
}

impl Node {
    /// Whether no member that can be heard knows more of the documents than this node, and enough of
    /// them can. A smaller side of a split keeps what it cannot judge.
    pub(super) fn is_up_to_date(&self, now: Instant) -> bool {
        self.agreement.lasts(now) && self.hears_half()
    }
}

/// As for taking over (rules of the mesh 2): who is gone for a day is not counted.
pub(super) fn hears_half(view: &View) -> bool {
    let (mut online, mut all) = (0, 0);
    for node in view.documents.roster.keys() {
        let freshness = view.freshness(node);
        online += usize::from(freshness.is_online());
        all += usize::from(freshness != Freshness::Gone);
    }
    2 * online >= all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn one_who_has_other_documents_begins_the_minute_anew() {
        let mut agreement = Agreement::default();
        assert!(!agreement.lasts(at(100)), "nobody was heard");
        agreement.hear(true, at(100));
        agreement.hear(true, at(150));
        assert!(!agreement.lasts(at(159)));
        assert!(agreement.lasts(at(160)));
        agreement.hear(false, at(161));
        assert!(!agreement.lasts(at(161)));
        agreement.hear(true, at(162));
        assert!(!agreement.lasts(at(200)));
        assert!(agreement.lasts(at(222)));
    }

    #[test]
    fn who_is_alone_agrees_with_itself_until_there_is_another() {
        let mut agreement = Agreement::default();
        agreement.begin_anew(true, at(1));
        assert!(agreement.lasts(at(61)));
        agreement.begin_anew(false, at(70));
        assert!(!agreement.lasts(at(200)));
    }
}
