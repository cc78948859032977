//! What is done while it is measured.

pub mod apply;
pub mod cold;
pub mod floor;
pub mod quotas;
pub mod receiver;
pub mod restart;
pub mod sick;
pub mod steady;
pub mod takeover;
pub mod writes;
