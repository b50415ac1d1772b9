//! Lines that are kept of more than may be answered: bounded in number and size.
//!
//! Of what comes after a line, the oldest are kept, so that whoever goes on from the last of them misses none; of
//! everything else, the newest.

use std::collections::VecDeque;

use super::Range;
use crate::api::types::log::LogEntry;

/// Text of all lines together; the client refuses 64 MiB, and JSON may write a byte with six.
const MAX_BYTES: usize = 8 << 20;

pub(super) struct Kept {
    pub(super) entries: VecDeque<LogEntry>,
    bytes: usize,
    limit: usize,
    keeps_oldest: bool,
    /// The first line that was left out behind the oldest: no line from here on is kept.
    cut: Option<String>,
}

impl Kept {
    pub(super) fn new(range: &Range) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            limit: range.limit as usize,
            keeps_oldest: range.after.is_some(),
            cut: None,
        }
    }

    /// Whether nothing that comes later is kept.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Takes the next line.
    pub(super) fn extend(&mut self, entry: Option<LogEntry>) {
        let Some(entry) = entry else { return };
        match self.keeps_oldest {
            true => self.add_oldest(entry),
            false => self.add_newest(entry),
        }
    }

    fn add_newest(&mut self, entry: LogEntry) {
        self.bytes += entry.data.len();
        self.entries.push_back(entry);
        while self.entries.len() > self.limit || self.bytes > MAX_BYTES {
            let Some(oldest) = self.entries.pop_front() else {
                return;
            };
            self.bytes -= oldest.data.len();
        }
    }

    fn add_oldest(&mut self, entry: LogEntry) {
        if self.is_beyond_the_cut(&entry) {
            return;
        }
        // Who goes on from an id would miss those that share it.
        let shares_the_last = self.entries.back().is_some_and(|last| last.id == entry.id);
        let has_room = self.entries.len() < self.limit || shares_the_last;
        if has_room && self.bytes + entry.data.len() <= MAX_BYTES {
            self.bytes += entry.data.len();
            self.entries.push_back(entry);
        } else {
            self.cut_at(entry.id);
        }
    }

    /// Lines of one id are not parted, unless there are no others.
    fn cut_at(&mut self, id: String) {
        let is_at = |entry: Option<&LogEntry>| entry.is_some_and(|entry| entry.id == id);
        while is_at(self.entries.back()) && !is_at(self.entries.front()) {
            if let Some(entry) = self.entries.pop_back() {
                self.bytes -= entry.data.len();
            }
        }
        self.cut = Some(id);
    }

    fn is_beyond_the_cut(&self, entry: &LogEntry) -> bool {
        self.cut.as_ref().is_some_and(|cut| entry.id >= *cut)
    }

    /// What is kept of both.
    pub(super) fn merged(self, other: Self) -> Self {
        let mut both = Self {
            entries: VecDeque::new(),
            bytes: 0,
            cut: earlier(self.cut, other.cut),
            ..self
        };
        let mut all: Vec<LogEntry> = self.entries.into_iter().chain(other.entries).collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all.into_iter().for_each(|entry| both.extend(Some(entry)));
        both
    }
}

fn earlier(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::logs::LineId;

    fn entry(time: u64, container: &str, bytes: usize) -> LogEntry {
        LogEntry {
            id: format!("{time:020}-{container}"),
            created_at: None,
            name: container.to_owned(),
            stream: "stdout".to_owned(),
            data: "x".repeat(bytes),
            node: "alpha".to_owned(),
        }
    }

    /// The answer to `from`: of logs that are read one after the other.
    fn answer(logs: &[Vec<LogEntry>], limit: u32, after: Option<LineId>) -> Vec<LogEntry> {
        let range = Range {
            limit,
            since: None,
            after,
        };
        let mut all = Kept::new(&range);
        for log in logs {
            let mut kept = Kept::new(&range);
            let after = range.after.as_ref().map(|LineId(id)| id.clone());
            let mut lines = log
                .iter()
                .filter(|line| after.as_ref().is_none_or(|after| line.id > *after));
            while !kept.is_cut() {
                let Some(line) = lines.next() else { break };
                kept.extend(Some(line.clone()));
            }
            all = all.merged(kept);
        }
        all.entries.into()
    }

    fn log(container: &'static str) -> impl Strategy<Value = Vec<LogEntry>> {
        let lines = prop::collection::vec((0..40_u64, 0..3_usize), 0..20);
        lines.prop_map(move |mut lines| {
            lines.sort_unstable();
            let sizes = [1, 1 << 20, 3 << 20];
            let entries = lines.into_iter();
            entries
                .map(|(time, size)| {
                    entry(time, container, if time % 7 == 0 { sizes[size] } else { 1 })
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn whoever_goes_on_from_the_last_line_misses_none_and_hears_none_twice(
            one in log("one"),
            other in log("two"),
            limit in 1..8_u32,
        ) {
            // More than this at one moment would have to be parted.
            let heaviest = |log: &[LogEntry]| log.chunk_by(|a, b| a.id == b.id)
                .map(|same| same.iter().map(|line| line.data.len()).sum::<usize>())
                .max()
                .unwrap_or(0);
            prop_assume!(heaviest(&one).max(heaviest(&other)) <= MAX_BYTES);
            let mut all: Vec<LogEntry> = one.iter().chain(&other).cloned().collect();
            all.sort_by(|one, other| one.id.cmp(&other.id));
            let (logs, mut heard) = ([one, other], Vec::new());
            let mut after = LineId::parse(&format!("{:020}-!", 0));
            loop {
                let page = answer(&logs, limit, after.clone());
                let Some(last) = page.last() else { break };
                after = LineId::parse(&last.id);
                heard.extend(page);
            }
            let ids = |lines: &[LogEntry]| lines.iter().map(|line| line.id.clone()).collect::<Vec<_>>();
            prop_assert_eq!(ids(&heard), ids(&all));
        }
    }

    #[test]
    fn without_a_line_to_go_on_from_the_newest_are_kept() {
        let lines = (1..=5).map(|time| entry(time, "one", 1)).collect();
        let kept = answer(&[lines], 2, None);
        assert_eq!(kept, [entry(4, "one", 1), entry(5, "one", 1)]);
    }
}
