//! What no log line, Event or metric may contain: the secrets and addresses of the worlds that tests used.
//!
//! Kept in a file beside the operators' logs, so that a later test can search those for them.

use std::collections::BTreeSet;

use graph_emulator::World;

use crate::archive;
use crate::error::Error;

/// The file of the archive: one secret or address a line.
pub const ARCHIVE: &str = "sensitive.txt";

/// All secrets and addresses of this world.
#[must_use]
pub fn of(world: &World) -> BTreeSet<String> {
    let applications = world.tenants.iter().flat_map(|tenant| &tenant.applications);
    let secrets = applications
        .flat_map(|application| &application.secrets)
        .map(|secret| secret.value.clone());
    let mailboxes = world.tenants.iter().flat_map(|tenant| &tenant.mailboxes);
    let addresses = mailboxes.flat_map(|mailbox| {
        let sign_in = mailbox.user_principal_name.clone();
        [mailbox.address.clone()]
            .into_iter()
            .chain(mailbox.aliases.clone())
            .chain(sign_in)
    });
    secrets.chain(addresses).collect()
}

/// Writes them down.
pub fn remember(world: &World) -> Result<(), Error> {
    let mut text = String::new();
    for word in of(world) {
        text = text + &word + "\n";
    }
    archive::append(ARCHIVE, &text)
}
