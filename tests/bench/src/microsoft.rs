//! The Graph emulator as a process of its own, as slow as Microsoft.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testbed::error::{Attempt as _, Error};
use testbed::guard::{self, Guarded, Scratch};
use testbed::programs;

use crate::world::World;

/// Operations about a mailbox or its subscription, and the envelope of several.
const ABOUT_MAILBOXES: [&str; 8] = [
    "batch",
    "findUsers",
    "getUser",
    "getCalendar",
    "getPlace",
    "listPlaces",
    "listSubscriptions",
    "createSubscription",
];

/// A running emulator. Ends when it is dropped.
#[derive(Debug)]
pub struct Microsoft {
    graph: String,
    admin: String,
    client: reqwest::Client,
    _process: Guarded,
    _scratch: Scratch,
}

/// A subscription, with everything that makes a notification genuine.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Graph's id.
    pub id: String,
    /// Tenant ID.
    pub tenant: String,
    /// What it watches.
    pub resource: String,
    /// Where changes are sent.
    pub notification_url: String,
    /// Where lifecycle events are sent.
    pub lifecycle_notification_url: String,
    /// What proves that a notification is genuine.
    pub client_state: String,
    /// When it ends.
    pub expiration_date_time: String,
}

/// A call.
#[derive(Clone, Debug, Deserialize)]
pub struct Journalled {
    /// When it arrived.
    pub time: Timestamp,
    /// What it was.
    pub operation: String,
    /// The address of the mailbox that it was about.
    pub mailbox: Option<String>,
}

/// How often each operation was answered, by status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Calls {
    requests: BTreeMap<String, BTreeMap<String, u64>>,
    /// Of these, what came in a batch, by operation.
    #[serde(default)]
    batched: BTreeMap<String, u64>,
}

impl Calls {
    /// HTTP requests: a batch is one, whatever is in it.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let calls: u64 = self.requests.values().flat_map(BTreeMap::values).sum();
        calls - self.batched.values().sum::<u64>()
    }

    /// Those of an operation that came in a batch.
    #[must_use]
    pub fn batched(&self, operation: &str) -> u64 {
        self.batched.get(operation).copied().unwrap_or_default()
    }

    /// Those with a status, whatever the operation.
    #[must_use]
    pub fn with_status(&self, status: &str) -> u64 {
        let counts = self.requests.values();
        counts.filter_map(|by_status| by_status.get(status)).sum()
    }

    /// Those of an operation, by status.
    #[must_use]
    pub fn of(&self, operation: &str) -> u64 {
        let counts = self.requests.get(operation);
        counts.map_or(0, |by_status| by_status.values().sum())
    }

    /// Every operation that was asked for.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.requests.keys().map(String::as_str)
    }

    /// What came after `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut requests = self.requests.clone();
        for (operation, by_status) in &mut requests {
            let earlier = before.requests.get(operation);
            for (status, count) in by_status.iter_mut() {
                let earlier = earlier.and_then(|by_status| by_status.get(status));
                *count -= earlier.unwrap_or(&0);
            }
            by_status.retain(|_, count| *count > 0);
        }
        requests.retain(|_, by_status| !by_status.is_empty());
        let mut batched = self.batched.clone();
        for (operation, count) in &mut batched {
            *count -= before.batched(operation);
        }
        batched.retain(|_, count| *count > 0);
        Self { requests, batched }
    }
}

impl Microsoft {
    /// Starts it with a world, and lets each call take this long.
    pub async fn start(world: &World, latency: Duration) -> Result<Self, Error> {
        let scratch = Scratch::new()?;
        let file = scratch.path().join("world.yaml");
        // JSON is YAML.
        std::fs::write(&file, world.microsoft().to_string()).attempt("write the world")?;
        let mut command = guard::command(programs::path("graph-emulator").await?);
        command
            .arg("--world")
            .arg(&file)
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped());
        let mut process = Guarded::spawn("the Graph emulator", command)?;
        let (graph, admin) = addresses(&mut process).await?;
        let client = reqwest::Client::builder().no_proxy().build();
        let microsoft = Self {
            graph,
            admin,
            client: client.map_err(|error| said("the HTTP client's settings", &error))?,
            _process: process,
            _scratch: scratch,
        };
        microsoft.take(latency).await?;
        Ok(microsoft)
    }

    /// Base URL of Graph and login.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.graph
    }

    async fn take(&self, latency: Duration) -> Result<(), Error> {
        let rules: Vec<Value> = slow(latency).into_iter().collect();
        self.put_faults(rules).await
    }

    /// From now on no question about a mailbox of this tenant is answered; of the others, as slowly as before.
    pub async fn hang(&self, tenant: &str, latency: Duration) -> Result<(), Error> {
        let rule = |operation| json!({"operation": operation, "tenant": tenant, "delay": "2h"});
        let rules = ABOUT_MAILBOXES.into_iter().map(rule);
        self.put_faults(rules.chain(slow(latency)).collect()).await
    }

    async fn put_faults(&self, rules: Vec<Value>) -> Result<(), Error> {
        let url = format!("{}/faults", self.admin);
        let put = self.client.put(&url).json(&rules).send().await;
        let put = put.and_then(reqwest::Response::error_for_status);
        put.map(|_| ()).map_err(|error| said(&url, &error))
    }

    /// Every call so far.
    pub async fn calls(&self) -> Result<Calls, Error> {
        self.ask("counts").await
    }

    /// Every call, as far as it remembers them.
    pub async fn journal(&self) -> Result<Vec<Journalled>, Error> {
        #[derive(Deserialize)]
        struct All {
            entries: Vec<Journalled>,
        }
        let all: All = self.ask("journal").await?;
        Ok(all.entries)
    }

    /// Every subscription that it keeps.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, Error> {
        #[derive(Deserialize)]
        struct All {
            subscriptions: Vec<Subscription>,
        }
        let all: All = self.ask("subscriptions").await?;
        Ok(all.subscriptions)
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let url = format!("{}/{path}", self.admin);
        let answer = self.client.get(&url).send().await;
        let answer = answer.map_err(|error| said(&url, &error))?;
        answer.json().await.map_err(|error| said(&url, &error))
    }
}

/// A rule that lets every call take this long, if that is long.
fn slow(latency: Duration) -> Option<Value> {
    let delay = format!("{}ms", latency.as_millis());
    let rule = json!({"operation": "*", "delay": delay});
    (!latency.is_zero()).then_some(rule)
}

/// What it prints when it is ready: `graph=URL` and `admin=URL`.
async fn addresses(process: &mut Guarded) -> Result<(String, String), Error> {
    let output = process.child().stdout.take();
    let read = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(output?).lines().map_while(Result::ok);
        let mut value = |name: &str| {
            let line = lines.next()?;
            let value = line.strip_prefix(name)?.trim_end_matches('/');
            Some(value.to_owned())
        };
        Some((value("graph=")?, value("admin=")?))
    });
    read.await.ok().flatten().ok_or_else(|| Error::Program {
        program: "the Graph emulator".to_owned(),
        output: "it did not say where it listens".to_owned(),
    })
}

fn said(what: &str, error: &reqwest::Error) -> Error {
    Error::Document {
        what: what.to_owned(),
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(text: &str) -> Calls {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn only_what_came_later_counts() {
        let before = calls(r#"{"requests": {"token": {"200": 2}, "getUser": {"200": 1}}}"#);
        let after = calls(
            r#"{"requests": {"token": {"200": 2}, "getUser": {"200": 4, "429": 1}, "batch": {"200": 1}},
                "batched": {"getUser": 2}, "notifications": {}}"#,
        );
        let since = after.since(&before);
        assert_eq!(
            since,
            calls(
                r#"{"requests": {"getUser": {"200": 3, "429": 1}, "batch": {"200": 1}},
                    "batched": {"getUser": 2}}"#
            )
        );
        assert_eq!(
            (since.requests(), since.of("getUser"), since.of("token")),
            (3, 4, 0)
        );
        assert_eq!(since.with_status("429"), 1);
    }
}
