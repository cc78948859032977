//! What is wrong with a world, in sentences that name the field and say what to write.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;

use super::{Application, FederatedCredential, Generate, Mailbox, Tenant, World};
use crate::entra::certificate::KnownCertificate;
use crate::entra::federation;

const EXAMPLE: &str = "5f1d7a9c-1111-4000-8000-000000000001";

pub(super) fn problems(world: &World) -> Vec<String> {
    let mut problems = Vec::new();
    limits(world, &mut problems);
    behaviour(world, &mut problems);
    let mut ids = HashSet::new();
    for (number, tenant) in world.tenants.iter().enumerate() {
        let at = format!("tenants[{number}]");
        if !ids.insert(tenant.id.to_ascii_lowercase()) {
            let id = &tenant.id;
            problems.push(format!(
                "{at}.id: {id} is declared twice; give one another id"
            ));
        }
        guid(&format!("{at}.id"), &tenant.id, &mut problems);
        domains(&at, tenant, &mut problems);
        applications(&at, tenant, &mut problems);
        mailboxes(&at, tenant, &mut problems);
    }
    problems
}

fn guid(at: &str, text: &str, problems: &mut Vec<String>) {
    if Uuid::parse_str(text).is_err() {
        problems.push(format!(
            "{at}: {text:?} is not a GUID; write one like {EXAMPLE}"
        ));
    }
}

fn limits(world: &World, problems: &mut Vec<String>) {
    let limits = &world.limits;
    for (name, value) in [
        ("maxLifetime", limits.max_lifetime),
        ("minLifetime", limits.min_lifetime),
        ("tokenLifetime", limits.token_lifetime),
        ("validationTimeout", limits.validation_timeout),
    ] {
        if value == Some(Duration::ZERO) {
            problems.push(format!("limits.{name}: it is zero; write a time like 90s"));
        }
    }
    if let (Some(least), Some(most)) = (limits.min_lifetime, limits.max_lifetime)
        && least > most
    {
        let text =
            "limits.minLifetime: it is longer than limits.maxLifetime; make one fit the other";
        problems.push(text.to_owned());
    }
}

fn behaviour(world: &World, problems: &mut Vec<String>) {
    let behaviour = &world.behaviour;
    if !(0.0..=1.0).contains(&behaviour.random_faults) {
        problems.push("behaviour.randomFaults: it is a share; use 0 to 1".to_owned());
    }
    if behaviour.page_size == Some(0) {
        problems.push("behaviour.pageSize: a page holds at least 1".to_owned());
    }
    if behaviour.max_lifetime_minutes == 0 {
        problems.push("behaviour.maxLifetimeMinutes: use at least 1".to_owned());
    }
    for (name, status) in [
        ("onPremisesStatus", behaviour.on_premises_status),
        (
            "duplicateTransactionStatus",
            behaviour.duplicate_transaction_status,
        ),
    ] {
        if !(400..600).contains(&status) {
            problems.push(format!(
                "behaviour.{name}: {status} is not an HTTP error status; use 400 to 599"
            ));
        }
    }
}

fn domains(at: &str, tenant: &Tenant, problems: &mut Vec<String>) {
    let defaults = tenant.domains.iter().filter(|domain| domain.default);
    let initials = tenant.domains.iter().filter(|domain| domain.initial);
    for (kind, count) in [("default", defaults.count()), ("initial", initials.count())] {
        if count > 1 {
            problems.push(format!(
                "{at}.domains: {count} {kind} domains; keep `{kind}: true` at one"
            ));
        }
    }
    let mut names = HashSet::new();
    for (number, domain) in tenant.domains.iter().enumerate() {
        let (at, name) = (format!("{at}.domains[{number}]"), &domain.name);
        if name.is_empty() || name.contains(['@', '/', ' ']) {
            problems.push(format!(
                "{at}.name: {name:?} is not a domain; write one like contoso.example"
            ));
        }
        if !names.insert(name.to_ascii_lowercase()) {
            problems.push(format!("{at}.name: {name} is declared twice; remove one"));
        }
    }
}

fn applications(at: &str, tenant: &Tenant, problems: &mut Vec<String>) {
    let mut ids = HashSet::new();
    for (number, application) in tenant.applications.iter().enumerate() {
        let at = format!("{at}.applications[{number}]");
        let id = &application.client_id;
        guid(&format!("{at}.clientId"), id, problems);
        if !ids.insert(id.to_ascii_lowercase()) {
            problems.push(format!(
                "{at}.clientId: {id} is declared twice; give one another id"
            ));
        }
        application_problems(&at, application, problems);
        denied(&at, tenant, application, problems);
    }
}

fn application_problems(at: &str, application: &Application, problems: &mut Vec<String>) {
    for (number, secret) in application.secrets.iter().enumerate() {
        if secret.value.is_empty() {
            problems.push(format!(
                "{at}.secrets[{number}].value: it is empty; write a secret"
            ));
        }
    }
    for (number, certificate) in application.certificates.iter().enumerate() {
        if let Err(error) = KnownCertificate::of_pem(&certificate.pem) {
            problems.push(format!(
                "{at}.certificates[{number}].pem: {error}; write a certificate with an RSA key"
            ));
        }
    }
    for (number, role) in application.exchange_roles.iter().enumerate() {
        if !role.starts_with("Application ") {
            problems.push(format!(
                "{at}.exchangeRoles[{number}]: {role:?} is not named like \"Application Calendars.Read\""
            ));
        }
    }
    for (number, credential) in application.federated.iter().enumerate() {
        federated(&format!("{at}.federated[{number}]"), credential, problems);
    }
}

fn federated(at: &str, credential: &FederatedCredential, problems: &mut Vec<String>) {
    const REMEDY: &str = "write the issuer's JWKS, or leave it out to ask the issuer";
    if credential.jwks.is_some() && credential.jwks_file.is_some() {
        problems.push(format!("{at}: it has jwks and jwksFile; keep one of them"));
    }
    if let Some(keys) = &credential.jwks
        && let Err(error) = federation::key_set(keys.clone())
    {
        problems.push(format!("{at}.jwks: {error}; {REMEDY}"));
    }
    if let Some(file) = &credential.jwks_file {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        let keys = text.and_then(|text| federation::key_set_of_text(&text));
        if let Err(error) = keys {
            problems.push(format!("{at}.jwksFile: {file}: {error}; {REMEDY}"));
        }
    }
}

/// A policy about an address that nobody has would silently do nothing.
fn denied(at: &str, tenant: &Tenant, application: &Application, problems: &mut Vec<String>) {
    let generated: HashSet<String> = if application.denied.is_empty() {
        HashSet::new()
    } else {
        let rooms = tenant.generate.iter().flat_map(Generate::mailboxes);
        rooms
            .map(|room| room.address.to_ascii_lowercase())
            .collect()
    };
    for (number, address) in application.denied.iter().enumerate() {
        let mut named = tenant.mailboxes.iter().map(|mailbox| &mailbox.address);
        if !named.any(|known| known.eq_ignore_ascii_case(address))
            && !generated.contains(&address.to_ascii_lowercase())
        {
            problems.push(format!(
                "{at}.denied[{number}]: {address} is not the address of a mailbox; write the primary \
                 address of one of this tenant"
            ));
        }
    }
}

/// What must be unlike in all mailboxes of a tenant, and who has it.
#[derive(Default)]
struct Owners {
    addresses: HashMap<String, String>,
    names: HashMap<String, String>,
    ids: HashMap<String, String>,
}

fn mailboxes(at: &str, tenant: &Tenant, problems: &mut Vec<String>) {
    let mut owners = Owners::default();
    for (number, mailbox) in tenant.mailboxes.iter().enumerate() {
        let at = format!("{at}.mailboxes[{number}]");
        mailbox_problems(&at, mailbox, &mut owners, problems);
    }
    if let Some(generate) = tenant.generate.as_ref()
        && generate.rooms > Generate::MOST
    {
        problems.push(format!(
            "{at}.generate.rooms: {} are too many; make at most {}",
            generate.rooms,
            Generate::MOST
        ));
    }
    for room in tenant.generate.iter().flat_map(Generate::mailboxes) {
        if let Some(owner) = owners.addresses.get(&room.address.to_ascii_lowercase()) {
            problems.push(format!(
                "{at}.generate.prefix: it makes {}, which belongs to {owner}; use another prefix",
                room.address
            ));
        }
    }
}

fn mailbox_problems(at: &str, mailbox: &Mailbox, owners: &mut Owners, problems: &mut Vec<String>) {
    let mut claim = |owners: &mut HashMap<String, String>, field: &str, value: &str| {
        let owner = owners.insert(value.to_ascii_lowercase(), mailbox.address.clone());
        let free = owner.is_none();
        if let Some(owner) = owner {
            problems.push(format!(
                "{at}.{field}: {value} belongs to both {owner} and {}; keep it at one",
                mailbox.address
            ));
        }
        free
    };
    let free = claim(&mut owners.addresses, "address", &mailbox.address);
    for alias in &mailbox.aliases {
        claim(&mut owners.addresses, "aliases", alias);
    }
    let name = mailbox.user_principal_name.as_ref();
    if free || name.is_some() {
        let name = name.unwrap_or(&mailbox.address);
        claim(&mut owners.names, "userPrincipalName", name);
    }
    if let Some(id) = &mailbox.id {
        claim(&mut owners.ids, "id", id);
        guid(&format!("{at}.id"), id, problems);
    }
    let addresses = std::iter::once(("address", &mailbox.address));
    for (field, address) in addresses.chain(mailbox.aliases.iter().map(|one| ("aliases", one))) {
        if !address.contains('@') {
            problems.push(format!(
                "{at}.{field}: {address:?} is not an address; write one like room-a@contoso.example"
            ));
        }
    }
}
