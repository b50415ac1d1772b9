//! A tar that says whose a directory is, and has nothing else in it.

use super::head::{GROUP, MAGIC, MODE, NAME, SUM, TYPE, USER};
use super::{BLOCK, Root};

/// Of the directory at that path, from where it is unpacked.
pub(in crate::docker::contents) fn owning(path: &str, root: Root) -> Vec<u8> {
    let mut head = [0; BLOCK];
    let name = path.trim_start_matches('/').as_bytes();
    head[NAME][..name.len()].copy_from_slice(name);
    head[MODE].copy_from_slice(&number(root.mode));
    head[USER].copy_from_slice(&number(root.user));
    head[GROUP].copy_from_slice(&number(root.group));
    head[TYPE] = b'5';
    head[MAGIC].copy_from_slice(b"ustar  \0");
    head[SUM].fill(b' ');
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[SUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = head.to_vec();
    tar.resize(3 * BLOCK, 0);
    tar
}

/// In octal digits or, where there is no room for them, in the bytes themselves, as GNU tar writes it.
fn number(number: u32) -> [u8; 8] {
    let mut field = [0; 8];
    match number < 1 << 21 {
        true => field[..7].copy_from_slice(format!("{number:07o}").as_bytes()),
        false => {
            field[0] = 0x80;
            field[4..].copy_from_slice(&number.to_be_bytes());
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::super::Tar;
    use super::*;

    #[test]
    fn it_is_a_whole_tar_which_says_whose_the_directory_is() {
        for (user, group, mode) in [
            (0, 0, 0o755),
            (999, 998, 0o1700),
            (3_000_000, u32::MAX, 0o7),
        ] {
            let root = Root { user, group, mode };
            let mut tar = Tar::default();
            tar.pass(&owning("/.", root)).unwrap();
            assert_eq!(tar.finish(), Ok(()));
            assert_eq!(tar.root(), Some(root));
        }
    }
}
