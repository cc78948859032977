//! Texts from outside that decisions read: signatures, notification URLs, durations, keys.

use std::cell::Cell;
use std::collections::BTreeMap;

use fuzz::Target;
use url::Url;

use super::identity::forward::Seal;
use super::identity::{self, KeyRing, NotificationUrls, TargetKind};
use super::schedule::go_duration;
use crate::ids::{InstanceId, KeyId, Uid};

const TENANT: &str = "5f1d7a9c-1111-4000-8000-000000000001";
const TENANTS: [&str; 3] = [TENANT, "5f1d7a9c-1111-4000-8000-000000000002", ""];

#[test]
fn a_forged_client_state_never_verifies() {
    let mut entries = KeyRing::generate(KeyId(1), [42; 32]).to_secret();
    let older = KeyRing::from_secret(&entries).unwrap();
    entries.insert("key-7".to_owned(), vec![7; 32]);
    let ring = KeyRing::from_secret(&entries).unwrap();
    let objects = [6, 7].map(|byte| Uid::from_bytes([byte; 16]));
    let genuine = |uid, tenant| {
        [&ring, &older].map(|ring| ring.client_state(uid, tenant).0.expose().to_owned())
    };
    // Subscriptions of earlier versions carry such: one of this version that only agrees with itself would lose them.
    let kept = include_str!("../../tests/fuzz/corpus/client-states/newest-key");
    assert!(ring.verify(kept, objects[1], TENANT).is_ok());
    let pairs = || {
        objects
            .into_iter()
            .flat_map(|uid| TENANTS.map(|tenant| (uid, tenant)))
    };
    for (uid, tenant) in pairs() {
        for text in genuine(uid, tenant) {
            let verifies = |&(uid, tenant): &(Uid, &str)| ring.verify(&text, uid, tenant).is_ok();
            assert_eq!(
                pairs().filter(verifies).collect::<Vec<_>>(),
                [(uid, tenant)]
            );
        }
    }
    Target::new("client-states").cases(2_000).run(|input| {
        let text = String::from_utf8_lossy(input);
        for (uid, tenant) in pairs() {
            let verified = ring.verify(&text, uid, tenant);
            let is_genuine = genuine(uid, tenant).contains(&text.to_string());
            assert_eq!(verified.is_ok(), is_genuine, "{uid} {tenant}");
        }
    });
}

#[test]
fn a_forged_seal_of_a_copy_never_verifies() {
    let mut entries = KeyRing::generate(KeyId(1), [42; 32]).to_secret();
    let older = KeyRing::from_secret(&entries).unwrap();
    entries.insert("key-7".to_owned(), vec![7; 32]);
    let ring = KeyRing::from_secret(&entries).unwrap();
    let sent = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let genuine = [&ring, &older].map(|ring| ring.seal("leader", b"body", (sent, [1; 16])));
    let verified = Cell::new(0);
    Target::new("copy-seals").cases(2_000).run(|input| {
        let Some(seal) = Seal::parse(&String::from_utf8_lossy(input)) else {
            return;
        };
        assert_eq!(Seal::parse(&seal.to_string()), Some(seal));
        let is_ours = ring.verify_seal(&seal, "leader", b"body").is_ok();
        assert_eq!(is_ours, genuine.contains(&seal));
        verified.set(verified.get() + u32::from(is_ours));
    });
    assert!(verified.get() >= 2, "no example verifies");
}

#[test]
fn a_notification_url_that_is_read_is_one_that_we_would_write() {
    let target = Target::new("notification-urls").words(&["/v1/", "notifications", "lifecycle"]);
    target.cases(2_000).run(|input| {
        let text = String::from_utf8_lossy(input);
        let Some(read) = identity::Target::parse_url(&text) else {
            return;
        };
        let path = Url::parse(&text).unwrap().path().to_owned();
        let instance = InstanceId::new(read.instance.as_str());
        let urls = NotificationUrls::new(Url::parse("https://calendar.example").unwrap(), instance);
        let written = match read.kind {
            TargetKind::Change => urls.change("rooms", &read.uid),
            TargetKind::Lifecycle => urls.lifecycle("rooms", &read.uid),
        };
        // The name of the namespace is not in the URL, only what stands for it.
        let hash = identity::namespace_hash("rooms");
        let written = written.path().replace(&hash, &read.namespace_hash);
        assert!(path.ends_with(&written), "{path} {written}");
    });
}

#[test]
fn a_duration_that_is_read_is_written_and_read_again() {
    let target =
        Target::new("durations").words(&["h", "m", "s", "ms", "us", "ns", "µs", "μs", "."]);
    target.cases(2_000).run(|input| {
        let text = String::from_utf8_lossy(input);
        if let Ok(duration) = go_duration::parse(&text) {
            let written = go_duration::print(duration);
            assert_eq!(go_duration::parse(&written), Ok(duration), "{written}");
        }
    });
}

#[test]
fn a_key_secret_that_is_read_signs_and_is_written_as_it_was() {
    Target::new("key-secrets").run(|input| {
        let mut entries: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for line in input.split(|byte| *byte == b'\n') {
            let mut parts = line.splitn(2, |byte| *byte == b':');
            let name = parts.next().unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            entries.insert(name, parts.next().unwrap_or_default().to_vec());
        }
        let Ok(ring) = KeyRing::from_secret(&entries) else {
            return;
        };
        let kept = entries.len() - ring.ignored().len();
        let written = ring.to_secret();
        assert_eq!(written.len(), kept);
        assert!(written.iter().all(|(name, key)| entries[name] == *key));
        let uid = Uid::from_bytes([7; 16]);
        let (state, key) = ring.client_state(uid, TENANT);
        assert_eq!(ring.verify(state.expose(), uid, TENANT).unwrap().key, key);
        assert_eq!(ring.ids().max(), Some(key));
    });
}
