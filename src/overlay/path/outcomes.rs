//! How many of the latest probes were lost.

/// What became of the latest probes on the path in use: one bit each, set if it was lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcomes {
    bits: u32,
    count: u32,
}

impl Outcomes {
    pub(super) fn push(&mut self, lost: bool) {
        self.bits = self.bits << 1 | u32::from(lost);
        self.count = (self.count + 1).min(u32::BITS);
    }

    pub(super) fn lost_in_1000(self) -> Option<u16> {
        let lost = self.bits.count_ones();
        (lost * 1000)
            .checked_div(self.count)
            .map(|lost| lost as u16)
    }
}
