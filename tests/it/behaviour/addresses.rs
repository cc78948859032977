//! Mailboxes that cannot be used as they are declared, and what is said about them.
