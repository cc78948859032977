//! Runbooks: one page for each alert, whose head comes from the vocabulary and the alerts and whose rest people write.
//!
//! The head is everything up to a mark; what follows the mark is kept. A page that does not exist yet begins
//! as a skeleton with all headings, which a test refuses until somebody has filled it.

use std::fmt::Write as _;

use super::alerts::{Alert, groups, prometheus_duration};
use super::{GeneratedFile, cell};
use crate::api::vocabulary::remedy::Problem;
use crate::api::vocabulary::{ConditionMeta, ConditionType, conditions_of, spec_problems_of};
use crate::ids::Kind;

/// Where the generated head of a page ends.
pub const MARK: &str = "<!-- Written by hand from here on. -->";

/// The headings of the handwritten part about a condition, in order.
pub const CONDITION_SECTIONS: &[&str] = &[
    "What you see",
    "How Webex words it",
    "Confirm with kubectl",
    "Confirm with one Graph call",
    "Who acts",
    "Remedy",
    "Verify",
];

/// The headings of the handwritten part about the operator itself, in order.
pub const OPERATOR_SECTIONS: &[&str] = &["What it means", "Confirm", "Remedy", "Verify"];

const HEADER: &str =
    "<!-- Generated from the code by `make generate` down to the next mark. -->\n\n";

/// A page about one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runbook {
    /// Where it lives, from the root of the repository.
    pub path: String,
    /// Its generated part.
    pub head: String,
    /// The headings of its handwritten part.
    pub sections: &'static [&'static str],
    /// Every reason that has to have a heading under `Remedy`; none when it is about the operator itself.
    pub reasons: Vec<String>,
}

impl Runbook {
    /// The whole page: the head as it must be, and after it what is there already.
    #[must_use]
    pub fn with_rest_of(&self, present: &str) -> GeneratedFile {
        let rest = match present.split_once(MARK) {
            Some((_, rest)) => rest.to_owned(),
            None => self.skeleton(),
        };
        GeneratedFile {
            path: self.path.clone(),
            content: format!("{}{MARK}{rest}", self.head),
        }
    }

    fn skeleton(&self) -> String {
        let mut rest = "\n".to_owned();
        for section in self.sections {
            let _ = writeln!(rest, "\n## {section}");
            if *section == "Remedy" {
                for reason in &self.reasons {
                    let _ = writeln!(rest, "\n### {reason}");
                }
            }
        }
        rest
    }
}

/// The pages of all alerts, each once, in the order of the alerts.
#[must_use]
pub fn runbooks() -> Vec<Runbook> {
    let mut pages: Vec<Vec<Alert>> = Vec::new();
    for alert in groups().into_iter().flat_map(|group| group.alerts) {
        match pages
            .iter_mut()
            .find(|page| page[0].runbook == alert.runbook)
        {
            Some(page) => page.push(alert),
            None => pages.push(vec![alert]),
        }
    }
    pages.iter().map(|alerts| of_alerts(alerts)).collect()
}

fn of_alerts(alerts: &[Alert]) -> Runbook {
    let (kind, type_) = match alerts[0].runbook.split_once('/') {
        Some(("tenant", type_)) => (Kind::CalendarTenant, type_),
        Some(("mailbox", type_)) => (Kind::WorkspaceMailbox, type_),
        Some(_) | None => return of_the_operator(&alerts[0]),
    };
    let known = conditions_of(kind).iter();
    match known.into_iter().find(|m| m.type_.as_str() == type_) {
        Some(meta) => of_condition(alerts, meta),
        None => of_a_spec(alerts, kind),
    }
}

fn path(alert: &Alert) -> String {
    format!("docs/runbooks/{}.md", alert.runbook)
}

/// How grave an alert is and how long it waits.
fn gravity(alert: &Alert) -> String {
    let when = if alert.after.is_zero() {
        "at once".to_owned()
    } else {
        format!(
            "when it has lasted for {}",
            prometheus_duration(alert.after)
        )
    };
    format!("`{}`, {}, {when}", alert.name, alert.severity.as_str())
}

fn of_the_operator(alert: &Alert) -> Runbook {
    Runbook {
        path: path(alert),
        head: format!(
            "{HEADER}# {}\n\n{}\n\nAlert: {}. Who acts: {}.\n\n",
            alert.name,
            cell(&alert.meaning),
            gravity(alert),
            alert.acts
        ),
        sections: OPERATOR_SECTIONS,
        reasons: Vec::new(),
    }
}

fn of_a_spec(alerts: &[Alert], kind: Kind) -> Runbook {
    let text = "The object's spec cannot be used, although the API server accepted it. Nothing is looked at, every other condition is `Unknown/Blocked`, and `Ready` is False with the reason below.";
    let problems = spec_problems_of(kind);
    let table = super::conditions::problems(problems, |_| "at once");
    let title = format!("{} {}", kind.as_str(), ConditionType::Stalled);
    about_a_condition(alerts, &format!("{title}\n\n{text}"), &table, problems)
}

fn of_condition(alerts: &[Alert], meta: &ConditionMeta) -> Runbook {
    let effect = if meta.blocks_ready {
        "While it is True, the object is not `Ready`."
    } else {
        "It is a warning: the object can be `Ready` beside it."
    };
    let opening = format!(
        "{} {}\n\n{} {effect} It is False with `{}` when all is well.",
        meta.kind.as_str(),
        meta.type_,
        cell(meta.type_.docs()),
        meta.healthy
    );
    let table = super::conditions::problems(meta.problems, |reason| {
        super::conditions::stalls(meta, reason)
    });
    about_a_condition(alerts, &opening, &table, meta.problems)
}

fn about_a_condition(
    alerts: &[Alert],
    opening: &str,
    table: &str,
    problems: &[Problem],
) -> Runbook {
    let told: Vec<String> = alerts.iter().map(gravity).collect();
    let word = if told.len() == 1 { "Alert" } else { "Alerts" };
    Runbook {
        path: path(&alerts[0]),
        head: format!(
            "{HEADER}# {opening}\n\n{word}: {}. `Ready`'s message begins with the reason.\n\n{table}\n",
            told.join("; ")
        ),
        sections: CONDITION_SECTIONS,
        reasons: problems.iter().map(|p| p.reason.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_survives_a_new_head() {
        let runbook = &runbooks()[0];
        let first = runbook.with_rest_of("").content;
        for reason in &runbook.reasons {
            assert!(first.contains(&format!("\n### {reason}\n")), "{first}");
        }
        let edited = format!("old head\n{MARK}\n\nBy hand.\n");
        let second = runbook.with_rest_of(&edited).content;
        assert_eq!(second, format!("{}{MARK}\n\nBy hand.\n", runbook.head));
    }
}
