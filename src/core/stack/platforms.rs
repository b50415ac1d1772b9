//! The processors that an image was built for, and whether a machine has one of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// As registries write them (the OCI image index): `amd64`, `arm64`, `arm/v7`. Empty where nobody said.
///
/// Each of at most 32 bytes: whatever is longer, is not for Linux, or is no processor (`unknown`, which an index has for
/// attestations) is left out. A list of more than [`Platforms::MAX`] counts as none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "Vec<String>")]
pub struct Platforms(BTreeSet<String>);

impl Platforms {
    /// The official images that are built for most have eight.
    pub const MAX: usize = 32;
    const LONGEST: usize = 32;

    /// Of what a registry lists: operating system, processor and its variant.
    pub fn listed<'a>(
        platforms: impl IntoIterator<Item = (&'a str, &'a str, Option<&'a str>)>,
    ) -> Self {
        let for_linux = platforms
            .into_iter()
            .filter(|(system, ..)| *system == "linux");
        let spelled = for_linux.map(|(_, processor, variant)| spell(processor, variant));
        Self::from(spelled.collect::<Vec<_>>())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an engine on `machine`, as its kernel calls it (`x86_64`, `aarch64`, `armv7l`), runs one of them. Yes where
    /// either is not known. Emulation is not seen: an engine does not say what its kernel emulates.
    pub fn run_on(&self, machine: &str) -> bool {
        let Some(runs) = Processor::of(machine).filter(|_| !self.is_empty()) else {
            return true;
        };
        self.0.iter().any(|platform| runs.runs(platform))
    }

    /// `amd64, arm/v7`.
    pub fn listing(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        names.join(", ")
    }
}

impl From<Vec<String>> for Platforms {
    fn from(platforms: Vec<String>) -> Self {
        let named = platforms.into_iter().filter(|platform| is_named(platform));
        let named: BTreeSet<String> = named.collect();
        // What is cut off could be what a node needs.
        let is_short = named.len() <= Self::MAX;
        Self(if is_short { named } else { BTreeSet::new() })
    }
}

fn is_named(platform: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'/';
    let is_short = (1..=Platforms::LONGEST).contains(&platform.len());
    is_short && platform.bytes().all(is_plain) && !platform.starts_with("unknown")
}

/// What does not tell processors apart is left out: each `arm64` is `v8`.
fn spell(processor: &str, variant: Option<&str>) -> String {
    match variant.filter(|variant| processor == "arm" && !variant.is_empty()) {
        Some(variant) => format!("{processor}/{variant}"),
        None => processor.to_owned(),
    }
}

/// A machine's processor. Which others it runs too is what containerd's `platforms.Only` says, by which engines choose.
#[derive(Clone, Copy)]
enum Processor {
    Amd64,
    Arm64,
    /// 5 to 8.
    Arm(u8),
    Other(&'static str),
}

impl Processor {
    fn of(machine: &str) -> Option<Self> {
        Some(match machine {
            "x86_64" | "amd64" => Self::Amd64,
            "aarch64" | "arm64" => Self::Arm64,
            "armv8l" => Self::Arm(8),
            "armv7l" | "armhf" => Self::Arm(7),
            "armv6l" => Self::Arm(6),
            "armv5tel" | "armv5l" | "armel" => Self::Arm(5),
            "i386" | "i486" | "i586" | "i686" => Self::Other("386"),
            "ppc64le" => Self::Other("ppc64le"),
            "s390x" => Self::Other("s390x"),
            "riscv64" => Self::Other("riscv64"),
            "loongarch64" => Self::Other("loong64"),
            _ => return None,
        })
    }

    fn runs(self, platform: &str) -> bool {
        match self {
            Self::Amd64 => matches!(platform, "amd64" | "386"),
            Self::Arm64 => platform == "arm64" || arm_variant(platform).is_some(),
            Self::Arm(own) => arm_variant(platform).is_some_and(|variant| variant <= own),
            Self::Other(own) => platform == own,
        }
    }
}

/// 7 of `arm/v7`; of `arm` alone the least, because many images for the oldest ones say no more.
fn arm_variant(platform: &str) -> Option<u8> {
    match platform.split_once('/') {
        None => (platform == "arm").then_some(0),
        Some(("arm", variant)) => variant.strip_prefix('v')?.parse().ok(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platforms(text: &str) -> Platforms {
        let words = text.split_whitespace().map(str::to_owned);
        Platforms::from(words.collect::<Vec<_>>())
    }

    #[test]
    fn a_machine_runs_what_its_processor_runs() {
        for (image, runs, not) in [
            ("amd64", "x86_64", "aarch64 armv7l i686 riscv64"),
            ("arm64", "aarch64", "x86_64 armv7l armv8l"),
            ("386", "i686 x86_64", "aarch64"),
            ("arm/v7", "armv7l armv8l aarch64", "armv6l x86_64"),
            ("arm/v6", "armv6l armv7l aarch64", "armv5tel"),
            ("arm", "armv5tel armv6l armv7l", "x86_64"),
            ("ppc64le s390x", "ppc64le s390x", "x86_64"),
            ("amd64 arm64", "x86_64 aarch64", "armv7l"),
        ] {
            let image = platforms(image);
            let machines = |text: &'static str| text.split_whitespace();
            assert!(
                machines(runs).all(|machine| image.run_on(machine)),
                "{image:?}"
            );
            assert!(
                !machines(not).any(|machine| image.run_on(machine)),
                "{image:?}"
            );
        }
    }

    #[test]
    fn where_one_is_not_known_nothing_is_ruled_out() {
        assert!(platforms("").run_on("x86_64"));
        assert!(platforms("arm64").run_on(""));
        assert!(platforms("arm64").run_on("vax"));
    }

    #[test]
    fn what_a_registry_lists_is_what_runs_on_linux() {
        let listed = Platforms::listed([
            ("linux", "arm64", Some("v8")),
            ("linux", "arm", Some("v7")),
            ("linux", "amd64", None),
            ("windows", "amd64", None),
            ("unknown", "unknown", None),
            ("linux", "unknown", None),
            ("linux", "MIPS\n", None),
        ]);
        assert_eq!(listed.listing(), "amd64, arm/v7, arm64");
        assert!(Platforms::listed([("windows", "amd64", None)]).is_empty());
    }

    #[test]
    fn a_registry_that_lists_without_end_says_nothing() {
        let many = |count: u32| (0..count).map(|n| format!("cpu{n}"));
        let long = "a".repeat(33);
        assert!(Platforms::from(many(33).collect::<Vec<_>>()).is_empty());
        let twice = many(32).chain(many(32)).chain([long]);
        let listed = Platforms::from(twice.collect::<Vec<_>>());
        assert_eq!(listed.0.len(), Platforms::MAX);
        let text = serde_json::to_string(&listed).unwrap();
        assert_eq!(serde_json::from_str::<Platforms>(&text).unwrap(), listed);
    }
}
