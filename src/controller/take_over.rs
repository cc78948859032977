//! Beginning to lead with what this copy knows already.

use std::sync::Arc;

use jiff::Timestamp;

use super::cluster::{self, ReadError};
use super::item::Item;
use super::mirror::Kept;
use super::world::{Context, Inner, World};
use crate::domain::mailbox::tenant_view::TokenState;
use crate::domain::records::Memory;
use crate::domain::tenant::desired::TenantDesired;
use crate::ids::{Kind, ObjectKey, Uid};
use crate::plain::Causes;

impl World {
    /// Takes in what was followed. Of an earlier term only strays are remembered: what is due follows from specs, statuses
    /// and the slots since the Lease was last renewed. Mailboxes have their turns when somebody asks for all of them.
    pub(super) fn inherit(&mut self, shared: &Inner, mut kept: Kept, now: Timestamp) {
        let left = kept.left_lately(now);
        self.secrets = kept.secrets;
        self.store = kept.store;
        for entry in self.store.mailboxes_mut() {
            entry.memory = Memory::new(self.served_until, now);
        }
        let tenants = self.store.tenants();
        let tenants: Vec<_> = tenants.map(|entry| Arc::clone(&entry.record)).collect();
        for record in &tenants {
            let key = &record.key;
            let allowed = &shared.settings.allowed_endpoints;
            let desired = TenantDesired::from_spec(&key.namespace, &record.spec, allowed);
            self.admit_tenant(shared, record, desired, now);
            // Whether it gets a token is learned anew, by whoever leads.
            if let Some(entry) = self.store.tenant_mut(key) {
                entry.known.token = TokenState::Pending;
            }
            let known = self.known_tenant(record, now);
            if let Some(entry) = self.store.tenant_mut(key) {
                entry.known = known;
            }
            self.refresh_tenant(shared, key, now);
            if self.store.mailboxes_of(key).next().is_some() {
                self.note_counts(shared, key, now);
            }
        }
        self.recall_strays(kept.strays, now);
        for (id, left) in left {
            self.plan_removal(id, (left.tenant, left.object), now);
        }
    }
}

impl Context {
    /// Whether an object may be worked on: it is known as it was when this copy began to lead, or newer. While that is
    /// in doubt, it is read.
    pub(super) async fn is_up_to_date(&self, item: &Item) -> bool {
        let (kind, key) = match item {
            Item::Tenant(key) => (Kind::CalendarTenant, key),
            Item::Mailbox(key) => (Kind::WorkspaceMailbox, key),
            // A sweep reads everything itself, and what is removed belongs to nobody that is there.
            Item::Removal(_) | Item::Sweep(_) => return true,
        };
        if self.mirror.with_freshness(|f| f.is_proven(kind, key)) {
            return true;
        }
        match self.read_again(kind, key).await {
            Ok(()) => {
                self.mirror.with_freshness(|f| f.read(kind, key));
                true
            }
            Err(error) => {
                tracing::warn!(kind = kind.as_str(), object = %key, error = %Causes(&error), "an object that another copy may have written last could not be read; it is tried again");
                false
            }
        }
    }

    async fn read_again(&self, kind: Kind, key: &ObjectKey) -> Result<(), ReadError> {
        let known = self.uid_of(kind, key);
        match kind {
            Kind::CalendarTenant => match cluster::tenant(&self.client, key).await? {
                Some(record) => self.tenant_present(&record),
                None => self.tenant_vanished(key, known),
            },
            Kind::WorkspaceMailbox => match cluster::mailbox(&self.client, key).await? {
                Some(record) => self.mailbox_present(record),
                None => {
                    if let Some(uid) = known {
                        self.mailbox_vanished(key, uid);
                    }
                }
            },
        }
        Ok(())
    }

    fn uid_of(&self, kind: Kind, key: &ObjectKey) -> Option<Uid> {
        let world = self.world();
        match kind {
            Kind::CalendarTenant => world.store.tenant(key).map(|entry| entry.record.uid),
            Kind::WorkspaceMailbox => world.store.mailbox(key).map(|entry| entry.record.uid),
        }
    }

    /// The API server says that a tenant is gone, before its watch does, or after a read that was older.
    pub(super) fn tenant_vanished(&self, key: &ObjectKey, uid: Option<Uid>) {
        if uid.is_some() && self.uid_of(Kind::CalendarTenant, key) == uid {
            self.tenant_gone(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Request, StatusCode};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::super::mirror::Mirror;
    use super::super::stage::{Stage, room, stored, tenant};
    use super::*;
    use crate::domain::freshness::Stream;
    use crate::domain::mailbox::work::Work;
    use crate::domain::records::MailboxRecord;

    /// What is there now: room 2 is newer than watches have shown, room 3 is gone, and room 4 cannot be read.
    fn there_now(request: &Request<Body>) -> Option<(StatusCode, Value)> {
        let refused = |code: StatusCode, reason: &str| {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(),
                "message": "", "reason": reason,
            });
            Some((code, status))
        };
        match request.uri().path().rsplit('/').next()? {
            "room-2" => Some((StatusCode::OK, newer())),
            "room-3" => refused(StatusCode::NOT_FOUND, "NotFound"),
            _ => refused(StatusCode::FORBIDDEN, "Forbidden"),
        }
    }

    fn newer() -> Value {
        stored(
            Kind::WorkspaceMailbox,
            &MailboxRecord {
                resource_version: "9".into(),
                ..subscribed(room(2))
            },
        )
    }

    fn subscribed(mut room: MailboxRecord) -> MailboxRecord {
        let status = json!({"subscription": {
            "id": "7f1d7a9c-1111-4000-8000-000000000001",
            "ownerUid": room.uid, "endpointHash": "0", "keyId": 1,
            "grantedAt": "2026-11-24T08:00:00Z", "renewAt": "2026-11-24T14:00:00Z",
            "expiresAt": "2026-11-24T18:00:00Z",
        }});
        room.status = serde_json::from_value(status).unwrap();
        room
    }

    fn item(number: u8) -> Item {
        Item::Mailbox(room(number).key)
    }

    fn version_of(context: &Context, number: u8) -> Option<Arc<str>> {
        let world = context.world();
        let entry = world.store.mailbox(&room(number).key);
        entry.map(|entry| Arc::clone(&entry.record.resource_version))
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_copy_may_have_written_last_is_read_before_it_is_worked_on() {
        let stage = Stage::with_cluster(there_now);
        let mirror = &stage.around.mirror;
        for number in 2..=4 {
            mirror.mailbox_present(room(number));
        }
        mirror.begin_term();
        let context = stage.context();
        let _lent = mirror.lend(&context);
        assert!(context.is_up_to_date(&item(2)).await);
        assert_eq!(version_of(&context, 2).as_deref(), Some("9"));
        assert!(context.is_up_to_date(&item(3)).await);
        assert_eq!(version_of(&context, 3), None);
        assert!(!context.is_up_to_date(&item(4)).await);

        let mailboxes: Stream = (Kind::WorkspaceMailbox, None);
        mirror.with_freshness(|freshness| freshness.asked(&mailboxes, "7"));
        mirror.with_freshness(|freshness| freshness.shown(&mailboxes, "8"));
        assert!(context.is_up_to_date(&item(4)).await, "nothing is read");
    }

    #[tokio::test(start_paused = true)]
    async fn taking_over_makes_due_what_a_list_of_everything_would_make_due() {
        let rooms = [room(2), subscribed(room(3)), room(4)];
        let due = |stage: &Stage, context: &Context| {
            let now = stage.around.clock.now();
            let mut world = context.world();
            world.refresh_all(context, now);
            let next = rooms.iter().map(|room| world.next(context, &room.key, now));
            let next: Vec<_> = next.collect();
            let tenant = world.next_tenant(context, &tenant(1).key, now);
            let depths = world.queue.backlogs(now).map(|backlog| backlog.depth);
            (next, tenant, depths, world.queue.next_due())
        };
        let (listing, following) = (Stage::new(), Stage::new());
        let listed = listing.context();
        listed.tenant_present(&tenant(1));
        for room in &rooms {
            listed.mailbox_present(room.clone());
        }
        let mirror = &following.around.mirror;
        mirror.tenant_present(tenant(1));
        for room in &rooms {
            mirror.mailbox_present(room.clone());
        }
        let followed = following.context();
        let _lent = mirror.lend(&followed);
        assert_eq!(due(&following, &followed), due(&listing, &listed));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_followed_returns_when_leading_ends_and_no_work_of_that_term_is_remembered() {
        let stage = Stage::new();
        let mirror = &stage.around.mirror;
        mirror.mailbox_present(room(2));
        let first = stage.context();
        let lent = mirror.lend(&first);
        let wanted = |context: &Context| {
            let world = context.world();
            let entry = world.store.mailbox(&room(2).key);
            entry.map(|entry| entry.memory.wanted)
        };
        if let Some(entry) = first.world().store.mailbox_mut(&room(2).key) {
            entry.memory.wanted = Work::CHECK;
        }
        drop(lent);
        assert_eq!(wanted(&first), None, "passes that go on find nothing");
        mirror.mailbox_present(room(3));
        let second = stage.context();
        let _lent = mirror.lend(&second);
        assert_eq!(wanted(&second), Some(Work::NONE));
        assert!(version_of(&second, 3).is_some());
    }

    /// Whether taking over so long after a room was deleted removes its subscription.
    async fn is_removed(mirror: &Mirror, context: &Context, after: Duration) -> bool {
        mirror.mailbox_present(subscribed(room(2)));
        mirror.mailbox_gone(&room(2).key);
        tokio::time::advance(after).await;
        let lent = mirror.lend(context);
        let removed = !context.world().removals.is_empty();
        drop(lent);
        removed
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_deleted_while_nobody_led_leaves_nothing_at_graph() {
        for (seconds, removed) in [(20, true), (90, false)] {
            let stage = Stage::new();
            let after = Duration::from_secs(seconds);
            let context = stage.context();
            let is_removed = is_removed(&stage.around.mirror, &context, after).await;
            assert_eq!(is_removed, removed, "{seconds} seconds later");
        }
    }
}
