//! Two copies of the operator at once.
