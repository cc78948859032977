//! Everything that a pass over a tenant decides from: one value, time included.

use std::sync::Arc;

use jiff::Timestamp;

use super::credential::CredentialReading;
use super::desired::{SpecProblem, TenantDesired};
use super::facts::{Evidence, TenantFacts};
use super::memory::TenantMemory;
use super::observed::TenantObserved;
use super::work::Work;
use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::vocabulary::ConditionType;
use crate::domain::conditions::find;
use crate::domain::notification_url::EndpointVerdict;
use crate::domain::records::TenantRecord;
use crate::domain::schedule::Pace;
use crate::domain::store::Store;
use crate::ids::ObjectKey;

/// What a pass over one tenant knows.
#[derive(Clone, Copy, Debug)]
pub struct TenantSnapshot<'a> {
    /// The object.
    pub record: &'a TenantRecord,
    /// What it asks for; `Err` is a spec that cannot be used.
    pub desired: &'a Result<TenantDesired, SpecProblem>,
    /// What was learned lately.
    pub facts: &'a TenantFacts,
    /// What this process remembers.
    pub memory: &'a TenantMemory,
    /// Why we are here.
    pub work: Work,
    /// What was seen in this pass.
    pub observed: &'a TenantObserved,
    /// Whether Graph accepts our notification URL, as far as its cloud has shown.
    pub endpoint: EndpointVerdict,
    /// The mailboxes that may refer to it.
    pub mailboxes: &'a Mailboxes,
    /// Now, on our clock.
    pub now: Timestamp,
    /// Divides waits in a rehearsal.
    pub pace: Pace,
}

/// The permitted mailboxes of a tenant, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailboxes {
    /// All.
    pub total: usize,
    /// Those that are Ready.
    pub ready: usize,
    /// Address of one that should be readable: a Ready one if there is one.
    pub sample: Option<Arc<str>>,
}

impl Mailboxes {
    /// The permitted mailboxes of a tenant as a store has them.
    #[must_use]
    pub fn of(store: &Store, tenant: &ObjectKey) -> Self {
        let mut sum = Self::default();
        for entry in store.mailboxes_of(tenant) {
            if !store.is_permitted(entry) {
                continue;
            }
            let ready = find(&entry.record.status.conditions, &ConditionType::Ready)
                .is_some_and(|c| c.status == ConditionStatus::True);
            sum.total += 1;
            if ready {
                sum.ready += 1;
            }
            if sum.sample.is_none() || ready && sum.ready == 1 {
                sum.sample = Some(Arc::clone(&entry.record.spec.address));
            }
        }
        sum
    }
}

impl TenantSnapshot<'_> {
    /// Conditions as they stand.
    #[must_use]
    pub fn previous(&self) -> &[Condition] {
        &self.record.status.conditions
    }

    /// The same object with other answers.
    #[must_use]
    pub const fn with<'b>(&'b self, observed: &'b TenantObserved) -> TenantSnapshot<'b> {
        TenantSnapshot { observed, ..*self }
    }

    /// What was seen to work lately. With other roles in the token than then, or of another application, it proves
    /// nothing any more.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        match (self.observed.roles(), self.desired) {
            (Some(roles), _) if !self.facts.has_roles(roles) => Evidence::default(),
            (_, Ok(desired)) => self.facts.evidence_for(&desired.app()),
            (_, Err(_)) => self.facts.evidence,
        }
    }

    /// Whether the provisioning check is to be made: it is asked for, its outcome is not known, or the credential is
    /// another one.
    #[must_use]
    pub fn wants_test(&self) -> bool {
        let known = find(self.previous(), &ConditionType::TestMailboxFailed)
            .is_some_and(|c| c.status != ConditionStatus::Unknown);
        let other = match &self.observed.credential {
            CredentialReading::Usable { changed, .. } => *changed,
            CredentialReading::NotLooked
            | CredentialReading::Problem(_)
            | CredentialReading::Unavailable(_) => false,
        };
        self.work.test || self.work.check && !known || other
    }

    /// A mailbox to try reading a calendar with.
    #[must_use]
    pub fn probe_mailbox(&self) -> Option<&str> {
        let test = self
            .desired
            .as_ref()
            .ok()
            .and_then(|desired| desired.test_mailbox.as_deref());
        test.or(self.mailboxes.sample.as_deref())
    }
}
