//! A real control plane, the Graph emulator and the operator in one call.
//!
//! For the integration tests and for the demo. Knows the operator only as a program: its flags, its ports and what it
//! does in the two worlds; never its code. Nothing here outlives the program that started it (see [`guard`]).

pub mod access;
pub mod archive;
pub mod assets;
pub mod audit;
pub mod cable;
pub mod clock_shift;
pub mod cluster;
pub mod control_plane;
pub mod controllers;
pub mod crds;
pub mod error;
pub mod go_programs;
pub mod guard;
pub mod helm;
pub mod kubelet;
mod listening;
pub mod manifest;
pub mod metrics;
pub mod network;
pub mod objects;
pub mod operator;
pub mod packages;
mod pki;
pub mod ports;
pub mod programs;
pub mod sensitive;
pub mod service;
pub mod testbed;
pub mod tools;
pub mod wait;
mod worker;
