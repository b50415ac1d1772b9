//! Everything that is printed: data on standard output, talk on standard error.
//!
//! The only file that prints. Whoever reads no further (`| head`) ends a command, and that is a
//! success; standard error that nobody reads is no reason to stop. Not here: what is said.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::failure::{Complaint, Failure};
use super::text::{Colour, paint};

/// How standard output is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Columns of the terminal; `None` where nobody knows: nothing is cut then.
    pub(crate) width: Option<usize>,
    pub(crate) colour: bool,
}

impl Look {
    /// Of a file or a pipe.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self {
        width: None,
        colour: false,
    };
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    look: Look,
    talk_colour: bool,
    json: bool,
    /// Whether what was shown can be shown anew in its place.
    redraws: bool,
}

impl Output {
    /// As the environment says: `NO_COLOR`, `TERM=dumb` and `COLUMNS`.
    pub(crate) fn new(json: bool, environment: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let is_dumb = set("TERM").as_deref() == Some("dumb");
        let colour = set("NO_COLOR").is_none() && !is_dumb;
        Self {
            look: Look {
                width: columns(environment),
                colour: colour && io::stdout().is_terminal(),
            },
            talk_colour: colour && io::stderr().is_terminal(),
            json,
            redraws: !is_dumb && io::stdout().is_terminal(),
        }
    }

    pub(crate) fn look(&self) -> Look {
        self.look
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints `text` as it is.
    pub(crate) fn data(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        written.map_err(|problem| {
            if problem.kind() == io::ErrorKind::BrokenPipe {
                Failure::ReaderGone
            } else {
                Failure::failed(format!("failed to write to standard output: {problem}"))
            }
        })
    }

    /// On a terminal `text` takes the place of whatever is on it, as far as there is room; elsewhere it is printed.
    pub(crate) fn screen(&self, text: &str) -> Result<(), Failure> {
        match self.redraws {
            true => self.data(&screen(text, terminal_height())),
            false => self.data(text),
        }
    }

    /// Prints an answer to `--json`, indented.
    pub(crate) fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|problem| Failure::failed(format!("failed to write JSON: {problem}")))?;
        self.data(&(text + "\n"))
    }

    /// Prints one value of an endless answer to `--json`, on a line of its own.
    pub(crate) fn json_line<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string(value)
            .map_err(|problem| Failure::failed(format!("failed to write JSON: {problem}")))?;
        self.data(&(text + "\n"))
    }

    /// Says something about what happens.
    pub(crate) fn talk(&self, text: &str) {
        self.error_text(&format!("{text}\n"));
    }

    /// Like [`Self::talk`], for what must not get lost.
    pub(crate) fn tell(&self, text: &str) -> io::Result<()> {
        io::stderr().write_all(format!("{text}\n").as_bytes())
    }

    pub(crate) fn warn(&self, text: &str) {
        let label = paint("warning:", Colour::Yellow, self.talk_colour);
        self.error_text(&format!("{label} {text}\n"));
    }

    pub(crate) fn complain(&self, complaint: &Complaint) {
        let label = paint("error:", Colour::Red, self.talk_colour);
        self.error_text(&format!("{label} {}\n", complaint.message));
        if let Some(hint) = &complaint.hint {
            let label = paint("hint:", Colour::Cyan, self.talk_colour);
            self.error_text(&format!("{label} {hint}\n"));
        }
    }

    /// Asks for a line; `None` at the end of the input.
    pub(crate) fn ask(&self, question: &str) -> io::Result<Option<String>> {
        let answer = self.ask_as_it_is(question)?;
        Ok(answer.map(|line| line.trim().to_owned()))
    }

    /// The answer with all of its white space but the line break.
    pub(crate) fn ask_as_it_is(&self, question: &str) -> io::Result<Option<String>> {
        self.error_text(&format!("{question} "));
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line)?;
        Ok((read > 0).then(|| without_line_break(&line).to_owned()))
    }

    /// Standard output and standard error, for what is handed on as it comes: whoever reads slowly keeps nothing else
    /// waiting.
    pub(crate) fn streams(&self) -> (tokio::io::Stdout, tokio::io::Stderr) {
        (tokio::io::stdout(), tokio::io::stderr())
    }

    /// Standard output, for what writes on its own.
    pub(crate) fn writer(&self) -> impl Write + use<> {
        io::stdout()
    }

    fn error_text(&self, text: &str) {
        // There is nobody left to tell that nobody listens.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// What clap has to say: help on standard output, mistakes on standard error.
pub(crate) fn usage_text(error: &clap::Error) {
    // As above; help that nobody reads is no failure either.
    let _ = error.print();
}

/// From the first line of the terminal on; the rest of each line, and all below, is cleared.
fn screen(text: &str, height: Option<usize>) -> String {
    let count = text.lines().count();
    let room = height.map_or(count, |height| height.saturating_sub(1));
    let kept = if count > room {
        room.saturating_sub(1)
    } else {
        count
    };
    let lines = text
        .lines()
        .take(kept)
        .map(|line| format!("{line}\x1b[K\n"));
    let left = count - kept;
    let more = match left {
        0 => String::new(),
        _ => format!("… {left} more lines\x1b[K\n"),
    };
    format!("\x1b[H{}{more}\x1b[J", lines.collect::<String>())
}

/// As `COLUMNS` says, or the terminal.
pub(crate) fn columns(environment: &dyn Fn(&str) -> Option<String>) -> Option<usize> {
    let told = environment("COLUMNS").and_then(|columns| columns.parse().ok());
    // Some set it to 0 where they do not know.
    told.filter(|columns| *columns > 0).or_else(terminal_width)
}

fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

fn terminal_height() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_row)).filter(|height| *height > 0)
}

/// The text without the line break that ends it.
pub(crate) fn without_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_drawn_over_the_last_one_and_never_longer_than_the_terminal() {
        let text = "a\nb\nc\n";
        let whole = "\x1b[Ha\x1b[K\nb\x1b[K\nc\x1b[K\n\x1b[J";
        assert_eq!(screen(text, None), whole);
        assert_eq!(screen(text, Some(4)), whole);
        let cut = "\x1b[Ha\x1b[K\n… 2 more lines\x1b[K\n\x1b[J";
        assert_eq!(screen(text, Some(3)), cut);
    }
}
