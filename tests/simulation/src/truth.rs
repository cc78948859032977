//! What every status should say, told from what is declared and what is at Microsoft, without asking the operator.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use graph_emulator::{Control, SubscriptionView, World};
use jiff::Timestamp;

use crate::administrators::credential_works;
use crate::town::{MailboxModel, Seen, Town, client_id};
use crate::witness::Witness;

/// `Ready` as it should be: status and reason.
type Expected = (&'static str, &'static str);

const SUSPENDED: Expected = ("Unknown", "Suspended");

/// What is true of a tenant at Microsoft.
#[derive(Debug, Default)]
struct Organization {
    works: bool,
    may_read: bool,
    /// The id of each mailbox, by its address.
    addresses: BTreeMap<String, String>,
    /// The primary address of each.
    aliases: BTreeMap<String, String>,
    denied: BTreeSet<String>,
    unlisted: BTreeSet<String>,
}

/// The truth at one instant.
#[derive(Debug)]
pub(crate) struct Truth<'a> {
    town: &'a Town,
    organizations: Vec<Organization>,
    /// The oldest object of each mailbox.
    oldest: BTreeMap<(usize, String), (Timestamp, &'a str)>,
}

impl<'a> Truth<'a> {
    pub(crate) fn now(town: &'a Town, graph: &Control) -> Self {
        let (world, now) = (graph.world(), graph.now());
        let tenants = 0..town.tenants.len();
        let mut oldest = BTreeMap::new();
        for model in town.mailboxes.values() {
            let age = (model.created, model.uid.as_str());
            let first = oldest.entry(key(model)).or_insert(age);
            *first = age.min(*first);
        }
        Self {
            town,
            organizations: tenants
                .map(|tenant| organization(&world, town, tenant, now))
                .collect(),
            oldest,
        }
    }

    fn of_tenant(&self, tenant: usize) -> Expected {
        let organization = &self.organizations[tenant];
        if self.town.tenants[tenant].suspended {
            SUSPENDED
        } else if !organization.works || !organization.may_read {
            ("False", "Unauthorized")
        } else {
            ("True", "Operational")
        }
    }

    fn of_mailbox(&self, model: &MailboxModel) -> Expected {
        let organization = &self.organizations[model.tenant];
        let key = key(model);
        if model.suspended {
            SUSPENDED
        } else if !self.town.tenants[model.tenant].declared
            || self.town.tenants[model.tenant].suspended
            || !organization.works
        {
            ("False", "TenantNotReady")
        } else if self.oldest.get(&key) != Some(&(model.created, model.uid.as_str())) {
            ("False", "Conflict")
        } else if model.address.contains("@old.") {
            ("False", "DomainMismatch")
        } else if organization.aliases.contains_key(&key.1) {
            ("False", "AddressMismatch")
        } else if !organization.addresses.contains_key(&key.1) {
            ("False", "MailboxNotFound")
        } else if organization.denied.contains(&key.1) || !organization.may_read {
            ("False", "Unauthorized")
        } else {
            ("True", "Activated")
        }
    }

    /// How many mailboxes refer to the tenant, and how many of them are ready.
    fn counts(&self, tenant: usize) -> (u64, u64) {
        let (mut total, mut ready) = (0, 0);
        for model in self.town.mailboxes.values() {
            if model.tenant == tenant {
                total += 1;
                ready += u64::from(self.of_mailbox(model).0 == "True");
            }
        }
        (total, ready)
    }

    /// Whether subscriptions of the tenant can be taken away.
    pub(crate) fn is_reachable(&self, tenant: usize) -> bool {
        let model = &self.town.tenants[tenant];
        self.organizations[tenant].works && model.declared && !model.suspended
    }

    /// Mailboxes whose subscription Graph renews, whatever a check says: those that work, and those of which an alias or a
    /// user principal name is declared.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &'a MailboxModel> {
        let mailboxes = self.town.mailboxes.values();
        mailboxes.filter(|model| {
            let (status, reason) = self.of_mailbox(model);
            let organization = &self.organizations[model.tenant];
            let of_alias = organization.aliases.get(&key(model).1);
            let denied = of_alias.is_some_and(|primary| organization.denied.contains(primary));
            let renewed = reason == "AddressMismatch" && organization.may_read && !denied;
            model.subscribed && (status == "True" || renewed)
        })
    }

    /// Mailboxes that work and are watched, as far as their objects and Microsoft are concerned.
    pub(crate) fn healthy(&self) -> impl Iterator<Item = &'a MailboxModel> {
        let mailboxes = self.town.mailboxes.values();
        mailboxes.filter(|model| model.subscribed && self.of_mailbox(model).0 == "True")
    }

    /// Everything that is not as it should be, in sentences.
    pub(crate) fn differences(
        &self,
        (tenants, mailboxes): (&[Seen], &[Seen]),
        subscriptions: &[SubscriptionView],
    ) -> Vec<String> {
        let mut found = Vec::new();
        for seen in tenants {
            let number = seen
                .name
                .rsplit('-')
                .next()
                .and_then(|text| text.parse().ok());
            let number = number.unwrap_or_default();
            differ(seen, self.of_tenant(number), &mut found);
            let counts = Some(self.counts(number));
            if seen.counts != counts {
                let says = seen.counts;
                found.push(format!(
                    "{} counts {says:?} instead of {counts:?}",
                    seen.name
                ));
            }
        }
        let mut living: HashMap<&str, Vec<&SubscriptionView>> = HashMap::new();
        for one in subscriptions {
            living.entry(owner(one)).or_default().push(one);
        }
        for seen in mailboxes {
            let Some(model) = self.town.mailboxes.get(&seen.name) else {
                found.push(format!("{} is there and was deleted", seen.name));
                continue;
            };
            let expected = self.of_mailbox(model);
            differ(seen, expected, &mut found);
            if expected.0 == "True" {
                let (tenant, address) = key(model);
                let unlisted = self.organizations[tenant].unlisted.contains(&address);
                if seen.unlisted != unlisted {
                    found.push(format!("{} says unlisted={}", seen.name, seen.unlisted));
                }
                let living = living.get(seen.uid.as_str()).map_or(&[][..], Vec::as_slice);
                let mailbox = &self.organizations[tenant].addresses[&address];
                has_one(seen, living, (model.subscribed, mailbox), &mut found);
            }
        }
        self.strays(mailboxes, subscriptions, &mut found);
        found
    }

    /// Nothing of ours is left where no object is, if it can be taken away.
    fn strays(
        &self,
        mailboxes: &[Seen],
        subscriptions: &[SubscriptionView],
        found: &mut Vec<String>,
    ) {
        let owners: BTreeSet<&str> = mailboxes.iter().map(|seen| seen.uid.as_str()).collect();
        for one in subscriptions {
            let tenant =
                (0..self.organizations.len()).find(|tenant| client_id(*tenant) == one.client_id);
            let reachable = tenant.is_some_and(|tenant| self.is_reachable(tenant));
            if reachable && !owners.contains(owner(one)) {
                found.push(format!("{} of {} is a stray", one.id, one.mailbox));
            }
        }
    }
}

/// A mailbox as Microsoft tells them apart.
fn key(model: &MailboxModel) -> (usize, String) {
    (model.tenant, model.address.to_ascii_lowercase())
}

fn organization(world: &World, town: &Town, tenant: usize, now: Timestamp) -> Organization {
    let Some(found) = world.tenants.get(tenant) else {
        return Organization::default();
    };
    let id = client_id(tenant);
    let application = found.applications.iter().find(|one| one.client_id == id);
    let mailboxes = &found.mailboxes;
    Organization {
        works: credential_works(world, town, tenant, now),
        may_read: application
            .is_some_and(|one| one.roles.iter().any(|role| role == "Calendars.Read")),
        addresses: mailboxes
            .iter()
            .map(|one| (one.address.clone(), one.id.clone().unwrap_or_default()))
            .collect(),
        aliases: mailboxes
            .iter()
            .flat_map(|one| {
                let of = |alias: &String| (alias.clone(), one.address.clone());
                one.aliases.iter().map(of)
            })
            .collect(),
        unlisted: mailboxes
            .iter()
            .filter(|one| !one.listed)
            .map(|one| one.address.clone())
            .collect(),
        denied: application
            .into_iter()
            .flat_map(|one| one.denied.clone())
            .collect(),
    }
}

/// UID of the object for which a subscription was created: the end of its URL.
pub(crate) fn owner(subscription: &SubscriptionView) -> &str {
    let url = &subscription.notification_url;
    url.rsplit('/').next().unwrap_or_default()
}

/// Living subscriptions of ours.
pub(crate) fn ours(graph: &Control, witness: &Witness) -> Vec<SubscriptionView> {
    let living = graph.subscriptions().into_iter();
    living.filter(|one| !witness.is_foreign(&one.id)).collect()
}

/// A mailbox that works has one living subscription, and its status names it; none if it wants none.
fn has_one(
    seen: &Seen,
    living: &[&SubscriptionView],
    (wanted, mailbox): (bool, &str),
    found: &mut Vec<String>,
) {
    match (seen.subscription.as_deref(), living) {
        (Some(named), [one]) if wanted && named == one.id && one.mailbox_id == mailbox => {}
        (None, []) if !wanted => {}
        (named, living) => {
            let living = living.iter().map(|one| (&one.id, &one.mailbox_id));
            let living: Vec<_> = living.collect();
            found.push(format!(
                "{} of {mailbox} names the subscription {named:?}, and {living:?} are alive",
                seen.name
            ));
        }
    }
}

fn differ(seen: &Seen, (status, reason): Expected, found: &mut Vec<String>) {
    let (is, why) = &seen.ready;
    if is != status || why != reason {
        found.push(format!(
            "{} is Ready={is}/{why} ({}) instead of {status}/{reason}",
            seen.name, seen.message
        ));
    }
}
