//! `proxy`: a port of a service on this machine, without a VPN and without any right.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use kontena_core::id::{GridName, ServiceKey};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use crate::api::carry::carry_both;
use crate::api::client::Client;
use crate::api::paths;
use crate::api::types::CARRIED;
use crate::api::types::service::Service;

/// Connections at a time on each port.
const MOST: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Forward ports of this machine to services, over the API of a node
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena proxy 8080:shop/web:80
  kontena --url http://203.0.113.7:8471 proxy shop/db:5432 6379:redis:6379

It ends with Ctrl-C. Each connection goes to an instance that is healthy.")]
pub(crate) struct Proxy {
    /// What is forwarded: LOCAL is the port here, PORT without it
    #[arg(required = true, value_name = "[LOCAL:]SERVICE:PORT")]
    forwards: Vec<Forward>,
    /// Where it is listened for: other machines may connect unless it is loopback
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
}

/// `8080:shop/web:80`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Forward {
    local: u16,
    service: ServiceKey,
    port: u16,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(raw: &str) -> Result<Self, String> {
        let parts: Vec<&str> = raw.split(':').collect();
        let (local, service, port) = match parts.as_slice() {
            [service, port] => (*port, *service, *port),
            [local, service, port] => (*local, *service, *port),
            _ => return Err("expected [LOCAL:]SERVICE:PORT, as 8080:shop/web:80".to_owned()),
        };
        let number = |text: &str, least: u16| match text.parse() {
            Ok(port) if port >= least => Ok(port),
            Ok(_) | Err(_) => Err(format!("`{text}` is no port")),
        };
        let service = service.parse::<ServiceKey>();
        Ok(Self {
            // 0 lets the system choose.
            local: number(local, 0)?,
            service: service.map_err(|problem| problem.to_string())?,
            port: number(port, 1)?,
        })
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.port)
    }
}

pub(crate) async fn run(session: &Session, asked: Proxy) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let mut bound = Vec::new();
    for forward in asked.forwards {
        let _: Service = session
            .client
            .get(&paths::service(&grid, &forward.service))
            .await?;
        let address = SocketAddr::new(asked.address, forward.local);
        let listener = TcpListener::bind(address).await.map_err(|problem| {
            Failure::failed(format!("failed to listen on {address}: {problem}"))
        })?;
        bound.push((forward, listener));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for (forward, listener) in bound {
        let here = listener.local_addr().map_err(|problem| {
            Failure::failed(format!("failed to listen for {forward}: {problem}"))
        })?;
        session.output.talk(&format!("{here} leads to {forward}"));
        tasks.spawn(accept(
            listener,
            session.client.clone(),
            session.output,
            grid.clone(),
            forward,
        ));
    }
    tokio::signal::ctrl_c()
        .await
        .map_err(|problem| Failure::failed(format!("failed to listen for Ctrl-C: {problem}")))
}

async fn accept(
    listener: TcpListener,
    client: Client,
    output: Output,
    grid: GridName,
    forward: Forward,
) {
    let places = Arc::new(Semaphore::new(MOST));
    let path = paths::proxy(&grid, &forward.service, forward.port);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(problem) => {
                output.warn(&format!("a connection was not accepted: {problem}"));
                // Want of file descriptors does not pass at once.
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (client, path, what) = (client.clone(), path.clone(), forward.to_string());
        tokio::spawn(async move {
            if let Err(problem) = carry(&client, &path, stream).await {
                output.warn(&format!("{what}: {problem}"));
            }
            drop(place);
        });
    }
}

async fn carry(client: &Client, path: &str, stream: TcpStream) -> Result<(), String> {
    let carried = client.carried(path, CARRIED).await;
    let carried = carried.map_err(|problem| problem.to_string())?;
    // Either side may break off: whoever connected sees that.
    let _ = carry_both(stream, carried).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forwarded_is_said_in_two_or_three_parts() {
        let forward = |text: &str| text.parse::<Forward>();
        let web = Forward {
            local: 8080,
            service: "shop/web".parse().unwrap(),
            port: 80,
        };
        assert_eq!(forward("8080:shop/web:80"), Ok(web.clone()));
        assert_eq!(forward("shop/web:80"), Ok(Forward { local: 80, ..web }));
        assert_eq!(forward("0:redis:6379").unwrap().local, 0);
        for bad in [
            "",
            "redis",
            "1:2:3:4",
            "x:redis:1",
            "1:redis:0",
            "1:Redis:1",
            "1:redis:65536",
        ] {
            assert!(forward(bad).is_err(), "{bad}");
        }
    }
}
