//! What everything of ours is called on a host.

/// The longest name of an interface that leaves room for the bridge's.
const LONGEST: usize = 12;

/// Names that follow from one: several daemons may share a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The overlay's interface: `kontena0`.
    pub(crate) interface: String,
    /// The bridge of containers: `kontena-br`.
    pub(crate) bridge: String,
    /// The engine's network: `kontena`.
    pub(crate) network: String,
    /// The comment of each rule: `kontena:kontena0`.
    pub(crate) comment: String,
}

impl Names {
    /// Where nobody says otherwise.
    pub(crate) fn standard() -> Self {
        Self::of("kontena0").expect("small letters and a digit")
    }

    /// # Errors
    /// What is wrong with the interface's name.
    pub(crate) fn of(interface: &str) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let begins = interface.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || !interface.chars().all(is_plain) || interface.len() > LONGEST {
            return Err(format!(
                "`{interface}` is no name of an interface: expected 1 to {LONGEST} small letters, digits and `-`"
            ));
        }
        let network = interface.strip_suffix('0').unwrap_or(interface);
        Ok(Self {
            interface: interface.to_owned(),
            bridge: format!("{network}-br"),
            network: network.to_owned(),
            comment: format!("kontena:{interface}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_interface_and_fit_the_kernel() {
        let names = Names::of("kontena0").unwrap();
        assert_eq!(
            (names.network.as_str(), names.bridge.as_str()),
            ("kontena", "kontena-br")
        );
        let longest = Names::of("abcdefghijkl").unwrap();
        assert!(longest.bridge.len() <= 15 && longest.bridge != longest.interface);
        for bad in ["", "0", "a/b", "Kontena0", "abcdefghijklm", "a b", "%d"] {
            assert!(Names::of(bad).is_err(), "{bad}");
        }
    }
}
