//! Notifications to receivers: what changed, and what happened to a subscription.
//!
//! One answer in 2xx within three seconds is a delivery. Otherwise the notification is tried again, with
//! growing pauses, for four hours; then it is dropped, and the lifecycle URL hears that something was missed.
//! Nothing is tried again for a subscription that is over.

pub(crate) mod reception;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::clock::{after, pause};
use crate::core::Core;
use crate::graph::events::Change;
use crate::outgoing::{Unanswered, ask};
use crate::state::directory::Account;
use crate::state::subscriptions::Subscription;
use reception::{FIRST_TIMEOUT, RETRY_TIMEOUT, Reception, Speed};

const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(15);
const PATIENCE: Duration = Duration::from_hours(4);

/// What happens to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LifecycleEvent {
    /// It wants to be renewed or reauthorized.
    ReauthorizationRequired,
    /// Graph removed it.
    SubscriptionRemoved,
    /// Some notifications were not delivered.
    Missed,
}

impl LifecycleEvent {
    const fn as_str(self) -> &'static str {
        match self {
            Self::ReauthorizationRequired => "reauthorizationRequired",
            Self::SubscriptionRemoved => "subscriptionRemoved",
            Self::Missed => "missed",
        }
    }
}

/// One POST that a receiver should get.
#[derive(Clone, Debug)]
struct Delivery {
    /// Id of the subscription.
    subscription: String,
    kind: Kind,
    url: String,
    body: Value,
}

/// What a delivery tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Change,
    Lifecycle(LifecycleEvent),
}

fn zulu(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%S.%7f+00:00").to_string()
}

fn change_delivery(subscription: &Subscription, change: &Change, id: &str) -> Delivery {
    let path = format!("Users/{}/Events/{}", change.mailbox_id, change.event_id);
    let item = json!({
        "id": id,
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": zulu(subscription.expiration_date_time),
        "clientState": subscription.client_state,
        "changeType": change.kind,
        "tenantId": subscription.tenant,
        "resource": path,
        "resourceData": {
            "@odata.type": "#Microsoft.Graph.Event",
            "@odata.id": path,
            "@odata.etag": change.etag,
            "id": change.event_id,
        },
    });
    Delivery {
        subscription: subscription.id.clone(),
        kind: Kind::Change,
        url: subscription.notification_url.clone(),
        body: json!({"value": [item]}),
    }
}

fn lifecycle_delivery(subscription: &Subscription, event: LifecycleEvent) -> Option<Delivery> {
    let item = json!({
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": zulu(subscription.expiration_date_time),
        "tenantId": subscription.tenant,
        "clientState": subscription.client_state,
        "lifecycleEvent": event.as_str(),
    });
    Some(Delivery {
        subscription: subscription.id.clone(),
        kind: Kind::Lifecycle(event),
        url: subscription.lifecycle_notification_url.clone()?,
        body: json!({"value": [item]}),
    })
}

impl Core {
    /// Tells every subscription that wants it about a change.
    pub(crate) fn notify_change(&self, change: &Change) {
        self.notify_changes(std::slice::from_ref(change));
    }

    /// Tells about changes that follow each other.
    pub(crate) fn notify_changes(&self, changes: &[Change]) {
        let mut deliveries = Vec::new();
        {
            let state = self.state();
            // Exchange Online hears nothing of a mailbox that is somewhere else.
            let in_cloud = |subscription: &&Subscription| {
                let tenant = state.data.directory.tenant(&subscription.tenant);
                let account = tenant.and_then(|tenant| tenant.user(&subscription.mailbox_id));
                account.is_some_and(Account::has_cloud_mailbox)
            };
            let mailboxes = changes.iter().map(|change| change.mailbox_id.as_str());
            let mailboxes: BTreeSet<&str> = mailboxes.collect();
            let subscriptions = &state.data.subscriptions;
            let concerned = mailboxes
                .iter()
                .flat_map(|mailbox| subscriptions.of_mailbox(mailbox));
            for subscription in concerned.filter(in_cloud) {
                for change in changes {
                    if subscription.mailbox_id == change.mailbox_id
                        && subscription.wants(change.kind)
                    {
                        let id = self.ids.fresh("notification").to_string();
                        deliveries.push(change_delivery(subscription, change, &id));
                    }
                }
            }
        }
        self.send(deliveries);
    }

    /// Tells a subscription's owner what happened to it.
    pub(crate) fn notify_lifecycle(&self, subscription: &Subscription, event: LifecycleEvent) {
        self.send(
            lifecycle_delivery(subscription, event)
                .into_iter()
                .collect(),
        );
    }

    fn send(&self, mut deliveries: Vec<Delivery>) {
        let Some(core) = self.this.upgrade() else {
            return;
        };
        let faults = self.state().faults.faults.notifications.clone();
        if faults.drop {
            let dropped = u64::try_from(deliveries.len()).unwrap_or(u64::MAX);
            self.state().journal.counts.notifications.dropped += dropped;
            return;
        }
        if faults.reorder {
            deliveries.reverse();
        }
        if faults.duplicate {
            deliveries = deliveries
                .into_iter()
                .flat_map(|one| [one.clone(), one])
                .collect();
        }
        if deliveries.is_empty() {
            return;
        }
        self.spawn(async move {
            if let Some(delay) = faults.delay {
                pause(delay).await;
            }
            for delivery in deliveries {
                core.deliver(delivery).await;
            }
        });
    }

    /// Makes the first attempt, if the receiver is quick enough in general; what remains to do goes on by
    /// itself.
    async fn deliver(self: &Arc<Self>, delivery: Delivery) {
        let core = Arc::clone(self);
        match self.reception(&delivery.url) {
            Reception::Open => {
                if !self.attempt(&delivery, FIRST_TIMEOUT).await {
                    self.spawn(async move { core.insist(&delivery).await });
                }
            }
            Reception::Delayed(until) => self.spawn(async move {
                core.clock.sleep_until(until).await;
                if !core.is_wanted(&delivery) {
                    core.give_up(&delivery);
                } else if !core.attempt(&delivery, FIRST_TIMEOUT).await {
                    core.insist(&delivery).await;
                }
            }),
            Reception::Dropped(until) => {
                let first = {
                    let state = &mut *self.state();
                    state.journal.counts.notifications.dropped += 1;
                    state.receivers.lost(&delivery.url, &delivery.subscription)
                };
                if first {
                    self.spawn(async move {
                        core.clock.sleep_until(until).await;
                        core.missed(&delivery);
                    });
                }
            }
        }
    }

    fn reception(&self, url: &str) -> Reception {
        let now = self.clock.now();
        self.state().receivers.reception(url, now)
    }

    /// Runs something until it ends or the emulator stops.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        let work = async move {
            stopping.run_until_cancelled(work).await;
        };
        self.tasks.spawn_on(work, &self.runtime);
    }

    async fn attempt(&self, delivery: &Delivery, timeout: Duration) -> bool {
        let request = Request::post(&delivery.url)
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(delivery.body.to_string()));
        let started = Instant::now();
        let answer = match request {
            Ok(request) => ask(&self.outgoing, request, timeout).await,
            Err(_) => Err(Unanswered::Unreached),
        };
        let speed = match &answer {
            Ok(_) => Some(Speed::of(started.elapsed())),
            Err(Unanswered::Late) => Some(Speed::of(timeout)),
            // Who cannot be reached is not slow.
            Err(Unanswered::Unreached) => None,
        };
        let delivered = answer.is_ok_and(|answer| answer.status().is_success());
        let now = self.clock.now();
        let state = &mut *self.state();
        if let Some(speed) = speed {
            state.receivers.answered(&delivery.url, speed, now);
        }
        let counts = &mut state.journal.counts.notifications;
        if delivered {
            counts.delivered += 1;
        } else {
            counts.failed += 1;
        }
        delivered
    }

    async fn insist(&self, delivery: &Delivery) {
        let end = after(self.clock.now(), PATIENCE);
        let mut wait = FIRST_PAUSE;
        loop {
            self.clock.sleep_until(after(self.clock.now(), wait)).await;
            if !self.is_wanted(delivery) {
                self.give_up(delivery);
                return;
            }
            if self.attempt(delivery, RETRY_TIMEOUT).await {
                return;
            }
            if self.clock.now() >= end {
                self.give_up(delivery);
                return;
            }
            wait = (wait * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether the subscription still exists, except for the news that it does not.
    fn is_wanted(&self, delivery: &Delivery) -> bool {
        let removed = Kind::Lifecycle(LifecycleEvent::SubscriptionRemoved);
        delivery.kind == removed
            || self
                .state()
                .data
                .subscriptions
                .get(&delivery.subscription)
                .is_some()
    }

    /// Drops a notification; if it was about a change, the lifecycle URL hears that one was missed.
    fn give_up(&self, delivery: &Delivery) {
        self.state().journal.counts.notifications.dropped += 1;
        self.missed(delivery);
    }

    fn missed(&self, delivery: &Delivery) {
        let subscription = {
            let subscriptions = &self.state().data.subscriptions;
            subscriptions.get(&delivery.subscription).cloned()
        };
        if let (Kind::Change, Some(subscription)) = (delivery.kind, subscription) {
            self.notify_lifecycle(&subscription, LifecycleEvent::Missed);
        }
    }
}
