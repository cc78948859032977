//! The receiver: answers Graph's handshakes and notifications, verifies every item, and wakes what a
//! lifecycle event is about.
//!
//! It knows keys, labels, a queue and the copy that leads, to which others pass on what they were told; no client of
//! Graph or Kubernetes. What a notification says is thrown
//! away: it can only wake somebody who looks for themselves.

pub mod forward;
pub mod forwarded;
pub mod item;
pub mod receiver;
pub mod server;
pub mod tls;
pub mod wake;

#[cfg(test)]
mod tests;
