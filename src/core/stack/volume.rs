//! Mounts as people write them: `/path`, `/host:/path[:flags]` or `name:/path[:flags]`.

use std::fmt;
use std::str::FromStr;

use super::{Volume, VolumeSource};
use crate::volume::InvalidVolumeName;

/// Docker's flags for a bind mount or volume (`docker run --volume`).
const FLAGS: [&str; 14] = [
    "ro",
    "rw",
    "z",
    "Z",
    "nocopy",
    "private",
    "rprivate",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "cached",
    "delegated",
    "consistent",
];

/// Why a text is not a mount.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidVolume {
    #[error(
        "`{0}` is not a volume: expected `/PATH`, `/HOST-PATH:/PATH[:FLAGS]` or `NAME:/PATH[:FLAGS]`"
    )]
    Form(String),
    #[error("the path `{path}` in `{text}` is not absolute")]
    Relative { path: String, text: String },
    #[error("the path `{path}` in `{text}` climbs out with `..`")]
    Climbs { path: String, text: String },
    #[error("nothing can be mounted over the container's `/`")]
    Root,
    #[error("in `{text}`: {problem}")]
    Name {
        problem: InvalidVolumeName,
        text: String,
    },
    #[error("`{flag}` in `{text}` is not a mount flag that Docker knows")]
    Flag { flag: String, text: String },
}

impl FromStr for Volume {
    type Err = InvalidVolume;

    fn from_str(text: &str) -> Result<Self, InvalidVolume> {
        let parts: Vec<&str> = text.splitn(4, ':').collect();
        let (source, path, flags) = match parts[..] {
            [path] => (VolumeSource::Anonymous, path, None),
            [source, path] => (source_of(source, text)?, path, None),
            [source, path, flags] => (source_of(source, text)?, path, Some(flags)),
            _ => return Err(InvalidVolume::Form(text.to_owned())),
        };
        check_path(path, text)?;
        if path.trim_end_matches('/').is_empty() {
            return Err(InvalidVolume::Root);
        }
        Ok(Self {
            path: path.to_owned(),
            source,
            flags: flags.map(|flags| check_flags(flags, text)).transpose()?,
        })
    }
}

fn source_of(source: &str, text: &str) -> Result<VolumeSource, InvalidVolume> {
    if source.starts_with(['/', '.', '~']) {
        check_path(source, text)?;
        return Ok(VolumeSource::Bind(source.to_owned()));
    }
    let name = source.parse().map_err(|problem| InvalidVolume::Name {
        problem,
        text: text.to_owned(),
    })?;
    Ok(VolumeSource::Named(name))
}

fn check_path(path: &str, text: &str) -> Result<(), InvalidVolume> {
    let (path, text) = (path.to_owned(), text.to_owned());
    if path.is_empty() {
        return Err(InvalidVolume::Form(text));
    }
    if !path.starts_with('/') {
        return Err(InvalidVolume::Relative { path, text });
    }
    if path.split('/').any(|part| part == "..") {
        return Err(InvalidVolume::Climbs { path, text });
    }
    Ok(())
}

fn check_flags(flags: &str, text: &str) -> Result<String, InvalidVolume> {
    match flags.split(',').find(|flag| !FLAGS.contains(flag)) {
        None => Ok(flags.to_owned()),
        Some(flag) => Err(InvalidVolume::Flag {
            flag: flag.to_owned(),
            text: text.to_owned(),
        }),
    }
}

impl Volume {
    /// The path without what makes no difference: `/data` and `//data/.` are one place.
    pub fn normal_path(&self) -> String {
        let names = self.path.split('/');
        let names = names.filter(|name| !matches!(*name, "" | "."));
        names.fold(String::new(), |path, name| path + "/" + name)
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            VolumeSource::Anonymous => {}
            VolumeSource::Bind(source) => write!(f, "{source}:")?,
            VolumeSource::Named(name) => write!(f, "{name}:")?,
        }
        f.write_str(&self.path)?;
        match &self.flags {
            Some(flags) => write!(f, ":{flags}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_read_as_it_is_written() {
        for text in [
            "/data",
            "/srv/db:/data",
            "/srv/db:/data:ro,z",
            "cache:/data:rw",
        ] {
            assert_eq!(text.parse::<Volume>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_volume_says_what_is_wrong() {
        for (text, expected) in [
            ("", "`` is not a volume"),
            ("data", "the path `data` in `data` is not absolute"),
            ("./data:/data", "the path `./data` in"),
            ("/data:ro", "the path `ro` in `/data:ro` is not absolute"),
            ("/a/../..:/data", "the path `/a/../..` in"),
            ("/a:/b:rx", "`rx` in `/a:/b:rx` is not a mount flag"),
            ("/a:/b:ro:z", "`/a:/b:ro:z` is not a volume"),
            ("a b:/b", "in `a b:/b`: `a b` is not a volume name"),
            (":/b", "in `:/b`: `` is not a volume name"),
            ("/a:/", "nothing can be mounted"),
        ] {
            let problem = text.parse::<Volume>().unwrap_err().to_string();
            assert!(problem.starts_with(expected), "{text}: {problem}");
        }
    }

    #[test]
    fn a_slash_more_does_not_make_another_path() {
        let normal = |text: &str| text.parse::<Volume>().unwrap().normal_path();
        assert_eq!(normal("/data"), normal("/srv://data/./"));
        assert_ne!(normal("/data"), normal("/data/a"));
    }
}
