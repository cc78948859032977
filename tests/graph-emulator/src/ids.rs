//! Opaque identifiers: as random as Graph's, but the same for the same seed.
//!
//! An id of a thing that the world file names is derived from that name, so that it survives a changed world
//! and a restart with the same `--seed`. Nothing else can be told from an id.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

#[derive(Debug)]
pub(crate) struct Ids {
    seed: u64,
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            next: AtomicU64::new(0),
        }
    }

    fn digest(&self, kind: &str, name: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(kind.as_bytes());
        hash.update([0]);
        hash.update(name.as_bytes());
        hash.finalize().into()
    }

    /// The id of the thing of this kind and name.
    pub(crate) fn named(&self, kind: &str, name: &str) -> Uuid {
        uuid(&self.digest(kind, name))
    }

    /// An id that was never given out before.
    pub(crate) fn fresh(&self, kind: &str) -> Uuid {
        uuid(&self.digest(kind, &self.serial()))
    }

    /// An Outlook item id: long, URL-safe, case-sensitive.
    pub(crate) fn fresh_item(&self) -> String {
        let (first, second) = (self.serial(), self.serial());
        let mut bytes = self.digest("item", &first).to_vec();
        bytes.extend(self.digest("item", &second));
        bytes.extend(&self.digest("item tail", &first)[..8]);
        format!("AAMk{}", URL_SAFE.encode(bytes))
    }

    /// An Outlook id of a named thing.
    pub(crate) fn named_item(&self, kind: &str, name: &str) -> String {
        format!("AAMk{}", URL_SAFE.encode(self.digest(kind, name)))
    }

    /// A change key, new with every change of an item.
    pub(crate) fn fresh_change_key(&self) -> String {
        let bytes = self.digest("change key", &self.serial());
        base64::engine::general_purpose::STANDARD.encode(&bytes[..15])
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn share(&self) -> f64 {
        let [a, b, c, d, ..] = self.digest("share", &self.serial());
        f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
    }

    fn serial(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }
}

fn uuid(digest: &[u8; 32]) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (one, two) = (Ids::new(7), Ids::new(7));
        assert_eq!(one.named("mailbox", "a"), two.named("mailbox", "a"));
        assert_eq!(one.fresh("subscription"), two.fresh("subscription"));
        assert_ne!(one.named("mailbox", "a"), Ids::new(8).named("mailbox", "a"));
    }

    #[test]
    fn fresh_ids_never_repeat_and_shares_stay_in_range() {
        let ids = Ids::new(1);
        assert_ne!(ids.fresh("subscription"), ids.fresh("subscription"));
        assert!((0..1000).all(|_| (0.0..1.0).contains(&ids.share())));
    }
}
