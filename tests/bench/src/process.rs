//! What Linux says of a process: processor time and resident memory.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use testbed::error::{Attempt as _, Error};
use testbed::wait;
use tokio::time::Instant;

/// In hundredths of a second, whatever the kernel's own tick is: a promise of Linux to programs.
const TICK: Duration = Duration::from_millis(10);
/// A program is quiet that uses at most a twentieth of a core for so long.
const QUIET_LOOK: Duration = Duration::from_secs(1);
const QUIET_SHARE: u32 = 20;
/// How long it may take until nothing is to be done any more.
const QUIET_DEADLINE: Duration = Duration::from_mins(5);

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, its own and the kernel's on its behalf.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
    /// The most resident memory that it ever had, in bytes.
    pub peak: u64,
}

impl Usage {
    /// Of a running process.
    pub fn of(process: u32) -> Result<Self, Error> {
        Self::read(&process.to_string())
    }

    /// Of this process.
    pub fn own() -> Result<Self, Error> {
        Self::read("self")
    }

    fn read(process: &str) -> Result<Self, Error> {
        let file = |name: &str| {
            let path = format!("/proc/{process}/{name}");
            fs::read_to_string(&path).attempt(format!("read {path}"))
        };
        Self::parse(&file("stat")?, &file("status")?).ok_or_else(|| Error::Document {
            what: format!("/proc/{process}/stat and status"),
            message: "a field is missing".to_owned(),
        })
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The program's name, in parentheses, may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u32>().ok();
        let cpu = TICK * (ticks()? + ticks()?);
        let kibibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let number = line.trim_start_matches(':').split_whitespace().next()?;
            Some(number.parse::<u64>().ok()? * 1024)
        };
        Some(Self {
            cpu,
            resident: kibibytes("VmRSS")?,
            peak: kibibytes("VmHWM")?,
        })
    }
}

/// Waits until a process does next to nothing for a second, then watches it. What it has used in the end, and the share
/// of one core that it used while it was watched.
pub async fn rest(process: u32, watch: Duration) -> Result<(Usage, f64), Error> {
    let (end, mut before) = (Instant::now() + QUIET_DEADLINE, Usage::of(process)?);
    loop {
        wait::pause(QUIET_LOOK).await;
        let now = Usage::of(process)?;
        if now.cpu.saturating_sub(before.cpu) * QUIET_SHARE <= QUIET_LOOK {
            break;
        }
        if Instant::now() >= end {
            return Err(Error::Deadline {
                what: format!("process {process} is quiet"),
                deadline: QUIET_DEADLINE,
            });
        }
        before = now;
    }
    let (began, before) = (Instant::now(), Usage::of(process)?);
    wait::pause(watch).await;
    let after = Usage::of(process)?;
    let used = after.cpu.saturating_sub(before.cpu);
    Ok((after, used.as_secs_f64() / began.elapsed().as_secs_f64()))
}

/// The machine's clock, by which the API server dates requests, too.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "a measurement reads the clock by which the audit log is dated"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 9 9 20 0 4 0 1 1 1";
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(
            Usage::parse(stat, status),
            Some(Usage {
                cpu: Duration::from_secs(3),
                resident: 1024 * 1024,
                peak: 2048 * 1024,
            })
        );
        assert_eq!(Usage::parse(stat, "VmHWM: 1 kB\n"), None);
    }

    #[test]
    fn a_process_can_look_at_itself() {
        let usage = Usage::own().unwrap();
        assert!(usage.resident > 0 && usage.peak >= usage.resident);
    }
}
