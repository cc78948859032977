//! The alerts of conditions, from the vocabulary alone.
//!
//! With `--metrics-detail=object` there is one for each object; with `tenant`, where those series are missing, one for
//! each tenant that counts them.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Alert, BRIDGE, PREFIX, microsoft};
use crate::api::vocabulary::remedy::{Actor, Problem};
use crate::api::vocabulary::severity::Severity;
use crate::api::vocabulary::{
    ConditionMeta, ConditionType, MAILBOX, Reason, SPEC_PROBLEMS, TENANT,
};
use crate::domain::tenant::credential::denies_token;
use crate::ids::Kind;

/// Those of a tenant, in order of precedence.
pub(super) fn of_tenants() -> Vec<Alert> {
    alerts(Kind::CalendarTenant, TENANT)
}

/// Those of a mailbox, in order of precedence.
pub(super) fn of_mailboxes() -> Vec<Alert> {
    alerts(Kind::WorkspaceMailbox, MAILBOX)
}

fn alerts(kind: Kind, conditions: &[ConditionMeta]) -> Vec<Alert> {
    let stalled = ConditionMeta {
        type_: &ConditionType::Stalled,
        kind,
        blocks_ready: true,
        severity: Severity::Warning,
        explained_by: &[],
        problems: SPEC_PROBLEMS,
        healthy: &Reason::NotApplicable,
    };
    let every = [&[stalled], conditions].concat();
    every.iter().map(alert).collect()
}

fn alert(meta: &ConditionMeta) -> Alert {
    let (word, folder) = match meta.kind {
        Kind::CalendarTenant => ("Tenant", "tenant"),
        Kind::WorkspaceMailbox => ("Mailbox", "mailbox"),
    };
    let type_ = meta.type_.as_str();
    let rest = type_.strip_prefix(word).unwrap_or(type_);
    Alert {
        name: format!("{PREFIX}{word}{rest}"),
        severity: meta.severity,
        expression: expression(meta),
        after: match meta.severity {
            Severity::Critical => Duration::from_mins(5),
            Severity::Warning => Duration::from_mins(15),
            Severity::Info => Duration::from_hours(1),
        },
        keep: BRIDGE,
        summary: format!("{}: {type_}", subject(meta.kind)),
        description: description(meta),
        meaning: meaning(meta).to_owned(),
        acts: actors(meta.problems),
        runbook: format!("{folder}/{type_}"),
    }
}

fn meaning(meta: &ConditionMeta) -> &'static str {
    if *meta.type_ == ConditionType::Stalled {
        return "The spec cannot be used, so that nothing is looked at.";
    }
    meta.type_.docs()
}

/// Whom the alert is about, for Prometheus to fill in.
fn subject(kind: Kind) -> String {
    match kind {
        Kind::CalendarTenant => format!("{} {{{{ $labels.tenant }}}}", kind.as_str()),
        Kind::WorkspaceMailbox => format!(
            "{{{{ if $labels.name }}}}{0} {{{{ $labels.namespace }}}}/{{{{ $labels.name }}}}\
             {{{{ else }}}}{{{{ $value }}}} {0} of tenant {{{{ $labels.tenant }}}}{{{{ end }}}}",
            kind.as_str()
        ),
    }
}

fn expression(meta: &ConditionMeta) -> String {
    let selector = format!("kind=\"{}\", type=\"{}\"", meta.kind.as_str(), meta.type_);
    let mut expression = format!(
        "(\n  max by (kind, namespace, name, tenant) (hybridcalendar_condition{{{selector}}})\n\
         or\n  sum by (kind, tenant) (hybridcalendar_conditions{{{selector}, status=\"True\"}})\n  \
         unless on (tenant) hybridcalendar_condition{{{selector}}}\n)"
    );
    if !meta.explained_by.is_empty() {
        let causes: Vec<&str> = meta.explained_by.iter().map(|t| t.as_str()).collect();
        let _ = write!(
            expression,
            "\nunless on (tenant) {}\nunless on (tenant) {}",
            tenant_has(meta.type_, &causes),
            tenant_rests()
        );
    }
    if *meta.type_ == ConditionType::CredentialExpiring {
        let _ = write!(
            expression,
            "\nunless on (tenant) {} < {}",
            microsoft::CREDENTIAL_LEFT,
            microsoft::CREDENTIAL_ENDS_SOON
        );
    }
    expression
}

/// Tenants with one of these problems, which explain a condition of their mailboxes.
fn tenant_has(explained: &ConditionType, types: &[&str]) -> String {
    // A permission that is missing is missed at each mailbox, too: what these call `Unauthorized` is told once.
    let by_reason = types.contains(&ConditionType::Unauthorized.as_str())
        && *explained != ConditionType::Unauthorized;
    let reasons = by_reason.then(|| format!("{}, ", no_token()));
    format!(
        "hybridcalendar_conditions{{kind=\"CalendarTenant\", type=~\"{}\", {}status=\"True\"}}",
        types.join("|"),
        reasons.unwrap_or_default()
    )
}

/// Selects, of a tenant's `Unauthorized`, the reasons for which there is no token at all: with the others the operator
/// goes on working, and what goes wrong beside them has causes of its own.
pub(super) fn no_token() -> String {
    let unauthorized = TENANT
        .iter()
        .filter(|meta| *meta.type_ == ConditionType::Unauthorized);
    let usable: Vec<&str> = unauthorized
        .flat_map(|meta| meta.problems)
        .map(|problem| problem.reason)
        .filter(|reason| !denies_token(reason))
        .map(Reason::as_str)
        .collect();
    format!("reason!~\"{}\"", usable.join("|"))
}

/// Tenants that somebody suspended, or whose specs cannot be used: nothing is done for their mailboxes.
fn tenant_rests() -> String {
    let unusable = SPEC_PROBLEMS.iter().map(|problem| problem.reason);
    let reasons: Vec<&str> = [&Reason::Suspended]
        .into_iter()
        .chain(unusable)
        .map(Reason::as_str)
        .collect();
    format!(
        "hybridcalendar_conditions{{kind=\"CalendarTenant\", type=\"Ready\", reason=~\"{}\"}}",
        reasons.join("|")
    )
}

/// The problem, then for the reasons that are there now: cause, who acts, remedy. Prometheus looks them up.
fn description(meta: &ConditionMeta) -> String {
    let type_ = meta.type_;
    let counted = format!(
        "printf `sum by (reason) (hybridcalendar_conditions{{kind=%q, tenant=%q, type=\"{type_}\", status=\"True\"}})` \
         $labels.kind $labels.tenant"
    );
    let of_object = format!(
        "printf `max by (reason) (hybridcalendar_condition{{kind=%q, namespace=%q, name=%q, type=\"{type_}\"}})` \
         $labels.kind $labels.namespace $labels.name"
    );
    let mut text = format!(
        "{{{{- $reasons := {counted} -}}}}\n\
         {{{{- if $labels.name }}}}{{{{ $reasons = {of_object} }}}}{{{{ end -}}}}\n\
         {}: {}\n{{{{- range query $reasons }}}}\n",
        subject(meta.kind),
        meaning(meta)
    );
    for (at, problem) in meta.problems.iter().enumerate() {
        let branch = if at == 0 { "if" } else { "else if" };
        let _ = writeln!(
            text,
            "{{{{- {branch} eq .Labels.reason \"{0}\" }}}} {0}: {1} Who acts: {2}. {3}",
            problem.reason,
            problem.cause,
            problem.acts.as_str(),
            problem.remedy
        );
    }
    text += "{{- end }}{{ end }}";
    text
}

/// Everybody who may have to act, each once, as the problems name them.
fn actors(problems: &[Problem]) -> String {
    let mut every: Vec<Actor> = Vec::new();
    for problem in problems {
        if !every.contains(&problem.acts) {
            every.push(problem.acts);
        }
    }
    let words: Vec<&str> = every.into_iter().map(Actor::as_str).collect();
    words.join("; ")
}
