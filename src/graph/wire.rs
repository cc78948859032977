//! Graph's spelling. Fields that we do not use are not read; those that may be missing are optional.

use jiff::Timestamp;
use serde::Deserialize;

use crate::graph::model::{
    Calendar, Domain, Event, EventId, Organization, Place, Subscription, User,
};
use crate::ids::{MailboxId, SubscriptionId};

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireOrganization {
    id: String,
    display_name: Option<String>,
    #[serde(default)]
    verified_domains: Vec<WireVerifiedDomain>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireVerifiedDomain {
    name: String,
    #[serde(default)]
    is_default: bool,
}

impl From<WireOrganization> for Organization {
    fn from(wire: WireOrganization) -> Self {
        Self {
            id: wire.id,
            display_name: wire.display_name.unwrap_or_default(),
            domains: wire
                .verified_domains
                .into_iter()
                .map(|domain| Domain {
                    name: domain.name.to_lowercase(),
                    default: domain.is_default,
                    verified: true,
                })
                .collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireDomain {
    id: String,
    #[serde(default)]
    is_default: bool,
    #[serde(default)]
    is_verified: bool,
}

impl From<WireDomain> for Domain {
    fn from(wire: WireDomain) -> Self {
        Self {
            name: wire.id.to_lowercase(),
            default: wire.is_default,
            verified: wire.is_verified,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireUser {
    id: String,
    display_name: Option<String>,
    mail: Option<String>,
    user_principal_name: Option<String>,
    #[serde(default)]
    proxy_addresses: Vec<String>,
    user_type: Option<String>,
}

impl From<WireUser> for User {
    fn from(wire: WireUser) -> Self {
        Self {
            id: MailboxId::new(wire.id),
            display_name: wire.display_name.unwrap_or_default(),
            mail: wire.mail,
            user_principal_name: wire.user_principal_name.unwrap_or_default(),
            proxy_addresses: wire.proxy_addresses,
            guest: wire
                .user_type
                .is_some_and(|kind| kind.eq_ignore_ascii_case("guest")),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WireCalendar {
    id: String,
    owner: Option<WireAddress>,
}

#[derive(Debug, Deserialize)]
struct WireAddress {
    address: Option<String>,
}

impl From<WireCalendar> for Calendar {
    fn from(wire: WireCalendar) -> Self {
        Self {
            id: wire.id,
            owner_address: wire.owner.and_then(|owner| owner.address),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WirePlace {
    id: String,
    email_address: Option<String>,
}

impl From<WirePlace> for Place {
    fn from(wire: WirePlace) -> Self {
        Self {
            id: wire.id,
            email_address: wire.email_address,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireEvent {
    id: String,
    transaction_id: Option<String>,
}

impl From<WireEvent> for Event {
    fn from(wire: WireEvent) -> Self {
        Self {
            id: EventId(wire.id),
            transaction_id: wire.transaction_id,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireSubscription {
    pub(super) id: String,
    resource: Option<String>,
    notification_url: Option<String>,
    #[serde(rename = "expirationDateTime")]
    pub(super) expires_at: Timestamp,
}

impl From<WireSubscription> for Subscription {
    fn from(wire: WireSubscription) -> Self {
        Self {
            id: SubscriptionId::new(wire.id),
            resource: wire.resource.unwrap_or_default(),
            notification_url: wire.notification_url.unwrap_or_default(),
            expires_at: wire.expires_at,
        }
    }
}
