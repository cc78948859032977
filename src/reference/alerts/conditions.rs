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
    ConditionMeta, ConditionType, MAILBOX, Reason, SPEC_PROBLEMS, TENANT, spec_problems_of,
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
        problems: spec_problems_of(kind),
        healthy: &Reason::NotApplicable,
    };
    let mut alerts = vec![alert(&stalled)];
    for meta in conditions {
        match meta.kind {
            Kind::CalendarTenant if *meta.type_ == ConditionType::Unauthorized => {
                alerts.extend(unauthorized(meta));
            }
            Kind::CalendarTenant | Kind::WorkspaceMailbox => alerts.push(alert(meta)),
        }
    }
    alerts
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

/// Two, because not each wakes somebody: a credential that is refused where subscriptions are at stake does; a tenant that
/// waits for consent, or that has never worked, waits for an administrator's working hours.
fn unauthorized(meta: &ConditionMeta) -> [Alert; 2] {
    let every = alert(meta);
    let refused = "A tenant that worked gets no token any more, so that its subscriptions end one after the other.";
    let awaits = "A tenant waits for an administrator's consent, for a permission or for the first credential that works; nothing that worked is lost by waiting.";
    let selector = selector(meta);
    let at_stake = "on (cluster, tenant) hybridcalendar_subscriptions{state=~\"active|inactive\"}";
    [
        Alert {
            expression: format!(
                "{}\nand {at_stake}",
                having(|metric, more| format!("{metric}{{{selector}, {}{more}}}", no_token()))
            ),
            description: every.description.replace(meaning(meta), refused),
            meaning: refused.to_owned(),
            acts: actors(&of_credentials(meta.problems)),
            ..every.clone()
        },
        Alert {
            name: format!("{PREFIX}TenantAwaitsAuthorization"),
            severity: Severity::Warning,
            expression: format!(
                "{}\nunless on (cluster, tenant) (\n  \
                 hybridcalendar_conditions{{{selector}, {}, status=\"True\"}}\n  and {at_stake}\n)",
                expression(meta),
                no_token()
            ),
            after: Duration::from_mins(30),
            description: every.description.replace(meaning(meta), awaits),
            meaning: awaits.to_owned(),
            ..every
        },
    ]
}

/// Those for which there is no token at all.
fn of_credentials(problems: &[Problem]) -> Vec<Problem> {
    let denies = |problem: &&Problem| denies_token(problem.reason);
    problems.iter().filter(denies).copied().collect()
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

fn selector(meta: &ConditionMeta) -> String {
    format!("kind=\"{}\", type=\"{}\"", meta.kind.as_str(), meta.type_)
}

/// Who has a problem: each object where there are such series, else the tenant's count. `series` selects from a metric,
/// with more matchers.
fn having(series: impl Fn(&str, &str) -> String) -> String {
    let objects = series("hybridcalendar_condition", "");
    let counts = series("hybridcalendar_conditions", ", status=\"True\"");
    format!(
        "(\n  max by (cluster, kind, namespace, name, tenant) ({objects})\n\
         or\n  sum by (cluster, kind, tenant) ({counts})\n  \
         unless on (cluster, tenant) {objects}\n)",
    )
}

fn expression(meta: &ConditionMeta) -> String {
    let selector = selector(meta);
    let of_a_mailbox = meta.kind == Kind::WorkspaceMailbox;
    if of_a_mailbox && *meta.type_ == ConditionType::Unauthorized {
        return mailbox_unauthorized(&selector);
    }
    let mut expression = having(|metric, more| format!("{metric}{{{selector}{more}}}"));
    if !meta.explained_by.is_empty() {
        let causes: Vec<&str> = meta.explained_by.iter().map(|t| t.as_str()).collect();
        let _ = write!(
            expression,
            "\nunless on (cluster, tenant) {}",
            tenant_has(&causes)
        );
    }
    if of_a_mailbox {
        let _ = write!(
            expression,
            "\nunless on (cluster, tenant) {}",
            tenant_rests()
        );
    }
    if *meta.type_ == ConditionType::CredentialExpiring {
        let _ = write!(
            expression,
            "\nunless on (cluster, tenant) {} < {}",
            microsoft::CREDENTIAL_LEFT,
            microsoft::CREDENTIAL_ENDS_SOON
        );
    }
    expression
}

/// A permission that is missing is missed at each mailbox, too, and told once. That an access policy keeps the
/// application out of a mailbox has nothing to do with it, and stays when the permission is granted.
fn mailbox_unauthorized(selector: &str) -> String {
    let own = Reason::AccessPolicyDenied;
    let unauthorized = ConditionType::Unauthorized;
    let having = having(|metric, more| {
        format!(
            "(\n    {metric}{{{selector}, reason=\"{own}\"{more}}}\n    \
             or {metric}{{{selector}{more}}}\n    \
             unless on (cluster, tenant) hybridcalendar_conditions{{kind=\"CalendarTenant\", type=\"{unauthorized}\", status=\"True\"}}\n  )"
        )
    });
    format!(
        "{having}\nunless on (cluster, tenant) {}\nunless on (cluster, tenant) {}",
        tenant_has(&[unauthorized.as_str()]),
        tenant_rests()
    )
}

/// Tenants with one of these problems, which explain a condition of their mailboxes.
fn tenant_has(types: &[&str]) -> String {
    let by_reason = types.contains(&ConditionType::Unauthorized.as_str());
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
        "printf `sum by (reason) (hybridcalendar_conditions{{cluster=%q, kind=%q, tenant=%q, type=\"{type_}\", status=\"True\"}})` \
         $labels.cluster $labels.kind $labels.tenant"
    );
    let of_object = format!(
        "printf `max by (reason) (hybridcalendar_condition{{cluster=%q, kind=%q, namespace=%q, name=%q, type=\"{type_}\"}})` \
         $labels.cluster $labels.kind $labels.namespace $labels.name"
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
