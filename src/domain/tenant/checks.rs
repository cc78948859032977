//! The rules about a tenant: one function per condition, what it says and why.
//!
//! Order and precedence are those of `vocabulary::TENANT`; a rule that depends on another one is blocked by it.

use std::time::Duration;

use super::credential::{CredentialReading, TokenReading, denies_token};
use super::facts::outage_after;
use super::permissions::{self, Right};
use super::sentences;
use super::snapshot::TenantSnapshot;
use super::{domains, isolation, provisioning};
use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::v1alpha1::time::Time;
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::conditions::{Verdict, find, with_request_id};
use crate::domain::mailbox::checks::{UNAVAILABLE_PATIENCE, UNAVAILABLE_TRIES};
use crate::domain::notification_url::{EndpointProblem, EndpointVerdict, REFUSALS};
use crate::domain::reading::{Outage, OutageKind, Refusal};
use crate::domain::schedule::between;

/// A credential that ends within this time is said to end soon.
pub const EXPIRES_SOON: Duration = Duration::from_hours(30 * 24);

/// A credential that ends within this time is said to end very soon.
pub const EXPIRES_VERY_SOON: Duration = Duration::from_hours(7 * 24);

/// What the rule of a condition says.
#[must_use]
pub fn verdict(snapshot: &TenantSnapshot<'_>, type_: &ConditionType) -> Verdict {
    if snapshot
        .desired
        .as_ref()
        .is_ok_and(|desired| desired.suspended)
    {
        return Verdict::Keep;
    }
    match RULES.iter().find(|rule| rule.condition == *type_) {
        Some(rule) => (rule.run)(snapshot),
        None => Verdict::Keep,
    }
}

struct Rule {
    condition: ConditionType,
    run: fn(&TenantSnapshot<'_>) -> Verdict,
}

const RULES: &[Rule] = &[
    Rule {
        condition: ConditionType::Unauthorized,
        run: unauthorized,
    },
    Rule {
        condition: ConditionType::DomainMismatch,
        run: domains::verdict,
    },
    Rule {
        condition: ConditionType::TestMailboxFailed,
        run: provisioning::verdict,
    },
    Rule {
        condition: ConditionType::EndpointRejected,
        run: endpoint_rejected,
    },
    Rule {
        condition: ConditionType::MicrosoftUnavailable,
        run: microsoft_unavailable,
    },
    Rule {
        condition: ConditionType::CredentialExpiring,
        run: credential_expiring,
    },
    Rule {
        condition: ConditionType::PermissionsExcessive,
        run: permissions_excessive,
    },
    Rule {
        condition: ConditionType::AccessUnrestricted,
        run: isolation::verdict,
    },
];

/// What is said when there is no token: the problem, or nothing new. `None` when there is one.
fn no_token(s: &TenantSnapshot<'_>) -> Option<Verdict> {
    let Ok(desired) = s.desired else {
        return Some(Verdict::Keep);
    };
    match &s.observed.credential {
        CredentialReading::NotLooked => return Some(Verdict::Keep),
        CredentialReading::Problem(problem) => {
            let message = sentences::credential_problem(problem, desired);
            return Some(Verdict::Problem(problem.reason(), message));
        }
        CredentialReading::Unavailable(outage) => return Some(could_not_look(s, outage)),
        CredentialReading::Usable { .. } => {}
    }
    match &s.observed.token {
        TokenReading::NotLooked => Some(Verdict::Keep),
        TokenReading::Refused(refused) => {
            let message = sentences::token_refused(refused.cause, desired);
            let message = with_request_id(message, refused.request_id.as_deref());
            Some(Verdict::Problem(refused.cause.reason(), message))
        }
        TokenReading::Unavailable(outage) => Some(could_not_look(s, outage)),
        TokenReading::Issued { .. } => None,
    }
}

/// What keeps a rule that needs a token from being looked at, if anything does.
pub(super) fn gate(s: &TenantSnapshot<'_>) -> Option<Verdict> {
    no_token(s).map(|verdict| match verdict {
        Verdict::Problem(..) => Verdict::blocked(&ConditionType::Unauthorized),
        Verdict::Pass(..) | Verdict::Unknown(..) | Verdict::Keep => verdict,
    })
}

/// Nothing was learned: what was said before stands, until that has lasted too long to be believed.
pub(super) fn could_not_look(s: &TenantSnapshot<'_>, outage: &Outage) -> Verdict {
    if is_lasting(s) && outage.kind != OutageKind::Withheld {
        let message = format!(
            "It could not be checked for a while: {}",
            outage.kind.sentence()
        );
        return Verdict::Unknown(Reason::Unavailable, message);
    }
    Verdict::Keep
}

/// Whether passes have failed for so long, this one included, that old answers are not to be believed.
pub(super) fn is_lasting(s: &TenantSnapshot<'_>) -> bool {
    let failures = &s.memory.failures;
    let patience = s.pace.of(UNAVAILABLE_PATIENCE);
    failures.have_lasted(patience, s.now) && failures.next_try() >= UNAVAILABLE_TRIES
}

fn unauthorized(s: &TenantSnapshot<'_>) -> Verdict {
    if let Some(verdict) = no_token(s) {
        return verdict;
    }
    let needed = permissions::needed(s);
    let missing: Vec<(&str, Option<&Refusal>)> = needed
        .iter()
        .filter_map(|(permission, right)| match right {
            Right::Missing(refusal) => Some((*permission, *refusal)),
            Right::Works | Right::NotLooked | Right::Unavailable(_) => None,
        })
        .collect();
    if !missing.is_empty() {
        return permissions_missing(s, &missing);
    }
    for (_, right) in needed {
        match right {
            Right::Unavailable(outage) => return could_not_look(s, outage),
            Right::NotLooked => return Verdict::Keep,
            Right::Works | Right::Missing(_) => {}
        }
    }
    Verdict::pass(Reason::Authorized)
}

fn permissions_missing(s: &TenantSnapshot<'_>, missing: &[(&str, Option<&Refusal>)]) -> Verdict {
    let client = s
        .desired
        .as_ref()
        .map(|desired| desired.client_id.clone())
        .unwrap_or_default();
    let names: Vec<&str> = missing.iter().map(|(permission, _)| *permission).collect();
    let names = names.join(", ");
    let request_id = missing
        .iter()
        .find_map(|(_, refusal)| refusal.and_then(|refusal| refusal.request_id.as_deref()));
    let no_roles = s.observed.roles().is_some_and(<[String]>::is_empty);
    let (reason, message) = if no_roles && !permissions::anything_works(s) {
        let message = format!(
            "No Graph permission is granted to application {client}. An Entra administrator has to grant the application permissions {names} and to consent to them; without consent a permission does not act."
        );
        (Reason::ConsentRequired, message)
    } else {
        let message = format!(
            "Application {client} may not do what is needed: {names}. An Entra administrator has to grant and consent to it as an application permission{}.",
            alternatives(missing)
        );
        (Reason::PermissionMissing, message)
    };
    Verdict::Problem(reason, with_request_id(message, request_id))
}

/// What else would do.
fn alternatives(missing: &[(&str, Option<&Refusal>)]) -> String {
    let mut alternatives = String::new();
    for (permission, _) in missing {
        match *permission {
            permissions::CALENDARS_READ => alternatives.push_str(
                "; calendars may also be opened by RBAC for Applications in Exchange Online",
            ),
            permissions::DOMAINS_READ => {
                alternatives.push_str("; Organization.Read.All serves as well for the domains");
            }
            _ => {}
        }
    }
    alternatives
}

/// What is written stands also for this generation: it does not depend on the spec.
fn carried(s: &TenantSnapshot<'_>, type_: &ConditionType) -> Option<Verdict> {
    let Condition {
        status,
        reason,
        message,
        ..
    } = find(s.previous(), type_)?;
    match status {
        ConditionStatus::True => Some(Verdict::Problem(reason.clone(), message.to_string())),
        ConditionStatus::False => Some(Verdict::Pass(reason.clone(), message.to_string())),
        ConditionStatus::Unknown => None,
    }
}

fn endpoint_rejected(s: &TenantSnapshot<'_>) -> Verdict {
    if let Some(Verdict::Unknown(reason, message)) = gate(s)
        && reason == Reason::Blocked
    {
        return Verdict::Unknown(reason, message);
    }
    if is_blocked_before(s) {
        return Verdict::Keep;
    }
    match s.endpoint {
        EndpointVerdict::Accepted => Verdict::pass(Reason::EndpointAccepted),
        EndpointVerdict::Rejected {
            problem,
            times: REFUSALS..,
        } => {
            let (reason, what) = match problem {
                EndpointProblem::Failed => (
                    Reason::ValidationFailed,
                    "did not get the answer that it expects from",
                ),
                EndpointProblem::TimedOut => (
                    Reason::ValidationTimedOut,
                    "got no answer within ten seconds from",
                ),
            };
            let message = format!(
                "Graph {what} the notification URL. The platform team has to make it reachable from the internet, with a publicly trusted certificate and without a login or redirect in front."
            );
            Verdict::Problem(reason, message)
        }
        EndpointVerdict::Unknown | EndpointVerdict::Rejected { .. } => {
            carried(s, &ConditionType::EndpointRejected).unwrap_or_else(|| untried(s))
        }
        // A refusal that nobody can take back would stand for ever.
        EndpointVerdict::NobodyTries => match carried(s, &ConditionType::EndpointRejected) {
            Some(Verdict::Problem(..)) => Verdict::Pass(
                Reason::NotApplicable,
                "No mailbox waits for a subscription, so that Graph is not asked whether it reaches the notification URL.".to_owned(),
            ),
            Some(passed) => passed,
            None => untried(s),
        },
    }
}

fn untried(s: &TenantSnapshot<'_>) -> Verdict {
    match s.observed.roles() {
        Some(_) => Verdict::Pass(
            Reason::NotApplicable,
            "No subscription was asked for yet.".to_owned(),
        ),
        None => Verdict::Keep,
    }
}

fn microsoft_unavailable(s: &TenantSnapshot<'_>) -> Verdict {
    if matches!(s.observed.credential, CredentialReading::Problem(_)) {
        return Verdict::blocked(&ConditionType::Unauthorized);
    }
    if is_blocked_before(s) {
        return Verdict::Keep;
    }
    match outage_after(s) {
        Some(outage) if outage.is_established(s.now, s.pace) => {
            let reason = match outage.kind {
                OutageKind::LoginUnreachable => Reason::LoginUnreachable,
                OutageKind::GraphUnreachable => Reason::GraphUnreachable,
                OutageKind::ServerErrors
                | OutageKind::Refused
                | OutageKind::Throttled
                | OutageKind::NoToken
                | OutageKind::Withheld
                | OutageKind::ClusterUnreachable => Reason::ServerErrors,
            };
            let message = format!(
                "{} The operator keeps trying; subscriptions stay alive as long as they last. If Microsoft's service health shows nothing, the platform team has to look at the operator's way to the internet.",
                outage.kind.sentence()
            );
            Verdict::Problem(reason, message)
        }
        Some(_) => Verdict::Keep,
        None if s.observed.microsoft_answers() => Verdict::pass(Reason::Reachable),
        None => carried(s, &ConditionType::MicrosoftUnavailable).unwrap_or(Verdict::Keep),
    }
}

fn credential_expiring(s: &TenantSnapshot<'_>) -> Verdict {
    let expires_at = match &s.observed.credential {
        CredentialReading::Usable { expires_at, .. } => *expires_at,
        CredentialReading::Problem(_) => return Verdict::blocked(&ConditionType::Unauthorized),
        CredentialReading::NotLooked | CredentialReading::Unavailable(_) => {
            match &s.record.status.credential {
                Some(credential) if !is_refused(s) => credential.expires_at.map(Time::timestamp),
                Some(_) | None => return Verdict::Keep,
            }
        }
    };
    match &s.observed.token {
        TokenReading::Refused(_) => return Verdict::blocked(&ConditionType::Unauthorized),
        TokenReading::NotLooked | TokenReading::Unavailable(_) if is_refused(s) => {
            return Verdict::Keep;
        }
        TokenReading::NotLooked | TokenReading::Unavailable(_) | TokenReading::Issued { .. } => {}
    }
    let Some(expires_at) = expires_at else {
        return Verdict::pass(Reason::Fresh);
    };
    let left = between(s.now, expires_at);
    let reason = if left <= EXPIRES_VERY_SOON {
        Reason::ExpiresVerySoon
    } else if left <= EXPIRES_SOON {
        Reason::ExpiresSoon
    } else {
        return Verdict::pass(Reason::Fresh);
    };
    let message = format!(
        "The credential ends at {}. Put a new one in its place before then: the operator uses it within seconds.",
        Time::new(expires_at)
    );
    Verdict::Problem(reason, message)
}

/// Whether this pass does not look, and the status says that there is no token.
fn is_blocked_before(s: &TenantSnapshot<'_>) -> bool {
    s.observed.credential == CredentialReading::NotLooked && is_refused(s)
}

/// Whether the status says that there is no token.
fn is_refused(s: &TenantSnapshot<'_>) -> bool {
    find(s.previous(), &ConditionType::Unauthorized)
        .is_some_and(|c| c.status == ConditionStatus::True && denies_token(&c.reason))
}

fn permissions_excessive(s: &TenantSnapshot<'_>) -> Verdict {
    if let Some(verdict) = gate(s) {
        return verdict;
    }
    let (Some(roles), Ok(desired)) = (s.observed.roles(), s.desired) else {
        return Verdict::Keep;
    };
    let excess = permissions::excess(roles, desired);
    if excess.is_empty() {
        return Verdict::pass(Reason::NoExcess);
    }
    let message = format!(
        "Application {} has permissions that no feature in use needs: {}. An Entra administrator should remove them.",
        desired.client_id,
        excess.join(", ")
    );
    Verdict::Problem(Reason::UnneededPermissions, message)
}
