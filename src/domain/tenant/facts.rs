//! What this process has learned lately about a tenant, for its own passes and those of its mailboxes.
//!
//! Shared memory, not status: a restart forgets it, and the first pass learns it again.

use std::time::Duration;

use jiff::Timestamp;

use super::credential::{CredentialReading, TokenReading, denies_token};
use super::desired::{SpecProblem, TenantDesired};
use super::snapshot::TenantSnapshot;
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::v1alpha1::tenant::CalendarTenantStatus;
use crate::api::v1alpha1::time::Time;
use crate::api::vocabulary::{ConditionType, Reason};
use crate::domain::conditions::find;
use crate::domain::mailbox::checks::{UNAVAILABLE_PATIENCE, UNAVAILABLE_TRIES};
use crate::domain::mailbox::look::Observed;
use crate::domain::mailbox::tenant_view::{
    AcceptedDomains, EndpointState, KnownTenant, TokenState,
};
use crate::domain::reading::{OutageKind, Reading};
use crate::domain::records::TenantRecord;
use crate::domain::schedule::{Pace, earlier, later};
use crate::ids::AppTenant;

/// What is known of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantFacts {
    /// Whether there is a token.
    pub token: TokenState,
    /// When a token was issued again after it had been refused.
    pub recovered_at: Option<Timestamp>,
    /// Application roles seen in the token.
    pub roles: Vec<String>,
    /// Verified domains, lower case, as soon as they are known.
    pub verified_domains: Option<Vec<String>>,
    /// What was seen to work lately, for `app`.
    pub evidence: Evidence,
    /// The application that the last token was issued for.
    pub app: Option<AppTenant>,
    /// Since when Microsoft does not answer.
    pub outage: Option<MicrosoftOutage>,
    /// When the credential ends.
    pub credential_expires_at: Option<Timestamp>,
}

/// When calls that need a permission last worked, in whatever pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// A calendar was read.
    pub calendars: Option<Timestamp>,
    /// Places was read.
    pub places: Option<Timestamp>,
    /// The directory's users were read.
    pub directory: Option<Timestamp>,
}

/// A time in which Microsoft does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MicrosoftOutage {
    /// Since when.
    pub since: Timestamp,
    /// Passes in which it was tried.
    pub tries: u32,
    /// In which way, last.
    pub kind: OutageKind,
}

impl MicrosoftOutage {
    /// Whether it has lasted long enough to be called an outage.
    #[must_use]
    pub fn is_established(&self, now: Timestamp, pace: Pace) -> bool {
        let patience = later(self.since, pace.of(UNAVAILABLE_PATIENCE));
        now >= patience && self.tries >= UNAVAILABLE_TRIES
    }
}

impl TenantFacts {
    /// What a status tells a process that has not looked yet.
    #[must_use]
    pub fn remembered(status: &CalendarTenantStatus) -> Self {
        let verified: Vec<String> = status
            .domains
            .iter()
            .filter(|domain| domain.verified)
            .map(|domain| domain.name.to_ascii_lowercase())
            .collect();
        Self {
            roles: status
                .permissions
                .as_ref()
                .map(|p| p.granted.clone())
                .unwrap_or_default(),
            verified_domains: Some(verified).filter(|domains| !domains.is_empty()),
            credential_expires_at: status
                .credential
                .as_ref()
                .and_then(|credential| credential.expires_at)
                .map(Time::timestamp),
            ..Self::default()
        }
    }

    /// The clock was set back by so much: what was noted by the old one moves along. When the credential ends is not
    /// ours to say.
    pub fn set_back(&mut self, by: Duration) {
        let Self {
            token,
            recovered_at,
            roles: _,
            verified_domains: _,
            evidence:
                Evidence {
                    calendars,
                    places,
                    directory,
                },
            app: _,
            outage,
            credential_expires_at: _,
        } = self;
        token.set_back(by);
        for at in [recovered_at, calendars, places, directory] {
            *at = at.map(|at| earlier(at, by));
        }
        if let Some(outage) = outage {
            outage.since = earlier(outage.since, by);
        }
    }

    /// Takes over what a tenant's pass has seen. What it did not look at stays.
    pub fn learn(&mut self, s: &TenantSnapshot<'_>) {
        let observed = s.observed;
        self.learn_token(s);
        if let Some(domains) = observed.all_domains() {
            let verified = domains.iter().filter(|domain| domain.verified);
            self.verified_domains = Some(verified.map(|domain| domain.name.clone()).collect());
        }
        let evidence = &mut self.evidence;
        Evidence::learn(&mut evidence.calendars, &observed.calendar, s.now);
        Evidence::learn(&mut evidence.places, &observed.places, s.now);
        Evidence::learn(&mut evidence.directory, &observed.directory, s.now);
        self.outage = outage_after(s);
    }

    fn learn_token(&mut self, s: &TenantSnapshot<'_>) {
        match &s.observed.credential {
            CredentialReading::Usable { expires_at, .. } => {
                self.credential_expires_at = *expires_at;
            }
            CredentialReading::Problem(problem) => self.refuse(s, &problem.reason()),
            CredentialReading::NotLooked | CredentialReading::Unavailable(_) => {}
        }
        match &s.observed.token {
            TokenReading::Issued { roles } => {
                if matches!(self.token, TokenState::Refused { .. }) {
                    self.recovered_at = Some(s.now);
                }
                self.token = TokenState::Issued;
                if !self.has_roles(roles) {
                    self.evidence = Evidence::default();
                }
                if let Ok(desired) = s.desired {
                    let app = desired.app();
                    self.evidence = self.evidence_for(&app);
                    self.app = Some(app);
                }
                self.roles.clone_from(roles);
            }
            TokenReading::Refused(refused) => self.refuse(s, &refused.cause.reason()),
            TokenReading::NotLooked | TokenReading::Unavailable(_) => {}
        }
    }

    /// What was seen to work lately, if it was seen of this application.
    #[must_use]
    pub fn evidence_for(&self, app: &AppTenant) -> Evidence {
        match &self.app {
            Some(seen) if seen != app => Evidence::default(),
            Some(_) | None => self.evidence,
        }
    }

    /// Whether these are the roles that the token had, in whatever order.
    pub(super) fn has_roles(&self, roles: &[String]) -> bool {
        let all = |these: &[String], those: &[String]| these.iter().all(|r| those.contains(r));
        all(roles, &self.roles) && all(&self.roles, roles)
    }

    fn refuse(&mut self, s: &TenantSnapshot<'_>, reason: &Reason) {
        let since = match &self.token {
            TokenState::Refused { since, .. } => *since,
            TokenState::Pending => refused_before(s).unwrap_or(s.now),
            TokenState::Issued => s.now,
        };
        let reason = reason.as_str().to_owned();
        self.token = TokenState::Refused { since, reason };
    }

    /// What mailboxes get to see of a tenant. `refused_since` is for a spec that cannot be used: since when.
    #[must_use]
    pub fn known(
        &self,
        record: &TenantRecord,
        desired: Option<&Result<TenantDesired, SpecProblem>>,
        refused_since: Timestamp,
    ) -> KnownTenant {
        let base = KnownTenant {
            key: record.key.clone(),
            uid: record.uid,
            app: AppTenant::unknown(),
            lifetime: Duration::from_hours(160),
            places: false,
            domains: None,
            token: TokenState::Pending,
            recovered_at: self.recovered_at,
            roles: self.roles.clone(),
            calendars_readable: self.evidence.calendars.is_some(),
            microsoft_silent: self.outage.is_some(),
            endpoint: EndpointState::Usable,
            mailboxes: 0,
        };
        match desired {
            Some(Ok(desired)) => KnownTenant {
                app: desired.app(),
                lifetime: desired.lifetime,
                places: desired.places,
                domains: self.accepted_domains(&desired.domains),
                token: self.token.clone(),
                calendars_readable: self.evidence_for(&desired.app()).calendars.is_some(),
                ..base
            },
            Some(Err(problem)) => KnownTenant {
                token: TokenState::Refused {
                    since: refused_since,
                    reason: problem.reason.to_string(),
                },
                ..base
            },
            None => base,
        }
    }

    /// Domains that mailboxes may be in, as soon as they are known.
    #[must_use]
    pub fn accepted_domains(&self, limited_to: &[String]) -> Option<AcceptedDomains> {
        self.verified_domains
            .as_ref()
            .map(|verified| AcceptedDomains {
                verified: verified.clone(),
                allowed: Some(limited_to.to_vec()).filter(|domains| !domains.is_empty()),
            })
    }
}

/// What a mailbox's pass shows of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailboxProof {
    /// Its calendar. Refused, it says nothing of other mailboxes.
    pub calendar: Proof,
    /// Its place.
    pub places: Proof,
    /// Its directory entry.
    pub directory: Proof,
}

impl MailboxProof {
    /// What was seen of a mailbox, as far as it speaks of permissions.
    #[must_use]
    pub fn of(observed: &Observed) -> Self {
        Self {
            calendar: (&observed.calendar).into(),
            places: (&observed.place).into(),
            directory: (&observed.directory).into(),
        }
    }
}

/// Whether a call worked that needs a permission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// Not made, or without an answer that says anything.
    #[default]
    None,
    /// It worked.
    Works,
    /// It was refused.
    Refused,
}

impl<T> From<&Reading<T>> for Proof {
    fn from(reading: &Reading<T>) -> Self {
        match reading {
            Reading::Present(_) => Self::Works,
            Reading::Forbidden(_) => Self::Refused,
            Reading::NotLooked | Reading::Absent(_) | Reading::Unavailable(_) => Self::None,
        }
    }
}

/// What a proof changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing that anybody would decide differently for.
    None,
    /// For the first time a calendar was readable.
    CalendarsWork,
    /// What worked lately is refused now.
    Revoked,
}

impl Evidence {
    /// Takes over what a mailbox's pass shows.
    pub fn prove(&mut self, proof: MailboxProof, now: Timestamp) -> News {
        let MailboxProof {
            calendar,
            places,
            directory,
        } = proof;
        let mut news = News::None;
        if calendar == Proof::Works && self.calendars.replace(now).is_none() {
            news = News::CalendarsWork;
        }
        for (proof, seen) in [(places, &mut self.places), (directory, &mut self.directory)] {
            match proof {
                Proof::None => {}
                Proof::Works => *seen = Some(now),
                Proof::Refused => {
                    if seen.take().is_some() {
                        news = News::Revoked;
                    }
                }
            }
        }
        news
    }

    fn learn(seen: &mut Option<Timestamp>, reading: &Reading<()>, now: Timestamp) {
        match reading {
            Reading::Present(()) => *seen = Some(now),
            Reading::Forbidden(_) => *seen = None,
            Reading::NotLooked | Reading::Absent(_) | Reading::Unavailable(_) => {}
        }
    }

    /// Whether something was seen to work within the last check interval.
    #[must_use]
    pub fn is_recent(seen: Option<Timestamp>, now: Timestamp, interval: Duration) -> bool {
        seen.is_some_and(|seen| now <= later(seen, interval))
    }
}

/// Since when the status says that there is no token.
fn refused_before(s: &TenantSnapshot<'_>) -> Option<Timestamp> {
    find(s.previous(), &ConditionType::Unauthorized)
        .filter(|c| c.status == ConditionStatus::True && denies_token(&c.reason))
        .map(|c| c.last_transition_time.timestamp())
}

/// Microsoft's outage as of this pass: begun, gone on, or over.
#[must_use]
pub(super) fn outage_after(s: &TenantSnapshot<'_>) -> Option<MicrosoftOutage> {
    let before = s.facts.outage;
    match s
        .observed
        .outages()
        .find(|outage| outage.kind.is_microsoft())
    {
        Some(outage) => Some(MicrosoftOutage {
            since: before.map_or(s.now, |before| before.since),
            tries: before.map_or(0, |before| before.tries).saturating_add(1),
            kind: outage.kind,
        }),
        None if s.observed.microsoft_answers() => None,
        // Nothing was learned: neither that it goes on nor that it is over.
        None => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_that_mailboxes_are_refused_is_not_believed_in_any_more() {
        let now = Timestamp::UNIX_EPOCH;
        let mut evidence = Evidence::default();
        let works = MailboxProof {
            calendar: Proof::Works,
            places: Proof::Works,
            directory: Proof::None,
        };
        assert_eq!(evidence.prove(works, now), News::CalendarsWork);
        assert_eq!(evidence.prove(works, now), News::None);
        let refused = MailboxProof {
            calendar: Proof::Refused,
            places: Proof::Refused,
            directory: Proof::Refused,
        };
        assert_eq!(evidence.prove(refused, now), News::Revoked);
        assert_eq!(evidence.places, None);
        assert_eq!(
            evidence.calendars,
            Some(now),
            "one mailbox does not speak for all"
        );
        assert_eq!(evidence.prove(refused, now), News::None, "no news twice");
    }
}
