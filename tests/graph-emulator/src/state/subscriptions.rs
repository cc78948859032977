//! Change-notification subscriptions as the emulator keeps them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde::Serialize;

/// A change-notification subscription with everything that Graph would hide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Its id.
    pub id: String,
    /// Tenant ID.
    pub tenant: String,
    /// Application that created it.
    pub client_id: String,
    /// Object id of that application's service principal.
    pub creator_id: String,
    /// What it watches, as the caller wrote it.
    pub resource: String,
    /// Object id of the mailbox.
    pub mailbox_id: String,
    /// Primary address of the mailbox.
    pub mailbox: String,
    /// Comma list of `created`, `updated`, `deleted`, as the caller wrote it.
    pub change_type: String,
    /// Where changes are sent.
    pub notification_url: String,
    /// Where lifecycle events are sent.
    pub lifecycle_notification_url: Option<String>,
    /// What authenticates notifications to the receiver.
    pub client_state: Option<String>,
    /// When it was created.
    pub created_date_time: Timestamp,
    /// When it ends.
    pub expiration_date_time: Timestamp,
    /// What the caller asked of TLS.
    pub latest_supported_tls_version: String,
}

impl Subscription {
    /// Whether it asks for this kind of change.
    pub(crate) fn wants(&self, change: &str) -> bool {
        self.change_types().contains(&change.to_owned())
    }

    /// The kinds of change, sorted.
    pub(crate) fn change_types(&self) -> Vec<String> {
        change_types(&self.change_type)
    }
}

/// All that are alive. What is asked of one mailbox or one application does not visit the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscriptions {
    by_id: BTreeMap<String, Subscription>,
    of_mailbox: Index<String>,
    of_application: Index<(String, String)>,
}

/// Ids, by what the subscriptions have alike.
type Index<K> = HashMap<K, BTreeSet<String>>;

impl Subscriptions {
    pub(crate) fn get(&self, id: &str) -> Option<&Subscription> {
        self.by_id.get(id)
    }

    /// All, in the order of their ids.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Subscription> {
        self.by_id.values()
    }

    /// Those of the mailbox with this object id, in the order of their ids.
    pub(crate) fn of_mailbox(&self, mailbox_id: &str) -> impl Iterator<Item = &Subscription> {
        self.named(self.of_mailbox.get(mailbox_id))
    }

    /// Those that this application made in this tenant, in the order of their ids.
    pub(crate) fn of_application(
        &self,
        tenant: &str,
        client_id: &str,
    ) -> impl Iterator<Item = &Subscription> {
        let application = (tenant.to_owned(), client_id.to_owned());
        self.named(self.of_application.get(&application))
    }

    fn named<'a>(
        &'a self,
        ids: Option<&'a BTreeSet<String>>,
    ) -> impl Iterator<Item = &'a Subscription> {
        ids.into_iter().flatten().filter_map(|id| self.get(id))
    }

    /// Puts one in that is not there yet.
    pub(crate) fn insert(&mut self, one: Subscription) {
        let id = || one.id.clone();
        let of_mailbox = self.of_mailbox.entry(one.mailbox_id.clone());
        of_mailbox.or_default().insert(id());
        let of_application = self.of_application.entry(application(&one));
        of_application.or_default().insert(id());
        self.by_id.insert(id(), one);
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Subscription> {
        let one = self.by_id.remove(id)?;
        forget(&mut self.of_mailbox, &one.mailbox_id, id);
        forget(&mut self.of_application, &application(&one), id);
        Some(one)
    }

    /// Lets it end later, or be told of elsewhere.
    pub(crate) fn change(
        &mut self,
        id: &str,
        until: Option<Timestamp>,
        url: Option<String>,
    ) -> Option<&Subscription> {
        let one = self.by_id.get_mut(id)?;
        one.expiration_date_time = until.unwrap_or(one.expiration_date_time);
        if let Some(url) = url {
            one.notification_url = url;
        }
        Some(one)
    }

    /// The mailbox with this object id has this primary address by now.
    pub(crate) fn readdress(&mut self, mailbox_id: &str, address: &str) {
        for id in self.of_mailbox.get(mailbox_id).into_iter().flatten() {
            if let Some(one) = self.by_id.get_mut(id) {
                address.clone_into(&mut one.mailbox);
            }
        }
    }

    /// Takes out those of which this is true.
    pub(crate) fn extract(&mut self, is_over: impl Fn(&Subscription) -> bool) -> Vec<Subscription> {
        let over = self.values().filter(|one| is_over(one));
        let ids: Vec<String> = over.map(|one| one.id.clone()).collect();
        ids.iter().filter_map(|id| self.remove(id)).collect()
    }
}

fn application(one: &Subscription) -> (String, String) {
    (one.tenant.clone(), one.client_id.clone())
}

fn forget<K: Eq + std::hash::Hash>(index: &mut Index<K>, key: &K, id: &str) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

/// The members of a comma list, lower case, sorted, each once.
pub(crate) fn change_types(list: &str) -> Vec<String> {
    let mut types: Vec<String> = list
        .split(',')
        .map(|one| one.trim().to_lowercase())
        .collect();
    types.sort();
    types.dedup();
    types
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(id: &str, mailbox_id: &str, client_id: &str) -> Subscription {
        let text = str::to_owned;
        Subscription {
            id: text(id),
            tenant: text("tenant"),
            client_id: text(client_id),
            creator_id: String::new(),
            resource: String::new(),
            mailbox_id: text(mailbox_id),
            mailbox: text("room@contoso.example"),
            change_type: text("updated"),
            notification_url: String::new(),
            lifecycle_notification_url: None,
            client_state: None,
            created_date_time: Timestamp::UNIX_EPOCH,
            expiration_date_time: Timestamp::UNIX_EPOCH,
            latest_supported_tls_version: String::new(),
        }
    }

    fn ids<'a>(all: impl Iterator<Item = &'a Subscription>) -> Vec<&'a str> {
        all.map(|one| one.id.as_str()).collect()
    }

    #[test]
    fn each_is_found_by_mailbox_and_application_until_it_is_gone() {
        let mut all = Subscriptions::default();
        for (id, mailbox, client) in [("3", "a", "x"), ("1", "a", "y"), ("2", "b", "x")] {
            all.insert(subscription(id, mailbox, client));
        }
        assert_eq!(ids(all.values()), ["1", "2", "3"]);
        assert_eq!(ids(all.of_mailbox("a")), ["1", "3"]);
        assert_eq!(ids(all.of_application("tenant", "x")), ["2", "3"]);
        assert!(ids(all.of_application("another", "x")).is_empty());

        let over = all.extract(|one| one.id == "3");
        assert_eq!(ids(over.iter()), ["3"]);
        assert_eq!(ids(all.of_mailbox("a")), ["1"]);
        assert_eq!(ids(all.of_application("tenant", "x")), ["2"]);
        assert!(all.remove("3").is_none());
        assert!(all.remove("2").is_some());
        assert!(!all.of_mailbox.contains_key("b"), "nothing is kept of it");
    }

    #[test]
    fn a_mailbox_that_moves_keeps_its_subscriptions() {
        let mut all = Subscriptions::default();
        all.insert(subscription("1", "a", "x"));
        all.insert(subscription("2", "b", "x"));
        all.readdress("a", "hall@contoso.example");
        let address = |id| all.get(id).map(|one| one.mailbox.as_str());
        assert_eq!(address("1"), Some("hall@contoso.example"));
        assert_eq!(address("2"), Some("room@contoso.example"));
    }
}
