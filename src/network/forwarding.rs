//! A host that hands packets on.

use anyhow::Context;

const SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";

/// Makes this host forward, if it does not. The engine does the same when it starts, and then also forbids
/// what it did not allow: so this comes after the engine's network.
///
/// # Errors
/// The switch cannot be read or written.
pub(crate) fn allow_forwarding() -> anyhow::Result<()> {
    let now =
        std::fs::read_to_string(SWITCH).with_context(|| format!("failed to read `{SWITCH}`"))?;
    if now.trim() != "0" {
        return Ok(());
    }
    tracing::info!("This host forwards packets from now on");
    std::fs::write(SWITCH, "1").with_context(|| format!("failed to write `{SWITCH}`"))
}
