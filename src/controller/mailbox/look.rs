//! What a pass over a mailbox tells others of what it saw, and the looks that a change needs.

use super::Pass;
use super::observe::answer;
use crate::controller::removal;
use crate::domain::mailbox::look::Look;
use crate::domain::mailbox::memory;
use crate::domain::reading::Reading;
use crate::domain::tenant::facts::MailboxProof;

impl Pass<'_> {
    /// Looks where the plan says, and nowhere else.
    pub(super) async fn look(&mut self, look: Look) {
        match (look, self.start.gateway.clone()) {
            (Look::Listing, Some(_)) => self.observed.listing = self.ours_for_this_object().await,
            (look, gateway) => answer(gateway.as_ref(), look, &mut self.observed).await,
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
