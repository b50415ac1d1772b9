//! What a node is called where nobody says otherwise.

use kontena_core::id::NodeName;

/// The host's name up to its first dot, made a DNS label; `node` where nothing of it is left.
pub(super) fn default_name(host: &str) -> NodeName {
    let short = host
        .split('.')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let label: String = short
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    label
        .trim_matches('-')
        .parse()
        .unwrap_or_else(|_| "node".parse().expect("`node` is a label"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_becomes_a_label() {
        for (host, name) in [
            ("web1", "web1"),
            ("Web_1.example.org", "web-1"),
            ("--", "node"),
            ("", "node"),
        ] {
            assert_eq!(default_name(host).as_str(), name);
        }
    }
}
