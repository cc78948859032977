//! What administrators do at Microsoft.

use graph_emulator::World;
use graph_emulator::world::{ClientSecret, Tenant};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::people::People;
use crate::town::{Town, client_id, room, tenant_id};

impl People {
    /// Changes one organization at Microsoft.
    fn at_microsoft(&self, tenant: usize, change: impl FnOnce(&mut Tenant)) {
        let mut world: World = self.graph.world();
        if let Some(organization) = world.tenant_mut(&tenant_id(tenant)) {
            change(organization);
            let Tenant {
                applications,
                mailboxes,
                ..
            } = organization;
            // What the policy names has to be there.
            for application in applications {
                let is_there = |denied: &String| mailboxes.iter().any(|one| one.address == *denied);
                application.denied.retain(is_there);
            }
        }
        let accepted = self.graph.set_world(world);
        accepted.expect("what administrators do is well-formed");
    }

    pub(crate) fn rename_room(&self, town: &Town) {
        let (tenant, number) = (self.tenant(town), self.dice.below(self.rooms));
        let (keeps_alias, back) = (self.dice.chance(0.5), self.dice.chance(0.5));
        let born = room(tenant, number);
        self.at_microsoft(tenant, |organization| {
            let found = organization
                .mailboxes
                .iter_mut()
                .find(|one| one.id == born.id);
            if let Some(found) = found {
                if back {
                    *found = born;
                } else {
                    found.address = format!("renamed-{number}@tenant{tenant}.example");
                    found.aliases = Vec::from_iter(keeps_alias.then_some(born.address));
                }
            }
        });
    }

    pub(crate) fn delete_room(&self, town: &Town) {
        let (tenant, number) = (self.tenant(town), self.dice.below(self.rooms));
        let born = room(tenant, number);
        self.at_microsoft(tenant, |organization| {
            organization.mailboxes.retain(|one| one.id != born.id);
        });
    }

    pub(crate) fn restore_room(&self, town: &Town) {
        let (tenant, number) = (self.tenant(town), self.dice.below(self.rooms));
        let born = room(tenant, number);
        self.at_microsoft(tenant, |organization| {
            organization.mailboxes.retain(|one| one.id != born.id);
            organization.mailboxes.push(born);
        });
    }

    pub(crate) fn deny(&self, town: &Town) {
        let tenant = self.tenant(town);
        let denies = self.dice.chance(0.5);
        let number = self.dice.below(self.rooms);
        self.at_microsoft(tenant, |organization| {
            let there = organization.mailboxes.iter().map(|one| one.address.clone());
            let chosen: Vec<String> = there.skip(number).take(1).collect();
            let application = &mut organization.applications[0];
            application.denied = if denies { chosen } else { Vec::new() };
        });
    }

    pub(crate) fn revoke(&self, town: &Town) {
        let tenant = self.tenant(town);
        let grants = self.dice.chance(0.6);
        self.at_microsoft(tenant, |organization| {
            let roles = &mut organization.applications[0].roles;
            roles.retain(|role| role != "Calendars.Read");
            if grants {
                roles.push("Calendars.Read".to_owned());
            }
        });
    }

    pub(crate) fn expire(&self, town: &Town) {
        let tenant = self.tenant(town);
        let now = self.graph.now();
        self.at_microsoft(tenant, |organization| {
            for secret in &mut organization.applications[0].secrets {
                secret.expires_at = Some(now);
            }
        });
    }

    pub(crate) fn rotate(&self, town: &mut Town) {
        let tenant = self.tenant(town);
        let value = town.next_secret(tenant);
        self.witness.secret(&value);
        let old_ends = self
            .graph
            .now()
            .saturating_add(SignedDuration::from_hours(1));
        self.at_microsoft(tenant, |organization| {
            let secrets = &mut organization.applications[0].secrets;
            for secret in secrets.iter_mut() {
                let sooner = secret
                    .expires_at
                    .into_iter()
                    .chain(old_ends.clone().ok())
                    .min();
                secret.expires_at = sooner;
            }
            secrets.push(ClientSecret {
                value,
                expires_at: None,
            });
        });
        let change = town.secret_object(tenant)["data"].clone();
        if town.tenants[tenant].has_secret {
            self.patch(
                "Secret",
                &format!("credential-{tenant}"),
                json!({"data": change}),
            );
        }
    }

    pub(crate) fn disable(&self, town: &Town) {
        let tenant = self.tenant(town);
        let disables = self.dice.chance(0.4);
        self.at_microsoft(tenant, |organization| {
            organization.applications[0].disabled = disables;
        });
    }

    pub(crate) fn hide_room(&self, town: &Town) {
        let (tenant, number) = (self.tenant(town), self.dice.below(self.rooms));
        let hides = self.dice.chance(0.5);
        let born = room(tenant, number);
        self.at_microsoft(tenant, |organization| {
            let mut mailboxes = organization.mailboxes.iter_mut();
            if let Some(found) = mailboxes.find(|one| one.id == born.id) {
                found.listed = !hides;
            }
        });
    }
}

/// Whether the tenant's secret in the cluster is one that Entra takes.
pub(crate) fn credential_works(world: &World, town: &Town, tenant: usize, now: Timestamp) -> bool {
    let id = client_id(tenant);
    let mut applications = world.tenants.iter().flat_map(|one| &one.applications);
    let application = applications.find(|one| one.client_id == id);
    let model = &town.tenants[tenant];
    application.is_some_and(|application| {
        let is_it = |secret: &ClientSecret| {
            secret.value == model.secret && secret.expires_at.is_none_or(|end| end > now)
        };
        model.has_secret && !application.disabled && application.secrets.iter().any(is_it)
    })
}
