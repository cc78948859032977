//! The numbers of one scenario: a line for each measure, a column for each of those who were measured.

use std::borrow::Cow;
use std::fmt;

use crate::table::Table;

/// Whose numbers stand in a column, or under what circumstances they were taken.
pub type Column = Cow<'static, str>;

/// The operator's column.
pub const OPERATOR: &str = "operator";
/// The floor's column: the others are told as multiples of it, too.
pub const FLOOR: &str = "floor";

/// A line of the report: what is measured, and in what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    what: Cow<'static, str>,
    unit: Unit,
}

impl Measure {
    pub(crate) fn unit(&self) -> Unit {
        self.unit
    }
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Bytes, told in MiB.
    Memory,
    /// Whole things.
    Count,
    /// So many for each of something.
    Each,
}

impl Unit {
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Seconds => format!("{value:.2} s"),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Memory => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Self::Count => format!("{value:.0}"),
            Self::Each => format!("{value:.2}"),
        }
    }
}

/// A measure whose words are known.
#[must_use]
pub const fn measure(what: &'static str, unit: Unit) -> Measure {
    Measure {
        what: Cow::Borrowed(what),
        unit,
    }
}

/// A measure that is named after what was found.
#[must_use]
pub fn found(what: String, unit: Unit) -> Measure {
    Measure {
        what: Cow::Owned(what),
        unit,
    }
}

/// Numbers of all rounds.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    measure: Measure,
    values: Vec<(Column, Vec<f64>)>,
}

impl Row {
    pub(crate) fn what(&self) -> &str {
        &self.measure.what
    }

    pub(crate) fn unit(&self) -> Unit {
        self.measure.unit()
    }

    /// What stands in a column.
    pub(crate) fn of(&self, column: &str) -> Option<&[f64]> {
        let (_, values) = self.values.iter().find(|(name, _)| name == column)?;
        Some(values)
    }

    fn put(&mut self, column: &Column, value: f64) {
        match self.values.iter_mut().find(|(name, _)| name == column) {
            Some((_, values)) => values.push(value),
            None => self.values.push((column.clone(), vec![value])),
        }
    }

    fn cell(&self, column: &Column) -> String {
        let Some(values) = self.of(column) else {
            return String::new();
        };
        let shown = shown(self.unit(), values);
        match self.of_floor(column) {
            Some(ratio) if *column != FLOOR => format!("{shown}, {}", times(ratio)),
            _ => shown,
        }
    }

    /// The median in a column, times the floor's.
    fn of_floor(&self, column: &str) -> Option<f64> {
        let floor = median(self.of(FLOOR)?).filter(|floor| *floor > 0.0)?;
        Some(median(self.of(column)?)? / floor)
    }
}

/// The lines of one scenario.
#[derive(Clone, Debug, Default)]
pub struct Section {
    rows: Vec<Row>,
}

/// One column of a section.
#[derive(Debug)]
pub struct Cells<'a> {
    section: &'a mut Section,
    column: Column,
}

impl Cells<'_> {
    /// The number of this round.
    pub fn put(&mut self, measure: &Measure, value: f64) {
        self.section.row(measure).put(&self.column, value);
    }
}

impl Section {
    /// A column, to fill it.
    pub fn of(&mut self, column: impl Into<Column>) -> Cells<'_> {
        Cells {
            section: self,
            column: column.into(),
        }
    }

    /// The median of the numbers in a column.
    #[must_use]
    pub fn median(&self, column: &str, measure: &Measure) -> Option<f64> {
        median(self.values(column, measure)?)
    }

    /// The largest of the numbers in a column.
    pub(crate) fn most(&self, column: &str, measure: &Measure) -> Option<f64> {
        let values = self.values(column, measure)?;
        values.iter().copied().reduce(f64::max)
    }

    /// The operator's median, times the floor's.
    pub(crate) fn of_floor(&self, measure: &Measure) -> Option<f64> {
        self.find(measure)?.of_floor(OPERATOR)
    }

    fn values(&self, column: &str, measure: &Measure) -> Option<&[f64]> {
        self.find(measure)?.of(column)
    }

    fn find(&self, measure: &Measure) -> Option<&Row> {
        self.rows.iter().find(|row| row.measure == *measure)
    }

    /// The columns that are neither the operator's nor the floor's.
    pub(crate) fn twins(&self) -> Vec<Column> {
        let mut twins = self.columns();
        twins.retain(|column| *column != OPERATOR && *column != FLOOR);
        twins
    }

    /// All columns, in the order in which the first round filled them.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let mut columns = Vec::new();
        for (column, _) in self.rows.iter().flat_map(|row| &row.values) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        columns
    }

    /// The lines whose words were chosen beforehand; the others are details, which need not be there again.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Row> {
        let known = |row: &&Row| matches!(row.measure.what, Cow::Borrowed(_));
        self.rows.iter().filter(known)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn row(&mut self, measure: &Measure) -> &mut Row {
        let known = self.rows.iter().position(|row| row.measure == *measure);
        let at = known.unwrap_or_else(|| {
            self.rows.push(Row {
                measure: measure.clone(),
                values: Vec::new(),
            });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    pub(crate) fn table(&self, title: &str) -> Table {
        let columns = self.columns();
        let rows = self.rows.iter().map(|row| {
            let cells = columns.iter().map(|column| row.cell(column));
            std::iter::once(row.what().to_owned())
                .chain(cells)
                .collect()
        });
        let head = columns.iter().map(ToString::to_string);
        Table {
            head: std::iter::once(title.to_owned()).chain(head).collect(),
            rows: rows.collect(),
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table("").text())
    }
}

/// A ratio.
pub(crate) fn times(ratio: f64) -> String {
    format!("{ratio:.2}×")
}

/// The median, and the range when there is one.
fn shown(unit: Unit, values: &[f64]) -> String {
    let Some(middle) = median(values).map(|value| unit.show(value)) else {
        return String::new();
    };
    let ends = [f64::min, f64::max].map(|end| values.iter().copied().reduce(end));
    let [Some(least), Some(most)] = ends.map(|end| end.map(|value| unit.show(value))) else {
        return middle;
    };
    if least == most {
        return middle;
    }
    let bare = least.split(' ').next().unwrap_or_default();
    format!("{middle} ({bare} to {most})")
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (left, right) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
    Some(f64::midpoint(*sorted.get(left)?, *sorted.get(right)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    static TIME: Measure = measure("time", Unit::Seconds);

    #[test]
    fn a_row_tells_medians_ranges_and_the_ratio_of_medians() {
        let mut section = Section::default();
        for value in [3.0, 9.0, 6.0] {
            section.of(OPERATOR).put(&TIME, value);
        }
        section.of(FLOOR).put(&TIME, 2.0);
        section.of(FLOOR).put(&TIME, 4.0);
        let table = section.table("Title");
        assert_eq!(table.head, ["Title", OPERATOR, FLOOR]);
        assert_eq!(
            table.rows,
            [[
                "time",
                "6.00 s (3.00 to 9.00 s), 2.00×",
                "3.00 s (2.00 to 4.00 s)"
            ]]
        );
        assert_eq!(section.median(OPERATOR, &TIME), Some(6.0));
    }

    #[test]
    fn what_was_not_measured_stays_empty() {
        let mut section = Section::default();
        let peak = measure("peak", Unit::Memory);
        section.of(OPERATOR).put(&peak, f64::from(3 << 19));
        section.of("twin").put(&TIME, 1.0);
        let rows = section.table("Title").rows;
        assert_eq!(rows, [["peak", "1.5 MiB", ""], ["time", "", "1.00 s"]]);
        assert_eq!(median(&[]), None);
    }
}
