//! A name server on a loopback address that knows one name: what a cluster's DNS is for a pod.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

/// The name that it resolves, to 127.0.0.1.
pub(super) const NAME: &str = "api.internal.example";

/// Where it listens. Resolvers ask port 53 only.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 1);

const TYPE_A: [u8; 2] = [0, 1];

/// Answers for as long as the tests run. Its address, or `None` where we may not listen on port 53.
pub(super) fn start() -> Option<Ipv4Addr> {
    let socket = match UdpSocket::bind(SocketAddr::from((ADDRESS, 53))) {
        Ok(socket) => socket,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return None,
        Err(error) => panic!("listen on {ADDRESS}:53: {error}"),
    };
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, asker)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = answer(&buffer[..length]) {
                let _ = socket.send_to(&answer, asker);
            }
        }
    });
    Some(ADDRESS)
}

/// RFC 1035, section 4: header, the question again, and an address if there is one.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let name: Vec<u8> = NAME
        .split('.')
        .flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat())
        .chain([0])
        .collect();
    let asked = query.get(12..)?;
    let end = asked.iter().position(|byte| *byte == 0)? + 1;
    let (found, rest) = (
        asked[..end].eq_ignore_ascii_case(&name),
        asked.get(end..end + 4)?,
    );
    let has_address = found && rest[..2] == TYPE_A;
    let failure = if found { 0 } else { 3 };
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([
        0x81,
        0x80 | failure,
        0,
        1,
        0,
        u8::from(has_address),
        0,
        0,
        0,
        0,
    ]);
    answer.extend(&asked[..end + 4]);
    if has_address {
        // The name by its place, type A, class IN, a minute, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
