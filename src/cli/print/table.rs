//! Tables for people: columns as wide as what is in them, counted in cells of the terminal.

use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::safe::shown;

/// The widest that a cell gets, but for those of the last column; what is longer is cut. `--json` has it in full.
const MAX_WIDTH: usize = 64;
/// Between two columns.
const GAP: usize = 2;

/// A table that is written as its rows come. Columns only ever get wider, so that later pages line up with earlier ones
/// as far as they can.
pub(in crate::cli) struct Table {
    headers: &'static [&'static str],
    widths: Vec<usize>,
    begun: bool,
}

impl Table {
    /// A table with these headers.
    pub(in crate::cli) fn new(headers: &'static [&'static str]) -> Self {
        Self { headers, widths: headers.iter().map(|header| header.width()).collect(), begun: false }
    }

    /// Writes rows, after the headers if they were not written yet. Cells are made safe for the terminal here.
    pub(in crate::cli) fn rows(&mut self, rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| self.safe(row)).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        if !std::mem::replace(&mut self.begun, true) {
            let headers: Vec<_> = self.headers.iter().map(|header| (*header).to_owned()).collect();
            writeln!(out, "{}", self.line(&headers))?;
        }
        rows.iter().try_for_each(|row| writeln!(out, "{}", self.line(row)))
    }

    fn safe(&self, row: &[String]) -> Vec<String> {
        let last = self.headers.len().saturating_sub(1);
        let cell =
            |(index, cell): (usize, &String)| if index < last { cut(&shown(cell)) } else { shown(cell) };
        row.iter().enumerate().map(cell).collect()
    }

    fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&self.widths) {
            line.push_str(cell);
            let padding = width.saturating_sub(cell.width()) + GAP;
            line.extend(std::iter::repeat_n(' ', padding));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// At most [`MAX_WIDTH`] cells of the text, the last one an ellipsis if there was more.
fn cut(text: &str) -> String {
    if text.width() <= MAX_WIDTH {
        return text.to_owned();
    }
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or_default();
        used < MAX_WIDTH
    };
    text.chars().take_while(fits).chain(std::iter::once('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pages: &[&[[&str; 2]]]) -> String {
        let (mut table, mut out) = (Table::new(&["NAME", "DEVICE"]), Vec::new());
        for page in pages {
            let rows: Vec<_> = page.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
            table.rows(&rows, &mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_fit_their_contents_in_cells_of_the_terminal() {
        let page: &[_] = &[["ada", "phone"], ["電話", "x"], ["e\u{301}ve", "\u{1b}[2J"]];
        let expected = "NAME  DEVICE\nada   phone\n電話  x\ne\u{301}ve   \\u{1b}[2J\n";
        assert_eq!(written(&[page]), expected);
    }

    #[test]
    fn later_pages_line_up_and_headers_come_once() {
        let pages: [&[_]; 2] = [&[["somebody", "a"]], &[["ada", "b"]]];
        assert_eq!(written(&pages), "NAME      DEVICE\nsomebody  a\nada       b\n");
        assert_eq!(written(&[&[]]), "NAME  DEVICE\n", "an empty list still says what it would list");
    }

    #[test]
    fn long_cells_are_cut_by_their_width() {
        let cell = cut(&"話".repeat(100));
        assert_eq!((cell.width(), cell.ends_with('…')), (63, true));
        assert_eq!(cut(&"x".repeat(MAX_WIDTH)), "x".repeat(MAX_WIDTH));
        assert_eq!(cut(&"x".repeat(MAX_WIDTH + 1)).width(), MAX_WIDTH);
    }
}
