//! What a stack file wants of the world, asked for through [`World`]: this crate reads nothing itself.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::value::Value;

/// Where a stack file is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// A file, by its absolute path, without `.` and `..`.
    File(PathBuf),
    /// `user/stack`, or `user/stack:version`, of a registry of stacks.
    Registry(String),
    /// `scheme://…`
    Url(String),
    /// A text without a place, such as standard input; files that it names are sought in the folder.
    Text { name: String, folder: PathBuf },
}

impl Location {
    /// The file of a path; `folder` is absolute.
    pub fn file(folder: &Path, path: &str) -> Self {
        Self::File(normal(&folder.join(path)))
    }

    /// Where the paths in it begin. Stacks of elsewhere have no folder, and so no files.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(path) => path.parent(),
            Self::Text { folder, .. } => Some(folder),
            Self::Registry(_) | Self::Url(_) => None,
        }
    }

    /// Whether `text` is a reference as `user/stack:version`, and no path.
    pub fn is_registry_reference(text: &str) -> bool {
        let name = text.split_once(':').map_or(text, |(name, _)| name);
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        // `../redis` is a path.
        let is_name = |part: &str| part.chars().all(valid) && part.chars().any(|c| c != '.');
        name.split_once('/')
            .is_some_and(|(user, stack)| is_name(user) && is_name(stack))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Registry(text) | Self::Url(text) | Self::Text { name: text, .. } => {
                f.write_str(text)
            }
        }
    }
}

/// Without `.` and `..`, by the text alone.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                normal.push(component);
            }
        }
    }
    normal
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadProblem {
    Missing,
    /// In words, without the name of what was to be read.
    Failed(String),
    /// The same, and what can be done about it.
    Refused {
        why: String,
        hint: String,
    },
}

impl ReadProblem {
    /// What can be done about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } => Some(hint),
            Self::Missing | Self::Failed(_) => None,
        }
    }
}

impl fmt::Display for ReadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such file"),
            Self::Failed(why) | Self::Refused { why, .. } => f.write_str(why),
        }
    }
}

/// What a variable asks of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The variable; of a dependency `DEPENDENCY.VARIABLE`.
    pub variable: String,
    pub text: String,
    pub answer: AnswerKind,
    /// What is taken where the answer is empty.
    pub default: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AnswerKind {
    /// `shown` is false for what nobody should read over a shoulder.
    Text {
        shown: bool,
    },
    YesNo,
    /// One of these.
    One(Vec<Choice>),
    /// Any number of these.
    Many(Vec<Choice>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub value: Value,
    pub label: String,
}

/// The world of a stack file. A method answers `None` where there is nobody or nothing to ask, and so
/// does each that a world leaves out.
pub trait World {
    /// The text of a file, or of a stack of elsewhere.
    ///
    /// # Errors
    /// Why there is none.
    fn read(&mut self, location: &Location) -> Result<String, ReadProblem>;

    /// How problems name a file.
    fn shown(&self, location: &Location) -> String {
        location.to_string()
    }

    /// The address of the registry that `user/stack` is sought in.
    fn registry(&self) -> Option<String> {
        None
    }

    fn environment(&mut self, _name: &str) -> Option<String> {
        None
    }

    /// A number from 0 to `below - 1`, that nobody can guess; `below` is at least 1.
    fn random(&mut self, below: u64) -> u64;

    /// The answer of a person.
    fn ask(&mut self, _question: &Question) -> Option<Value> {
        None
    }

    /// What the vault holds.
    fn secret(&mut self, _name: &str) -> Option<String> {
        None
    }

    fn secret_names(&mut self) -> Option<Vec<String>> {
        None
    }

    /// The subjects of the grid's certificates.
    fn certificates(&mut self) -> Option<Vec<String>> {
        None
    }

    /// `stack/service` of the grid's services, or those of which the image and the name have these in
    /// them.
    fn services(&mut self, _image: Option<&str>, _name: Option<&str>) -> Option<Vec<String>> {
        None
    }

    /// How many instances an installed service has.
    fn instances(&mut self, _stack: &str, _service: &str) -> Option<u32> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_to_a_registry_has_one_slash_and_no_dots_alone() {
        for (text, expected) in [
            ("kontena/redis", true),
            ("kontena/redis:1.0", true),
            ("redis.yml", false),
            ("/a/b", false),
            ("a/b/c", false),
            ("../redis", false),
            ("./redis.yml", false),
            ("a.b/..", false),
        ] {
            assert_eq!(Location::is_registry_reference(text), expected, "{text}");
        }
    }

    #[test]
    fn a_path_is_sought_beside_the_file_that_names_it() {
        let folder = Path::new("/srv/stacks");
        let file = Location::file(folder, "../other/./x.yml");
        assert_eq!(file, Location::File(PathBuf::from("/srv/other/x.yml")));
        assert_eq!(file.folder(), Some(Path::new("/srv/other")));
    }
}
