//! The smallest HTTP client that can ask a web server for a page: one GET, one answer, a deadline.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Larger answers are cut: the demo's pages are one line.
const ANSWER_LIMIT: u64 = 64 * 1024;

/// The body of the answer, which must be a 200. Blocks for up to about three times `wait`.
pub(super) fn get(address: SocketAddr, path: &str, wait: Duration) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, wait).context("failed to connect")?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").context("failed to ask")?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_LIMIT)
        .read_to_end(&mut answer)
        .context("failed to read the answer")?;
    body(&String::from_utf8_lossy(&answer))
}

/// The body of a whole answer.
pub(super) fn body(answer: &str) -> Result<String> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer is not HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("the answer is `{status}`");
    }
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_follows_the_empty_line() {
        assert_eq!(
            body("HTTP/1.1 200 OK\r\nA: b\r\n\r\nweb-1\n").unwrap(),
            "web-1\n"
        );
    }

    #[test]
    fn an_error_page_is_an_error() {
        let error = body("HTTP/1.1 502 Bad Gateway\r\n\r\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the answer is `HTTP/1.1 502 Bad Gateway`"
        );
        assert!(body("SSH-2.0-OpenSSH").is_err());
    }
}
