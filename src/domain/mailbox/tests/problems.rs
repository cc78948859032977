//! Each way in which Microsoft 365 or the cluster can be wrong, and the one name that it gets.

use std::time::Duration;

use super::super::subscription::Failure;
use super::super::tenant_view::TenantView;
use super::super::work::{ORDER_PATIENCE, Work};
use super::reason;
use super::world::{ADDRESS, World, absent, outage, person, refused};
use crate::api::v1alpha1::condition::ConditionStatus::{False, True};
use crate::api::vocabulary::ConditionType as C;
use crate::domain::reading::{Absence, Reading, Refusal};
use crate::domain::schedule::later;
use crate::ids::{ObjectKey, SubscriptionId};

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn who_has_the_address_is_asked_first_and_then_calendar_and_place_at_once() {
    let mut world = World::converged();
    world.run_until(world.next().unwrap());
    assert_eq!((world.graph.rounds, world.graph.looks), (2, 3));
    world.graph.directory = Reading::Present(Vec::new());
    world.run_until(world.next().unwrap());
    assert_eq!(
        world.graph.looks,
        3 + 2,
        "nobody has it: nothing else is asked"
    );
}

#[test]
fn what_is_wrong_with_the_calendar_is_said_whatever_places_answers() {
    let places = [
        Reading::Present(()),
        Reading::Absent(absent()),
        Reading::Unavailable(outage()),
    ];
    for place in places {
        let mut world = World::new();
        world.graph.calendar = Reading::Forbidden(refused());
        world.graph.place = place.clone();
        world.pass();
        let expected = (True, reason("AccessPolicyDenied"));
        assert_eq!(world.says(&C::Unauthorized), expected, "{place:?}");
        assert_eq!(
            world.says(&C::Ready),
            (False, reason("Unauthorized")),
            "{place:?}"
        );
        let (listed, _) = world.says(&C::RoomNotListed);
        assert_ne!(listed, True, "{place:?}: one thing after the other");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_problem_has_one_name_and_later_checks_are_blocked_by_it() {
    type Break = fn(&mut World);
    let cases: &[(&str, Break, C, &str)] = &[
        (
            "unknown",
            |w| w.graph.directory = Reading::Present(vec![]),
            C::MailboxNotFound,
            "NotFound",
        ),
        (
            "guest",
            |w| {
                let mut guest = person(ADDRESS);
                guest.guest = true;
                w.graph.directory = Reading::Present(vec![guest]);
            },
            C::MailboxNotFound,
            "GuestAccount",
        ),
        (
            "on-premises",
            |w| {
                w.graph.calendar = Reading::Absent(Absence {
                    not_enabled_for_rest: true,
                    request_id: None,
                });
            },
            C::MailboxNotFound,
            "NotEnabledForRest",
        ),
        (
            "alias",
            |w| w.graph.directory = Reading::Present(vec![person("a@contoso.example")]),
            C::AddressMismatch,
            "AliasUsed",
        ),
        (
            "sign-in name",
            |w| {
                w.graph.directory = Reading::Present(vec![]);
                w.graph.sign_in = Reading::Present(person("a@contoso.example"));
            },
            C::AddressMismatch,
            "UserPrincipalNameUsed",
        ),
        (
            "apostrophe",
            |w| {
                w.record.spec.address = "o'neil@contoso.example".into();
                w.graph.directory = Reading::Present(vec![person("o'neil@contoso.example")]);
            },
            C::AddressMismatch,
            "UnsupportedCharacter",
        ),
        (
            "policy",
            |w| w.graph.calendar = Reading::Forbidden(refused()),
            C::Unauthorized,
            "AccessPolicyDenied",
        ),
        (
            "domain",
            |w| w.record.spec.address = "room-a@other.example".into(),
            C::DomainMismatch,
            "DomainNotInTenant",
        ),
        (
            "domain of others",
            |w| {
                w.tenant().domains.as_mut().unwrap().allowed =
                    Some(vec!["rooms.example".to_owned()]);
            },
            C::DomainMismatch,
            "DomainNotAllowed",
        ),
        (
            "conflict",
            |w| w.conflict = Some(ObjectKey::new("rooms", "older")),
            C::Conflict,
            "AddressInUse",
        ),
        (
            "no tenant",
            |w| w.tenant = TenantView::Missing(ObjectKey::new("rooms", "contoso")),
            C::TenantNotReady,
            "TenantNotFound",
        ),
        (
            "not permitted",
            |w| w.tenant = TenantView::NotPermitted(ObjectKey::new("x", "contoso")),
            C::TenantNotReady,
            "ReferenceNotPermitted",
        ),
        (
            "held by another",
            |w| {
                let ends = later(w.now, HOUR);
                w.graph
                    .subscriptions
                    .insert(SubscriptionId::new("foreign"), (ends, false));
            },
            C::SubscriptionInactive,
            "HeldByAnother",
        ),
        (
            "refused",
            |w| {
                w.graph.writes = Some(Failure::Refused {
                    by_access_policy: false,
                    request_id: None,
                });
            },
            C::Unauthorized,
            "SubscribeDenied",
        ),
        (
            "quota",
            |w| w.graph.writes = Some(Failure::QuotaExceeded { request_id: None }),
            C::SubscriptionInactive,
            "QuotaExceeded",
        ),
    ];
    for (name, break_, condition, expected) in cases {
        let mut world = World::new();
        break_(&mut world);
        world.advance(ORDER_PATIENCE);
        assert!(world.pass(), "{name}");
        assert_eq!(world.says(condition), (True, reason(expected)), "{name}");
        assert_eq!(
            world.says(&C::Ready),
            (False, condition.to_string()),
            "{name}"
        );
        let problems = world
            .record
            .status
            .conditions
            .iter()
            .filter(|c| c.status == True && !matches!(c.type_, C::Stalled | C::Reconciling));
        assert_eq!(
            problems.count(),
            1,
            "{name}: {:#?}",
            world.record.status.conditions
        );
        assert_eq!(world.graph.created, 0, "{name}");
        assert!(!world.pass(), "{name}: nothing is due right after");
    }
}

#[test]
fn a_domain_that_the_tenant_lacks_makes_the_tenant_look_at_each_retry() {
    let mut world = World::converged();
    world.run_until(later(world.now, HOUR));
    assert_eq!(world.suspicions, 0);
    world.tenant().domains.as_mut().unwrap().verified = vec!["other.example".to_owned()];
    world.pass();
    assert_eq!(
        world.says(&C::DomainMismatch),
        (True, reason("DomainNotInTenant"))
    );
    let at_first = world.suspicions;
    assert!(at_first >= 1);
    world.run_until(later(world.now, HOUR));
    assert!(world.suspicions > at_first + 4, "{}", world.suspicions);
}

#[test]
fn an_object_that_loses_its_mailbox_to_an_older_one_makes_room_and_gets_it_back() {
    let mut world = World::converged();
    world.conflict = Some(ObjectKey::new("rooms", "older"));
    world.pass();
    assert_eq!(world.says(&C::Conflict), (True, reason("AddressInUse")));
    assert!(world.graph.subscriptions.is_empty());
    assert!(world.record.status.subscription.is_none());
    assert!(!world.pass(), "nothing is due right after");
    world.conflict = None;
    world.pass();
    assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
    assert_eq!(world.graph.subscriptions.len(), 1);
}

#[test]
fn a_subscription_that_is_refused_says_nothing_new_about_a_mailbox_that_cannot_be_read() {
    let mut world = World::converged();
    world.tenant().roles.clear();
    world.graph.calendar = Reading::Forbidden(Refusal {
        by_access_policy: false,
        request_id: None,
    });
    world.graph.creates = Some(Failure::Refused {
        by_access_policy: false,
        request_id: None,
    });
    world.memory.wanted = Work::CHECK;
    assert!(world.pass());
    let expected = (True, reason("PermissionMissing"));
    assert_eq!(world.says(&C::Unauthorized), expected);

    world.graph.subscriptions.clear();
    world.memory.wanted = Work::VERIFY;
    assert!(world.pass(), "it is seen to be gone");
    assert_eq!(world.says(&C::Unauthorized), expected);
    // After ten minutes only a person can end this, and that is said once.
    let stalled = later(world.now, HOUR);
    world.run_until(stalled);
    let written = world.writes;
    let end = later(world.now, 12 * HOUR);
    world.run_until(end);
    assert_eq!(world.writes, written, "{:?}", world.record.status.history);
}

#[test]
fn a_mailbox_that_can_be_read_but_not_subscribed_to_does_not_change_its_mind() {
    for mut world in [World::new(), World::converged()] {
        world.graph.subscriptions.clear();
        world.graph.creates = Some(Failure::Refused {
            by_access_policy: false,
            request_id: None,
        });
        world.memory.wanted = Work::VERIFY | Work::CHECK;
        let settled = later(world.now, HOUR);
        world.run_until(settled);
        let written = world.writes;
        let end = later(world.now, 12 * HOUR);
        world.run_until(end);
        assert_eq!(world.writes, written, "{:?}", world.record.status.history);
        let expected = (True, reason("SubscribeDenied"));
        assert_eq!(world.says(&C::Unauthorized), expected);

        world.graph.creates = None;
        let end = later(world.now, 2 * HOUR);
        world.run_until(end);
        assert_eq!(world.says(&C::Ready), (True, reason("Activated")));
    }
}
