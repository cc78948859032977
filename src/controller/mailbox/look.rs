//! Asking Microsoft what a plan wants to know, and putting the answers into its words.

use super::Pass;
use crate::controller::removal;
use crate::controller::translate::{person, reading};
use crate::domain::mailbox::look::Look;
use crate::domain::queue::Class;
use crate::domain::reading::{Outage, OutageKind, Reading};

impl Pass<'_> {
    /// Looks where the plan says, and nowhere else.
    pub(super) async fn look(&mut self, look: Look) {
        let Some(gateway) = self.start.gateway.clone() else {
            self.note_no_token(&look);
            return;
        };
        let observed = &mut self.observed;
        match look {
            Look::Directory { address } => {
                let people = |users: Vec<_>| users.into_iter().map(person).collect();
                observed.directory = reading(gateway.find_users(&address).await, people);
            }
            Look::SignInName { address } => {
                observed.sign_in = reading(gateway.get_user(&address).await, person);
            }
            Look::Calendar { mailbox } => {
                observed.calendar = reading(gateway.calendar(&mailbox).await, drop);
                self.note_calendar();
            }
            Look::Place { address } => {
                observed.place = reading(gateway.place(&address).await, drop);
            }
            Look::Subscription { id } => {
                observed.subscription = reading(gateway.get_subscription(&id).await, drop);
            }
            Look::Listing => self.observed.listing = self.ours_for_this_object().await,
        }
        self.note_lost_token();
    }

    async fn ours_for_this_object(&self) -> Reading<Vec<crate::ids::SubscriptionId>> {
        let Ok(desired) = self.start.entry.desired.as_ref() else {
            return Reading::NotLooked;
        };
        let newer_than = self.start.entry.memory.listing_after;
        match removal::listing(self.context, &desired.tenant, newer_than).await {
            Ok(listing) => Reading::Present(
                listing
                    .ours
                    .get(&self.start.entry.record.uid)
                    .cloned()
                    .unwrap_or_default(),
            ),
            Err(outage) => Reading::Unavailable(outage),
        }
    }

    /// Without a way to Microsoft everything is unavailable for want of a token.
    fn note_no_token(&mut self, look: &Look) {
        let outage = Outage {
            kind: OutageKind::NoToken,
            detail: "The CalendarTenant has no token.".to_owned(),
            retry_after: None,
        };
        match look {
            Look::Directory { .. } => self.observed.directory = Reading::Unavailable(outage),
            Look::SignInName { .. } => self.observed.sign_in = Reading::Unavailable(outage),
            Look::Calendar { .. } => self.observed.calendar = Reading::Unavailable(outage),
            Look::Place { .. } => self.observed.place = Reading::Unavailable(outage),
            Look::Subscription { .. } => self.observed.subscription = Reading::Unavailable(outage),
            Look::Listing => self.observed.listing = Reading::Unavailable(outage),
        }
    }

    /// A calendar that was read proves a permission to the tenant.
    fn note_calendar(&self) {
        let Ok(desired) = self.start.entry.desired.as_ref() else {
            return;
        };
        if self.observed.calendar.present().is_some() {
            let now = self.context.clock.now();
            let mut world = self.context.world();
            let news = world.prove_calendars(&desired.tenant, now);
            if news {
                world.wake_tenant(&desired.tenant, now, Class::Routine);
            }
        }
    }

    /// A token that is refused is the tenant's affair: it is looked at now.
    fn note_lost_token(&self) {
        let Ok(desired) = self.start.entry.desired.as_ref() else {
            return;
        };
        let observed = &self.observed;
        let outages = [
            observed.directory.outage(),
            observed.sign_in.outage(),
            observed.calendar.outage(),
            observed.place.outage(),
            observed.subscription.outage(),
            observed.listing.outage(),
        ];
        if outages
            .into_iter()
            .flatten()
            .any(|outage| outage.kind == OutageKind::NoToken)
        {
            let now = self.context.clock.now();
            self.context
                .world()
                .suspect_token(self.context, &desired.tenant, now);
            self.context.changed.notify_one();
        }
    }
}
