//! What a tenant's credential, consent and permissions do to it and to its mailboxes.
