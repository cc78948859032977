//! What the store keeps of each object: just what decisions use, and the object's own memory.

use jiff::Timestamp;

use crate::api::v1alpha1::mailbox::{WorkspaceMailboxSpec, WorkspaceMailboxStatus};
use crate::api::v1alpha1::tenant::{CalendarTenantSpec, CalendarTenantStatus};
use crate::domain::mailbox::work::Work;
use crate::ids::{ObjectKey, Uid};

/// A Kubernetes object as far as decisions use it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<Spec, Status> {
    /// Namespace and name.
    pub key: ObjectKey,
    /// UID: another one under the same name is another object.
    pub uid: Uid,
    /// Generation of the spec.
    pub generation: i64,
    /// Version that a write must be based on.
    pub resource_version: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Value of the annotation that asks for a check now.
    pub requested_at: Option<String>,
    /// What is declared.
    pub spec: Spec,
    /// What was found out before.
    pub status: Status,
}

/// A tenant in the store.
pub type TenantRecord = Record<CalendarTenantSpec, CalendarTenantStatus>;

/// A mailbox in the store.
pub type MailboxRecord = Record<WorkspaceMailboxSpec, WorkspaceMailboxStatus>;

/// What this process remembers about one object. Losing it costs nothing but a little time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Slots and ladder steps up to this instant have been served.
    pub checked_at: Timestamp,
    /// Somebody asked for a check: a spec change, a credential change, a lifecycle event.
    pub check_wanted: bool,
    /// Graph said that the subscription was removed: look whether it is true.
    pub verify_wanted: bool,
    /// Graph wants the subscription reauthorized: renew it now.
    pub renew_wanted: bool,
    /// Passes in a row in which something could not be learned or done.
    pub failures: Failures,
    /// What the last failed pass was about, to be done again.
    pub retry: Work,
    /// When this process first saw the object.
    pub first_seen: Timestamp,
    /// A create whose outcome is not known: only a listing that is newer tells what it left.
    pub listing_after: Option<Timestamp>,
    /// When a problem that is not yet stalled will be.
    pub stalls_at: Option<Timestamp>,
}

/// Failures in a row that taught nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub tries: u32,
    /// When the first happened.
    pub since: Option<Timestamp>,
    /// Not to be tried again before.
    pub not_before: Option<Timestamp>,
}

impl Memory {
    /// Of an object that was first seen while slots up to `checked_at` count as served.
    #[must_use]
    pub fn new(checked_at: Timestamp, first_seen: Timestamp) -> Self {
        Self {
            checked_at,
            check_wanted: false,
            verify_wanted: false,
            renew_wanted: false,
            failures: Failures::default(),
            retry: Work::default(),
            first_seen,
            listing_after: None,
            stalls_at: None,
        }
    }
}
