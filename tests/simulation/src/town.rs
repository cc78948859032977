//! The organizations, and what is declared about them: the truth that statuses are compared with.

use std::collections::BTreeMap;
use std::time::Duration;

use graph_emulator::world::Mailbox;
use graph_emulator::{Control, World};
use jiff::Timestamp;
use memory_apiserver::MemoryApiServer;
use serde_json::{Value, json};

/// Where receivers are reached.
pub(crate) const RECEIVER: &str = "https://calendar.example";

/// Where everything that is declared lies.
pub(crate) const NAMESPACE: &str = "calendars";

/// Where the operator has its Lease and its keys.
pub(crate) const OPERATOR: &str = "operator";

/// Of subscriptions, in hours, for each tenant in turn.
const LIFETIMES: [u64; 5] = [160, 1, 24, 4, 48];

/// How long the subscriptions of a tenant live.
pub(crate) const fn lifetime(tenant: usize) -> Duration {
    Duration::from_hours(LIFETIMES[tenant % LIFETIMES.len()])
}

/// Rooms for which there is no object at the start, in percent.
const SPARE: usize = 25;

/// What is declared about a tenant.
#[derive(Clone, Debug)]
pub(crate) struct TenantModel {
    pub(crate) suspended: bool,
    /// Whether its object is in the cluster.
    pub(crate) declared: bool,
    /// Whether its Secret is.
    pub(crate) has_secret: bool,
    /// The secret that is in the cluster.
    pub(crate) secret: String,
    /// How many secrets there were.
    pub(crate) serial: u32,
}

/// What is declared about a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MailboxModel {
    pub(crate) tenant: usize,
    pub(crate) address: String,
    pub(crate) suspended: bool,
    /// Whether it wants a subscription.
    pub(crate) subscribed: bool,
    /// Of the object, once it is there.
    pub(crate) uid: String,
    pub(crate) created: Timestamp,
}

/// Everything that is declared.
#[derive(Clone, Debug)]
pub(crate) struct Town {
    pub(crate) tenants: Vec<TenantModel>,
    pub(crate) mailboxes: BTreeMap<String, MailboxModel>,
    created: usize,
    /// Whether specs say nothing but what they must.
    plain: bool,
}

pub(crate) fn tenant_id(tenant: usize) -> String {
    format!("5f1d7a9c-1111-4000-8000-{tenant:012}")
}

pub(crate) fn client_id(tenant: usize) -> String {
    format!("5f1d7a9c-2222-4000-8000-{tenant:012}")
}

/// An application of somebody else in the same tenant.
pub(crate) fn foreign_client_id(tenant: usize) -> String {
    format!("5f1d7a9c-3333-4000-8000-{tenant:012}")
}

/// Its secret.
pub(crate) const FOREIGN_SECRET: &str = "secret-of-somebody-else";

pub(crate) fn address(tenant: usize, room: usize) -> String {
    format!("room-{room}@tenant{tenant}.example")
}

fn secret_value(tenant: usize, serial: u32) -> String {
    format!("simulated-client-secret-{tenant}-{serial}")
}

impl Town {
    pub(crate) fn new(mailboxes: usize, plain: bool) -> Self {
        let tenants = Self::tenants_for(mailboxes);
        let mut town = Self {
            tenants: (0..tenants)
                .map(|tenant| TenantModel {
                    suspended: false,
                    declared: true,
                    has_secret: true,
                    secret: secret_value(tenant, 0),
                    serial: 0,
                })
                .collect(),
            mailboxes: BTreeMap::new(),
            created: 0,
            plain,
        };
        for number in 0..mailboxes {
            let tenant = number % tenants;
            town.declare(tenant, address(tenant, number / tenants));
        }
        if !plain {
            // One that Microsoft does not know.
            town.declare(0, address(0, Self::rooms(mailboxes)));
        }
        town
    }

    const fn tenants_for(mailboxes: usize) -> usize {
        match mailboxes {
            0..=5 => 1,
            6..=299 => 3,
            300..=1_999 => mailboxes / 100,
            _ => mailboxes / 200,
        }
    }

    /// A new name for an object.
    pub(crate) fn declare(&mut self, tenant: usize, address: String) -> String {
        self.created += 1;
        let name = format!("mailbox-{}", self.created);
        self.mailboxes.insert(
            name.clone(),
            MailboxModel {
                tenant,
                address,
                suspended: false,
                subscribed: true,
                uid: String::new(),
                created: Timestamp::MAX,
            },
        );
        name
    }

    /// Applies the object of this name.
    pub(crate) fn apply(&mut self, server: &MemoryApiServer, name: &str) {
        let created = server.create(self.mailbox_object(name));
        let seen = Seen::of(&created.expect("what people declare is well-formed"));
        if let Some(model) = self.mailboxes.get_mut(name) {
            model.uid = seen.uid;
            model.created = seen.created;
        }
    }

    /// Gives the tenant another secret, which is not known to Entra yet.
    pub(crate) fn next_secret(&mut self, tenant: usize) -> String {
        let model = &mut self.tenants[tenant];
        model.serial += 1;
        model.secret = secret_value(tenant, model.serial);
        model.secret.clone()
    }

    /// Rooms of each tenant at Microsoft, more than are declared at first.
    pub(crate) fn rooms(mailboxes: usize) -> usize {
        mailboxes.div_ceil(Self::tenants_for(mailboxes)) * (100 + SPARE) / 100 + 1
    }

    /// The organizations at Microsoft.
    pub(crate) fn world(&self, mailboxes: usize) -> World {
        let tenants: Vec<Value> = (0..self.tenants.len())
            .map(|tenant| organization(tenant, Self::rooms(mailboxes)))
            .collect();
        let world = json!({"tenants": tenants});
        World::from_yaml(&world.to_string()).expect("the world is well-formed")
    }

    pub(crate) fn tenant_object(&self, tenant: usize) -> Value {
        let mut object = json!({
            "apiVersion": "hybridcalendar.dev/v1alpha1", "kind": "CalendarTenant",
            "metadata": {"name": format!("tenant-{tenant}"), "namespace": NAMESPACE},
            "spec": {
                "tenantId": tenant_id(tenant),
                "clientId": client_id(tenant),
                "credential": {"clientSecret": {"secretRef": {"name": format!("credential-{tenant}")}}},
                "suspend": self.tenants[tenant].suspended,
            },
        });
        if !self.plain {
            let hours = LIFETIMES[tenant % LIFETIMES.len()];
            object["spec"]["subscription"] = json!({"lifetime": format!("{hours}h")});
        }
        object
    }

    pub(crate) fn secret_object(&self, tenant: usize) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": format!("credential-{tenant}"), "namespace": NAMESPACE,
                "labels": {"hybridcalendar.dev/credential": "true"},
            },
            "data": {"client-secret": base64(&self.tenants[tenant].secret)},
        })
    }

    pub(crate) fn mailbox_object(&self, name: &str) -> Value {
        let model = &self.mailboxes[name];
        json!({
            "apiVersion": "hybridcalendar.dev/v1alpha1", "kind": "WorkspaceMailbox",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "tenantRef": {"name": format!("tenant-{}", model.tenant)},
                "address": model.address,
                "suspend": model.suspended,
                "subscription": {"enabled": model.subscribed},
            },
        })
    }
}

/// Whether Graph takes a second subscription of one application for the same mailbox. It refuses them, and then none can be
/// seen; when it takes them, each one too many is seen.
pub(crate) fn take_doubles(graph: &Control, takes: bool) {
    let mut world = graph.world();
    world.behaviour.allow_duplicates = takes;
    let accepted = graph.set_world(world);
    accepted.expect("nothing else was changed");
}

fn organization(tenant: usize, rooms: usize) -> Value {
    let mailboxes: Vec<Value> = (0..rooms)
        .map(|room| {
            json!({
                "address": address(tenant, room), "type": "room",
                "id": format!("5f1d7a9c-4444-4000-{:04x}-{room:012x}", 0x8000 + tenant),
            })
        })
        .collect();
    let roles = [
        "User.Read.All",
        "Calendars.Read",
        "Place.Read.All",
        "Domain.Read.All",
        "Organization.Read.All",
    ];
    json!({
        "id": tenant_id(tenant),
        "displayName": format!("Tenant {tenant}"),
        "domains": [
            {"name": format!("tenant{tenant}.example"), "default": true},
            {"name": format!("old.tenant{tenant}.example"), "verified": false},
        ],
        "applications": [
            {"clientId": client_id(tenant), "secrets": [{"value": secret_value(tenant, 0)}], "roles": roles},
            {"clientId": foreign_client_id(tenant), "secrets": [{"value": FOREIGN_SECRET}], "roles": roles},
        ],
        "mailboxes": mailboxes,
    })
}

/// A room as it was born.
pub(crate) fn room(tenant: usize, room: usize) -> Mailbox {
    Mailbox {
        id: Some(format!(
            "5f1d7a9c-4444-4000-{:04x}-{room:012x}",
            0x8000 + tenant
        )),
        ..Mailbox::room(address(tenant, room))
    }
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let [a, b, c] = three.map(u32::from);
        let bits = a << 16 | b << 8 | c;
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            encoded.push(if place > chunk.len() {
                '='
            } else {
                char::from(letter)
            });
        }
    }
    encoded
}

/// All objects of a kind, as anybody sees them.
pub(crate) fn objects(server: &MemoryApiServer, kind: &str) -> Vec<Seen> {
    server.view(kind, Seen::of)
}

/// An object as anybody sees it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) created: Timestamp,
    /// Status and reason of `Ready`.
    pub(crate) ready: (String, String),
    pub(crate) message: String,
    /// Whether it says that Places does not list the room.
    pub(crate) unlisted: bool,
    /// The subscription that the status names.
    pub(crate) subscription: Option<String>,
    /// When that ends.
    pub(crate) expires: Option<Timestamp>,
    /// Whether it says that it could not be renewed while little of its life is left.
    pub(crate) runs_out: bool,
    /// How many mailboxes a tenant says that it has, and how many of them are ready.
    pub(crate) counts: Option<(u64, u64)>,
}

impl Seen {
    fn of(object: &Value) -> Self {
        let (metadata, status) = (&object["metadata"], &object["status"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let condition = |type_: &str| {
            let mut conditions = status["conditions"].as_array().into_iter().flatten();
            conditions.find(|condition| condition["type"] == type_)
        };
        let ready = condition("Ready");
        let of_ready = |field: &str| ready.map(|ready| text(&ready[field])).unwrap_or_default();
        Self {
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            created: text(&metadata["creationTimestamp"])
                .parse()
                .unwrap_or(Timestamp::MIN),
            ready: (of_ready("status"), of_ready("reason")),
            message: of_ready("message"),
            unlisted: condition("RoomNotListed").is_some_and(|one| one["status"] == "True"),
            subscription: status["subscription"]["id"].as_str().map(str::to_owned),
            expires: status["subscription"]["expiresAt"]
                .as_str()
                .and_then(|end| end.parse().ok()),
            runs_out: condition("SubscriptionInactive")
                .is_some_and(|one| one["status"] == "True" && one["reason"] == "RenewFailed"),
            counts: status["mailboxes"]["total"]
                .as_u64()
                .zip(status["mailboxes"]["ready"].as_u64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_encoded_as_kubernetes_expects() {
        for (text, encoded) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj")] {
            assert_eq!(base64(text), encoded);
        }
    }
}
