//! A tenant and a Microsoft 365 of values: answers every look, so that whole passes run without anything real.

use std::time::Duration;

use jiff::Timestamp;

use super::super::credential::{
    CredentialProblem, CredentialReading, RefusalCause, TokenReading, TokenRefused,
};
use super::super::desired::{SpecProblem, TenantDesired};
use super::super::facts::TenantFacts;
use super::super::looks::{self, TenantLook};
use super::super::memory::TenantMemory;
use super::super::observed::{DomainSeen, OrganizationSeen, TenantObserved};
use super::super::snapshot::{Mailboxes, TenantSnapshot};
use super::super::status;
use super::super::work::{self, Work};
use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::v1alpha1::tenant::{CalendarTenantSpec, CalendarTenantStatus};
use crate::api::vocabulary::{ConditionType, Reason, TENANT};
use crate::domain::conditions::find;
use crate::domain::endpoints::AllowedEndpoints;
use crate::domain::notification_url::EndpointVerdict;
use crate::domain::queue::Class;
use crate::domain::reading::{Absence, Outage, OutageKind, Reading, Refusal};
use crate::domain::records::TenantRecord;
use crate::domain::schedule::{Pace, later};
use crate::ids::{ObjectKey, Uid};

/// What Microsoft answers to one kind of look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    NotThere,
    NotEnabledForRest,
    Refused,
    Fails(OutageKind),
}

impl Answer {
    pub(super) fn reading<T>(self, value: T) -> Reading<T> {
        let absence = |not_enabled_for_rest| Absence {
            not_enabled_for_rest,
            request_id: Some("r-1".to_owned()),
        };
        match self {
            Self::Yes => Reading::Present(value),
            Self::NotThere => Reading::Absent(absence(false)),
            Self::NotEnabledForRest => Reading::Absent(absence(true)),
            Self::Refused => Reading::Forbidden(Refusal {
                by_access_policy: false,
                request_id: Some("r-1".to_owned()),
            }),
            Self::Fails(kind) => Reading::Unavailable(outage(kind)),
        }
    }
}

pub(super) fn outage(kind: OutageKind) -> Outage {
    Outage::of(kind)
}

/// Microsoft 365 and the cluster, as one tenant sees them.
#[derive(Clone, Debug)]
pub(super) struct Microsoft {
    pub(super) credential: Result<Option<Timestamp>, CredentialProblem>,
    /// Whether the Secret holds another credential than in the pass before.
    pub(super) other_credential: bool,
    pub(super) refused: Option<RefusalCause>,
    pub(super) token_fails: Option<OutageKind>,
    pub(super) roles: Vec<&'static str>,
    pub(super) domains: Answer,
    pub(super) unverified: Vec<&'static str>,
    pub(super) organization: Answer,
    pub(super) places: Answer,
    pub(super) directory: Answer,
    pub(super) calendar: Answer,
    pub(super) create: Answer,
    pub(super) read: Answer,
    pub(super) delete: Answer,
    pub(super) isolation: Answer,
}

pub(super) const ROLES: [&str; 4] = [
    "Calendars.Read",
    "Domain.Read.All",
    "Place.Read.All",
    "User.Read.All",
];

impl Default for Microsoft {
    fn default() -> Self {
        Self {
            credential: Ok(None),
            other_credential: false,
            refused: None,
            token_fails: None,
            roles: ROLES.to_vec(),
            domains: Answer::Yes,
            unverified: Vec::new(),
            organization: Answer::Yes,
            places: Answer::Yes,
            directory: Answer::Yes,
            calendar: Answer::Yes,
            create: Answer::Yes,
            read: Answer::Yes,
            delete: Answer::Yes,
            isolation: Answer::Refused,
        }
    }
}

/// A tenant in the cluster, with everything that the operator keeps of it.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) microsoft: Microsoft,
    pub(super) record: TenantRecord,
    pub(super) facts: TenantFacts,
    pub(super) memory: TenantMemory,
    pub(super) endpoint: EndpointVerdict,
    pub(super) mailboxes: Mailboxes,
    pub(super) now: Timestamp,
    /// The API server takes no status.
    pub(super) cluster_refuses: bool,
    /// Looks of the last pass, in order.
    pub(super) looks: Vec<TenantLook>,
}

pub(super) fn start() -> Timestamp {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_spec("")
    }

    /// A tenant whose spec has more lines of YAML.
    pub(super) fn with_spec(more: &str) -> Self {
        let record = TenantRecord {
            key: ObjectKey::new("calendars", "contoso"),
            uid: Uid::parse("0b2c7a9c-3333-4000-8000-000000000001").unwrap(),
            generation: 1,
            resource_version: "1".into(),
            created_at: start(),
            requested_at: None,
            spec: spec(more),
            status: CalendarTenantStatus::default(),
        };
        Self {
            microsoft: Microsoft::default(),
            record,
            facts: TenantFacts::default(),
            memory: TenantMemory::new(start(), start()),
            endpoint: EndpointVerdict::default(),
            mailboxes: Mailboxes::default(),
            now: start(),
            cluster_refuses: false,
            looks: Vec::new(),
        }
    }

    pub(super) fn desired(&self) -> Result<TenantDesired, SpecProblem> {
        TenantDesired::from_spec("calendars", &self.record.spec, &AllowedEndpoints::default())
    }

    /// The operator starts again: only the status is left.
    pub(super) fn restart(&mut self) {
        self.facts = TenantFacts::remembered(&self.record.status);
        self.memory = TenantMemory::new(self.now, self.now);
    }

    pub(super) fn pass_time(&mut self, by: Duration) {
        self.now = later(self.now, by);
    }

    pub(super) fn change_spec(&mut self, more: &str) {
        self.record.spec = spec(more);
        self.record.generation += 1;
    }

    pub(super) fn due(&self) -> Option<Work> {
        self.snapshot(|s| work::agenda(s).due(s.now))
    }

    pub(super) fn next(&self) -> (Timestamp, Class) {
        self.snapshot(|s| work::agenda(s).next(s.now)).unwrap()
    }

    fn snapshot<T>(&self, ask: impl FnOnce(&TenantSnapshot<'_>) -> T) -> T {
        let desired = self.desired();
        ask(&TenantSnapshot {
            record: &self.record,
            desired: &desired,
            facts: &self.facts,
            memory: &self.memory,
            work: Work::NONE,
            observed: &TenantObserved::default(),
            endpoint: self.endpoint,
            mailboxes: &self.mailboxes,
            now: self.now,
            pace: Pace::REAL,
        })
    }

    /// One whole pass with what is due, as the controller makes it. Says whether the status would be written.
    pub(super) fn pass(&mut self) -> bool {
        let work = self.due().unwrap_or(Work::NONE);
        self.pass_with(work)
    }

    pub(super) fn pass_with(&mut self, work: Work) -> bool {
        let desired = self.desired();
        let memory = self.memory.clone();
        let facts = self.facts.clone();
        self.memory.begin(work);
        let mut observed = TenantObserved::default();
        self.looks.clear();
        loop {
            let snapshot = TenantSnapshot {
                record: &self.record,
                desired: &desired,
                facts: &facts,
                memory: &memory,
                work,
                observed: &observed,
                endpoint: self.endpoint,
                mailboxes: &self.mailboxes,
                now: self.now,
                pace: Pace::REAL,
            };
            let Some(look) = looks::next(&snapshot) else {
                let assessed = status::status(&snapshot);
                self.facts.learn(&snapshot);
                let written = assessed != self.record.status;
                if written && self.cluster_refuses {
                    self.memory.fail(&snapshot);
                } else {
                    self.memory.end(&snapshot);
                    self.record.status = assessed;
                }
                return written;
            };
            assert!(self.looks.len() < 20, "looks without end: {:?}", self.looks);
            self.microsoft.answer(&look, &mut observed);
            self.looks.push(look);
        }
    }

    /// Passes until nothing is due.
    pub(super) fn settle(&mut self) {
        for _ in 0..20 {
            if self.due().is_none() {
                return;
            }
            self.pass();
        }
        panic!("still due: {:?}", self.due());
    }

    pub(super) fn condition(&self, type_: &ConditionType) -> &Condition {
        find(&self.record.status.conditions, type_).unwrap()
    }

    pub(super) fn ready(&self) -> (ConditionStatus, Reason) {
        let ready = self.condition(&ConditionType::Ready);
        (ready.status, ready.reason.clone())
    }

    /// Conditions that are True, with their reasons, besides the summaries.
    pub(super) fn problems(&self) -> Vec<(ConditionType, Reason)> {
        TENANT
            .iter()
            .map(|meta| self.condition(meta.type_))
            .filter(|c| c.status == ConditionStatus::True)
            .map(|c| (c.type_.clone(), c.reason.clone()))
            .collect()
    }
}

impl Microsoft {
    fn answer(&self, look: &TenantLook, seen: &mut TenantObserved) {
        match look {
            TenantLook::Credential => {
                seen.credential = match &self.credential {
                    Ok(expires_at) => CredentialReading::Usable {
                        changed: self.other_credential,
                        expires_at: *expires_at,
                    },
                    Err(problem) => CredentialReading::Problem(problem.clone()),
                };
            }
            TenantLook::Token(_) => seen.token = self.token(),
            TenantLook::Company { places } => {
                let mut domains = self.all_domains();
                seen.domains = self.domains.reading(domains.clone());
                domains.retain(|domain| domain.verified);
                seen.organization = self.organization.reading(OrganizationSeen {
                    id: "5f1d7a9c-1111-4000-8000-000000000001".to_owned(),
                    display_name: "Contoso".to_owned(),
                    domains,
                });
                if *places {
                    seen.places = self.places.reading(());
                }
            }
            TenantLook::Directory { .. } => seen.directory = self.directory.reading(()),
            TenantLook::Calendar { .. } => seen.calendar = self.calendar.reading(()),
            TenantLook::DeleteLeftover(_) => seen.test.leftover = self.delete.reading(()),
            TenantLook::CreateTestEvent { .. } => {
                seen.test.created = self.create.reading("event-1".to_owned());
            }
            TenantLook::ReadTestEvent(_) => seen.test.read = self.read.reading(()),
            TenantLook::DeleteTestEvent(_) => seen.test.deleted = self.delete.reading(()),
            TenantLook::IsolationProbe { .. } => seen.isolation = self.isolation.reading(()),
        }
    }

    fn token(&self) -> TokenReading {
        if let Some(kind) = self.token_fails {
            return TokenReading::Unavailable(outage(kind));
        }
        match self.refused {
            Some(cause) => TokenReading::Refused(TokenRefused {
                cause,
                request_id: Some("r-0".to_owned()),
            }),
            None => TokenReading::Issued {
                roles: self.roles.iter().map(|role| (*role).to_owned()).collect(),
            },
        }
    }

    fn all_domains(&self) -> Vec<DomainSeen> {
        let verified = ["contoso.onmicrosoft.com", "contoso.example"]
            .into_iter()
            .filter(|name| !self.unverified.contains(name))
            .map(|name| (name, true));
        let unverified = self.unverified.iter().map(|name| (*name, false));
        verified
            .chain(unverified)
            .map(|(name, verified)| DomainSeen {
                name: name.to_owned(),
                default: name == "contoso.example",
                verified,
            })
            .collect()
    }
}

pub(super) fn spec(more: &str) -> CalendarTenantSpec {
    let mut spec = serde_json::json!({
        "tenantId": "5F1D7A9C-1111-4000-8000-000000000001",
        "clientId": "5f1d7a9c-2222-4000-8000-000000000001",
        "credential": {"clientSecret": {"secretRef": {"name": "graph"}}},
    });
    let more: serde_json::Value = serde_yaml_ng::from_str(more).unwrap();
    for (name, value) in more.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}
