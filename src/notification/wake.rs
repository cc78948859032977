//! Verified lifecycle events on their way to the work queue: each object and event at most once, never
//! more than fits.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntCounter;
use tokio::sync::Notify;

use crate::ids::Uid;
use crate::metrics::MISSED;

/// Room for two events of each of 10,000 mailboxes.
pub const CAPACITY: usize = 20_000;

/// What Graph says about a subscription
/// (<https://learn.microsoft.com/graph/change-notifications-lifecycle-events>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LifecycleEvent {
    /// It must be renewed or reauthorized soon.
    ReauthorizationRequired,
    /// It was removed.
    SubscriptionRemoved,
    /// Some notifications were not delivered.
    Missed,
}

impl LifecycleEvent {
    /// As Graph spells it; also the metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReauthorizationRequired => "reauthorizationRequired",
            Self::SubscriptionRemoved => "subscriptionRemoved",
            Self::Missed => MISSED,
        }
    }

    /// Reads Graph's spelling; `None` for what it may invent later.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::ReauthorizationRequired,
            Self::SubscriptionRemoved,
            Self::Missed,
        ]
        .into_iter()
        .find(|event| event.as_str().eq_ignore_ascii_case(text))
    }
}

/// A verified reason to look at an object. Which subscription Graph named is not proven: the status says which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wake {
    /// The object. It may be gone.
    pub uid: Uid,
    /// What happened.
    pub event: LifecycleEvent,
}

/// The queue. Clones share it.
#[derive(Clone, Debug)]
pub struct WakeQueue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    capacity: usize,
    lost: IntCounter,
}

/// In order of arrival, each once.
#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<Wake>,
    there: HashSet<Wake>,
    /// How many batches were taken and not brought to their end.
    taken: usize,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Wakes on their way to somebody else.
#[derive(Debug)]
pub struct Taken {
    queue: WakeQueue,
    wakes: Vec<Wake>,
}

impl Taken {
    /// Those that were taken.
    #[must_use]
    pub fn wakes(&self) -> &[Wake] {
        &self.wakes
    }

    /// Somebody else has them now.
    pub fn delivered(mut self) {
        self.wakes.clear();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        for wake in self.wakes.drain(..) {
            self.queue.push(wake);
        }
        self.queue.waiting().taken -= 1;
    }
}

impl Waiting {
    fn push(&mut self, wake: Wake) {
        self.order.push_back(wake);
        self.there.insert(wake);
    }

    fn pop(&mut self) -> Option<Wake> {
        let wake = self.order.pop_front()?;
        self.there.remove(&wake);
        Some(wake)
    }
}

impl WakeQueue {
    /// A queue for `capacity` wakes that counts in `lost` what finds no room.
    #[must_use]
    pub fn new(capacity: usize, lost: IntCounter) -> Self {
        Self {
            shared: Arc::new(Shared {
                waiting: Mutex::default(),
                arrived: Notify::new(),
                capacity,
                lost,
            }),
        }
    }

    /// Adds a wake, or merges it with one for the same object and event that still waits.
    pub fn push(&self, wake: Wake) {
        let mut waiting = self.waiting();
        if waiting.there.contains(&wake) {
            return;
        }
        if waiting.order.len() >= self.shared.capacity {
            self.shared.lost.inc();
            return;
        }
        waiting.push(wake);
        drop(waiting);
        self.shared.arrived.notify_one();
    }

    /// Adds all of these, or none when there is no room for them: then they stay with whoever has them.
    ///
    /// # Errors
    /// When there is no room.
    pub fn push_all(&self, wakes: &[Wake]) -> Result<(), Full> {
        let mut waiting = self.waiting();
        let new: HashSet<Wake> = wakes.iter().copied().collect();
        let new: Vec<Wake> = new.difference(&waiting.there).copied().collect();
        if waiting.order.len() + new.len() > self.shared.capacity {
            return Err(Full);
        }
        for wake in new {
            waiting.push(wake);
        }
        drop(waiting);
        self.shared.arrived.notify_one();
        Ok(())
    }

    /// Until something waits here.
    pub async fn filled(&self) {
        loop {
            let arrived = self.shared.arrived.notified();
            if !self.waiting().order.is_empty() {
                return;
            }
            arrived.await;
        }
    }

    /// Up to so many that wait, in order of arrival. Dropped, they wait again; until then, what is pushed besides is not
    /// merged with them.
    #[must_use]
    pub fn take(&self, most: usize) -> Taken {
        let mut waiting = self.waiting();
        let wakes = std::iter::from_fn(|| waiting.pop()).take(most).collect();
        waiting.taken += 1;
        drop(waiting);
        Taken {
            queue: self.clone(),
            wakes,
        }
    }

    /// How many wait, and whether everything that was taken has come to its end.
    #[must_use]
    pub fn left(&self) -> (usize, bool) {
        let waiting = self.waiting();
        (waiting.order.len(), waiting.taken == 0)
    }

    /// The next wake, waiting for one. Nothing is lost when the wait is given up.
    pub async fn next(&self) -> Wake {
        loop {
            let arrived = self.shared.arrived.notified();
            if let Some(wake) = self.waiting().pop() {
                return wake;
            }
            arrived.await;
        }
    }

    /// Everything that waits now.
    #[cfg(test)]
    pub(super) fn drain(&self) -> Vec<Wake> {
        let mut waiting = self.waiting();
        std::iter::from_fn(|| waiting.pop()).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.shared
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(capacity: usize) -> (WakeQueue, IntCounter) {
        let lost = IntCounter::new("lost", "lost").unwrap();
        (WakeQueue::new(capacity, lost.clone()), lost)
    }

    fn wake(object: u8, event: LifecycleEvent) -> Wake {
        Wake {
            uid: Uid::from_bytes([object; 16]),
            event,
        }
    }

    #[test]
    fn the_same_event_of_an_object_waits_once() {
        let (queue, lost) = queue(10);
        queue.push(wake(1, LifecycleEvent::Missed));
        queue.push(wake(1, LifecycleEvent::SubscriptionRemoved));
        queue.push(wake(1, LifecycleEvent::Missed));
        assert_eq!(
            queue.drain(),
            [
                wake(1, LifecycleEvent::Missed),
                wake(1, LifecycleEvent::SubscriptionRemoved),
            ]
        );
        assert_eq!(queue.drain(), []);
        queue.push(wake(1, LifecycleEvent::Missed));
        assert_eq!(queue.drain().len(), 1);
        assert_eq!(lost.get(), 0);
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let (queue, lost) = queue(2);
        for object in 0..5 {
            queue.push(wake(object, LifecycleEvent::Missed));
        }
        queue.push(wake(0, LifecycleEvent::Missed));
        assert_eq!(lost.get(), 3);
        assert_eq!(queue.drain().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_is_woken_and_everything_arrives_in_order() {
        let (queue, _) = queue(10);
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { [queue.next().await, queue.next().await] }
        });
        tokio::task::yield_now().await;
        let wakes = [1, 2].map(|object| wake(object, LifecycleEvent::Missed));
        for wake in &wakes {
            queue.push(*wake);
        }
        assert_eq!(waiting.await.unwrap(), wakes);
    }

    #[test]
    fn what_was_taken_and_not_delivered_waits_again() {
        let (queue, lost) = queue(3);
        for object in 0..3 {
            queue.push(wake(object, LifecycleEvent::Missed));
        }
        let taken = queue.take(2);
        assert_eq!(taken.wakes().len(), 2);
        assert_eq!(queue.left(), (1, false));
        queue.push(wake(0, LifecycleEvent::Missed));
        drop(taken);
        assert_eq!(queue.left(), (3, true));
        queue.take(2).delivered();
        assert_eq!(queue.left(), (1, true));
        assert_eq!(lost.get(), 0);
    }

    #[test]
    fn what_comes_from_another_copy_is_taken_as_a_whole_or_not_at_all() {
        let (queue, lost) = queue(2);
        let wakes = [1, 2, 3].map(|object| wake(object, LifecycleEvent::Missed));
        assert_eq!(queue.push_all(&wakes), Err(Full));
        assert_eq!(queue.push_all(&[wakes[0], wakes[0]]), Ok(()));
        assert_eq!(queue.push_all(&wakes[..2]), Ok(()), "one is there already");
        assert_eq!(queue.left(), (2, true));
        assert_eq!(lost.get(), 0);
    }
}
