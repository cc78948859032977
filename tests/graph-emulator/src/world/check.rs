//! What is wrong with a world, in sentences that name the place.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use uuid::Uuid;

use super::{Application, Mailbox, Tenant, World};
use crate::entra::certificate::Thumbprints;

pub(super) fn problems(world: &World) -> Vec<String> {
    let mut problems = Vec::new();
    let mut ids = HashSet::new();
    for tenant in &world.tenants {
        if !ids.insert(tenant.id.to_ascii_lowercase()) {
            problems.push(format!("tenant {} is declared twice", tenant.id));
        }
        tenant_problems(tenant, &mut problems);
    }
    let behaviour = &world.behaviour;
    if !(0.0..=1.0).contains(&behaviour.random_faults) {
        problems.push("behaviour.randomFaults must be between 0 and 1".to_owned());
    }
    if behaviour.page_size == Some(0) {
        problems.push("behaviour.pageSize must be at least 1".to_owned());
    }
    for (name, status) in [
        ("onPremisesStatus", behaviour.on_premises_status),
        (
            "duplicateTransactionStatus",
            behaviour.duplicate_transaction_status,
        ),
    ] {
        if !(400..600).contains(&status) {
            problems.push(format!("behaviour.{name} must be an HTTP error status"));
        }
    }
    problems
}

fn tenant_problems(tenant: &Tenant, problems: &mut Vec<String>) {
    let name = &tenant.id;
    if Uuid::parse_str(name).is_err() {
        problems.push(format!("tenant {name}: the id is not a GUID"));
    }
    let defaults = tenant
        .domains
        .iter()
        .filter(|domain| domain.default)
        .count();
    if defaults > 1 {
        problems.push(format!("tenant {name}: {defaults} default domains"));
    }
    for application in &tenant.applications {
        application_problems(name, application, problems);
    }
    let mut owners: HashMap<String, String> = HashMap::new();
    for mailbox in &tenant.mailboxes {
        mailbox_problems(name, mailbox, &mut owners, problems);
    }
}

fn application_problems(tenant: &str, application: &Application, problems: &mut Vec<String>) {
    let at = format!("tenant {tenant}, application {}", application.client_id);
    if Uuid::parse_str(&application.client_id).is_err() {
        problems.push(format!("{at}: the clientId is not a GUID"));
    }
    for (number, certificate) in application.certificates.iter().enumerate() {
        if let Err(error) = Thumbprints::of_pem(&certificate.pem) {
            problems.push(format!("{at}: certificate {number}: {error}"));
        }
    }
    for role in &application.exchange_roles {
        if !role.starts_with("Application ") {
            problems.push(format!(
                "{at}: the exchangeRole {role:?} is not named like \"Application Calendars.Read\""
            ));
        }
    }
    for credential in &application.federated {
        if let Some(file) = &credential.jwks_file
            && !Path::new(file).is_file()
        {
            problems.push(format!("{at}: the jwksFile {file} does not exist"));
        }
    }
}

fn mailbox_problems(
    tenant: &str,
    mailbox: &Mailbox,
    owners: &mut HashMap<String, String>,
    problems: &mut Vec<String>,
) {
    for address in std::iter::once(&mailbox.address).chain(&mailbox.aliases) {
        if !address.contains('@') {
            problems.push(format!("tenant {tenant}: {address:?} is not an address"));
        }
        let owner = owners.insert(address.to_ascii_lowercase(), mailbox.address.clone());
        if let Some(owner) = owner {
            problems.push(format!(
                "tenant {tenant}: {address} belongs to both {owner} and {}",
                mailbox.address
            ));
        }
    }
    if let Some(id) = &mailbox.id
        && Uuid::parse_str(id).is_err()
    {
        problems.push(format!(
            "tenant {tenant}, mailbox {}: the id is not a GUID",
            mailbox.address
        ));
    }
}
