//! The options that say how a service's containers are checked. Names are Kontena's, `--health-check-cmd` is ours.

use clap::{Args, ValueEnum};
use kontena_core::stack::{HealthCheck, WrittenHealthCheck};

use super::super::failure::Failure;

#[derive(Args, Debug)]
pub(super) struct HealthCheckOptions {
    /// How a container is asked whether it does its work; `none` asks no more
    #[arg(
        id = "health_check_protocol",
        long = "health-check-protocol",
        value_name = "PROTOCOL"
    )]
    protocol: Option<Protocol>,
    /// The container's port that is asked
    #[arg(id = "health_check_port", long = "health-check-port", value_name = "PORT", requires = "health_check_protocol", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// For `http`: the path that is asked for, / unless it is given
    #[arg(
        id = "health_check_uri",
        long = "health-check-uri",
        value_name = "PATH",
        requires = "health_check_protocol"
    )]
    uri: Option<String>,
    /// For `exec`: what `/bin/sh -c` runs in the container
    #[arg(
        id = "health_check_cmd",
        long = "health-check-cmd",
        value_name = "COMMAND",
        requires = "health_check_protocol"
    )]
    cmd: Option<String>,
    /// How long an answer may take, 10 unless it is given
    #[arg(
        id = "health_check_timeout",
        long = "health-check-timeout",
        value_name = "SECONDS",
        requires = "health_check_protocol"
    )]
    timeout: Option<u32>,
    /// How long after one probe the next follows, 60 unless it is given
    #[arg(
        id = "health_check_interval",
        long = "health-check-interval",
        value_name = "SECONDS",
        requires = "health_check_protocol"
    )]
    interval: Option<u32>,
    /// How long after its start no failure of a container counts, 10 unless it is given
    #[arg(
        id = "health_check_initial_delay",
        long = "health-check-initial-delay",
        value_name = "SECONDS",
        requires = "health_check_protocol"
    )]
    initial_delay: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    Http,
    Tcp,
    Exec,
    None,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Exec => "exec",
            Self::None => "",
        }
    }
}

impl HealthCheckOptions {
    /// The whole check: what is not given is as ever, not as it was.
    #[expect(
        clippy::option_option,
        reason = "whether it is spoken of, and whether there is to be one"
    )]
    pub(super) fn change(&self) -> Result<Option<Option<HealthCheck>>, Failure> {
        let Some(protocol) = self.protocol else {
            return Ok(None);
        };
        if let Protocol::None = protocol {
            return Ok(Some(None));
        }
        let written = WrittenHealthCheck {
            protocol: protocol.name().to_owned(),
            port: self.port,
            uri: self.uri.clone(),
            cmd: self.cmd.clone(),
            interval: self.interval,
            timeout: self.timeout,
            initial_delay: self.initial_delay,
            ..WrittenHealthCheck::default()
        };
        match HealthCheck::try_from(written) {
            Ok(check) => Ok(Some(Some(check))),
            Err(problem) => Err(Failure::usage(format!("the health check: {problem}"))),
        }
    }
}
