//! When a tenant is looked at, and what a whole pass asks and writes.

use std::time::Duration;

use super::super::credential::CredentialProblem;
use super::super::looks::{Freshness, TenantLook};
use super::super::memory::TenantMemory;
use super::super::work::Work;
use super::world::{Answer, World, start};
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::vocabulary::{ConditionType as C, Reason as R};
use crate::domain::mailbox::tenant_view::TokenState;
use crate::domain::notification_url::{EndpointProblem, EndpointVerdict};
use crate::domain::queue::Class;
use crate::domain::reading::OutageKind;
use crate::domain::schedule::{between, later};

const TEST_MAILBOX: &str = "testMailbox: probe@contoso.example";

fn with_test_mailbox() -> World {
    let mut world = World::with_spec(TEST_MAILBOX);
    world.microsoft.roles.push("Calendars.ReadWrite");
    world
}

fn tested(world: &World) -> bool {
    world
        .looks
        .iter()
        .any(|look| matches!(look, TenantLook::CreateTestEvent { .. }))
}

#[test]
fn a_good_tenant_is_ready_after_one_pass_and_then_rests_until_its_slot() {
    let mut world = World::new();
    assert_eq!(world.next(), (start(), Class::User));
    assert!(world.pass());
    assert_eq!(
        world.looks[1..],
        [
            TenantLook::Token(Freshness::New),
            TenantLook::Company { places: true }
        ]
    );
    assert_eq!(world.ready(), (ConditionStatus::True, R::Operational));
    assert_eq!(world.record.status.observed_generation, Some(1));
    assert_eq!(
        world
            .record
            .status
            .organization
            .as_ref()
            .unwrap()
            .display_name,
        "Contoso"
    );
    assert_eq!(
        world.record.status.domains[0].name, "contoso.example",
        "the default comes first"
    );
    assert_eq!(world.facts.token, TokenState::Issued);
    assert_eq!(world.due(), None);
    let (next, class) = world.next();
    assert!(between(start(), next) <= Duration::from_hours(1));
    assert_eq!(class, Class::Routine);
}

#[test]
fn a_routine_check_of_a_converged_tenant_writes_nothing() {
    let mut world = with_test_mailbox();
    world.settle();
    for _ in 0..30 {
        world.now = world.next().0;
        assert!(!world.pass(), "{:?}", world.record.status);
    }
}

#[test]
fn a_restart_looks_once_and_writes_nothing() {
    for more in ["", TEST_MAILBOX, "domains: [fabrikam.example]"] {
        let mut world = World::with_spec(more);
        world.microsoft.roles.push("Calendars.ReadWrite");
        world.settle();
        world.restart();
        assert_eq!(world.due(), Some(Work::CHECK), "{more}");
        assert!(!world.pass(), "{more}");
        assert!(!tested(&world));
        assert_eq!(world.due(), None, "{more}");
    }
}

#[test]
fn the_test_event_is_created_on_a_change_and_once_a_day() {
    let mut world = with_test_mailbox();
    world.pass();
    assert!(tested(&world));
    let mut times = Vec::new();
    while times.len() < 3 {
        world.now = world.next().0;
        world.pass();
        if tested(&world) {
            times.push(world.now);
        }
    }
    assert_eq!(between(times[0], times[1]), Duration::from_hours(24));
    assert_eq!(between(times[1], times[2]), Duration::from_hours(24));
}

#[test]
fn a_secret_is_looked_at_at_once_and_another_credential_is_tested() {
    let mut world = with_test_mailbox();
    world.memory.note_secret(false);
    assert!(
        !world.memory.check_wanted,
        "the first look comes anyway, and the first list of Secrets is no change"
    );
    world.memory.note_secret(true);
    assert!(world.memory.check_wanted, "a look may have come too early");
    world.settle();
    world.memory.note_secret(false);
    assert_eq!(world.due(), Some(Work::CHECK));
    world.pass();
    assert!(!tested(&world), "only a label changed");
    world.memory.note_secret(false);
    world.microsoft.other_credential = true;
    world.pass();
    assert!(tested(&world), "the credential changed");
    world.microsoft.other_credential = false;
    assert_eq!(world.due(), None);
}

#[test]
fn what_was_asked_for_is_done_again_after_a_pass_that_panicked() {
    for ask in [
        (|memory| memory.check_wanted = true) as fn(&mut TenantMemory),
        |memory| memory.suspected = true,
    ] {
        let mut world = with_test_mailbox();
        world.settle();
        world.pass_time(Duration::from_mins(2));
        ask(&mut world.memory);
        let work = world.due().unwrap();
        world.memory.begin(work);
        // It panics.
        assert_eq!(world.due(), Some(Work::CHECK));
        world.settle();
        assert_eq!(world.memory.pending, Work::NONE);
    }
}

#[test]
fn the_test_of_another_credential_is_made_up_for_after_an_outage() {
    let mut world = with_test_mailbox();
    world.settle();
    world.memory.note_secret(false);
    world.microsoft.other_credential = true;
    world.microsoft.token_fails = Some(OutageKind::LoginUnreachable);
    world.pass();
    world.microsoft.other_credential = false;
    world.microsoft.token_fails = None;
    world.now = world.next().0;
    world.pass();
    assert!(tested(&world));
}

#[test]
fn the_test_event_is_removed_also_when_it_cannot_be_read() {
    for answer in [
        Answer::NotThere,
        Answer::Refused,
        Answer::Fails(OutageKind::GraphUnreachable),
    ] {
        let mut world = with_test_mailbox();
        world.microsoft.read = answer;
        world.pass();
        assert!(
            matches!(world.looks.last(), Some(TenantLook::DeleteTestEvent(_))),
            "{answer:?}"
        );
        assert_eq!(world.memory.leftover, None);
    }
}

#[test]
fn an_event_that_could_not_be_removed_is_removed_later_before_another_is_created() {
    let mut world = with_test_mailbox();
    world.microsoft.delete = Answer::Fails(OutageKind::ServerErrors);
    world.pass();
    assert!(world.memory.leftover.is_some());
    assert_eq!(world.problems(), [], "an outage is no failed clean-up yet");
    world.now = world.next().0;
    world.pass();
    assert!(!tested(&world), "no second event beside the first");
    world.microsoft.delete = Answer::NotThere;
    world.now = world.next().0;
    world.pass();
    assert!(
        matches!(
            world.looks.iter().rev().nth(3),
            Some(TenantLook::DeleteLeftover(_))
        ),
        "{:?}",
        world.looks
    );
    assert_eq!(world.memory.leftover, None);
    assert_eq!(world.ready(), (ConditionStatus::True, R::Operational));
}

#[test]
fn a_failed_token_stops_everything_else() {
    let mut world = with_test_mailbox();
    world.microsoft.token_fails = Some(OutageKind::LoginUnreachable);
    world.pass();
    assert_eq!(
        world.looks,
        [TenantLook::Credential, TenantLook::Token(Freshness::New)]
    );
    assert_eq!(
        world.ready(),
        (ConditionStatus::Unknown, R::parse("Unauthorized"))
    );
    assert_eq!(world.record.status.observed_generation, None);
    let wait = between(world.now, world.next().0);
    assert!((5..=10).contains(&wait.as_secs()), "{wait:?}");
}

#[test]
fn a_corrected_secret_is_used_at_once_and_ends_the_refusal() {
    let mut world = World::new();
    let problem = CredentialProblem::SecretNotFound {
        secret: "graph".to_owned(),
    };
    world.microsoft.credential = Err(problem);
    world.settle();
    assert!(
        matches!(&world.facts.token, TokenState::Refused { since, reason }
        if *since == start() && reason == "SecretNotFound")
    );
    world.pass_time(Duration::from_secs(40));
    assert_eq!(world.due(), None);
    world.microsoft.credential = Ok(None);
    world.memory.check_wanted = true;
    assert_eq!(world.next(), (world.now, Class::User));
    world.pass();
    assert_eq!(world.ready(), (ConditionStatus::True, R::Operational));
    assert_eq!(world.facts.recovered_at, Some(world.now));
}

#[test]
fn a_refusal_keeps_its_beginning_over_a_restart() {
    let mut world = World::new();
    world.microsoft.refused = Some(super::super::credential::RefusalCause::ClientSecretExpired);
    world.settle();
    world.pass_time(Duration::from_secs(20));
    world.restart();
    assert!(!world.pass());
    assert!(matches!(&world.facts.token, TokenState::Refused { since, .. } if *since == start()));
}

#[test]
fn a_problem_is_looked_at_again_by_the_ladder_with_a_new_token() {
    let mut world = World::new();
    world.microsoft.places = Answer::Refused;
    world.settle();
    let mut seconds = Vec::new();
    while seconds.len() < 5 {
        world.now = world.next().0;
        world.pass();
        if !world.looks.is_empty() {
            assert_eq!(world.looks[1], TenantLook::Token(Freshness::New));
            seconds.push(between(start(), world.now).as_secs());
        }
    }
    let steps: Vec<u64> = seconds.windows(2).map(|pair| pair[1] / pair[0]).collect();
    assert_eq!(steps, [2, 2, 2, 2], "{seconds:?}");
    world.microsoft.places = Answer::Yes;
    world.now = world.next().0;
    world.settle();
    assert_eq!(world.ready(), (ConditionStatus::True, R::Operational));
}

#[test]
fn the_annotation_asks_for_everything_at_once_and_is_echoed() {
    let mut world = with_test_mailbox();
    world.settle();
    world.pass_time(Duration::from_secs(5));
    world.record.requested_at = Some("now".into());
    assert_eq!(world.due(), Some(Work::ALL));
    world.pass();
    assert_eq!(
        world.record.status.last_handled_reconcile_at.as_deref(),
        Some("now")
    );
    assert_eq!(world.due(), None);
}

#[test]
fn a_new_spec_is_looked_at_once_even_during_a_backoff() {
    let mut world = World::new();
    world.microsoft.domains = Answer::Fails(OutageKind::GraphUnreachable);
    world.settle();
    world.change_spec("checkInterval: 2h");
    assert_eq!(world.due(), Some(Work::ALL));
    world.pass();
    assert_eq!(world.due(), None, "and then waits like before");
}

#[test]
fn a_status_that_cannot_be_written_is_tried_again_by_the_backoff_and_no_faster() {
    let mut world = with_test_mailbox();
    world.settle();
    world.cluster_refuses = true;
    world.microsoft.roles.push("Mail.Read");
    let end = later(world.now, Duration::from_hours(26));
    let mut passes = 0;
    while world.next().0 <= end {
        world.now = world.now.max(world.next().0);
        world.pass();
        passes += 1;
        assert_eq!(world.due(), None, "at {}", world.now);
    }
    let at_least = Duration::from_secs(150);
    let most = between(start(), end).as_secs() / at_least.as_secs() + 20;
    assert!((20..most).contains(&passes), "{passes} passes");
    world.cluster_refuses = false;
    world.pass_time(Duration::from_mins(5));
    assert!(world.pass(), "it is told as soon as that is possible");
}

#[test]
fn a_suspended_tenant_is_left_alone() {
    let mut world = with_test_mailbox();
    world.settle();
    world.change_spec("suspend: true");
    world.pass();
    assert_eq!(world.looks, []);
    assert_eq!(world.ready(), (ConditionStatus::Unknown, R::Suspended));
    assert_eq!(world.record.status.observed_generation, Some(2));
    assert_eq!(world.due(), None);
    world.pass_time(Duration::from_hours(100));
    assert_eq!(world.due(), None);
    world.change_spec("");
    world.settle();
    assert_eq!(world.ready(), (ConditionStatus::True, R::Operational));
}

#[test]
fn a_suspension_that_could_not_be_told_is_told_although_the_secret_changes_meanwhile() {
    let mut world = World::new();
    world.settle();
    world.change_spec("suspend: true");
    world.cluster_refuses = true;
    world.pass();
    world.memory.note_secret(false);
    world.cluster_refuses = false;
    world.pass_time(Duration::from_mins(10));
    world.settle();
    assert_eq!(world.ready(), (ConditionStatus::Unknown, R::Suspended));
}

#[test]
fn endpoints_that_are_not_allowed_stall_without_any_call() {
    let endpoints = "endpoints: {login: 'https://evil.example', graph: 'https://evil.example'}";
    let mut world = World::with_spec(endpoints);
    world.settle();
    assert_eq!(world.looks, []);
    assert_eq!(
        world.ready(),
        (ConditionStatus::False, R::EndpointNotAllowed)
    );
    assert_eq!(world.condition(&C::Stalled).reason, R::EndpointNotAllowed);
    assert_eq!(world.condition(&C::Unauthorized).reason, R::Blocked);
    assert_eq!(world.due(), None);
}

#[test]
fn the_numbers_of_mailboxes_follow_after_ten_seconds() {
    let mut world = World::new();
    world.settle();
    world.pass_time(Duration::from_mins(1));
    world.mailboxes.total = 4;
    world.mailboxes.ready = 3;
    world.memory.counts_changed_at = Some(world.now);
    assert_eq!(world.due(), None);
    assert_eq!(world.next().0, later(world.now, Duration::from_secs(10)));
    world.pass_time(Duration::from_secs(10));
    assert_eq!(world.due(), Some(Work::NONE));
    assert!(world.pass());
    assert_eq!(
        world.record.status.mailboxes.as_ref().unwrap().summary,
        "3/4"
    );
    assert_eq!(world.due(), None);
}

#[test]
fn numbers_that_changed_while_a_pass_ran_follow_ten_seconds_after_it() {
    let mut world = World::new();
    world.settle();
    world.pass_time(Duration::from_mins(1));
    world.memory.ended_at = Some(world.now);
    world.mailboxes.total = 4;
    assert_eq!(world.due(), None);
    assert_eq!(world.next().0, later(world.now, Duration::from_secs(10)));
}

#[test]
fn one_failed_validation_of_the_endpoint_says_nothing_yet() {
    let mut world = World::new();
    world.settle();
    assert_eq!(
        world.condition(&C::EndpointRejected).reason,
        R::NotApplicable
    );
    world.endpoint = EndpointVerdict::Rejected {
        problem: EndpointProblem::TimedOut,
        times: 1,
    };
    assert_eq!(world.due(), None);
    world.endpoint = EndpointVerdict::Accepted;
    assert_eq!(world.due(), Some(Work::NONE));
    world.pass();
    assert_eq!(world.looks, [], "what is known needs no call");
    assert_eq!(
        world.condition(&C::EndpointRejected).reason,
        R::EndpointAccepted
    );
}

#[test]
fn a_refused_endpoint_blocks_no_tenant_when_nobody_tries_it_any_more() {
    let mut world = World::new();
    world.settle();
    world.endpoint = EndpointVerdict::Rejected {
        problem: EndpointProblem::Failed,
        times: 2,
    };
    world.pass();
    assert_eq!(
        world.condition(&C::EndpointRejected).reason,
        R::ValidationFailed
    );
    world.endpoint = EndpointVerdict::NobodyTries;
    assert_eq!(world.due(), Some(Work::NONE));
    world.pass();
    let condition = world.condition(&C::EndpointRejected);
    assert_eq!(condition.reason, R::NotApplicable);
    assert_eq!(world.due(), None, "and that is all");
}

#[test]
fn an_ending_credential_is_told_when_the_day_comes() {
    let mut world = World::new();
    let ends = later(start(), Duration::from_hours(40 * 24));
    world.microsoft.credential = Ok(Some(ends));
    world.settle();
    let mut reasons = Vec::new();
    while world.now < ends {
        world.now = world.next().0;
        world.pass();
        let reason = world.condition(&C::CredentialExpiring).reason.clone();
        if reasons.last() != Some(&reason) {
            reasons.push(reason);
        }
    }
    assert_eq!(reasons, [R::Fresh, R::ExpiresSoon, R::ExpiresVerySoon]);
}

#[test]
fn a_consent_that_is_withdrawn_is_called_so_although_everything_worked_a_moment_ago() {
    let mut world = World::new();
    world.mailboxes.sample = Some("room@contoso.example".into());
    world
        .microsoft
        .roles
        .retain(|role| *role != "Calendars.Read");
    world.settle();
    assert_eq!(world.ready(), (ConditionStatus::True, R::Operational));
    world.microsoft.roles.clear();
    world.microsoft.domains = Answer::Refused;
    world.microsoft.organization = Answer::Refused;
    world.microsoft.places = Answer::Refused;
    world.microsoft.directory = Answer::Refused;
    world.microsoft.calendar = Answer::Refused;
    world.record.requested_at = Some("now".into());
    world.pass();
    assert_eq!(world.problems(), [(C::Unauthorized, R::ConsentRequired)]);
}
