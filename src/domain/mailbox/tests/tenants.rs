//! What becomes of a mailbox when its tenant appears late or loses its token, and when it rests itself.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::tenant_view::{TenantView, TokenState};
use super::reason;
use super::world::World;
use crate::api::v1alpha1::condition::ConditionStatus::{True, Unknown};
use crate::api::vocabulary::ConditionType as C;
use crate::domain::schedule::later;
use crate::ids::{ObjectKey, Uid};

#[test]
fn a_room_applied_together_with_its_tenant_does_not_say_that_there_is_none() {
    let mut world = World::new();
    let tenant = world.tenant.clone();
    world.tenant = TenantView::Missing(ObjectKey::new("rooms", "contoso"));
    assert!(!world.pass(), "its watch may only be a little later");
    world.tenant = tenant;
    assert!(world.pass());
    assert_eq!(world.writes, 1);
    assert_eq!(world.record.status.history.len(), 1);

    let mut world = World::new();
    world.tenant = TenantView::Missing(ObjectKey::new("rooms", "contoso"));
    world.advance(Duration::from_secs(1));
    assert!(world.pass());
    let missing = world.says(&C::TenantNotReady);
    assert_eq!(missing, (True, reason("TenantNotFound")));
}

#[test]
fn ten_thousand_mailboxes_do_not_say_at_one_instant_that_their_tenant_has_no_token() {
    let ends = |uid: u8| {
        let mut world = World::converged();
        world.record.uid = Uid::from_bytes([uid; 16]);
        let since = world.now;
        let tenant = world.tenant();
        tenant.mailboxes = 10_000;
        tenant.token = TokenState::Refused {
            since,
            reason: "ClientSecretExpired".to_owned(),
        };
        while world.says(&C::TenantNotReady).0 != True {
            world.now = world.next().unwrap();
            world.pass();
        }
        world.now.duration_since(since).unsigned_abs()
    };
    let spread: BTreeSet<Duration> = (0..20).map(ends).collect();
    let (first, last) = (spread.first().unwrap(), spread.last().unwrap());
    assert!(*first >= Duration::from_mins(5), "{first:?}");
    assert!(*last <= Duration::from_secs(300 + 200), "{last:?}");
    assert!(last.abs_diff(*first) > Duration::from_mins(1), "{spread:?}");
}

#[test]
fn a_tenant_that_loses_its_token_shows_after_five_minutes_and_clears_at_once() {
    let mut world = World::converged();
    let since = world.now;
    world.tenant().token = TokenState::Refused {
        since,
        reason: "ClientSecretExpired".to_owned(),
    };
    world.run_until(later(since, Duration::from_secs(299)));
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
    world.run_until(later(since, Duration::from_secs(301)));
    assert_eq!(
        world.says(&C::TenantNotReady),
        (True, reason("TenantUnauthorized"))
    );
    world.tenant().token = TokenState::Issued;
    assert!(world.pass());
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
}

#[test]
fn a_mailbox_that_was_suspended_from_the_start_has_no_problem() {
    let mut world = World::new();
    world.record.spec.suspend = true;
    assert!(world.pass());
    let problems = world
        .record
        .status
        .conditions
        .iter()
        .filter(|c| c.status == True);
    assert_eq!(problems.count(), 0);
    assert!(!world.pass());
}

#[test]
fn suspending_asks_nothing_and_keeps_the_subscription() {
    let mut world = World::converged();
    world.record.spec.suspend = true;
    world.record.generation = 2;
    assert!(world.pass());
    assert_eq!(world.says(&C::Ready), (Unknown, reason("Suspended")));
    assert_eq!(world.record.status.observed_generation, Some(2));
    assert_eq!((world.graph.looks, world.graph.changes.len()), (0, 0));
    assert!(!world.pass());
}
