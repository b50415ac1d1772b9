//! Secrets on a command line: as they are, from a file, or from standard input.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};

use super::output::without_line_break;

/// Longer than any token; a file that is larger is another one than was meant.
const MAX_BYTES: u64 = 64 << 10;

pub(crate) const TOKEN: &str = "token";

/// `-` is standard input, `@FILE` a file, everything else the secret itself. White space around it
/// is dropped: tokens have none, and files end with a line break.
pub(crate) fn read(argument: &str) -> anyhow::Result<String> {
    match argument.strip_prefix('@') {
        Some(path) => from_file(Path::new(path), TOKEN),
        None if argument == "-" => text(std::io::stdin(), TOKEN, "standard input"),
        None => Ok(argument.trim().to_owned()),
    }
}

/// `what` it is, for people.
pub(crate) fn from_file(path: &Path, what: &str) -> anyhow::Result<String> {
    let name = format!("`{}`", path.display());
    let file = fs::File::open(path).with_context(|| format!("failed to open {name}"))?;
    text(file, what, &name)
}

/// A password as it is written, but for the line break at its end: it may begin or end with white space.
pub(crate) fn password(source: impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    source
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .context("failed to read a password from standard input")?;
    let text = without_line_break(&text);
    if text.is_empty() {
        bail!("there is no password in standard input");
    }
    Ok(text.to_owned())
}

fn text(source: impl Read, what: &str, name: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    source
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .with_context(|| format!("failed to read a {what} from {name}"))?;
    let text = text.trim();
    if text.is_empty() {
        bail!("there is no {what} in {name}");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_as_it_is_or_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "from-file\n").unwrap();
        let at = format!("@{}", file.path().display());
        assert_eq!(read("plain").unwrap(), "plain");
        assert_eq!(read(&at).unwrap(), "from-file");
    }

    #[test]
    fn a_password_keeps_its_white_space_but_the_line_break() {
        assert_eq!(password(&b" a b \r\n"[..]).unwrap(), " a b ");
        assert_eq!(password(&b"two\nlines"[..]).unwrap(), "two\nlines");
        assert!(password(&b"\n"[..]).is_err());
    }

    #[test]
    fn an_empty_file_is_no_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let problem = from_file(file.path(), TOKEN).unwrap_err().to_string();
        assert!(problem.starts_with("there is no token in"), "{problem}");
    }
}
