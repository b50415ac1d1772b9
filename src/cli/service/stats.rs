//! `service stats`: what the instances use of their nodes, in Kontena's columns.

use std::time::Duration;

use kontena_core::id::ServiceKey;
use tokio::time::sleep;

use super::super::failure::Failure;
use super::super::session::{Session, about};
use super::super::table::Table;
use super::super::text::bytes;
use crate::api::paths;
use crate::api::types::usage::{MemoryUse, NetworkUse, Stat, Stats};

/// The engines look for a second or two themselves.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn show(session: &Session, name: &ServiceKey, again: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let path = format!("{}/stats", paths::service(&grid, name));
    loop {
        let answer = session.client.get(&path).await;
        let Stats { stats, missing } = answer.map_err(about(format!("service `{name}`")))?;
        for one in missing {
            session.output.warn(&format!(
                "what `{}` on `{}` uses is not known: {}",
                one.name, one.node, one.problem
            ));
        }
        print(session, &stats, again)?;
        if !again {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}

fn print(session: &Session, stats: &Vec<Stat>, again: bool) -> Result<(), Failure> {
    let text = || table(stats).render(session.output.look());
    match (session.output.is_json(), again) {
        (true, true) => session.output.json_line(stats),
        (true, false) => session.output.json(stats),
        (false, true) => session.output.screen(&format!("{}\n", text())),
        (false, false) => session.output.data(&text()),
    }
}

fn table(stats: &[Stat]) -> Table {
    let mut table = Table::new(&["CONTAINER", "CPU %", "MEM USAGE/LIMIT", "MEM %", "NET I/O"]);
    for stat in stats {
        let cpu = stat.cpu.map(|cpu| format!("{:.2}%", cpu.usage));
        table.row([
            format!("{}/{}", stat.node, stat.container_id).into(),
            or_unknown(cpu).into(),
            or_unknown(stat.memory.map(memory)).into(),
            or_unknown(stat.memory.and_then(share)).into(),
            or_unknown(stat.network.map(traffic)).into(),
        ]);
    }
    table
}

fn or_unknown(text: Option<String>) -> String {
    text.unwrap_or_else(|| "N/A".to_owned())
}

fn memory(memory: MemoryUse) -> String {
    let limit = or_unknown(memory.limit.map(bytes));
    format!("{} / {limit}", bytes(memory.usage))
}

/// In hundredths of the limit, to two digits.
fn share(memory: MemoryUse) -> Option<String> {
    let limit = memory.limit.filter(|limit| *limit > 0)?;
    let in_10_000 = u128::from(memory.usage) * 10_000 / u128::from(limit);
    Some(format!("{}.{:02}%", in_10_000 / 100, in_10_000 % 100))
}

fn traffic(network: NetworkUse) -> String {
    format!("{} / {}", bytes(network.rx_bytes), bytes(network.tx_bytes))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::super::output::Look;
    use super::*;
    use crate::api::types::usage::CpuUse;

    #[test]
    fn what_is_not_counted_is_not_made_up() {
        let known = Stat {
            id: "home/alpha/shop.web-1".to_owned(),
            container_id: "shop.web-1".to_owned(),
            node: "alpha".to_owned(),
            cpu: Some(CpuUse { usage: 12.345 }),
            memory: Some(MemoryUse {
                usage: 100 << 20,
                limit: Some(512 << 20),
            }),
            network: Some(NetworkUse {
                rx_bytes: 1_536,
                tx_bytes: 12,
            }),
        };
        let unknown = Stat {
            container_id: "shop.web-2".to_owned(),
            cpu: None,
            memory: None,
            network: None,
            ..known.clone()
        };
        expect![[r#"
            CONTAINER         CPU %   MEM USAGE/LIMIT    MEM %   NET I/O
            alpha/shop.web-1  12.35%  100 MiB / 512 MiB  19.53%  1.5 KiB / 12 B
            alpha/shop.web-2  N/A     N/A                N/A     N/A
        "#]]
        .assert_eq(&table(&[known, unknown]).render(Look::PLAIN));
    }
}
