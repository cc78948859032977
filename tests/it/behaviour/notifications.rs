//! What arrives at the receiver's port.
