//! What Graph tells us, reduced to what the operator uses. Graph's own spelling stays in `wire`.

use jiff::{SignedDuration, Timestamp};
use url::Url;
use uuid::Uuid;

use crate::ids::{MailboxId, SubscriptionId};
use crate::secret::Secret;

/// Facts about the token in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// Application roles in the token, sorted. Empty when nothing was consented (docs/graph.md 1.6).
    pub roles: Vec<String>,
    /// When it was issued to us.
    pub acquired_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// `GET /organization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Tenant ID.
    pub id: String,
    /// Name that people know.
    pub display_name: String,
    /// Its verified domains.
    pub domains: Vec<Domain>,
}

/// One domain of the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Fully qualified name, lower case.
    pub name: String,
    /// The tenant's default domain.
    pub default: bool,
    /// Ownership was proven.
    pub verified: bool,
}

/// A directory user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Object id.
    pub id: MailboxId,
    /// Name that people know.
    pub display_name: String,
    /// Primary SMTP address, if the user has mail.
    pub mail: Option<String>,
    /// Sign-in name.
    pub user_principal_name: String,
    /// Addresses with their prefix: `SMTP:` is the primary, `smtp:` an alias.
    pub proxy_addresses: Vec<String>,
    /// Whether it is a guest.
    pub guest: bool,
}

/// `GET /users/{id}/calendar`: proof that the mailbox can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Opaque id.
    pub id: String,
    /// Primary address of the calendar's owner, if Graph names it.
    pub owner_address: Option<String>,
}

/// Opaque id of an event in one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId(pub String);

/// The event that proves that events can be created: free, without attendees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestEvent {
    /// Tells people what it is.
    pub subject: String,
    /// Its begin.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// Recognizes it again: Graph returns it and refuses a second event with the same one.
    pub transaction_id: Uuid,
}

/// An event, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// The mark that its creator left.
    pub transaction_id: Option<String>,
}

/// A room as Places knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Opaque id.
    pub id: String,
    /// Address of its mailbox.
    pub email_address: Option<String>,
}

/// A change-notification subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// What it watches, such as `users/{id}/events`.
    pub resource: String,
    /// Where Graph sends changes. Text, since foreign ones may be anything.
    pub notification_url: String,
    /// When it ends, on Graph's clock.
    pub expires_at: Timestamp,
}

/// A subscription to create.
#[derive(Clone, Debug)]
pub struct NewSubscription {
    /// Whose events.
    pub mailbox: MailboxId,
    /// Where to send changes.
    pub notification_url: Url,
    /// Where to send lifecycle events.
    pub lifecycle_url: Url,
    /// Authenticates notifications: at most 128 characters.
    pub client_state: Secret,
    /// Requested end.
    pub expires_at: Timestamp,
}

/// A created or renewed subscription, and how long it lives as Graph sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Its id.
    pub id: SubscriptionId,
    /// When the answer was given, on Graph's clock (`Date` header; ours when it is missing).
    pub granted_at: Timestamp,
    /// When it ends, on Graph's clock.
    pub expires_at: Timestamp,
}

/// How far Graph's clock is ahead of ours, from the `Date` header of its last answer.
pub type ClockOffset = SignedDuration;
