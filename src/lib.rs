//! Kubernetes operator that proves and keeps Microsoft 365 calendar integrations working.
