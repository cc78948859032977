//! When Microsoft is called unavailable, and when that is over.

use std::time::Duration;

use super::super::work::Work;
use super::world::{Answer, World};
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::vocabulary::{ConditionType as C, Reason as R};
use crate::domain::reading::OutageKind;
use crate::domain::schedule::later;

#[test]
fn microsoft_is_called_unavailable_after_fifteen_minutes_and_three_tries() {
    for (kind, reason) in [
        (OutageKind::LoginUnreachable, R::LoginUnreachable),
        (OutageKind::GraphUnreachable, R::GraphUnreachable),
        (OutageKind::ServerErrors, R::ServerErrors),
    ] {
        let mut world = World::new();
        world.settle();
        if kind == OutageKind::LoginUnreachable {
            world.microsoft.token_fails = Some(kind);
        } else {
            world.microsoft.domains = Answer::Fails(kind);
        }
        let began = world.next().0;
        while world.problems().is_empty() {
            let before = world.record.status.clone();
            world.now = world.next().0;
            world.pass();
            let patient = world.now < later(began, Duration::from_mins(15));
            assert!(
                !patient || world.record.status == before,
                "nothing changes before {kind:?}"
            );
        }
        assert!(
            world.now <= later(began, Duration::from_mins(21)),
            "{}",
            world.now
        );
        assert_eq!(world.problems(), [(C::MicrosoftUnavailable, reason)]);
        assert_eq!(
            world.ready(),
            (ConditionStatus::False, R::parse("MicrosoftUnavailable"))
        );

        world.microsoft.token_fails = None;
        world.microsoft.domains = Answer::Yes;
        world.now = world.next().0;
        world.settle();
        assert_eq!(world.ready(), (ConditionStatus::True, R::Operational));
    }
}

#[test]
fn an_outage_does_not_end_by_passes_that_learn_nothing() {
    let unheard = [
        OutageKind::Throttled,
        OutageKind::NoToken,
        OutageKind::ClusterUnreachable,
    ];
    for kind in unheard {
        let mut world = World::new();
        world.settle();
        world.microsoft.domains = Answer::Fails(OutageKind::ServerErrors);
        while world.problems().is_empty() {
            world.now = world.next().0;
            world.pass();
        }
        let outage = world.facts.outage;
        for token in [true, false] {
            world.microsoft.token_fails = (!token).then_some(kind);
            world.microsoft.domains = Answer::Fails(kind);
            world.now = world.next().0;
            world.pass_with(Work::CHECK);
            assert_eq!(world.facts.outage, outage, "{kind:?}");
            assert_eq!(
                world.problems(),
                [(C::MicrosoftUnavailable, R::ServerErrors)]
            );
        }
    }
}

#[test]
fn one_question_that_is_not_accepted_does_not_prolong_an_outage() {
    for kind in [OutageKind::Refused, OutageKind::Withheld] {
        let mut world = World::new();
        world.settle();
        world.microsoft.domains = Answer::Fails(OutageKind::ServerErrors);
        while world.problems().is_empty() {
            world.now = world.next().0;
            world.pass();
        }
        world.microsoft.domains = Answer::Yes;
        world.microsoft.places = Answer::Fails(kind);
        world.pass_with(Work::ALL);
        assert_eq!(world.facts.outage, None, "{kind:?}");
        assert_eq!(world.problems(), []);
    }
}

#[test]
fn microsoft_is_not_called_reachable_before_it_answered() {
    let mut world = World::new();
    world.microsoft.token_fails = Some(OutageKind::Throttled);
    world.pass();
    let condition = world.condition(&C::MicrosoftUnavailable);
    assert_eq!(condition.status, ConditionStatus::Unknown);
}
