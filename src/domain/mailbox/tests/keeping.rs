//! What keeps a subscription alive, what may be tried how often, and what survives a restart.

use std::time::Duration;

use super::super::subscription::{Change, Failure};
use super::super::tenant_view::{EndpointState, TenantView, TokenState};
use super::super::work::{ORDER_PATIENCE, Work};
use super::reason;
use super::world::{World, outage, person, refused};
use crate::api::v1alpha1::condition::ConditionStatus::{False, True};
use crate::api::vocabulary::ConditionType as C;
use crate::domain::conditions::find;
use crate::domain::queue::Class;
use crate::domain::reading::Reading;
use crate::domain::records::Memory;
use crate::domain::schedule::{between, later};
use crate::ids::{KeyId, ObjectKey};

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

fn is_alive(world: &World) -> bool {
    let mut ends = world.graph.subscriptions.values();
    world.graph.subscriptions.len() == 1 && ends.all(|(ends, _)| *ends > world.now)
}

fn run_for(world: &mut World, time: Duration) {
    let end = later(world.now, time);
    world.run_until(end);
}

fn run_until_renewal(world: &mut World) {
    let current = world.record.status.subscription.as_ref().unwrap();
    let due = current.renew_at.timestamp();
    run_for(world, between(world.now, due) + Duration::from_secs(1));
}

fn writes(world: &World, wanted: fn(&Change) -> bool) -> usize {
    world.graph.changes.iter().filter(|c| wanted(c)).count()
}

#[test]
fn a_new_mailbox_is_a_first_validation_and_a_changed_one_has_somebody_waiting_for_it() {
    let mut world = World::new();
    assert_eq!(world.coming(), Some((world.now, Class::First)));
    world.run_until(world.now);
    world.record.generation += 1;
    assert_eq!(world.coming().map(|(_, class)| class), Some(Class::User));
}

#[test]
fn a_subscription_that_cannot_be_replaced_now_is_renewed_until_it_can() {
    let until = jiff::Timestamp::MAX;
    for endpoint in [
        EndpointState::LeftToAnother { until },
        EndpointState::NotListening,
    ] {
        let mut world = World::converged();
        world.endpoint.hash = "there".into();
        world.tenant().endpoint = endpoint;
        run_for(&mut world, 24 * 14 * HOUR);
        assert!(is_alive(&world), "{endpoint:?}");
        assert_eq!(world.graph.created, 1, "{endpoint:?}");
        world.tenant().endpoint = EndpointState::Usable;
        assert!(world.pass(), "its turn has come long ago");
        assert_eq!(world.graph.created, 2);
        assert!(is_alive(&world));
    }
}

#[test]
fn a_lost_subscription_is_created_again_whatever_the_checks_say() {
    let mut world = World::converged();
    world.graph.directory = Reading::Present(vec![person("new@contoso.example")]);
    world.memory.wanted = Work::CHECK;
    assert!(world.pass());
    assert_eq!(world.says(&C::AddressMismatch).0, True);
    world.graph.subscriptions.clear();
    world.memory.wanted = Work::VERIFY;
    assert!(world.pass());
    assert!(is_alive(&world));
    assert_eq!(
        &*world.record.status.history[0].reason,
        "SubscriptionReplaced"
    );
}

#[test]
fn a_replacement_that_graph_refuses_is_repeated_with_patience_and_the_renewal_goes_on() {
    let mut world = World::converged();
    world.endpoint.keys.push(KeyId(2));
    run_until_renewal(&mut world);
    assert_eq!(world.graph.created, 2, "with the newer key");
    world.endpoint.keys.push(KeyId(3));
    world.graph.writes = Some(Failure::QuotaExceeded { request_id: None });
    world.graph.changes.clear();
    run_until_renewal(&mut world);
    run_for(&mut world, HOUR);
    let tries = world.graph.changes.len();
    assert!((1..100).contains(&tries), "{tries} tries in an hour");
    world.graph.writes = None;
    run_for(&mut world, 24 * HOUR);
    assert!(is_alive(&world));
}

#[test]
fn a_status_that_cannot_be_written_costs_little() {
    let mut world = World::new();
    world.cluster_refuses = true;
    run_for(&mut world, 10 * MINUTE);
    let changes = writes(&world, |_| true);
    assert_eq!(changes, 1, "{:?}", world.graph.changes);
    world.cluster_refuses = false;
    run_for(&mut world, 6 * MINUTE);
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
    assert!(is_alive(&world));
    assert_eq!(world.graph.created, 1, "what was made is named now");
}

#[test]
fn a_renewal_whose_status_cannot_be_written_is_made_once() {
    let mut world = World::converged();
    world.cluster_refuses = true;
    run_until_renewal(&mut world);
    run_for(&mut world, 6 * HOUR);
    let renewals = |world: &World| writes(world, |c| matches!(c, Change::Renew { .. }));
    assert_eq!(renewals(&world), 1, "{:?}", world.graph.changes);
    let shown = world.record.status.subscription.clone().unwrap();
    world.cluster_refuses = false;
    run_for(&mut world, 6 * MINUTE);
    let named = world.record.status.subscription.as_ref().unwrap();
    assert!(named.expires_at.timestamp() > shown.expires_at.timestamp());
    assert_eq!(renewals(&world), 1, "what was granted is named now");
}

#[test]
fn a_write_that_was_carried_out_although_its_answer_was_lost_costs_no_subscription() {
    let mut world = World::converged();
    world.endpoint.hash = "there".into();
    let before = world.clone();
    assert!(world.pass());
    let written = world.record.status.clone();
    // The same pass, as this process sees it: no answer came.
    let mut world = before;
    world.cluster_refuses = true;
    assert!(world.pass());
    world.cluster_refuses = false;
    world.record.status = written.clone();
    run_for(&mut world, HOUR);
    assert_eq!(world.record.status.subscription, written.subscription);
    let replaced = |entry: &&crate::api::v1alpha1::mailbox::HistoryEntry| {
        &*entry.reason == "SubscriptionReplaced"
    };
    let told = world.record.status.history.iter().filter(replaced).count();
    assert_eq!(told, 1);
    assert!(is_alive(&world));
}

#[test]
fn a_gap_is_told_also_when_the_status_could_not_be_written_at_first() {
    let mut world = World::converged();
    run_for(&mut world, HOUR);
    world.graph.subscriptions.clear();
    world.memory.wanted = Work::VERIFY;
    world.cluster_refuses = true;
    assert!(world.pass());
    assert_eq!(world.graph.created, 2);
    world.cluster_refuses = false;
    run_for(&mut world, 10 * MINUTE);
    assert_eq!(world.graph.created, 2);
    let latest = &world.record.status.history[0];
    assert!(
        latest.message.contains("No notifications were sent from"),
        "{latest:?}"
    );
}

#[test]
fn what_was_not_wanted_for_a_while_is_no_gap() {
    let mut world = World::converged();
    world.graph.subscriptions.clear();
    world.graph.creates = Some(Failure::QuotaExceeded { request_id: None });
    world.memory.wanted = Work::VERIFY;
    run_for(&mut world, HOUR);
    world.record.spec.subscription.enabled = false;
    world.record.generation = 2;
    run_for(&mut world, 24 * HOUR);
    assert_eq!(
        &*world.condition(&C::Ready).message,
        "The mailbox works. Its calendar is not being watched: no subscription was asked for."
    );
    world.graph.creates = None;
    world.record.spec.subscription.enabled = true;
    world.record.generation = 3;
    run_for(&mut world, HOUR);
    assert!(is_alive(&world));
    let gaps = &world.record.status.history;
    assert!(
        gaps.iter()
            .all(|entry| &*entry.reason != "SubscriptionReplaced"),
        "{gaps:?}"
    );
}

#[test]
fn a_directory_that_tells_only_half_is_asked_with_patience() {
    let mut world = World::new();
    world.graph.directory = Reading::Present(vec![]);
    world.graph.sign_in = Reading::Forbidden(refused());
    assert!(world.pass());
    assert_eq!(world.says(&C::MailboxNotFound), (True, reason("NotFound")));
    assert!(!world.pass());
}

#[test]
fn the_beginning_of_a_gap_is_remembered_while_graph_refuses_a_new_one() {
    let mut world = World::converged();
    run_for(&mut world, HOUR);
    let lost_at = world.now;
    world.graph.subscriptions.clear();
    world.graph.writes = Some(Failure::Refused {
        by_access_policy: false,
        request_id: None,
    });
    world.memory.wanted = Work::VERIFY;
    run_for(&mut world, 3 * HOUR);
    world.graph.writes = None;
    run_for(&mut world, 2 * HOUR);
    assert!(is_alive(&world));
    let gap = world
        .record
        .status
        .history
        .iter()
        .find(|entry| &*entry.reason == "SubscriptionReplaced")
        .unwrap();
    let from = format!("from {lost_at:.0}");
    assert!(gap.message.contains(&from), "{from}: {}", gap.message);
}

#[test]
fn a_wish_that_comes_during_a_backoff_is_kept() {
    let mut world = World::converged();
    world.graph.calendar = Reading::Unavailable(outage());
    world.memory.wanted = Work::CHECK;
    assert!(world.pass());
    assert!(!world.pass(), "it waits");
    world.graph.subscriptions.clear();
    world.memory.wanted = Work::VERIFY;
    // A pass for another reason comes in between.
    world.record.spec.suspend = true;
    assert!(world.pass());
    world.record.spec.suspend = false;
    world.graph.calendar = Reading::Present(());
    run_for(&mut world, 5 * MINUTE);
    assert!(is_alive(&world), "the removal was noticed");
}

#[test]
fn a_failed_check_is_repeated_although_the_renewal_in_between_works() {
    let mut world = World::converged();
    run_until_renewal(&mut world);
    world.graph.calendar = Reading::Unavailable(outage());
    for _ in 0..3 {
        world.memory.wanted = Work::CHECK;
        world.pass();
        run_for(&mut world, 6 * MINUTE);
    }
    assert!(world.memory.looks.tries() >= 3, "{:?}", world.memory.looks);
    assert!(world.memory.pending.check);
    let tries = world.memory.looks.tries();
    world.memory.wanted = Work::RENEW;
    assert!(world.pass());
    assert!(world.memory.looks.tries() >= tries, "a renewal is no check");
}

#[test]
fn ten_thousand_mailboxes_do_not_all_say_at_once_that_their_tenant_has_no_token() {
    let mut world = World::converged();
    let since = world.now;
    world.tenant().mailboxes = 10_000;
    world.tenant().token = TokenState::Refused {
        since,
        reason: "ClientSecretExpired".to_owned(),
    };
    let wait = between(since, world.next().unwrap());
    assert!(wait > 5 * MINUTE && wait <= 5 * MINUTE + Duration::from_secs(200));
    run_for(&mut world, 5 * MINUTE);
    assert_eq!(world.says(&C::TenantNotReady).0, False);
    run_for(&mut world, Duration::from_secs(200));
    assert_eq!(world.says(&C::TenantNotReady).0, True);
}

#[test]
fn slots_that_nobody_served_are_caught_up_with_over_some_minutes() {
    let mut world = World::converged();
    world.advance(3 * HOUR);
    let served = world.memory.checked_at;
    world.memory = Memory::new(served, world.now);
    let wait = between(world.now, world.next().unwrap());
    assert!(!wait.is_zero() && wait <= 5 * MINUTE, "{wait:?}");
}

#[test]
fn a_refused_reference_counts_from_when_it_was_refused_not_from_an_earlier_problem() {
    let mut world = World::converged();
    let tenant = world.tenant.clone();
    world.tenant = TenantView::Missing(ObjectKey::new("rooms", "contoso"));
    run_for(&mut world, 24 * HOUR);
    assert_eq!(world.says(&C::TenantNotReady).0, True);
    world.tenant = TenantView::NotPermitted(ObjectKey::new("rooms", "contoso"));
    run_for(&mut world, 9 * MINUTE);
    assert!(is_alive(&world), "ten minutes to put it right");
    run_for(&mut world, 2 * MINUTE);
    assert_eq!(
        world.says(&C::TenantNotReady),
        (True, reason("ReferenceNotPermitted"))
    );
    assert!(world.graph.subscriptions.is_empty());
    world.tenant = tenant;
}

#[test]
fn what_was_found_for_an_older_spec_stalls_nobody() {
    let mut world = World::new();
    world.graph.directory = Reading::Present(vec![]);
    run_for(&mut world, 15 * MINUTE);
    assert_eq!(world.says(&C::Stalled), (True, reason("NotFound")));
    world.record.spec.address = "room-b@contoso.example".into();
    world.record.generation = 2;
    world.graph.directory = Reading::Unavailable(outage());
    assert!(world.pass());
    let status = &world.record.status;
    assert_eq!(find(&status.conditions, &C::Stalled), None);
    assert_eq!(status.observed_generation, Some(1));
    assert_eq!(world.condition(&C::Ready).observed_generation, Some(1));
}

#[test]
fn a_restart_does_not_keep_a_missing_tenant_from_being_called_stalled() {
    let mut world = World::new();
    world.tenant = TenantView::Missing(ObjectKey::new("rooms", "contoso"));
    world.advance(ORDER_PATIENCE);
    assert!(world.pass());
    world.memory = Memory::new(world.now, world.now);
    run_for(&mut world, 9 * MINUTE);
    assert_eq!(
        find(&world.record.status.conditions, &C::Stalled),
        None,
        "not yet"
    );
    run_for(&mut world, 2 * MINUTE);
    assert_eq!(world.says(&C::Stalled), (True, reason("TenantNotFound")));
}

#[test]
fn whoever_lost_its_subscription_gets_one_as_soon_as_the_url_works_again() {
    let mut world = World::converged();
    world.graph.subscriptions.clear();
    world.tenant().endpoint = EndpointState::LeftToAnother {
        until: jiff::Timestamp::MAX,
    };
    world.memory.wanted = Work::VERIFY;
    assert!(world.pass());
    assert_eq!(
        world.says(&C::SubscriptionInactive),
        (True, reason("Removed"))
    );
    world.tenant().endpoint = EndpointState::Usable;
    assert!(world.pass());
    assert!(is_alive(&world));
}

#[test]
fn the_one_that_probes_the_url_does_so_with_patience() {
    let mut world = World::new();
    world.graph.writes = Some(Failure::EndpointInvalid { request_id: None });
    run_for(&mut world, HOUR);
    let tries = world.graph.changes.len();
    assert!((10..40).contains(&tries), "{tries} tries in an hour");
    assert_eq!(
        world.says(&C::SubscriptionInactive),
        (True, reason("Pending")),
        "the tenant has a name for it"
    );
}

#[test]
fn a_renewal_that_failed_is_not_over_before_it_works() {
    let mut world = World::converged();
    world.graph.writes = Some(Failure::Unavailable(outage()));
    let current = world.record.status.subscription.clone().unwrap();
    let (from, ends) = (
        current.granted_at.timestamp(),
        current.expires_at.timestamp(),
    );
    let nearly = later(from, between(from, ends).mul_f64(0.99));
    world.run_until(nearly);
    assert_eq!(
        world.says(&C::SubscriptionInactive),
        (True, reason("RenewFailed"))
    );
    // Another pass, in which nobody tries.
    world.memory.wanted = Work::CHECK;
    assert!(world.pass());
    assert_eq!(world.says(&C::SubscriptionInactive).0, True);
    world.graph.writes = None;
    world.run_until(ends);
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
    assert_eq!(world.graph.created, 1);
}

#[test]
fn a_subscription_that_ends_while_nothing_can_be_done_says_so() {
    let mut world = World::converged();
    world.tenant = TenantView::Missing(ObjectKey::new("rooms", "contoso"));
    run_for(&mut world, 24 * 8 * HOUR);
    assert_eq!(
        world.says(&C::SubscriptionInactive),
        (True, reason("Lapsed"))
    );
}

#[test]
fn a_subscription_whose_life_was_over_was_removed_by_nobody() {
    let mut world = World::converged();
    let ends = world.record.status.subscription.clone().unwrap().expires_at;
    assert!(world.would_be_removed());
    world.now = ends.timestamp();
    assert!(!world.would_be_removed());
}

#[test]
fn a_subscription_that_lapsed_is_not_called_removed_when_graph_does_not_know_it_any_more() {
    let mut world = World::converged();
    let known = world.tenant.clone();
    world.tenant = TenantView::Missing(ObjectKey::new("rooms", "contoso"));
    run_for(&mut world, 24 * 8 * HOUR);
    world.tenant = known;
    world.graph.creates = Some(Failure::Unavailable(outage()));
    world.memory.wanted = Work::CHECK;
    run_for(&mut world, HOUR);
    assert_eq!(world.graph.subscriptions.len(), 0, "Graph has forgotten it");
    assert_eq!(
        world.says(&C::SubscriptionInactive),
        (True, reason("Lapsed"))
    );
}
