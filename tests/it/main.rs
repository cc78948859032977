//! The one integration test binary: the operator on a real API server against the Graph emulator.
