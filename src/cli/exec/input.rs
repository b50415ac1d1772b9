//! Standard input, read by a thread of its own: a read that waits must not keep this program from ending.

use std::io::{self, Read};
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc;

/// What is read at once, and how many of these wait until they are sent.
const BUFFER: usize = 16 * 1024;
const WAITING: usize = 8;

/// Ends with the input.
pub(super) fn read() -> mpsc::Receiver<Bytes> {
    let (pieces, read) = mpsc::channel(WAITING);
    thread::spawn(move || {
        let mut buffer = vec![0; BUFFER];
        let mut input = io::stdin().lock();
        loop {
            let length = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => length,
                Err(problem) if problem.kind() == io::ErrorKind::Interrupted => continue,
                Err(problem) => {
                    tracing::debug!(%problem, "Standard input cannot be read");
                    return;
                }
            };
            let piece = Bytes::copy_from_slice(&buffer[..length]);
            if pieces.blocking_send(piece).is_err() {
                return;
            }
        }
    });
    read
}
