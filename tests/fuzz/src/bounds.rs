//! How much an input may cost. Of the processor only the time of this thread counts, so that a busy machine changes
//! nothing.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Limits of one input, in proportion to its length. They are for a build without optimization, and wide: they find
/// what grows with the square of the input, or as one entity that expands to many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) memory_per_byte: u64,
}

const TIME: Duration = Duration::from_millis(500);
const TIME_PER_BYTE: Duration = Duration::from_micros(5);
const MEMORY: u64 = 8 * 1024 * 1024;

impl Bounds {
    pub(crate) const USUAL: Self = Self {
        memory_per_byte: 128,
    };

    pub(crate) fn judge(self, length: usize, took: Duration, memory: u64) -> Result<(), String> {
        let factor = u32::try_from(length).unwrap_or(u32::MAX);
        let longest = TIME + TIME_PER_BYTE.saturating_mul(factor);
        if took > longest {
            return Err(format!(
                "{length} bytes took {took:?} of the processor; at most {longest:?}"
            ));
        }
        let most = MEMORY + self.memory_per_byte.saturating_mul(u64::from(factor));
        if memory > most {
            return Err(format!(
                "{length} bytes took {memory} bytes of memory; at most {most}"
            ));
        }
        Ok(())
    }
}

/// Time that this thread has had.
pub(crate) fn cpu_time() -> Duration {
    of(ClockId::ThreadCPUTime)
}

/// Time that passes.
pub(crate) fn time() -> Duration {
    of(ClockId::Monotonic)
}

fn of(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}
