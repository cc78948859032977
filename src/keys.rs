//! The key Secret: made when it is missing, written again when it is deleted, read again when it changes.
//!
//! Every replica follows it, since every replica verifies notifications. The one that may write makes it, restores it and
//! drops keys from it. Another replica makes it when nobody has for a while: when it is named anew, the leader is of the
//! release before and follows another Secret.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use rand::RngExt;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin::{Readiness, Requirement};
use crate::api_server::in_time;
use crate::clock::{Clock, sleep};
use crate::domain::identity::{Identity, KEY_LENGTH, KeyRing, KeyRingError, entry_name, instance};
use crate::graph::gateway::Fence;
use crate::ids::{InstanceId, KeyId, ObjectKey};
use crate::notification::receiver::IdentitySlot;
use crate::plain::Causes;

/// How often the Secret is looked at without a sign that it changed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How long to wait after the API server did not answer.
const RETRY: Duration = Duration::from_secs(2);

/// How long a replica without keys leaves it to the leader to make the Secret. The leader of the same installation
/// restores a Secret that was deleted within a moment, with the keys that it holds; a new key would replace every
/// subscription.
const LEADER_FIRST: Duration = Duration::from_secs(5);

/// What a look at the Secret has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// It is there, and its keys are held.
    Held,
    /// It is not there, or was made by somebody else this very moment.
    Missing,
}

/// Why the keys are not as they should be.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The API server refused or did not answer.
    #[error("the key Secret cannot be read or written: {source}")]
    Cluster {
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The Secret holds no usable keys.
    #[error(transparent)]
    Unusable(KeyRingError),
}

fn refused(error: kube::Error) -> KeysError {
    KeysError::Cluster {
        source: Box::new(error),
    }
}

/// Follows the key Secret.
pub struct Keys {
    client: Client,
    secret: ObjectKey,
    clock: Clock,
    fence: Arc<dyn Fence>,
    slot: IdentitySlot,
    readiness: Readiness,
    held: watch::Sender<Option<Arc<Identity>>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// Publishes in `slot` what `secret` holds, and writes it only while `fence` allows.
    #[must_use]
    pub fn new(
        client: Client,
        secret: ObjectKey,
        clock: Clock,
        fence: Arc<dyn Fence>,
        (slot, readiness): (IdentitySlot, Readiness),
    ) -> Self {
        Self {
            client,
            secret,
            clock,
            fence,
            slot,
            readiness,
            held: watch::Sender::new(None),
        }
    }

    /// Who we are and which keys we hold, as soon as that is known.
    #[must_use]
    pub fn identity(&self) -> watch::Receiver<Option<Arc<Identity>>> {
        self.held.subscribe()
    }

    /// Follows the Secret for as long as the process runs, and drops keys when `used` tells which subscriptions
    /// need. `news` wakes it early, such as when this process begins to lead.
    pub async fn follow(
        self,
        mut news: watch::Receiver<()>,
        mut used: watch::Receiver<BTreeSet<KeyId>>,
    ) {
        let instance = self.instance().await;
        let api: Api<PartialObjectMeta<Secret>> =
            Api::namespaced(self.client.clone(), &self.secret.namespace);
        let config =
            watcher::Config::default().fields(&format!("metadata.name={}", self.secret.name));
        let stream = watcher(api, config).default_backoff();
        let mut stream = std::pin::pin!(stream);
        let mut doubted = BTreeSet::new();
        let mut missing_since: Option<Instant> = None;
        loop {
            let waited = missing_since.map_or(Duration::ZERO, |since| since.elapsed());
            let pause = match self.look(&instance, waited).await {
                Ok(Seen::Held) => {
                    missing_since = None;
                    LOOK_AGAIN
                }
                Ok(Seen::Missing) => {
                    missing_since.get_or_insert_with(Instant::now);
                    LEADER_FIRST.saturating_sub(waited).max(RETRY)
                }
                Err(error) => {
                    tracing::warn!(error = %Causes(&error), "the keys of notifications are not as they should be");
                    if self.slot.load().is_none() {
                        let why = Causes(&error).to_string();
                        self.readiness.unmet(Requirement::Keys, why);
                    }
                    RETRY
                }
            };
            tokio::select! {
                _ = stream.next() => {}
                Ok(()) = news.changed() => {}
                Ok(()) = used.changed() => doubted = self.drop_unused(&mut used, doubted).await,
                () = sleep(pause) => {}
            }
        }
    }

    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.secret.namespace)
    }

    /// This installation's name, as soon as the cluster tells who it is.
    async fn instance(&self) -> InstanceId {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        loop {
            match in_time(namespaces.get_metadata("kube-system")).await {
                Ok(found) => {
                    return instance(&found.metadata.uid.unwrap_or_default(), &self.secret);
                }
                Err(error) => {
                    tracing::warn!(error = %Causes(&error), "the cluster's identity (UID of kube-system) cannot be read yet");
                }
            }
            sleep(RETRY).await;
        }
    }

    /// Brings memory and Secret together. `waited` is how long it has been missing.
    async fn look(&self, instance: &InstanceId, waited: Duration) -> Result<Seen, KeysError> {
        let held = self.slot.load_full();
        let found = in_time(self.api().get_opt(&self.secret.name)).await;
        match (found.map_err(refused)?, &held) {
            (Some(secret), _) => {
                self.publish(instance, ring_of(&secret)?);
                Ok(Seen::Held)
            }
            (None, Some(_)) if !self.fence.may_write() => Ok(Seen::Held),
            (None, Some(identity)) => {
                tracing::warn!(secret = %self.secret, "the key Secret was deleted; it is written again");
                self.create(&identity.keys).await
            }
            (None, None) if !self.fence.may_write() && waited < LEADER_FIRST => {
                self.readiness.unmet(
                    Requirement::Keys,
                    "the leader has not made the key Secret yet",
                );
                Ok(Seen::Missing)
            }
            (None, None) => {
                let ring =
                    KeyRing::generate(self.new_number(), rand::rng().random::<[u8; KEY_LENGTH]>());
                tracing::info!(secret = %self.secret, "a first signing key is made");
                let seen = self.create(&ring).await?;
                if seen == Seen::Held {
                    self.publish(instance, ring);
                }
                Ok(seen)
            }
        }
    }

    /// Seconds since the epoch: a key that is made anew never has the number of one that was lost.
    fn new_number(&self) -> KeyId {
        KeyId(u32::try_from(self.clock.now().as_second()).unwrap_or(u32::MAX))
    }

    /// Never writes over what somebody else has made meanwhile: that is read next.
    async fn create(&self, ring: &KeyRing) -> Result<Seen, KeysError> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.secret.name.to_string()),
                namespace: Some(self.secret.namespace.to_string()),
                ..ObjectMeta::default()
            },
            data: Some(data_of(ring)),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        };
        let (api, parameters) = (self.api(), PostParams::default());
        match in_time(api.create(&parameters, &secret)).await {
            Ok(_) => Ok(Seen::Held),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Seen::Missing),
            Err(error) => Err(refused(error)),
        }
    }

    /// Drops keys that no subscription uses any more, and says which were unused this time.
    ///
    /// Only those go that were unused the time before as well: a subscription that is being created is named by no
    /// status yet, and may be signed with a key that has just ceased to sign.
    async fn drop_unused(
        &self,
        used: &mut watch::Receiver<BTreeSet<KeyId>>,
        before: BTreeSet<KeyId>,
    ) -> BTreeSet<KeyId> {
        let used = used.borrow_and_update().clone();
        match self.write_without_unused(&used, &before).await {
            Ok(unused) => unused,
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "keys that no subscription uses could not be dropped; it is tried again");
                before
            }
        }
    }

    async fn write_without_unused(
        &self,
        used: &BTreeSet<KeyId>,
        before: &BTreeSet<KeyId>,
    ) -> Result<BTreeSet<KeyId>, KeysError> {
        let Some(identity) = self.slot.load_full() else {
            return Ok(BTreeSet::new());
        };
        if !self.fence.may_write() {
            return Ok(BTreeSet::new());
        }
        let found = in_time(self.api().get_opt(&self.secret.name)).await;
        let Some(mut secret) = found.map_err(refused)? else {
            return Ok(BTreeSet::new());
        };
        // Decided from what the Secret holds now: somebody may have edited it since it was read last.
        let unused = ring_of(&secret)?.unused(used);
        let gone: BTreeSet<KeyId> = unused.intersection(before).copied().collect();
        if gone.is_empty() || !self.fence.may_write() {
            return Ok(unused);
        }
        if let Some(data) = &mut secret.data {
            data.retain(|entry, _| !gone.iter().any(|id| *entry == entry_name(*id)));
        }
        let fewer = ring_of(&secret)?;
        let (api, parameters) = (self.api(), PostParams::default());
        let replaced = in_time(api.replace(&self.secret.name, &parameters, &secret)).await;
        replaced.map_err(refused)?;
        tracing::info!(secret = %self.secret, count = gone.len(), "keys that no subscription uses any more were dropped");
        self.publish(&identity.instance, fewer);
        Ok(unused)
    }

    fn publish(&self, instance: &InstanceId, ring: KeyRing) {
        let same = self
            .slot
            .load()
            .as_ref()
            .is_some_and(|held| held.keys.to_secret() == ring.to_secret());
        if same {
            return;
        }
        if !ring.ignored().is_empty() {
            tracing::warn!(secret = %self.secret, count = ring.ignored().len(), "entries of the key Secret that are not named key-<number> are ignored");
        }
        self.slot.store(Some(Arc::new(Identity {
            instance: instance.clone(),
            keys: ring,
        })));
        self.readiness.met(Requirement::Keys);
        self.held.send_replace(self.slot.load_full());
    }
}

fn ring_of(secret: &Secret) -> Result<KeyRing, KeysError> {
    let data = secret.data.iter().flatten();
    let entries: BTreeMap<String, Vec<u8>> = data
        .map(|(name, ByteString(bytes))| (name.clone(), bytes.clone()))
        .collect();
    KeyRing::from_secret(&entries).map_err(KeysError::Unusable)
}

fn data_of(ring: &KeyRing) -> BTreeMap<String, ByteString> {
    ring.to_secret()
        .into_iter()
        .map(|(name, bytes)| (name, ByteString(bytes)))
        .collect()
}

#[cfg(test)]
mod tests;
