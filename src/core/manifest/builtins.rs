//! `$STACK`, `$GRID`, `$PLATFORM` and `$$` in the values of a file.
//!
//! Variables and Liquid are not here yet. They are refused rather than passed on, so that no
//! container ever gets a literal `$PASSWORD`.

/// What the names that every file knows stand for.
pub(super) struct Builtins<'a> {
    /// Unknown until the `stack` key is read, if the file is not installed under a name.
    pub(super) stack: Option<String>,
    pub(super) grid: &'a str,
}

/// Why a text cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum NotYet {
    #[error("variables are not supported yet: `{0}`")]
    Variable(String),
    #[error("variables are not supported yet: `{{{{ … }}}}`")]
    Template,
}

impl Builtins<'_> {
    /// `text` with the built-in names replaced and `$$` turned into `$`.
    pub(super) fn expand(&self, text: &str) -> Result<String, NotYet> {
        if text.contains("{{") {
            return Err(NotYet::Template);
        }
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            rest = match after.strip_prefix('$') {
                Some(after) => {
                    expanded.push('$');
                    after
                }
                None => self.replace_name(after, &mut expanded)?,
            };
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    /// Appends what the name at the start of `after` stands for; returns what follows the name.
    fn replace_name<'t>(&self, after: &'t str, expanded: &mut String) -> Result<&'t str, NotYet> {
        let (name, rest) = match after.strip_prefix('{') {
            Some(braced) => braced
                .split_once('}')
                .ok_or_else(|| NotYet::Variable("${".to_owned()))?,
            None => after.split_at(name_length(after)),
        };
        if name.is_empty() && !after.starts_with('{') {
            expanded.push('$'); // a lone dollar, as in `^a$`, is no variable
            return Ok(rest);
        }
        let value = self.value(name);
        let value = value.ok_or_else(|| {
            let end = after.len() - rest.len();
            NotYet::Variable(format!("${}", &after[..end]))
        })?;
        expanded.push_str(value);
        Ok(rest)
    }

    fn value(&self, name: &str) -> Option<&str> {
        match name {
            "STACK" => self.stack.as_deref(),
            "GRID" | "PLATFORM" => Some(self.grid),
            _ => None,
        }
    }
}

fn name_length(text: &str) -> usize {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    text.find(|c| !is_name(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, String> {
        let builtins = Builtins {
            stack: Some("shop".to_owned()),
            grid: "home",
        };
        builtins.expand(text).map_err(|problem| problem.to_string())
    }

    #[test]
    fn built_in_names_are_replaced() {
        for (text, expected) in [
            ("db.$STACK.$GRID.local", "db.shop.home.local"),
            ("${STACK}_x-${PLATFORM}", "shop_x-home"),
            ("$$STACK costs 5$", "$STACK costs 5$"),
            ("$$$GRID", "$home"),
            ("^a$|$(b)", "^a$|$(b)"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn any_other_variable_is_refused() {
        for (text, named) in [
            ("a$PASSWORD.", "`$PASSWORD`"),
            ("${PASSWORD}x", "`${PASSWORD}`"),
            ("${STACK:-x}", "`${STACK:-x}`"),
            ("$STACK_NAME", "`$STACK_NAME`"),
            ("${", "`${`"),
            ("${}", "`${}`"),
            ("{{ x }}", "`{{ … }}`"),
        ] {
            let expected = format!("variables are not supported yet: {named}");
            assert_eq!(expand(text), Err(expected));
        }
    }
}
