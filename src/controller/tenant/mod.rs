//! The edges of a tenant's pass.

pub mod observe;
