//! The terminal of whoever asks: every key goes to the command as it is, and what it was before comes back at the end,
//! however that comes.

use std::future::pending;
use std::io;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::api::types::exec::Size;

/// Made raw; dropped, it is as it was.
pub(super) struct Terminal {
    before: Termios,
}

impl Terminal {
    /// # Errors
    /// Standard input is none.
    pub(super) fn raw() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        Ok(Self { before })
    }

    pub(super) fn size(&self) -> Option<Size> {
        size()
    }

    /// Its size, each time that it changes.
    pub(super) fn resizes(&self) -> mpsc::Receiver<Size> {
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
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Err(problem) = tcsetattr(io::stdin(), OptionalActions::Now, &self.before) {
            tracing::debug!(%problem, "The terminal is not as it was");
        }
    }
}

fn size() -> Option<Size> {
    let size = tcgetwinsize(io::stdin()).ok()?;
    Some(Size {
        width: size.ws_col,
        height: size.ws_row,
    })
}

/// Waits for a signal that ends programs, so that the terminal is put back first: the exit code of it.
pub(super) async fn told_to_end() -> i64 {
    const TERMINATED: i64 = 128 + 15;
    const HUNG_UP: i64 = 128 + 1;
    let mut terminate = signal(SignalKind::terminate()).ok();
    let mut hangup = signal(SignalKind::hangup()).ok();
    tokio::select! {
        () = received(&mut terminate) => TERMINATED,
        () = received(&mut hangup) => HUNG_UP,
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}
