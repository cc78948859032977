//! From verdicts to conditions: what changed, what stays, and what `Ready`, `Reconciling` and `Stalled` say.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::vocabulary::{ConditionType, Reason, conditions_of};
use crate::domain::schedule::Pace;
use crate::ids::Kind;

/// Longest message, in bytes.
pub const MESSAGE_LIMIT: usize = 1024;

/// How long a problem that may end by itself waits before it is called stalled.
pub const STALL_PATIENCE: Duration = Duration::from_mins(10);

/// What one check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Looked at, no problem.
    Pass(Reason, String),
    /// The problem exists.
    Problem(Reason, String),
    /// Could not be found out, for a reason that is itself known.
    Unknown(Reason, String),
    /// Nothing new was learned: what was said before stands.
    Keep,
}

impl Verdict {
    /// Passed, with nothing to add.
    #[must_use]
    pub const fn pass(reason: Reason) -> Self {
        Self::Pass(reason, String::new())
    }

    /// Another problem comes first.
    #[must_use]
    pub fn blocked(by: &ConditionType) -> Self {
        Self::Unknown(Reason::Blocked, format!("Not checked because of {by}."))
    }

    const fn parts(&self) -> Option<(ConditionStatus, &Reason, &String)> {
        match self {
            Self::Pass(reason, message) => Some((ConditionStatus::False, reason, message)),
            Self::Problem(reason, message) => Some((ConditionStatus::True, reason, message)),
            Self::Unknown(reason, message) => Some((ConditionStatus::Unknown, reason, message)),
            Self::Keep => None,
        }
    }
}

/// The object that conditions are about, as far as they depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Generation of the spec that was looked at.
    pub generation: i64,
    /// Conditions as they stand.
    pub previous: &'a [Condition],
    /// `spec.suspend`, of the object itself.
    pub suspended: bool,
    /// When this pass looks.
    pub now: Timestamp,
    /// Divides waits in a rehearsal.
    pub pace: Pace,
}

/// Conditions and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// All conditions, summary first, then by precedence.
    pub conditions: Vec<Condition>,
    /// Whether `status.observedGeneration` may name this generation: Ready, Stalled or suspended.
    pub settled: bool,
    /// When a problem that is not yet stalled will be.
    pub stalls_at: Option<Timestamp>,
}

impl Assessment {
    /// The summary condition.
    #[must_use]
    pub fn ready(&self) -> Option<&Condition> {
        find(&self.conditions, &ConditionType::Ready)
    }
}

/// The condition of a type, if it is there.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &ConditionType) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == *type_)
}

/// Whether a condition is True.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &ConditionType) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == ConditionStatus::True)
}

/// Whether what is written is what a verdict says, for this generation. A verdict without news always agrees.
#[must_use]
pub fn agrees(
    conditions: &[Condition],
    type_: &ConditionType,
    verdict: &Verdict,
    generation: i64,
) -> bool {
    let Some((status, reason, _)) = verdict.parts() else {
        return true;
    };
    find(conditions, type_).is_some_and(|c| {
        c.status == status && c.reason == *reason && c.observed_generation == Some(generation)
    })
}

/// Folds verdicts into the conditions of an object.
///
/// `spec_problem` is a spec that cannot be used: then every check is `Unknown/Blocked`.
#[must_use]
pub fn assess(
    subject: &Subject<'_>,
    verdict: impl Fn(&ConditionType) -> Verdict,
    spec_problem: Option<(Reason, String)>,
) -> Assessment {
    let checks: Vec<Condition> = conditions_of(subject.kind)
        .iter()
        .map(|meta| {
            let verdict = match &spec_problem {
                Some((reason, _)) => {
                    Verdict::Unknown(Reason::Blocked, format!("Not checked because of {reason}."))
                }
                None => verdict(meta.type_),
            };
            updated(subject, meta.type_, &verdict)
        })
        .collect();
    let summary = summarize(subject, &checks, spec_problem);
    let mut conditions = vec![updated(subject, &ConditionType::Ready, &summary.ready)];
    if let Some(ready) = conditions.first_mut() {
        ready.observed_generation = Some(summary.generation);
    }
    if let Some((reason, message)) = &summary.stalled {
        let stalled = Verdict::Problem(reason.clone(), message.clone());
        conditions.push(updated(subject, &ConditionType::Stalled, &stalled));
    } else if !summary.settled {
        let message = "The operator is working on it and will look again by itself.".to_owned();
        let reconciling = Verdict::Problem(Reason::Progressing, message);
        conditions.push(updated(subject, &ConditionType::Reconciling, &reconciling));
    }
    conditions.extend(checks);
    Assessment {
        conditions,
        settled: summary.settled,
        stalls_at: summary.stalls_at,
    }
}

struct Summary {
    ready: Verdict,
    /// The generation that `Ready` speaks of.
    generation: i64,
    stalled: Option<(Reason, String)>,
    stalls_at: Option<Timestamp>,
    settled: bool,
}

fn summarize(
    subject: &Subject<'_>,
    checks: &[Condition],
    spec_problem: Option<(Reason, String)>,
) -> Summary {
    let base = Summary {
        ready: Verdict::Keep,
        generation: subject.generation,
        stalled: None,
        stalls_at: None,
        settled: true,
    };
    if subject.suspended {
        let message = "Suspended by spec.suspend: nothing is checked or renewed.".to_owned();
        return Summary {
            ready: Verdict::Unknown(Reason::Suspended, message),
            ..base
        };
    }
    if let Some((reason, message)) = spec_problem {
        // For `Ready`, being False is the problem: Pass and Problem are about the condition's status.
        let ready = Verdict::Pass(reason.clone(), message.clone());
        return Summary {
            ready,
            stalled: Some((reason, message)),
            ..base
        };
    }
    let blocking = || {
        let metas = conditions_of(subject.kind);
        checks
            .iter()
            .zip(metas)
            .filter(|(_, meta)| meta.blocks_ready)
            .map(|(check, _)| check)
    };
    if let Some(problem) = blocking().find(|c| c.status == ConditionStatus::True) {
        return summarize_problem(subject, problem, &base);
    }
    if let Some(unknown) = blocking().find(|c| c.status == ConditionStatus::Unknown && matters(c)) {
        let message = format!("{}: {}", unknown.reason, unknown.message);
        let ready = Verdict::Unknown(as_reason(&unknown.type_), message);
        return Summary {
            ready,
            settled: false,
            ..base
        };
    }
    let (reason, message) = match subject.kind {
        Kind::CalendarTenant => (Reason::Operational, "All checks passed."),
        Kind::WorkspaceMailbox => (
            Reason::Activated,
            "The mailbox works and its calendar is being watched.",
        ),
    };
    let observed = blocking().filter_map(|c| c.observed_generation).min();
    let generation = observed.unwrap_or(subject.generation);
    let settled = generation == subject.generation;
    Summary {
        ready: Verdict::Problem(reason, message.to_owned()),
        generation,
        settled,
        ..base
    }
}

fn summarize_problem(subject: &Subject<'_>, problem: &Condition, base: &Summary) -> Summary {
    let message = format!("{}: {}", problem.reason, problem.message);
    let ready = Verdict::Pass(as_reason(&problem.type_), message);
    let began = problem.last_transition_time.timestamp();
    let stalls_at = match stall_rule(&problem.type_, &problem.reason) {
        StallRule::AtOnce => Some(subject.now),
        StallRule::AfterPatience => {
            let patience = SignedDuration::try_from(subject.pace.of(STALL_PATIENCE));
            began
                .checked_add(patience.unwrap_or(SignedDuration::ZERO))
                .ok()
        }
        StallRule::Never => None,
    };
    let stalled = stalls_at
        .is_some_and(|at| at <= subject.now)
        .then(|| (problem.reason.clone(), problem.message.clone()));
    Summary {
        ready,
        settled: stalled.is_some(),
        stalls_at: stalls_at.filter(|at| *at > subject.now),
        stalled,
        generation: base.generation,
    }
}

/// `AddressMismatch` that cannot be looked up for want of a permission does not stand in the way of Ready.
fn matters(condition: &Condition) -> bool {
    !(condition.type_ == ConditionType::AddressMismatch
        && condition.reason == Reason::PermissionMissing)
}

/// `Ready.reason` is the *type* of the first failing condition.
fn as_reason(type_: &ConditionType) -> Reason {
    Reason::parse(type_.as_str())
}

/// When a problem is called stalled: from then on only a person can end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallRule {
    /// As soon as it is found.
    AtOnce,
    /// After [`STALL_PATIENCE`]: it also occurs while a change spreads.
    AfterPatience,
    /// It may end by itself at any time.
    Never,
}

/// The rule for a blocking condition that is True for a reason.
#[must_use]
pub fn stall_rule(type_: &ConditionType, reason: &Reason) -> StallRule {
    match (type_, reason) {
        (ConditionType::SubscriptionInactive, Reason::QuotaExceeded | Reason::HeldByAnother) => {
            StallRule::AtOnce
        }
        (
            ConditionType::MicrosoftUnavailable
            | ConditionType::EndpointRejected
            | ConditionType::SubscriptionInactive,
            _,
        )
        | (ConditionType::TenantNotReady, Reason::TenantUnauthorized) => StallRule::Never,
        (ConditionType::DomainMismatch, _)
        | (ConditionType::TenantNotReady, Reason::TenantNotFound)
        | (ConditionType::MailboxNotFound, Reason::NotFound)
        | (
            ConditionType::Unauthorized,
            Reason::ConsentRequired
            | Reason::PermissionMissing
            | Reason::AccessPolicyDenied
            | Reason::FederationRejected,
        ) => StallRule::AfterPatience,
        _ => StallRule::AtOnce,
    }
}

/// The condition after a verdict; `lastTransitionTime` moves only when the status flips.
fn updated(subject: &Subject<'_>, type_: &ConditionType, verdict: &Verdict) -> Condition {
    let previous = find(subject.previous, type_);
    let never_looked =
        || Verdict::Unknown(Reason::NotYetKnown, Reason::NotYetKnown.docs().to_owned());
    let (verdict, kept) = match (verdict.parts(), previous) {
        (None, Some(previous)) => return previous.clone(),
        (None, None) => (never_looked(), None),
        (Some(_), previous) => (verdict.clone(), previous),
    };
    let (status, reason, message) = match verdict.parts() {
        Some((status, reason, message)) => (status, reason.clone(), capped(message)),
        None => (ConditionStatus::Unknown, Reason::NotYetKnown, String::new()),
    };
    let since = kept
        .filter(|p| p.status == status)
        .map(|p| p.last_transition_time);
    let message = match kept {
        Some(previous) if same_but_for_request_id(&previous.message, &message) => {
            previous.message.clone()
        }
        Some(_) | None => message,
    };
    Condition {
        type_: type_.clone(),
        status,
        observed_generation: Some(subject.generation),
        last_transition_time: since.unwrap_or_else(|| subject.now.into()),
        reason,
        message,
    }
}

/// Appends Graph's id of the request, which Microsoft's support asks for.
#[must_use]
pub fn with_request_id(message: String, request_id: Option<&str>) -> String {
    match request_id {
        Some(id) => format!("{message}{REQUEST_ID_MARK}{id})"),
        None => message,
    }
}

const REQUEST_ID_MARK: &str = " (request-id ";

fn same_but_for_request_id(left: &str, right: &str) -> bool {
    let stem = |text: &str| match (text.rfind(REQUEST_ID_MARK), text.ends_with(')')) {
        (Some(at), true) => text[..at].to_owned(),
        (Some(_) | None, _) => text.to_owned(),
    };
    stem(left) == stem(right)
}

fn capped(message: &str) -> String {
    if message.len() <= MESSAGE_LIMIT {
        return message.to_owned();
    }
    let mut end = MESSAGE_LIMIT - '…'.len_utf8();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &message[..end])
}
