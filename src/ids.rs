//! Identities that several layers share: who an object, a mailbox, a subscription or an installation is.
//!
//! Only names live here. What a name refers to is known elsewhere.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Namespace and name of a namespaced Kubernetes object. One pointer, because every index of objects holds keys.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<Names>);

/// What an [`ObjectKey`] consists of.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Names {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl Deref for ObjectKey {
    type Target = Names;

    fn deref(&self) -> &Names {
        &self.0
    }
}

impl ObjectKey {
    /// The key of `namespace/name`.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(Names {
            namespace: namespace.into(),
            name: name.into(),
        }))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// UID of a Kubernetes object: survives nothing, is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(Uuid);

impl Uid {
    /// Reads the textual form, as in `metadata.uid`; `None` when it is no UUID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }

    /// From its 16 bytes, as `clientState` carries them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Its 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// A stable 64-bit hash, the same in every process and version: for slots and jitter.
    #[must_use]
    pub fn stable_hash(&self) -> u64 {
        let (high, low) = self.0.as_u64_pair();
        splitmix(high ^ splitmix(low))
    }

    /// A stable number in `[0, 1)` derived from the UID, for jitter.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let numerator = (self.stable_hash() >> 11) as f64;
        numerator / 9_007_199_254_740_992.0
    }
}

/// One round of the `SplitMix64` generator (Steele, Lea, Flood 2014): spreads similar inputs apart.
const fn splitmix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The two kinds that this operator reconciles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A Microsoft 365 tenant and the app registration used in it.
    CalendarTenant,
    /// A room or user mailbox in such a tenant.
    WorkspaceMailbox,
}

impl Kind {
    /// The kind as Kubernetes spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CalendarTenant => "CalendarTenant",
            Self::WorkspaceMailbox => "WorkspaceMailbox",
        }
    }
}

/// An opaque name that Graph gave to something: compared byte by byte, never parsed.
macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as Graph wrote it.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text as Graph wrote it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

opaque_id! {
    /// `id` of a Graph subscription.
    SubscriptionId
}

opaque_id! {
    /// Object id of the directory user behind a mailbox.
    MailboxId
}

opaque_id! {
    /// This installation's name in notification URLs: see `domain::identity`.
    InstanceId
}

/// Number of a signing key in the key Secret (`key-7` is 7). The highest signs, all verify.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub u32);

/// What Graph counts its budgets by: one app registration in one tenant of one cloud.
///
/// Two `CalendarTenant`s with the same three values share budgets, and their mailboxes can conflict.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct AppTenant {
    /// Name of the cloud, as in `spec.cloud`, or the origin of a custom Graph endpoint.
    pub cloud: Arc<str>,
    /// Entra tenant ID, lower case.
    pub tenant_id: Arc<str>,
    /// Application ID, lower case.
    pub client_id: Arc<str>,
}

impl AppTenant {
    /// Of a spec that cannot be used.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            cloud: "".into(),
            tenant_id: "".into(),
            client_id: "".into(),
        }
    }

    /// Whether both are one application: what is not known is the same as nothing.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self == other && !self.client_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_keeps_its_text_and_bytes() {
        let text = "5f1d7a9c-1111-4000-8000-000000000001";
        let uid = Uid::parse(text).unwrap();
        assert_eq!(uid.to_string(), text);
        assert_eq!(Uid::from_bytes(*uid.as_bytes()), uid);
        assert!(Uid::parse("not-a-uid").is_none());
    }

    #[test]
    fn fractions_of_neighbouring_uids_are_far_apart_and_in_range() {
        let fractions: Vec<f64> = (0..1000_u128)
            .map(|n| Uid(Uuid::from_u128(n)).fraction())
            .collect();
        assert!(fractions.iter().all(|f| (0.0..1.0).contains(f)));
        let low = fractions.iter().filter(|f| **f < 0.5).count();
        assert!((400..600).contains(&low), "{low} of 1000 below one half");
    }
}
