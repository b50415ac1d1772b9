//! Deploying and waiting for it: one line for each instance that got somewhere.

mod progress;

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use self::progress::Progress;
use super::failure::Failure;
use super::patience::ask;
use super::session::Session;
use crate::api::types::Time;
use crate::api::types::deploy::{DeployState, InstanceDeploy, ServiceDeploy, StackDeploy};

pub(crate) use self::progress::service_name;

/// Kontena's own limit.
const LIMIT: Duration = Duration::from_secs(600);
/// An instance takes a second or more; more often would only cost.
const PAUSE: Duration = Duration::from_millis(300);

#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Return as soon as the deploy is saved
    #[arg(long, overrides_with = "wait")]
    no_wait: bool,
    /// Wait until all instances are healthy, at most 600 s (the default)
    #[arg(long, hide = true)]
    wait: bool,
}

impl Wait {
    fn is_wanted(self) -> bool {
        !self.no_wait
    }

    /// What was done at the end: a deploy that nobody waited for is only begun.
    pub(crate) fn done(self) -> &'static str {
        if self.is_wanted() {
            "deployed"
        } else {
            "began to deploy"
        }
    }
}

/// What can be waited for.
pub(crate) trait Deploy: DeserializeOwned {
    fn id(&self) -> &str;
    fn state(&self) -> DeployState;
    fn services(&self) -> &[ServiceDeploy];

    /// Nothing goes on before somebody promotes what waits for that.
    fn awaits_promotion(&self) -> bool {
        let waits = |deploy: &ServiceDeploy| deploy.awaits_promotion;
        let mut all = self.services().iter();
        self.services().iter().any(waits)
            && all.all(|deploy| waits(deploy) || deploy.state.is_finished())
    }
}

impl Deploy for ServiceDeploy {
    fn id(&self) -> &str {
        &self.id
    }

    fn state(&self) -> DeployState {
        self.state
    }

    fn services(&self) -> &[ServiceDeploy] {
        std::slice::from_ref(self)
    }
}

impl Deploy for StackDeploy {
    fn id(&self) -> &str {
        &self.id
    }

    fn state(&self) -> DeployState {
        self.state
    }

    fn services(&self) -> &[ServiceDeploy] {
        &self.service_deploys
    }
}

/// The last state of `deploy`, of what is at `path`. Fails as the deploy does.
pub(crate) async fn finish<D: Deploy>(
    session: &Session,
    what: &str,
    path: &str,
    mut deploy: D,
    wait: Wait,
) -> Result<D, Failure> {
    if !wait.is_wanted() {
        return Ok(deploy);
    }
    let begun = Instant::now();
    let path = format!("{path}/deploys/{}", deploy.id());
    let mut progress = Progress::default();
    loop {
        for line in progress.news(deploy.services(), begun.elapsed()) {
            session.output.talk(&line);
        }
        if deploy.state().is_finished() {
            return finished(what, deploy);
        }
        if deploy.awaits_promotion() {
            for line in progress::promotions(deploy.services()) {
                session.output.talk(&line);
            }
            return Ok(deploy);
        }
        if begun.elapsed() >= LIMIT {
            return Err(too_late(what, &deploy));
        }
        sleep(PAUSE).await;
        deploy = ask(session, &path).await?;
    }
}

fn finished<D: Deploy>(what: &str, deploy: D) -> Result<D, Failure> {
    match deploy.state() {
        DeployState::Created | DeployState::Ongoing | DeployState::Success => Ok(deploy),
        DeployState::Error => {
            let reasons = progress::failures(deploy.services());
            Err(Failure::failed(format!(
                "the deploy of {what} failed: {reasons}"
            )))
        }
    }
}

fn too_late<D: Deploy>(what: &str, deploy: &D) -> Failure {
    let (healthy, total) = progress::counts(deploy.services());
    let message = format!(
        "the deploy of {what} did not finish within {} s: {healthy} of {total} instances are healthy",
        LIMIT.as_secs()
    );
    Failure::failed(message).hint("it goes on; `kontena why SERVICE` tells what it waits for")
}

/// A deploy in `--json`.
#[derive(Serialize)]
pub(crate) struct DeployJson {
    id: String,
    /// `SERVICE` or `STACK/SERVICE`.
    service: String,
    state: DeployState,
    created_at: Option<Time>,
    finished_at: Option<Time>,
    reason: Option<String>,
    awaits_promotion: bool,
    instances: Vec<InstanceDeployJson>,
}

#[derive(Serialize)]
struct InstanceDeployJson {
    number: u32,
    node: Option<String>,
    state: DeployState,
    error: Option<String>,
}

impl From<ServiceDeploy> for DeployJson {
    fn from(deploy: ServiceDeploy) -> Self {
        let instances = deploy.instance_deploys.into_iter();
        Self {
            service: service_name(&deploy.service_id),
            id: deploy.id,
            state: deploy.state,
            created_at: deploy.created_at,
            finished_at: deploy.finished_at,
            reason: deploy.reason,
            awaits_promotion: deploy.awaits_promotion,
            instances: instances.map(InstanceDeployJson::from).collect(),
        }
    }
}

impl From<InstanceDeploy> for InstanceDeployJson {
    fn from(instance: InstanceDeploy) -> Self {
        Self {
            number: instance.instance_number,
            node: instance.node,
            state: instance.state,
            error: instance.error,
        }
    }
}

/// The deploy of a stack in `--json`.
#[derive(Serialize)]
pub(crate) struct StackDeployJson {
    id: String,
    stack: String,
    state: DeployState,
    services: Vec<DeployJson>,
}

impl From<StackDeploy> for StackDeployJson {
    fn from(deploy: StackDeploy) -> Self {
        let services = deploy.service_deploys.into_iter();
        let stack = deploy.stack_id.rsplit('/').next().unwrap_or_default();
        Self {
            stack: stack.to_owned(),
            id: deploy.id,
            state: deploy.state,
            services: services.map(DeployJson::from).collect(),
        }
    }
}
