//! What is known of everybody's heartbeat, as it travels.
//!
//! A [`Vector`] tells everything: whose life, and how often it has bumped. Two nodes that know the same
//! lives need the numbers alone: [`Brief`], 3 bytes a member instead of 50.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;

use super::by_node::ByNode;
use crate::id::NodeId;
use crate::message::Digest;
use crate::report::ReportOrder;

/// A node's heartbeat: which boot of it, and how often that boot has bumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Beat {
    pub boot: u64,
    pub nonce: u64,
    pub counter: u64,
}

/// One boot of a node. A later one is higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Life {
    pub(crate) boot: u64,
    pub(crate) nonce: u64,
}

impl From<ReportOrder> for Life {
    fn from(order: ReportOrder) -> Self {
        Self {
            boot: order.boot,
            nonce: order.nonce,
        }
    }
}

impl Beat {
    pub(crate) fn life(&self) -> Life {
        Life {
            boot: self.boot,
            nonce: self.nonce,
        }
    }
}

impl Life {
    pub(crate) fn beat(self, counter: u64) -> Beat {
        Beat {
            boot: self.boot,
            nonce: self.nonce,
            counter,
        }
    }

    /// Its part in the digest of all lives.
    pub(crate) fn digest(self, node: &NodeId) -> Digest {
        let numbers = [self.boot, self.nonce].map(u64::to_be_bytes);
        Digest::of([node.as_bytes().as_slice(), numbers.as_flattened()])
    }
}

/// The newest beat known of some members. Copies share their memory.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Vector(Arc<ByNode<Beat>>);

impl Vector {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, node: &NodeId) -> Option<&Beat> {
        self.0.get(node)
    }

    /// In the order of the nodes' keys.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &Beat)> {
        self.0.iter()
    }
}

impl FromIterator<(NodeId, Beat)> for Vector {
    fn from_iter<I: IntoIterator<Item = (NodeId, Beat)>>(beats: I) -> Self {
        Self(Arc::new(beats.into_iter().collect()))
    }
}

/// As it travels: id, boot, nonce, counter.
#[derive(Serialize, Deserialize)]
struct Entry(ByteArray<32>, u64, u64, u64);

impl Serialize for Vector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = |(node, beat): (&NodeId, &Beat)| {
            Entry(ByteArray::new(node.0), beat.boot, beat.nonce, beat.counter)
        };
        serializer.collect_seq(self.iter().map(entry))
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<Entry>::deserialize(deserializer)?;
        let beat = |Entry(node, boot, nonce, counter)| {
            let beat = Beat {
                boot,
                nonce,
                counter,
            };
            (NodeId(node.into_array()), beat)
        };
        Ok(entries.into_iter().map(beat).collect())
    }
}

/// What somebody knows of all members, for a peer that knows the same lives of them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Brief {
    /// Of the life that is known of each member that was heard of.
    pub lives: Digest,
    /// The lives that are so new that the peer may not know them, with their beats.
    pub news: Vector,
    /// Of each life in `lives`, how often it has bumped.
    pub counters: Counters,
}

/// Counters in the order of the keys of the nodes that they belong to. Copies share their memory.
///
/// On the wire each is a little-endian base-128 number (LEB128): 3 bytes up to 2,097,151 bumps, which is
/// 24 days at one each second.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Counters(Arc<[u64]>);

impl Counters {
    pub fn as_slice(&self) -> &[u64] {
        &self.0
    }
}

impl From<Vec<u64>> for Counters {
    fn from(counters: Vec<u64>) -> Self {
        Self(counters.into())
    }
}

impl Serialize for Counters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(3 * self.0.len());
        for counter in self.0.iter() {
            write_number(*counter, &mut bytes);
        }
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Counters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
        let counters = read_numbers(&bytes);
        let counters = counters.ok_or_else(|| serde::de::Error::custom("not LEB128 numbers"))?;
        Ok(counters.into())
    }
}

const GROUP_BITS: u32 = 7;
const MORE_FOLLOWS: u8 = 0x80;

fn write_number(mut number: u64, bytes: &mut Vec<u8>) {
    loop {
        let group = number.to_le_bytes()[0] & !MORE_FOLLOWS;
        number >>= GROUP_BITS;
        if number == 0 {
            return bytes.push(group);
        }
        bytes.push(group | MORE_FOLLOWS);
    }
}

/// `None` if the last number does not end, or one is larger than 64 bits.
fn read_numbers(bytes: &[u8]) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    let (mut number, mut shift) = (0_u64, 0);
    for byte in bytes {
        let group = u64::from(byte & !MORE_FOLLOWS);
        let placed = group.checked_shl(shift)?;
        if placed >> shift != group {
            return None;
        }
        number |= placed;
        shift += GROUP_BITS;
        if byte & MORE_FOLLOWS == 0 {
            numbers.push(number);
            (number, shift) = (0, 0);
        }
    }
    (shift == 0).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_as_they_went(numbers in prop::collection::vec(prop_oneof![0..300_u64, any::<u64>()], 0..20)) {
            let mut bytes = Vec::new();
            for number in &numbers {
                write_number(*number, &mut bytes);
            }
            prop_assert_eq!(read_numbers(&bytes), Some(numbers));
        }

        #[test]
        fn garbage_makes_at_most_a_number_a_byte(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let numbers = read_numbers(&bytes).unwrap_or_default();
            prop_assert!(numbers.len() <= bytes.len());
        }
    }

    #[test]
    fn a_number_that_does_not_end_or_is_too_large_is_refused() {
        assert_eq!(read_numbers(&[0x80]), None);
        assert_eq!(read_numbers(&[0xff; 10]), None);
        let mut largest = [0xff; 10];
        largest[9] = 0x01;
        assert_eq!(read_numbers(&largest), Some(vec![u64::MAX]));
        largest[9] = 0x02;
        assert_eq!(read_numbers(&largest), None);
    }

    #[test]
    fn a_counter_of_three_weeks_takes_three_bytes() {
        let mut bytes = Vec::new();
        write_number(21 * 86_400, &mut bytes);
        assert_eq!(bytes.len(), 3);
    }
}
