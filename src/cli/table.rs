//! Tables as Kontena prints them: headings in capitals, columns two blanks apart. Pure.

use super::output::Look;
use super::text::{Colour, paint, printable};

/// No column but the first is cut below this.
const MIN_CUT_WIDTH: usize = 8;
const GAP: &str = "  ";

pub(crate) struct Table {
    headings: &'static [&'static str],
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
            rows: Vec::new(),
        }
    }

    /// A row; what is missing at its end stays empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn render(&self, look: Look) -> String {
        let widths = self.widths(look.width);
        let headings: Vec<Cell> = self.headings.iter().map(Cell::from).collect();
        let mut text = line(&headings, &widths, false);
        for row in &self.rows {
            text.push_str(&line(row, &widths, look.colour));
        }
        text
    }

    /// What each column needs; where that is more than there is, the widest give way.
    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headings.iter().map(|h| h.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        let Some(room) = limit.map(|limit| limit.saturating_sub(gaps)) else {
            return widths;
        };
        while widths.iter().sum::<usize>() > room {
            let cuttable = widths.iter_mut().skip(1);
            match cuttable.max() {
                Some(width) if *width > MIN_CUT_WIDTH => *width -= 1,
                Some(_) | None => break,
            }
        }
        widths
    }
}

fn line(cells: &[Cell], widths: &[usize], colour: bool) -> String {
    let mut line = String::new();
    let last = cells.len().saturating_sub(1);
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let text = cut(&cell.text, *width);
        let padding = width.saturating_sub(text.chars().count());
        match cell.colour {
            Some(chosen) => line.push_str(&paint(&text, chosen, colour)),
            None => line.push_str(&text),
        }
        if index < last {
            line.extend(std::iter::repeat_n(' ', padding));
            line.push_str(GAP);
        }
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain(['…']).collect()
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
    fn a_narrow_terminal_cuts_the_widest_column_and_never_the_name() {
        let look = Look {
            width: Some(32),
            colour: false,
        };
        let text = example().render(look);
        expect![[r"
            NAME      STATE    PORTS
            shop/web  running  0.0.0.0:8080…
            a         failed
        "]]
        .assert_eq(&text);
        assert!(text.lines().all(|line| line.chars().count() <= 32));
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
