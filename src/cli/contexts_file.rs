//! The file of contexts: Kontena's own, `~/.kontena_client.json`, or what `KONTENA_CONFIG` names.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::failure::Failure;
use super::session::Environment;

pub(crate) use crate::api::target::contexts::Contexts;

const FILE_NAME: &str = ".kontena_client.json";

/// No file is no context.
pub(crate) fn read(environment: Environment<'_>) -> Result<Contexts, Failure> {
    let Some(path) = path(environment) else {
        return Ok(Contexts::default());
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(problem) if problem.kind() == ErrorKind::NotFound => return Ok(Contexts::default()),
        Err(problem) => {
            let message = format!("failed to read `{}`: {problem}", path.display());
            return Err(Failure::failed(message));
        }
    };
    Contexts::parse(&text).map_err(|problem| {
        Failure::failed(format!("`{}` cannot be read: {problem}", path.display()))
            .hint("mend it or move it away; `--socket` and `--url` do not need it")
    })
}

/// Replaces the file as a whole, readable by its owner alone: it holds tokens.
pub(crate) fn write(contexts: &Contexts, environment: Environment<'_>) -> Result<(), Failure> {
    let path = path(environment).ok_or_else(|| {
        Failure::failed("there is no place for contexts: neither HOME nor KONTENA_CONFIG is set")
    })?;
    replace(&path, &contexts.encode())
        .with_context(|| format!("failed to write `{}`", path.display()))?;
    Ok(())
}

fn path(environment: Environment<'_>) -> Option<PathBuf> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let at_home = || set("HOME").map(|home| Path::new(&home).join(FILE_NAME));
    set("KONTENA_CONFIG").map(PathBuf::from).or_else(at_home)
}

fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = PathBuf::from(name);
    let written = write_new(&new, text).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // What is left of the attempt; the attempt's own error is told.
        let _ = fs::remove_file(&new);
    }
    Ok(written?)
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        let environment = |name: &str| (name == "HOME").then(|| home.clone());
        let mut contexts = read(&environment).unwrap();
        contexts.put("work", "http://10.0.0.1:9292", Some("secret"));
        write(&contexts, &environment).unwrap();

        assert_eq!(read(&environment).unwrap(), contexts);
        let path = folder.path().join(FILE_NAME);
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_and_not_overwritten() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "{").unwrap();
        let at = file.path().display().to_string();
        let environment = |name: &str| (name == "KONTENA_CONFIG").then(|| at.clone());
        assert!(matches!(read(&environment), Err(Failure::Failed(_))));
    }
}
