//! Tables as Kontena prints them: headings in capitals, columns two blanks apart. Where a terminal is too narrow for
//! that, a row takes several lines. Pure.

mod wrap;

use super::output::Look;
use super::text::{Colour, paint, printable, width};

/// What a name has, and another column, as long as there is room for the longest words of the others.
const NAME_WIDTH: usize = 24;
const COLUMN_WIDTH: usize = 16;
const MIN_WIDTH: usize = 4;
/// What an address of IPv4 with its port has, with room for one that is written a little longer.
const ADDRESS_WIDTH: usize = 23;
/// What of a cell is shown in so many lines; names are shown whole.
const MAX_LINES: usize = 5;
const GAP: &str = "  ";

pub(crate) struct Table {
    headings: &'static [&'static str],
    /// A column of addresses, which are broken last.
    addresses: Option<usize>,
    rows: Vec<Vec<Cell>>,
}

/// The text of a cell, and how it stands out on a terminal.
pub(crate) struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    pub(crate) fn coloured(text: impl AsRef<str>, colour: Option<Colour>) -> Self {
        Self {
            text: printable(text.as_ref()),
            colour,
        }
    }

    fn lines(&self, columns: usize, is_name: bool) -> Vec<String> {
        let lines = wrap::lines(&self.text, columns);
        match is_name {
            true => lines,
            false => wrap::first(lines, MAX_LINES, columns),
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::coloured(text, None)
    }
}

impl Table {
    pub(crate) fn new(headings: &'static [&'static str]) -> Self {
        Self {
            headings,
            addresses: None,
            rows: Vec::new(),
        }
    }

    /// The column with this heading has addresses: whoever copies one wants it in one piece.
    pub(crate) fn with_addresses(mut self, heading: &str) -> Self {
        self.addresses = self.headings.iter().position(|other| *other == heading);
        self
    }

    /// A row; what is missing at its end stays empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn render(&self, look: Look) -> String {
        let widths = self.widths(look.width);
        let headings: Vec<Cell> = self.headings.iter().map(Cell::from).collect();
        let mut text = row(&headings, &widths, false);
        for cells in &self.rows {
            text.push_str(&row(cells, &widths, look.colour));
        }
        text
    }

    /// What each column needs; where that is more than there is, the widest give way, names last.
    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths = self.widest(width);
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        let Some(room) = limit.map(|limit| limit.saturating_sub(gaps)) else {
            return widths;
        };
        for least in self.concessions() {
            shrink(&mut widths, &least, room);
        }
        widths
    }

    /// How narrow each column may be, from the first thing that is given up to the last.
    fn concessions(&self) -> [Vec<usize>; 7] {
        let words = self.widest(wrap::longest_piece).into_iter();
        let words: Vec<usize> = words
            .enumerate()
            .map(|(column, word)| match self.addresses == Some(column) {
                true => word.min(ADDRESS_WIDTH),
                false => word.min(COLUMN_WIDTH),
            })
            .collect();
        let headings = self.headings.iter().copied().map(wrap::longest_piece);
        let headings: Vec<usize> = headings.map(|heading| heading.max(MIN_WIDTH)).collect();
        let with_addresses = |mut widths: Vec<usize>| {
            if let Some(column) = self.addresses {
                widths[column] = widths[column].max(words[column]);
            }
            widths
        };
        let others = with_addresses(vec![COLUMN_WIDTH; words.len()]);
        [
            with_name(usize::MAX, &others),
            with_name(NAME_WIDTH, &others),
            with_name(NAME_WIDTH, &words),
            words.clone(),
            with_addresses(headings.clone()),
            headings,
            vec![MIN_WIDTH; others.len()],
        ]
    }

    /// The greatest measure of each column.
    fn widest(&self, measure: fn(&str) -> usize) -> Vec<usize> {
        let mut widest: Vec<usize> = self.headings.iter().copied().map(measure).collect();
        for row in &self.rows {
            for (column, cell) in widest.iter_mut().zip(row) {
                *column = (*column).max(measure(&cell.text));
            }
        }
        widest
    }
}

fn with_name(name: usize, others: &[usize]) -> Vec<usize> {
    let others = others.iter().skip(1).copied();
    [name].into_iter().chain(others).collect()
}

/// Takes from the widest until all fit, or each is as narrow as it may be.
fn shrink(widths: &mut [usize], least: &[usize], room: usize) {
    while widths.iter().sum::<usize>() > room {
        let columns = widths.iter_mut().zip(least);
        let wide = columns.filter(|(width, least)| **width > **least);
        let Some((width, _)) = wide.max_by_key(|(width, _)| **width) else {
            return;
        };
        *width -= 1;
    }
}

/// A row of as many lines as its longest cell.
fn row(cells: &[Cell], widths: &[usize], colour: bool) -> String {
    let wrapped: Vec<Vec<String>> = cells
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(index, (cell, width))| cell.lines(*width, index == 0))
        .collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
    let line = |at: usize| {
        let texts = wrapped
            .iter()
            .map(|lines| lines.get(at).map_or("", String::as_str));
        line(cells.iter().zip(texts), widths, colour)
    };
    (0..height).map(line).collect()
}

fn line<'a>(
    cells: impl Iterator<Item = (&'a Cell, &'a str)>,
    widths: &[usize],
    colour: bool,
) -> String {
    let mut line = String::new();
    for ((cell, text), column) in cells.zip(widths) {
        let padding = column.saturating_sub(width(text)) + GAP.len();
        match cell.colour.filter(|_| !text.is_empty()) {
            Some(chosen) => line.push_str(&paint(text, chosen, colour)),
            None => line.push_str(text),
        }
        line.extend(std::iter::repeat_n(' ', padding));
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn example() -> Table {
        let mut table = Table::new(&["NAME", "STATE", "PORTS"]);
        table.row([
            "shop/web".into(),
            "running".into(),
            "0.0.0.0:8080->80/tcp".into(),
        ]);
        table.row([
            "a".into(),
            Cell::coloured("failed", Some(Colour::Red)),
            "".into(),
        ]);
        table
    }

    #[test]
    fn columns_stand_under_their_headings() {
        expect![[r"
            NAME      STATE    PORTS
            shop/web  running  0.0.0.0:8080->80/tcp
            a         failed
        "]]
        .assert_eq(&example().render(Look::PLAIN));
    }

    #[test]
    fn on_a_narrow_terminal_the_widest_column_takes_several_lines() {
        let look = Look {
            width: Some(36),
            colour: false,
        };
        expect![[r"
            NAME      STATE    PORTS
            shop/web  running  0.0.0.0:8080->80/
                               tcp
            a         failed
        "]]
        .assert_eq(&example().render(look));
    }

    #[test]
    fn addresses_are_broken_last() {
        let mut table = Table::new(&["NAME", "ADDRESS", "STORY"]).with_addresses("ADDRESS");
        let name = "a-name-of-many-words";
        let address = "255.255.255.255:65535";
        table.row([name.into(), address.into(), "word ".repeat(9).into()]);
        let rendered = |columns| {
            table.render(Look {
                width: Some(columns),
                colour: false,
            })
        };
        for columns in 35..100 {
            let text = rendered(columns);
            assert!(text.contains(address), "{columns}: {text}");
            let is_narrow = text.lines().all(|line| width(line) <= columns);
            assert!(is_narrow, "{columns}: {text}");
        }
        assert!(rendered(30).lines().all(|line| width(line) <= 30));
    }

    #[test]
    fn a_name_is_shown_to_its_end_and_a_long_story_is_not() {
        let mut table = Table::new(&["NAME", "REASON"]);
        let name = "a-name-of-many-words-that-does-not-end";
        table.row([name.into(), "no ".repeat(40).into()]);
        let look = Look {
            width: Some(20),
            colour: false,
        };
        let text = table.render(look);
        let names: String = text
            .lines()
            .skip(1)
            .map(|line| line.split("  ").next().unwrap())
            .collect();
        assert_eq!(names, name, "{text}");
        assert!(text.contains('…'), "{text}");
        assert!(text.lines().all(|line| width(line) <= 20), "{text}");
    }

    #[test]
    fn wide_characters_take_two_columns_and_accents_none() {
        let mut table = Table::new(&["NAME", "LABELS", "AGE"]);
        for (name, labels) in [
            ("a", "東京=データセンター"),
            ("b", "e\u{301}te\u{301}"),
            ("c", "\u{1f469}\u{200d}\u{1f680}=yes"),
            ("d", "مركز=البيانات"),
        ] {
            table.row([name.into(), labels.into(), "3 d".into()]);
        }
        let wide = table.render(Look::PLAIN);
        let before_age = |line: &str| {
            line.trim_end_matches("3 d")
                .trim_end_matches("AGE")
                .to_owned()
        };
        let columns: Vec<usize> = wide.lines().map(|line| width(&before_age(line))).collect();
        assert_eq!(columns, [27; 5], "{wide}");

        let look = Look {
            width: Some(24),
            colour: false,
        };
        let narrow = table.render(look);
        assert!(narrow.contains("データ"), "{narrow}");
        assert!(!narrow.contains('…'), "{narrow}");
        assert!(narrow.lines().all(|line| width(line) <= 24), "{narrow}");
    }

    #[test]
    fn no_terminal_is_too_narrow() {
        for columns in 1..40 {
            let look = Look {
                width: Some(columns),
                colour: false,
            };
            assert!(example().render(look).starts_with("NAME"), "{columns}");
        }
    }

    #[test]
    fn colour_does_not_move_columns() {
        let look = Look {
            width: None,
            colour: true,
        };
        let text = example().render(look);
        assert!(
            text.contains("a         \x1b[31mfailed\x1b[0m\n"),
            "{text:?}"
        );
    }
}
