//! A connection whose other side has to take what is written: who takes nothing for long is cut off.
//!
//! It ends once the connection is handed over to something else than HTTP: a terminal may be stopped for an hour.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A person looks at a page of a log for as long as this.
const LIMIT: Duration = Duration::from_secs(300);

/// Bytes in both directions.
pub(super) struct Patient<I> {
    io: I,
    /// Runs while the other side takes nothing.
    waiting: Option<Pin<Box<Sleep>>>,
    handed_over: Arc<AtomicBool>,
}

impl<I> Patient<I> {
    pub(super) fn new(io: I) -> Self {
        Self {
            io,
            waiting: None,
            handed_over: Arc::default(),
        }
    }

    /// To be set when HTTP is over.
    pub(super) fn handed_over(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.handed_over)
    }

    /// What the write says, unless it has waited for too long.
    fn hurried<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() || self.handed_over.load(Ordering::Relaxed) {
            self.waiting = None;
            return written;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(LIMIT)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Patient<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Patient<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.hurried(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, pieces);
        self.hurried(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.hurried(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(context);
        self.hurried(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_off() {
        let (near, _far) = duplex(16);
        let began = Instant::now();
        let problem = Patient::new(near).write_all(&[0; 32]).await.unwrap_err();
        assert_eq!(problem.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_now_and_then_is_waited_for() {
        let (near, mut far) = duplex(1);
        let mut patient = Patient::new(near);
        let slow = async {
            for _ in 0..8 {
                sleep(LIMIT / 2).await;
                far.read_u8().await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(patient.write_all(&[0; 8]), slow);
        written.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_handed_over_may_stand_still() {
        let (near, mut far) = duplex(1);
        let mut patient = Patient::new(near);
        patient.handed_over().store(true, Ordering::Relaxed);
        let late = async {
            sleep(LIMIT * 2).await;
            far.read_u16().await.unwrap();
        };
        let (written, _) = tokio::join!(patient.write_all(&[0; 2]), late);
        written.unwrap();
    }
}
