//! What was measured, by scenario, in the order in which it is told.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::machine;
use crate::options::{Options, Scenario};
use crate::table::Table;

/// A line of the report: what is measured, and in what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    what: Cow<'static, str>,
    unit: Unit,
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
    fn show(self, value: f64) -> String {
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
struct Row {
    measure: Measure,
    operator: Vec<f64>,
    floor: Vec<f64>,
}

/// The lines of one scenario.
#[derive(Clone, Debug, Default)]
pub struct Section {
    rows: Vec<Row>,
}

impl Section {
    /// The operator's number in this round.
    pub fn operator(&mut self, measure: &Measure, value: f64) {
        self.row(measure).operator.push(value);
    }

    /// The floor's number in this round.
    pub fn floor(&mut self, measure: &Measure, value: f64) {
        self.row(measure).floor.push(value);
    }

    /// The median of the operator's numbers.
    #[must_use]
    pub fn median(&self, measure: &Measure) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.measure == *measure)?;
        median(&row.operator)
    }

    fn row(&mut self, measure: &Measure) -> &mut Row {
        let known = self.rows.iter().position(|row| row.measure == *measure);
        let at = known.unwrap_or_else(|| {
            self.rows.push(Row {
                measure: measure.clone(),
                operator: Vec::new(),
                floor: Vec::new(),
            });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    fn table(&self, title: &str) -> Table {
        let rows = self.rows.iter().map(|row| {
            let ratio = match (median(&row.operator), median(&row.floor)) {
                (Some(operator), Some(floor)) if floor > 0.0 => format!("{:.2}", operator / floor),
                _ => String::new(),
            };
            let unit = row.measure.unit;
            vec![
                row.measure.what.to_string(),
                shown(unit, &row.operator),
                shown(unit, &row.floor),
                ratio,
            ]
        });
        Table {
            head: [title, "operator", "floor", "ratio"]
                .map(str::to_owned)
                .to_vec(),
            rows: rows.collect(),
        }
    }
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

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (left, right) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
    Some(f64::midpoint(*sorted.get(left)?, *sorted.get(right)?))
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The first start, next to the floor.
    pub cold: Section,
    /// The next start.
    pub restart: Section,
    /// One more mailbox while others wait.
    pub apply: Section,
    /// What a mailbox's status looks like in the end, for the floor to write.
    pub(crate) status: Option<serde_json::Value>,
}

impl Report {
    /// One table for each scenario that was measured.
    #[must_use]
    pub fn tables(&self, options: &Options) -> Vec<Table> {
        let (mailboxes, tenants) = (options.mailboxes, options.tenants);
        let crowd = format!("Apply one, {mailboxes} mailboxes of one tenant in the beginning");
        let spread = format!("{mailboxes} mailboxes in {tenants} tenants");
        let sections = [
            (Scenario::Cold, format!("Cold start, {spread}"), &self.cold),
            (
                Scenario::Restart,
                format!("Restart, {spread}"),
                &self.restart,
            ),
            (Scenario::Apply, crowd, &self.apply),
        ];
        sections
            .into_iter()
            .filter(|(scenario, _, section)| options.has(*scenario) && !section.rows.is_empty())
            .map(|(_, title, section)| section.table(&title))
            .collect()
    }

    /// On what, when and how it was measured.
    #[must_use]
    pub fn circumstances(options: &Options, now: Timestamp) -> String {
        let date = now.strftime("%Y-%m-%d");
        format!(
            "{date}, {}; medians of {} (least to most); {} ms of latency for each call to Graph; {} at once.",
            machine::description(),
            options.repeat,
            options.latency,
            options.concurrency,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TIME: Measure = measure("time", Unit::Seconds);

    #[test]
    fn a_row_tells_medians_ranges_and_the_ratio_of_medians() {
        let mut section = Section::default();
        for value in [3.0, 9.0, 6.0] {
            section.operator(&TIME, value);
        }
        section.floor(&TIME, 2.0);
        section.floor(&TIME, 4.0);
        assert_eq!(
            section.table("Title").rows,
            [[
                "time",
                "6.00 s (3.00 to 9.00 s)",
                "3.00 s (2.00 to 4.00 s)",
                "2.00"
            ]]
        );
        assert_eq!(section.median(&TIME), Some(6.0));
    }

    #[test]
    fn what_was_not_measured_stays_empty() {
        let mut section = Section::default();
        let peak = measure("peak", Unit::Memory);
        section.operator(&peak, f64::from(3 << 19));
        assert_eq!(section.table("Title").rows, [["peak", "1.5 MiB", "", ""]]);
        assert_eq!(median(&[]), None);
    }
}
