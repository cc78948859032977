//! The key Secret: made when it is missing, written again when it is deleted, read again when it changes.
//!
//! Every replica follows it, since every replica verifies notifications; only the one that may write makes or
//! restores it.

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

use crate::admin::{Readiness, Requirement};
use crate::api_server::in_time;
use crate::clock::{Clock, sleep};
use crate::domain::identity::{Identity, KEY_LENGTH, KeyRing, KeyRingError, entry_name, instance};
use crate::graph::gateway::Fence;
use crate::ids::{InstanceId, KeyId, ObjectKey};
use crate::notification::receiver::IdentitySlot;

/// How often the Secret is looked at without a sign that it changed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How long to wait after the API server did not answer.
const RETRY: Duration = Duration::from_secs(2);

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
        loop {
            let pause = match self.look(&instance).await {
                Ok(()) => LOOK_AGAIN,
                Err(error) => {
                    tracing::warn!(%error, "the keys of notifications are not as they should be");
                    if self.slot.load().is_none() {
                        self.readiness.unmet(Requirement::Keys, error.to_string());
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
                    tracing::warn!(%error, "the cluster's identity (UID of kube-system) cannot be read yet");
                }
            }
            sleep(RETRY).await;
        }
    }

    /// Brings memory and Secret together.
    async fn look(&self, instance: &InstanceId) -> Result<(), KeysError> {
        let held = self.slot.load_full();
        let found = in_time(self.api().get_opt(&self.secret.name)).await;
        match (found.map_err(refused)?, &held) {
            (Some(secret), _) => {
                self.publish(instance, ring_of(&secret)?);
                Ok(())
            }
            (None, _) if !self.fence.may_write() => {
                if held.is_none() {
                    self.readiness.unmet(
                        Requirement::Keys,
                        "the leader has not made the key Secret yet",
                    );
                }
                Ok(())
            }
            (None, Some(identity)) => {
                tracing::warn!(secret = %self.secret, "the key Secret was deleted; it is written again");
                self.create(&identity.keys).await
            }
            (None, None) => {
                let ring =
                    KeyRing::generate(self.new_number(), rand::rng().random::<[u8; KEY_LENGTH]>());
                tracing::info!(secret = %self.secret, "a first signing key is made");
                self.create(&ring).await?;
                self.publish(instance, ring);
                Ok(())
            }
        }
    }

    /// Seconds since the epoch: a key that is made anew never has the number of one that was lost.
    fn new_number(&self) -> KeyId {
        KeyId(u32::try_from(self.clock.now().as_second()).unwrap_or(u32::MAX))
    }

    async fn create(&self, ring: &KeyRing) -> Result<(), KeysError> {
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
            Ok(_) => Ok(()),
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
                tracing::warn!(%error, "keys that no subscription uses could not be dropped; it is tried again");
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
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use http::{Method, Request, Response, StatusCode};
    use kube::client::Body;
    use serde_json::{Value, json};
    use tower::service_fn;

    use super::*;
    use crate::api_server::ANSWER_TIME;

    /// What the API server holds of the key Secret; without one it never answers.
    type Held = Arc<Mutex<Option<Value>>>;

    fn client(held: &Held) -> Client {
        let held = Arc::clone(held);
        let service = service_fn(move |request: Request<Body>| {
            let held = Arc::clone(&held);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                if parts.method != Method::GET {
                    *held.lock().unwrap() = serde_json::from_slice(&body).ok();
                }
                let answer = held.lock().unwrap().clone();
                let Some(answer) = answer else {
                    return std::future::pending().await;
                };
                let response = Response::builder().status(StatusCode::OK);
                let body = Body::from(answer.to_string().into_bytes());
                Ok::<_, Infallible>(response.body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn keys(held: &Held) -> Keys {
        Keys::new(
            client(held),
            ObjectKey::new("operators", "key"),
            Clock::starting_at("2026-11-24T08:00:00Z".parse().unwrap()),
            Arc::new(|| true),
            (IdentitySlot::default(), Readiness::new()),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_is_not_waited_for_long() {
        let keys = keys(&Held::default());
        let asked = tokio::time::Instant::now();
        let looked = keys.look(&instance_id()).await;
        assert!(matches!(looked, Err(KeysError::Cluster { .. })));
        assert!(asked.elapsed() <= ANSWER_TIME + Duration::from_secs(1));
    }

    fn instance_id() -> InstanceId {
        InstanceId::new("0123456789abcdef")
    }

    fn secret(numbers: &[u32]) -> Value {
        let data = numbers
            .iter()
            .map(|number| {
                let bytes = ByteString(vec![1; KEY_LENGTH]);
                (entry_name(KeyId(*number)), json!(bytes))
            })
            .collect::<serde_json::Map<String, Value>>();
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "key", "namespace": "operators", "resourceVersion": "1"},
            "data": data,
        })
    }

    fn held_keys(held: &Held) -> Vec<KeyId> {
        let secret = held.lock().unwrap().clone().unwrap();
        let secret = serde_json::from_value(secret).unwrap();
        ring_of(&secret).unwrap().ids().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_dropped_when_no_subscription_uses_it_twice_in_a_row() {
        let held = Held::new(Mutex::new(Some(secret(&[1, 2, 3]))));
        let keys = keys(&held);
        keys.look(&instance_id()).await.unwrap();
        let (first, second) = (BTreeSet::from([KeyId(1)]), BTreeSet::from([KeyId(2)]));
        let (tell, mut used) = watch::channel(first);
        let doubted = keys.drop_unused(&mut used, BTreeSet::new()).await;
        assert_eq!(held_keys(&held), [KeyId(1), KeyId(2), KeyId(3)]);
        // The subscription that was being created is named now.
        tell.send_replace(second);
        let doubted = keys.drop_unused(&mut used, doubted).await;
        assert_eq!(held_keys(&held), [KeyId(1), KeyId(2), KeyId(3)]);
        keys.drop_unused(&mut used, doubted).await;
        assert_eq!(held_keys(&held), [KeyId(2), KeyId(3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_key_stays_whatever_somebody_has_taken_out_of_the_secret_meanwhile() {
        let held = Held::new(Mutex::new(Some(secret(&[1, 2]))));
        let keys = keys(&held);
        keys.look(&instance_id()).await.unwrap();
        let (_tell, mut used) = watch::channel(BTreeSet::new());
        let doubted = keys.drop_unused(&mut used, BTreeSet::new()).await;
        *held.lock().unwrap() = Some(secret(&[1]));
        keys.drop_unused(&mut used, doubted).await;
        assert_eq!(held_keys(&held), [KeyId(1)]);
    }
}
