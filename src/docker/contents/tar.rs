//! A tar as it goes by: whether it is one and whole, and what it says of the directory itself.
//!
//! The format is POSIX' (`pax` in the manual of the Open Group) with what GNU tar adds: blocks of 512 bytes, a head before
//! each file that says how long it is, two blocks of zeros at the end. The engine reads it; but it takes one that ends between
//! two files for whole, and leaves the owner and the mode of a directory that is there.

mod head;
mod owning;

pub(super) use self::owning::owning;

use self::head::{Head, Kind};

/// The unit of a tar.
const BLOCK: usize = 512;
/// Zeros in place of a head are the end; so many blocks of them.
const LAST_BLOCKS: u8 = 2;
/// What is said of a file before its head, at most: a megabyte of names and attributes.
const MAX_RECORDS: u64 = 1 << 20;

/// Looks at what goes by, piece by piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tar {
    state: State,
    /// A block that is not whole yet.
    block: Vec<u8>,
    root: Option<Root>,
    /// A head was seen.
    has_begun: bool,
    /// That of a file, and not of what is said of the next one.
    has_file: bool,
    /// What was said of the next file, in place of its head.
    said: Records,
}

#[derive(Clone, Debug, Default)]
enum State {
    /// A head is next.
    #[default]
    Head,
    /// So many zeros were in place of heads.
    Ending(u8),
    /// So many bytes of a file, and of what fills its last block.
    Data(u64),
    /// What is said of the next file, as far as it is here, and how many bytes are missing.
    Records(Vec<u8>, u64),
    /// More of where a file with holes has its data; and how long that is.
    Holes(u64),
}

/// Owner and mode of the directory that a tar holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) mode: u32,
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TarProblem {
    #[error("it is no tar")]
    None,
    #[error("it is compressed: unpack it first, as with `zcat FILE | kontena volume restore …`")]
    Compressed,
    #[error("it breaks off: a tar ends with two blocks of zeros")]
    BreaksOff,
    #[error("something follows its end: it is more than one tar")]
    GoesOn,
}

impl Tar {
    /// Takes note of a piece of it.
    ///
    /// # Errors
    /// It is none, from here on.
    pub(crate) fn pass(&mut self, mut piece: &[u8]) -> Result<(), TarProblem> {
        while !piece.is_empty() {
            if let State::Data(left) = &mut self.state {
                piece = skip(left, piece);
                if *left == 0 {
                    self.state = State::Head;
                }
                continue;
            }
            if matches!(self.state, State::Ending(LAST_BLOCKS)) {
                return match is_empty(piece) {
                    true => Ok(()),
                    false => Err(TarProblem::GoesOn),
                };
            }
            let missing = (BLOCK - self.block.len()).min(piece.len());
            self.block.extend_from_slice(&piece[..missing]);
            piece = &piece[missing..];
            if !self.has_begun {
                check_is_plain(&self.block)?;
            }
            if self.block.len() == BLOCK {
                let block = std::mem::take(&mut self.block);
                self.state = self.next(&block)?;
            }
        }
        Ok(())
    }

    /// After the last piece.
    ///
    /// # Errors
    /// Something is missing.
    pub(crate) fn finish(&self) -> Result<(), TarProblem> {
        match self.state {
            State::Ending(LAST_BLOCKS) => Ok(()),
            State::Head
            | State::Ending(_)
            | State::Data(_)
            | State::Records(..)
            | State::Holes(_) => Err(TarProblem::BreaksOff),
        }
    }

    /// What it says of the directory itself, which is the first entry of one that the engine made.
    pub(crate) fn root(&self) -> Option<Root> {
        self.root
    }

    /// What follows a block that is no data.
    fn next(&mut self, block: &[u8]) -> Result<State, TarProblem> {
        Ok(match std::mem::take(&mut self.state) {
            State::Head | State::Ending(0) => self.after_head(block)?,
            State::Ending(blocks) if is_empty(block) => State::Ending(blocks + 1),
            // A single block of zeros ends nothing.
            State::Ending(_) => self.after_head(block)?,
            State::Records(mut read, missing) => {
                let taken = missing.min(BLOCK as u64);
                read.extend_from_slice(&block[..usize::try_from(taken).unwrap_or(BLOCK)]);
                match missing - taken {
                    0 => {
                        self.said = Records::read(&read);
                        State::Head
                    }
                    missing => State::Records(read, missing),
                }
            }
            State::Holes(length) if head::goes_on(block) => State::Holes(length),
            State::Holes(length) | State::Data(length) => data(length),
        })
    }

    fn after_head(&mut self, block: &[u8]) -> Result<State, TarProblem> {
        self.has_begun = true;
        if is_empty(block) {
            return Ok(State::Ending(1));
        }
        let head = Head::read(block).ok_or(TarProblem::None)?;
        Ok(match head.kind {
            Kind::Records if head.length > MAX_RECORDS => return Err(TarProblem::None),
            Kind::Records if head.length > 0 => State::Records(Vec::new(), head.length),
            Kind::Records => State::Head,
            Kind::OfTheNext => data(head.length),
            Kind::WithHoles | Kind::WithoutData | Kind::Other => self.after_file(&head),
        })
    }

    fn after_file(&mut self, head: &Head<'_>) -> State {
        let said = std::mem::take(&mut self.said);
        if !std::mem::replace(&mut self.has_file, true) {
            self.root = head.root().map(|root| Root {
                user: said.user.unwrap_or(root.user),
                group: said.group.unwrap_or(root.group),
                ..root
            });
        }
        let length = said.length.unwrap_or(head.length);
        match head.kind {
            Kind::WithHoles => State::Holes(length),
            Kind::Other => data(length),
            Kind::WithoutData | Kind::Records | Kind::OfTheNext => State::Head,
        }
    }
}

fn skip<'p>(left: &mut u64, piece: &'p [u8]) -> &'p [u8] {
    let length = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(piece.len());
    *left -= length as u64;
    &piece[length..]
}

fn data(length: u64) -> State {
    match length.div_ceil(BLOCK as u64).checked_mul(BLOCK as u64) {
        Some(0) => State::Head,
        Some(whole) => State::Data(whole),
        None => State::Data(u64::MAX),
    }
}

fn is_empty(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// Told before a whole head is there.
fn check_is_plain(begin: &[u8]) -> Result<(), TarProblem> {
    const MAGIC: [&[u8]; 4] = [
        &[0x1f, 0x8b],
        b"BZh",
        &[0xfd, b'7', b'z'],
        &[0x28, 0xb5, 0x2f, 0xfd],
    ];
    match MAGIC.iter().any(|magic| begin.starts_with(magic)) {
        true => Err(TarProblem::Compressed),
        false => Ok(()),
    }
}

/// What may be said of a file before its head, as far as it is of use here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Records {
    length: Option<u64>,
    user: Option<u32>,
    group: Option<u32>,
}

impl Records {
    /// Of records `LENGTH KEY=VALUE\n`, of which the last one of a key counts. A value may hold anything.
    fn read(mut bytes: &[u8]) -> Self {
        let mut records = Self::default();
        while let Some((record, rest)) = first_record(bytes) {
            records.note(record);
            bytes = rest;
        }
        records
    }

    fn note(&mut self, record: &[u8]) {
        let Some((key, value)) = std::str::from_utf8(record)
            .ok()
            .and_then(|it| it.split_once('='))
        else {
            return;
        };
        match key {
            "size" => self.length = value.parse().ok(),
            "uid" => self.user = value.parse().ok(),
            "gid" => self.group = value.parse().ok(),
            _ => {}
        }
    }
}

/// `KEY=VALUE` of the first record, and what follows it.
fn first_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
    let record = bytes.get(blank + 1..length)?;
    Some((record.strip_suffix(b"\n")?, &bytes[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head as GNU tar writes it.
    fn head(name: &str, kind: u8, length: &[u8]) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        let mut write = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
        write(0, name.as_bytes());
        write(100, b"0000750\x000001747\x000001746\x00");
        write(124, length);
        write(148, b"        ");
        write(156, &[kind]);
        write(257, b"ustar  \x00");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    fn blocks(bytes: &[u8]) -> Vec<u8> {
        let mut blocks = bytes.to_vec();
        blocks.resize(bytes.len().next_multiple_of(BLOCK), 0);
        blocks
    }

    /// A directory, a file of 3,000 zeros, another whose length is said before it, and the end with what fills a record.
    fn tar() -> Vec<u8> {
        let said = b"13 size=1025\n20 path=a/long/name\n";
        [
            head("./", b'5', b"00000000000\0"),
            head("./a", b'0', b"00000005670\0"),
            blocks(&[0; 3_000]),
            head("./PaxHeaders/b", b'x', b"00000000041\0"),
            blocks(said),
            head("./b", b'0', b"00000000000\0"),
            blocks(&[7; 1_025]),
            vec![0; 4 * BLOCK],
        ]
        .concat()
    }

    fn passed(bytes: &[u8], piece: usize) -> Result<Tar, TarProblem> {
        let mut tar = Tar::default();
        for piece in bytes.chunks(piece) {
            tar.pass(piece)?;
        }
        Ok(tar)
    }

    #[test]
    fn a_whole_tar_says_whose_its_directory_is_in_whatever_pieces_it_comes() {
        let bytes = tar();
        for piece in [1, 7, 512, 1000, bytes.len()] {
            let tar = passed(&bytes, piece).unwrap();
            assert_eq!(tar.finish(), Ok(()), "{piece}");
            let root = Root {
                user: 999,
                group: 998,
                mode: 0o750,
            };
            assert_eq!(tar.root(), Some(root));
        }
    }

    #[test]
    fn one_that_breaks_off_anywhere_is_not_whole_though_zeros_came_last() {
        let bytes = tar();
        let whole = bytes.len() - 2 * BLOCK;
        for end in 0..whole {
            let tar = passed(&bytes[..end], 100).unwrap();
            assert_eq!(tar.finish(), Err(TarProblem::BreaksOff), "{end}");
        }
        assert_eq!(passed(&bytes[..whole], 100).unwrap().finish(), Ok(()));
    }

    #[test]
    fn the_length_of_large_files_and_of_those_with_holes_is_read() {
        let mut large = vec![0; 12];
        large[0] = 0x80;
        large[10..].copy_from_slice(&[2, 1]);
        let end = vec![0; 2 * BLOCK];
        let bytes = [head("./a", b'0', &large), blocks(&[1; 513]), end.clone()].concat();
        assert_eq!(passed(&bytes, 512).unwrap().finish(), Ok(()));
        let mut first = head("./s", b'S', b"00000001000\0");
        first[482] = 1;
        let sum = u64::from_str_radix(std::str::from_utf8(&first[148..154]).unwrap(), 8).unwrap();
        first[148..154].copy_from_slice(format!("{:06o}", sum + 1).as_bytes());
        let mut more = vec![0; BLOCK];
        more[504] = 1;
        let places = [more, vec![0; BLOCK]].concat();
        let bytes = [first, places, vec![7; BLOCK], end].concat();
        assert_eq!(passed(&bytes, 512).unwrap().finish(), Ok(()));
    }

    #[test]
    fn what_is_said_of_the_directory_before_it_counts_and_is_not_taken_for_a_file() {
        let said = b"15 uid=3000000\n14 gid=998000\n";
        let length = format!("{:011o}\0", said.len());
        let end = vec![0; 2 * BLOCK];
        let bytes = [
            head("pax_global_header", b'g', b"00000000001\0"),
            blocks(b"\n"),
            head("./PaxHeaders/.", b'x', length.as_bytes()),
            blocks(said),
            head("./", b'5', b"00000000000\0"),
            end,
        ]
        .concat();
        let root = passed(&bytes, 512).unwrap().root().unwrap();
        assert_eq!((root.user, root.group), (3_000_000, 998_000));
    }

    #[test]
    fn a_value_that_looks_like_a_record_is_none() {
        let evil = b"24 path=a\n20 size=1024\n\n11 size=7\n12 size=11\n";
        let records = Records::read(evil);
        assert_eq!(records.length, None, "the second one is cut short");
        let evil = b"23 path=a\n11 size=1024\n11 size=77\n";
        assert_eq!(Records::read(evil).length, Some(77));
    }

    #[test]
    fn what_is_no_tar_is_told_at_once() {
        let end = vec![0; 2 * BLOCK];
        let two = [head("./a", b'0', b"00000000000\0"), end, vec![7; 1]].concat();
        assert_eq!(passed(&two, 100).unwrap_err(), TarProblem::GoesOn);
        let unlike = [head("./a", b'0', b"00000000000\0"), vec![7; BLOCK]].concat();
        for (bytes, problem) in [
            (&b"\x1f\x8b\x08gzip"[..], TarProblem::Compressed),
            (b"BZh9", TarProblem::Compressed),
            (&[b'x'; 600], TarProblem::None),
            (&unlike, TarProblem::None),
        ] {
            assert_eq!(passed(bytes, 3).unwrap_err(), problem);
        }
        assert_eq!(
            passed(b"short", 2).unwrap().finish(),
            Err(TarProblem::BreaksOff)
        );
        let nothing = passed(&[0; 1024], 512).unwrap();
        assert_eq!((nothing.finish(), nothing.root()), (Ok(()), None));
    }
}
