//! Datagrams on their way out, gathered so that those to one address leave in one system call.

use std::net::SocketAddr;

/// Most datagrams in a batch (`UDP_MAX_SEGMENTS` of kernels before 6.9).
const MOST: usize = 64;

/// Most bytes in a batch: the longest payload of one UDP datagram over IPv4.
pub(crate) const LONGEST: usize = 65_507;

/// Memory that is kept for the next batches.
const MOST_SPARE: usize = 64;

/// Datagrams to one address. All but the last are of one size, the last may be shorter.
pub(crate) struct Batch {
    pub(crate) to: SocketAddr,
    /// The size.
    pub(crate) segment: usize,
    /// Whether it must arrive in one piece.
    pub(crate) whole: bool,
    /// Grows with what is put in, so that one probe to each of many peers takes little.
    bytes: Vec<u8>,
    used: usize,
    open: bool,
}

impl Batch {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    pub(crate) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes().chunks(self.segment)
    }

    pub(crate) fn count(&self) -> usize {
        self.used.div_ceil(self.segment)
    }

    /// Room for another datagram at the end.
    fn grow(&mut self, length: usize) -> &mut [u8] {
        let from = self.used;
        self.used += length;
        if self.bytes.len() < self.used {
            self.bytes.resize(self.used, 0);
        }
        &mut self.bytes[from..self.used]
    }

    fn takes(&self, length: usize) -> bool {
        self.open && length <= self.segment && self.used + length <= LONGEST && self.count() < MOST
    }
}

/// Batches in the order in which they were begun. The order of datagrams to one address is kept.
#[derive(Default)]
pub(crate) struct Outbox {
    batches: Vec<Batch>,
    spare: Vec<Vec<u8>>,
}

impl Outbox {
    /// Room for a datagram of exactly this length, which the caller fills.
    pub(crate) fn slot(&mut self, to: SocketAddr, length: usize) -> &mut [u8] {
        let at = match self.batch_of(to) {
            Some(at) if self.batches[at].takes(length) => at,
            Some(at) => {
                self.batches[at].open = false;
                self.begin(to, length, false)
            }
            None => self.begin(to, length, false),
        };
        let batch = &mut self.batches[at];
        batch.open = length == batch.segment;
        batch.grow(length)
    }

    pub(crate) fn push(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.slot(to, datagram.len()).copy_from_slice(datagram);
    }

    /// Room for a datagram that must arrive in one piece or not at all.
    pub(crate) fn whole_slot(&mut self, to: SocketAddr, length: usize) -> &mut [u8] {
        let at = self.begin(to, length, true);
        let batch = &mut self.batches[at];
        batch.open = false;
        batch.grow(length)
    }

    /// Hands out all batches.
    pub(crate) fn flush(&mut self, mut send: impl FnMut(&Batch)) {
        for batch in self.batches.drain(..) {
            send(&batch);
            if self.spare.len() < MOST_SPARE {
                self.spare.push(batch.bytes);
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.used).sum()
    }

    /// The latest batch to an address that takes part in the order.
    fn batch_of(&self, to: SocketAddr) -> Option<usize> {
        self.batches
            .iter()
            .rposition(|batch| batch.open && batch.to == to)
    }

    fn begin(&mut self, to: SocketAddr, segment: usize, whole: bool) -> usize {
        let bytes = self.spare.pop().unwrap_or_default();
        self.batches.push(Batch {
            to,
            segment,
            whole,
            bytes,
            used: 0,
            open: true,
        });
        self.batches.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn flushed(outbox: &mut Outbox) -> Vec<(SocketAddr, Vec<Vec<u8>>)> {
        let mut sent = Vec::new();
        outbox.flush(|batch| {
            sent.push((batch.to, batch.datagrams().map(<[u8]>::to_vec).collect()));
        });
        sent
    }

    proptest! {
        #[test]
        fn each_address_gets_its_datagrams_in_order_and_in_batches_that_the_kernel_takes(
            datagrams in proptest::collection::vec((1..4_u16, 1..2000_usize), 0..200),
        ) {
            let mut outbox = Outbox::default();
            for (at, (port, length)) in datagrams.iter().enumerate() {
                outbox.push(address(*port), &vec![at as u8; *length]);
            }
            let batches = flushed(&mut outbox);
            for (_, batch) in &batches {
                let (last, before) = batch.split_last().expect("no batch is empty");
                prop_assert!(before.iter().all(|datagram| datagram.len() == before[0].len()));
                prop_assert!(before.first().is_none_or(|first| last.len() <= first.len()));
                prop_assert!(batch.len() <= MOST);
                prop_assert!(batch.iter().map(Vec::len).sum::<usize>() <= LONGEST);
            }
            for port in 1..4 {
                let sent: Vec<_> = datagrams.iter().enumerate()
                    .filter(|(_, (to, _))| *to == port)
                    .map(|(at, (_, length))| vec![at as u8; *length])
                    .collect();
                let got: Vec<_> = batches.iter()
                    .filter(|(to, _)| *to == address(port))
                    .flat_map(|(_, batch)| batch.clone())
                    .collect();
                prop_assert_eq!(sent, got);
            }
        }
    }

    #[test]
    fn equal_datagrams_leave_together_and_a_probe_leaves_alone() {
        let mut outbox = Outbox::default();
        for _ in 0..3 {
            outbox.push(address(1), &[1; 100]);
        }
        outbox.whole_slot(address(1), 100).fill(2);
        outbox.push(address(1), &[1; 100]);
        let counts: Vec<_> = flushed(&mut outbox)
            .iter()
            .map(|(_, batch)| batch.len())
            .collect();
        assert_eq!(counts, [4, 1]);
    }
}
