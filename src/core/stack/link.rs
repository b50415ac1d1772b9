//! Links as people write them: `SERVICE[:ALIAS]` or `STACK/SERVICE[:ALIAS]`.

use std::fmt;
use std::str::FromStr;

use super::{Link, Service};
use crate::id::{InvalidId, StackName};

/// Why a text is not a link.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidLink {
    #[error(transparent)]
    Name(#[from] InvalidId),
    #[error("`{0}` has no alias after the `:`")]
    Alias(String),
}

impl Link {
    /// The linked service: `SERVICE`, or `STACK/SERVICE` in another stack.
    pub fn target(&self) -> String {
        match &self.stack {
            Some(stack) => format!("{stack}/{}", self.service),
            None => self.service.to_string(),
        }
    }

    /// A link to `target`, known as `alias`, or as its target where none is given (as Kontena).
    pub fn new(target: &str, alias: Option<&str>) -> Result<Self, InvalidLink> {
        let (stack, service) = match target.split_once('/') {
            Some((stack, service)) => (Some(stack.parse()?), service.parse()?),
            None => (None, target.parse()?),
        };
        Ok(Self {
            stack,
            service,
            alias: alias.unwrap_or(target).to_owned(),
        })
    }
}

impl Service {
    /// Makes links that name the service's own stack links within it, so that one service is
    /// always called by one name.
    pub fn localize_links(&mut self, own: &StackName) {
        for link in &mut self.links {
            link.stack.take_if(|stack| stack == own);
        }
    }
}

impl FromStr for Link {
    type Err = InvalidLink;

    fn from_str(text: &str) -> Result<Self, InvalidLink> {
        match text.split_once(':') {
            Some((_, "")) => Err(InvalidLink::Alias(text.to_owned())),
            Some((target, alias)) => Self::new(target, Some(alias)),
            None => Self::new(text, None),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target();
        if self.alias == target {
            f.pad(&target)
        } else {
            write!(f, "{target}:{}", self.alias)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_as_it_is_written() {
        for text in ["db", "db:database", "system/lb", "system/lb:front"] {
            assert_eq!(text.parse::<Link>().unwrap().to_string(), text);
        }
        assert_eq!("system/lb".parse::<Link>().unwrap().alias, "system/lb");
    }

    #[test]
    fn a_wrong_link_is_refused() {
        for text in ["", "db:", "a/b/c", "Db", "/db", "db/"] {
            assert!(text.parse::<Link>().is_err(), "{text}");
        }
    }
}
