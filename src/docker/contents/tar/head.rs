//! The block before each file.

use super::Root;

/// What is read of it.
pub(super) struct Head<'b> {
    block: &'b [u8],
    pub(super) kind: Kind,
    /// Of what follows, in bytes.
    pub(super) length: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Says something of the next file, in records.
    Records,
    /// Says its name or where it leads, or something of all files.
    OfTheNext,
    /// As GNU tar writes it, with more of where its data is in blocks after the head.
    WithHoles,
    /// A link, a directory, a device: whatever its length says, nothing follows.
    WithoutData,
    Other,
}

pub(super) const NAME: std::ops::Range<usize> = 0..100;
pub(super) const MODE: std::ops::Range<usize> = 100..108;
pub(super) const USER: std::ops::Range<usize> = 108..116;
pub(super) const GROUP: std::ops::Range<usize> = 116..124;
const LENGTH: std::ops::Range<usize> = 124..136;
pub(super) const SUM: std::ops::Range<usize> = 148..156;
pub(super) const TYPE: usize = 156;
pub(super) const MAGIC: std::ops::Range<usize> = 257..265;
/// Set where more blocks with the places of data follow: in a head, and in such a block.
const GOES_ON_IN_HEAD: usize = 482;
const GOES_ON: usize = 504;

impl<'b> Head<'b> {
    /// `None` for what is no head: its sum is not right.
    pub(super) fn read(block: &'b [u8]) -> Option<Self> {
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        let own: u32 = block[SUM].iter().map(|byte| u32::from(*byte)).sum();
        let blanks = u32::from(b' ') * 8;
        if number(&block[SUM])? != u64::from(sum - own + blanks) {
            return None;
        }
        let kind = match block[TYPE] {
            b'x' => Kind::Records,
            b'g' | b'L' | b'K' => Kind::OfTheNext,
            b'1'..=b'6' => Kind::WithoutData,
            b'S' if block[GOES_ON_IN_HEAD] != 0 => Kind::WithHoles,
            _ => Kind::Other,
        };
        let length = number(&block[LENGTH])?;
        Some(Self {
            block,
            kind,
            length,
        })
    }

    pub(super) fn root(&self) -> Option<Root> {
        let name = self.block[NAME].split(|byte| *byte == 0).next()?;
        if !matches!(name, b"." | b"./") || self.block[TYPE] != b'5' {
            return None;
        }
        let field = |range| u32::try_from(number(&self.block[range])?).ok();
        Some(Root {
            mode: field(MODE)?,
            user: field(USER)?,
            group: field(GROUP)?,
        })
    }
}

/// Whether another block with the places of data follows this one.
pub(super) fn goes_on(block: &[u8]) -> bool {
    block[GOES_ON] != 0
}

/// In octal digits or, where it has no room for them, in the bytes themselves, as GNU tar writes it.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let bytes = field[1..].iter();
        let mut bytes = bytes.map(|byte| u64::from(*byte));
        return bytes.try_fold(u64::from(field[0] & 0x7f), |sum, byte| {
            sum.checked_mul(256)?.checked_add(byte)
        });
    }
    let text = std::str::from_utf8(field).ok()?;
    match text.trim_matches(['\0', ' ']) {
        "" => Some(0),
        digits => u64::from_str_radix(digits, 8).ok(),
    }
}
