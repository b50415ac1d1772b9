//! What a container uses now, as its engine counts it.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{ContainerCpuStats, ContainerMemoryStats, ContainerNetworkStats};
use bollard::query_parameters::StatsOptions;
use futures::StreamExt;
use kontena_core::reconcile::action::ContainerId;

use super::Docker;
use super::trouble::Trouble;

/// The engine looks twice, a second apart or two.
const LIMIT: Duration = Duration::from_secs(8);

/// `None` is what this engine, or its kernel, does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// In hundredths of one processor.
    pub(crate) cpu_percent: Option<f64>,
    /// Without what the kernel only keeps because there is room.
    pub(crate) memory_bytes: Option<u64>,
    /// That of the container, or all there is.
    pub(crate) memory_limit: Option<u64>,
    /// Of all its networks, since it began.
    pub(crate) received_bytes: Option<u64>,
    pub(crate) sent_bytes: Option<u64>,
}

impl Docker {
    /// # Errors
    /// What the engine says against it, for people.
    pub(crate) async fn usage(&self, container: &ContainerId, grid: &str) -> Result<Usage, String> {
        self.inspect_whole(container, grid).await?;
        let id = container.0.clone();
        let call = async move |client: bollard::Docker| {
            let options = StatsOptions {
                stream: false,
                one_shot: false,
            };
            let mut told = Box::pin(client.stats(&id, Some(options)));
            told.next().await.transpose()
        };
        let told = self.call(LIMIT, call).await;
        let told = told.map_err(|trouble: Trouble| trouble.problem().to_owned())?;
        let told = told.ok_or("the engine told nothing")?;
        let networks = told.networks.unwrap_or_default();
        Ok(Usage {
            cpu_percent: cpu(told.precpu_stats.as_ref(), told.cpu_stats.as_ref()),
            memory_bytes: told.memory_stats.as_ref().and_then(memory),
            memory_limit: told.memory_stats.as_ref().and_then(|memory| memory.limit),
            received_bytes: sum(&networks, |network| network.rx_bytes),
            sent_bytes: sum(&networks, |network| network.tx_bytes),
        })
    }
}

/// Between two looks: the container's share of all processors' time, times how many they are.
fn cpu(before: Option<&ContainerCpuStats>, now: Option<&ContainerCpuStats>) -> Option<f64> {
    let (before, now) = (before?, now?);
    let used = |stats: &ContainerCpuStats| stats.cpu_usage.as_ref()?.total_usage;
    let used = used(now)?.checked_sub(used(before)?)?;
    let passed = now
        .system_cpu_usage?
        .checked_sub(before.system_cpu_usage?)?;
    if passed == 0 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share, of which people read two digits"
    )]
    let share = used as f64 / passed as f64;
    Some(share * f64::from(now.online_cpus?) * 100.0)
}

/// As `docker stats` counts it, under both kinds of control groups.
fn memory(memory: &ContainerMemoryStats) -> Option<u64> {
    let kept = memory.stats.as_ref().and_then(|stats| {
        let of = |name: &str| stats.get(name).copied();
        of("total_inactive_file").or_else(|| of("inactive_file"))
    });
    Some(memory.usage?.saturating_sub(kept.unwrap_or_default()))
}

/// `None` where there is no network: it is the host's own.
fn sum(
    networks: &HashMap<String, ContainerNetworkStats>,
    count: fn(&ContainerNetworkStats) -> Option<u64>,
) -> Option<u64> {
    networks.values().map(count).sum()
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerCpuUsage;

    use super::*;

    fn at(total: u64, system: u64) -> ContainerCpuStats {
        ContainerCpuStats {
            cpu_usage: Some(ContainerCpuUsage {
                total_usage: Some(total),
                ..ContainerCpuUsage::default()
            }),
            system_cpu_usage: Some(system),
            online_cpus: Some(2),
            throttling_data: None,
        }
    }

    #[test]
    fn one_of_two_processors_is_a_hundred_percent() {
        let before = at(1_000, 10_000);
        let percent = |now: &ContainerCpuStats| cpu(Some(&before), Some(now));
        assert_eq!(percent(&at(1_500, 11_000)), Some(100.0));
        assert_eq!(percent(&at(1_000, 11_000)), Some(0.0));
        // Counted anew, or not at all.
        assert_eq!(percent(&at(500, 11_000)), None);
        assert_eq!(percent(&before), None);
        assert_eq!(cpu(None, Some(&before)), None);
    }

    #[test]
    fn what_the_kernel_only_keeps_is_not_used() {
        let stats = |name: &str| ContainerMemoryStats {
            usage: Some(100),
            stats: Some(HashMap::from([(name.to_owned(), 30)])),
            ..ContainerMemoryStats::default()
        };
        assert_eq!(memory(&stats("inactive_file")), Some(70));
        assert_eq!(memory(&stats("total_inactive_file")), Some(70));
        assert_eq!(memory(&ContainerMemoryStats::default()), None);
    }
}
