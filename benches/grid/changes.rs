//! A change made on one node until all have it: labels of a node, changed through node 1, while nodes 2
//! and 3 are asked for that node over and over.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::field::Field;
use crate::figure::{Row, Samples};
use crate::http::Endpoint;

const CHANGES: usize = 500;
/// Between an answer and the next question: what is measured is right to this and the time of one answer.
const POLL: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Seen {
    acknowledged: Samples,
    by_all: Samples,
    answers: Samples,
}

pub(crate) async fn measure(field: &Field) -> Result<Vec<Row>> {
    field.begin_anew().await?;
    let mut seen = Seen::default();
    for change in 0..CHANGES {
        one(field, change, &mut seen)
            .await
            .with_context(|| format!("change {change}"))?;
    }
    Ok(rows(&seen))
}

fn rows(seen: &Seen) -> Vec<Row> {
    let percentiles = |samples: &Samples| {
        format!(
            "p50 **{:.1} ms**, p99 **{:.1} ms**, most {:.1} ms (n={})",
            samples.percentile(50),
            samples.percentile(99),
            samples.most(),
            samples.len()
        )
    };
    let (first, last) = seen.by_all.ends(CHANGES / 5);
    vec![
        Row::new(
            "a change sent to node 1 → shown by nodes 1, 2 and 3",
            percentiles(&seen.by_all),
            "p99 < 200 ms",
        ),
        Row::new(
            format!("– the first {0} and the last {0} of them", CHANGES / 5),
            format!("p50 {:.1} ms and {:.1} ms", first.median(), last.median()),
            "",
        ),
        Row::new(
            "– a change sent → acknowledged (on two disks)",
            percentiles(&seen.acknowledged),
            "",
        ),
        Row::new(
            "– one look (the resolution is this + 2 ms)",
            percentiles(&seen.answers),
            "",
        ),
    ]
}

async fn one(field: &Field, change: usize, seen: &mut Seen) -> Result<()> {
    let label = format!("change={change}");
    let body = json!({ "labels": [label] });
    let look = async |number| looked(field.daemon(number), &label).await;
    let start = Instant::now();
    let make = async {
        field.daemon(1).put(&Field::node_path(1), &body).await?;
        Ok::<_, anyhow::Error>(Instant::now())
    };
    let (acknowledged, second, third) = tokio::try_join!(make, look(2), look(3))?;
    // Node 1 shows what it acknowledged.
    let last = acknowledged.max(second.0).max(third.0);
    seen.acknowledged.add(millis(start, acknowledged));
    seen.by_all.add(millis(start, last));
    seen.answers.add(second.1.as_secs_f64() * 1000.0);
    seen.answers.add(third.1.as_secs_f64() * 1000.0);
    Ok(())
}

/// When the label was there, and how long the last answer took.
async fn looked(daemon: &Endpoint, label: &str) -> Result<(Instant, Duration)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = Instant::now();
        let node = daemon.get(&Field::node_path(1)).await?;
        let answered = Instant::now();
        if node["labels"]
            .as_array()
            .is_some_and(|all| all.contains(&Value::from(label)))
        {
            return Ok((answered, answered - asked));
        }
        anyhow::ensure!(
            answered < deadline,
            "`{label}` was not seen within {PATIENCE:?}"
        );
        tokio::time::sleep(POLL).await;
    }
}

fn millis(from: Instant, to: Instant) -> f64 {
    (to - from).as_secs_f64() * 1000.0
}
