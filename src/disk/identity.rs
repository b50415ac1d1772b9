//! The node's key: made once from the kernel's randomness, kept in a file of its own.

use std::fs::File;
use std::io::{ErrorKind, Read};

use anyhow::{Context, bail};
use data_encoding::HEXLOWER;
use kontena_core::identity::SecretKey;

use super::at;
use super::directory::{Directory, make_file_private};

const KEY_FILE: &str = "node.key";
const REMOVED_KEY_FILE: &str = "node.key.removed";

/// The key in the directory. A new one is made only where there was never a boot: without its key a
/// node would come back as a stranger that holds a member's data.
pub(super) fn load_or_create(directory: &Directory, booted: bool) -> anyhow::Result<SecretKey> {
    let path = directory.file(KEY_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            make_file_private(&path)?;
            let seed = parse(&text).with_context(|| {
                format!(
                    "`{}` is damaged: 64 hexadecimal digits are expected",
                    path.display()
                )
            })?;
            Ok(SecretKey::from_seed(seed))
        }
        Err(error) if error.kind() == ErrorKind::NotFound && booted => bail!(
            "`{}` is missing, but the node has data: put the key back, or start with an empty directory and join again",
            path.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => create(directory),
        Err(error) => at(Err(error), "read", &path),
    }
}

/// Moves the key aside, so that the next boot makes a new one.
pub(super) fn set_aside(directory: &Directory) -> anyhow::Result<()> {
    directory.rename(KEY_FILE, REMOVED_KEY_FILE)
}

/// Bytes from the kernel.
pub(super) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("failed to read `/dev/urandom`")?;
    Ok(bytes)
}

fn create(directory: &Directory) -> anyhow::Result<SecretKey> {
    let key = SecretKey::from_seed(random()?);
    write(directory, &key)?;
    Ok(key)
}

/// Takes the place of another key, if there is one.
pub(super) fn write(directory: &Directory, key: &SecretKey) -> anyhow::Result<()> {
    let text = format!("{}\n", HEXLOWER.encode(&key.seed()));
    directory.write(KEY_FILE, text.as_bytes())
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let bytes = HEXLOWER.decode(text.trim().as_bytes()).ok()?;
    bytes.try_into().ok()
}
