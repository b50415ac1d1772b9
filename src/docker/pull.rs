//! How far a pull has come.
//!
//! The engine names the layers of an image, and tells of each how much of it is here. The sizes of those that wait are not
//! known yet, so each counts alike. Not here: unpacking, which takes its time after that.

use std::collections::BTreeMap;

use bollard::models::CreateImageInfo;

/// Layers of one image, in hundredths of each that are here.
#[derive(Debug, Default)]
pub(super) struct Pull {
    layers: BTreeMap<String, u8>,
    /// What was said last.
    said: Option<u8>,
}

impl Pull {
    /// Takes note of what the engine tells, many times a second. Says how many hundredths of all layers are here, if that
    /// is more than it said before.
    pub(super) fn note(&mut self, told: &CreateImageInfo) -> Option<u8> {
        let layer = told.id.as_ref()?;
        let status = told.status.as_deref().unwrap_or_default();
        let here = match status {
            "Pulling fs layer" | "Waiting" => 0,
            "Downloading" => downloaded(told),
            "Verifying Checksum" | "Download complete" | "Extracting" | "Pull complete"
            | "Already exists" => 100,
            // The tag, which is told of as if it were a layer.
            _ => return None,
        };
        let known = self.layers.entry(layer.clone()).or_default();
        *known = here.max(*known);
        let now = self
            .hundredths()
            .filter(|_| self.hundredths() > self.said)?;
        self.said = Some(now);
        Some(now)
    }

    fn hundredths(&self) -> Option<u8> {
        let count = u64::try_from(self.layers.len()).ok()?;
        let sum: u64 = self.layers.values().copied().map(u64::from).sum();
        u8::try_from(sum.checked_div(count)?).ok()
    }
}

fn downloaded(told: &CreateImageInfo) -> u8 {
    let detail = told.progress_detail.as_ref();
    let (current, total) = (
        detail.and_then(|detail| detail.current),
        detail.and_then(|detail| detail.total),
    );
    let (Some(current), Some(total)) = (current, total) else {
        return 0;
    };
    let share = current.saturating_mul(100).checked_div(total).unwrap_or(0);
    u8::try_from(share.clamp(0, 100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn told(layer: &str, status: &str, detail: Option<(i64, i64)>) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(layer.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: detail.map(|(current, total)| ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            ..CreateImageInfo::default()
        }
    }

    #[test]
    fn each_layer_counts_alike_and_what_is_here_stays() {
        let mut pull = Pull::default();
        let mut note = |layer, status, detail| pull.note(&told(layer, status, detail));
        assert_eq!(note("7", "Pulling from library/redis", None), None);
        assert_eq!(note("a", "Pulling fs layer", None), Some(0));
        assert_eq!(note("b", "Pulling fs layer", None), None, "as before");
        assert_eq!(note("a", "Downloading", Some((50, 100))), Some(25));
        assert_eq!(note("a", "Download complete", None), Some(50));
        assert_eq!(note("b", "Downloading", Some((9, 10))), Some(95));
        assert_eq!(note("b", "Downloading", Some((1, 10))), None);
        assert_eq!(note("b", "Pull complete", None), Some(100));
        assert_eq!(note("b", "Extracting", Some((1, 10))), None);
    }

    #[test]
    fn nonsense_of_an_engine_is_no_progress() {
        let mut pull = Pull::default();
        assert_eq!(pull.note(&CreateImageInfo::default()), None);
        for detail in [(1, 0), (-5, 10), (i64::MAX, 1), (5, -1)] {
            let said = pull.note(&told("a", "Downloading", Some(detail)));
            assert!(said.is_none_or(|said| said <= 100), "{detail:?}");
        }
    }
}
