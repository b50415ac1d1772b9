//! Random bytes of the operating system.

use rustix::rand::{GetRandomFlags, getrandom};

/// 32 of them: a key.
///
/// # Errors
/// Only where the kernel has none to give.
pub(crate) fn entropy() -> std::io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty())?;
    if filled == bytes.len() {
        Ok(bytes)
    } else {
        Err(std::io::Error::other("too few random bytes"))
    }
}
