//! Whole passes over one mailbox, as a table of what Graph says and what the status then says.

mod keeping;
mod moving;
mod problems;
mod properties;
mod tenants;
mod world;

use std::time::Duration;

use proptest::prelude::*;

use super::subscription::{Change, Failure};
use super::tenant_view::{EndpointState, TokenState};
use super::work::Work;
use crate::api::v1alpha1::condition::ConditionStatus::{False, True, Unknown};
use crate::api::vocabulary::ConditionType as C;
use crate::domain::reading::{Reading, Refusal};
use crate::domain::schedule::later;
use crate::ids::{KeyId, SubscriptionId};
use world::{ADDRESS, World, absent, outage, person};

const HOUR: Duration = Duration::from_hours(1);

fn reason(text: &str) -> String {
    text.to_owned()
}

#[test]
fn a_good_room_is_activated_in_one_pass_with_one_write_and_one_history_entry() {
    let world = {
        let mut world = World::new();
        world.pass();
        world
    };
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
    assert_eq!((world.writes, world.graph.created), (1, 1));
    assert_eq!(world.record.status.history.len(), 1);
    assert!(world.record.status.activated_at.is_some());
    assert_eq!(world.record.status.observed_generation, Some(1));
}

#[test]
fn a_new_room_says_nothing_while_its_tenants_first_token_is_fetched_unless_that_takes_long() {
    let mut world = World::new();
    world.tenant().token = TokenState::Pending;
    assert!(!world.pass(), "nothing is known yet");
    world.advance(Duration::from_secs(5));
    assert!(world.pass());
    assert_eq!(
        world.says(&C::Ready),
        (Unknown, reason("TenantNotReady")),
        "that the subscription is missing is no news while nothing was looked at"
    );
    assert_eq!(
        world.says(&C::SubscriptionInactive),
        (Unknown, reason("NotYetKnown"))
    );
    world.tenant().token = TokenState::Issued;
    assert!(world.pass());
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
}

#[test]
fn a_converged_mailbox_wants_nothing_before_its_slot() {
    let mut world = World::converged();
    assert!(!world.pass());
    assert!(world.next().unwrap() > world.now);
}

#[test]
fn a_routine_check_of_a_good_mailbox_writes_nothing() {
    let mut world = World::converged();
    let end = later(world.now, 3 * HOUR);
    world.run_until(end);
    assert!(world.graph.looks >= 6, "{} looks", world.graph.looks);
    assert_eq!((world.writes, world.graph.changes.len()), (0, 0));
}

#[test]
fn a_room_that_places_does_not_list_is_ready_all_the_same() {
    let mut world = World::new();
    world.graph.place = Reading::Absent(absent());
    world.pass();
    assert_eq!(world.says(&C::RoomNotListed), (True, reason("NotInPlaces")));
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
}

#[test]
fn without_the_right_to_read_users_the_address_itself_is_used() {
    let mut world = World::new();
    world.graph.directory = Reading::Forbidden(Refusal {
        by_access_policy: false,
        request_id: None,
    });
    world.pass();
    assert_eq!(
        world.says(&C::AddressMismatch),
        (Unknown, reason("PermissionMissing"))
    );
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
    let created = world
        .graph
        .changes
        .iter()
        .find(|c| matches!(c, Change::Create { .. }))
        .unwrap();
    assert!(matches!(created, Change::Create { mailbox, .. } if mailbox.as_str() == ADDRESS));
}

#[test]
fn a_problem_is_looked_at_again_after_about_a_minute_and_repaired() {
    let mut world = World::new();
    world.graph.directory = Reading::Present(vec![]);
    world.pass();
    world.graph.directory = Reading::Present(vec![person(ADDRESS)]);
    let end = later(world.now, Duration::from_secs(80));
    world.run_until(end);
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
    assert_eq!(world.record.status.history.len(), 2);
}

#[test]
fn an_unknown_address_is_stalled_after_ten_minutes_and_not_before() {
    let mut world = World::new();
    world.graph.directory = Reading::Present(vec![]);
    let end = later(world.now, Duration::from_secs(599));
    world.run_until(end);
    assert_eq!(world.record.status.observed_generation, Some(-1));
    let end = later(world.now, Duration::from_secs(2));
    world.run_until(end);
    assert_eq!(world.says(&C::Stalled), (True, reason("NotFound")));
    assert_eq!(world.record.status.observed_generation, Some(1));
}

#[test]
fn renewals_go_on_while_checks_fail() {
    let mut world = World::converged();
    world.graph.directory = Reading::Present(vec![]);
    world.tenant().domains.as_mut().unwrap().verified.clear();
    let end = later(world.now, 24 * 14 * HOUR);
    world.run_until(end);
    assert_eq!(world.says(&C::Ready), (False, reason("DomainMismatch")));
    assert_eq!(world.graph.created, 1);
    assert!(
        world
            .graph
            .subscriptions
            .values()
            .all(|(ends, _)| *ends > world.now)
    );
}

#[test]
fn a_renewal_that_fails_for_nine_tenths_of_what_is_left_does_not_lapse() {
    let mut world = World::converged();
    let current = world.record.status.subscription.clone().unwrap();
    let (due, ends) = (current.renew_at.timestamp(), current.expires_at.timestamp());
    world.run_until(
        due.saturating_sub(jiff::SignedDuration::from_secs(1))
            .unwrap(),
    );
    world.graph.writes = Some(Failure::Unavailable(outage()));
    let left = Duration::try_from(ends.duration_since(due)).unwrap();
    world.run_until(later(due, left.mul_f64(0.9)));
    world.graph.writes = None;
    world.run_until(ends);
    assert_eq!(world.graph.created, 1);
    assert_eq!(
        world.says(&C::SubscriptionInactive),
        (False, reason("SubscriptionActive"))
    );
}

#[test]
fn a_subscription_that_is_gone_when_it_is_renewed_is_created_anew_with_the_gap_recorded() {
    let mut world = World::converged();
    world.graph.subscriptions.clear();
    let due = world
        .record
        .status
        .subscription
        .as_ref()
        .unwrap()
        .renew_at
        .timestamp();
    world.run_until(later(due, Duration::from_secs(1)));
    assert_eq!(world.graph.created, 2);
    let latest = &world.record.status.history[0];
    assert_eq!(&*latest.reason, "SubscriptionReplaced");
    assert!(
        latest.message.contains("No notifications were sent from"),
        "{}",
        latest.message
    );
}

#[test]
fn a_removal_that_graph_tells_of_is_verified_and_repaired_at_once() {
    let mut world = World::converged();
    world.memory.wanted = Work::VERIFY;
    assert!(world.pass());
    assert_eq!(
        (world.graph.created, world.writes),
        (1, 0),
        "it was a false alarm"
    );
    world.graph.subscriptions.clear();
    world.memory.wanted = Work::VERIFY;
    assert!(world.pass());
    assert_eq!(world.graph.created, 2);
    assert_eq!(
        &*world.record.status.history[0].reason,
        "SubscriptionReplaced"
    );
}

#[test]
fn a_reauthorization_that_graph_asks_for_is_one_renewal() {
    let mut world = World::converged();
    world.memory.wanted = Work::RENEW;
    assert!(world.pass());
    assert!(
        matches!(world.graph.changes[..], [Change::Renew { .. }]),
        "{:?}",
        world.graph.changes
    );
}

#[test]
fn what_a_crash_between_create_and_status_left_is_replaced_not_adopted() {
    let mut world = World::new();
    let ends = later(world.now, HOUR);
    world
        .graph
        .subscriptions
        .insert(SubscriptionId::new("left-over"), (ends, true));
    world.pass();
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
    let ids: Vec<_> = world
        .graph
        .subscriptions
        .keys()
        .map(SubscriptionId::as_str)
        .collect();
    assert_eq!(ids, ["s1"]);
}

#[test]
fn a_copy_of_an_object_neither_keeps_nor_touches_what_its_status_names() {
    let mut world = World::converged();
    world.record.uid = crate::ids::Uid::from_bytes([8; 16]);
    let ids: Vec<_> = world.graph.subscriptions.keys().cloned().collect();
    for (_, ours) in world.graph.subscriptions.values_mut() {
        *ours = false;
    }
    assert!(world.pass());
    assert_eq!(
        world.says(&C::SubscriptionInactive),
        (True, reason("HeldByAnother"))
    );
    assert_eq!(world.record.status.subscription, None);
    assert_eq!(
        world
            .graph
            .subscriptions
            .keys()
            .cloned()
            .collect::<Vec<_>>(),
        ids
    );
    assert!(!world.pass(), "nothing is tried again at once");
}

#[test]
fn a_replacement_that_fails_is_not_tried_again_at_once() {
    let mut world = World::converged();
    world.endpoint.hash = "there".into();
    world.graph.writes = Some(Failure::EndpointInvalid { request_id: None });
    assert!(world.pass());
    assert!(!world.pass());
    assert!(
        world.record.status.subscription.is_some(),
        "the old one still lives"
    );
}

#[test]
fn a_changed_endpoint_replaces_the_subscription_and_leaves_exactly_one() {
    let mut world = World::converged();
    world.endpoint.hash = "there".into();
    assert!(world.pass());
    let status = &world.record.status;
    assert_eq!(
        &*status.subscription.as_ref().unwrap().endpoint_hash,
        "there"
    );
    assert_eq!(&*status.history[0].reason, "SubscriptionReplaced");
    assert_eq!(world.graph.subscriptions.len(), 1);
    assert!(!world.pass());
}

#[test]
fn a_rotated_key_replaces_nothing_before_the_renewal() {
    let mut world = World::converged();
    world.endpoint.keys.push(KeyId(2));
    assert!(!world.pass());
    let due = world
        .record
        .status
        .subscription
        .as_ref()
        .unwrap()
        .renew_at
        .timestamp();
    world.run_until(later(due, Duration::from_secs(1)));
    assert_eq!(
        world.record.status.subscription.as_ref().unwrap().key_id,
        KeyId(2)
    );
    assert_eq!(world.graph.subscriptions.len(), 1);
}

#[test]
fn a_rotated_key_does_not_keep_a_subscription_from_living_on_while_checks_fail() {
    let mut world = World::converged();
    world.endpoint.keys.push(KeyId(2));
    world.tenant().domains.as_mut().unwrap().verified.clear();
    let end = later(world.now, 24 * 14 * HOUR);
    world.run_until(end);
    assert_eq!(world.says(&C::Ready), (False, reason("DomainMismatch")));
    assert_eq!(world.graph.created, 2, "replaced once, by the newer key");
    assert!(world.subscribed(), "{:?}", world.graph.changes);
}

#[test]
fn a_subscription_whose_replacement_graph_refuses_is_renewed_meanwhile() {
    let until = jiff::Timestamp::MAX;
    for endpoint in [
        EndpointState::Usable,
        EndpointState::LeftToAnother { until },
    ] {
        let mut world = World::converged();
        world.endpoint.hash = "there".into();
        world.tenant().endpoint = endpoint;
        world.graph.creates = Some(Failure::EndpointInvalid { request_id: None });
        let end = later(world.now, 24 * 7 * HOUR);
        world.run_until(end);
        assert_eq!(world.graph.created, 1);
        assert!(world.subscribed(), "{endpoint:?}");
    }
}

#[test]
fn a_replacement_that_fails_when_the_renewal_is_due_is_not_tried_every_second() {
    let mut world = World::converged();
    world.endpoint.keys.push(KeyId(2));
    world.graph.writes = Some(Failure::Unavailable(outage()));
    let due = world
        .record
        .status
        .subscription
        .as_ref()
        .unwrap()
        .renew_at
        .timestamp();
    world.run_until(later(due, Duration::from_mins(10)));
    let tries = world.graph.changes.len();
    assert!((3..30).contains(&tries), "{tries} tries in ten minutes");
}

#[test]
fn a_lost_key_replaces_the_subscription() {
    let mut world = World::converged();
    world.endpoint.keys = vec![KeyId(9)];
    assert!(world.pass());
    assert_eq!(
        world.record.status.subscription.as_ref().unwrap().key_id,
        KeyId(9)
    );
    assert_eq!(world.graph.subscriptions.len(), 1);
}

#[test]
fn a_life_that_graph_does_not_grant_is_asked_for_again_within_its_limit() {
    let mut world = World::new();
    world.graph.longest = Duration::from_hours(71);
    world.pass();
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
}

#[test]
fn a_changed_address_moves_the_subscription() {
    let mut world = World::converged();
    let mut other = person("room-b@contoso.example");
    other.id = crate::ids::MailboxId::new("id-of-b");
    world.record.spec.address = "room-b@contoso.example".into();
    world.record.generation = 2;
    world.graph.directory = Reading::Present(vec![other]);
    world.advance(HOUR / 60);
    assert!(world.pass());
    let status = &world.record.status;
    assert_eq!(status.mailbox.as_ref().unwrap().id.as_str(), "id-of-b");
    assert_eq!(world.graph.subscriptions.len(), 1);
    assert_eq!(status.activated_at.unwrap().timestamp(), world.now);
}

#[test]
fn disabling_the_subscription_removes_it_and_leaves_the_mailbox_ready() {
    let mut world = World::converged();
    world.record.spec.subscription.enabled = false;
    world.record.generation = 2;
    assert!(world.pass());
    assert!(world.graph.subscriptions.is_empty());
    assert_eq!(
        world.says(&C::SubscriptionInactive),
        (False, reason("NotApplicable"))
    );
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
}

#[test]
fn while_the_receiver_does_not_listen_nothing_is_created_and_then_at_once() {
    let mut world = World::new();
    world.tenant().endpoint = EndpointState::NotListening;
    world.pass();
    assert_eq!(
        world.says(&C::SubscriptionInactive),
        (True, reason("Pending"))
    );
    world.tenant().endpoint = EndpointState::Usable;
    assert!(world.pass());
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
}

#[test]
fn a_mailbox_that_leaves_the_endpoint_to_another_tries_itself_when_the_other_does_not() {
    let mut world = World::new();
    let until = later(world.now, Duration::from_secs(40));
    world.tenant().endpoint = EndpointState::LeftToAnother { until };
    world.pass();
    assert_eq!(
        world.says(&C::SubscriptionInactive),
        (True, reason("Pending"))
    );
    assert_eq!(world.next(), Some(until));
    world.now = until;
    world.tenant().endpoint = EndpointState::Usable;
    assert!(world.pass());
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
}

#[test]
fn the_annotation_asks_for_a_check_and_is_echoed() {
    let mut world = World::converged();
    world.record.requested_at = Some("now".into());
    assert!(world.pass());
    assert_eq!(
        world.record.status.last_handled_reconcile_at.as_deref(),
        Some("now")
    );
    assert!(world.graph.looks > 0);
    assert!(!world.pass());
}

fn any_outage() -> impl Strategy<Value = [bool; 6]> {
    proptest::array::uniform6(any::<bool>())
}

proptest! {
    #[test]
    fn nothing_destructive_follows_from_what_is_unavailable(broken in any_outage(), hours in 1_u64..2000) {
        let mut world = World::converged();
        let [directory, sign_in, calendar, place, writes, wanted] = broken;
        if directory { world.graph.directory = Reading::Unavailable(outage()); }
        if sign_in { world.graph.sign_in = Reading::Unavailable(outage()); }
        if calendar { world.graph.calendar = Reading::Unavailable(outage()); }
        if place { world.graph.place = Reading::Unavailable(outage()); }
        if writes { world.graph.writes = Some(Failure::Unavailable(outage())); }
        if wanted { world.memory.wanted = Work::CHECK; }
        let renewed_until = world.record.status.subscription.as_ref().unwrap().renew_at.timestamp();
        let end = later(world.now, Duration::from_mins(hours)).min(renewed_until);
        world.run_until(end);
        let destroyed = world.graph.changes.iter().any(|c| matches!(c, Change::Delete { .. } | Change::Create { .. }));
        prop_assert!(!destroyed, "{:?}", world.graph.changes);
        let problems = world.record.status.conditions.iter().filter(|c| c.status == True);
        let flipped = problems.filter(|c| !matches!(c.type_, C::Ready | C::Reconciling)).count();
        prop_assert_eq!(flipped, 0, "an outage of Graph is no problem of the mailbox");
    }
}
