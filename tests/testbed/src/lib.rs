//! A real control plane, the Graph emulator and the operator in one call.
