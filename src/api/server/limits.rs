//! What the server gives to whom, and for how long.

use std::time::Duration;

/// Of each listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at a time: a follower of logs keeps one, everything else is short.
    pub(crate) connections: usize,
    /// Of those, what one host may have over TCP: it has as many followers of logs and commands in containers, and
    /// the places are four times as many.
    pub(crate) of_one_host: usize,
    /// Beside those, connections at a time that are told why they are not answered.
    pub(crate) farewells: usize,
    /// How long one of these may take.
    pub(crate) farewell: Duration,
    /// From the first byte of a request to the end of its headers; also an idle connection's time.
    pub(crate) head: Duration,
    /// How long answers that are under way may take when the daemon stops. Followed logs are cut then.
    pub(crate) stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            of_one_host: 64,
            farewells: 16,
            farewell: Duration::from_secs(5),
            head: Duration::from_secs(30),
            stop: Duration::from_secs(2),
        }
    }
}
