//! Limits on the number of calls (docs/graph.md 9): sliding windows on the emulator's clock.
//!
//! Refused calls count as well, as Microsoft says: who retries too early waits longer.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use url::form_urlencoded;

use crate::clock::after;
use crate::graph::error::{GraphError, application_throttled, too_many_requests};
use crate::operation::{Operation, Workload};

const MAILBOX_CONCURRENCY: u32 = 4;

/// Whose calls are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Application(String),
    Tenant(String, String),
    Mailbox(String, String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    bucket: &'static str,
    scope: Scope,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    units: u64,
    window: Duration,
}

const fn limit(units: u64, seconds: u64) -> Limit {
    Limit {
        units,
        window: Duration::from_secs(seconds),
    }
}

#[derive(Debug, Default)]
struct Window {
    used: VecDeque<(Timestamp, u64)>,
    total: u64,
}

impl Window {
    /// Counts the call; how long to wait if it is too many.
    fn count(&mut self, now: Timestamp, cost: u64, limit: Limit) -> Result<(), Duration> {
        while let Some(&(at, units)) = self.used.front() {
            if after(at, limit.window) > now {
                break;
            }
            self.total -= units;
            self.used.pop_front();
        }
        let most_kept = limit.units.saturating_mul(2);
        let over = self.total + cost > limit.units;
        if self.total < most_kept {
            self.total += cost;
            self.used.push_back((now, cost));
        }
        if !over {
            return Ok(());
        }
        let mut excess = self.total.saturating_sub(limit.units);
        let frees = self.used.iter().find(|(_, units)| {
            excess = excess.saturating_sub(*units);
            excess == 0
        });
        let until = frees.map_or(now, |(at, _)| after(*at, limit.window));
        Err(Duration::try_from(until.duration_since(now)).unwrap_or_default())
    }

    /// Tenths of the limit that are used, as far as they are told: from 0.8 to 1.8.
    fn share(&self, limit: Limit) -> Option<u64> {
        let tenths = self.total.saturating_mul(10) / limit.units;
        (tenths >= 8).then_some(tenths.min(18))
    }
}

/// What a call costs of the directory's limit.
pub(crate) fn resource_units(operation: Operation, query: &str) -> u64 {
    let base: u64 = if operation == Operation::FindUsers {
        2
    } else {
        1
    };
    let mut less = 0;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.trim_start_matches('$') {
            "select" => less += 1,
            "top" if value.parse().is_ok_and(|top: u64| top < 20) => less += 1,
            _ => {}
        }
    }
    base.saturating_sub(less).max(1)
}

/// Who calls, for counting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account<'a> {
    pub(crate) application: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) mailbox: Option<&'a str>,
    /// Size of the tenant: larger ones may ask more of their directory.
    pub(crate) users: usize,
}

#[derive(Debug, Default)]
pub(crate) struct QuotaState {
    windows: HashMap<Key, Window>,
    in_flight: HashMap<(String, String), u32>,
}

impl QuotaState {
    /// Counts a call everywhere it counts. Says how much of the directory's limit is used, if that is a lot.
    pub(crate) fn count(
        &mut self,
        operation: Operation,
        cost: u64,
        account: Account<'_>,
        now: Timestamp,
    ) -> Result<Option<String>, GraphError> {
        let mut refused = None;
        let mut share = None;
        for (key, limit) in buckets(operation, account) {
            let cost = if key.bucket == "identity" { cost } else { 1 };
            let window = self.windows.entry(key.clone()).or_default();
            let counted = window.count(now, cost, limit);
            if key.bucket == "identity" {
                share = share.max(window.share(limit));
            }
            if let Err(wait) = counted {
                refused = refused.or(Some((key, wait)));
            }
        }
        let share = share.map(|tenths| format!("{}.{}", tenths / 10, tenths % 10));
        let Some((key, wait)) = refused else {
            return Ok(share);
        };
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        Err(match key.scope {
            Scope::Mailbox(..) => application_throttled("request", seconds),
            Scope::Application(_) | Scope::Tenant(..) => {
                let mut refused = too_many_requests(seconds);
                if key.bucket == "identity" {
                    let scope = format!(
                        "Tenant_Application/ReadWrite/{}/{}",
                        account.application, account.tenant
                    );
                    refused.headers.push(("x-ms-throttle-scope", scope));
                    let information = "ResourceUnitLimitExceeded".to_owned();
                    refused
                        .headers
                        .push(("x-ms-throttle-information", information));
                    let share = share.into_iter();
                    refused
                        .headers
                        .extend(share.map(|share| ("x-ms-throttle-limit-percentage", share)));
                }
                refused
            }
        })
    }

    /// Takes one of the few places that an application has at a mailbox; [`QuotaState::leave`] gives it back.
    pub(crate) fn enter(&mut self, application: &str, mailbox: &str) -> Result<(), GraphError> {
        let key = (application.to_owned(), mailbox.to_owned());
        let busy = self.in_flight.entry(key).or_default();
        if *busy >= MAILBOX_CONCURRENCY {
            return Err(application_throttled("MailboxConcurrency", 1));
        }
        *busy += 1;
        Ok(())
    }

    pub(crate) fn leave(&mut self, application: &str, mailbox: &str) {
        let key = (application.to_owned(), mailbox.to_owned());
        if let Some(busy) = self.in_flight.get_mut(&key) {
            *busy = busy.saturating_sub(1);
            if *busy == 0 {
                self.in_flight.remove(&key);
            }
        }
    }
}

fn buckets(operation: Operation, account: Account<'_>) -> Vec<(Key, Limit)> {
    let application = || Scope::Application(account.application.to_owned());
    let tenant = || Scope::Tenant(account.application.to_owned(), account.tenant.to_owned());
    let both = |bucket, all: Limit, one: Limit| {
        vec![
            (
                Key {
                    bucket,
                    scope: application(),
                },
                all,
            ),
            (
                Key {
                    bucket,
                    scope: tenant(),
                },
                one,
            ),
        ]
    };
    let mut buckets = match operation.workload() {
        Workload::Entra | Workload::Front => Vec::new(),
        Workload::Directory => {
            let units = match account.users {
                0..50 => 3_500,
                50..=500 => 5_000,
                501.. => 8_000,
            };
            both("identity", limit(150_000, 20), limit(units, 10))
        }
        Workload::Outlook => account
            .mailbox
            .map(|mailbox| {
                let scope = Scope::Mailbox(account.application.to_owned(), mailbox.to_owned());
                (
                    Key {
                        bucket: "outlook",
                        scope,
                    },
                    limit(10_000, 600),
                )
            })
            .into_iter()
            .collect(),
        Workload::Subscriptions if operation == Operation::ListSubscriptions => {
            both("list", limit(40, 20), limit(25, 20))
        }
        Workload::Subscriptions if operation == Operation::GetSubscription => {
            both("get", limit(2_000, 20), limit(500, 20))
        }
        Workload::Subscriptions if operation == Operation::ReauthorizeSubscription => {
            both("reauthorize", limit(4_000, 20), limit(1_000, 20))
        }
        Workload::Subscriptions => both("write", limit(2_000, 20), limit(500, 20)),
    };
    if operation.workload() != Workload::Entra {
        buckets.push((
            Key {
                bucket: "global",
                scope: application(),
            },
            limit(130_000, 10),
        ));
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Account<'_> = Account {
        application: "app",
        tenant: "one",
        mailbox: None,
        users: 7,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn the_26th_list_within_20_seconds_is_one_too_many_and_says_when_to_return() {
        let mut quotas = QuotaState::default();
        let list = Operation::ListSubscriptions;
        for second in 0..25 {
            quotas.count(list, 1, ACCOUNT, at(second / 5)).unwrap();
        }
        let refused = quotas.count(list, 1, ACCOUNT, at(5)).unwrap_err();
        assert_eq!((refused.status, refused.retry_after), (429, Some(15)));
        let other = Account {
            tenant: "two",
            ..ACCOUNT
        };
        quotas.count(list, 1, other, at(5)).unwrap();
        quotas.count(list, 1, ACCOUNT, at(21)).unwrap();
    }

    #[test]
    fn who_retries_too_early_waits_longer() {
        let mut quotas = QuotaState::default();
        let list = Operation::ListSubscriptions;
        for _ in 0..40 {
            let _ = quotas.count(list, 1, ACCOUNT, at(0));
        }
        assert!(quotas.count(list, 1, ACCOUNT, at(19)).is_err());
        assert!(quotas.count(list, 1, ACCOUNT, at(20)).is_ok());
    }

    #[test]
    fn four_calls_at_once_fit_into_a_mailbox() {
        let mut quotas = QuotaState::default();
        for _ in 0..4 {
            quotas.enter("app", "room").unwrap();
        }
        assert_eq!(
            quotas.enter("app", "room").unwrap_err().code,
            "ApplicationThrottled"
        );
        quotas.enter("other", "room").unwrap();
        quotas.leave("app", "room");
        quotas.enter("app", "room").unwrap();
    }
}
