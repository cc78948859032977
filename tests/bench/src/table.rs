//! A table for a terminal and for a page.

/// Rows of text; the first column is words, the others are numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns; the first names the table.
    pub head: Vec<String>,
    /// Each as long as the head.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Aligned with spaces.
    #[must_use]
    pub fn text(&self) -> String {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| {
            all()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let padded = |(column, cell): (usize, &String)| {
            let width = widths[column];
            match column {
                0 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            }
        };
        let lines = all().map(|row| {
            let cells: Vec<String> = row.iter().enumerate().map(padded).collect();
            cells.join("  ").trim_end().to_owned() + "\n"
        });
        lines.collect()
    }

    /// As Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
        let mut rule = vec!["---:"; self.head.len()];
        rule[0] = "---";
        let rule = format!("| {} |\n", rule.join(" | "));
        let rows: String = self.rows.iter().map(line).collect();
        line(&self.head) + &rule + &rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        Table {
            head: row(["What", "a", "floor"]),
            rows: vec![row(["writes", "10", "1"]), row(["x", "2×", ""])],
        }
    }

    #[test]
    fn numbers_stand_below_each_other() {
        let expected = "What     a  floor\nwrites  10      1\nx       2×\n";
        assert_eq!(table().text(), expected);
    }

    #[test]
    fn markdown_has_the_same_cells() {
        let expected =
            "| What | a | floor |\n| --- | ---: | ---: |\n| writes | 10 | 1 |\n| x | 2× |  |\n";
        assert_eq!(table().markdown(), expected);
    }
}
