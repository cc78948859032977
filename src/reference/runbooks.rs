//! Runbooks: one page for each problem, whose head comes from the vocabulary and whose rest people write.
//!
//! The head is everything up to a mark; what follows the mark is kept. A page that does not exist yet begins
//! as a skeleton with all headings, which a test refuses until somebody has filled it.

use std::fmt::Write as _;

use super::{GeneratedFile, cell};
use crate::api::vocabulary::remedy::Problem;
use crate::api::vocabulary::{ConditionMeta, ConditionType, Reason, SPEC_PROBLEMS, conditions_of};
use crate::ids::Kind;

/// Where the generated head of a page ends.
pub const MARK: &str = "<!-- Written by hand from here on. -->";

/// The headings of a page's handwritten part, in order.
pub const SECTIONS: &[&str] = &[
    "What you see",
    "How Webex words it",
    "Confirm with kubectl",
    "Confirm with one Graph call",
    "Who acts",
    "Remedy",
    "Verify",
];

const HEADER: &str =
    "<!-- Generated from the code by `make generate` down to the next mark. -->\n\n";

/// A page about one problem of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runbook {
    /// Where it lives, from the root of the repository.
    pub path: String,
    /// Its generated part.
    pub head: String,
    /// Every reason that has to have a heading under `Remedy`.
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
        for section in SECTIONS {
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

/// Every runbook of a condition, tenants first, in the order of precedence.
#[must_use]
pub fn runbooks() -> Vec<Runbook> {
    [Kind::CalendarTenant, Kind::WorkspaceMailbox]
        .into_iter()
        .flat_map(|kind| {
            let of_conditions = conditions_of(kind).iter().map(of_condition);
            std::iter::once(of_a_spec(kind)).chain(of_conditions)
        })
        .collect()
}

/// The folder of a kind's pages, and the kind in the name of an alert.
const fn words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::CalendarTenant => ("tenant", "Tenant"),
        Kind::WorkspaceMailbox => ("mailbox", "Mailbox"),
    }
}

/// Where the page about a condition lives, from the root of the repository.
#[must_use]
pub fn path(kind: Kind, type_: &ConditionType) -> String {
    format!("docs/runbooks/{}/{type_}.md", words(kind).0)
}

/// The alert that fires for a condition. A type that begins with the kind's word keeps it once.
#[must_use]
pub fn alert_name(kind: Kind, type_: &ConditionType) -> String {
    let word = words(kind).1;
    let rest = type_.as_str();
    format!(
        "HybridCalendar{word}{}",
        rest.strip_prefix(word).unwrap_or(rest)
    )
}

fn of_a_spec(kind: Kind) -> Runbook {
    let text = "The object's spec cannot be used, although the API server accepted it. Nothing is looked at, every other condition is `Unknown/Blocked`, and `Ready` is False with the reason below.";
    let type_ = &ConditionType::Stalled;
    let problems = spec_problems(kind);
    let mut head = opening(kind, type_, text);
    head += &super::conditions::problems(&problems, |_| "at once");
    finished(kind, type_, head, &problems)
}

/// Only a tenant names endpoints.
fn spec_problems(kind: Kind) -> Vec<Problem> {
    SPEC_PROBLEMS
        .iter()
        .filter(|problem| {
            kind == Kind::CalendarTenant || *problem.reason != Reason::EndpointNotAllowed
        })
        .copied()
        .collect()
}

fn of_condition(meta: &ConditionMeta) -> Runbook {
    let effect = if meta.blocks_ready {
        "While it is True, the object is not `Ready`."
    } else {
        "It is a warning: the object can be `Ready` beside it."
    };
    let text = format!(
        "{} {effect} It is False with `{}` when all is well.",
        meta.type_.docs(),
        meta.healthy
    );
    let mut head = opening(meta.kind, meta.type_, &text);
    head += &super::conditions::problems(meta.problems, |reason| {
        super::conditions::stalls(meta, reason)
    });
    finished(meta.kind, meta.type_, head, meta.problems)
}

fn opening(kind: Kind, type_: &ConditionType, text: &str) -> String {
    format!(
        "{HEADER}# {} {type_}\n\n{}\n\nAlert: `{}`. `Ready`'s message begins with the reason.\n\n",
        kind.as_str(),
        cell(text),
        alert_name(kind, type_)
    )
}

fn finished(kind: Kind, type_: &ConditionType, head: String, problems: &[Problem]) -> Runbook {
    Runbook {
        path: path(kind, type_),
        head: head + "\n",
        reasons: problems.iter().map(|p| p.reason.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_names_its_kind_once() {
        let name = |kind, type_| alert_name(kind, type_);
        assert_eq!(
            name(Kind::WorkspaceMailbox, &ConditionType::MailboxNotFound),
            "HybridCalendarMailboxNotFound"
        );
        assert_eq!(
            name(Kind::WorkspaceMailbox, &ConditionType::TenantNotReady),
            "HybridCalendarMailboxTenantNotReady"
        );
        assert_eq!(
            name(Kind::CalendarTenant, &ConditionType::Unauthorized),
            "HybridCalendarTenantUnauthorized"
        );
    }

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
