//! What the controllers' thread does while much is under way: it lets what arrives gather, and works on it together.
//!
//! A thread that is woken for each answer does each with cold caches, because the API server and others had the core in
//! between. In a first start of thousands of mailboxes that was a fifth of the processor time (docs/performance-tried.md). Network
//! cards moderate their interrupts for the same reason. A single answer never waits: nothing gathers while little is under way.

use std::thread;
use std::time::Duration;

/// From so many reconciles at once on it is a rush: more than one row of a tenant.
const RUSH: i64 = 32;

/// For how long answers gather. Each takes tens of milliseconds to come, and in a rush hundreds are under way.
const GATHER: Duration = Duration::from_millis(4);

/// For how long answers gather while so many reconciles are under way.
const fn pause(under_way: i64) -> Option<Duration> {
    if under_way < RUSH { None } else { Some(GATHER) }
}

/// To be called on the controllers' thread when it has nothing to do until something arrives, with how many reconciles are under way.
#[expect(
    clippy::disallowed_methods,
    reason = "the thread would sleep anyway, and is meant to stay asleep when the next answer comes"
)]
pub fn gather(under_way: i64) {
    if let Some(pause) = pause(under_way) {
        thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_waits_for_others_only_while_many_are_under_way() {
        assert_eq!([pause(0), pause(1), pause(RUSH - 1)], [None; 3]);
        assert_eq!([pause(RUSH), pause(512)], [Some(GATHER); 2]);
    }
}
