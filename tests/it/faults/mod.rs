//! What really happens to processes, networks, disks, certificates and clocks, on a real API server. However it goes,
//! every test has the same end: [`ending`]; but for the one in which Microsoft cannot be reached from the beginning, where nothing is there to lose.
//!
//! Some take minutes or a control plane of their own; `make faults` runs those as well, with hundreds of rooms.

mod cluster;
mod ending;
mod leader;
mod machine;
mod network;
