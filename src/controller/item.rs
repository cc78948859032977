//! What the work queue holds, and by what it is fair.

use crate::ids::{ObjectKey, SubscriptionId};

/// One thing to work on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Item {
    /// A pass over a tenant.
    Tenant(ObjectKey),
    /// A pass over a mailbox.
    Mailbox(ObjectKey),
    /// The subscription of an object that is gone. Boxed, because nearly all items are mailboxes, which take less.
    Removal(Box<SubscriptionId>),
    /// A look at all subscriptions of a tenant.
    Sweep(ObjectKey),
}

/// Who shares a part of what may be in flight. A tenant's own pass does not wait behind its mailboxes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// The tenant itself.
    Tenant(ObjectKey),
    /// Its mailboxes.
    Mailboxes(ObjectKey),
    /// What is to be cleaned up in it.
    Cleanup(ObjectKey),
}
