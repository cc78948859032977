//! The calls that the emulator knows, by the names that the journal, the counts and the faults use.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One kind of call to Entra or Graph.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Any operation; only in a fault rule.
    #[default]
    #[serde(rename = "*")]
    Any,
    /// `POST /{tenant}/oauth2/v2.0/token`
    Token,
    /// OIDC and instance discovery, and the signing keys.
    Discovery,
    /// `GET /organization`
    GetOrganization,
    /// `GET /domains` and `GET /domains/{name}`
    ListDomains,
    /// `GET /applications(appId='{appId}')`
    GetApplication,
    /// `GET /users/{id}`
    GetUser,
    /// `GET /users`
    FindUsers,
    /// `GET /users/{id}/calendar`
    GetCalendar,
    /// `GET /places/{address}`
    GetPlace,
    /// `GET /places/microsoft.graph.room`
    ListPlaces,
    /// `POST /users/{id}/events`
    CreateEvent,
    /// `GET /users/{id}/events/{id}`
    GetEvent,
    /// `PATCH /users/{id}/events/{id}`
    UpdateEvent,
    /// `DELETE /users/{id}/events/{id}`
    DeleteEvent,
    /// `POST /subscriptions`
    CreateSubscription,
    /// `GET /subscriptions/{id}`
    GetSubscription,
    /// `GET /subscriptions`
    ListSubscriptions,
    /// `PATCH /subscriptions/{id}`
    RenewSubscription,
    /// `POST /subscriptions/{id}/reauthorize`
    ReauthorizeSubscription,
    /// `DELETE /subscriptions/{id}`
    DeleteSubscription,
    /// `POST /$batch`
    Batch,
    /// A call that the emulator does not imitate.
    Unknown,
}

impl Operation {
    /// The name in the journal, in counts and in fault rules.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "*",
            Self::Token => "token",
            Self::Discovery => "discovery",
            Self::GetOrganization => "getOrganization",
            Self::ListDomains => "listDomains",
            Self::GetApplication => "getApplication",
            Self::GetUser => "getUser",
            Self::FindUsers => "findUsers",
            Self::GetCalendar => "getCalendar",
            Self::GetPlace => "getPlace",
            Self::ListPlaces => "listPlaces",
            Self::CreateEvent => "createEvent",
            Self::GetEvent => "getEvent",
            Self::UpdateEvent => "updateEvent",
            Self::DeleteEvent => "deleteEvent",
            Self::CreateSubscription => "createSubscription",
            Self::GetSubscription => "getSubscription",
            Self::ListSubscriptions => "listSubscriptions",
            Self::RenewSubscription => "renewSubscription",
            Self::ReauthorizeSubscription => "reauthorizeSubscription",
            Self::DeleteSubscription => "deleteSubscription",
            Self::Batch => "batch",
            Self::Unknown => "unknown",
        }
    }

    /// The service behind Graph's front door that answers: it decides limits and the look of errors.
    pub(crate) const fn workload(self) -> Workload {
        match self {
            Self::Token | Self::Discovery => Workload::Entra,
            Self::GetOrganization
            | Self::ListDomains
            | Self::GetApplication
            | Self::GetUser
            | Self::FindUsers => Workload::Directory,
            Self::GetCalendar
            | Self::GetPlace
            | Self::ListPlaces
            | Self::CreateEvent
            | Self::GetEvent
            | Self::UpdateEvent
            | Self::DeleteEvent => Workload::Outlook,
            Self::CreateSubscription
            | Self::GetSubscription
            | Self::ListSubscriptions
            | Self::RenewSubscription
            | Self::ReauthorizeSubscription
            | Self::DeleteSubscription => Workload::Subscriptions,
            Self::Any | Self::Batch | Self::Unknown => Workload::Front,
        }
    }
}

/// A service behind the front door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    Entra,
    Directory,
    Outlook,
    Subscriptions,
    Front,
}

impl AsRef<str> for Operation {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_with_their_json() {
        for operation in [
            Operation::Any,
            Operation::Token,
            Operation::CreateSubscription,
            Operation::ReauthorizeSubscription,
            Operation::ListPlaces,
        ] {
            assert_eq!(serde_json::to_value(operation).unwrap(), operation.as_str());
        }
    }
}
