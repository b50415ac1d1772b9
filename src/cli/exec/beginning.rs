//! What is said of a one-off container until its command runs: how far its image has come, and where it runs.

use crate::api::types::exec::News;
use crate::cli::session::Session;
use crate::cli::text::printable;

/// A pull is told of in steps of so many hundredths.
const STEP: u8 = 10;

pub(super) struct Beginning<'s> {
    session: &'s Session,
    is_silent: bool,
    /// The terminal goes to the beginning of a line only where it is told to.
    is_raw: bool,
    /// The step that was told last.
    told: Option<u8>,
    /// `NODE/CONTAINER`, once it runs.
    pub(super) container: Option<String>,
}

impl<'s> Beginning<'s> {
    pub(super) fn new(session: &'s Session, is_silent: bool, is_raw: bool) -> Self {
        Self {
            session,
            is_silent,
            is_raw,
            told: None,
            container: None,
        }
    }

    pub(super) fn note(&mut self, news: &News) {
        match news {
            News::Pulls(hundredths) => {
                let step = hundredths / STEP;
                if self.told.is_none_or(|told| step > told) {
                    self.told = Some(step);
                    self.say(&format!("its image is pulled: {} %", step * STEP));
                }
            }
            News::Runs { node, container } => {
                let (node, container) = (printable(node), printable(container));
                self.say(&format!("running in `{container}` on `{node}`"));
                self.container = Some(format!("{node}/{container}"));
            }
        }
    }

    fn say(&self, text: &str) {
        let end = if self.is_raw { "\r" } else { "" };
        if !self.is_silent {
            self.session.output.talk(&format!("{text}{end}"));
        }
    }
}
