//! What the fence says, where somebody listens: on standard error, which is the daemon's.

use std::io::{Write, stderr};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Never waits for whoever reads: where there is no room the words are lost.
pub(super) fn say(text: &str) {
    let stderr = stderr();
    let mut polled = [PollFd::new(&stderr, PollFlags::OUT)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if poll(&mut polled, Some(&at_once)).is_ok_and(|ready| ready > 0) {
        // Nobody is there to be told that this cannot be said.
        let _ = stderr
            .lock()
            .write_all(format!("kontena fence: {text}\n").as_bytes());
    }
}
