//! The Internet checksum (RFC 1071).

/// A sum under way: the one's complement sum of 16-bit words in the order of this machine, with
/// carries still in the upper bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds bytes. Only the last piece added may have an odd length.
    pub(crate) fn add(mut self, bytes: &[u8]) -> Self {
        // Eight independent sums of 32-bit words: the compiler makes vector code of them.
        let mut lanes = [0_u64; 8];
        let mut blocks = bytes.chunks_exact(32);
        for block in &mut blocks {
            for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<4>().0) {
                *lane += u64::from(u32::from_ne_bytes(*word));
            }
        }
        // No overflow: a packet has at most 2^16 bytes, each lane then 2^11 words of 32 bits.
        self.0 += lanes.iter().sum::<u64>();
        let (pairs, odd) = blocks.remainder().as_chunks::<2>();
        for pair in pairs {
            self.0 += u64::from(u16::from_ne_bytes(*pair));
        }
        if let [last] = odd {
            self.0 += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        self
    }

    /// Adds one 16-bit number.
    pub(crate) fn add_number(self, number: u16) -> Self {
        Self(self.0 + u64::from(number.to_be()))
    }

    /// The sum in 16 bits, as bytes in network order: what a checksum field holds while the rest
    /// is left to the network device ("partial").
    pub(crate) fn partial(self) -> [u8; 2] {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (sum as u16).to_ne_bytes()
    }

    /// The checksum itself.
    pub(crate) fn whole(self) -> [u8; 2] {
        let [high, low] = self.partial();
        [!high, !low]
    }

    /// Whether bytes that hold their own checksum are intact.
    pub(crate) fn is_valid(self) -> bool {
        self.whole() == [0, 0]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(bytes: &[u8]) -> [u8; 2] {
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_plain_loop(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(Sum::default().add(&bytes).whole(), naive(&bytes));
        }

        #[test]
        fn pieces_add_up(
            first in proptest::collection::vec(any::<[u8; 2]>(), 0..80),
            second in proptest::collection::vec(any::<u8>(), 0..160),
            number in any::<u16>(),
        ) {
            let first = first.concat();
            let together = [&first[..], &number.to_be_bytes(), &second].concat();
            let sum = Sum::default().add(&first).add_number(number).add(&second);
            prop_assert_eq!(sum.whole(), naive(&together));
        }
    }

    #[test]
    fn bytes_with_their_checksum_are_valid_and_changed_ones_are_not() {
        let mut bytes = vec![0x45, 0, 0, 20, 1, 2, 0, 0, 64, 6];
        let checksum = Sum::default().add(&bytes).whole();
        bytes.extend(checksum);
        assert!(Sum::default().add(&bytes).is_valid());
        bytes[3] ^= 1;
        assert!(!Sum::default().add(&bytes).is_valid());
    }

    #[test]
    fn the_longest_packet_does_not_overflow() {
        let bytes = vec![0xff; 65_535];
        assert_eq!(Sum::default().add(&bytes).whole(), naive(&bytes));
    }
}
