//! `POST /subscriptions`, in three steps: read, check, store. The validation of its URLs is in between.

use jiff::Timestamp;

use super::body::{check_fields, check_resource, check_url, instant, invalid, required, text};
use super::{granted, refused, subscription_json, tenant_of};
use crate::call::{Answer, Call};
use crate::graph::Result;
use crate::graph::access::{self, Need};
use crate::graph::error::{error, relayed};
use crate::graph::payload::object;
use crate::graph::query::{Query, context_url};
use crate::ids::Ids;
use crate::state::Data;
use crate::state::subscriptions::{Subscription, change_types};
use crate::world::Quotas;

const MOST_PER_MAILBOX: usize = 1000;
const LONGEST_CLIENT_STATE: usize = 128;
const CHANGES: &[&str] = &["created", "updated", "deleted"];
const TLS_VERSIONS: &[&str] = &["v1_0", "v1_1", "v1_2", "v1_3"];

/// A subscription that a caller asks for, before its URLs are validated.
#[derive(Debug)]
pub(crate) struct Creation {
    user: String,
    asked_until: Timestamp,
    subscription: Subscription,
}

impl Creation {
    /// Reads the body and refuses what Graph refuses without looking at the mailbox.
    pub(crate) fn read(call: &Call, caller: &access::Caller, now: Timestamp) -> Result<Self> {
        Query::read(call, &[])?;
        let body = object(call)?;
        check_fields(&body)?;
        let change_type = required(&body, "changeType")?;
        if let Some(unknown) = change_types(change_type)
            .iter()
            .find(|change| !CHANGES.contains(&change.as_str()))
        {
            return Err(invalid(format!("The changeType '{unknown}' is not supported.")).into());
        }
        let client_state = text(&body, "clientState")?;
        if client_state.is_some_and(|state| state.chars().count() > LONGEST_CLIENT_STATE) {
            let message = "The property 'clientState' must not exceed 128 characters.";
            return Err(invalid(message).into());
        }
        let tls = text(&body, "latestSupportedTlsVersion")?.unwrap_or("v1_2");
        if !TLS_VERSIONS.contains(&tls) {
            return Err(invalid(format!("latestSupportedTlsVersion '{tls}' is not valid.")).into());
        }
        let asked_until = instant(required(&body, "expirationDateTime")?)?;
        let resource = required(&body, "resource")?;
        let user = check_resource(resource)?;
        let notification_url = required(&body, "notificationUrl")?;
        check_url("notificationUrl", notification_url)?;
        let lifecycle = text(&body, "lifecycleNotificationUrl")?;
        if let Some(url) = lifecycle {
            check_url("lifecycleNotificationUrl", url)?;
        }
        Ok(Self {
            user,
            asked_until,
            subscription: Subscription {
                id: String::new(),
                tenant: caller.tenant.clone(),
                client_id: caller.client_id.clone(),
                creator_id: caller.principal_id.clone(),
                resource: resource.to_owned(),
                mailbox_id: String::new(),
                mailbox: String::new(),
                change_type: change_type.to_owned(),
                notification_url: notification_url.to_owned(),
                lifecycle_notification_url: lifecycle.map(str::to_owned),
                client_state: client_state.map(str::to_owned),
                created_date_time: now,
                expiration_date_time: asked_until,
                latest_supported_tls_version: tls.to_owned(),
            },
        })
    }

    /// Refuses what the mailbox, the policy, the limits or another subscription forbid.
    pub(crate) fn check(
        &mut self,
        data: &Data,
        caller: &access::Caller,
        now: Timestamp,
    ) -> Result<()> {
        let tenant = tenant_of(data, caller)?;
        let account = access::mailbox(tenant, caller, &self.user, Need::Subscribe)
            .map_err(|obstacle| refused("Create", obstacle, data))?;
        self.subscription.mailbox_id.clone_from(&account.id);
        self.subscription.mailbox.clone_from(&account.spec.address);
        self.subscription.expiration_date_time = granted(self.asked_until, data, now)?;
        let of_mailbox = || data.subscriptions.of_mailbox(&account.id);
        let double = of_mailbox().find(|other| {
            other.client_id == caller.client_id
                && other.change_types() == self.subscription.change_types()
        });
        if let Some(double) = double
            && !data.directory.world.behaviour.allow_duplicates
        {
            let message = format!(
                "Subscription Id {} already exists for the requested combination",
                double.id
            );
            return Err(error(409, "ObjectIdentifierInUse", message).into());
        }
        let limited = data.directory.world.quotas == Quotas::Documented;
        if limited && of_mailbox().count() >= MOST_PER_MAILBOX {
            let reason = "Maximum number of subscriptions has been reached";
            return Err(relayed("Create", 403, "Forbidden", reason).into());
        }
        Ok(())
    }

    /// What is to authenticate notifications.
    pub(crate) fn client_state(&self) -> Option<&str> {
        self.subscription.client_state.as_deref()
    }

    /// The URLs to validate: both, even if they are the same.
    pub(crate) fn urls(&self) -> Vec<String> {
        let subscription = &self.subscription;
        std::iter::once(subscription.notification_url.clone())
            .chain(subscription.lifecycle_notification_url.clone())
            .collect()
    }

    /// Stores the subscription.
    pub(crate) fn store(
        mut self,
        data: &mut Data,
        ids: &Ids,
        call: &Call,
        now: Timestamp,
    ) -> Answer {
        self.subscription.id = ids.fresh("subscription").to_string();
        self.subscription.created_date_time = now;
        let subscription = self.subscription;
        data.expect_end(subscription.expiration_date_time);
        let mut body = subscription_json(&subscription);
        body["clientState"] = subscription.client_state.clone().into();
        body["@odata.context"] = context_url(call, "subscriptions/$entity").into();
        data.subscriptions.insert(subscription);
        Answer::created(body)
    }
}
