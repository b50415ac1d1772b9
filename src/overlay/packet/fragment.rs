//! Cuts an IPv4 packet in pieces (RFC 791), where its sender allows it and the path is narrower
//! than the interface.

use super::header::{Ip, read, write, write_length};

const MORE_FRAGMENTS: u16 = 0x2000;
const FLAGS: u16 = 0xe000;
const OFFSET: u16 = 0x1fff;

/// The pieces of a packet, each at most `mtu` bytes. Options are repeated in each piece, which
/// RFC 791 asks for some and forbids for none.
pub(crate) fn fragments(ip: Ip<'_>, mtu: usize) -> Vec<Vec<u8>> {
    let header = ip.header_length();
    // Offsets count eight bytes.
    let size = (mtu.saturating_sub(header) / 8 * 8).max(8);
    let place = read(ip.bytes(), 6);
    let last = ip.payload().len().div_ceil(size);
    ip.payload()
        .chunks(size)
        .enumerate()
        .map(|(at, payload)| {
            let mut piece = [&ip.bytes()[..header], payload].concat();
            let offset = (place & OFFSET) + (at * size / 8) as u16;
            let more = if at + 1 == last { 0 } else { MORE_FRAGMENTS };
            write(&mut piece, 6, place & FLAGS | more | offset);
            write_length(&mut piece);
            piece
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::tests::datagram;

    proptest! {
        #[test]
        fn the_pieces_fit_and_make_the_packet_again(
            payload in proptest::collection::vec(any::<u8>(), 1..3000),
            mtu in 68..1500_usize,
            again in 68..1500_usize,
        ) {
            let packet = datagram("10.0.0.1", "10.0.0.2", &payload);
            let whole = Ip::parse(&packet).expect("a packet");
            let mut together = vec![0; payload.len() + 8];
            let mut ends = 0;
            // A piece may be cut again further on.
            for piece in fragments(whole, mtu) {
                for piece in fragments(Ip::parse(&piece).expect("a packet"), again) {
                    let ip = Ip::parse(&piece).expect("a packet");
                    prop_assert!(piece.len() <= mtu.min(again));
                    let place = read(&piece, 6);
                    let at = usize::from(place & OFFSET) * 8;
                    together[at..at + ip.payload().len()].copy_from_slice(ip.payload());
                    ends += usize::from(place & MORE_FRAGMENTS == 0);
                }
            }
            prop_assert_eq!(&together[..], whole.payload());
            prop_assert_eq!(ends, 1);
        }
    }
}
