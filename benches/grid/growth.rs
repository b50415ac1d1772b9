//! From 3 to 30 running instances: kontena, Docker Swarm and the bare engines take turns on the same hosts.

use anyhow::Result;
use futures::future::try_join_all;
use jiff::Timestamp;
use serde_json::json;

use crate::field::Field;
use crate::figure::{Row, Samples, seconds};
use crate::source::demo::images::BUSYBOX;
use crate::{say, swarm};

const FEW: u32 = 3;
const MANY: u32 = 30;
/// Of the containers that the engines alone start.
const LABEL: &str = "bench";

pub(crate) async fn measure(field: &Field, runs: u32) -> Result<Vec<Row>> {
    let (mut ours, mut swarms, mut bare) =
        (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..runs {
        ours.add(kontena(field).await?);
        swarms.add(docker_swarm(field).await?);
        bare.add(engines(field).await?);
        say(&format!(
            "kontena {:.2} s, Swarm {:.2} s, engines {:.2} s",
            ours.last(),
            swarms.last(),
            bare.last()
        ));
    }
    let ratio = ours.median() / swarms.median();
    Ok(vec![
        Row::new(
            "kontena: scale from 3 to 30 sent → 30 running",
            format!("{}; {ratio:.2} × Swarm's", ours.text("s", 2)),
            "",
        ),
        Row::new(
            "Docker Swarm (3 managers): the same",
            swarms.text("s", 2),
            "",
        ),
        Row::new(
            "the engines alone: 27 × `create` + `start`, all at once",
            bare.text("s", 2),
            "",
        ),
    ])
}

async fn kontena(field: &Field) -> Result<f64> {
    field.begin_anew().await?;
    field.run_service("s", FEW).await?;
    let sent = Timestamp::now();
    field.scale("s", MANY).await?;
    let all = field
        .wait_for_instances(&field.numbers(), MANY as usize)
        .await?;
    let taken = seconds(sent, field.last_start(&all).await?);
    // Nothing of kontena's runs while Swarm is measured.
    field.clear().await?;
    Ok(taken)
}

async fn docker_swarm(field: &Field) -> Result<f64> {
    swarm::begin(field, 3).await?;
    swarm::run_service(field, FEW).await?;
    let taken = swarm::scale(field, MANY).await?;
    swarm::end(field).await?;
    Ok(taken)
}

async fn engines(field: &Field) -> Result<f64> {
    let each = (MANY - FEW) as usize / field.numbers().len();
    let sent = Timestamp::now();
    let hosts = field.numbers().into_iter();
    try_join_all(
        hosts
            .flat_map(|number| (0..each).map(move |_| number))
            .map(async |number| one(field, number).await),
    )
    .await?;
    let all = field
        .wait_for(&field.numbers(), LABEL, (MANY - FEW) as usize)
        .await?;
    let taken = seconds(sent, field.last_start(&all).await?);
    field.clear().await?;
    Ok(taken)
}

async fn one(field: &Field, number: u8) -> Result<()> {
    // A connection each: one of HTTP/1 carries one request at a time.
    let engine = crate::http::Endpoint::new(&field.lab.host(number).engine_socket());
    let body = json!({ "Image": BUSYBOX, "Cmd": ["sleep", "1000000"], "Labels": { LABEL: "" } });
    let created = engine.post("/containers/create", &body).await?;
    let id = created["Id"].as_str().unwrap_or_default();
    engine
        .post(&format!("/containers/{id}/start"), &json!({}))
        .await?;
    Ok(())
}
