//! `token`: what admits further nodes.

use clap::{Args, Subcommand};
use serde_json::json;

use super::confirm::confirm;
use super::failure::Failure;
use super::session::Session;
use super::table::Table;
use super::text::moment;
use crate::api::paths;
use crate::api::types::membership::{JoinToken, JoinTokens, NewJoinToken};
use crate::api::types::{Changed, Saved};

/// Shown in the table; `token rm` takes any unambiguous beginning.
const SHORT_ID: usize = 12;

/// Join tokens: they admit nodes until they are revoked
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena token create")]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a further token, which is shown this once
    #[command(after_help = "Example:\n  kontena token create")]
    Create,
    /// List tokens, without their secrets
    #[command(visible_alias = "list", after_help = "Example:\n  kontena token ls")]
    Ls {
        /// Print ids only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Revoke a token: it admits nobody any more, and whoever it admitted stays
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena token rm 3f9c0a"
    )]
    Rm {
        /// The token's id, or the beginning of it
        id: String,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
}

pub(crate) async fn run(session: &Session, asked: Token) -> Result<(), Failure> {
    session.grid().await?;
    match asked.command {
        Command::Create => create(session).await,
        Command::Ls { quiet } => list(session, quiet).await,
        Command::Rm { id, force } => revoke(session, &id, force).await,
    }
}

async fn create(session: &Session) -> Result<(), Failure> {
    let made: Changed<NewJoinToken> = session.client.post(paths::JOIN_TOKENS, &json!({})).await?;
    session.warn_of(&made.saved);
    if session.output.is_json() {
        return session.print_changed(&made.saved, made.object);
    }
    session
        .output
        .data(&format!("{}\n", made.object.join_token))
}

async fn tokens(session: &Session) -> Result<Vec<JoinToken>, Failure> {
    let answer: JoinTokens = session.client.get(paths::JOIN_TOKENS).await?;
    Ok(answer.join_tokens)
}

async fn list(session: &Session, quiet: bool) -> Result<(), Failure> {
    let tokens = tokens(session).await?;
    let ids = tokens.iter().map(|token| token.id.clone());
    session.print_list(quiet, &tokens, ids, &table(&tokens))
}

fn table(tokens: &[JoinToken]) -> Table {
    let mut table = Table::new(&["ID", "STATUS", "CREATED"]);
    for token in tokens {
        let status = if token.revoked { "revoked" } else { "valid" };
        let id: String = token.id.chars().take(SHORT_ID).collect();
        table.row([
            id.into(),
            status.into(),
            moment(token.created_at.as_ref()).into(),
        ]);
    }
    table
}

async fn revoke(session: &Session, beginning: &str, force: bool) -> Result<(), Failure> {
    let tokens = tokens(session).await?;
    let id = meant(&tokens, beginning)?.id.clone();
    confirm(&session.output, "revoke the join token", beginning, force)?;
    let path = format!("{}/{id}", paths::JOIN_TOKENS);
    let saved: Saved = session.client.delete(&path).await?;
    let said = format!("revoked the join token `{beginning}`");
    session.print_change(&said, &saved, json!({"id": id}))
}

fn meant<'a>(tokens: &'a [JoinToken], beginning: &str) -> Result<&'a JoinToken, Failure> {
    let mut found = tokens
        .iter()
        .filter(|token| token.id.starts_with(beginning));
    match (found.next(), found.next()) {
        (Some(token), None) => Ok(token),
        (Some(_), Some(_)) => Err(Failure::failed(format!(
            "several join tokens begin with `{beginning}`"
        ))),
        (None, _) => Err(
            Failure::failed(format!("join token `{beginning}` does not exist"))
                .hint("`kontena token ls` lists them"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::output::Look;
    use super::*;

    fn token(id: &str, revoked: bool) -> JoinToken {
        JoinToken {
            id: id.to_owned(),
            created_at: Some("2026-01-31T12:00:00Z".parse().unwrap()),
            revoked,
        }
    }

    #[test]
    fn tokens_are_listed_by_the_beginning_of_their_id() {
        let tokens = [
            token(&"ab".repeat(32), false),
            token(&"cd".repeat(32), true),
        ];
        expect![[r#"
            ID            STATUS   CREATED
            abababababab  valid    2026-01-31 12:00:00Z
            cdcdcdcdcdcd  revoked  2026-01-31 12:00:00Z
        "#]]
        .assert_eq(&table(&tokens).render(Look::PLAIN));
    }

    #[test]
    fn a_beginning_must_mean_one_token() {
        let tokens = [token("aa1", false), token("aa2", false)];
        assert_eq!(meant(&tokens, "aa1").unwrap().id, "aa1");
        assert!(meant(&tokens, "aa").is_err());
        assert!(meant(&tokens, "b").is_err());
    }
}
