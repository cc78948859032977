//! The operator killed or restarted at the worst moment.
