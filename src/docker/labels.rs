//! Ownership as container labels, there and back.
//!
//! The names are Kontena's, so that whoever looks at an engine with its own tools finds what they
//! know. A container is ours only if every one of them can be read.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use kontena_core::reconcile::action::{Care, Ownership};
use kontena_core::schedule::Slot;

/// The grid's id: containers of another grid are left alone.
pub(super) const GRID: &str = "io.kontena.grid.id";
pub(super) const INSTANCE: &str = "io.kontena.instance";
const EPOCH: &str = "io.kontena.epoch";
/// The generation: which deploy made the container.
const GENERATION: &str = "io.kontena.container.deploy_rev";
const REVISION: &str = "io.kontena.revision.id";
/// Of a job's run: its slot, in milliseconds since the epoch.
const SLOT: &str = "io.kontena.job.slot";
/// The address in the grid's network that the container was made with. Its last number stays, whatever subnet the
/// node gets.
const OVERLAY: &str = "io.kontena.container.overlay_cidr";

/// How it is looked after, as JSON.
const CARE: &str = "io.kontena.care";

const SUBNET_PREFIX: u8 = 24;

/// All labels of a new container. Where an extra one has the name of an ownership label, ours stands.
pub(super) fn labels(
    owner: &Ownership,
    care: &Care,
    address: Option<Ipv4Addr>,
    extra: &BTreeMap<String, String>,
) -> HashMap<String, String> {
    let own = [
        (GRID, owner.grid.clone()),
        (INSTANCE, owner.instance.to_string()),
        (EPOCH, owner.epoch.to_string()),
        (GENERATION, owner.generation.to_string()),
        (REVISION, owner.revision.to_string()),
    ];
    let mut all: HashMap<String, String> = extra.clone().into_iter().collect();
    // Nobody else says which address is ours, and what is done in its name.
    all.remove(OVERLAY);
    all.remove(CARE);
    all.remove(SLOT);
    let slot = owner.slot.map(|slot| (SLOT, slot.0.to_string()));
    let overlay = address.map(|address| (OVERLAY, format!("{address}/{SUBNET_PREFIX}")));
    let care = (*care != Care::default()).then(|| (CARE, care_text(care)));
    let own = own.into_iter().chain(slot).chain(overlay).chain(care);
    all.extend(own.map(|(key, value)| (key.to_owned(), value)));
    all
}

fn care_text(care: &Care) -> String {
    serde_json::to_string(care).expect("it holds only text keys, text and numbers")
}

/// How the container is looked after; nothing is known of one that a newer version made in words of its own.
pub(super) fn care(labels: &HashMap<String, String>) -> Care {
    let Some(text) = labels.get(CARE) else {
        return Care::default();
    };
    serde_json::from_str(text).unwrap_or_else(|problem| {
        tracing::warn!(%problem, "How a container is looked after cannot be read");
        Care::default()
    })
}

/// The last number of the container's address in the grid's network, if it was made with one.
pub(super) fn number(labels: &HashMap<String, String>) -> Option<u8> {
    let (address, _) = labels.get(OVERLAY)?.split_once('/')?;
    let address: Ipv4Addr = address.parse().ok()?;
    Some(address.octets()[3])
}

/// Whose container this is; `None` if a label is missing or cannot be read.
pub(super) fn owner(labels: &HashMap<String, String>) -> Option<Ownership> {
    Some(Ownership {
        grid: labels.get(GRID)?.clone(),
        instance: labels.get(INSTANCE)?.parse().ok()?,
        epoch: labels.get(EPOCH)?.parse().ok()?,
        generation: labels.get(GENERATION)?.parse().ok()?,
        revision: labels.get(REVISION)?.parse().ok()?,
        slot: slot(labels)?,
    })
}

/// `None` where it cannot be read.
#[expect(
    clippy::option_option,
    reason = "whether it can be read, and whether there is one"
)]
fn slot(labels: &HashMap<String, String>) -> Option<Option<Slot>> {
    match labels.get(SLOT) {
        None => Some(None),
        Some(text) => text.parse().ok().map(|millis| Some(Slot(millis))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontena_core::id::RevisionHash;
    use kontena_core::stack::{HealthCheck, Question};

    #[test]
    fn an_owner_is_read_as_it_is_written_and_cannot_be_overridden() {
        let ours = Ownership {
            grid: "g".to_owned(),
            instance: "shop/web-2".parse().unwrap(),
            epoch: 3,
            generation: 70,
            revision: RevisionHash([7; 32]),
            slot: Some(Slot(1_764_247_000_000)),
        };
        let extra = BTreeMap::from([
            ("team".to_owned(), "red".to_owned()),
            (EPOCH.to_owned(), "99".to_owned()),
            (SLOT.to_owned(), "1".to_owned()),
            (CARE.to_owned(), "{\"on_host\":true}".to_owned()),
            (OVERLAY.to_owned(), "10.80.7.1/24".to_owned()),
        ]);
        let check = HealthCheck::new(Question::Tcp { port: 80 });
        let checked = Care {
            health_check: Some(check),
            ..Care::default()
        };
        let plain = labels(&ours, &Care::default(), None, &extra);
        assert_eq!(number(&plain), None);
        assert_eq!(care(&plain), Care::default());
        let mut written = labels(&ours, &checked, "10.80.7.23".parse().ok(), &extra);
        assert_eq!(care(&written), checked);
        assert_eq!(number(&written), Some(23));
        assert_eq!(written.get("team").map(String::as_str), Some("red"));
        assert_eq!(owner(&written), Some(ours));

        written.insert(GENERATION.to_owned(), "seventy".to_owned());
        assert_eq!(owner(&written), None);
    }
}
