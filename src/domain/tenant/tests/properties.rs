//! What holds whatever Microsoft answers.

use std::time::Duration;

use proptest::prelude::*;

use super::super::credential::RefusalCause;
use super::super::work::Work;
use super::world::{Answer, Microsoft, ROLES, World};
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::vocabulary::TENANT;
use crate::domain::conditions::MESSAGE_LIMIT;
use crate::domain::reading::OutageKind;

fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::Yes),
        1 => Just(Answer::NotThere),
        1 => Just(Answer::NotEnabledForRest),
        2 => Just(Answer::Refused),
    ]
}

fn any_outage() -> impl Strategy<Value = OutageKind> {
    prop_oneof![
        Just(OutageKind::GraphUnreachable),
        Just(OutageKind::ServerErrors),
        Just(OutageKind::Throttled),
    ]
}

/// A Microsoft that answers everything, one way or the other.
fn any_microsoft() -> impl Strategy<Value = Microsoft> {
    let answers = proptest::collection::vec(any_answer(), 9);
    let roles = proptest::sample::subsequence(ROLES.to_vec(), 0..=ROLES.len());
    let refused = proptest::option::weighted(0.1, Just(RefusalCause::InvalidClientSecret));
    (answers, roles, refused).prop_map(|(answers, roles, refused)| Microsoft {
        refused,
        roles,
        domains: answers[0],
        organization: answers[1],
        places: answers[2],
        directory: answers[3],
        calendar: answers[4],
        create: answers[5],
        read: answers[6],
        delete: answers[7],
        isolation: answers[8],
        ..Microsoft::default()
    })
}

fn world(microsoft: Microsoft) -> World {
    let more = "testMailbox: probe@contoso.example\nisolationProbe: {mailbox: ceo@contoso.example}\ndomains: [contoso.example]";
    let mut world = World::with_spec(more);
    world.microsoft = microsoft;
    world
}

/// Some of the calls fail from now on.
fn break_some(microsoft: &mut Microsoft, which: &[bool], kind: OutageKind) {
    let fields = [
        &mut microsoft.domains,
        &mut microsoft.organization,
        &mut microsoft.places,
        &mut microsoft.directory,
        &mut microsoft.calendar,
        &mut microsoft.create,
        &mut microsoft.read,
        &mut microsoft.delete,
        &mut microsoft.isolation,
    ];
    for (field, broken) in fields.into_iter().zip(which) {
        if *broken {
            *field = Answer::Fails(kind);
        }
    }
}

proptest! {
    #[test]
    fn the_same_answers_give_the_same_status(microsoft in any_microsoft()) {
        let mut world = world(microsoft);
        world.settle();
        for work in [Work::NONE, Work::CHECK, Work::ALL] {
            let before = world.record.status.clone();
            world.pass_with(work);
            prop_assert_eq!(&before, &world.record.status, "{:?}", work);
        }
        world.restart();
        let before = world.record.status.clone();
        world.pass();
        prop_assert_eq!(&before, &world.record.status, "after a restart");
    }

    #[test]
    fn nothing_is_due_for_ever(microsoft in any_microsoft(), broken in proptest::collection::vec(any::<bool>(), 9), kind in any_outage()) {
        let mut world = world(microsoft);
        world.settle();
        break_some(&mut world.microsoft, &broken, kind);
        for _ in 0..10 {
            world.now = world.next().0;
            world.settle();
        }
    }

    #[test]
    fn an_outage_changes_nothing_before_patience_is_over(
        microsoft in any_microsoft(),
        broken in proptest::collection::vec(any::<bool>(), 9),
        kind in any_outage(),
        login in any::<bool>(),
    ) {
        let mut world = world(microsoft);
        world.settle();
        let before = world.record.status.clone();
        if login {
            world.microsoft.token_fails = Some(OutageKind::LoginUnreachable);
            world.microsoft.refused = None;
        }
        break_some(&mut world.microsoft, &broken, kind);
        for _ in 0..3 {
            world.pass_with(Work::TEST);
            world.pass_time(Duration::from_mins(4));
            for (now, was) in world.record.status.conditions.iter().zip(before.conditions.iter()) {
                prop_assert_eq!(&now.type_, &was.type_);
                prop_assert_eq!(now.status, was.status, "{}", now.type_);
            }
        }
    }

    #[test]
    fn messages_are_bounded_and_every_condition_is_there(microsoft in any_microsoft()) {
        let mut world = world(microsoft);
        world.settle();
        for meta in TENANT {
            let condition = world.condition(meta.type_);
            prop_assert!(condition.message.len() <= MESSAGE_LIMIT);
            let reasons_fit = condition.status != ConditionStatus::True || meta.problems.iter().any(|problem| *problem.reason == condition.reason);
            prop_assert!(reasons_fit, "{}/{}", condition.type_, condition.reason);
        }
        let cleaned = world.memory.leftover.is_none();
        prop_assert!(cleaned || world.microsoft.delete == Answer::Refused);
    }
}
