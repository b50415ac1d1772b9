//! A gigabyte in a volume: out to a tar from another node and back, and moved to another host with its instance, beside what the same two hosts carry raw.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use crate::field::Field;
use crate::figure::{Row, Samples};
use crate::say;
use crate::source::demo::daemon::DAEMON;
use crate::source::demo::host::VOLATILE;
use crate::source::demo::images::BUSYBOX;

const MEGABYTES: u32 = 1_024;
const GIGABITS: f64 = MEGABYTES as f64 * 8.0 * 1_048_576.0 / 1e9;
const COPY: &str = "db.data-1";
/// A gigabyte over whatever a busy machine has left.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Default)]
struct Taken {
    raw: Samples,
    backup: Samples,
    restore: Samples,
    /// From the order to the instance that runs on the other host.
    moved: Samples,
}

pub(crate) async fn measure(field: &Field, runs: u32) -> Result<Vec<Row>> {
    field.begin_anew().await?;
    shell(
        field,
        1,
        "kontena volume create --scope instance data > /dev/null",
    )
    .await?;
    let database = json!({
        "name": "db", "image": BUSYBOX, "instances": 1, "stateful": true, "volumes": ["data:/data"],
        "cmd": ["sleep", "1000000"], "stop_signal": "SIGKILL",
    });
    field.define(&database).await?;
    field.deploy("db").await?;
    let found = field.wait_for_instances(&field.numbers(), 1).await?;
    let (mut home, container) = found.into_iter().next().context("it does not run")?;
    // Nothing of it can be made smaller on its way.
    let fill = format!("dd if=/dev/urandom of=/data/much bs=1048576 count={MEGABYTES}");
    let exec = ["exec", &container.id, "sh", "-c", &fill];
    field.lab.host(home).docker(&exec).await?;
    let mut taken = Taken::default();
    for _ in 0..runs {
        let other = home % 3 + 1;
        taken.raw.add(carry(field, home, other).await?);
        out_and_back(field, home, other, &mut taken).await?;
        let word = format!("kontena volume move {COPY} node-{other} > /dev/null 2>&1");
        taken.moved.add(timed(field, home, &word).await?);
        home = other;
        field.wait_for_instances(&[home], 1).await?;
        say(&format!(
            "raw {:.2}, backup {:.2}, restore {:.2}, move {:.2} Gbit/s",
            taken.raw.last(),
            taken.backup.last(),
            taken.restore.last(),
            taken.moved.last()
        ));
    }
    let memory = most_memory(field).await?;
    field.clear().await?;
    Ok(rows(&taken, &memory))
}

async fn out_and_back(field: &Field, home: u8, other: u8, taken: &mut Taken) -> Result<()> {
    shell(field, other, "kontena service stop db > /dev/null 2>&1").await?;
    field.wait_for_instances(&field.numbers(), 0).await?;
    let word = format!("kontena volume backup {COPY} > $T/much.tar");
    taken.backup.add(timed(field, other, &word).await?);
    let word = format!("kontena volume restore --force {COPY} < $T/much.tar");
    taken.restore.add(timed(field, other, &word).await?);
    shell(
        field,
        other,
        "rm $T/much.tar; kontena service start db > /dev/null 2>&1",
    )
    .await?;
    field.wait_for_instances(&[home], 1).await?;
    Ok(())
}

/// As much of nothing over the overlay, from a container to a container; in Gbit/s.
async fn carry(field: &Field, from: u8, to: u8) -> Result<f64> {
    let sink = json!({
        "name": "sink", "image": BUSYBOX, "instances": 1, "affinity": [format!("node==node-{to}")],
        "cmd": ["sh", "-c", "while :; do nc -l -p 9000 > /dev/null; done"], "stop_signal": "SIGKILL",
    });
    field.define(&sink).await?;
    field.deploy("sink").await?;
    field.wait_for_instances(&field.numbers(), 2).await?;
    let script = format!(
        "docker -H unix://$D exec db-1 sh -c \
         'until nc -w 1 sink 9000 < /dev/null; do sleep 0.2; done; sleep 1; \
          time -p dd if=/dev/zero bs=1048576 count={MEGABYTES} 2> /dev/null | nc sink 9000' 2>&1 | grep real"
    );
    let engine = field.lab.host(from).engine_socket();
    let said = shell(
        field,
        from,
        &script.replace("$D", &engine.display().to_string()),
    )
    .await?;
    let seconds = said.split_whitespace().nth(1).context("no time is told")?;
    let seconds: f64 = seconds.parse().with_context(|| said.clone())?;
    field.daemon(1).delete(&Field::service_path("sink")).await?;
    field.wait_for_instances(&field.numbers(), 1).await?;
    Ok(GIGABITS / seconds)
}

/// In Gbit/s of what is in the volume.
async fn timed(field: &Field, number: u8, script: &str) -> Result<f64> {
    let begun = Instant::now();
    shell(field, number, script).await?;
    Ok(GIGABITS / begun.elapsed().as_secs_f64())
}

/// What a script prints on a host, `kontena` at hand.
async fn shell(field: &Field, number: u8, script: &str) -> Result<String> {
    let host = field.lab.host(number);
    let folder = field.program().parent().context("it is in a folder")?;
    let ready = format!(
        "export PATH={}:$PATH KONTENA_SOCKET={} T={}; {script}",
        folder.display(),
        host.kontena_socket().display(),
        host.disk().display()
    );
    let program = host.program("sh")?.args(["-c", &ready]);
    program.within(PATIENCE).run().await
}

/// The most memory that each daemon had at a time.
async fn most_memory(field: &Field) -> Result<Samples> {
    let mut most = Samples::default();
    for host in field.lab.hosts() {
        let script = format!("grep VmHWM /proc/$(cat {VOLATILE}/{DAEMON}.pid)/status");
        let said = host.program("sh")?.args(["-c", &script]).run().await?;
        let kilobytes = said.split_whitespace().nth(1);
        let kilobytes = kilobytes.context("the kernel tells no memory")?;
        most.add(kilobytes.parse::<f64>()? / 1_024.0);
    }
    Ok(most)
}

fn rows(taken: &Taken, memory: &Samples) -> Vec<Row> {
    let share = |samples: &Samples| {
        format!(
            "{}; {:.2} × raw",
            samples.text("Gbit/s", 2),
            samples.median() / taken.raw.median()
        )
    };
    vec![
        Row::new(
            "1 GiB from a container to one on another host, over the overlay",
            taken.raw.text("Gbit/s", 2),
            "",
        ),
        Row::new(
            "`volume backup` of 1 GiB from another node",
            share(&taken.backup),
            "",
        ),
        Row::new(
            "`volume restore` of 1 GiB to another node",
            share(&taken.restore),
            "",
        ),
        Row::new(
            "`volume move` of 1 GiB, from the order to the instance that runs there",
            share(&taken.moved),
            "",
        ),
        Row::new(
            "– the most memory of a daemon in all of this",
            memory.text("MB", 0),
            "",
        ),
    ]
}
