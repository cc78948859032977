//! What one copy signs when it passes wakes on, and what the copy that leads demands of it.
//!
//! The signature is of a key that is derived from a signing key, so that no `clientState`, which others hold, is ever one
//! of these. It binds the body to one leader, one moment and one use: what was sent to a leader before is of no use to
//! its successor, and what is old or known is refused.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use sha2::Sha256;

use super::{Forged, Key, KeyRing};
use crate::ids::KeyId;

/// How far the sender's clock and ours may be apart, the time on the way included.
pub const WINDOW_MILLISECONDS: i64 = 60_000;

/// So many uses are remembered at once; more are refused until the first ones are too old anyway.
pub const REMEMBERED: usize = 10_000;

/// What the derived key is for. A `clientState` signs another number of bytes, so that none is this key.
const PURPOSE: &[u8] = b"hybrid-calendar-operator wakes v1";

/// Longer than any seal.
const TEXT_LIMIT: usize = 200;

const NONCE_LENGTH: usize = 16;
const TAG_LENGTH: usize = 32;

/// A random number that is used once.
pub type Nonce = [u8; NONCE_LENGTH];

/// What a message carries besides its body. Nothing of it is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    key: KeyId,
    sent: i64,
    nonce: Nonce,
    tag: [u8; TAG_LENGTH],
}

impl Seal {
    /// Reads the text that [`Seal`] is written as.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_LIMIT {
            return None;
        }
        let mut parts = text.split('.');
        let key = KeyId(parts.next()?.parse().ok()?);
        let sent = parts.next()?.parse().ok()?;
        let nonce = bytes(parts.next()?)?;
        let tag = bytes(parts.next()?)?;
        let seal = Self {
            key,
            sent,
            nonce,
            tag,
        };
        parts.next().is_none().then_some(seal)
    }

    /// Whether it was made about now.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now.as_millisecond().abs_diff(self.sent) <= WINDOW_MILLISECONDS.unsigned_abs()
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nonce = URL_SAFE_NO_PAD.encode(self.nonce);
        let tag = URL_SAFE_NO_PAD.encode(self.tag);
        write!(f, "{}.{}.{nonce}.{tag}", self.key.0, self.sent)
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

impl KeyRing {
    /// Signs `body` for the copy that calls itself `leader`, by the key that signs now.
    #[must_use]
    pub fn seal(&self, leader: &str, body: &[u8], (now, nonce): (Timestamp, Nonce)) -> Seal {
        let (id, key) = &self.newest;
        let sent = now.as_millisecond();
        let tag = mac(key, leader, (sent, &nonce), body).finalize();
        Seal {
            key: *id,
            sent,
            nonce,
            tag: tag.into_bytes().into(),
        }
    }

    /// Checks that a copy with one of our keys made `seal` of `body` for `leader`, in constant time for a given key.
    /// Whether it is fresh and used for the first time is not looked at.
    ///
    /// # Errors
    /// When none did.
    pub fn verify_seal(&self, seal: &Seal, leader: &str, body: &[u8]) -> Result<(), Forged> {
        let key = self.find(seal.key).ok_or(Forged)?;
        mac(key, leader, (seal.sent, &seal.nonce), body)
            .verify_slice(&seal.tag)
            .map_err(|_| Forged)
    }
}

/// Over parts of known or told length, so that nothing can move from one to the next.
fn mac(key: &Key, leader: &str, (sent, nonce): (i64, &Nonce), body: &[u8]) -> Hmac<Sha256> {
    let with = |key: &[u8]| -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length")
    };
    let mut derived = with(key.expose_secret());
    derived.update(PURPOSE);
    let mut mac = with(&derived.finalize().into_bytes());
    mac.update(&(leader.len() as u64).to_be_bytes());
    mac.update(leader.as_bytes());
    mac.update(&sent.to_be_bytes());
    mac.update(nonce);
    mac.update(body);
    mac
}

/// What was used already, for as long as it is fresh.
#[derive(Debug, Default)]
pub struct Used(BTreeSet<(i64, [u8; TAG_LENGTH])>);

/// Why a genuine seal is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAgain {
    /// It was used before.
    Replayed,
    /// Too many were used within the window.
    TooMany,
}

impl Used {
    /// Notes the use of a seal that is genuine and fresh.
    ///
    /// # Errors
    /// When it was used before, or cannot be remembered.
    pub fn note(&mut self, seal: &Seal, now: Timestamp) -> Result<(), NotAgain> {
        let oldest = now.as_millisecond().saturating_sub(WINDOW_MILLISECONDS);
        self.0 = self.0.split_off(&(oldest, [0; TAG_LENGTH]));
        let use_ = (seal.sent, seal.tag);
        if self.0.contains(&use_) {
            return Err(NotAgain::Replayed);
        }
        if self.0.len() >= REMEMBERED {
            return Err(NotAgain::TooMany);
        }
        self.0.insert(use_);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn ring(number: u32) -> KeyRing {
        KeyRing::generate(KeyId(number), [42; 32])
    }

    fn seal(nonce: u8) -> Seal {
        ring(7).seal("leader", b"body", (at(0), [nonce; NONCE_LENGTH]))
    }

    #[test]
    fn what_a_copy_sealed_for_this_leader_is_genuine_and_nothing_else() {
        let seal = seal(1);
        assert_eq!(Seal::parse(&seal.to_string()), Some(seal));
        assert_eq!(ring(7).verify_seal(&seal, "leader", b"body"), Ok(()));
        let another_key = KeyRing::generate(KeyId(7), [43; 32]);
        for (ring, seal, leader, body) in [
            (ring(7), seal, "successor", "body"),
            (ring(7), seal, "leader", "bodY"),
            (ring(7), Seal { sent: 1, ..seal }, "leader", "body"),
            (
                ring(7),
                Seal {
                    nonce: [2; NONCE_LENGTH],
                    ..seal
                },
                "leader",
                "body",
            ),
            (ring(8), seal, "leader", "body"),
            (another_key, seal, "leader", "body"),
        ] {
            let verified = ring.verify_seal(&seal, leader, body.as_bytes());
            assert_eq!(verified, Err(Forged), "{leader} {body} {seal}");
        }
    }

    #[test]
    fn every_key_that_verifies_notifications_verifies_seals() {
        let mut entries: BTreeMap<String, Vec<u8>> = ring(7).to_secret();
        entries.insert("key-9".to_owned(), vec![9; 32]);
        let both = KeyRing::from_secret(&entries).unwrap();
        assert_eq!(both.verify_seal(&seal(1), "leader", b"body"), Ok(()));
        let newest = both.seal("leader", b"body", (at(0), [1; NONCE_LENGTH]));
        assert_eq!(newest.key, KeyId(9));
        assert_eq!(ring(7).verify_seal(&newest, "leader", b"body"), Err(Forged));
    }

    #[test]
    fn a_seal_is_fresh_for_a_minute_in_both_directions() {
        for (second, fresh) in [
            (0, true),
            (60, true),
            (-60, true),
            (61, false),
            (-61, false),
        ] {
            assert_eq!(seal(1).is_fresh(at(second)), fresh, "{second}");
        }
        let extreme = Seal {
            sent: i64::MIN,
            ..seal(1)
        };
        assert!(!extreme.is_fresh(at(0)));
    }

    #[test]
    fn a_seal_is_used_once_and_remembered_no_longer_than_it_is_fresh() {
        let mut used = Used::default();
        assert_eq!(used.note(&seal(1), at(0)), Ok(()));
        assert_eq!(used.note(&seal(2), at(0)), Ok(()));
        assert_eq!(used.note(&seal(1), at(60)), Err(NotAgain::Replayed));
        assert_eq!(used.0.len(), 2);
        let later = ring(7).seal("leader", b"body", (at(61), [3; NONCE_LENGTH]));
        assert_eq!(used.note(&later, at(61)), Ok(()));
        assert_eq!(used.0.len(), 1);
    }

    #[test]
    fn no_more_is_remembered_than_fits() {
        let mut used = Used::default();
        for sent in 0..i64::try_from(REMEMBERED).unwrap() {
            let seal = Seal { sent, ..seal(1) };
            used.0
                .insert((at(0).as_millisecond() + seal.sent, seal.tag));
        }
        assert_eq!(used.note(&seal(2), at(0)), Err(NotAgain::TooMany));
    }

    #[test]
    fn no_text_that_is_not_a_seal_is_read_as_one() {
        let whole = seal(1).to_string();
        let longer = format!("{whole}.x");
        let cut = &whole[..whole.len() - 2];
        for text in [
            "",
            ".",
            "...",
            "1.2.3.4",
            longer.as_str(),
            cut,
            &"1".repeat(300),
        ] {
            assert_eq!(Seal::parse(text), None, "{text}");
        }
    }
}
