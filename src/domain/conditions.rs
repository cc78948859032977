//! From verdicts to conditions: what changed, what stays, and what `Ready`, `Reconciling` and `Stalled` say.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::vocabulary::{ConditionType, Reason, conditions_of};
use crate::domain::schedule::{Pace, later};
use crate::ids::Kind;
use crate::plain::harmless;

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
            checked(subject, meta.type_, verdict)
        })
        .collect();
    let summary = summarize(subject, &checks, spec_problem);
    let mut ready = said(subject, &ConditionType::Ready, summary.ready);
    ready.observed_generation = Some(summary.generation);
    let mut conditions = vec![ready];
    if let Some((reason, message)) = summary.stalled {
        let stalled = Saying::new(ConditionStatus::True, reason, message);
        conditions.push(said(subject, &ConditionType::Stalled, stalled));
    } else if !summary.settled {
        let message = "The operator is working on it and will look again by itself.".to_owned();
        let reconciling = Saying::new(ConditionStatus::True, Reason::Progressing, message);
        conditions.push(said(subject, &ConditionType::Reconciling, reconciling));
    }
    conditions.extend(checks);
    Assessment {
        conditions,
        settled: summary.settled,
    }
}

struct Summary {
    ready: Saying,
    /// The generation that `Ready` speaks of: that of the condition which decides it.
    generation: i64,
    stalled: Option<(Reason, String)>,
    settled: bool,
}

fn summarize(
    subject: &Subject<'_>,
    checks: &[Condition],
    spec_problem: Option<(Reason, String)>,
) -> Summary {
    if subject.suspended {
        let message = "Suspended by spec.suspend: nothing is checked or renewed.".to_owned();
        return Summary {
            ready: Saying::new(ConditionStatus::Unknown, Reason::Suspended, message),
            generation: subject.generation,
            stalled: None,
            settled: true,
        };
    }
    if let Some((reason, message)) = spec_problem {
        return Summary {
            ready: Saying::new(ConditionStatus::False, reason.clone(), message.clone()),
            generation: subject.generation,
            stalled: Some((reason, message)),
            settled: true,
        };
    }
    if let Some(problem) =
        blocking(subject.kind, checks).find(|c| c.status == ConditionStatus::True)
    {
        return summarize_problem(subject, problem);
    }
    let unknown =
        blocking(subject.kind, checks).find(|c| c.status == ConditionStatus::Unknown && matters(c));
    if let Some(unknown) = unknown {
        let message = format!("{}: {}", unknown.reason, unknown.message);
        let reason = as_reason(&unknown.type_);
        return Summary {
            ready: Saying::new(ConditionStatus::Unknown, reason, message),
            generation: unknown.observed_generation.unwrap_or(subject.generation),
            stalled: None,
            settled: false,
        };
    }
    let (reason, message) = match subject.kind {
        Kind::CalendarTenant => (Reason::Operational, "All checks passed."),
        Kind::WorkspaceMailbox if is_watched(checks) => (
            Reason::Activated,
            "The mailbox works and its calendar is being watched.",
        ),
        Kind::WorkspaceMailbox => (
            Reason::Activated,
            "The mailbox works. Its calendar is not being watched: no subscription was asked for.",
        ),
    };
    let observed = blocking(subject.kind, checks).filter_map(|c| c.observed_generation);
    let generation = observed.min().unwrap_or(subject.generation);
    Summary {
        ready: Saying::new(ConditionStatus::True, reason, message.to_owned()),
        generation,
        stalled: None,
        settled: generation == subject.generation,
    }
}

/// Whether a subscription belongs to it at all: `subscription.enabled: false` asks for none, and neither does `check`.
fn is_watched(checks: &[Condition]) -> bool {
    find(checks, &ConditionType::SubscriptionInactive)
        .is_some_and(|condition| condition.reason != Reason::NotApplicable)
}

fn summarize_problem(subject: &Subject<'_>, problem: &Condition) -> Summary {
    let generation = problem.observed_generation.unwrap_or(subject.generation);
    // What was found for an older spec may be over: nobody is told to act on it.
    let stalled = generation == subject.generation
        && stall_instant(problem, subject.pace).is_some_and(|at| at <= subject.now);
    let message = format!("{}: {}", problem.reason, problem.message);
    Summary {
        ready: Saying::new(ConditionStatus::False, as_reason(&problem.type_), message),
        generation,
        stalled: stalled.then(|| (problem.reason.clone(), problem.message.to_string())),
        settled: stalled,
    }
}

/// The conditions of an object that block `Ready`, by precedence.
fn blocking(kind: Kind, conditions: &[Condition]) -> impl Iterator<Item = &Condition> {
    conditions_of(kind)
        .iter()
        .filter(|meta| meta.blocks_ready)
        .filter_map(|meta| find(conditions, meta.type_))
}

/// When the problem that an object shows will be called stalled, if it is not yet.
#[must_use]
pub fn stalls_at(
    kind: Kind,
    conditions: &[Condition],
    generation: i64,
    pace: Pace,
) -> Option<Timestamp> {
    if find(conditions, &ConditionType::Stalled).is_some() {
        return None;
    }
    let problem = blocking(kind, conditions).find(|c| c.status == ConditionStatus::True)?;
    let of_this_spec = problem.observed_generation == Some(generation);
    stall_instant(problem, pace).filter(|_| of_this_spec)
}

/// From when on only a person can end a problem.
fn stall_instant(problem: &Condition, pace: Pace) -> Option<Timestamp> {
    let began = problem.last_transition_time.timestamp();
    match stall_rule(&problem.type_, &problem.reason) {
        StallRule::AtOnce => Some(began),
        StallRule::AfterPatience => Some(later(began, pace.of(STALL_PATIENCE))),
        StallRule::Never => None,
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
            | Reason::FederationRejected
            | Reason::TokensNotPermitted,
        ) => StallRule::AfterPatience,
        _ => StallRule::AtOnce,
    }
}

/// What a condition says: status, reason, message.
#[derive(Clone, Debug)]
struct Saying {
    status: ConditionStatus,
    reason: Reason,
    message: String,
}

impl Saying {
    const fn new(status: ConditionStatus, reason: Reason, message: String) -> Self {
        Self {
            status,
            reason,
            message,
        }
    }
}

/// A check's condition after its verdict. One without news stays as it was, also in the generation that it speaks of.
fn checked(subject: &Subject<'_>, type_: &ConditionType, verdict: Verdict) -> Condition {
    let saying = match verdict {
        Verdict::Pass(reason, message) => Saying::new(ConditionStatus::False, reason, message),
        Verdict::Problem(reason, message) => Saying::new(ConditionStatus::True, reason, message),
        Verdict::Unknown(reason, message) => Saying::new(ConditionStatus::Unknown, reason, message),
        Verdict::Keep => {
            if let Some(previous) = find(subject.previous, type_) {
                return previous.clone();
            }
            let reason = Reason::NotYetKnown;
            let message = reason.docs().to_owned();
            Saying::new(ConditionStatus::Unknown, reason, message)
        }
    };
    said(subject, type_, saying)
}

/// A condition that says something now; `lastTransitionTime` moves only when the status flips.
fn said(subject: &Subject<'_>, type_: &ConditionType, saying: Saying) -> Condition {
    let Saying {
        status,
        reason,
        message,
    } = saying;
    // Parts of it come from files, from Microsoft and from other objects, and it goes into Events and histories.
    let message = capped(&harmless(&message));
    let previous = find(subject.previous, type_);
    let since = previous
        .filter(|p| p.status == status)
        .map(|p| p.last_transition_time);
    let message = match previous {
        Some(previous) if same_but_for_request_id(&previous.message, &message) => {
            previous.message.clone()
        }
        Some(_) | None => message.into(),
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
