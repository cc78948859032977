//! Asking Microsoft what a plan wants to know, and putting the answers into its words.

use super::Pass;
use crate::controller::removal;
use crate::controller::translate::{person, reading};
use crate::domain::mailbox::look::Look;
use crate::domain::mailbox::memory;
use crate::domain::reading::{Outage, OutageKind, Reading};
use crate::domain::tenant::facts::MailboxProof;

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
                observed.directory = match reading(gateway.find_users(&address).await, people) {
                    // Whoever is searched for and not there is nobody.
                    Reading::Absent(_) => Reading::Present(Vec::new()),
                    found @ (Reading::NotLooked
                    | Reading::Present(_)
                    | Reading::Forbidden(_)
                    | Reading::Unavailable(_)) => found,
                };
            }
            Look::SignInName { address } => {
                observed.sign_in = reading(gateway.get_user(&address).await, person);
            }
            Look::Calendar { mailbox } => {
                observed.calendar = reading(gateway.calendar(&mailbox).await, drop);
            }
            Look::Place { address } => {
                observed.place = reading(gateway.place(&address).await, drop);
            }
            Look::Subscription { id } => {
                observed.subscription = reading(gateway.get_subscription(&id).await, drop);
            }
            Look::Listing => self.observed.listing = self.ours_for_this_object().await,
        }
        self.note_evidence();
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
        let outage = Outage::of(OutageKind::NoToken);
        match look {
            Look::Directory { .. } => self.observed.directory = Reading::Unavailable(outage),
            Look::SignInName { .. } => self.observed.sign_in = Reading::Unavailable(outage),
            Look::Calendar { .. } => self.observed.calendar = Reading::Unavailable(outage),
            Look::Place { .. } => self.observed.place = Reading::Unavailable(outage),
            Look::Subscription { .. } => self.observed.subscription = Reading::Unavailable(outage),
            Look::Listing => self.observed.listing = Reading::Unavailable(outage),
        }
    }

    /// What worked or was refused tells the tenant about its permissions.
    fn note_evidence(&self) {
        let Ok(desired) = self.start.entry.desired.as_ref() else {
            return;
        };
        let observed = &self.observed;
        let proof = MailboxProof {
            calendar: (&observed.calendar).into(),
            places: (&observed.place).into(),
            directory: (&observed.directory).into(),
        };
        let now = self.context.clock.now();
        self.context
            .world()
            .prove(self.context, &desired.tenant, proof, now);
    }

    /// What only the tenant can explain makes it look.
    pub(super) fn make_tenant_look(&self) {
        let Ok(desired) = self.start.entry.desired.as_ref() else {
            return;
        };
        if memory::is_tenants_affair(&self.snapshot()) {
            let now = self.context.clock.now();
            self.context
                .world()
                .suspect(self.context, &desired.tenant, now);
        }
    }
}
