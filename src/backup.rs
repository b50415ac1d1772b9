//! A backup of a grid: all that its documents say, and the identity of the node that made it, for whoever has its
//! recovery code.
//!
//! A file is a line that says what it is, a line of JSON that says of which grid it is ([`Label`]), and the rest sealed
//! (`sealed.rs`). Only the recovery code opens it: it has the environment of all services in it, and a node's secret key.
//! What is altered, cut or of another code does not open, because the label is sealed with it.
//!
//! Not here: data in volumes.

mod contents;
mod place;
mod recovery_code;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

pub(crate) use contents::Contents;
pub(crate) use place::{Place, bring_back};
pub(crate) use recovery_code::{RecoveryCode, RecoveryKey};

use crate::sealed;

/// The first line of each. A newer version reads older ones; never the reverse.
const MAGIC: &str = "kontena grid backup 1";

/// The longest first two lines, in bytes.
const MAX_LABEL: usize = 4 * 1024;

/// The largest file, in bytes: it is sent as one answer, of which the client reads 64 MiB, and in base64.
pub(crate) const MAX_BYTES: usize = 44 << 20;

/// What anybody can read of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Label {
    /// The grid's name.
    pub(crate) grid: String,
    /// Its id.
    pub(crate) id: String,
    /// The node that made it, by its name: whoever restores it becomes that node.
    pub(crate) node: String,
    /// In milliseconds since 1970, by that node's clock.
    pub(crate) taken_at: u64,
}

/// Writes a backup that only the holder of the code opens.
pub(crate) fn write(
    label: &Label,
    contents: &Contents,
    to: &RecoveryKey,
) -> anyhow::Result<Vec<u8>> {
    let head = head(label)?;
    let sealed = sealed::seal_backup(to, &contents.encode()?, head.as_bytes())
        .context("failed to seal the backup")?;
    let file = [head.as_bytes(), &sealed].concat();
    ensure!(
        file.len() <= MAX_BYTES,
        "the backup is larger than {} MiB",
        MAX_BYTES >> 20
    );
    Ok(file)
}

/// Of which grid it is; nothing of that is proved before it is opened.
pub(crate) fn label(file: &[u8]) -> anyhow::Result<Label> {
    split(file).map(|(label, _, _)| label)
}

pub(crate) fn open(file: &[u8], code: &RecoveryCode) -> anyhow::Result<(Label, Contents)> {
    let (label, head, sealed) = split(file)?;
    let opened = sealed::open_backup(code, sealed, head).context(
        "it does not open: the recovery code is another one's, or the file was cut or altered",
    )?;
    Ok((label, Contents::decode(&opened)?))
}

fn head(label: &Label) -> anyhow::Result<String> {
    let label = serde_json::to_string(label).context("failed to write the label")?;
    Ok(format!("{MAGIC}\n{label}\n"))
}

/// Its label, the lines that it is in, and what is sealed.
fn split(file: &[u8]) -> anyhow::Result<(Label, &[u8], &[u8])> {
    let beginning = &file[..file.len().min(MAX_LABEL)];
    let mut breaks = beginning.iter().enumerate();
    let mut line_break = || breaks.find(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let first = line_break().unwrap_or(beginning.len());
    let magic = String::from_utf8_lossy(&beginning[..first]);
    if let Some(version) = magic.strip_prefix("kontena grid backup ")
        && magic != MAGIC
    {
        let version: String = version.chars().take(16).collect();
        bail!(
            "it was written by a newer version of kontena (format {version}): install that version"
        );
    }
    ensure!(magic == MAGIC, "it is no backup of a grid");
    let second = line_break().context("it is cut off")?;
    let label = serde_json::from_slice(&beginning[first + 1..second])
        .context("its label cannot be read")?;
    let (head, sealed) = file.split_at(second + 1);
    Ok((label, head, sealed))
}

#[cfg(test)]
mod tests {
    use kontena_core::document::edit::Edit;
    use kontena_core::document::{Replica, SignedEnvelope};
    use kontena_core::identity::SecretKey;
    use kontena_core::node::SavedState;
    use kontena_core::time::WallTime;

    use super::*;

    fn label_of() -> Label {
        Label {
            grid: "home".to_owned(),
            id: "ab".repeat(32),
            node: "alpha".to_owned(),
            taken_at: 1_769_860_800_000,
        }
    }

    fn genesis() -> SignedEnvelope {
        let key = SecretKey::from_seed([1; 32]);
        let mut replica = Replica::new(key.clone(), 1);
        let name = Edit::GridName("home".parse().unwrap());
        let prepared = replica.prepare_genesis(&key, &[name], WallTime(1));
        prepared.unwrap().remove(0).envelope
    }

    fn contents_of() -> Contents {
        let state = SavedState {
            envelopes: vec![genesis()],
            local: [("a".to_owned(), vec![1, 2])].into(),
            keys: [("/k".to_owned(), vec![0; 1000])].into(),
            ..SavedState::default()
        };
        Contents::of(&SecretKey::from_seed([7; 32]), 12, state)
    }

    fn file(code: &RecoveryCode) -> Vec<u8> {
        write(&label_of(), &contents_of(), &code.key()).unwrap()
    }

    #[test]
    fn what_is_written_is_opened_by_its_code_alone() {
        let code = RecoveryCode::new().unwrap();
        let file = file(&code);
        assert_eq!(label(&file).unwrap(), label_of());
        assert_eq!(open(&file, &code).unwrap(), (label_of(), contents_of()));
        let another = RecoveryCode::new().unwrap();
        let problem = open(&file, &another).unwrap_err().to_string();
        assert!(problem.contains("recovery code"), "{problem}");
        let secret = [7; 32];
        assert!(!file.windows(32).any(|window| window == secret));
    }

    #[test]
    fn what_is_cut_altered_or_something_else_is_refused() {
        let code = RecoveryCode::new().unwrap();
        let file = file(&code);
        for length in [
            0,
            5,
            MAGIC.len(),
            MAGIC.len() + 3,
            100,
            file.len() / 2,
            file.len() - 1,
        ] {
            assert!(open(&file[..length], &code).is_err(), "{length} bytes");
        }
        for at in [MAGIC.len() + 12, file.len() / 2, file.len() - 1] {
            let mut altered = file.clone();
            altered[at] ^= 1;
            assert!(open(&altered, &code).is_err(), "at {at}");
        }
        for (text, words) in [
            ("", "no backup"),
            ("stack: demo\n", "no backup"),
            ("kontena grid backup 2\n{}\n", "newer version"),
            ("kontena grid backup 1\n", "cut off"),
            ("kontena grid backup 1\n{}\n", "label"),
        ] {
            let problem = label(text.as_bytes()).unwrap_err().to_string();
            assert!(problem.contains(words), "{text:?}: {problem}");
        }
    }
}
