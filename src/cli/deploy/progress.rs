//! What is new in a deploy since it was last looked at. Pure: the time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::text::{or_dash, printable_lines};
use crate::api::types::deploy::{DeployState, InstanceDeploy, ServiceDeploy};

/// With nothing new for so long, people are told what is waited for.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Progress {
    /// What was told of an instance: its state, and whether it has a problem. The words of a problem do not
    /// count: an engine's may hold a port that is another one at each attempt.
    told: BTreeMap<(String, u32), (DeployState, bool)>,
    told_at: Duration,
}

impl Progress {
    /// The lines to say, `now` after the beginning.
    pub(super) fn news(&mut self, deploys: &[ServiceDeploy], now: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        for deploy in deploys {
            let service = service_name(&deploy.service_id);
            for instance in &deploy.instance_deploys {
                lines.extend(self.news_of(&service, instance));
            }
        }
        if lines.is_empty() && now.saturating_sub(self.told_at) >= QUIET {
            lines.extend(waiting(deploys));
        }
        if !lines.is_empty() {
            self.told_at = now;
        }
        lines
    }

    fn news_of(&mut self, service: &str, instance: &InstanceDeploy) -> Option<String> {
        let key = (service.to_owned(), instance.instance_number);
        let seen = (instance.state, instance.error.is_some());
        if self.told.get(&key) == Some(&seen) {
            return None;
        }
        self.told.insert(key, seen);
        let number = instance.instance_number;
        let node = or_dash(instance.node.as_ref());
        let error = instance.error.as_deref().map(printable_lines);
        match (instance.state, error) {
            (DeployState::Created | DeployState::Ongoing, None) => None,
            (DeployState::Created | DeployState::Ongoing, Some(error)) => Some(format!(
                "instance {number} of `{service}` on `{node}`: {error}"
            )),
            (DeployState::Success, _) => Some(format!(
                "instance {number} of `{service}` is healthy on `{node}`"
            )),
            (DeployState::Error, error) => {
                let error = error.unwrap_or_else(|| "no reason is known".to_owned());
                Some(format!(
                    "instance {number} of `{service}` failed on `{node}`: {error}"
                ))
            }
        }
    }
}

/// `waiting for instance 2 of `web` on `a`: no such image; `kontena why web --instance 2` tells more`.
fn waiting(deploys: &[ServiceDeploy]) -> Option<String> {
    let is_waited_for = |instance: &&InstanceDeploy| !instance.state.is_finished();
    let (service, instance) = deploys.iter().find_map(|deploy| {
        let instance = deploy.instance_deploys.iter().find(is_waited_for)?;
        Some((service_name(&deploy.service_id), instance))
    })?;
    let number = instance.instance_number;
    let node = instance.node.as_ref();
    let node = node.map(|node| format!(" on `{node}`")).unwrap_or_default();
    let error = instance
        .error
        .as_deref()
        .and_then(|error| error.lines().next());
    let error = error.map(|error| format!(": {}", printable_lines(error)));
    let error = error.unwrap_or_default();
    Some(format!(
        "waiting for instance {number} of `{service}`{node}{error}; `kontena why {service} --instance {number}` tells more"
    ))
}

/// What a deploy waits for whose first few instances are healthy.
pub(super) fn promotions(deploys: &[ServiceDeploy]) -> Vec<String> {
    let waiting = deploys.iter().filter(|deploy| deploy.awaits_promotion);
    let line = |deploy: &ServiceDeploy| {
        let service = service_name(&deploy.service_id);
        let (healthy, total) = counts(std::slice::from_ref(deploy));
        format!(
            "{healthy} of {total} instances of `{service}` run the new revision; `kontena service promote {service}` \
             goes on, `kontena service abort {service}` takes it back"
        )
    };
    waiting.map(line).collect()
}

/// `STACK/SERVICE`, or `SERVICE` without one, from `grid/stack/service`.
pub(crate) fn service_name(id: &str) -> String {
    let within = id.split_once('/').map_or(id, |(_, within)| within);
    within.strip_prefix("null/").unwrap_or(within).to_owned()
}

/// Why it failed, in words.
pub(super) fn failures(deploys: &[ServiceDeploy]) -> String {
    let failed = deploys
        .iter()
        .filter(|deploy| deploy.state == DeployState::Error);
    let reasons = failed.map(|deploy| {
        let reason = deploy.reason.as_deref().unwrap_or("no reason is known");
        format!(
            "`{}`: {}",
            service_name(&deploy.service_id),
            printable_lines(reason)
        )
    });
    let reasons: Vec<String> = reasons.collect();
    match deploys {
        [deploy] => printable_lines(deploy.reason.as_deref().unwrap_or("no reason is known")),
        _ => reasons.join("; "),
    }
}

/// Healthy instances, and all.
pub(super) fn counts(deploys: &[ServiceDeploy]) -> (usize, usize) {
    let instances = || deploys.iter().flat_map(|deploy| &deploy.instance_deploys);
    let healthy = instances().filter(|instance| instance.state == DeployState::Success);
    (healthy.count(), instances().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(number: u32, state: DeployState, error: Option<&str>) -> InstanceDeploy {
        InstanceDeploy {
            instance_number: number,
            node: Some("a".to_owned()),
            state,
            error: error.map(str::to_owned),
        }
    }

    fn deploy(state: DeployState, instances: Vec<InstanceDeploy>) -> ServiceDeploy {
        ServiceDeploy {
            id: "7".to_owned(),
            service_id: "demo/shop/web".to_owned(),
            state,
            created_at: None,
            finished_at: None,
            reason: Some("instance 2: no such image".to_owned()),
            awaits_promotion: false,
            halted: false,
            instance_deploys: instances,
        }
    }

    const START: Duration = Duration::ZERO;

    #[test]
    fn each_instance_is_told_once() {
        let mut progress = Progress::default();
        let begun = [deploy(
            DeployState::Created,
            vec![instance(1, DeployState::Created, None)],
        )];
        let done = [deploy(
            DeployState::Success,
            vec![instance(1, DeployState::Success, None)],
        )];
        assert!(progress.news(&begun, START).is_empty());
        assert_eq!(
            progress.news(&done, START),
            ["instance 1 of `shop/web` is healthy on `a`"]
        );
        assert!(progress.news(&done, START).is_empty());
    }

    #[test]
    fn what_went_wrong_is_told_as_soon_as_it_is_known() {
        let mut progress = Progress::default();
        let slow = vec![instance(2, DeployState::Ongoing, Some("pulling"))];
        let failed = vec![instance(2, DeployState::Error, Some("no such image"))];
        assert_eq!(
            progress.news(&[deploy(DeployState::Ongoing, slow)], START),
            ["instance 2 of `shop/web` on `a`: pulling"]
        );
        let failed = [deploy(DeployState::Error, failed)];
        assert_eq!(
            progress.news(&failed, START),
            ["instance 2 of `shop/web` failed on `a`: no such image"]
        );
        assert_eq!(failures(&failed), "instance 2: no such image");
    }

    #[test]
    fn a_long_silence_says_what_is_waited_for() {
        let mut progress = Progress::default();
        let begun = [deploy(
            DeployState::Created,
            vec![instance(1, DeployState::Created, None)],
        )];
        assert!(progress.news(&begun, QUIET / 2).is_empty());
        assert_eq!(
            progress.news(&begun, QUIET),
            [
                "waiting for instance 1 of `shop/web` on `a`; `kontena why shop/web --instance 1` tells more"
            ]
        );
        assert!(progress.news(&begun, QUIET * 3 / 2).is_empty());
        assert_eq!(progress.news(&begun, QUIET * 2).len(), 1);
    }

    #[test]
    fn a_problem_is_told_once_however_its_words_change_and_again_after_a_long_silence() {
        let mut progress = Progress::default();
        let dialled = |port: u16| {
            let error = format!("dial udp 127.0.0.1:{port}: refused");
            let ongoing = instance(2, DeployState::Ongoing, Some(&error));
            [deploy(DeployState::Ongoing, vec![ongoing])]
        };
        assert_eq!(progress.news(&dialled(40_001), START).len(), 1);
        assert!(progress.news(&dialled(40_002), QUIET / 2).is_empty());
        assert_eq!(
            progress.news(&dialled(40_003), QUIET),
            [
                "waiting for instance 2 of `shop/web` on `a`: dial udp 127.0.0.1:40003: refused; \
                 `kontena why shop/web --instance 2` tells more"
            ]
        );
    }

    #[test]
    fn a_service_without_a_stack_is_named_alone() {
        assert_eq!(service_name("demo/null/web"), "web");
        assert_eq!(service_name("demo/shop/web"), "shop/web");
    }
}
