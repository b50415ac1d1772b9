//! The recovery code: what opens a backup, and what a person writes down.

use std::fmt;
use std::str::FromStr;

use anyhow::Context;
use data_encoding::{BASE32_NOPAD, HEXLOWER};

use crate::entropy::entropy;
use crate::sealed;

/// 160 bits, which nobody guesses.
const BYTES: usize = 20;

/// In letters: 32 of base 32 (RFC 4648), in groups of four.
const GROUP: usize = 4;

/// Whoever has it can open what was sealed for its key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RecoveryCode([u8; BYTES]);

/// The public half: for whom a backup is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecoveryKey(pub(crate) [u8; 32]);

/// Why a text is no recovery code.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "this is no recovery code: 32 letters and digits are expected, as `kontena grid backup` printed them"
)]
pub(crate) struct InvalidRecoveryCode;

impl RecoveryCode {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let random = entropy().context("the kernel gives no random bytes")?;
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&random[..BYTES]);
        Ok(Self(bytes))
    }

    pub(crate) fn key(&self) -> RecoveryKey {
        sealed::recovery_key(self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = BASE32_NOPAD.encode(&self.0);
        let groups: Vec<&str> = (0..letters.len())
            .step_by(GROUP)
            .map(|at| &letters[at..at + GROUP])
            .collect();
        f.write_str(&groups.join("-"))
    }
}

/// It is shown where it is asked for, and nowhere else.
impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode")
    }
}

impl FromStr for RecoveryCode {
    type Err = InvalidRecoveryCode;

    /// In groups or not, in either case.
    fn from_str(text: &str) -> Result<Self, InvalidRecoveryCode> {
        let letters: String = text
            .chars()
            .filter(|letter| !letter.is_whitespace() && *letter != '-')
            .map(|letter| letter.to_ascii_uppercase())
            .collect();
        let bytes = BASE32_NOPAD.decode(letters.as_bytes());
        let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(InvalidRecoveryCode)
    }
}

impl fmt::Display for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for RecoveryKey {
    type Err = InvalidRecoveryCode;

    fn from_str(text: &str) -> Result<Self, InvalidRecoveryCode> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        let key = bytes.map(Self).filter(sealed::is_usable);
        key.ok_or(InvalidRecoveryCode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_written_and_as_people_type_it() {
        let code = RecoveryCode::new().unwrap();
        let text = code.to_string();
        assert_eq!(text.len(), 32 + 7);
        let typed = [
            text.clone(),
            text.to_lowercase(),
            text.replace('-', ""),
            format!(" {text}\n"),
        ];
        for typed in typed {
            assert_eq!(typed.parse(), Ok(code.clone()), "{typed}");
        }
        for wrong in [
            "",
            "ABCD",
            &text[1..],
            &format!("{text}A"),
            &text.replace(&text[..1], "1"),
        ] {
            assert!(wrong.parse::<RecoveryCode>().is_err(), "{wrong}");
        }
        assert!(!format!("{code:?}").contains(&text[..4]));
        assert_eq!(code.key().to_string().parse(), Ok(code.key()));
        let nobody = "0".repeat(64);
        assert!(nobody.parse::<RecoveryKey>().is_err(), "seals nothing");
    }
}
