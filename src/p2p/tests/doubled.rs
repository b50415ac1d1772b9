//! Both sides dial at once: whatever is opened then goes on.

use futures::future::join_all;

use super::*;

const PAIRS: u8 = 20;
const STREAMS: usize = 25;

/// Answers each stream with what its header says, once it has heard a word on it.
fn echo(mut node: Node) {
    tokio::spawn(async move {
        while let Some(event) = node.events.recv().await {
            if let P2pEvent::Stream {
                header, mut stream, ..
            } = event
            {
                tokio::spawn(async move {
                    let mut word = [0; 4];
                    stream.read_exact(&mut word).await?;
                    stream.write_all(&header).await?;
                    stream.shutdown().await
                });
            }
        }
    });
}

async fn asked(p2p: P2p, to: NodeId, number: usize) -> anyhow::Result<String> {
    let mut stream = p2p.open_stream(to, number.to_string().as_bytes()).await?;
    stream.write_all(b"word").await?;
    stream.flush().await?;
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_opened_while_both_sides_dial_are_not_cut_off() {
    for pair in 0..PAIRS {
        let (a, b) = (
            Node::start(100 + pair).await,
            Node::start(200 + pair % 50).await,
        );
        a.knows(&[b.here()]);
        b.knows(&[a.here()]);
        let (left, right) = (a.p2p.clone(), b.p2p.clone());
        let (to_a, to_b) = (a.id, b.id);
        echo(a);
        echo(b);
        let both = (0..STREAMS).flat_map(|number| {
            [
                tokio::spawn(asked(left.clone(), to_b, number)),
                tokio::spawn(asked(right.clone(), to_a, number)),
            ]
        });
        for (number, answer) in join_all(both.collect::<Vec<_>>())
            .await
            .into_iter()
            .enumerate()
        {
            let answer = answer.unwrap().map_err(|problem| format!("{problem:#}"));
            assert_eq!(answer, Ok((number / 2).to_string()), "pair {pair}");
        }
    }
}
