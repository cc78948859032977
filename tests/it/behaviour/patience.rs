//! What Microsoft does when it has a bad day, and what does not change because of it.
