//! What a pass over a mailbox tells others of what it saw, and the looks that a change needs.

use super::Pass;
use super::observe::answer;
use crate::controller::{places, removal};
use crate::domain::mailbox::look::{Look, Seen};
use crate::domain::mailbox::memory;
use crate::domain::reading::Reading;
use crate::domain::tenant::facts::MailboxProof;

impl Pass<'_> {
    /// Looks where the plan says, and nowhere else.
    pub(super) async fn look(&mut self, look: Look) {
        let seen = self.read(look).await;
        self.observed.note(seen);
        self.note_evidence();
    }

    /// One look: at what was read for all mailboxes of the tenant, where that answers it, else at Microsoft.
    pub(super) async fn read(&self, look: Look) -> Seen {
        match (&look, self.start.gateway.as_ref()) {
            (Look::Listing, Some(_)) => Seen::Listing(self.ours_for_this_object().await),
            (Look::Place { address }, Some(_)) if self.is_listed_room(address).await => {
                Seen::Place(Reading::Present(()))
            }
            (_, gateway) => answer(gateway, look).await,
        }
    }

    /// Whether a list says so that is recent enough for a routine check; who asked for a check gets an answer of now.
    async fn is_listed_room(&self, address: &str) -> bool {
        let record = &self.start.entry.record;
        let asked = record.requested_at != record.status.last_handled_reconcile_at;
        let (Ok(desired), Some(tenant)) =
            (self.start.entry.desired.as_ref(), self.start.tenant.known())
        else {
            return false;
        };
        let of_tenant = (&desired.tenant, tenant.mailboxes);
        !asked && places::lists(self.context, of_tenant, address, desired.interval / 2).await
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

    /// What worked or was refused tells the tenant about its permissions.
    pub(super) fn note_evidence(&self) {
        let Ok(desired) = self.start.entry.desired.as_ref() else {
            return;
        };
        let proof = MailboxProof::of(&self.observed);
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
