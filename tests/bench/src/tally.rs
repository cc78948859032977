//! What somebody asked of the API server, counted from its audit log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use testbed::audit::AuditEntry;

const MAILBOXES: &str = "workspacemailboxes";

/// Requests of one user.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By verb and resource with subresource.
    counts: BTreeMap<(String, String), u64>,
    last_mailbox_status: Option<Timestamp>,
}

impl Tally {
    /// Counts what a user asked for.
    #[must_use]
    pub fn of(entries: &[AuditEntry], user: &str) -> Self {
        let mut tally = Self::default();
        for entry in entries.iter().filter(|entry| entry.user == user) {
            let resource = match entry.subresource.as_str() {
                "" => entry.resource.clone(),
                subresource => format!("{}/{subresource}", entry.resource),
            };
            let count = tally.counts.entry((entry.verb.clone(), resource));
            *count.or_default() += 1;
            if entry.resource == MAILBOXES && entry.is_status_write() {
                tally.last_mailbox_status = tally.last_mailbox_status.max(Some(entry.time));
            }
        }
        tally
    }

    /// When the last status of a mailbox was written.
    #[must_use]
    pub fn last_mailbox_status(&self) -> Option<Timestamp> {
        self.last_mailbox_status
    }

    /// Everything that was asked for, but the Lease.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let all = self.writes().chain(self.reads());
        all.map(|(_, _, count)| count).sum()
    }

    /// Statuses of mailboxes that were written.
    #[must_use]
    pub fn mailbox_statuses(&self) -> u64 {
        self.writes()
            .filter(|(_, resource, _)| *resource == "workspacemailboxes/status")
            .map(|(_, _, count)| count)
            .sum()
    }

    /// Events that were written.
    #[must_use]
    pub fn events(&self) -> u64 {
        let events = self
            .writes()
            .filter(|(_, resource, _)| *resource == "events");
        events.map(|(_, _, count)| count).sum()
    }

    /// Everything that was written, by verb and resource, but the Lease: its renewals say who leads, not what is done.
    pub fn writes(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.all()
            .filter(|(verb, resource, _)| is_write(verb) && *resource != "leases")
    }

    /// Everything that was read, by verb and resource, but the Lease.
    pub fn reads(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.all()
            .filter(|(verb, resource, _)| !is_write(verb) && *resource != "leases")
    }

    fn all(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let counts = self.counts.iter();
        counts.map(|((verb, resource), count)| (verb.as_str(), resource.as_str(), *count))
    }
}

fn is_write(verb: &str) -> bool {
    !matches!(verb, "get" | "list" | "watch")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(user: &str, verb: &str, (resource, subresource): (&str, &str)) -> AuditEntry {
        AuditEntry {
            user: user.to_owned(),
            user_agent: String::new(),
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: String::new(),
            name: String::new(),
            code: 200,
            time: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn writes_are_counted_for_one_user_and_the_lease_is_none() {
        let entries = [
            entry("us", "patch", (MAILBOXES, "status")),
            entry("us", "patch", (MAILBOXES, "status")),
            entry("us", "create", ("events", "")),
            entry("us", "update", ("leases", "")),
            entry("us", "list", (MAILBOXES, "")),
            entry("they", "patch", (MAILBOXES, "status")),
        ];
        let tally = Tally::of(&entries, "us");
        assert_eq!((tally.mailbox_statuses(), tally.events()), (2, 1));
        assert_eq!(tally.writes().map(|(_, _, count)| count).sum::<u64>(), 3);
        assert_eq!(tally.reads().collect::<Vec<_>>(), [("list", MAILBOXES, 1)]);
        assert_eq!(tally.requests(), 4);
        assert_eq!(tally.last_mailbox_status(), Some(Timestamp::UNIX_EPOCH));
    }
}
