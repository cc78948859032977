//! Ports that are free now.

use std::net::{Ipv4Addr, TcpListener};

use crate::error::{Attempt, Error};

/// A loopback port that nobody listens on. Somebody else may take it before it is used: try again then.
pub fn free() -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).attempt("bind a loopback port")?;
    let address = listener.local_addr().attempt("read the bound port")?;
    Ok(address.port())
}
