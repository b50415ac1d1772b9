//! The options that limit a service's containers, say what they may do, and where their output goes.
//! Names, and what they take, are Kontena's; `0` or the empty text takes back what was set.

use clap::Args;
use kontena_core::manifest::compiled::{LoggingChange, PrivilegesChange, ResourcesChange};
use kontena_core::stack::{
    Cpus, InvalidCpus, InvalidLogging, InvalidPrivilege, InvalidSize, PidMode, Resources,
    capability, log_driver, log_option, size_bytes, user,
};

#[derive(Args, Debug)]
pub(super) struct Limits {
    /// Cores that a container may use, as `0.5`; only nodes with as many run it
    #[arg(long, value_name = "CORES", value_parser = cores)]
    cpus: Option<Lifted<Cpus>>,
    /// Weight against others when all cores are busy, up to 1024
    #[arg(short, long, value_name = "WEIGHT", value_parser = clap::value_parser!(u32).range(..=i64::from(Resources::MAX_CPU_SHARES)))]
    cpu_shares: Option<u32>,
    /// Memory, as `512m`; only nodes that have it to give run it
    #[arg(short, long, value_name = "SIZE", value_parser = size)]
    memory: Option<Lifted<u64>>,
    /// Memory and swap together, as `1g`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory_swap: Option<Lifted<u64>>,
    /// Size of `/dev/shm`, as `128m`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    shm_size: Option<Lifted<u64>>,
}

#[derive(Args, Debug)]
pub(super) struct Rights {
    /// Run as this user, `NAME|UID[:GROUP]`
    #[arg(short, long, value_name = "USER", value_parser = user_or_none)]
    user: Option<Lifted<String>>,
    /// Let containers do all that the host can do
    #[arg(long)]
    privileged: bool,
    /// Add a capability, as `NET_ADMIN`; may be repeated
    #[arg(long = "cap-add", value_name = "CAPABILITY", value_parser = capability)]
    cap_add: Vec<String>,
    /// Drop a capability; may be repeated
    #[arg(long = "cap-drop", value_name = "CAPABILITY", value_parser = capability)]
    cap_drop: Vec<String>,
    /// Whose processes containers see: `host`
    #[arg(long, value_name = "MODE", value_parser = pid)]
    pid: Option<Lifted<PidMode>>,
}

#[derive(Args, Debug)]
pub(super) struct Output {
    /// Docker's log driver, as `syslog`; of most others than `json-file` no logs can be shown
    #[arg(long, value_name = "DRIVER", value_parser = driver)]
    log_driver: Option<Lifted<String>>,
    /// Option of the log driver, `NAME=VALUE`; may be repeated
    #[arg(long = "log-opt", value_name = "OPTION", value_parser = log_option)]
    log_options: Vec<(String, String)>,
}

/// What is to be set, or nothing where it is taken back. A type of its own, because clap takes an `Option` for
/// one that need not be given.
#[derive(Clone, Debug)]
struct Lifted<T>(Option<T>);

impl<T: Clone> Lifted<T> {
    #[expect(
        clippy::option_option,
        reason = "as `ServiceChange` has it: whether it is spoken of, and what it is to be"
    )]
    fn spoken(given: Option<&Self>) -> Option<Option<T>> {
        given.map(|lifted| lifted.0.clone())
    }
}

impl Limits {
    pub(super) fn change(&self) -> ResourcesChange {
        let shares = |shares: u32| Some(shares).filter(|shares| *shares > 0);
        ResourcesChange {
            cpus: Lifted::spoken(self.cpus.as_ref()),
            cpu_shares: self.cpu_shares.map(shares),
            memory: Lifted::spoken(self.memory.as_ref()),
            memory_swap: Lifted::spoken(self.memory_swap.as_ref()),
            shm_size: Lifted::spoken(self.shm_size.as_ref()),
        }
    }
}

impl Rights {
    pub(super) fn change(&self) -> PrivilegesChange {
        let given = |list: &Vec<String>| Some(list.clone()).filter(|list| !list.is_empty());
        PrivilegesChange {
            user: Lifted::spoken(self.user.as_ref()),
            privileged: self.privileged.then_some(true),
            read_only: None,
            cap_add: given(&self.cap_add),
            cap_drop: given(&self.cap_drop),
            pid: Lifted::spoken(self.pid.as_ref()),
        }
    }
}

impl Output {
    pub(super) fn change(&self) -> LoggingChange {
        let options = self.log_options.iter().cloned().collect();
        LoggingChange {
            driver: Lifted::spoken(self.log_driver.as_ref()),
            options: (!self.log_options.is_empty()).then_some(options),
        }
    }
}

fn cores(text: &str) -> Result<Lifted<Cpus>, InvalidCpus> {
    unless("0", text, str::parse)
}

fn size(text: &str) -> Result<Lifted<u64>, InvalidSize> {
    unless("0", text, size_bytes)
}

fn user_or_none(text: &str) -> Result<Lifted<String>, InvalidPrivilege> {
    unless("", text, user)
}

fn pid(text: &str) -> Result<Lifted<PidMode>, InvalidPrivilege> {
    unless("", text, str::parse)
}

fn driver(text: &str) -> Result<Lifted<String>, InvalidLogging> {
    unless("", text, log_driver)
}

fn unless<T, E>(
    nothing: &str,
    text: &str,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Lifted<T>, E> {
    if text == nothing {
        return Ok(Lifted(None));
    }
    read(text).map(|value| Lifted(Some(value)))
}
