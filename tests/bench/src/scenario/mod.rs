//! What is done while it is measured.

pub mod apply;
pub mod cold;
pub mod floor;
pub mod receiver;
pub mod restart;
