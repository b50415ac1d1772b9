//! As much of HTTP as one page takes: where a head ends, and what it says of its body and its connection.

use std::io::{Error, ErrorKind, Read};

/// A head and a body are a hundred bytes; more is not ours.
const MOST: usize = 4096;

/// The status line or the request line, and what follows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) first_line: String,
    /// Whoever sent it closes the connection, or wants it closed.
    pub(crate) closes: bool,
    pub(crate) body: String,
}

/// Why no whole message came.
#[derive(Debug)]
pub(crate) enum Missing {
    /// The other side closed before the first byte.
    Closed,
    Broken(Error),
}

/// Reads one message. A body has as many bytes as `Content-Length` says.
pub(crate) fn read(stream: &mut impl Read) -> Result<Message, Missing> {
    let mut text = Vec::new();
    loop {
        if let Some(message) = whole(&text).map_err(Missing::Broken)? {
            return Ok(message);
        }
        let mut chunk = [0; 512];
        match stream.read(&mut chunk) {
            Ok(0) if text.is_empty() => return Err(Missing::Closed),
            Ok(0) => return Err(Missing::Broken(ErrorKind::UnexpectedEof.into())),
            Ok(length) => text.extend_from_slice(&chunk[..length]),
            Err(problem) if problem.kind() == ErrorKind::Interrupted => {}
            Err(problem) => return Err(Missing::Broken(problem)),
        }
    }
}

/// The message, if all of it is there.
fn whole(text: &[u8]) -> Result<Option<Message>, Error> {
    if text.len() > MOST {
        return Err(ErrorKind::InvalidData.into());
    }
    let text = std::str::from_utf8(text).map_err(|_| Error::from(ErrorKind::InvalidData))?;
    let Some((head, rest)) = text.split_once("\r\n\r\n") else {
        return Ok(None);
    };
    let value = |wanted: &str| {
        let headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut values = headers.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        values.next().map(|(_, value)| value.trim())
    };
    let length = value("Content-Length").unwrap_or("0").parse::<usize>();
    let length = length.map_err(|_| Error::from(ErrorKind::InvalidData))?;
    Ok((rest.len() >= length).then(|| Message {
        first_line: head.lines().next().unwrap_or_default().to_owned(),
        closes: value("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
        body: rest[..length].to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_whatever_pieces_it_comes_in() {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nConnection: close\r\n\r\nwell";
        for size in [1, 7, 400] {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let message = read(&mut Pieces(pieces)).unwrap();
            assert_eq!(
                (
                    message.first_line.as_str(),
                    message.closes,
                    message.body.as_str()
                ),
                ("HTTP/1.1 200 OK", true, "well")
            );
        }
    }

    #[test]
    fn an_end_between_messages_is_no_broken_message() {
        let closed = read(&mut Pieces(vec![])).unwrap_err();
        assert!(matches!(closed, Missing::Closed), "{closed:?}");
        for broken in [b"HTTP/1.1 200 OK\r\n".as_slice(), &[0xff; 9], &[b'x'; 5000]] {
            let found = read(&mut Pieces(vec![broken])).unwrap_err();
            assert!(matches!(found, Missing::Broken(_)), "{found:?}");
        }
    }

    struct Pieces<'a>(Vec<&'a [u8]>);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let Some(piece) = self.0.first_mut() else {
                return Ok(0);
            };
            let length = piece.read(into)?;
            if piece.is_empty() {
                self.0.remove(0);
            }
            Ok(length)
        }
    }
}
