//! Environment variables, `NAME=VALUE`, and container labels, `KEY=VALUE`, of a service.

use super::Service;

/// Why a text is not an environment variable.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidVariable {
    #[error("`{0}` is not an environment variable: expected `NAME=VALUE`")]
    Form(String),
    #[error("the environment variable `{name}` takes {bytes} bytes, {max} are possible", max = Service::MAX_VARIABLE_BYTES)]
    TooLong { name: String, bytes: usize },
    #[error("the environment variable `{0}` contains a NUL character")]
    Nul(String),
}

impl Service {
    /// The longest `NAME=VALUE` in bytes: Linux refuses to start a program with a longer one
    /// (`MAX_ARG_STRLEN`), and so did Kontena.
    pub const MAX_VARIABLE_BYTES: usize = 128 * 1024;

    /// The name in `NAME=VALUE`, or why it is not one.
    pub fn variable_name(text: &str) -> Result<&str, InvalidVariable> {
        let (name, _) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| InvalidVariable::Form(text.to_owned()))?;
        if text.len() > Self::MAX_VARIABLE_BYTES {
            return Err(InvalidVariable::TooLong {
                name: name.to_owned(),
                bytes: text.len(),
            });
        }
        if text.contains('\0') {
            return Err(InvalidVariable::Nul(name.to_owned()));
        }
        Ok(name)
    }
}

/// Why a text is not a label of a service.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidLabel {
    #[error("`{0}` is not a label: expected `KEY=VALUE`")]
    Form(String),
    #[error("the label `{key}` takes {bytes} bytes, {max} are possible", max = Service::MAX_VARIABLE_BYTES)]
    TooLong { key: String, bytes: usize },
}

impl Service {
    /// Key and value of the container label `KEY=VALUE`.
    pub fn label(text: &str) -> Result<(&str, &str), InvalidLabel> {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| InvalidLabel::Form(text.to_owned()))?;
        if text.len() > Self::MAX_VARIABLE_BYTES {
            return Err(InvalidLabel::TooLong {
                key: key.to_owned(),
                bytes: text.len(),
            });
        }
        Ok((key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_name_and_fits_into_the_kernel() {
        assert_eq!(Service::variable_name("A=b=c"), Ok("A"));
        assert_eq!(Service::variable_name("A="), Ok("A"));
        for wrong in ["A", "", "=b", "A=\0"] {
            assert!(Service::variable_name(wrong).is_err(), "{wrong:?}");
        }
        let longest = format!("A={}", "x".repeat(Service::MAX_VARIABLE_BYTES - 2));
        assert!(Service::variable_name(&longest).is_ok());
        assert!(Service::variable_name(&(longest + "x")).is_err());
    }
}
