//! Addresses of pods: `10.x.y.z` in the cluster, `127.x.y.z` on this machine.
//!
//! Linux answers on every address of 127.0.0.0/8 without any set-up, so that pods need no network of their own and can
//! all listen on the same port. The API server refuses loopback addresses in EndpointSlices: there they are spelled with
//! another first number. Ports that are known by number are moved: whoever listens there on all addresses of this machine
//! has them on those of pods, too. A listener on the last port keeps an address for us among all programs of this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Attempt, Error};

/// First number of an address as the cluster spells it, and as this machine does.
const CLUSTER: u8 = 10;
const MACHINE: u8 = 127;
/// Ports below the first are moved by the second.
const UNKNOWN: u16 = 10_000;
const MOVED: u16 = 20_000;
/// The port that marks an address as taken.
const MARK: u16 = u16::MAX;
/// Each program begins with other addresses.
const EACH: u32 = 97;
/// Below are addresses that somebody may have given a meaning.
const FIRST: u32 = 1 << 16;

static TRIED: AtomicU32 = AtomicU32::new(0);

/// The address of one pod, ours until it is dropped.
#[derive(Debug)]
pub(super) struct PodAddress {
    machine: Ipv4Addr,
    _mark: TcpListener,
}

impl PodAddress {
    /// One that nobody has.
    pub(super) fn take() -> Result<Self, Error> {
        let mut result = Err(std::io::ErrorKind::AddrInUse.into());
        for _ in 0..EACH {
            let machine = candidate(TRIED.fetch_add(1, Ordering::Relaxed));
            result = TcpListener::bind((machine, MARK)).map(|mark| Self {
                machine,
                _mark: mark,
            });
            if result.is_ok() {
                break;
            }
        }
        result.attempt("take a loopback address for a pod (this needs Linux)")
    }

    /// As the Pod object says it.
    pub(super) fn in_cluster(&self) -> Ipv4Addr {
        with_first(self.machine, CLUSTER)
    }

    /// Where its processes listen.
    pub(super) fn on_machine(&self) -> Ipv4Addr {
        self.machine
    }
}

fn candidate(number: u32) -> Ipv4Addr {
    let span = (1 << 24) - 2 * FIRST;
    let program = std::process::id().wrapping_mul(EACH);
    let host = FIRST + program.wrapping_add(number) % span;
    let [_, b, c, d] = host.to_be_bytes();
    Ipv4Addr::new(MACHINE, b, c, d)
}

fn with_first(address: Ipv4Addr, first: u8) -> Ipv4Addr {
    let [_, b, c, d] = address.octets();
    Ipv4Addr::new(first, b, c, d)
}

/// Where on this machine what the cluster knows by this address and port listens.
pub(crate) fn on_machine(in_cluster: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((with_first(in_cluster, MACHINE), moved(port)))
}

/// The port of this machine that is this port of a pod.
pub(super) fn moved(port: u16) -> u16 {
    if port < UNKNOWN { port + MOVED } else { port }
}

/// A listen address with the pod's own in place of "all addresses"; nothing when it names one, or is none.
pub(super) fn rebound(listen: &str, pod: Ipv4Addr) -> Option<String> {
    let address: SocketAddr = listen.trim().parse().ok()?;
    let all = address.ip().is_unspecified();
    all.then(|| SocketAddr::new(IpAddr::V4(pod), moved(address.port())).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_an_address_of_its_own_that_both_sides_can_spell() {
        let (one, other) = (PodAddress::take().unwrap(), PodAddress::take().unwrap());
        assert_ne!(one.on_machine(), other.on_machine());
        assert!(one.on_machine().is_loopback() && !one.in_cluster().is_loopback());
        let spelled = on_machine(one.in_cluster(), 8443);
        assert_eq!(spelled, SocketAddr::from((one.on_machine(), 28_443)));
    }

    #[test]
    fn only_all_addresses_are_rebound() {
        let pod = Ipv4Addr::new(127, 1, 2, 3);
        for (listen, expected) in [
            ("0.0.0.0:8443", Some("127.1.2.3:28443")),
            ("[::]:8443", Some("127.1.2.3:28443")),
            ("0.0.0.0:10443", Some("127.1.2.3:10443")),
            ("127.0.0.1:8601", None),
            ("nonsense", None),
        ] {
            assert_eq!(rebound(listen, pod).as_deref(), expected, "{listen}");
        }
    }
}
