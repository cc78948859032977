//! Which rooms Places lists, read once for all mailboxes of a tenant.
//!
//! A list takes fewer requests than a question for each room, unless the company has many more rooms than are declared:
//! then it is broken off where it would cost more, and each room is asked for. That a room is missing from a list that
//! is some minutes old proves nothing; it is asked for, too. So is every room while a long list is being read: its pages
//! come one after the other, a hundred rooms each, and no mailbox waits for thousands of others.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::world::Context;
use crate::clock::Clock;
use crate::domain::schedule::{between, earlier, later};
use crate::graph::error::GraphError;
use crate::graph::model::Place;
use crate::ids::ObjectKey;

/// As many questions fit into one batch.
const QUESTIONS_A_REQUEST: usize = 20;

/// With fewer mailboxes a list saves nothing.
const FEW: usize = 2 * QUESTIONS_A_REQUEST;

/// How long mailboxes wait for a list that is being read, counted from its beginning.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long nobody asks for a list that could not be read.
const AFTER_FAILURE: Duration = Duration::from_mins(1);

/// The same for one that was too long, unless twice as many pages have become worth it.
const AFTER_TOO_MANY: Duration = Duration::from_hours(24);

/// What Graph says when it is asked for all rooms; `None` if they would be too many pages.
type Answer = Result<Option<Vec<Place>>, GraphError>;

/// The last list of a tenant's rooms, and the next one while it is being read. Dropped, it is not read any further.
#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Listed>,
    reading: Option<Reading>,
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Listed {
    at: Timestamp,
    addresses: HashSet<Box<str>>,
}

/// A list that is being read, or was.
#[derive(Debug)]
struct Reading {
    waited_for_until: Instant,
    /// Closed once it has ended, however that was.
    ended: watch::Receiver<()>,
    _task: AbortOnDropHandle<()>,
}

/// Until when no list is begun that may have fewer pages than `below`.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Timestamp,
    below: usize,
}

/// Whether a list that is not older than `age` has the room with this address. `false` says nothing.
pub(super) async fn lists(
    context: &Context,
    (tenant, mailboxes): (&ObjectKey, usize),
    address: &str,
    age: Duration,
) -> bool {
    if mailboxes < FEW {
        return false;
    }
    let (gateway, rooms) = {
        let world = context.world();
        let rooms = world
            .tenants
            .get(tenant)
            .map(|state| Arc::clone(&state.rooms));
        (world.gateway(tenant), rooms)
    };
    let (Some(gateway), Some(rooms)) = (gateway, rooms) else {
        return false;
    };
    let most = mailboxes.div_ceil(QUESTIONS_A_REQUEST);
    let tenant = tenant.clone();
    let listing = async move {
        let answer = gateway.rooms(most).await;
        answer.inspect_err(|error| {
            tracing::debug!(%tenant, %error, "the rooms could not be listed; each is asked for");
        })
    };
    rooms
        .list(&context.clock, (address, age), most, listing)
        .await
}

impl Rooms {
    async fn list(
        self: &Arc<Self>,
        clock: &Clock,
        (address, age): (&str, Duration),
        most: usize,
        listing: impl Future<Output = Answer> + Send + 'static,
    ) -> bool {
        let now = clock.now();
        let oldest = earlier(now, age);
        let waited_for = {
            let mut state = self.state();
            if let Some(listed) = state.last_since(oldest) {
                return listed.has(address);
            }
            if !state.reads() && !state.rests(now, most) {
                state.reading = Some(self.begin(clock, most, listing));
                // Unless it says otherwise, as it does however it ends but by a mistake.
                state.rest = Some(Rest::after(clock, AFTER_FAILURE));
            }
            let reading = state.reading.as_ref();
            reading.map(|reading| (reading.waited_for_until, reading.ended.clone()))
        };
        if let Some((until, mut ended)) = waited_for {
            // Nothing is ever sent: it ends, or is not waited for any longer.
            let _ = timeout_at(until, ended.changed()).await;
        }
        let state = self.state();
        state
            .last_since(oldest)
            .is_some_and(|listed| listed.has(address))
    }

    /// Reads a list beside all passes, so that none of them has to see it to its end.
    fn begin(
        self: &Arc<Self>,
        clock: &Clock,
        most: usize,
        listing: impl Future<Output = Answer> + Send + 'static,
    ) -> Reading {
        let (ends, ended) = watch::channel(());
        let (rooms, clock) = (Arc::downgrade(self), clock.clone());
        let task = tokio::spawn(async move {
            let _ends = ends;
            read(&rooms, &clock, most, listing).await;
        });
        Reading {
            waited_for_until: Instant::now() + PATIENCE,
            ended,
            _task: AbortOnDropHandle::new(task),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(
    rooms: &Weak<Rooms>,
    clock: &Clock,
    most: usize,
    listing: impl Future<Output = Answer>,
) {
    let began = clock.now();
    let note = |last, rest| {
        if let Some(rooms) = rooms.upgrade() {
            let mut state = rooms.state();
            (state.last, state.rest) = (last, Some(rest));
        }
    };
    match listing.await {
        Ok(Some(rooms)) => {
            let addresses = rooms.into_iter().filter_map(|room| room.email_address);
            let addresses = addresses.map(|address| address.to_lowercase().into());
            let last = Listed {
                at: began,
                addresses: addresses.collect(),
            };
            // One that takes longer than it may be old is not read all the time.
            let took = between(began, clock.now());
            note(Some(last), Rest::after(clock, took));
        }
        Ok(None) => {
            let below = 2 * most;
            let rest = Rest::after(clock, AFTER_TOO_MANY);
            note(None, Rest { below, ..rest });
        }
        Err(_) => note(None, Rest::after(clock, AFTER_FAILURE)),
    }
}

impl State {
    fn last_since(&self, oldest: Timestamp) -> Option<&Listed> {
        self.last.as_ref().filter(|listed| oldest < listed.at)
    }

    fn reads(&self) -> bool {
        let reading = self.reading.as_ref();
        reading.is_some_and(|reading| reading.ended.has_changed().is_ok())
    }

    fn rests(&self, now: Timestamp, most: usize) -> bool {
        self.rest
            .is_some_and(|rest| now < rest.until && most < rest.below)
    }
}

impl Rest {
    fn after(clock: &Clock, pause: Duration) -> Self {
        Self {
            until: later(clock.now(), pause),
            below: usize::MAX,
        }
    }
}

impl Listed {
    fn has(&self, address: &str) -> bool {
        self.addresses.contains(address.to_lowercase().as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::super::stage::start;
    use super::*;
    use crate::clock::sleep;

    const AGE: Duration = Duration::from_mins(30);

    fn room(address: &str) -> Place {
        Place {
            id: "1".to_owned(),
            email_address: Some(address.to_owned()),
        }
    }

    /// Rooms, what the clock says, and how many lists were begun.
    struct Tenant {
        rooms: Arc<Rooms>,
        clock: Clock,
        begun: Arc<AtomicU32>,
    }

    impl Tenant {
        fn new() -> Self {
            Self {
                rooms: Arc::default(),
                clock: Clock::starting_at(start()),
                begun: Arc::default(),
            }
        }

        /// Whether a list has the room, and how many were begun; one that begins now may have so many pages.
        async fn has(
            &self,
            most: usize,
            listing: impl Future<Output = Answer> + Send + 'static,
        ) -> (bool, u32) {
            let begun = Arc::clone(&self.begun);
            let listing = async move {
                begun.fetch_add(1, Ordering::Relaxed);
                listing.await
            };
            let wanted = ("room@Contoso.example", AGE);
            let has = self.rooms.list(&self.clock, wanted, most, listing).await;
            tokio::task::yield_now().await;
            (has, self.begun.load(Ordering::Relaxed))
        }
    }

    /// A list with the room, after a while.
    async fn after(pause: Duration) -> Answer {
        sleep(pause).await;
        Ok(Some(vec![room("Room@contoso.example")]))
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_list_is_waited_for_until_a_second_after_its_beginning_and_used_once_it_is_there()
     {
        let tenant = Tenant::new();
        let began = Instant::now();
        let long = || after(Duration::from_secs(10));
        assert_eq!(tenant.has(5, long()).await, (false, 1));
        assert_eq!(began.elapsed(), PATIENCE);
        assert_eq!(tenant.has(5, long()).await, (false, 1));
        assert_eq!(began.elapsed(), PATIENCE, "nobody waits again");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(tenant.has(5, long()).await, (true, 1));
        let other = ("b@contoso.example", AGE);
        assert!(!tenant.rooms.list(&tenant.clock, other, 5, long()).await);
        sleep(AGE).await;
        assert_eq!(tenant.has(5, after(Duration::ZERO)).await, (true, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_list_answers_all_who_waited_for_it() {
        let tenant = Tenant::new();
        let short = || after(Duration::from_millis(300));
        let both = tokio::join!(tenant.has(5, short()), tenant.has(5, short()));
        assert_eq!(both, ((true, 1), (true, 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_was_too_long_is_tried_again_when_twice_as_many_pages_are_worth_it() {
        let tenant = Tenant::new();
        let too_long = std::future::ready(Ok(None));
        assert_eq!(tenant.has(5, too_long).await, (false, 1));
        sleep(Duration::from_hours(23)).await;
        assert_eq!(tenant.has(9, after(Duration::ZERO)).await, (false, 1));
        assert_eq!(tenant.has(10, after(Duration::ZERO)).await, (true, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_takes_longer_than_it_may_be_old_is_not_read_all_the_time() {
        let tenant = Tenant::new();
        let endless = || after(2 * AGE);
        assert_eq!(tenant.has(5, endless()).await, (false, 1));
        sleep(2 * AGE).await;
        assert_eq!(tenant.has(5, endless()).await, (false, 1));
        sleep(2 * AGE).await;
        assert_eq!(tenant.has(5, after(Duration::ZERO)).await, (true, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_ends_by_a_mistake_is_tried_again_after_a_minute() {
        let tenant = Tenant::new();
        let mistake = async { panic!("as a mistake may") };
        assert_eq!(tenant.has(5, mistake).await, (false, 1));
        assert_eq!(tenant.has(5, after(Duration::ZERO)).await, (false, 1));
        sleep(AFTER_FAILURE).await;
        assert_eq!(tenant.has(5, after(Duration::ZERO)).await, (true, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_goes_on_to_read_a_list_that_nobody_can_use() {
        let tenant = Tenant::new();
        let (held, dropped) = oneshot::channel::<()>();
        let listing = async move {
            let _held = held;
            std::future::pending().await
        };
        assert_eq!(tenant.has(5, listing).await, (false, 1));
        drop(tenant);
        assert!(timeout(PATIENCE, dropped).await.unwrap().is_err());
    }
}
