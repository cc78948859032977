//! The same tenants and mailboxes on both sides: as Kubernetes objects and as Microsoft knows them.

use serde_json::{Value, json};

/// How many rooms each tenant has.
#[derive(Clone, Debug)]
pub struct World {
    /// By tenant.
    rooms: Vec<Rooms>,
    /// Whether Graph has its documented quotas.
    quotas: bool,
    /// Whether the first tenant hangs.
    sick: bool,
    /// How often everything is checked, if not by default.
    check_interval: Option<String>,
}

/// The rooms of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rooms {
    /// In Microsoft 365.
    known: u32,
    /// With an object from the beginning.
    declared: u32,
}

impl Rooms {
    /// All have an object.
    fn of(declared: u32) -> Self {
        Self {
            known: declared,
            declared,
        }
    }
}

/// What an application authenticates with; the same in every tenant, and worth nothing elsewhere.
const SECRET: &str = "bench-secret";
const CREDENTIAL: &str = "credential";

impl World {
    /// Mailboxes spread over tenants as evenly as possible.
    #[must_use]
    pub fn spread(mailboxes: u32, tenants: u32) -> Self {
        let share = |tenant| mailboxes / tenants + u32::from(tenant < mailboxes % tenants);
        Self::of((0..tenants).map(share).map(Rooms::of).collect())
    }

    fn of(rooms: Vec<Rooms>) -> Self {
        Self {
            rooms,
            quotas: false,
            sick: false,
            check_interval: None,
        }
    }

    /// The same with so many more rooms in each tenant, which have no object.
    #[must_use]
    pub fn with_spare(mut self, spare: u32) -> Self {
        for rooms in &mut self.rooms {
            rooms.known += spare;
        }
        self
    }

    /// The same, at a Graph that allows what its documentation says.
    #[must_use]
    pub fn with_quotas(self) -> Self {
        Self {
            quotas: true,
            ..self
        }
    }

    /// The same, checked as often as that: a duration such as `24h`, or by default.
    #[must_use]
    pub fn checked_every(self, check_interval: Option<String>) -> Self {
        Self {
            check_interval,
            ..self
        }
    }

    /// The same with a first tenant of so many mailboxes that hangs.
    #[must_use]
    pub fn beside_a_sick(mut self, mailboxes: u32) -> Self {
        self.rooms.insert(0, Rooms::of(mailboxes));
        Self { sick: true, ..self }
    }

    /// The ID of the tenant that hangs, if one does.
    #[must_use]
    pub fn sick(&self) -> Option<String> {
        self.sick.then(|| tenant_id(1))
    }

    /// The name of its object, with which the names of its mailboxes begin.
    #[must_use]
    pub fn sick_name() -> String {
        name(1)
    }

    /// A tenant with all the mailboxes and one with a single one; in each are `spare` rooms without an object.
    #[must_use]
    pub fn crowd(mailboxes: u32, spare: u32) -> Self {
        let rooms = [mailboxes, 1].map(Rooms::of);
        Self::of(rooms.to_vec()).with_spare(spare)
    }

    /// How many mailboxes have an object from the beginning.
    #[must_use]
    pub fn declared(&self) -> u32 {
        self.rooms.iter().map(|rooms| rooms.declared).sum()
    }

    /// As the emulator reads it.
    #[must_use]
    pub fn microsoft(&self) -> Value {
        let tenants: Vec<Value> = (1..)
            .zip(&self.rooms)
            .map(|(number, rooms)| {
                json!({
                    "id": tenant_id(number),
                    "displayName": name(number),
                    "domains": [{"name": domain(number), "default": true}],
                    "applications": [{
                        "clientId": client_id(number),
                        "secrets": [{"value": SECRET}],
                        "roles": ["User.Read.All", "Calendars.Read", "Place.Read.All", "Domain.Read.All"],
                    }],
                    "generate": {"rooms": rooms.known, "prefix": "room-", "domain": domain(number)},
                })
            })
            .collect();
        let quotas = if self.quotas { "documented" } else { "off" };
        json!({"quotas": quotas, "tenants": tenants})
    }

    /// The Secret of all tenants.
    #[must_use]
    pub fn secret() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": CREDENTIAL, "labels": {"hybridcalendar.dev/credential": "true"}},
            "stringData": {"client-secret": SECRET},
        })
    }

    /// The CalendarTenants; `endpoint` is where Microsoft is.
    #[must_use]
    pub fn tenants(&self, endpoint: &str) -> Vec<Value> {
        let numbers = (1..).zip(&self.rooms).map(|(number, _)| number);
        numbers
            .map(|number| self.checked(tenant(number, endpoint)))
            .collect()
    }

    /// The WorkspaceMailboxes that are there from the beginning.
    pub fn mailboxes(&self) -> impl Iterator<Item = Value> + '_ {
        let tenants = (1..).zip(&self.rooms);
        let numbered =
            tenants.flat_map(|(tenant, rooms)| (1..=rooms.declared).map(move |n| (tenant, n)));
        numbered.map(|(tenant, n)| self.checked(mailbox(tenant, n)))
    }

    fn checked(&self, mut object: Value) -> Value {
        if let Some(interval) = &self.check_interval {
            object["spec"]["checkInterval"] = json!(interval);
        }
        object
    }

    /// The `number`th mailbox, from 1, of those that a tenant has besides, counted from 1.
    #[must_use]
    pub fn spare(&self, tenant: u32, number: u32) -> Value {
        let before = self.rooms.get(tenant as usize - 1);
        mailbox(tenant, before.map_or(0, |rooms| rooms.declared) + number)
    }
}

fn tenant(number: u32, endpoint: &str) -> Value {
    json!({
        "apiVersion": "hybridcalendar.dev/v1alpha1", "kind": "CalendarTenant",
        "metadata": {"name": name(number)},
        "spec": {
            "tenantId": tenant_id(number),
            "clientId": client_id(number),
            "endpoints": {"login": endpoint, "graph": endpoint},
            "credential": {"clientSecret": {"secretRef": {"name": CREDENTIAL}}},
        },
    })
}

fn mailbox(tenant: u32, number: u32) -> Value {
    let tenant_name = name(tenant);
    json!({
        "apiVersion": "hybridcalendar.dev/v1alpha1", "kind": "WorkspaceMailbox",
        "metadata": {"name": format!("{tenant_name}-room-{number:06}")},
        "spec": {
            "tenantRef": {"name": tenant_name},
            "address": format!("room-{number:06}@{}", domain(tenant)),
        },
    })
}

fn name(tenant: u32) -> String {
    format!("tenant-{tenant:04}")
}

fn domain(tenant: u32) -> String {
    format!("tenant-{tenant:04}.example")
}

fn tenant_id(tenant: u32) -> String {
    format!("5f1d7a9c-1111-4000-8000-{tenant:012}")
}

fn client_id(tenant: u32) -> String {
    format!("5f1d7a9c-2222-4000-8000-{tenant:012}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_spread_evenly_and_none_is_lost() {
        for (mailboxes, tenants) in [(10, 3), (3, 3), (1, 2), (1000, 7)] {
            let world = World::spread(mailboxes, tenants);
            assert_eq!(world.declared(), mailboxes);
            assert_eq!(world.mailboxes().count(), mailboxes as usize);
            let counts = world.rooms.iter().map(|rooms| rooms.declared);
            assert!(counts.clone().max() <= counts.min().map(|least| least + 1));
        }
    }

    #[test]
    fn a_sick_tenant_comes_first_and_is_no_part_of_the_others() {
        let well = World::spread(4, 2);
        assert_eq!(well.sick(), None);
        let world = well.beside_a_sick(3);
        let tenants = world.tenants("http://127.0.0.1:1");
        assert_eq!(Value::from(world.sick()), tenants[0]["spec"]["tenantId"]);
        let is_sick = |mailbox: &Value| {
            let name = mailbox["metadata"]["name"].as_str().unwrap();
            name.starts_with(&World::sick_name())
        };
        assert_eq!(world.mailboxes().filter(is_sick).count(), 3);
        assert_eq!(world.declared(), 7);
    }

    #[test]
    fn everything_is_checked_as_often_as_was_asked_for() {
        let interval = |world: &World| {
            let tenant = world.tenants("http://127.0.0.1:1").remove(0);
            let mailbox = world.mailboxes().next().unwrap();
            [tenant, mailbox].map(|object| object["spec"]["checkInterval"].clone())
        };
        let world = World::spread(1, 1);
        assert_eq!(interval(&world), [Value::Null, Value::Null]);
        let world = world.checked_every(Some("24h".to_owned()));
        assert_eq!(interval(&world), ["24h", "24h"]);
    }

    #[test]
    fn spare_rooms_come_after_those_with_an_object() {
        let world = World::crowd(3, 2);
        assert_eq!(
            world.spare(1, 2)["metadata"]["name"],
            "tenant-0001-room-000005"
        );
        assert_eq!(
            world.spare(2, 1)["spec"]["address"],
            "room-000002@tenant-0002.example"
        );
        assert_eq!(world.microsoft()["tenants"][0]["generate"]["rooms"], 5);
    }
}
