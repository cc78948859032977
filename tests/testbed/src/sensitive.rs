//! What no log line, Event or metric may contain: the secrets and addresses of the worlds that tests used.
//!
//! Kept in a file beside the operators' logs, so that a later test can search those for them.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use graph_emulator::World;

use crate::error::{Attempt, Error};
use crate::operator::logs;

/// The file: one secret or address a line.
pub fn archive() -> Result<PathBuf, Error> {
    Ok(logs::archive()?.with_file_name("sensitive.txt"))
}

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
    let path = archive()?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).attempt(format!("make {}", folder.display()))?;
    }
    let mut text = String::new();
    for word in of(world) {
        text = text + &word + "\n";
    }
    let attempt = format!("write {}", path.display());
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .attempt(attempt)
}
