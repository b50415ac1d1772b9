//! A connection that is handed over to a command, whichever container it runs in.

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request};
use axum::response::Response;

use super::handover::{hand_over, is_asked_for, required};
use crate::api::answer::Refused;
use crate::api::backend::{Backend, Carried};
use crate::api::carry::carry_command;
use crate::api::exec::{Flags, MAX_MESSAGE, speak};
use crate::api::types::exec::EXEC;

/// What a connection to a command speaks.
pub(super) const PROTOCOLS: [&str; 2] = ["websocket", EXEC];

/// Kontena's flags are texts, and count if they are there.
pub(super) fn is_set(flag: Option<&str>) -> bool {
    flag.is_some_and(|said| !matches!(said, "false" | "0"))
}

/// Hands the connection over to a command: with `Upgrade: websocket` as Kontena's clients speak, with
/// `Upgrade: kontena-exec`, *ours*, byte for byte. `found` finds where it is to run, and leaves what opens it there. It
/// is awaited before the handshake is judged: who asks for what is not there hears that, whatever the handshake is.
pub(super) async fn connect<Opening>(
    backend: &Backend,
    request: Request,
    flags: Flags,
    found: impl Future<Output = Result<Opening, Refused>>,
) -> Result<Response, Refused>
where
    Opening: Future<Output = Result<Box<dyn Carried>, Refused>>,
{
    let asked = |protocol| is_asked_for(request.headers(), protocol);
    if !PROTOCOLS.into_iter().any(asked) {
        return Ok(required(&PROTOCOLS));
    }
    let opening = found.await?;
    let place = backend.handovers.place()?;
    if is_asked_for(request.headers(), EXEC) {
        let command = opening.await?;
        return Ok(hand_over(request, EXEC, place, |io| async move {
            if let Err(problem) = carry_command(io, command).await {
                tracing::debug!(%problem, "A connection to a command broke");
            }
        }));
    }
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let Ok(upgrade) = upgrade else {
        return Ok(required(&PROTOCOLS));
    };
    let command = opening.await?;
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| async move {
        speak(socket, command, flags).await;
        drop(place);
    }))
}
