//! A number that follows from all that happened: FNV-1a (Fowler, Noll and Vo), which is enough to tell
//! whether two runs were the same.

use kontena_core::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    pub(crate) fn event(&mut self, at: Instant, host: usize, kind: u64) {
        let nanos = u64::try_from(at.since_start().as_nanos()).unwrap_or(u64::MAX);
        self.number(nanos);
        self.number(host as u64);
        self.number(kind);
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}
