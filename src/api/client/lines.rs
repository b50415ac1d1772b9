//! A body as lines of JSON.

use std::fmt::Display;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http_body_util::BodyExt;
use hyper::body::Body;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::ApiError;

/// Docker cuts log lines at 16 KiB; JSON may write each byte with six.
const MAX_LINE_BYTES: usize = 1 << 20;
/// A server that is there says a blank every five seconds.
const SILENCE: Duration = Duration::from_secs(30);

/// What is read and not yet a line. `None` once the body has ended or failed.
struct Rest<B> {
    body: Option<B>,
    buffer: BytesMut,
}

/// Non-empty lines, without their line breaks; ends after the first error.
pub(super) fn split<B>(body: B) -> impl Stream<Item = Result<BytesMut, ApiError>>
where
    B: Body<Data = Bytes, Error: Display> + Unpin,
{
    let rest = Rest {
        body: Some(body),
        buffer: BytesMut::new(),
    };
    stream::unfold(rest, |mut rest| async move {
        let line = rest.line().await?;
        if line.is_err() {
            rest.body = None;
            rest.buffer.clear();
        }
        Some((line, rest))
    })
}

pub(super) fn parsed<T: DeserializeOwned>(
    lines: impl Stream<Item = Result<BytesMut, ApiError>>,
) -> impl Stream<Item = Result<T, ApiError>> {
    lines.map(|line| {
        serde_json::from_slice(&line?).map_err(|problem| ApiError::unreadable(&problem))
    })
}

impl<B: Body<Data = Bytes, Error: Display> + Unpin> Rest<B> {
    async fn line(&mut self) -> Option<Result<BytesMut, ApiError>> {
        loop {
            self.skip_blanks();
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                if !line.is_empty() {
                    return Some(Ok(line));
                }
            } else if self.buffer.len() > MAX_LINE_BYTES {
                return Some(Err(ApiError::too_long_a_line(MAX_LINE_BYTES)));
            } else if let Err(end) = self.fill().await {
                return end;
            }
        }
    }

    /// A server says a blank now and then, so that its silence is not taken for its end.
    fn skip_blanks(&mut self) {
        let blanks = self.buffer.iter().take_while(|byte| **byte == b' ');
        let blanks = blanks.count();
        self.buffer.advance(blanks);
    }

    /// Reads more; at the end, `Err` with what is left to give.
    async fn fill(&mut self) -> Result<(), Option<Result<BytesMut, ApiError>>> {
        let Some(body) = &mut self.body else {
            return Err(None);
        };
        let Ok(frame) = timeout(SILENCE, body.frame()).await else {
            let seconds = SILENCE.as_secs();
            let message = format!("nothing was said for {seconds} s");
            return Err(Some(Err(ApiError::broken_off(message))));
        };
        match frame {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.buffer.extend_from_slice(&data);
                }
                Ok(())
            }
            Some(Err(problem)) => {
                let message = format!("the connection broke: {problem}");
                Err(Some(Err(ApiError::broken_off(message))))
            }
            None => {
                self.body = None;
                let rest = self.buffer.split();
                Err((!rest.is_empty()).then_some(Ok(rest)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use tokio::time::{Instant, sleep};

    use super::*;

    fn piece(text: &'static str) -> Result<Frame<Bytes>, io::Error> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_more_is_lost_and_a_blank_is_something() {
        let pieces = stream::iter([piece("{}\n"), piece(" "), piece("{")]);
        let slowly = pieces.then(|piece| async {
            sleep(SILENCE / 2).await;
            piece
        });
        let body = StreamBody::new(Box::pin(slowly.chain(stream::pending())));
        let mut lines = Box::pin(split(body));
        let began = Instant::now();
        assert_eq!(lines.next().await.unwrap().unwrap(), "{}");
        let lost = lines.next().await.unwrap().unwrap_err();
        assert!(lost.is_lost(), "{lost}");
        assert_eq!(began.elapsed(), SILENCE / 2 * 3 + SILENCE);
        assert!(lines.next().await.is_none());
    }

    #[tokio::test]
    async fn lines_come_in_any_pieces_and_the_last_one_needs_no_end() {
        let pieces = [
            piece("{\"a\""),
            piece(":1}\n\n"),
            piece("  {}\n{"),
            piece("}"),
        ];
        let lines = split(StreamBody::new(stream::iter(pieces)));
        let lines: Vec<_> = lines.map(Result::unwrap).collect().await;
        assert_eq!(lines, ["{\"a\":1}", "{}", "{}"]);
    }
}
