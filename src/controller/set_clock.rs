//! What it means for everything that waits for an instant when somebody sets the machine's clock.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::watch;

use super::world::{Context, World};
use crate::domain::schedule::earlier;

/// A clock that was set forward makes things due, at once; one that was set back would make them late.
pub(super) fn follow(
    context: Context,
    mut set_by: watch::Receiver<SignedDuration>,
) -> impl Future<Output = ()> {
    // Read now, not when the task begins to run: no step in between is lost.
    let mut known = *set_by.borrow_and_update();
    async move {
        while set_by.changed().await.is_ok() {
            let total = *set_by.borrow_and_update();
            let step = total.saturating_sub(known);
            known = total;
            tracing::warn!(seconds = step.as_secs_f64(), "the machine's clock was set");
            if step.is_negative() {
                context.world().set_back(step.unsigned_abs());
            }
            context.changed.notify_one();
        }
    }
}

impl World {
    /// The clock was set back by so much: what this process noted by the old one moves along, so that nothing waits
    /// for an instant that comes as much later.
    pub(super) fn set_back(&mut self, by: Duration) {
        for entry in self.store.mailboxes_mut() {
            entry.memory.set_back(by);
        }
        for (key, state) in &mut self.tenants {
            if let Some(entry) = self.store.tenant_mut(key) {
                entry.known.set_back(by);
            }
            state.facts.set_back(by);
            state.memory.set_back(by);
            // A list of the future would seem newer than what it does not show.
            state.listing = Arc::default();
            state.rooms = Arc::default();
            for first_seen in state.strays.values_mut() {
                *first_seen = earlier(*first_seen, by);
            }
        }
        for removal in self.removals.values_mut() {
            removal.since = earlier(removal.since, by);
        }
        for (_, until) in self.retired.values_mut() {
            *until = earlier(*until, by);
        }
        for at in [
            &mut self.endpoint.since,
            &mut self.leading_since,
            &mut self.served_until,
        ] {
            *at = earlier(*at, by);
        }
        self.set_back_by = self.set_back_by.saturating_add(by);
        self.verdicts.set_back(by);
        self.queue.set_back(by);
    }
}

#[cfg(test)]
mod tests {
    use super::super::item::Item;
    use super::super::stage::{Stage, room, start, tenant};
    use super::*;
    use crate::domain::mailbox::tenant_view::TokenState;
    use crate::domain::reading::OutageKind;
    use crate::domain::records::Failures;
    use crate::domain::schedule::later;
    use crate::domain::tenant::facts::{Evidence, MicrosoftOutage, TenantFacts};

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_by_a_day_delays_nothing() {
        let context = Stage::new().context();
        context.tenant_present(&tenant(1));
        context.mailbox_present(room(2));
        let wait = Duration::from_mins(5);
        {
            let mut world = context.world();
            let entry = world.store.mailbox_mut(&room(2).key).unwrap();
            entry.memory.looks = Failures::new(1, start(), later(start(), wait));
        }
        let due = context.world().queue.next_due().unwrap();
        let rooms = |world: &World| Arc::clone(&world.tenants[&tenant(1).key].rooms);
        let listed = rooms(&context.world());
        let following = tokio::spawn(follow(context.clone(), context.clock.set_by()));
        let day = Duration::from_hours(24);
        context.clock.set(earlier(start(), day));
        tokio::task::yield_now().await;
        let world = context.world();
        assert_eq!(world.queue.next_due(), Some(earlier(due, day)));
        let memory = &world.store.mailbox(&room(2).key).unwrap().memory;
        let held = earlier(later(start(), wait), day);
        assert_eq!(memory.looks.held_until(), held);
        assert_eq!(world.leading_since, earlier(start(), day));
        assert_eq!(world.served_until, earlier(start(), day));
        assert!(
            !Arc::ptr_eq(&rooms(&world), &listed),
            "a list of the future"
        );
        following.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn when_graphs_clock_is_seen_to_differ_it_is_computed_anew_when_renewals_are_due() {
        let context = Stage::new().context();
        context.tenant_present(&tenant(1));
        context.mailbox_present(room(2));
        let item = Item::Mailbox(room(2).key);
        let key = tenant(1).key;
        let mut world = context.world();
        let waits = |hours, world: &mut World| {
            world.queue.done(&item, None);
            world.queue.remove(&item);
            let ahead = SignedDuration::from_hours(hours);
            world.note_graph_clock(&context, &key, (ahead, start()));
            let later = later(start(), Duration::from_hours(1));
            std::iter::from_fn(|| world.queue.take(later)).any(|taken| taken.key == item)
        };
        assert!(!waits(0, &mut world), "nothing is new");
        assert!(waits(2, &mut world));
        assert!(!waits(2, &mut world), "known already");
        assert!(waits(0, &mut world));
    }

    #[tokio::test]
    async fn what_is_known_of_tenants_moves_along_with_a_clock_that_is_set_back() {
        let refused = |since| TokenState::Refused {
            since,
            reason: "Rejected".to_owned(),
        };
        let learned = |at| TenantFacts {
            token: refused(at),
            recovered_at: Some(at),
            evidence: Evidence {
                calendars: Some(at),
                places: Some(at),
                directory: None,
            },
            outage: Some(MicrosoftOutage {
                since: at,
                tries: 1,
                kind: OutageKind::ServerErrors,
            }),
            credential_expires_at: Some(start()),
            ..TenantFacts::default()
        };
        let context = Stage::new().context();
        context.tenant_present(&tenant(1));
        let key = tenant(1).key;
        let mut world = context.world();
        world.tenants.get_mut(&key).unwrap().facts = learned(start());
        world.publish_facts(&context, &key, start());
        let day = Duration::from_hours(24);
        world.set_back(day);
        let before = earlier(start(), day);
        assert_eq!(world.tenants[&key].facts, learned(before));
        let known = &world.store.tenant(&key).unwrap().known;
        assert_eq!(known.token, refused(before));
        assert_eq!(known.recovered_at, Some(before));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_for_the_clock_of_whoever_led_before_or_of_when_the_lease_was_taken() {
        let mut stage = Stage::new();
        stage.settings.leading_since = later(start(), Duration::from_hours(2));
        stage.settings.served_until = later(start(), Duration::from_hours(5));
        let context = stage.context();
        let world = context.world();
        assert_eq!(world.leading_since, start());
        assert_eq!(world.served_until, start());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_before_all_objects_are_known_is_noticed() {
        let context = Stage::new().context();
        let hour = Duration::from_hours(1);
        let following = follow(context.clone(), context.clock.set_by());
        context.clock.set(earlier(start(), hour));
        let following = tokio::spawn(following);
        tokio::task::yield_now().await;
        assert_eq!(context.world().served_until, earlier(start(), hour));
        following.abort();
    }
}
