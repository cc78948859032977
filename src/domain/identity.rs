//! Who is meant by a notification, and whether it is genuine: this installation's name, the URLs given to
//! Graph, and the keys behind `clientState`.
//!
//! A `clientState` carries everything that is needed to verify it except the key, so every replica can do
//! so without a look-up. Nothing here reads the key Secret or answers a request, and the bytes of a new
//! key are an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::{Digest, Sha256};
use url::Url;

use crate::ids::{InstanceId, KeyId, ObjectKey, Uid};
use crate::secret::Secret;

pub mod forward;
#[cfg(test)]
mod tests;

/// Length of a signing key in bytes.
pub const KEY_LENGTH: usize = 32;

/// Graph's limit on `clientState`, in characters
/// (<https://learn.microsoft.com/graph/api/resources/subscription>).
pub const CLIENT_STATE_LIMIT: usize = 128;

/// Name of this installation: of one key Secret in one cluster.
///
/// A second installation, another cluster, or a backup restored into one, has another name.
#[must_use]
pub fn instance(kube_system_uid: &str, key_secret: &ObjectKey) -> InstanceId {
    InstanceId::new(short_hash(&[
        "instance",
        kube_system_uid,
        &key_secret.namespace,
        &key_secret.name,
    ]))
}

/// What stands for a namespace in notification URLs, so that they tell the scope but no name.
#[must_use]
pub fn namespace_hash(namespace: &str) -> String {
    short_hash(&["namespace", namespace])
}

/// 64 bits of SHA-256 over length-prefixed parts, in hexadecimal.
fn short_hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let first = hash
        .finalize()
        .iter()
        .take(8)
        .fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    format!("{first:016x}")
}

/// What verifying a notification takes: known once the cluster and the key Secret have been read.
#[derive(Clone, Debug)]
pub struct Identity {
    /// This installation.
    pub instance: InstanceId,
    /// The keys that it holds.
    pub keys: KeyRing,
}

/// Builds the two URLs that a subscription names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationUrls {
    base: Url,
    instance: InstanceId,
}

impl NotificationUrls {
    /// URLs below `base`, an `http` or `https` URL; a trailing slash makes no difference.
    #[must_use]
    pub fn new(mut base: Url, instance: InstanceId) -> Self {
        base.set_query(None);
        base.set_fragment(None);
        if let Ok(mut segments) = base.path_segments_mut() {
            segments.pop_if_empty();
        }
        Self { base, instance }
    }

    /// Where Graph sends changes of the mailbox that the object with `uid` declares.
    #[must_use]
    pub fn change(&self, namespace: &str, uid: &Uid) -> Url {
        self.url(TargetKind::Change, namespace, uid)
    }

    /// Where Graph sends lifecycle events of that mailbox's subscription.
    #[must_use]
    pub fn lifecycle(&self, namespace: &str, uid: &Uid) -> Url {
        self.url(TargetKind::Lifecycle, namespace, uid)
    }

    /// This installation, as the URLs name it.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// Changes when the base or the installation does: a subscription made for another one is replaced.
    #[must_use]
    pub fn endpoint_hash(&self) -> Arc<str> {
        short_hash(&["endpoint", self.base.as_str(), self.instance.as_str()]).into()
    }

    fn url(&self, kind: TargetKind, namespace: &str, uid: &Uid) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend([
                "v1",
                kind.segment(),
                self.instance.as_str(),
                &namespace_hash(namespace),
                &uid.to_string(),
            ]);
        }
        url
    }
}

/// Which of the two URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// `notificationUrl`.
    Change,
    /// `lifecycleNotificationUrl`.
    Lifecycle,
}

impl TargetKind {
    const fn segment(self) -> &'static str {
        match self {
            Self::Change => "notifications",
            Self::Lifecycle => "lifecycle",
        }
    }

    fn of(segment: &str) -> Option<Self> {
        [Self::Change, Self::Lifecycle]
            .into_iter()
            .find(|kind| kind.segment() == segment)
    }
}

/// What a notification URL says. Nothing of it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Changes or lifecycle events.
    pub kind: TargetKind,
    /// The installation that made the URL.
    pub instance: InstanceId,
    /// [`namespace_hash`] of the object's namespace.
    pub namespace_hash: String,
    /// The object.
    pub uid: Uid,
}

impl Target {
    /// Reads `/v1/notifications/{instance}/{namespace hash}/{uid}` or its lifecycle twin at the end of a
    /// path; whatever stands before it is the base path of an Ingress.
    #[must_use]
    pub fn parse_path(path: &str) -> Option<Self> {
        let mut segments = path.rsplit('/');
        let uid = segments.next()?;
        let namespace_hash = segments.next().filter(|text| is_short_hash(text))?;
        let instance = segments.next().filter(|text| is_short_hash(text))?;
        let kind = TargetKind::of(segments.next()?)?;
        let ("v1", Some(_)) = (segments.next()?, segments.next()) else {
            return None;
        };
        Some(Self {
            kind,
            instance: InstanceId::new(instance),
            namespace_hash: namespace_hash.to_owned(),
            uid: Uid::parse(uid).filter(|parsed| parsed.to_string() == uid)?,
        })
    }

    /// Reads a URL of a subscription in Graph's list: on any host, since the base may have changed.
    #[must_use]
    pub fn parse_url(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        Self::parse_path(url.path())
    }
}

/// Versions may come to differ in length: accept any short lower-case word.
fn is_short_hash(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

/// The keys of this installation: the highest number signs, all verify. Holds at least one.
#[derive(Clone)]
pub struct KeyRing {
    newest: (KeyId, Key),
    older: BTreeMap<KeyId, Key>,
    ignored: Vec<String>,
}

type Key = Arc<SecretBox<[u8; KEY_LENGTH]>>;

/// Why a Secret holds no usable keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// There is no entry `key-<number>`.
    #[error("the key Secret has no entry named key-<number>; delete it to have a new key made")]
    Empty,
    /// An entry has another length than a key.
    #[error("entry {entry} of the key Secret has {length} bytes; a key has {KEY_LENGTH}")]
    WrongLength {
        /// Its name.
        entry: String,
        /// Its length in bytes.
        length: usize,
    },
}

/// A `clientState` that one of our keys signed for this object and tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The object.
    pub uid: Uid,
    /// The key that signed.
    pub key: KeyId,
}

/// A `clientState` that none of our keys signed for this object and tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("clientState was not signed by this installation for this object and tenant")]
pub struct Forged;

impl KeyRing {
    /// Reads the entries `key-<number>` of the key Secret.
    ///
    /// # Errors
    /// When there is none, or one is not a key.
    pub fn from_secret(entries: &BTreeMap<String, Vec<u8>>) -> Result<Self, KeyRingError> {
        let mut keys = BTreeMap::new();
        let mut ignored = Vec::new();
        for (entry, bytes) in entries {
            let Some(id) = key_id(entry) else {
                ignored.push(entry.clone());
                continue;
            };
            let bytes = <[u8; KEY_LENGTH]>::try_from(bytes.as_slice()).map_err(|_| {
                KeyRingError::WrongLength {
                    entry: entry.clone(),
                    length: bytes.len(),
                }
            })?;
            keys.insert(id, key(bytes));
        }
        let newest = keys.pop_last().ok_or(KeyRingError::Empty)?;
        Ok(Self {
            newest,
            older: keys,
            ignored,
        })
    }

    /// A ring of one new key made of `random` bytes. Its number must never have been used before.
    #[must_use]
    pub fn generate(id: KeyId, random: [u8; KEY_LENGTH]) -> Self {
        Self {
            newest: (id, key(random)),
            older: BTreeMap::new(),
            ignored: Vec::new(),
        }
    }

    /// The entries of the key Secret, to write it again.
    #[must_use]
    pub fn to_secret(&self) -> BTreeMap<String, Vec<u8>> {
        self.all()
            .map(|(id, key)| (entry_name(*id), key.expose_secret().to_vec()))
            .collect()
    }

    /// Entries of the Secret that are no keys: worth a warning, otherwise left alone.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Numbers of all keys, in ascending order.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.all().map(|(id, _)| *id)
    }

    /// Keys that no subscription uses; the one that signs never counts as such.
    #[must_use]
    pub fn unused(&self, used: &BTreeSet<KeyId>) -> BTreeSet<KeyId> {
        let older = self.older.keys().copied();
        older.filter(|id| !used.contains(id)).collect()
    }

    /// The `clientState` of a new subscription, and the key that signed it.
    #[must_use]
    pub fn client_state(&self, uid: Uid, tenant_id: &str) -> (Secret, KeyId) {
        let (id, key) = &self.newest;
        let tag = mac(key, uid, tenant_id).finalize().into_bytes();
        let mut bytes = id.0.to_be_bytes().to_vec();
        bytes.extend(uid.as_bytes());
        bytes.extend(tag);
        (Secret::new(URL_SAFE_NO_PAD.encode(bytes)), *id)
    }

    /// Checks the `clientState` of a notification that came to the URL of object `expected`, in constant
    /// time for a given key. Takes any text.
    ///
    /// # Errors
    /// When no key of ours signed it for this object and tenant.
    pub fn verify(
        &self,
        client_state: &str,
        expected: Uid,
        tenant_id: &str,
    ) -> Result<Verified, Forged> {
        if client_state.len() > CLIENT_STATE_LIMIT {
            return Err(Forged);
        }
        let bytes = URL_SAFE_NO_PAD.decode(client_state).map_err(|_| Forged)?;
        let (id, rest) = bytes.split_first_chunk::<4>().ok_or(Forged)?;
        let (uid, tag) = rest.split_first_chunk::<16>().ok_or(Forged)?;
        let (id, uid) = (KeyId(u32::from_be_bytes(*id)), Uid::from_bytes(*uid));
        let key = self.find(id).ok_or(Forged)?;
        // The tag covers `expected`: a state of another object fails here, whatever it claims.
        mac(key, expected, tenant_id)
            .verify_slice(tag)
            .map_err(|_| Forged)?;
        if uid == expected {
            Ok(Verified { uid, key: id })
        } else {
            Err(Forged)
        }
    }

    fn find(&self, id: KeyId) -> Option<&Key> {
        let (newest, key) = &self.newest;
        if id == *newest {
            Some(key)
        } else {
            self.older.get(&id)
        }
    }

    fn all(&self) -> impl Iterator<Item = (&KeyId, &Key)> {
        let (id, key) = &self.newest;
        self.older.iter().chain([(id, key)])
    }
}

impl PartialEq for KeyRing {
    fn eq(&self, other: &Self) -> bool {
        self.to_secret() == other.to_secret()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ids().map(entry_name)).finish()
    }
}

fn key(bytes: [u8; KEY_LENGTH]) -> Key {
    Arc::new(SecretBox::new(Box::new(bytes)))
}

/// Name of a key's entry in the key Secret.
#[must_use]
pub fn entry_name(id: KeyId) -> String {
    format!("key-{}", id.0)
}

/// Only the canonical spelling: `key-07` and `key-+7` would be two entries for one number.
fn key_id(entry: &str) -> Option<KeyId> {
    let id = KeyId(entry.strip_prefix("key-")?.parse().ok()?);
    (entry_name(id) == entry).then_some(id)
}

/// Over the object and its tenant. Tenant IDs are GUIDs, which Graph may spell in either case.
fn mac(key: &Key, uid: Uid, tenant_id: &str) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.expose_secret()).expect("HMAC takes keys of any length");
    mac.update(uid.as_bytes());
    mac.update(tenant_id.to_ascii_lowercase().as_bytes());
    mac
}
