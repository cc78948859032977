//! Objects and whole namespaces that are deleted.
