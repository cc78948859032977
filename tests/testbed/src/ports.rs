//! Ports that are free now.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Attempt, Error};

/// From which the system takes the ports that nobody asked for by number.
const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// What it is unless somebody changed it.
const USUAL: RangeInclusive<u16> = 32_768..=60_999;
/// Below are ports that others know by number.
const CANDIDATES: RangeInclusive<u16> = 10_000..=u16::MAX;
/// So many ports of each program come before the first of the program that was started next.
const EACH: usize = 64;

static OURS: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let text = std::fs::read_to_string(RANGE).unwrap_or_default();
    outside(&range(&text).unwrap_or(USUAL))
});
static TRIED: AtomicUsize = AtomicUsize::new(0);

/// A loopback port that nobody listens on, and that the system gives to nobody who asks for any: between this look and
/// its use only somebody who asks for this very one can take it. Programs begin at different ones.
pub fn free() -> Result<u16, Error> {
    let mut result = Err(std::io::ErrorKind::AddrInUse.into());
    for _ in 0..OURS.len() {
        let at = std::process::id() as usize * EACH + TRIED.fetch_add(1, Ordering::Relaxed);
        let port = OURS[at % OURS.len()];
        result = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(|_| port);
        if result.is_ok() {
            break;
        }
    }
    result.attempt("bind a loopback port")
}

/// What Linux writes there: two numbers.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    Some(first.parse().ok()?..=last.trim().parse().ok()?)
}

/// The candidates that the system does not give away by itself; all if it may give away any.
fn outside(taken: &RangeInclusive<u16>) -> Vec<u16> {
    let ours: Vec<u16> = CANDIDATES.filter(|port| !taken.contains(port)).collect();
    if ours.is_empty() {
        return CANDIDATES.collect();
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_that_the_system_gives_away_by_itself_are_left_to_it() {
        let taken = range("32768\t60999\n").unwrap();
        assert_eq!(taken, USUAL);
        let ours = outside(&taken);
        assert!(ours.iter().all(|port| !taken.contains(port)));
        assert!(ours.contains(&10_000) && ours.contains(&65_535));
        assert!(!outside(&(1024..=u16::MAX)).is_empty());
        assert_eq!(range("nothing"), None);
    }

    #[test]
    fn no_port_is_given_twice() {
        assert_ne!(free().unwrap(), free().unwrap());
    }
}
