//! How much of a list is asked for. *Ours*: Kontena's clients ask for all of it.

use schemars::JsonSchema;
use serde::Deserialize;

/// The parameters of a list; a list that has others too has these beside them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// *Ours*: at most so many. All of them where it is absent.
    pub(crate) limit: Option<PageSize>,
    /// *Ours*: only what comes after this place of the list, as the header `Link` of the page before says it.
    pub(crate) after: Option<Place>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "usize")]
#[schemars(inline)]
pub(crate) struct PageSize(#[schemars(range(min = 1, max = 1_000))] usize);

impl PageSize {
    const MAX: usize = 1_000;

    pub(crate) fn get(self) -> usize {
        self.0
    }
}

impl TryFrom<usize> for PageSize {
    type Error = String;

    fn try_from(size: usize) -> Result<Self, String> {
        match size {
            1..=Self::MAX => Ok(Self(size)),
            _ => Err(format!("a page has 1 to {}", Self::MAX)),
        }
    }
}

/// A place in the order of a list. Any text is one: what follows it is what comes later in the order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline)]
pub(crate) struct Place(#[schemars(length(max = 256))] String);

impl Place {
    const MAX: usize = 256;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.chars().count() <= Self::MAX {
            true => Ok(Self(text)),
            false => Err(format!(
                "a place of a list has at most {} characters",
                Self::MAX
            )),
        }
    }
}
