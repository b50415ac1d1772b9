//! A short mark of an image as a deploy asks for it, by which reports say what is ready where.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::FrozenImage;

/// The beginning of a hash of an image's name and of what that meant when its deploy was accepted. Two images that share
/// one cost a preference that is wrong, no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ImageMark(u64);

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no mark of an image: it has 16 hexadecimal digits")]
pub struct InvalidImageMark(String);

impl ImageMark {
    pub fn of(image: &str, frozen: Option<&FrozenImage>) -> Self {
        let meaning = frozen.map(FrozenImage::to_string).unwrap_or_default();
        let hash = Sha256::new()
            .chain_update(image)
            .chain_update([0])
            .chain_update(meaning)
            .finalize();
        let beginning = hash.first_chunk().expect("a hash has 32 bytes");
        Self(u64::from_be_bytes(*beginning))
    }
}

impl fmt::Display for ImageMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ImageMark {
    type Err = InvalidImageMark;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = Some(text).filter(|text| text.len() == 16 && !text.starts_with('+'));
        let mark = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let invalid = || InvalidImageMark(text.to_owned());
        mark.map(Self).ok_or_else(invalid)
    }
}

impl From<ImageMark> for String {
    fn from(mark: ImageMark) -> Self {
        mark.to_string()
    }
}

impl TryFrom<String> for ImageMark {
    type Error = InvalidImageMark;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Platforms;

    #[test]
    fn a_mark_tells_names_and_meanings_apart_and_never_changes() {
        let digest = |digest: &str| FrozenImage::Digest {
            digest: digest.to_owned(),
            id: None,
            platforms: Platforms::default(),
            said: true,
        };
        let by_name = ImageMark::of("web:1", None);
        let (aa, bb) = (digest("sha256:aa"), digest("sha256:bb"));
        assert_eq!(by_name.to_string(), "4b6c7a2fbd7a7037");
        assert_ne!(by_name, ImageMark::of("web:2", None));
        assert_ne!(by_name, ImageMark::of("web:1", Some(&aa)));
        assert_ne!(
            ImageMark::of("web:1", Some(&aa)),
            ImageMark::of("web:1", Some(&bb))
        );
    }

    #[test]
    fn a_mark_travels_as_sixteen_digits() {
        let mark = ImageMark::of("web:1", None);
        let text = serde_json::to_string(&mark).unwrap();
        assert_eq!(serde_json::from_str::<ImageMark>(&text).unwrap(), mark);
        for wrong in ["", "12", "+00000000000000f", "000000000000000g"] {
            assert!(wrong.parse::<ImageMark>().is_err(), "{wrong}");
        }
    }
}
