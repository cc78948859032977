//! Subscriptions that vanish, end, or have to be replaced.
