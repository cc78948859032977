//! The world, made searchable: ids for everything, and indexes by each name that a caller may use.

use std::collections::HashMap;

use crate::ids::Ids;
use crate::world::{Application, Domain, Location, Mailbox, MailboxKind, World};

/// An immutable index of one world.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) world: World,
    pub(crate) tenants: Vec<TenantIndex>,
    by_name: HashMap<String, usize>,
}

/// One tenant and its people, rooms and applications.
#[derive(Debug)]
pub(crate) struct TenantIndex {
    pub(crate) id: String,
    pub(crate) display_name: String,
    pub(crate) domains: Vec<Domain>,
    pub(crate) applications: Vec<ApplicationIndex>,
    pub(crate) mailboxes: Vec<Account>,
    by_id: HashMap<String, usize>,
    by_principal_name: HashMap<String, usize>,
    by_primary: HashMap<String, usize>,
    by_proxy: HashMap<String, usize>,
    by_place: HashMap<String, usize>,
}

/// An application, the object ids of its registration and of its service principal, and the ids of its credentials.
#[derive(Debug)]
pub(crate) struct ApplicationIndex {
    pub(crate) spec: Application,
    pub(crate) object_id: String,
    pub(crate) principal_id: String,
    /// First those of the secrets, then those of the certificates.
    pub(crate) key_ids: Vec<String>,
}

/// A directory object with what follows from it.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) spec: Mailbox,
    pub(crate) id: String,
    pub(crate) principal_name: String,
    pub(crate) display_name: String,
    pub(crate) place_id: String,
    pub(crate) calendar_id: String,
    /// `SMTP:` and the primary address first, then `smtp:` aliases.
    pub(crate) proxy_addresses: Vec<String>,
}

impl Account {
    /// Whether Exchange Online serves its mailbox.
    pub(crate) fn has_cloud_mailbox(&self) -> bool {
        !self.spec.guest && self.spec.location == Location::Cloud
    }

    /// Whether Places knows it.
    pub(crate) fn is_place(&self) -> bool {
        self.spec.kind == MailboxKind::Room
            && self.spec.listed
            && !self.spec.guest
            && self.spec.location != Location::SoftDeleted
    }
}

impl Directory {
    pub(crate) fn new(world: World, ids: &Ids) -> Self {
        let tenants: Vec<TenantIndex> = world
            .tenants
            .iter()
            .map(|tenant| TenantIndex::new(tenant, ids))
            .collect();
        let mut by_name = HashMap::new();
        for (position, tenant) in tenants.iter().enumerate() {
            by_name.insert(tenant.id.to_lowercase(), position);
            for domain in tenant.domains.iter().filter(|domain| domain.verified) {
                by_name.insert(domain.name.to_lowercase(), position);
            }
        }
        Self {
            world,
            tenants,
            by_name,
        }
    }

    /// By ID or by one of its verified domains.
    pub(crate) fn tenant(&self, name: &str) -> Option<&TenantIndex> {
        let position = *self.by_name.get(&name.to_lowercase())?;
        self.tenants.get(position)
    }

    /// The mailbox with this primary address, in whichever tenant.
    pub(crate) fn mailbox(&self, address: &str) -> Option<(&TenantIndex, &Account)> {
        self.tenants
            .iter()
            .find_map(|tenant| Some((tenant, tenant.by_primary_address(address)?)))
    }
}

impl TenantIndex {
    fn new(tenant: &crate::world::Tenant, ids: &Ids) -> Self {
        let initial = tenant
            .domains
            .iter()
            .find(|domain| domain.initial)
            .or_else(|| tenant.domains.first())
            .map_or("onmicrosoft.example", |domain| domain.name.as_str());
        let generated = tenant
            .generate
            .iter()
            .flat_map(crate::world::Generate::mailboxes);
        let mailboxes: Vec<Account> = tenant
            .mailboxes
            .iter()
            .cloned()
            .chain(generated)
            .map(|mailbox| account(&tenant.id, initial, mailbox, ids))
            .collect();
        let mut index = Self {
            id: tenant.id.to_lowercase(),
            display_name: tenant.display_name.clone(),
            domains: tenant.domains.clone(),
            applications: tenant
                .applications
                .iter()
                .map(|spec| application(&tenant.id, spec, ids))
                .collect(),
            mailboxes,
            by_id: HashMap::new(),
            by_principal_name: HashMap::new(),
            by_primary: HashMap::new(),
            by_proxy: HashMap::new(),
            by_place: HashMap::new(),
        };
        index.fill();
        index
    }

    fn fill(&mut self) {
        for (position, account) in self.mailboxes.iter().enumerate() {
            self.by_id.insert(account.id.clone(), position);
            self.by_principal_name
                .insert(account.principal_name.to_lowercase(), position);
            self.by_primary
                .insert(account.spec.address.to_lowercase(), position);
            for address in &account.proxy_addresses {
                self.by_proxy.insert(proxy_key(address), position);
            }
            if account.is_place() {
                self.by_place.insert(account.place_id.clone(), position);
            }
        }
    }

    pub(crate) fn application(&self, client_id: &str) -> Option<&ApplicationIndex> {
        self.applications
            .iter()
            .find(|application| application.spec.client_id.eq_ignore_ascii_case(client_id))
    }

    fn at(&self, index: &HashMap<String, usize>, key: &str) -> Option<&Account> {
        self.mailboxes.get(*index.get(key)?)
    }

    /// By object id or sign-in name, as the directory finds it.
    pub(crate) fn user(&self, name: &str) -> Option<&Account> {
        let key = name.to_lowercase();
        self.at(&self.by_id, &key)
            .or_else(|| self.at(&self.by_principal_name, &key))
    }

    /// By object id, sign-in name or primary address, as Exchange finds it.
    pub(crate) fn mailbox(&self, name: &str) -> Option<&Account> {
        self.user(name).or_else(|| self.by_primary_address(name))
    }

    pub(crate) fn by_primary_address(&self, address: &str) -> Option<&Account> {
        self.at(&self.by_primary, &address.to_lowercase())
    }

    /// By a proxy address with its prefix, whose case matters.
    pub(crate) fn by_proxy_address(&self, address: &str) -> Option<&Account> {
        self.at(&self.by_proxy, &proxy_key(address))
    }

    /// By place id or primary address.
    pub(crate) fn place(&self, name: &str) -> Option<&Account> {
        self.at(&self.by_place, &name.to_lowercase())
            .or_else(|| self.by_primary_address(name))
            .filter(|account| account.is_place())
    }
}

/// The prefix as written, the rest without case.
pub(crate) fn proxy_key(address: &str) -> String {
    match address.split_once(':') {
        Some((prefix, rest)) => format!("{prefix}:{}", rest.to_lowercase()),
        None => address.to_lowercase(),
    }
}

fn application(tenant: &str, spec: &Application, ids: &Ids) -> ApplicationIndex {
    let name = format!("{tenant}/{}", spec.client_id);
    let named = |kind: &str, name: &str| ids.named(kind, name).to_string();
    let secrets = spec.secrets.iter().map(|secret| secret.value.as_str());
    let certificates = spec.certificates.iter().map(|one| one.pem.as_str());
    let credentials = secrets.chain(certificates);
    ApplicationIndex {
        object_id: named("application", &name),
        principal_id: named("servicePrincipal", &name),
        key_ids: credentials
            .map(|credential| named("credential", &format!("{name}/{credential}")))
            .collect(),
        spec: spec.clone(),
    }
}

fn account(tenant: &str, initial_domain: &str, spec: Mailbox, ids: &Ids) -> Account {
    let name = format!("{}/{}", tenant.to_lowercase(), spec.address.to_lowercase());
    let id = spec.id.clone().map_or_else(
        || ids.named("mailbox", &name).to_string(),
        |id| id.to_lowercase(),
    );
    let guest_name = || format!("{}#EXT#@{initial_domain}", spec.address.replace('@', "_"));
    let principal_name = match (&spec.user_principal_name, spec.guest) {
        (Some(name), _) => name.clone(),
        (None, true) => guest_name(),
        (None, false) => spec.address.clone(),
    };
    let local = spec.address.split('@').next().unwrap_or_default();
    Account {
        principal_name,
        display_name: spec
            .display_name
            .clone()
            .unwrap_or_else(|| local.to_owned()),
        place_id: ids.named("place", &name).to_string(),
        calendar_id: ids.named_item("calendar", &name),
        proxy_addresses: std::iter::once(format!("SMTP:{}", spec.address))
            .chain(spec.aliases.iter().map(|alias| format!("smtp:{alias}")))
            .collect(),
        id,
        spec,
    }
}
