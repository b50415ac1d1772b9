//! By what the containers of one lease are known on this host: a control group that all their processes are in.

use std::fmt;

use kontena_core::lease::FenceTag;

/// What the group's name begins with.
const GROUP: &str = "kontena-";
/// What systemd calls a group of groups.
const SLICE: &str = ".slice";
const DIGITS: usize = 32;

/// 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tag(String);

impl From<FenceTag> for Tag {
    fn from(tag: FenceTag) -> Self {
        Self(tag.to_string())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Tag {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_tag = text.len() == DIGITS && text.bytes().all(is_digit);
        is_tag.then(|| Self(text.to_owned()))
    }

    /// The control group of everything that carries it.
    pub(crate) fn group(&self) -> String {
        format!("{GROUP}{self}")
    }

    /// The same, where systemd makes the groups: it puts `kontena.slice` around it by itself.
    pub(crate) fn slice(&self) -> String {
        format!("{GROUP}{self}{SLICE}")
    }

    /// The one of which this is the control group, by the name that either of [`Self::group`] and [`Self::slice`] gave it.
    pub(crate) fn of_group(name: &str) -> Option<Self> {
        let digits = name.strip_prefix(GROUP)?;
        Self::read(digits.strip_suffix(SLICE).unwrap_or(digits))
    }

    /// All that a process carries, by the text of its `/proc/PID/cgroup`: a line for each hierarchy, `ID:CONTROLLERS:PATH`.
    pub(crate) fn carried(text: &str) -> impl Iterator<Item = Self> {
        let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        paths.flat_map(|path| path.split('/').filter_map(Self::of_group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdef0123456789abcdef";

    fn carried(text: &str) -> Vec<String> {
        Tag::carried(text).map(|tag| tag.to_string()).collect()
    }

    #[test]
    fn a_tag_is_found_in_any_line_of_many_hierarchies() {
        let text = format!(
            "9:name=systemd:/\n8:pids:/kontena-{ONE}/c0de\n4:memory:/user.slice\n\
             2:cpu,cpuacct:/kontena-{ONE}/c0de\n0::/\n"
        );
        assert_eq!(carried(&text), [ONE, ONE]);
    }

    #[test]
    fn a_tag_is_found_in_the_one_line_of_the_unified_hierarchy() {
        assert_eq!(carried(&format!("0::/kontena-{ONE}/c0de\n")), [ONE]);
        // As one who is in a group of its own namespace sees it.
        assert_eq!(carried(&format!("0::/../../kontena-{ONE}/c0de")), [ONE]);
    }

    #[test]
    fn a_tag_is_found_in_the_slices_of_systemd() {
        let text = format!("0::/kontena.slice/kontena-{ONE}.slice/docker-c0de.scope\n");
        assert_eq!(carried(&text), [ONE]);
        assert_eq!(
            Tag::of_group(&Tag::read(ONE).unwrap().slice()),
            Tag::read(ONE)
        );
    }

    #[test]
    fn what_only_looks_like_a_tag_is_none() {
        for path in [
            format!("kontena-{ONE}0"),
            format!("kontena-{}", &ONE[1..]),
            format!("kontena-{ONE}.scope"),
            format!("kontena-{}", ONE.to_uppercase()),
            format!("other-kontena-{ONE}"),
            format!("kontena-{ONE} (deleted)"),
            "kontena.slice".to_owned(),
            ONE.to_owned(),
        ] {
            assert_eq!(carried(&format!("0::/{path}/c0de")), [""; 0], "{path}");
        }
        assert_eq!(carried(""), [""; 0]);
        assert_eq!(carried("no line of that kind"), [""; 0]);
    }

    #[test]
    fn a_tag_that_begins_like_another_is_not_taken_for_it() {
        let other = "0123456789abcdef0123456789abcdee";
        assert_eq!(
            carried(&format!("0::/kontena-{other}/kontena-{ONE}0")),
            [other]
        );
    }
}
