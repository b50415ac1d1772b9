//! A body as lines of JSON.

use bytes::{Buf, BytesMut};
use futures::{Stream, StreamExt, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::ApiError;
use crate::api::types::error::ErrorKind;

/// Docker cuts log lines at 16 KiB; JSON may write each byte with six.
const MAX_LINE_BYTES: usize = 1 << 20;

/// What is read and not yet a line. `None` once the body has ended or failed.
struct Rest {
    body: Option<Incoming>,
    buffer: BytesMut,
}

/// Non-empty lines, without their line breaks; ends after the first error.
pub(super) fn split(body: Incoming) -> impl Stream<Item = Result<BytesMut, ApiError>> {
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

impl Rest {
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
                return Some(Err(failure("a line of the answer is longer than 1 MiB")));
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
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.buffer.extend_from_slice(&data);
                }
                Ok(())
            }
            Some(Err(problem)) => Err(Some(Err(failure(&format!(
                "the connection broke: {problem}"
            ))))),
            None => {
                self.body = None;
                let rest = self.buffer.split();
                Err((!rest.is_empty()).then_some(Ok(rest)))
            }
        }
    }
}

fn failure(message: &str) -> ApiError {
    ApiError {
        status: None,
        kind: ErrorKind::Other,
        message: message.to_owned(),
        hint: None,
    }
}
