//! A command acknowledged until the container runs, beside the engine's own create and start.
//!
//! Both are timed alike: a request over the unix socket, and the moment at which the engine itself says
//! that the container started. One of kontena's and one of the engine's own take turns, the same image,
//! command and network on the same host.

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::json;

use crate::field::{Field, Times};
use crate::figure::{Row, Samples, seconds};
use crate::source::demo::images::BUSYBOX;

/// What one start took, in seconds.
#[derive(Default)]
struct Kontena {
    sent_to_acknowledged: Samples,
    acknowledged_to_created: Samples,
    created_to_running: Samples,
    acknowledged_to_running: Samples,
    sent_to_running: Samples,
}

pub(crate) async fn measure(field: &Field, runs: u32) -> Result<Vec<Row>> {
    field.begin_anew().await?;
    // Starts are short and vary: more of them than of what takes long.
    let runs = runs * 4 + 1;
    let (mut ours, mut engine) = (Kontena::default(), Samples::default());
    // The first ever warms the engines up.
    let number = one_of_ours(field, "warm", &mut Kontena::default()).await?;
    one_of_the_engine(field, number, &mut Samples::default()).await?;
    for run in 0..runs {
        let number = one_of_ours(field, &format!("s{run}"), &mut ours).await?;
        one_of_the_engine(field, number, &mut engine).await?;
    }
    Ok(rows(&ours, &engine))
}

fn rows(ours: &Kontena, engine: &Samples) -> Vec<Row> {
    let ratio = |samples: &Samples| {
        format!(
            "{}; {:.2} × the engine's own",
            samples.in_seconds(),
            samples.median() / engine.median()
        )
    };
    vec![
        Row::new(
            "the engine's own `create` + `start`: sent → container running",
            engine.in_seconds(),
            "",
        ),
        Row::new(
            "kontena: deploy acknowledged → container running",
            ratio(&ours.acknowledged_to_running),
            "< 1.5 ×",
        ),
        Row::new(
            "kontena: deploy sent → container running",
            ratio(&ours.sent_to_running),
            "",
        ),
        Row::new(
            "– of it: sent → acknowledged (on two disks)",
            ours.sent_to_acknowledged.in_seconds(),
            "",
        ),
        Row::new(
            "– of it: acknowledged → container created",
            ours.acknowledged_to_created.in_seconds(),
            "",
        ),
        Row::new(
            "– of it: created → running",
            ours.created_to_running.in_seconds(),
            "",
        ),
    ]
}

/// Deploys a service of one instance through node 1; the host that it fell to.
async fn one_of_ours(field: &Field, name: &str, into: &mut Kontena) -> Result<u8> {
    field.create(name, BUSYBOX, 1).await?;
    let sent = Timestamp::now();
    field.deploy(name).await?;
    let acknowledged = Timestamp::now();
    let found = field.wait_for_instances(&field.numbers(), 1).await?;
    let (number, container) = found.first().context("no container")?;
    let Times { created, started } = field.times(*number, &container.id).await?;
    into.sent_to_acknowledged.add(seconds(sent, acknowledged));
    into.acknowledged_to_created
        .add(seconds(acknowledged, created));
    into.created_to_running.add(seconds(created, started));
    into.acknowledged_to_running
        .add(seconds(acknowledged, started));
    into.sent_to_running.add(seconds(sent, started));
    field.remove_service(name).await?;
    Ok(*number)
}

async fn one_of_the_engine(field: &Field, number: u8, into: &mut Samples) -> Result<()> {
    let engine = field.engine(number);
    let body = json!({ "Image": BUSYBOX, "Cmd": ["sleep", "1000000"], "StopSignal": "SIGKILL" });
    let sent = Timestamp::now();
    let created = engine.post("/containers/create", &body).await?;
    let id = created["Id"].as_str().context("no id")?;
    engine
        .post(&format!("/containers/{id}/start"), &json!({}))
        .await?;
    into.add(seconds(sent, field.times(number, id).await?.started));
    field.remove_container(number, id).await
}
