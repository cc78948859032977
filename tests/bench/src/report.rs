//! What was measured, by scenario, in the order in which it is told.

use jiff::Timestamp;

use crate::machine;
use crate::options::Options;
use crate::section::{OPERATOR, Section, median, times};
use crate::table::Table;

/// What was measured with one number of mailboxes.
#[derive(Clone, Debug)]
pub struct Results {
    /// How many.
    pub mailboxes: u32,
    /// The first start, next to the floor and to twins.
    pub cold: Section,
    /// The next start.
    pub restart: Section,
    /// The bare program, by the manner in which it writes.
    pub writes: Section,
    /// One more mailbox while others wait.
    pub apply: Section,
    /// Notifications at an operator with one core, by their rate.
    pub receiver: Section,
    /// The same through TLS.
    pub receiver_tls: Section,
    /// One tenant and Graph's quotas, next to what they allow.
    pub quotas: Section,
    /// Others beside a tenant that hangs, next to the same without it.
    pub sick: Section,
    /// The next copy after the end of a leader.
    pub takeover: Section,
    /// Virtual hours in which nothing happens.
    pub steady: Section,
    /// What a mailbox's status looks like in the end, for the floor to write.
    pub(crate) status: Option<serde_json::Value>,
}

impl Results {
    /// None yet.
    #[must_use]
    pub fn of(mailboxes: u32) -> Self {
        Self {
            mailboxes,
            cold: Section::default(),
            restart: Section::default(),
            writes: Section::default(),
            apply: Section::default(),
            receiver: Section::default(),
            receiver_tls: Section::default(),
            quotas: Section::default(),
            sick: Section::default(),
            takeover: Section::default(),
            steady: Section::default(),
            status: None,
        }
    }

    fn tables(&self, options: &Options) -> Vec<Table> {
        let (mailboxes, tenants) = (self.mailboxes, options.tenants);
        let spread = format!("{mailboxes} mailboxes in {tenants} tenants");
        let crowd = format!("Apply one, {mailboxes} mailboxes of one tenant in the beginning");
        let quotas = format!("Quotas, {mailboxes} mailboxes of one tenant; floor: what they allow");
        let sick = format!(
            "{spread} beside one of {} that hangs; floor: without it",
            options.sick
        );
        let sections = [
            (format!("Cold start, {spread}"), &self.cold),
            (format!("Restart, {spread}"), &self.restart),
            (format!("Status writes, {spread}"), &self.writes),
            (crowd, &self.apply),
            (format!("Receiver, {spread}"), &self.receiver),
            (format!("Receiver with TLS, {spread}"), &self.receiver_tls),
            (quotas, &self.quotas),
            (sick, &self.sick),
            (format!("Takeover, {spread}"), &self.takeover),
            (format!("Steady, {mailboxes} mailboxes"), &self.steady),
        ];
        let measured = sections
            .into_iter()
            .filter(|(_, section)| !section.is_empty());
        let mut tables: Vec<Table> = measured
            .map(|(title, section)| section.table(&title))
            .collect();
        tables.extend(self.twins());
        tables
    }

    /// How many times what the operator takes everybody else takes.
    fn twins(&self) -> Option<Table> {
        let twins = self.cold.twins();
        let mut rows = Vec::new();
        for (name, section) in [("cold start", &self.cold), ("restart", &self.restart)] {
            for row in section.known() {
                let of = |column: &str| median(row.of(column)?);
                let Some(operator) = of(OPERATOR).filter(|value| *value > 0.0) else {
                    continue;
                };
                let ratios = twins
                    .iter()
                    .map(|twin| of(twin).map(|it| times(it / operator)));
                let cells: Vec<String> = ratios.map(Option::unwrap_or_default).collect();
                if cells.iter().any(|cell| !cell.is_empty()) {
                    rows.push([vec![format!("{name}: {}", row.what())], cells].concat());
                }
            }
        }
        let head = twins.iter().map(ToString::to_string);
        let title = "Twins, times what the operator takes".to_owned();
        let table = Table {
            head: std::iter::once(title).chain(head).collect(),
            rows,
        };
        (!twins.is_empty()).then_some(table)
    }
}

/// One of the sections.
pub(crate) type Pick = fn(&Results) -> &Section;

/// Everything, by the number of mailboxes.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which they were measured.
    pub results: Vec<Results>,
}

impl Report {
    /// One table for each scenario that was measured, and one that sets numbers of mailboxes side by side.
    #[must_use]
    pub fn tables(&self, options: &Options) -> Vec<Table> {
        let each = self.results.iter();
        let mut tables: Vec<Table> = each.flat_map(|one| one.tables(options)).collect();
        tables.extend(self.by_size());
        tables
    }

    /// The operator's medians.
    fn by_size(&self) -> Option<Table> {
        let [first, _, ..] = self.results.as_slice() else {
            return None;
        };
        let picks: [(&str, Pick); 2] =
            [("cold start", |of| &of.cold), ("restart", |of| &of.restart)];
        let mut rows = Vec::new();
        for (name, pick) in picks {
            for row in pick(first).known().filter(|row| row.of(OPERATOR).is_some()) {
                let mut cells = vec![format!("{name}: {}", row.what())];
                cells.extend(self.results.iter().map(|one| {
                    let same = pick(one).known().find(|other| other.what() == row.what());
                    let value = same.and_then(|other| median(other.of(OPERATOR)?));
                    value.map_or_else(String::new, |value| row.unit().show(value))
                }));
                rows.push(cells);
            }
        }
        let sizes = self.results.iter().map(|one| one.mailboxes.to_string());
        Some(Table {
            rows,
            head: std::iter::once("By number of mailboxes".to_owned())
                .chain(sizes)
                .collect(),
        })
    }

    /// On what, when and how it was measured.
    #[must_use]
    pub fn circumstances(options: &Options, now: Timestamp) -> String {
        let date = now.strftime("%Y-%m-%d");
        format!(
            "{date}, {}; medians of {} (least to most); {} ms of latency for each call to Graph; the operator works on {} at once, the floor on {}; × is how many times the floor's.",
            machine::description(),
            options.repeat,
            options.latency,
            options.concurrency.map_or_else(
                || "as many as it does by default".to_owned(),
                |n| n.to_string()
            ),
            options.floor_concurrency,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::{FLOOR, Measure, Unit, measure};

    static TIME: Measure = measure("time", Unit::Seconds);

    fn results(mailboxes: u32, seconds: f64) -> Results {
        let mut results = Results::of(mailboxes);
        results.cold.of(OPERATOR).put(&TIME, seconds);
        results
    }

    #[test]
    fn twins_are_compared_with_the_operator() {
        let mut results = results(10, 2.0);
        assert_eq!(results.twins(), None, "there are none");
        results.cold.of(FLOOR).put(&TIME, 1.0);
        results.cold.of("twin").put(&TIME, 5.0);
        let table = results.twins().unwrap();
        assert_eq!(table.head[1..], ["twin"]);
        assert_eq!(table.rows, [["cold start: time", "2.50×"]]);
    }

    #[test]
    fn numbers_of_mailboxes_stand_side_by_side() {
        let mut report = Report {
            results: vec![results(1000, 2.0)],
        };
        assert_eq!(report.by_size(), None, "there is only one");
        report.results.push(results(10_000, 20.0));
        let table = report.by_size().unwrap();
        assert_eq!(table.head[1..], ["1000", "10000"]);
        assert_eq!(table.rows, [["cold start: time", "2.00 s", "20.00 s"]]);
    }
}
