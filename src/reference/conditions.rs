//! The page of conditions and reasons, from the vocabulary alone.

use std::fmt::Write as _;

use super::cell;
use crate::api::vocabulary::remedy::Problem;
use crate::api::vocabulary::{
    ConditionMeta, ConditionType, MAILBOX, NEUTRAL, Reason, SPEC_PROBLEMS, TENANT,
};
use crate::domain::conditions::{StallRule, stall_rule};

const INTRODUCTION: &str = "\
# Conditions

Every object says in `status.conditions` what was looked at and what was found. `Ready` is the summary; every other
condition is named after a problem: **True means that the problem exists**, False that it was looked at and is not
there, Unknown that it could not be found out. `Ready.reason` is the type of the first blocking problem, in the order
of this page, and its message begins with that condition's reason.

What comes first blocks what depends on it: the later conditions are then `Unknown` with the reason `Blocked`, so that
one wrong address raises one alarm.

The last column says when `Stalled` is set, which means that only a person can end the problem: some also occur while
Microsoft spreads a change, or while manifests arrive in any order, and get ten minutes.

The word \"Unauthorized\" in Webex is not an HTTP 401: there it means `MailboxNotFound` or `DomainMismatch`. See
[troubleshooting](../troubleshooting.md).
";

/// The whole page.
pub(super) fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += "\n## Of both kinds\n\n| Type | Meaning |\n| --- | --- |\n";
    for type_ in [
        ConditionType::Ready,
        ConditionType::Reconciling,
        ConditionType::Stalled,
    ] {
        let _ = writeln!(page, "| `{type_}` | {} |", cell(type_.docs()));
    }
    page += "\nA spec that cannot be used makes `Stalled` True at once, and nothing else is looked at:\n\n";
    page += &problems(SPEC_PROBLEMS, |_| "at once");
    section(&mut page, "CalendarTenant", TENANT);
    section(&mut page, "WorkspaceMailbox", MAILBOX);
    page += "\n## Reasons that name no problem\n\n| Reason | Meaning |\n| --- | --- |\n";
    let healthy = [TENANT, MAILBOX].concat();
    let mut listed = Vec::new();
    for reason in NEUTRAL
        .iter()
        .chain(healthy.iter().map(|meta| meta.healthy))
    {
        if !listed.contains(&reason) {
            let _ = writeln!(page, "| `{reason}` | {} |", cell(reason.docs()));
            listed.push(reason);
        }
    }
    page
}

fn section(page: &mut String, kind: &str, conditions: &[ConditionMeta]) {
    let _ = writeln!(page, "\n## {kind}");
    for meta in conditions {
        let _ = writeln!(page, "\n### {kind} {}\n", meta.type_);
        let effect = if meta.blocks_ready {
            "While it is True, the object is not `Ready`."
        } else {
            "A warning: the object can be `Ready` beside it."
        };
        let _ = writeln!(
            page,
            "{} {effect} False with `{}` when all is well.\n",
            meta.type_.docs(),
            meta.healthy
        );
        *page += &problems(meta.problems, |reason| stalls(meta, reason));
    }
}

/// When only a person can end it: what `Stalled` says.
pub(super) fn stalls(meta: &ConditionMeta, reason: &Reason) -> &'static str {
    if !meta.blocks_ready {
        return "";
    }
    match stall_rule(meta.type_, reason) {
        StallRule::AtOnce => "at once",
        StallRule::AfterPatience => "after 10 minutes",
        StallRule::Never => "never",
    }
}

/// The table of what a condition can be True for.
pub(super) fn problems(problems: &[Problem], stalls: impl Fn(&Reason) -> &'static str) -> String {
    let mut table =
        "| Reason | Cause | Who acts | Remedy | `Stalled` |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for problem in problems {
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} | {} |",
            problem.reason,
            cell(problem.cause),
            problem.acts.as_str(),
            cell(problem.remedy),
            stalls(problem.reason)
        );
    }
    table
}
