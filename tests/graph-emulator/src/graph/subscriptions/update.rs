//! `PATCH /subscriptions/{id}`, in three steps: read, check, store. The validation of a new URL is in
//! between.

use jiff::Timestamp;

use super::body::{check_url, instant, invalid, text};
use super::{authorized, granted, missing, subscription_json};
use crate::call::{Answer, Call};
use crate::graph::Result;
use crate::graph::access;
use crate::graph::error::not_imitated;
use crate::graph::payload::object;
use crate::graph::query::{Query, context_url};
use crate::state::Data;

/// A change of a subscription, before a new URL is validated.
#[derive(Debug)]
pub(crate) struct Update {
    id: String,
    asked_until: Option<Timestamp>,
    notification_url: Option<String>,
}

impl Update {
    /// Reads the body.
    pub(crate) fn read(call: &Call, id: &str) -> Result<Self> {
        Query::read(call, &[])?;
        let body = object(call)?;
        for (name, value) in &body {
            match name.as_str() {
                "@odata.type" | "id" | "expirationDateTime" | "notificationUrl" => {}
                _ if value.is_null() => {}
                "changeType" | "resource" | "clientState" | "lifecycleNotificationUrl" => {
                    return Err(invalid(format!("The property '{name}' cannot be changed.")).into());
                }
                _ => return Err(not_imitated(format!("a change of property {name}"))),
            }
        }
        let asked_until = text(&body, "expirationDateTime")?
            .map(instant)
            .transpose()?;
        let notification_url = text(&body, "notificationUrl")?.map(str::to_owned);
        if let Some(url) = &notification_url {
            check_url("notificationUrl", url)?;
        }
        if asked_until.is_none() && notification_url.is_none() {
            let message = "Subscription must contain either the 'expirationDateTime' or \
                           'notificationUrl' property and its value.";
            return Err(invalid(message).into());
        }
        Ok(Self {
            id: id.to_owned(),
            asked_until,
            notification_url,
        })
    }

    /// Refuses what the subscription, the policy or the limits forbid.
    pub(crate) fn check(&self, data: &Data, caller: &access::Caller, now: Timestamp) -> Result<()> {
        authorized("Update", &self.id, data, caller)?;
        if let Some(asked) = self.asked_until {
            granted(asked, data, now)?;
        }
        Ok(())
    }

    /// The URL to validate, if it changes.
    pub(crate) fn urls(&self, data: &Data) -> Vec<String> {
        if data.directory.world.behaviour.validate_on_patch {
            self.notification_url.clone().into_iter().collect()
        } else {
            Vec::new()
        }
    }

    /// Changes the subscription.
    pub(crate) fn store(
        self,
        data: &mut Data,
        caller: &access::Caller,
        call: &Call,
        now: Timestamp,
    ) -> Result {
        self.check(data, caller, now)?;
        let until = self
            .asked_until
            .map(|asked| granted(asked, data, now))
            .transpose()?;
        let missing = missing(data);
        if let Some(until) = until {
            data.expect_end(until);
        }
        let subscription = data
            .subscriptions
            .change(&self.id, until, self.notification_url)
            .ok_or(missing)?;
        let mut body = subscription_json(subscription);
        body["@odata.context"] = context_url(call, "subscriptions/$entity").into();
        Ok(Answer::ok(body))
    }
}
