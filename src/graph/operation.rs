//! The calls that this operator makes, by the names that metrics and the emulator's journal use.

use std::fmt;

/// One kind of call to Entra or Graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `POST /{tenant}/oauth2/v2.0/token`
    Token,
    /// `POST /$batch`: the envelope of several calls
    Batch,
    /// `GET /organization`
    GetOrganization,
    /// `GET /domains`
    ListDomains,
    /// `GET /users/{id}`
    GetUser,
    /// `GET /users?$filter=…`
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
    /// `DELETE /subscriptions/{id}`
    DeleteSubscription,
}

impl Operation {
    /// Whether it makes something: done twice, there are two.
    #[must_use]
    pub const fn creates(self) -> bool {
        match self {
            Self::CreateEvent | Self::CreateSubscription => true,
            Self::Token
            | Self::Batch
            | Self::GetOrganization
            | Self::ListDomains
            | Self::GetUser
            | Self::FindUsers
            | Self::GetCalendar
            | Self::GetPlace
            | Self::ListPlaces
            | Self::GetEvent
            | Self::DeleteEvent
            | Self::GetSubscription
            | Self::ListSubscriptions
            | Self::RenewSubscription
            | Self::DeleteSubscription => false,
        }
    }

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Batch => "batch",
            Self::GetOrganization => "getOrganization",
            Self::ListDomains => "listDomains",
            Self::GetUser => "getUser",
            Self::FindUsers => "findUsers",
            Self::GetCalendar => "getCalendar",
            Self::GetPlace => "getPlace",
            Self::ListPlaces => "listPlaces",
            Self::CreateEvent => "createEvent",
            Self::GetEvent => "getEvent",
            Self::DeleteEvent => "deleteEvent",
            Self::CreateSubscription => "createSubscription",
            Self::GetSubscription => "getSubscription",
            Self::ListSubscriptions => "listSubscriptions",
            Self::RenewSubscription => "renewSubscription",
            Self::DeleteSubscription => "deleteSubscription",
        }
    }

    /// Whether the call changes something at Graph.
    #[must_use]
    pub const fn is_write(self) -> bool {
        match self {
            Self::CreateEvent
            | Self::DeleteEvent
            | Self::CreateSubscription
            | Self::RenewSubscription
            | Self::DeleteSubscription => true,
            Self::Token
            | Self::Batch
            | Self::GetOrganization
            | Self::ListDomains
            | Self::GetUser
            | Self::FindUsers
            | Self::GetCalendar
            | Self::GetPlace
            | Self::ListPlaces
            | Self::GetEvent
            | Self::GetSubscription
            | Self::ListSubscriptions => false,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
