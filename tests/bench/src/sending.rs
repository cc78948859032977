//! What the program `sender` is told to send, and what it tells in the end. Both are JSON.

use serde::{Deserialize, Serialize};

/// What is sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Sent one after the other, again and again.
    pub notifications: Vec<Post>,
    /// Sent beside them.
    pub handshake: Post,
    /// So many a second.
    pub handshakes: u32,
}

/// One request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Post {
    /// Path and query.
    pub path: String,
    /// Empty for a handshake.
    pub body: String,
    /// The status of the answer.
    pub expected: u16,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// From the first planned request to the last answer, in seconds.
    pub seconds: f64,
    /// Of notifications.
    pub notifications: Latencies,
    /// Of handshakes.
    pub handshakes: Latencies,
    /// Processor time that sending took, in seconds.
    pub processor_seconds: f64,
}

/// How long answers took, in milliseconds, from the moment for which the request was planned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// Answers as expected.
    pub answered: u64,
    /// Other answers.
    pub otherwise: u64,
    /// Half of them took no longer.
    pub p50: f64,
    /// Of a hundred 99 took no longer.
    pub p99: f64,
    /// Of a thousand 999 took no longer.
    pub p999: f64,
}

impl Latencies {
    /// Of so many milliseconds each, in any order.
    #[must_use]
    pub fn of(mut milliseconds: Vec<f64>, otherwise: u64) -> Self {
        milliseconds.sort_by(f64::total_cmp);
        let most = |thousandths: usize| {
            let at = (milliseconds.len() * thousandths).div_ceil(1000);
            let one = milliseconds.get(at.saturating_sub(1));
            one.copied().unwrap_or_default()
        };
        Self {
            answered: milliseconds.len() as u64,
            otherwise,
            p50: most(500),
            p99: most(990),
            p999: most(999),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_thousand_took_no_longer() {
        let latencies = Latencies::of((1..=1000).rev().map(f64::from).collect(), 2);
        let expected = Latencies {
            answered: 1000,
            otherwise: 2,
            p50: 500.0,
            p99: 990.0,
            p999: 999.0,
        };
        assert_eq!(latencies, expected);
        let one = Latencies::of(vec![7.0], 0);
        assert!(one.p50 > 6.9 && one.p999 < 7.1);
        assert_eq!(Latencies::of(Vec::new(), 0), Latencies::default());
    }
}
