//! Logs of services and stacks, once or as they are written.

use std::pin::pin;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::failure::Failure;
use super::output::Look;
use super::session::Session;
use super::text::{Colour, or_dash, paint};
use crate::api::client::ApiError;
use crate::api::paths::encoded;
use crate::api::types::log::{FollowedLine, LogEntry, Logs, MissingLog};

/// A daemon that is restarted answers again within that.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
/// As many as a node gives at once.
const MAX_LINES: u32 = 10_000;

const COLOURS: [Colour; 5] = [
    Colour::Cyan,
    Colour::Green,
    Colour::Magenta,
    Colour::Yellow,
    Colour::Blue,
];

#[derive(Args, Clone, Debug)]
pub(crate) struct LogOptions {
    /// Go on with what is written later
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines
    #[arg(
        long = "tail",
        visible_alias = "lines",
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_LINES))
    )]
    lines: u32,
    /// None that is older: a time as 2026-01-31T12:00:00Z, or how long ago as 10m, 2h, 3d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Moment(Timestamp),
    Ago(Duration),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(moment) = text.parse() {
        return Ok(Since::Moment(moment));
    }
    let invalid = || "expected a time as 2026-01-31T12:00:00Z, or 30s, 10m, 2h, 3d".to_owned();
    let unit_at = text.len() - text.chars().next_back().map_or(0, char::len_utf8);
    let (number, unit) = text.split_at(unit_at);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(invalid()),
    };
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let ago = number.checked_mul(seconds).ok_or_else(invalid)?;
    Ok(Since::Ago(Duration::from_secs(ago)))
}

impl Since {
    fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Moment(moment) => moment,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

/// Prints the logs of what is at `path`.
pub(crate) async fn print(
    session: &Session,
    path: &str,
    mut query: Vec<(&str, String)>,
    options: &LogOptions,
) -> Result<(), Failure> {
    query.push(("limit", options.lines.to_string()));
    if let Some(since) = options.since {
        query.push(("since", since.moment(Timestamp::now()).to_string()));
    }
    if options.follow {
        return follow(session, path, query).await;
    }
    let Logs { logs, missing } = session.client.get(&with_query(path, &query)).await?;
    warn_of(session, &missing);
    if session.output.is_json() {
        return session.output.json(&logs);
    }
    let mut colours = Prefixes::default();
    let look = session.output.look();
    let lines: String = logs.iter().map(|entry| colours.line(entry, look)).collect();
    session.output.data(&lines)
}

fn warn_of(session: &Session, missing: &[MissingLog]) {
    for log in missing {
        let MissingLog {
            name,
            node,
            problem,
        } = log;
        session.output.warn(&format!(
            "the log of `{name}` on `{node}` is missing: {problem}"
        ));
    }
}

/// Until nobody reads any more, or nobody answers for too long.
async fn follow(
    session: &Session,
    path: &str,
    mut query: Vec<(&str, String)>,
) -> Result<(), Failure> {
    query.push(("follow", "1".to_owned()));
    query.push(("missing", "1".to_owned()));
    let mut follower = Follower {
        session,
        prefixes: Prefixes::default(),
        last: None,
    };
    let mut answered = Instant::now();
    loop {
        let after = follower.last.clone();
        let path = match &after {
            Some(id) => with_query(path, &[&query[..], &[("from", id.clone())]].concat()),
            None => with_query(path, &query),
        };
        match follower.read(&path).await? {
            Ended::ByServer => answered = Instant::now(),
            Ended::Broken(_) if follower.last != after => answered = Instant::now(),
            Ended::Broken(problem) if problem.status.is_some() => return Err(problem.into()),
            Ended::Broken(problem) if answered.elapsed() > SILENCE_LIMIT => {
                return Err(problem.into());
            }
            Ended::Broken(_) => (),
        }
        sleep(PAUSE).await;
    }
}

struct Follower<'a> {
    session: &'a Session,
    prefixes: Prefixes,
    /// The id of the last line that was printed.
    last: Option<String>,
}

enum Ended {
    ByServer,
    Broken(ApiError),
}

impl Follower<'_> {
    async fn read(&mut self, path: &str) -> Result<Ended, Failure> {
        let lines = match self.session.client.follow::<FollowedLine>(path).await {
            Ok(lines) => lines,
            Err(problem) => return Ok(Ended::Broken(problem)),
        };
        let mut lines = pin!(lines);
        while let Some(line) = lines.next().await {
            match line {
                Ok(FollowedLine::Entry(entry)) => self.print(entry)?,
                Ok(FollowedLine::Missing { missing }) => warn_of(self.session, &[missing]),
                Err(problem) => return Ok(Ended::Broken(problem)),
            }
        }
        Ok(Ended::ByServer)
    }

    fn print(&mut self, entry: LogEntry) -> Result<(), Failure> {
        let output = &self.session.output;
        if output.is_json() {
            output.json_line(&entry)?;
        } else {
            output.data(&self.prefixes.line(&entry, output.look()))?;
        }
        self.last = Some(entry.id);
        Ok(())
    }
}

/// The colours of containers, in the order in which they appear.
#[derive(Default)]
struct Prefixes {
    names: Vec<String>,
}

impl Prefixes {
    /// Kontena's form. What the container wrote is printed as it is, colours included.
    fn line(&mut self, entry: &LogEntry, look: Look) -> String {
        let prefix = format!("{} {}:", or_dash(entry.created_at.as_ref()), entry.name);
        let prefix = paint(&prefix, self.colour(&entry.name), look.colour);
        format!("{prefix} {}\n", entry.data)
    }

    fn colour(&mut self, name: &str) -> Colour {
        let known = self.names.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        COLOURS[index % COLOURS.len()]
    }
}

fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let mut text = path.to_owned();
    for (index, (key, value)) in query.iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        text.push_str(&encoded(value));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> LogEntry {
        LogEntry {
            id: "1".to_owned(),
            created_at: Some("2026-01-31T12:00:00.5Z".parse().unwrap()),
            name: name.to_owned(),
            data: "GET /".to_owned(),
            stream: "stdout".to_owned(),
            node: "a".to_owned(),
        }
    }

    #[test]
    fn a_line_is_written_as_kontena_writes_it() {
        let line = Prefixes::default().line(&entry("shop.web-1"), Look::PLAIN);
        assert_eq!(line, "2026-01-31T12:00:00.500Z shop.web-1: GET /\n");
    }

    #[test]
    fn each_container_has_a_colour_of_its_own_and_keeps_it() {
        let look = Look {
            width: None,
            colour: true,
        };
        let mut prefixes = Prefixes::default();
        let first = prefixes.line(&entry("a-1"), look);
        let second = prefixes.line(&entry("a-2"), look);
        assert_ne!(first[..5], second[..5]);
        assert_eq!(prefixes.line(&entry("a-1"), look), first);
    }

    #[test]
    fn a_past_moment_is_named_or_counted_back() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            ("90s", "2026-01-31T11:58:30Z"),
            ("2h", "2026-01-31T10:00:00Z"),
            ("1d", "2026-01-30T12:00:00Z"),
        ] {
            let moment = since(text).unwrap().moment(now);
            assert_eq!(moment.to_string(), expected, "{text}");
        }
        for wrong in [
            "",
            "m",
            "10",
            "1w",
            "-5m",
            "yesterday",
            "9999999999999999999d",
        ] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_query_is_encoded() {
        let query = [
            ("since", "2026-01-31T12:00:00Z".to_owned()),
            ("services", "a/b,c".to_owned()),
        ];
        assert_eq!(
            with_query("/v1/x", &query),
            "/v1/x?since=2026-01-31T12%3A00%3A00Z&services=a%2Fb%2Cc"
        );
    }
}
