//! A host that hands packets on.

use anyhow::Context;

const SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";

/// Makes this host forward, if it does not. The engine does the same when it starts, and then also forbids
/// what it did not allow: so this comes after the engine's network.
///
/// # Errors
/// The switch cannot be read or written.
pub(crate) fn allow_forwarding() -> anyhow::Result<()> {
    if switch_on(SWITCH)? {
        tracing::info!("This host forwards packets from now on");
    }
    Ok(())
}

/// Makes this host answer on the bridge for VPN users. To containers they are neighbours, for they have
/// addresses of the bridge's subnet; really they are behind the overlay.
///
/// # Errors
/// The bridge is gone, or its switch cannot be written.
pub(crate) fn answer_for_users(bridge: &str) -> anyhow::Result<()> {
    switch_on(&format!("/proc/sys/net/ipv4/conf/{bridge}/proxy_arp")).map(|_| ())
}

/// Whether it was off.
fn switch_on(switch: &str) -> anyhow::Result<bool> {
    let now =
        std::fs::read_to_string(switch).with_context(|| format!("failed to read `{switch}`"))?;
    let was_off = now.trim() == "0";
    if was_off {
        std::fs::write(switch, "1").with_context(|| format!("failed to write `{switch}`"))?;
    }
    Ok(was_off)
}
