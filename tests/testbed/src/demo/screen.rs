//! What the demo prints, and the one place that prints. On a terminal the table is drawn again in its place.

#![expect(clippy::print_stdout, reason = "the demo talks to a person")]

use std::io::{IsTerminal as _, stdout};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::termios::tcgetwinsize;

/// A terminal, or a file.
#[derive(Debug)]
pub(crate) struct Screen {
    /// Rows and columns of a terminal.
    size: Option<(usize, usize)>,
    /// Lines of the table that can be drawn over.
    drawn: AtomicUsize,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let size = stdout().is_terminal().then(|| tcgetwinsize(stdout()));
        Self {
            size: size
                .and_then(Result::ok)
                .map(|size| (size.ws_row.into(), size.ws_col.into())),
            drawn: AtomicUsize::new(0),
        }
    }

    /// Prints a line below everything.
    pub(crate) fn line(&self, text: &str) {
        self.drawn.store(0, Ordering::Relaxed);
        println!("{text}");
    }

    /// Draws a table that will be drawn again, where there is room for that.
    pub(crate) fn draft(&self, rows: &[Vec<String>]) {
        let Some((height, width)) = self.size else {
            return;
        };
        if rows.len() < height {
            let lines = aligned(rows);
            let cut = |line: &String| line.chars().take(width).collect();
            self.draw(&lines.iter().map(cut).collect::<Vec<String>>());
        }
    }

    /// Draws a table for good, over its draft.
    pub(crate) fn table(&self, rows: &[Vec<String>]) {
        self.draw(&aligned(rows));
        self.drawn.store(0, Ordering::Relaxed);
    }

    fn draw(&self, lines: &[String]) {
        let before = self.drawn.swap(lines.len(), Ordering::Relaxed);
        if before > 0 {
            print!("\x1b[{before}A\x1b[J");
        }
        for line in lines {
            println!("{line}");
        }
    }
}

/// Columns as wide as their widest cell.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            line.join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let lines = aligned(&[row(["a", "b"]), row(["long", "c"])]);
        assert_eq!(lines, ["a     b", "long  c"]);
    }
}
