//! Bytes in both directions between two ends, until both have ended.

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::watch;
use tokio::time::sleep;

/// Once one direction has ended, the other may rest so long. Whoever asked may be gone, and an instance that is
/// stuck never ends by itself: its kernel goes on answering.
const REST_LIMIT: Duration = Duration::from_secs(60);

/// What is under way in one direction: the largest record of TLS.
const BUFFER: usize = 16 * 1024;

/// Carries until both directions have ended, or one has and nothing moves in the other for [`REST_LIMIT`].
///
/// # Errors
/// One end broke, or rested for too long.
pub(crate) async fn carry_both(
    a: impl AsyncRead + AsyncWrite + Unpin,
    b: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let ((from_a, to_a), (from_b, to_b)) = (split(a), split(b));
    let ended = watch::Sender::new(false);
    tokio::try_join!(carry(from_a, to_b, &ended), carry(from_b, to_a, &ended))?;
    Ok(())
}

/// Carries for a command in a container: what it says counts, to its last word, though it may listen no more.
///
/// # Errors
/// Whoever asked is gone, or rests for too long once he has said all.
pub(crate) async fn carry_command(
    asker: impl AsyncRead + AsyncWrite + Unpin,
    command: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let ((from_asker, to_asker), (from_command, to_command)) = (split(asker), split(command));
    let ended = watch::Sender::new(false);
    let asks = async {
        if let Err(problem) = carry(from_asker, to_command, &ended).await {
            tracing::trace!(%problem, "A command takes no more input");
        }
        pending::<()>().await;
    };
    tokio::select! {
        answered = carry(from_command, to_asker, &ended) => answered,
        () = asks => Ok(()),
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    ended: &watch::Sender<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = within_limit(ended, from.read(&mut buffer)).await?;
        if read == 0 {
            break;
        }
        within_limit(ended, to.write_all(&buffer[..read])).await?;
        within_limit(ended, to.flush()).await?;
    }
    within_limit(ended, to.shutdown()).await?;
    ended.send_replace(true);
    Ok(())
}

/// The limit counts only once the other direction has ended.
async fn within_limit<T>(
    ended: &watch::Sender<bool>,
    step: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut ended = ended.subscribe();
    let rests = async {
        // The sender outlives both directions.
        let _ = ended.wait_for(|ended| *ended).await;
        sleep(REST_LIMIT).await;
    };
    tokio::select! {
        outcome = step => outcome,
        () = rests => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_end_that_never_ends_is_left_a_minute_after_the_other() {
        let (client, near) = duplex(64);
        let (far, _stuck) = duplex(64);
        drop(client);
        let begun = Instant::now();
        let carried = carry_both(near, far).await;
        assert_eq!(carried.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), REST_LIMIT.as_secs());
    }

    #[tokio::test]
    async fn the_last_words_of_a_command_arrive_though_it_takes_no_more_input() {
        for _ in 0..50 {
            let (asker, near) = duplex(64);
            let (far, command) = duplex(4096);
            let carrying = tokio::spawn(carry_command(near, far));
            let (mut from_asker, mut to_asker) = split(asker);
            let asking =
                tokio::spawn(async move { while to_asker.write_all(b"more").await.is_ok() {} });
            let (mut listens, mut speaks) = split(command);
            listens.read_exact(&mut [0; 4]).await.unwrap();
            speaks.write_all(&[7; 2048]).await.unwrap();
            drop((listens, speaks));
            let mut heard = Vec::new();
            from_asker.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard.len(), 2048);
            asking.abort();
            carrying.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_goes_on_after_its_question_has_ended_and_silence_in_both_is_borne() {
        let (mut client, near) = duplex(64);
        let (far, mut instance) = duplex(64);
        let carrying = tokio::spawn(carry_both(near, far));
        sleep(10 * REST_LIMIT).await;
        client.write_all(b"all of it").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = String::new();
        instance.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "all of it");
        for _ in 0..10 {
            sleep(REST_LIMIT - Duration::from_secs(1)).await;
            instance.write_all(b"some").await.unwrap();
            let mut part = [0; 4];
            client.read_exact(&mut part).await.unwrap();
        }
        drop(instance);
        assert!(carrying.await.unwrap().is_ok());
    }
}
