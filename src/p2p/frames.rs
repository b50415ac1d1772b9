//! Messages on a stream: four bytes of length, then the bytes; an acknowledgement for every chunk.
//! Between the acknowledgements the receiver may answer: a byte that says so, then a message of the
//! same form, which is not acknowledged.
//!
//! The acknowledgements prove progress, so that a dead link is told from a slow one: a large message
//! may take minutes, a chunk may not. The last one of a message says that the daemon has it.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// At 3 s for each, the slowest usable link has 43 kbit/s. Also what yamux sends at once.
pub(super) const CHUNK_BYTES: usize = 16 * 1024;

/// "I have this chunk."
pub(super) const ACKNOWLEDGED: u8 = 0x06;
/// "I am alive, and have no room for this message yet."
pub(super) const BUSY: u8 = 0x16;

/// "A message of mine follows."
pub(super) const ANSWER: u8 = 0x02;

/// How many acknowledgements a message of this length gets; an empty one has one, too.
pub(super) fn chunk_count(length: usize) -> usize {
    length.div_ceil(CHUNK_BYTES).max(1)
}

/// Writes the chunk of this number, the first with the length in front.
pub(super) async fn write_chunk<T: AsyncWrite + Unpin>(
    io: &mut T,
    message: &[u8],
    number: usize,
) -> io::Result<()> {
    if number == 0 {
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        io.write_all(&length.to_be_bytes()).await?;
    }
    let start = (number * CHUNK_BYTES).min(message.len());
    let end = (start + CHUNK_BYTES).min(message.len());
    io.write_all(&message[start..end]).await?;
    io.flush().await
}

/// The length of the next message; `None` at the end of the stream. An error above `limit`.
pub(super) async fn read_length<T: AsyncRead + Unpin>(
    io: &mut T,
    limit: usize,
) -> io::Result<Option<usize>> {
    let mut length = [0; 4];
    match io.read_exact(&mut length).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u32::from_be_bytes(length);
    match usize::try_from(length) {
        Ok(length) if length <= limit => Ok(Some(length)),
        _ => Err(io::Error::other(format!("{length} bytes are too many"))),
    }
}

/// Appends the next chunk of a message of `length` bytes.
pub(super) async fn read_chunk<T: AsyncRead + Unpin>(
    io: &mut T,
    message: &mut Vec<u8>,
    length: usize,
) -> io::Result<()> {
    let start = message.len();
    message.resize((start + CHUNK_BYTES).min(length), 0);
    io.read_exact(&mut message[start..]).await
}

pub(super) async fn write_byte<T: AsyncWrite + Unpin>(io: &mut T, byte: u8) -> io::Result<()> {
    io.write_all(&[byte]).await?;
    io.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn there_and_back(message: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for number in 0..chunk_count(message.len()) {
            write_chunk(&mut wire, message, number).await.unwrap();
        }
        let mut io = &wire[..];
        let length = read_length(&mut io, message.len()).await.unwrap().unwrap();
        let mut read = Vec::new();
        for _ in 0..chunk_count(length) {
            read_chunk(&mut io, &mut read, length).await.unwrap();
        }
        assert_eq!(read_length(&mut io, 0).await.unwrap(), None);
        read
    }

    #[tokio::test]
    async fn a_message_of_any_length_is_read_as_it_is_written() {
        for length in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES] {
            let message = vec![7; length];
            assert_eq!(there_and_back(&message).await, message);
        }
    }

    #[tokio::test]
    async fn a_message_that_announces_too_much_is_refused() {
        assert!(read_length(&mut &[0, 0, 1, 0][..], 255).await.is_err());
    }
}
