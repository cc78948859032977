//! What people do in the cluster and at Microsoft, and what Microsoft does by itself.

use std::time::Duration;

use graph_emulator::{Booking, Control, LifecycleEvent, Removal};
use memory_apiserver::{Lists, MemoryApiServer};
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::town::{MailboxModel, NAMESPACE, OPERATOR, Town, address};
use crate::witness::Witness;

/// Everybody who edits something.
#[derive(Debug)]
pub(crate) struct People {
    pub(crate) dice: Dice,
    pub(crate) server: MemoryApiServer,
    pub(crate) graph: Control,
    pub(crate) witness: Witness,
    /// Rooms of each tenant.
    pub(crate) rooms: usize,
}

/// What API servers make of lists, most of them in the first way.
const LISTS: [Lists; 4] = [
    Lists::Streamed,
    Lists::Streamed,
    Lists::InPages,
    Lists::Untold,
];

/// How often one edit happens in comparison with others.
const EDITS: &[(usize, &str)] = &[
    (8, "create a mailbox"),
    (6, "delete a mailbox"),
    (6, "change an address"),
    (6, "suspend or resume a mailbox"),
    (1, "suspend or resume a tenant"),
    (2, "declare a mailbox by another object"),
    (2, "declare an address twice"),
    (6, "rename a room at Microsoft"),
    (4, "delete a room at Microsoft"),
    (6, "restore a room at Microsoft"),
    (3, "deny a room or allow all"),
    (1, "revoke or grant a permission"),
    (1, "let a credential expire"),
    (3, "rotate a credential"),
    (8, "remove a subscription"),
    (8, "send a lifecycle event"),
    (4, "request a reconcile"),
    (10, "book a meeting"),
    (1, "delete the key Secret"),
    (3, "restart the API server"),
    (4, "want a subscription or not"),
    (4, "change a check interval"),
    (1, "delete or declare a tenant"),
    (1, "delete or apply a Secret"),
    (1, "disable or enable an application"),
    (2, "hide or list a room"),
];

impl People {
    /// One edit.
    pub(crate) fn edit(&self, town: &mut Town) {
        let all = EDITS.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.dice.below(all);
        let what = EDITS.iter().find(|(weight, _)| {
            let hit = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            hit
        });
        let Some((_, what)) = what else { return };
        self.witness.note(format_args!("somebody: {what}"));
        self.witness.count("edits");
        self.carry_out(what, town);
    }

    fn carry_out(&self, what: &str, town: &mut Town) {
        match what {
            "create a mailbox" => self.create(town),
            "delete a mailbox" => drop(self.delete(town)),
            "change an address" => self.change_address(town),
            "suspend or resume a mailbox" => self.suspend_mailbox(town),
            "suspend or resume a tenant" => self.suspend_tenant(town),
            "declare a mailbox by another object" => self.move_mailbox(town),
            "declare an address twice" => self.declare_twice(town),
            "rename a room at Microsoft" => self.rename_room(town),
            "delete a room at Microsoft" => self.delete_room(town),
            "restore a room at Microsoft" => self.restore_room(town),
            "deny a room or allow all" => self.deny(town),
            "revoke or grant a permission" => self.revoke(town),
            "let a credential expire" => self.expire(town),
            "rotate a credential" => self.rotate(town),
            "remove a subscription" => self.remove_subscription(),
            "send a lifecycle event" => self.send_lifecycle(),
            "request a reconcile" => self.request(town),
            "book a meeting" => self.book(),
            "want a subscription or not" => self.want(town),
            "change a check interval" => self.change_interval(town),
            "delete or declare a tenant" => self.delete_tenant(town),
            "delete or apply a Secret" => self.delete_secret(town),
            "disable or enable an application" => self.disable(town),
            "hide or list a room" => self.hide_room(town),
            "delete the key Secret" => {
                // It may be gone already.
                let _ = self
                    .server
                    .delete("Secret", OPERATOR, "hybrid-calendar-operator-key");
            }
            _ => {
                // Perhaps in another version.
                self.server
                    .offer(*self.dice.one(&LISTS).unwrap_or(&LISTS[0]));
                if self.dice.chance(0.7) {
                    self.server.compact();
                }
                self.server.drop_watches();
            }
        }
    }

    pub(crate) fn tenant(&self, town: &Town) -> usize {
        self.dice.below(town.tenants.len())
    }

    fn mailbox(&self, town: &Town) -> Option<String> {
        let names: Vec<&String> = town.mailboxes.keys().collect();
        self.dice.one(&names).map(|name| (*name).clone())
    }

    pub(crate) fn patch(&self, kind: &str, name: &str, change: Value) {
        let answer = self.server.patch((kind, NAMESPACE, name), change);
        answer.expect("what people change is there");
    }

    /// An address of the tenant, perhaps one that nobody has.
    fn some_address(&self, tenant: usize) -> String {
        if self.dice.chance(0.05) {
            let domain = format!("old.tenant{tenant}.example");
            return format!("room-1@{domain}");
        }
        address(tenant, self.dice.below(self.rooms + 1))
    }

    /// An address that no object has, mostly.
    fn free_address(&self, town: &Town, tenant: usize) -> Option<String> {
        let found = (0..20).map(|_| self.some_address(tenant));
        let is_free = |address: &String| town.mailboxes.values().all(|one| one.address != *address);
        found.into_iter().find(is_free)
    }

    fn create(&self, town: &mut Town) {
        let tenant = self.tenant(town);
        if let Some(address) = self.free_address(town, tenant) {
            let name = town.declare(tenant, address);
            town.apply(&self.server, &name);
        }
    }

    /// What was declared until now.
    fn delete(&self, town: &mut Town) -> Option<MailboxModel> {
        let name = self.mailbox(town)?;
        let answer = self.server.delete("WorkspaceMailbox", NAMESPACE, &name);
        answer.expect("what is declared is there");
        town.mailboxes.remove(&name)
    }

    fn change_address(&self, town: &mut Town) {
        let Some(name) = self.mailbox(town) else {
            return;
        };
        let tenant = town.mailboxes[&name].tenant;
        if let Some(address) = self.free_address(town, tenant)
            && let Some(model) = town.mailboxes.get_mut(&name)
        {
            model.address.clone_from(&address);
            self.patch(
                "WorkspaceMailbox",
                &name,
                json!({"spec": {"address": address}}),
            );
        }
    }

    fn suspend_mailbox(&self, town: &mut Town) {
        let Some(name) = self.mailbox(town) else {
            return;
        };
        if let Some(model) = town.mailboxes.get_mut(&name) {
            model.suspended = !model.suspended && self.dice.chance(0.5);
            let suspend = model.suspended;
            self.patch(
                "WorkspaceMailbox",
                &name,
                json!({"spec": {"suspend": suspend}}),
            );
        }
    }

    fn suspend_tenant(&self, town: &mut Town) {
        let tenant = self.tenant(town);
        let model = &mut town.tenants[tenant];
        model.suspended = !model.suspended && self.dice.chance(0.5);
        let suspend = model.suspended;
        let name = format!("tenant-{tenant}");
        if model.declared {
            self.patch(
                "CalendarTenant",
                &name,
                json!({"spec": {"suspend": suspend}}),
            );
        }
    }

    /// Deletes a tenant's object, or declares it again.
    fn delete_tenant(&self, town: &mut Town) {
        let tenant = self.tenant(town);
        let model = &mut town.tenants[tenant];
        model.declared = !model.declared;
        let answer = if model.declared {
            self.server.create(town.tenant_object(tenant))
        } else {
            let name = format!("tenant-{tenant}");
            self.server.delete("CalendarTenant", NAMESPACE, &name)
        };
        answer.expect("a tenant is there or not");
    }

    /// Deletes a tenant's Secret, or applies it again.
    fn delete_secret(&self, town: &mut Town) {
        let tenant = self.tenant(town);
        let model = &mut town.tenants[tenant];
        model.has_secret = !model.has_secret;
        let answer = if model.has_secret {
            self.server.create(town.secret_object(tenant))
        } else {
            let name = format!("credential-{tenant}");
            self.server.delete("Secret", NAMESPACE, &name)
        };
        answer.expect("a Secret is there or not");
    }

    fn want(&self, town: &mut Town) {
        let Some(name) = self.mailbox(town) else {
            return;
        };
        if let Some(model) = town.mailboxes.get_mut(&name) {
            model.subscribed = !model.subscribed || self.dice.chance(0.5);
            let change = json!({"spec": {"subscription": {"enabled": model.subscribed}}});
            self.patch("WorkspaceMailbox", &name, change);
        }
    }

    fn change_interval(&self, town: &Town) {
        let intervals = ["5m", "20m", "45m", "1h"];
        if let Some(name) = self.mailbox(town) {
            let change = json!({"spec": {"checkInterval": self.dice.one(&intervals)}});
            self.patch("WorkspaceMailbox", &name, change);
        }
    }

    /// The same mailbox is declared by another object, as whoever renames one does it.
    fn move_mailbox(&self, town: &mut Town) {
        if let Some(was) = self.delete(town) {
            let name = town.declare(was.tenant, was.address);
            town.apply(&self.server, &name);
        }
    }

    fn declare_twice(&self, town: &mut Town) {
        if let Some(name) = self.mailbox(town) {
            let model = town.mailboxes[&name].clone();
            let name = town.declare(model.tenant, model.address);
            town.apply(&self.server, &name);
        }
    }

    fn some_subscription(&self) -> Option<String> {
        let ours = self.graph.subscriptions().into_iter();
        let ours = ours.filter(|one| !self.witness.is_foreign(&one.id));
        let ids: Vec<String> = ours.map(|one| one.id).collect();
        self.dice.one(&ids).cloned()
    }

    fn remove_subscription(&self) {
        let removal = if self.dice.chance(0.5) {
            Removal::Announced
        } else {
            Removal::Silent
        };
        if let Some(id) = self.some_subscription() {
            let removed = self.graph.remove_subscription(&id, removal);
            removed.expect("it was there a moment ago");
        }
    }

    fn send_lifecycle(&self) {
        let event = if self.dice.chance(0.7) {
            LifecycleEvent::ReauthorizationRequired
        } else {
            LifecycleEvent::Missed
        };
        if let Some(id) = self.some_subscription() {
            let sent = self.graph.send_lifecycle(&id, event);
            sent.expect("ours have a lifecycle URL");
        }
    }

    fn request(&self, town: &Town) {
        if let Some(name) = self.mailbox(town) {
            let now = self.graph.now().to_string();
            let annotation = json!({"hybridcalendar.dev/reconcile-requested-at": now});
            self.patch(
                "WorkspaceMailbox",
                &name,
                json!({"metadata": {"annotations": annotation}}),
            );
        }
    }

    fn book(&self) {
        let world = self.graph.world();
        let rooms: Vec<&str> = world
            .tenants
            .iter()
            .flat_map(|tenant| &tenant.mailboxes)
            .map(|one| one.address.as_str())
            .collect();
        let start = self.graph.now();
        let booking = Booking {
            organizer: "organizer@tenant0.example".to_owned(),
            subject: "a meeting".to_owned(),
            start,
            end: start
                .saturating_add(Duration::from_mins(30))
                .unwrap_or(start),
        };
        if let Some(room) = self.dice.one(&rooms) {
            // What nobody can book is booked by nobody.
            let _ = self.graph.book(room, &booking);
        }
    }
}
