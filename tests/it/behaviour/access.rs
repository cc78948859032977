//! Who may use what: references, endpoints, Secrets and ServiceAccounts that were not offered.
