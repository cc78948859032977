//! What is aimed at, each at its own size: the runs that measure it, and whether it was reached.

mod runs;

use clap::Parser as _;

use crate::options::Options;
use crate::report::{Pick, Report, Results};
use crate::section::{Measure, OPERATOR, times};
use crate::table::Table;

pub use runs::RUNS;

/// One run of the benchmark, and what is aimed at in it.
#[derive(Debug)]
pub struct Run {
    arguments: &'static str,
    aims: &'static [Aim],
}

/// A figure and its bound.
#[derive(Debug)]
struct Aim {
    what: &'static str,
    section: Pick,
    figure: Figure,
    bound: Bound,
}

/// Which of the numbers it is.
#[derive(Clone, Copy, Debug)]
enum Figure {
    /// The median in the column of this name.
    Median(&'static str, &'static Measure),
    /// The operator's largest.
    Worst(&'static Measure),
    /// The operator's median, times the floor's.
    OfFloor(&'static Measure),
    /// The smallest of the twins' medians, times the operator's.
    LeastOfTwins(&'static Measure),
}

/// The figure counts as what it is when it is shown: with two decimals.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// It is shown, and nothing is aimed at.
    Shown,
}

const fn median(measure: &'static Measure) -> Figure {
    Figure::Median(OPERATOR, measure)
}

const fn aim(what: &'static str, section: Pick, figure: Figure, bound: Bound) -> Aim {
    Aim {
        what,
        section,
        figure,
        bound,
    }
}

impl Run {
    /// What the benchmark is told.
    #[must_use]
    pub fn options(&self) -> Options {
        let words = self.arguments.split_whitespace();
        Options::parse_from(std::iter::once("bench").chain(words))
    }

    /// Its aims, and what `report` says of each: a row for each aim and number of mailboxes.
    fn rows(&self, report: Option<&Report>) -> Vec<Vec<String>> {
        let Some(report) = report else {
            return self.aims.iter().map(|aim| aim.row(None, None)).collect();
        };
        let sizes = report.results.iter();
        sizes
            .flat_map(|results| {
                let several = (report.results.len() > 1).then_some(results.mailboxes);
                let row = move |aim: &Aim| aim.row(several, Some(results));
                self.aims.iter().map(row)
            })
            .collect()
    }
}

/// What was reached, by the reports of the runs in their order; `None` where a run failed.
#[must_use]
pub fn table(reports: &[Option<Report>]) -> Table {
    let runs = RUNS.iter().zip(reports);
    let rows = runs.flat_map(|(run, report)| run.rows(report.as_ref()));
    Table {
        head: ["What is aimed at", "measured", "aim", ""]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
    }
}

impl Aim {
    fn row(&self, mailboxes: Option<u32>, results: Option<&Results>) -> Vec<String> {
        let what = match mailboxes {
            Some(mailboxes) => format!("{mailboxes} mailboxes: {}", self.what),
            None => self.what.to_owned(),
        };
        let measured = results.and_then(|results| self.figure.of(results, self.section));
        let show = |value| self.figure.show(value);
        let aim = match self.bound {
            Bound::AtMost(most) if most > 0.0 => format!("at most {}", show(most)),
            Bound::AtMost(_) => "none".to_owned(),
            Bound::AtLeast(least) => format!("at least {}", show(least)),
            Bound::Shown => String::new(),
        };
        let verdict = match measured {
            None => "not measured",
            Some(value) => self.bound.verdict(value),
        };
        let measured = measured.map(show).unwrap_or_default();
        vec![what, measured, aim, verdict.to_owned()]
    }
}

impl Figure {
    fn of(self, results: &Results, section: Pick) -> Option<f64> {
        let section = section(results);
        match self {
            Self::Median(column, measure) => section.median(column, measure),
            Self::Worst(measure) => section.most(OPERATOR, measure),
            Self::OfFloor(measure) => section.of_floor(measure),
            Self::LeastOfTwins(measure) => {
                let operator = section.median(OPERATOR, measure)?;
                let twins = section.twins().into_iter();
                twins
                    .filter_map(|twin| section.median(&twin, measure))
                    .reduce(f64::min)
                    .map(|least| least / operator)
            }
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Median(_, measure) | Self::Worst(measure) => measure.unit().show(value),
            Self::OfFloor(_) | Self::LeastOfTwins(_) => times(value),
        }
    }
}

impl Bound {
    fn verdict(self, value: f64) -> &'static str {
        let shown = (value * 100.0).round() / 100.0;
        let reached = match self {
            Self::AtMost(most) => shown <= most,
            Self::AtLeast(least) => shown >= least,
            Self::Shown => return "",
        };
        if reached { "reached" } else { "missed" }
    }
}

#[cfg(test)]
mod tests {
    use super::runs::{APPLY, COLD};
    use super::*;
    use crate::scenario::{apply, cold};
    use crate::section::FLOOR;

    fn results(mailboxes: u32) -> Results {
        let mut results = Results::of(mailboxes);
        let mut operator = results.cold.of(OPERATOR);
        operator.put(&cold::TIME, 50.0);
        operator.put(&cold::REQUESTS, 1.04);
        operator.put(&cold::STATUSES, 1.004);
        operator.put(&cold::EVENTS, 1.0);
        results.cold.of(FLOOR).put(&cold::TIME, 40.0);
        results.cold.of("a twin").put(&cold::REQUESTS, 1.0);
        results.cold.of("another").put(&cold::REQUESTS, 2.5);
        results
    }

    fn row(figure: Figure, bound: Bound) -> [String; 3] {
        let row = aim("it", COLD, figure, bound).row(None, Some(&results(10)));
        let [_, measured, aim, verdict] = row.try_into().unwrap();
        [measured, aim, verdict]
    }

    #[test]
    fn each_figure_is_held_against_its_bound() {
        let time = Figure::OfFloor(&cold::TIME);
        let at_most = |most| Bound::AtMost(most);
        assert_eq!(
            row(time, at_most(1.25)),
            ["1.25×", "at most 1.25×", "reached"]
        );
        assert_eq!(
            row(time, at_most(1.2)),
            ["1.25×", "at most 1.20×", "missed"]
        );
        assert_eq!(row(time, Bound::Shown), ["1.25×", "", ""]);
        let once = row(median(&cold::STATUSES), at_most(1.0));
        assert_eq!(once, ["1.00", "at most 1.00", "reached"], "as it is shown");
        let none = row(median(&cold::EVENTS), at_most(0.0));
        assert_eq!(none, ["1", "none", "missed"]);
        let twins = Figure::LeastOfTwins(&cold::REQUESTS);
        let ahead = row(twins, Bound::AtLeast(1.0));
        assert_eq!(ahead, ["0.96×", "at least 1.00×", "missed"]);
        let unknown = row(median(&cold::PEAK), at_most(1.0));
        assert_eq!(unknown[2], "not measured");
    }

    #[test]
    fn the_worst_counts_where_it_is_aimed_at() {
        let mut results = results(10);
        for seconds in [1.0, 3.0, 2.0] {
            results.apply.of(OPERATOR).put(&apply::SAME, seconds);
        }
        let worst = Figure::Worst(&apply::SAME).of(&results, APPLY);
        assert_eq!(worst, Some(3.0));
    }

    #[test]
    fn a_run_tells_of_each_number_of_mailboxes_and_one_that_failed_of_none() {
        static AIMS: [Aim; 1] = [aim(
            "time",
            COLD,
            Figure::OfFloor(&cold::TIME),
            Bound::Shown,
        )];
        let run = Run {
            arguments: "--mailboxes 10,20",
            aims: &AIMS,
        };
        let report = Report {
            results: vec![results(10), results(20)],
        };
        let rows = run.rows(Some(&report));
        let what: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(what, ["10 mailboxes: time", "20 mailboxes: time"]);
        assert_eq!(run.rows(None), [["time", "", "", "not measured"]]);
    }

    #[test]
    fn every_run_is_one_that_the_benchmark_understands() {
        for run in &RUNS {
            let options = Options::try_parse_from(
                std::iter::once("bench").chain(run.arguments.split_whitespace()),
            );
            assert!(options.is_ok(), "{}: {options:?}", run.arguments);
            assert!(!run.aims.is_empty(), "{}", run.arguments);
        }
    }
}
