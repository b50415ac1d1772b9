//! The options that define a service, with Kontena's names. What this version does not carry out
//! is no option.

use clap::{Args, ValueEnum};
use kontena_core::id::{ServiceKey, ServiceName};
use kontena_core::manifest::compiled::{FieldProblem, ServiceChange};
use kontena_core::stack::{
    Affinity, Deploy, Link, NetworkMode, Port, Service, Strategy, Volume, VolumesFrom,
    grace_millis, image_reference, split_command, stop_signal,
};

use super::super::failure::Failure;
use super::container::{Limits, Output, Rights};
use super::health_check::HealthCheckOptions;
use super::lease::Lease;
use super::placing::Placing;
use super::rollout::Rollout;
use super::schedule::Schedule;
use super::stackless;

#[derive(Args, Debug)]
pub(super) struct Create {
    /// What the service is to be called
    #[arg(value_name = "NAME", value_parser = stackless)]
    name: ServiceName,
    /// With a tag or digest; `latest` where there is none
    #[arg(value_parser = image)]
    image: String,
    /// Keep data, and so stay on the node where an instance began
    #[arg(long)]
    stateful: bool,
    /// Make the file system, but for volumes, one that cannot be written
    #[arg(long)]
    read_only: bool,
    /// Mount `/PATH`, `/HOST:/PATH[:FLAGS]`; may be repeated
    #[arg(short, long = "volume", value_name = "VOLUME")]
    volumes: Vec<Volume>,
    /// Mount what `SERVICE-N` or `SERVICE-%s` mounts; may be repeated
    #[arg(long, value_name = "INSTANCE")]
    volumes_from: Vec<VolumesFrom>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args, Debug)]
pub(super) struct Update {
    /// A service, as `web` or `shop/web`
    #[arg(value_name = "[STACK/]SERVICE")]
    pub(super) name: ServiceKey,
    /// Another image
    #[arg(long, value_parser = image)]
    image: Option<String>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args, Debug)]
struct Options {
    /// Publish `[IP:]HOST:CONTAINER[/PROTOCOL]`; may be repeated
    #[arg(short, long = "ports", value_name = "PORT")]
    ports: Vec<Port>,
    /// Set `NAME=VALUE` in the container; may be repeated
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    environment: Vec<String>,
    /// Depend on `[STACK/]SERVICE[:ALIAS]`; may be repeated
    #[arg(short, long = "link", value_name = "LINK")]
    links: Vec<Link>,
    /// Run only where this holds, as `node==a` or `label!=~ssd`; may be repeated
    #[arg(short, long = "affinity", value_name = "AFFINITY")]
    affinities: Vec<Affinity>,
    /// The command line, in place of the image's own
    #[arg(long, value_name = "COMMAND", value_parser = command)]
    cmd: Option<CommandLine>,
    /// How many (for `daemon`: on each node)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(Service::MAX_INSTANCES)))]
    instances: Option<u32>,
    /// How instances are spread
    #[arg(long, value_name = "STRATEGY")]
    deploy_strategy: Option<Spread>,
    /// Healthy is what accepts a TCP connection there
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    deploy_wait_for_port: Option<u16>,
    /// Share of instances that stays healthy during a deploy, 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    deploy_min_health: Option<u16>,
    #[command(flatten)]
    placing: Placing,
    #[command(flatten)]
    rollout: Rollout,
    #[command(flatten)]
    schedule: Schedule,
    #[command(flatten)]
    lease: Lease,
    /// The network of its containers: the grid's, or the host's own
    #[arg(long, value_name = "MODE")]
    net: Option<Network>,
    /// What stops a container, as `SIGTERM`
    #[arg(long, value_name = "SIGNAL", value_parser = stop_signal)]
    stop_signal: Option<String>,
    /// How long a container may take to stop, as `30s` or `1m30s`
    #[arg(long, value_name = "TIME", value_parser = grace_millis)]
    stop_timeout: Option<u64>,
    #[command(flatten, next_help_heading = "Health check")]
    health_check: HealthCheckOptions,
    #[command(flatten, next_help_heading = "Limits")]
    limits: Limits,
    #[command(flatten, next_help_heading = "Rights")]
    rights: Rights,
    #[command(flatten, next_help_heading = "Output")]
    output: Output,
}

/// A type of its own, because clap takes a list for an option that may be repeated.
#[derive(Clone, Debug)]
struct CommandLine(Vec<String>);

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Spread {
    Ha,
    Daemon,
    Random,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Network {
    Bridge,
    Host,
}

impl From<Network> for NetworkMode {
    fn from(network: Network) -> Self {
        match network {
            Network::Bridge => Self::Bridge,
            Network::Host => Self::Host,
        }
    }
}

impl From<Spread> for Strategy {
    fn from(spread: Spread) -> Self {
        match spread {
            Spread::Ha => Self::Ha,
            Spread::Daemon => Self::Daemon,
            Spread::Random => Self::Random,
        }
    }
}

impl Create {
    pub(super) fn name(&self) -> &ServiceName {
        &self.name
    }

    /// Checked as the node will check it.
    pub(super) fn change(&self) -> Result<ServiceChange, Failure> {
        let mut change = ServiceChange {
            name: Some(self.name.clone()),
            image: Some(self.image.clone()),
            stateful: self.stateful.then_some(true),
            volumes: given(&self.volumes),
            volumes_from: given(&self.volumes_from),
            ..self.options.change()?
        };
        change.privileges.read_only = self.read_only.then_some(true);
        match change.create() {
            Ok(_) => Ok(change),
            Err(problems) => Err(refused(&problems)),
        }
    }
}

impl Update {
    pub(super) fn change(&self) -> Result<ServiceChange, Failure> {
        let change = ServiceChange {
            image: self.image.clone(),
            ..self.options.change()?
        };
        if change == ServiceChange::default() {
            let message = format!("there is nothing to change of service `{}`", self.name);
            return Err(Failure::usage(message).hint("see `kontena service update --help`"));
        }
        Ok(change)
    }
}

impl Options {
    fn change(&self) -> Result<ServiceChange, Failure> {
        Ok(ServiceChange {
            command: self.cmd.as_ref().map(|line| line.0.clone()),
            environment: given(&self.environment),
            ports: given(&self.ports),
            links: given(&self.links),
            affinity: given(&self.affinities),
            instances: self.instances,
            strategy: self.deploy_strategy.map(Strategy::from),
            wait_for_port: self.deploy_wait_for_port.map(Some),
            min_health: self.deploy_min_health,
            stop_signal: self.stop_signal.clone().map(Some),
            stop_grace_millis: self.stop_timeout,
            network_mode: self.net.map(NetworkMode::from),
            resources: self.limits.change(),
            privileges: self.rights.change(),
            logging: self.output.change(),
            placing: self.placing.change()?,
            rollout: self.rollout.change(),
            job: self.schedule.change(),
            lease: self.lease.change()?,
            health_check: self.health_check.change()?,
            ..ServiceChange::default()
        })
    }
}

/// An option that was not given changes nothing.
fn given<T: Clone>(items: &[T]) -> Option<Vec<T>> {
    (!items.is_empty()).then(|| items.to_vec())
}

fn refused(problems: &[FieldProblem]) -> Failure {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::usage(problems.join("; "))
}

fn image(text: &str) -> Result<String, String> {
    image_reference(text).map_err(|problem| problem.to_string())
}

pub(super) fn variable(text: &str) -> Result<String, String> {
    match Service::variable_name(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(problem) => Err(problem.to_string()),
    }
}

fn command(text: &str) -> Result<CommandLine, String> {
    split_command(text)
        .map(CommandLine)
        .map_err(|problem| problem.to_string())
}

fn share(text: &str) -> Result<u16, String> {
    let share = text.parse().ok().and_then(Deploy::thousandths);
    share.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}
