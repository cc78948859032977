//! What holds of a mailbox whatever happens around it, in whatever order.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::strategy::Union;

use super::super::subscription::Failure;
use super::super::tenant_view::{EndpointState, TokenState};
use super::super::work::Work;
use super::world::{World, absent, outage, person, refused};
use crate::api::v1alpha1::condition::ConditionStatus::True;
use crate::api::vocabulary::ConditionType as C;
use crate::domain::conditions::find;
use crate::domain::reading::Reading;
use crate::domain::records::Memory;
use crate::domain::schedule::later;
use crate::ids::{KeyId, ObjectKey};

/// Something that happens around a mailbox.
#[derive(Clone, Copy, Debug)]
enum Event {
    Directory(Seen),
    SignIn(Seen),
    Calendar(Seen),
    Place(Seen),
    DomainsKnown(bool),
    UrlUsable(bool),
    UrlChanged,
    KeyAdded,
    KeysLost,
    Restart,
    Wish(u8),
    SpecTouched,
    Annotated,
    ClockMoves,
    // From here on what takes a subscription away, or the right to one.
    TokenRefused(bool),
    Conflict(bool),
    Suspended(bool),
    SubscriptionRemoved,
    GraphRefuses(bool),
    GraphSilent(bool),
    ClusterRefuses(bool),
}

/// What a look shows.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Right,
    Wrong,
    Forbidden,
    Nothing,
}

fn any_seen() -> impl Strategy<Value = Seen> {
    prop_oneof![
        3 => Just(Seen::Right),
        1 => Just(Seen::Wrong),
        1 => Just(Seen::Forbidden),
        1 => Just(Seen::Nothing),
    ]
}

/// Events that do not touch what a subscription depends on.
fn any_harmless() -> Union<BoxedStrategy<Event>> {
    prop_oneof![
        any_seen().prop_map(Event::Directory).boxed(),
        any_seen().prop_map(Event::SignIn).boxed(),
        any_seen().prop_map(Event::Calendar).boxed(),
        any_seen().prop_map(Event::Place).boxed(),
        any::<bool>().prop_map(Event::DomainsKnown).boxed(),
        any::<bool>().prop_map(Event::UrlUsable).boxed(),
        Just(Event::UrlChanged).boxed(),
        Just(Event::KeyAdded).boxed(),
        Just(Event::KeysLost).boxed(),
        Just(Event::Restart).boxed(),
        any::<u8>().prop_map(Event::Wish).boxed(),
        Just(Event::SpecTouched).boxed(),
        Just(Event::Annotated).boxed(),
        Just(Event::ClockMoves).boxed(),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => any_harmless(),
        1 => prop_oneof![
            any::<bool>().prop_map(Event::TokenRefused),
            any::<bool>().prop_map(Event::Conflict),
            any::<bool>().prop_map(Event::Suspended),
            Just(Event::SubscriptionRemoved),
            any::<bool>().prop_map(Event::GraphRefuses),
            any::<bool>().prop_map(Event::GraphSilent),
            any::<bool>().prop_map(Event::ClusterRefuses),
        ],
    ]
}

/// Events, and how many minutes pass after each.
fn story(event: impl Strategy<Value = Event>) -> impl Strategy<Value = Vec<(Event, u64)>> {
    let minutes = prop_oneof![0_u64..3, 0_u64..90, 0_u64..4000];
    proptest::collection::vec((event, minutes), 1..25)
}

fn reading<T>(seen: Seen, right: T, wrong: Reading<T>) -> Reading<T> {
    match seen {
        Seen::Right => Reading::Present(right),
        Seen::Wrong => wrong,
        Seen::Forbidden => Reading::Forbidden(refused()),
        Seen::Nothing => Reading::Unavailable(outage()),
    }
}

fn happen(world: &mut World, event: Event) {
    let address = world.record.spec.address.clone();
    match event {
        Event::Directory(seen) => {
            let right = vec![person(&address)];
            world.graph.directory = reading(seen, right, Reading::Present(vec![]));
        }
        Event::SignIn(seen) => {
            let right = person("a@contoso.example");
            world.graph.sign_in = reading(seen, right, Reading::Absent(absent()));
        }
        Event::Calendar(seen) => {
            world.graph.calendar = reading(seen, (), Reading::Absent(absent()));
        }
        Event::Place(seen) => world.graph.place = reading(seen, (), Reading::Absent(absent())),
        Event::DomainsKnown(known) => {
            let verified = &mut world.tenant().domains.as_mut().unwrap().verified;
            verified.clear();
            verified.extend(known.then(|| "contoso.example".to_owned()));
        }
        Event::UrlUsable(usable) => world.tenant().endpoint = url(usable, world.now),
        Event::UrlChanged => {
            world.endpoint.hash = format!("{}x", world.endpoint.hash).into();
            world.endpoint.since = world.now;
        }
        Event::KeyAdded => {
            let newest = world.endpoint.keys.last().unwrap().0;
            world.endpoint.keys.push(KeyId(newest + 1));
        }
        Event::KeysLost => {
            let newest = world.endpoint.keys.last().unwrap().0;
            world.endpoint.keys = vec![KeyId(newest + 1)];
            world.endpoint.since = world.now;
        }
        Event::Restart => world.memory = Memory::new(world.now, world.now),
        Event::Wish(which) => {
            let wish = [Work::CHECK, Work::VERIFY, Work::RENEW][usize::from(which) % 3];
            world.memory.wanted = world.memory.wanted | wish;
        }
        Event::SpecTouched => {
            world.record.generation += 1;
            world.memory.forget_failures();
        }
        Event::Annotated => {
            world.record.requested_at = Some(world.now.to_string().into());
            world.memory.forget_failures();
        }
        Event::ClockMoves => {}
        Event::TokenRefused(refused) => refuse_token(world, refused),
        Event::Conflict(there) => {
            world.conflict = there.then(|| ObjectKey::new("rooms", "older"));
        }
        Event::Suspended(suspended) => {
            world.record.generation += i64::from(world.record.spec.suspend != suspended);
            world.record.spec.suspend = suspended;
        }
        Event::SubscriptionRemoved => world.graph.subscriptions.clear(),
        Event::GraphRefuses(refuses) => {
            world.graph.creates = refuses.then_some(Failure::QuotaExceeded { request_id: None });
        }
        Event::GraphSilent(silent) => {
            world.graph.writes = silent.then(|| Failure::Unavailable(outage()));
        }
        Event::ClusterRefuses(refuses) => world.cluster_refuses = refuses,
    }
}

fn url(usable: bool, now: Timestamp) -> EndpointState {
    if usable {
        EndpointState::Usable
    } else {
        let until = later(now, Duration::from_mins(10));
        EndpointState::LeftToAnother { until }
    }
}

fn refuse_token(world: &mut World, refused: bool) {
    let since = world.now;
    let token = &mut world.tenant().token;
    *token = match (refused, &token) {
        (true, TokenState::Refused { .. }) => return,
        (true, TokenState::Issued | TokenState::Pending) => TokenState::Refused {
            since,
            reason: "ClientSecretExpired".to_owned(),
        },
        (false, _) => TokenState::Issued,
    };
}

/// Runs passes as they become due, and checks each. A world in which nothing happens has few of them.
fn run_for(world: &mut World, minutes: u64) -> Result<(), TestCaseError> {
    let end = later(world.now, Duration::from_mins(minutes));
    let mut passes = 0;
    while let Some(at) = world.next().filter(|at| *at <= end) {
        world.now = world.now.max(at);
        let usable = world.tenant().endpoint.usable_from();
        if usable.is_some_and(|usable| usable <= world.now) {
            world.tenant().endpoint = EndpointState::Usable;
        }
        let before = world.record.status.conditions.clone();
        if !world.pass() {
            // What it was to do has become pointless meanwhile; it must not be planned again for now.
            prop_assert!(world.next().is_none_or(|next| next > world.now));
            continue;
        }
        passes += 1;
        prop_assert!(
            passes <= 80 + 2 * minutes,
            "{passes} passes in {minutes} minutes, the next at {:?}, it is {}",
            world.next(),
            world.now
        );
        for condition in world.record.status.conditions.iter() {
            let Some(previous) = find(&before, &condition.type_) else {
                continue;
            };
            let moved = previous.last_transition_time != condition.last_transition_time;
            let flipped = previous.status != condition.status;
            prop_assert!(!moved || flipped, "{previous:?} became {condition:?}");
        }
    }
    world.now = end;
    Ok(())
}

fn lives(world: &World) -> bool {
    let alive = |ends: &Timestamp| *ends > world.now;
    world
        .graph
        .subscriptions
        .values()
        .any(|(ends, _)| alive(ends))
}

/// Everything as it should be, for long enough that whatever waits has come about.
fn repair(world: &mut World) -> Result<(), TestCaseError> {
    for event in [
        Event::Directory(Seen::Right),
        Event::Calendar(Seen::Right),
        Event::Place(Seen::Right),
        Event::DomainsKnown(true),
        Event::UrlUsable(true),
        Event::TokenRefused(false),
        Event::Conflict(false),
        Event::Suspended(false),
        Event::GraphRefuses(false),
        Event::GraphSilent(false),
        Event::ClusterRefuses(false),
    ] {
        happen(world, event);
    }
    // The sweep notices by itself what vanished without a word.
    world.memory.wanted = world.memory.wanted | Work::VERIFY;
    run_for(world, 150)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_check_and_no_replacement_lets_a_subscription_lapse(story in story(any_harmless())) {
        let mut world = World::converged();
        for (event, minutes) in story {
            happen(&mut world, event);
            run_for(&mut world, minutes)?;
            prop_assert!(lives(&world), "after {event:?}: {:?}", world.graph.changes);
        }
    }

    #[test]
    fn whatever_happened_all_is_well_again_once_it_is_over(story in story(any_event())) {
        let mut world = World::new();
        for (event, minutes) in story {
            happen(&mut world, event);
            run_for(&mut world, minutes)?;
        }
        repair(&mut world)?;
        let ready = find(&world.record.status.conditions, &C::Ready).map(|c| c.status);
        prop_assert_eq!(ready, Some(True), "{:#?}", world.record.status);
        prop_assert_eq!(world.graph.subscriptions.len(), 1);
        let named = world.record.status.subscription.as_ref().map(|s| &s.id);
        prop_assert_eq!(named, world.graph.subscriptions.keys().next());
        prop_assert!(lives(&world));

        // A converged mailbox is looked at, and neither written nor changed.
        let (writes, changes) = (world.writes, world.graph.changes.len());
        world.memory.wanted = Work::CHECK;
        prop_assert!(world.pass());
        prop_assert_eq!((world.writes, world.graph.changes.len()), (writes, changes));
    }
}
