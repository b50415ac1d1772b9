//! The wires: a switch (a bridge in a network namespace of its own) and one network namespace per host.
//!
//! ```text
//!   LAB-switch                            LAB-1
//!   bridge 10.77.0.1 ── port1 ─────────── eth0 10.77.0.11/24
//!                    └─ port2 ─────────── eth0 10.77.0.12/24   LAB-2
//! ```
//!
//! Nothing of it is in the machine's own namespace: no interface, no route, no firewall rule. So any
//! number of labs can use the same addresses side by side. There is no way out; what looks for one is
//! told "unreachable" at once by the switch.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::thread::LinkNameSpaceType;

use super::program::Program;

/// Where `ip netns` keeps its names.
const NAMESPACES: &str = "/run/netns";
/// The switch's own address, which is every host's default route.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The address of host `number` on the switch.
pub(crate) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 10 + number)
}

/// All wires of one lab.
#[derive(Clone, Debug)]
pub(super) struct Network {
    lab: String,
}

impl Network {
    pub(super) fn new(lab: &str) -> Self {
        Self {
            lab: lab.to_owned(),
        }
    }

    pub(super) fn switch(&self) -> String {
        format!("{}-switch", self.lab)
    }

    pub(super) fn host(&self, number: u8) -> String {
        format!("{}-{number}", self.lab)
    }

    /// The namespaces of this lab that exist, the switch included.
    pub(super) fn existing(&self) -> Vec<String> {
        let names = std::fs::read_dir(NAMESPACES).into_iter().flatten();
        names
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| self.owns(name))
            .collect()
    }

    fn owns(&self, name: &str) -> bool {
        name.strip_prefix(&self.lab)
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|rest| rest == "switch" || rest.parse::<u8>().is_ok())
    }

    pub(super) async fn build_switch(&self) -> Result<()> {
        let switch = self.switch();
        add_namespace(&switch).await?;
        configure(
            &switch,
            &format!(
                "link set lo up\n\
                 link add bridge type bridge\n\
                 address add {GATEWAY}/24 dev bridge\n\
                 link set bridge up\n"
            ),
        )
        .await?;
        // Forwarding, so that a packet for elsewhere is answered with "unreachable". The bridge itself
        // must not pass frames through a firewall, where the kernel can do that.
        kernel_settings(
            &switch,
            &[
                "net/ipv4/ip_forward=1",
                "net/bridge/bridge-nf-call-iptables=0",
            ],
        )
        .await
    }

    /// A fresh network namespace for host `number`, as after power-on: no connections, no firewall
    /// rules, no addresses but its own. A cable that was cut stays cut.
    pub(super) async fn plug(&self, number: u8) -> Result<()> {
        let connected = self.is_connected(number).await?;
        self.unplug(number).await?;
        let host = self.host(number);
        add_namespace(&host).await?;
        self.connect(number, if connected { "up" } else { "down" })
            .await?;
        configure(
            &host,
            &format!(
                "link set lo up\n\
                 address add {}/24 dev eth0\n\
                 link set eth0 up\n\
                 route add default via {GATEWAY}\n",
                address(number)
            ),
        )
        .await?;
        // As on a fresh machine: an engine that turns forwarding on itself also forbids it by default.
        kernel_settings(&host, &["net/ipv4/ip_forward=0"]).await
    }

    async fn connect(&self, number: u8, state: &str) -> Result<()> {
        let (switch, host) = (self.switch(), self.host(number));
        // Host and card keep their hardware address over a reboot, as a real one would.
        let cable = format!(
            "link add port{number} type veth peer name eth0 netns {host} address 02:4b:4f:4e:54:{number:02x}\n\
             link set port{number} master bridge {state}\n"
        );
        configure(&switch, &cable).await
    }

    async fn unplug(&self, number: u8) -> Result<()> {
        let (switch, host) = (self.switch(), self.host(number));
        if self.has_port(number).await? {
            configure(&switch, &format!("link delete port{number}\n")).await?;
        }
        if namespace(&host).exists() {
            delete_namespace(&host).await?;
        }
        Ok(())
    }

    async fn has_port(&self, number: u8) -> Result<bool> {
        Ok(self.ports().await?.contains(&format!(" port{number}@")))
    }

    /// Whether the cable of host `number` is whole; a host without one gets a whole one.
    async fn is_connected(&self, number: u8) -> Result<bool> {
        let ports = self.ports().await?;
        let port = ports
            .lines()
            .find(|line| line.contains(&format!(" port{number}@")));
        // `ip -o link` lists the administrative state first: <BROADCAST,MULTICAST,UP,LOWER_UP>.
        Ok(port.is_none_or(|line| line.contains(",UP") || line.contains("<UP")))
    }

    async fn ports(&self) -> Result<String> {
        Program::new("ip")
            .args(["-n", &self.switch(), "-o", "link", "show"])
            .run()
            .await
    }

    /// Cuts the cable of host `number`: from now on there is silence, no refusal.
    pub(super) async fn cut(&self, number: u8) -> Result<()> {
        configure(&self.switch(), &format!("link set port{number} down\n")).await
    }

    pub(super) async fn heal(&self, number: u8) -> Result<()> {
        configure(&self.switch(), &format!("link set port{number} up\n")).await
    }

    /// Removes every namespace of this lab, and with them all links. Processes in them must be gone.
    pub(super) async fn remove(&self) -> Result<()> {
        for name in self.existing() {
            delete_namespace(&name).await?;
        }
        Ok(())
    }

    /// A GET over HTTP/1.0 to a host, as a client beside the switch would send it; the answer's body.
    pub(super) async fn get(
        &self,
        host: u8,
        port: u16,
        path: &str,
        wait: Duration,
    ) -> Result<String> {
        let address = SocketAddr::new(IpAddr::V4(address(host)), port);
        let (namespace, path) = (namespace(&self.switch()), path.to_owned());
        let (answer, answered) = tokio::sync::oneshot::channel();
        // A thread of its own, because it stays in the switch's namespace to its end.
        std::thread::spawn(move || {
            let result = enter(&namespace).and_then(|()| super::http::get(address, &path, wait));
            // The caller may have given up meanwhile.
            let _ = answer.send(result);
        });
        answered
            .await
            .context("the request's thread ended without an answer")?
            .with_context(|| format!("no answer from http://{address}"))
    }
}

pub(super) fn namespace(name: &str) -> PathBuf {
    Path::new(NAMESPACES).join(name)
}

fn enter(namespace: &Path) -> Result<()> {
    let file = std::fs::File::open(namespace)
        .with_context(|| format!("failed to open `{}`", namespace.display()))?;
    rustix::thread::move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .context("failed to enter the switch's network namespace")
}

async fn configure(namespace: &str, commands: &str) -> Result<()> {
    Program::new("ip")
        .args(["-n", namespace, "-batch", "-"])
        .input(commands)
        .run()
        .await
        .with_context(|| format!("failed to configure the network of `{namespace}`"))?;
    Ok(())
}

/// Sets what is under `/proc/sys` of a network namespace; what this kernel does not have is left out.
async fn kernel_settings(name: &str, settings: &[&str]) -> Result<()> {
    let script = r#"for s; do f=/proc/sys/${s%=*}; [ ! -e "$f" ] || echo "${s#*=}" >"$f"; done"#;
    Program::new("nsenter")
        .arg(format!("--net={}", namespace(name).display()))
        .args(["sh", "-c", script, "settings"])
        .args(settings)
        .run()
        .await
        .with_context(|| format!("failed to configure the kernel's network of `{name}`"))?;
    Ok(())
}

async fn add_namespace(name: &str) -> Result<()> {
    let _turn = turn().await?;
    Program::new("ip")
        .args(["netns", "add", name])
        .run()
        .await?;
    Ok(())
}

/// Deletes a namespace, and the folder of names once the last one is gone: `ip netns add` made it.
async fn delete_namespace(name: &str) -> Result<()> {
    let _turn = turn().await?;
    Program::new("ip")
        .args(["netns", "delete", name])
        .run()
        .await?;
    if std::fs::read_dir(NAMESPACES).is_ok_and(|mut names| names.next().is_none()) {
        // Somebody else may keep it mounted or fill it at this moment: then it stays.
        let _ = Program::new("umount").arg(NAMESPACES).run().await;
        let _ = std::fs::remove_dir(NAMESPACES);
    }
    Ok(())
}

/// Labs take turns at the folder of names, because the first `ip netns add` mounts it and the last
/// deletion unmounts it. `/run` is always there, so its lock is the one to share.
async fn turn() -> Result<std::fs::File> {
    let file = std::fs::File::open("/run").context("failed to open `/run`")?;
    super::wait::until(
        Duration::from_secs(20),
        "the turn at `ip netns`",
        async || Ok(file.try_lock().is_ok().then_some(())),
    )
    .await?;
    Ok(file)
}
