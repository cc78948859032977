//! The testbed itself, on its real control plane.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod control_plane;
mod demo;
mod dependencies;
mod guard;
mod kubelet;
mod operator;
mod secrecy;
mod testbed_itself;
