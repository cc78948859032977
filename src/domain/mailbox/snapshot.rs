//! Everything that a pass over a mailbox decides from: one value, time included.

use std::sync::Arc;

use jiff::Timestamp;

use super::desired::MailboxDesired;
use super::look::Observed;
use super::subscription::{Endpoint, Progress};
use super::tenant_view::TenantView;
use super::work::Work;
use crate::api::v1alpha1::condition::Condition;
use crate::domain::records::{MailboxRecord, Memory};
use crate::domain::schedule::Pace;
use crate::ids::{MailboxId, ObjectKey};

/// What a pass over one mailbox knows.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The object.
    pub record: &'a MailboxRecord,
    /// What it asks for; `Err` is a spec that cannot be used.
    pub desired: &'a Result<MailboxDesired, String>,
    /// Its tenant.
    pub tenant: &'a TenantView,
    /// An older, permitted object with the same mailbox.
    pub conflict: Option<&'a ObjectKey>,
    /// What this process remembers.
    pub memory: &'a Memory,
    /// Why we are here.
    pub work: Work,
    /// What was seen in this pass.
    pub observed: &'a Observed,
    /// What happened to the subscription in this pass.
    pub progress: &'a Progress,
    /// Where notifications are to go, and our keys.
    pub endpoint: &'a Endpoint,
    /// Now, on our clock.
    pub now: Timestamp,
    /// Now, on Graph's clock.
    pub graph_now: Timestamp,
    /// Divides waits in a rehearsal.
    pub pace: Pace,
}

/// The mailbox behind an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Object id, or the address when the directory may not be read.
    pub id: MailboxId,
    /// Primary SMTP address.
    pub primary_address: Arc<str>,
    /// Name that people know.
    pub display_name: Option<Arc<str>>,
}

impl Snapshot<'_> {
    /// Conditions as they stand.
    #[must_use]
    pub fn previous(&self) -> &[Condition] {
        &self.record.status.conditions
    }

    /// The same object with other answers.
    #[must_use]
    pub const fn with<'b>(&'b self, observed: &'b Observed) -> Snapshot<'b> {
        Snapshot { observed, ..*self }
    }

    /// Who the mailbox is: as seen in this pass, else as the status remembers it for the same address.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        let desired = self.desired.as_ref().ok()?;
        if let Some(person) = self.observed.person(&desired.address) {
            let primary = person
                .primary
                .as_deref()
                .map_or_else(|| Arc::clone(&desired.address), Arc::from);
            let display_name = Some(person.display_name.as_str())
                .filter(|name| !name.is_empty())
                .map(Arc::from);
            return Some(Identity {
                id: person.id.clone(),
                primary_address: primary,
                display_name,
            });
        }
        if self.observed.directory_forbidden() {
            let address = Arc::clone(&desired.address);
            let id = MailboxId::new(Arc::clone(&address));
            return Some(Identity {
                id,
                primary_address: address,
                display_name: None,
            });
        }
        let known = self.record.status.mailbox.as_ref()?;
        desired.is_at(known).then(|| Identity {
            id: known.id.clone(),
            primary_address: Arc::clone(&known.primary_address),
            display_name: known.display_name.clone(),
        })
    }
}
