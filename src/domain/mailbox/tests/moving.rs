//! An object that is for another mailbox than before.

use std::sync::Arc;
use std::time::Duration;

use super::super::look::Person;
use super::super::subscription::{Change, Failure};
use super::super::work::Work;
use super::reason;
use super::world::{World, outage, person, refused};
use crate::api::v1alpha1::condition::ConditionStatus::{False, True};
use crate::api::vocabulary::ConditionType as C;
use crate::domain::reading::Reading;
use crate::domain::schedule::later;
use crate::ids::MailboxId;

const OTHER: &str = "room-b@contoso.example";

fn other(address: &str) -> Person {
    Person {
        id: MailboxId::new("id-of-b"),
        ..person(address)
    }
}

/// Of which mailboxes subscriptions were created.
fn created(world: &World) -> Vec<&str> {
    let mut created = Vec::new();
    for change in &world.graph.changes {
        if let Change::Create { mailbox, .. } = change {
            created.push(mailbox.as_str());
        }
    }
    created
}

fn mailbox(world: &World) -> &str {
    world.record.status.mailbox.as_ref().unwrap().id.as_str()
}

fn is_moved(world: &World) {
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
    assert_eq!(mailbox(world), "id-of-b");
    assert_eq!(created(world), ["id-of-b"]);
    assert_eq!(world.graph.subscriptions.len(), 1);
}

#[test]
fn a_subscription_of_the_mailbox_before_is_removed_however_long_that_fails() {
    for hours in [0, 1, 30] {
        let mut world = World::converged();
        world.record.generation += 1;
        world.record.spec.address = Arc::from(OTHER);
        world.graph.directory = Reading::Present(vec![other(OTHER)]);
        if hours > 0 {
            world.graph.writes = Some(Failure::Unavailable(outage()));
            assert!(world.pass());
            world.run_until(later(world.now, Duration::from_hours(hours)));
            let inactive = world.condition(&C::SubscriptionInactive);
            assert_eq!(
                (inactive.status, &*inactive.reason.to_string()),
                (True, "Pending")
            );
            assert!(
                inactive.message.contains("mailbox before"),
                "{}",
                inactive.message
            );
            assert_eq!(
                world.says(&C::Ready).0,
                False,
                "nobody watches this mailbox"
            );
            let tries = world.graph.changes.len();
            // As often as anything else that Microsoft does not answer: every five minutes at most in the long run.
            let most = 20 + 25 * usize::try_from(hours).unwrap();
            assert!((1..most).contains(&tries), "{tries} tries in {hours} hours");
            world.graph.changes.clear();
            world.graph.writes = None;
        }
        world.run_until(later(world.now, Duration::from_hours(1)));
        is_moved(&world);
    }
}

#[test]
fn a_mailbox_that_was_made_anew_with_the_same_address_gets_a_subscription_of_its_own() {
    let mut world = World::converged();
    let address = world.record.spec.address.to_string();
    world.graph.directory = Reading::Present(vec![other(&address)]);
    world.memory.wanted = Work::CHECK;
    assert!(world.pass());
    is_moved(&world);
}

#[test]
fn a_mailbox_that_was_made_anew_is_not_called_watched_while_the_old_subscription_stays() {
    let mut world = World::converged();
    let address = world.record.spec.address.to_string();
    let before = world.graph.directory.clone();
    world.graph.directory = Reading::Present(vec![other(&address)]);
    world.graph.writes = Some(Failure::Unavailable(outage()));
    world.memory.wanted = Work::CHECK;
    assert!(world.pass());
    let is_pending =
        |world: &World| world.says(&C::SubscriptionInactive) == (True, reason("Pending"));
    assert!(is_pending(&world));
    // Somebody asks for nothing but a look at the subscription.
    world.memory.wanted = Work::VERIFY;
    world.advance(Duration::from_hours(1));
    assert!(world.pass());
    assert!(is_pending(&world));
    // It was a mistake of the directory.
    world.graph.directory = before;
    world.memory.wanted = Work::CHECK;
    world.advance(Duration::from_hours(1));
    assert!(world.pass());
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
}

#[test]
fn another_mailbox_that_cannot_be_read_takes_no_subscription_away() {
    let mut world = World::converged();
    let address = world.record.spec.address.to_string();
    world.graph.directory = Reading::Present(vec![other(&address)]);
    world.graph.calendar = Reading::Unavailable(outage());
    world.memory.wanted = Work::CHECK;
    assert!(world.pass());
    assert_eq!(mailbox(&world), "id-of-a");
    assert_eq!(world.graph.changes.len(), 0);
}

#[test]
fn a_directory_that_may_be_read_now_takes_no_subscription_away() {
    let mut world = World::new();
    let found = world.graph.directory.clone();
    world.graph.directory = Reading::Forbidden(refused());
    assert!(world.pass());
    let address = world.record.spec.address.to_string();
    assert_eq!(mailbox(&world), address);
    assert!(world.subscribed());
    world.graph.changes.clear();
    world.graph.directory = found;
    world.memory.wanted = Work::CHECK;
    assert!(world.pass());
    assert_eq!(mailbox(&world), "id-of-a");
    assert_eq!(world.graph.changes.len(), 0);
}
