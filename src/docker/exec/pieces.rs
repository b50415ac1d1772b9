//! What a command writes, out of the engine's stream: as it is from a terminal, else in frames that say which of its
//! two outputs it is (Docker's API: a byte, three that are nothing, four of length).

use std::io;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::Decoder;

/// The most that is handed on at once, so that it fits into a frame of ours.
const MAX_PIECE: usize = 64 * 1024;

const HEAD: usize = 8;

/// A part of what a command wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Output(Bytes),
    Errors(Bytes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pieces {
    Terminal,
    /// Of which output, and how much of the frame is still to come; `0` before the next head.
    Framed {
        errors: bool,
        left: usize,
    },
}

impl Pieces {
    pub(in crate::docker) fn of(tty: bool) -> Self {
        match tty {
            true => Self::Terminal,
            false => Self::Framed {
                errors: false,
                left: 0,
            },
        }
    }
}

impl Decoder for Pieces {
    type Item = Piece;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Piece>> {
        let Self::Framed { errors, left } = self else {
            return Ok(take(bytes, MAX_PIECE).map(Piece::Output));
        };
        while *left == 0 {
            if bytes.len() < HEAD {
                return Ok(None);
            }
            let head = bytes.split_to(HEAD);
            // 3 is the engine's own word about what it could not do.
            *errors = match head[0] {
                0 | 1 => false,
                2 | 3 => true,
                other => return Err(io::Error::other(format!("there is no stream {other}"))),
            };
            let length = [head[4], head[5], head[6], head[7]];
            *left = u32::from_be_bytes(length) as usize;
        }
        let Some(piece) = take(bytes, (*left).min(MAX_PIECE)) else {
            return Ok(None);
        };
        *left -= piece.len();
        Ok(Some(match errors {
            true => Piece::Errors(piece),
            false => Piece::Output(piece),
        }))
    }
}

fn take(bytes: &mut BytesMut, most: usize) -> Option<Bytes> {
    let length = bytes.len().min(most);
    (length > 0).then(|| bytes.split_to(length).freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(mut pieces: Pieces, chunks: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut buffer = BytesMut::new();
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            while let Some(piece) = pieces.decode(&mut buffer).unwrap() {
                match piece {
                    Piece::Output(bytes) => output.extend_from_slice(&bytes),
                    Piece::Errors(bytes) => errors.extend_from_slice(&bytes),
                }
            }
        }
        assert!(buffer.is_empty());
        (output, errors)
    }

    #[test]
    fn what_a_terminal_shows_may_begin_with_any_byte() {
        let shown = decoded(Pieces::of(true), &[&[1, 0, 0, 0, 0, 0, 1, 0], &[2], &[0]]);
        assert_eq!(shown.0, [1, 0, 0, 0, 0, 0, 1, 0, 2, 0]);
    }

    #[test]
    fn two_outputs_are_told_apart_however_the_bytes_are_cut() {
        let mut wire = Vec::new();
        for (stream, text) in [(1, "one "), (2, "oops"), (1, ""), (1, "two")] {
            wire.extend_from_slice(&[stream, 0, 0, 0]);
            wire.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
            wire.extend_from_slice(text.as_bytes());
        }
        for size in 1..wire.len() {
            let chunks: Vec<&[u8]> = wire.chunks(size).collect();
            let (output, errors) = decoded(Pieces::of(false), &chunks);
            assert_eq!(
                (output.as_slice(), errors.as_slice()),
                (&b"one two"[..], &b"oops"[..])
            );
        }
    }

    #[test]
    fn an_unknown_stream_is_an_error() {
        let mut buffer = BytesMut::from(&[9, 0, 0, 0, 0, 0, 0, 1, b'x'][..]);
        assert!(Pieces::of(false).decode(&mut buffer).is_err());
    }
}
