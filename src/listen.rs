//! Listening sockets: where the operator is reached, on IPv6 and IPv4 alike.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// Listens on `address`.
///
/// All of IPv6, `[::]`, is IPv4 too. Where the kernel has no IPv6, it is IPv4 alone: whoever asks for all addresses gets
/// all that there are.
///
/// # Errors
/// When the address cannot be used.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    by(TcpListener::bind, address)
}

fn by<T>(bind: impl Fn(SocketAddr) -> io::Result<T>, address: SocketAddr) -> io::Result<T> {
    let refused = match bind(address) {
        Ok(listener) => return Ok(listener),
        Err(refused) => refused,
    };
    let taken = matches!(
        refused.kind(),
        ErrorKind::AddrInUse | ErrorKind::PermissionDenied
    );
    if taken || address.ip() != Ipv6Addr::UNSPECIFIED {
        return Err(refused);
    }
    bind((Ipv4Addr::UNSPECIFIED, address.port()).into()).map_err(|_| refused)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    /// As a kernel without IPv6 answers.
    fn without_ipv6(address: SocketAddr) -> io::Result<SocketAddr> {
        const NO_SUCH_FAMILY: i32 = 97;
        if address.is_ipv6() {
            return Err(io::Error::from_raw_os_error(NO_SUCH_FAMILY));
        }
        Ok(address)
    }

    #[test]
    fn all_addresses_are_those_of_both_families() {
        let port = listen("[::]:0".parse().unwrap()).unwrap();
        let number = port.local_addr().unwrap().port();
        let mut families = vec!["127.0.0.1"];
        // A machine of today may have no IPv6.
        if port.local_addr().unwrap().is_ipv6() {
            families.push("::1");
        }
        for address in families {
            TcpStream::connect((address, number)).unwrap();
        }
    }

    #[test]
    fn all_addresses_are_those_of_ipv4_where_the_kernel_has_no_other() {
        for (asked, expected) in [
            ("[::]:8443", Some("0.0.0.0:8443")),
            ("0.0.0.0:8443", Some("0.0.0.0:8443")),
            // Whoever names an address means that one.
            ("[::1]:8443", None),
        ] {
            let got = by(without_ipv6, asked.parse().unwrap()).ok();
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(got, expected, "{asked}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_not_taken_by_half() {
        let taken = |address: SocketAddr| {
            if address.is_ipv6() {
                return Err(io::Error::from(ErrorKind::AddrInUse));
            }
            Ok(())
        };
        let refused = by(taken, "[::]:8443".parse().unwrap()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AddrInUse);
    }
}
