//! What a plain scalar means in YAML 1.1, which Kontena's files are written in.

use super::tree::Scalar;

impl Scalar {
    pub(super) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// `yes`, `on` and `true`, `no`, `off` and `false`, in any case.
    pub(super) fn boolean(&self) -> Option<bool> {
        if !self.plain || self.text.len() > 5 {
            return None;
        }
        match self.text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" => Some(true),
            "no" | "off" | "false" => Some(false),
            _ => None,
        }
    }

    /// Whether YAML 1.1 reads it as a number other than the one that it shows: base 60 (`22:22`),
    /// octal (`017`), hexadecimal, binary, or with `_` or `,` between digits.
    pub(super) fn is_deceptive_number(&self) -> bool {
        self.plain && (is_base_60(&self.text) || is_other_base(&self.text))
    }

    pub(super) fn is_base_60(&self) -> bool {
        self.plain && is_base_60(&self.text)
    }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn is_base_60(text: &str) -> bool {
    let mut parts = unsigned(text).split(':');
    let first = parts.next().unwrap_or_default();
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let below_60 =
        |part: &str| digits(part) && part.parse::<u8>().is_ok_and(|n| n < 60) && part.len() <= 2;
    let rest: Vec<&str> = parts.collect();
    first.starts_with(|c: char| c.is_ascii_digit())
        && first
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_')
        && !rest.is_empty()
        && rest.iter().all(|part| below_60(part))
}

fn is_other_base(text: &str) -> bool {
    let number = unsigned(text);
    if let Some(digits) = number.strip_prefix("0x") {
        return all(digits, |byte| byte.is_ascii_hexdigit());
    }
    if let Some(digits) = number.strip_prefix("0b") {
        return all(digits, |byte| matches!(byte, b'0' | b'1'));
    }
    let octal = number.strip_prefix('0');
    if octal.is_some_and(|digits| all(digits, |byte| matches!(byte, b'0'..=b'7'))) {
        return true;
    }
    number.contains(['_', ','])
        && number.starts_with(|c: char| c.is_ascii_digit())
        && all(number, |byte| byte.is_ascii_digit())
}

/// At least one byte, each a digit by `digit` or a separator.
fn all(text: &str, digit: impl Fn(u8) -> bool) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| digit(byte) || matches!(byte, b'_' | b','))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar {
            text: text.to_owned(),
            plain: true,
        }
    }

    #[test]
    fn booleans_are_those_of_yaml_1_1() {
        for (text, expected) in [
            ("yes", Some(true)),
            ("On", Some(true)),
            ("FALSE", Some(false)),
            ("y", None),
            ("1", None),
        ] {
            assert_eq!(plain(text).boolean(), expected, "{text}");
        }
        let quoted = Scalar {
            plain: false,
            ..plain("yes")
        };
        assert_eq!(quoted.boolean(), None);
    }

    #[test]
    fn a_number_that_is_not_what_it_shows_is_found() {
        for text in [
            "22:22", "8080:22", "1:30:00", "017", "0x1F", "0b101", "1_000", "1,000",
        ] {
            assert!(plain(text).is_deceptive_number(), "{text}");
        }
        for text in [
            "80:80",
            "0",
            "10",
            "1.0",
            "a:1",
            "08",
            "12:60",
            "_1",
            "22:22/tcp",
            "",
        ] {
            assert!(!plain(text).is_deceptive_number(), "{text}");
        }
    }
}
