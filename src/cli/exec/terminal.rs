//! The terminal of whoever asks: every key goes to the command as it is, and what it was before comes back at the end,
//! however that comes.

use std::io;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::api::types::exec::Size;

/// Made raw; dropped, it is as it was.
pub(super) struct Terminal {
    before: Termios,
    /// What ends programs: taken before it is raw, so that none of them ends this one too soon.
    endings: [Signal; 4],
}

impl Terminal {
    /// # Errors
    /// Standard input is none.
    pub(super) fn raw() -> io::Result<Self> {
        let endings = [
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::quit())?,
            signal(SignalKind::terminate())?,
        ];
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        Ok(Self { before, endings })
    }

    /// Waits for a signal that ends programs: the exit code of it.
    pub(super) async fn told_to_end(&mut self) -> i64 {
        let [hangup, interrupt, quit, terminate] = &mut self.endings;
        let number = tokio::select! {
            _ = hangup.recv() => SignalKind::hangup(),
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = quit.recv() => SignalKind::quit(),
            _ = terminate.recv() => SignalKind::terminate(),
        };
        128 + i64::from(number.as_raw_value())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Err(problem) = tcsetattr(io::stdin(), OptionalActions::Now, &self.before) {
            tracing::debug!(%problem, "The terminal is not as it was");
        }
    }
}

/// Of the terminal that standard input is.
pub(super) fn size() -> Option<Size> {
    let size = tcgetwinsize(io::stdin()).ok()?;
    Some(Size {
        width: size.ws_col,
        height: size.ws_row,
    })
}

/// Its size, each time that it changes.
pub(super) fn resizes() -> mpsc::Receiver<Size> {
    let (sizes, resizes) = mpsc::channel(1);
    tokio::spawn(async move {
        let Ok(mut changed) = signal(SignalKind::window_change()) else {
            return;
        };
        while changed.recv().await.is_some() {
            if let Some(size) = size()
                && sizes.send(size).await.is_err()
            {
                return;
            }
        }
    });
    resizes
}
