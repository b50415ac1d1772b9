//! Image references: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.

/// Why a text is not an image reference.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidImage {
    #[error("the image is empty")]
    Empty,
    #[error(
        "`{0}` is not an image: expected `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`, the name in lower case"
    )]
    Form(String),
}

/// Docker's limit for a name with its registry.
const MAX_NAME: usize = 255;
/// Docker's limit for a tag.
const MAX_TAG: usize = 128;

/// `text` as it is stored: a name without tag and digest gets `:latest`.
pub fn image_reference(text: &str) -> Result<String, InvalidImage> {
    if text.is_empty() {
        return Err(InvalidImage::Empty);
    }
    let (tagged, digest) = match text.split_once('@') {
        Some((tagged, digest)) => (tagged, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = split_tag(tagged);
    if !is_name(name) || !tag.is_none_or(is_tag) || !digest.is_none_or(is_digest) {
        return Err(InvalidImage::Form(text.to_owned()));
    }
    match (tag, digest) {
        (None, None) => Ok(format!("{text}:latest")),
        (Some(_), _) | (_, Some(_)) => Ok(text.to_owned()),
    }
}

/// The name of an image, without its tag.
pub fn repository(image: &str) -> &str {
    let tagged = image.split_once('@').map_or(image, |(tagged, _)| tagged);
    split_tag(tagged).0
}

/// Whether a reference names one content for ever.
pub fn has_digest(image: &str) -> bool {
    image.contains('@')
}

/// A colon before the last slash belongs to the registry's port.
fn split_tag(tagged: &str) -> (&str, Option<&str>) {
    match tagged.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        Some(_) | None => (tagged, None),
    }
}

fn is_name(name: &str) -> bool {
    let path = match name.split_once('/') {
        Some((host, path)) if is_registry(host) => path,
        Some(_) | None => name,
    };
    name.len() <= MAX_NAME && path.split('/').all(is_component)
}

/// Docker's rule: the first part is a registry if it could not be a user's name.
fn is_registry(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let looks_like_one = host.contains(['.', ':']) || host == "localhost";
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    looks_like_one && !name.is_empty() && name.bytes().all(valid) && port.parse::<u16>().is_ok()
}

fn is_component(part: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| alphanumeric(byte) || matches!(byte, b'.' | b'_' | b'-');
    let bytes = part.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(first, last)| alphanumeric(*first) && alphanumeric(*last))
        && part.bytes().all(inner)
}

fn is_tag(tag: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=MAX_TAG).contains(&tag.len()) && tag.bytes().all(inner) && !tag.starts_with(['.', '-'])
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, value)| {
        !algorithm.is_empty()
            && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && value.len() >= 32
            && value.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_tag_gets_latest() {
        let digest = format!("redis@sha256:{}", "a".repeat(64));
        for (text, expected) in [
            ("nginx", "nginx:latest"),
            ("kontena/lb", "kontena/lb:latest"),
            ("redis:3.2", "redis:3.2"),
            (
                "registry.kontena.local/app",
                "registry.kontena.local/app:latest",
            ),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("localhost:5000/a/b__c:1", "localhost:5000/a/b__c:1"),
            (digest.as_str(), digest.as_str()),
        ] {
            assert_eq!(image_reference(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_wrong_image_is_refused() {
        for text in [
            "",
            "Nginx",
            "a b",
            ":1",
            "a:",
            "a//b",
            "-a",
            "a@sha256:1",
            "a:1:2",
            "host:port/a",
            "a/",
        ] {
            assert!(image_reference(text).is_err(), "{text}");
        }
    }
}
