//! The Kubernetes API of this operator: kinds, fields, defaults, rules and the vocabulary of conditions.
//!
//! Shapes only. What a field leads to is decided in `domain`.

pub mod v1alpha1;
pub mod vocabulary;
