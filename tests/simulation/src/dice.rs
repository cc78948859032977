//! What happens by chance: one sequence for each purpose, so that a draw more in one place changes nothing elsewhere.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};

/// A sequence of draws. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    /// The sequence of `seed` for this purpose.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_be_bytes());
        hash.update(purpose.as_bytes());
        let rng = StdRng::from_seed(hash.finalize().into());
        Self(Arc::new(Mutex::new(rng)))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True in this share of cases.
    pub(crate) fn chance(&self, share: f64) -> bool {
        self.share() < share
    }

    /// A number from 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        self.draw(RngExt::random)
    }

    /// A number below `count`.
    pub(crate) fn below(&self, count: usize) -> usize {
        self.draw(|rng| rng.random_range(0..count.max(1)))
    }

    /// One of them, if there are any.
    pub(crate) fn one<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() {
            return None;
        }
        of.get(self.below(of.len()))
    }

    /// A length in this range.
    pub(crate) fn within(&self, range: Range<Duration>) -> Duration {
        let span = range.end.saturating_sub(range.start);
        range.start + span.mul_f64(self.share())
    }

    /// A wait whose mean this is, as between events that do not know of each other.
    pub(crate) fn about(&self, mean: Duration) -> Duration {
        let factor = -(1.0 - self.share()).max(1e-9).ln();
        mean.mul_f64(factor.min(10.0))
    }
}
