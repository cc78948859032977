//! How many calls an application may make, spread so that Graph never has to say no (docs/graph.md 9.1).
//!
//! Each meter is a leaky bucket (generic cell rate algorithm): some at once, the rest evenly, so that no
//! window of the documented length ever sees more than the limit. Slots are given out in the order of
//! asking. A caller that gives up while waiting leaves its slot unused.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::graph::holds::Group;

#[derive(Debug)]
struct Meter {
    interval: Duration,
    tolerance: Duration,
    /// When the bucket would be empty again (the algorithm's "theoretical arrival time").
    empty_at: Option<Instant>,
}

/// What is rarely much: a quarter of the limit at once.
const RARELY_MUCH: u32 = 4;

/// What may be much for minutes: a tenth at once, which leaves nearly all of the limit to go on with. Thousands of new
/// mailboxes take as long as their subscriptions.
const LONG_MUCH: u32 = 10;

impl Meter {
    /// At once, the limit by `part`.
    fn new(limit: u32, part: u32, window: Duration) -> Self {
        let burst = (limit / part).max(1);
        let interval = window / (limit - burst).max(1);
        Self {
            interval,
            tolerance: interval * (burst - 1),
            empty_at: None,
        }
    }

    fn wait(&self, now: Instant) -> Duration {
        self.empty_at.map_or(Duration::ZERO, |empty_at| {
            empty_at
                .saturating_duration_since(now)
                .saturating_sub(self.tolerance)
        })
    }

    fn take(&mut self, at: Instant) {
        let from = self.empty_at.map_or(at, |empty_at| empty_at.max(at));
        self.empty_at = Some(from + self.interval);
    }
}

const SUBSCRIPTION_WINDOW: Duration = Duration::from_secs(20);

/// The meters of an application, over all its tenants or in one.
#[derive(Debug)]
pub(super) struct Budget {
    meters: Mutex<Meters>,
}

#[derive(Debug)]
struct Meters {
    identity: Meter,
    subscription_write: Meter,
    subscription_read: Meter,
    subscription_list: Meter,
}

impl Meters {
    /// Three limits have no meter. Entra's own is not published. Exchange's is 10,000 calls in ten minutes for each mailbox,
    /// of which a pass makes a handful, and passes of one object have a second between them. That of an application over all
    /// services, 130,000 in ten seconds, is beyond what 512 passes in flight can ask one after the other.
    const fn of(&mut self, group: Group) -> Option<&mut Meter> {
        match group {
            Group::Identity => Some(&mut self.identity),
            Group::SubscriptionWrite => Some(&mut self.subscription_write),
            Group::SubscriptionRead => Some(&mut self.subscription_read),
            Group::SubscriptionList => Some(&mut self.subscription_list),
            Group::Login | Group::Outlook => None,
        }
    }
}

impl Budget {
    /// What one application may do over all tenants.
    pub(super) fn of_application() -> Self {
        Self {
            meters: Mutex::new(Meters {
                identity: Meter::new(150_000, RARELY_MUCH, Duration::from_secs(20)),
                subscription_write: Meter::new(2_000, LONG_MUCH, SUBSCRIPTION_WINDOW),
                subscription_read: Meter::new(2_000, RARELY_MUCH, SUBSCRIPTION_WINDOW),
                subscription_list: Meter::new(40, RARELY_MUCH, SUBSCRIPTION_WINDOW),
            }),
        }
    }

    /// What it may do in one tenant. Identity: the limit of the smallest tenants.
    pub(super) fn of_tenant() -> Self {
        Self {
            meters: Mutex::new(Meters {
                identity: Meter::new(3_500, RARELY_MUCH, Duration::from_secs(10)),
                subscription_write: Meter::new(500, LONG_MUCH, SUBSCRIPTION_WINDOW),
                subscription_read: Meter::new(500, RARELY_MUCH, SUBSCRIPTION_WINDOW),
                subscription_list: Meter::new(25, RARELY_MUCH, SUBSCRIPTION_WINDOW),
            }),
        }
    }

    /// Takes the next slot and returns how long it is away.
    ///
    /// # Errors
    /// The wait, when it is longer than `patience`; no slot is taken then.
    pub(super) fn reserve(&self, group: Group, patience: Duration) -> Result<Duration, Duration> {
        let now = Instant::now();
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(meter) = meters.of(group) else {
            return Ok(Duration::ZERO);
        };
        let wait = meter.wait(now);
        if wait > patience {
            return Err(wait);
        }
        meter.take(now + wait);
        Ok(wait)
    }
}

/// Retries that a tenant may still make: a tenth of its calls, and one more every ten seconds.
#[derive(Debug)]
pub(super) struct RetryBudget {
    state: Mutex<(f64, Instant)>,
}

impl RetryBudget {
    const MOST: f64 = 20.0;
    const PER_CALL: f64 = 0.1;
    const PER_SECOND: f64 = 0.1;

    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new((Self::MOST / 2.0, Instant::now())),
        }
    }

    /// A call begins.
    pub(super) fn deposit(&self) {
        self.change(Self::PER_CALL);
    }

    /// Whether one more attempt is affordable; if so it is paid.
    #[must_use]
    pub(super) fn withdraw(&self) -> bool {
        self.change(-1.0)
    }

    fn change(&self, by: f64) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let earned = now.saturating_duration_since(state.1).as_secs_f64() * Self::PER_SECOND;
        let balance = (state.0 + earned).min(Self::MOST);
        let changed = (balance + by).min(Self::MOST);
        let affordable = changed >= 0.0;
        *state = (if affordable { changed } else { balance }, now);
        affordable
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::join_all;

    use super::*;
    use crate::clock::sleep;

    const PATIENT: Duration = Duration::from_mins(10);

    /// One after the other for the tenant, then for the application, as `admission` does.
    async fn pass(budgets: [&Budget; 2], group: Group) {
        for budget in budgets {
            sleep(budget.reserve(group, PATIENT).unwrap()).await;
        }
    }

    async fn times_of(count: usize, group: Group) -> Vec<Duration> {
        let (application, tenant) = (Budget::of_application(), Budget::of_tenant());
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..count {
            pass([&tenant, &application], group).await;
            times.push(start.elapsed());
        }
        times
    }

    fn most_in_any_window(times: &[Duration], window: Duration) -> usize {
        times
            .iter()
            .map(|from| {
                times
                    .iter()
                    .filter(|t| *t >= from && **t < *from + window)
                    .count()
            })
            .max()
            .unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_sees_more_lists_than_the_tenant_is_allowed() {
        let times = times_of(100, Group::SubscriptionList).await;
        let most = most_in_any_window(&times, SUBSCRIPTION_WINDOW);
        assert!((24..=25).contains(&most), "{most}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_sees_more_writes_than_the_tenant_is_allowed() {
        let times = times_of(2_000, Group::SubscriptionWrite).await;
        let most = most_in_any_window(&times, SUBSCRIPTION_WINDOW);
        assert!((490..=500).contains(&most), "{most}");
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_share_what_the_application_may_do() {
        let application = Budget::of_application();
        let tenants = [
            Budget::of_tenant(),
            Budget::of_tenant(),
            Budget::of_tenant(),
        ];
        let start = Instant::now();
        let all = (0..120).map(|turn| {
            let (tenant, application) = (&tenants[turn % tenants.len()], &application);
            async move {
                pass([tenant, application], Group::SubscriptionList).await;
                start.elapsed()
            }
        });
        let times = join_all(all).await;
        let most = most_in_any_window(&times, SUBSCRIPTION_WINDOW);
        assert!((39..=40).contains(&most), "{most}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_asks_for_more_than_it_may_delays_no_other() {
        let application = Budget::of_application();
        let (greedy, modest) = (Budget::of_tenant(), Budget::of_tenant());
        let write = Group::SubscriptionWrite;
        let hundreds = join_all((0..400).map(|_| pass([&greedy, &application], write)));
        let one = async {
            sleep(Duration::from_secs(1)).await;
            let asked = Instant::now();
            pass([&modest, &application], write).await;
            asked.elapsed()
        };
        let ((), waited) = tokio::join!(hundreds.map(drop), one);
        assert_eq!(waited, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_subscriptions_take_little_longer_than_their_limit_says() {
        let times = times_of(10_000, Group::SubscriptionWrite).await;
        let by_the_limit = SUBSCRIPTION_WINDOW * 10_000 / 500;
        let took = times.last().unwrap();
        assert!(*took < by_the_limit.mul_f64(1.11), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_wait_takes_no_slot() {
        let tenant = Budget::of_tenant();
        let reserve_list = |patience| tenant.reserve(Group::SubscriptionList, patience);
        while reserve_list(Duration::ZERO).is_ok() {}
        let wait = reserve_list(Duration::ZERO).unwrap_err();
        assert_eq!(reserve_list(Duration::ZERO).unwrap_err(), wait);
        sleep(wait).await;
        assert_eq!(reserve_list(Duration::ZERO), Ok(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_tenth_of_the_calls() {
        let budget = RetryBudget::new();
        while budget.withdraw() {}
        for _ in 0..100 {
            budget.deposit();
        }
        let retries = (0..100).filter(|_| budget.withdraw()).count();
        assert!((9..=11).contains(&retries), "{retries}");
        sleep(Duration::from_secs(11)).await;
        assert!(budget.withdraw());
    }
}
