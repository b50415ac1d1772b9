//! The narrator: each event with the time since the demo began, and what belongs to it indented below.

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result};

/// Writes what happens, as it happens.
pub(crate) struct Teller<'a> {
    out: &'a mut dyn Write,
    start: Instant,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(out: &'a mut dyn Write) -> Self {
        Self {
            out,
            start: Instant::now(),
        }
    }

    /// One event, with the time since the demo began.
    pub(crate) fn tell(&mut self, event: &str) -> Result<()> {
        writeln!(
            self.out,
            "{:>6.1} s  {event}",
            self.start.elapsed().as_secs_f64()
        )?;
        self.out.flush().context("failed to write the story")
    }

    /// What belongs to the event before.
    pub(crate) fn detail(&mut self, text: &str) -> Result<()> {
        for line in text.lines() {
            writeln!(self.out, "          {line}")?;
        }
        self.out.flush().context("failed to write the story")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_told_with_its_times() {
        let mut out = Vec::new();
        let mut teller = Teller::new(&mut out);
        teller.tell("began").unwrap();
        teller.detail("a\nb").unwrap();
        let told = String::from_utf8(out).unwrap();
        assert_eq!(told, "   0.0 s  began\n          a\n          b\n");
    }
}
