//! Round trips, and everything that must not verify.

use proptest::prelude::*;

use super::*;

const TENANT: &str = "5f1d7a9c-1111-4000-8000-00000000000a";

fn uid(n: u8) -> Uid {
    Uid::from_bytes([n; 16])
}

fn urls(base: &str) -> NotificationUrls {
    let key_secret = ObjectKey::new("hybrid-calendar", "hybrid-calendar-operator-key");
    let instance = instance("5f1d7a9c-9999-4000-8000-000000000001", &key_secret);
    NotificationUrls::new(base.parse().unwrap(), instance)
}

fn ring(entries: &[(&str, usize)]) -> Result<KeyRing, KeyRingError> {
    let entries = entries
        .iter()
        .enumerate()
        .map(|(n, (name, length))| ((*name).to_owned(), vec![u8::try_from(n).unwrap(); *length]))
        .collect();
    KeyRing::from_secret(&entries)
}

#[test]
fn an_installation_is_told_apart_by_cluster_namespace_and_name_of_its_key() {
    let of =
        |cluster, namespace: &str, name: &str| instance(cluster, &ObjectKey::new(namespace, name));
    let one = of("a", "b", "c");
    assert_eq!(one, of("a", "b", "c"));
    assert_eq!(one.as_str().len(), 16);
    for other in [
        of("x", "b", "c"),
        of("a", "x", "c"),
        of("a", "b", "x"),
        of("a", "bc", ""),
    ] {
        assert_ne!(one, other);
    }
}

#[test]
fn urls_round_trip_on_any_host_and_below_any_base_path() {
    for base in [
        "https://calendar.example",
        "https://calendar.example/",
        "https://calendar.example/hooks/graph/",
        "http://127.0.0.1:8443/?ignored=1#ignored",
    ] {
        let urls = urls(base);
        for (kind, url) in [
            (TargetKind::Change, urls.change("rooms", &uid(7))),
            (TargetKind::Lifecycle, urls.lifecycle("rooms", &uid(7))),
        ] {
            let target = Target::parse_url(url.as_str()).unwrap();
            assert_eq!(Some(&target), Target::parse_path(url.path()).as_ref());
            assert_eq!(
                target,
                Target {
                    kind,
                    instance: urls.instance().clone(),
                    namespace_hash: namespace_hash("rooms"),
                    uid: uid(7),
                },
                "{url}"
            );
        }
    }
}

#[test]
fn a_url_names_neither_namespace_nor_key_secret() {
    let url = urls("https://calendar.example/hooks").change("rooms", &uid(7));
    assert_eq!(
        url.as_str(),
        "https://calendar.example/hooks/v1/notifications/d6b52fb04ff029f4/8af56f5db32cb70b/07070707-0707-0707-0707-070707070707"
    );
}

#[test]
fn other_urls_are_not_ours() {
    let (id, hash, uid) = ("0123456789abcdef", "fedcba9876543210", uid(7));
    for path in [
        String::new(),
        "/".to_owned(),
        format!("v1/notifications/{id}/{hash}/{uid}"),
        format!("/v2/notifications/{id}/{hash}/{uid}"),
        format!("/v1/other/{id}/{hash}/{uid}"),
        format!("/v1/notifications/{id}/{uid}"),
        format!("/v1/notifications//{hash}/{uid}"),
        format!("/v1/notifications/{id}/{hash}/{uid}/"),
        format!("/v1/notifications/{id}/{hash}/{{{uid}}}"),
        format!(
            "/v1/notifications/{id}/{hash}/{}",
            uid.to_string().replace('-', "")
        ),
        format!("/v1/notifications/ID/{hash}/{uid}"),
    ] {
        assert_eq!(Target::parse_path(&path), None, "{path}");
    }
    assert_eq!(
        Target::parse_url("EventHub:https://vault.example/secrets/x"),
        None
    );
}

#[test]
fn the_endpoint_hash_follows_base_and_instance_only() {
    let hash = urls("https://calendar.example").endpoint_hash();
    assert_eq!(hash, urls("https://calendar.example/").endpoint_hash());
    assert_ne!(hash, urls("https://calendar.example/hooks").endpoint_hash());
    let other = NotificationUrls::new(
        "https://calendar.example".parse().unwrap(),
        InstanceId::new("other"),
    );
    assert_ne!(hash, other.endpoint_hash());
}

#[test]
fn the_highest_number_signs_and_all_verify() {
    let old = ring(&[("key-9", 32)]).unwrap();
    let both = ring(&[("key-9", 32), ("key-10", 32)]).unwrap();
    assert_eq!(both.ids().collect::<Vec<_>>(), [KeyId(9), KeyId(10)]);

    let rotated = KeyRing::from_secret(&{
        let mut entries = old.to_secret();
        entries.insert("key-10".to_owned(), vec![7; 32]);
        entries
    })
    .unwrap();
    let (state, key) = old.client_state(uid(7), TENANT);
    assert_eq!(key, KeyId(9));
    assert_eq!(
        rotated.verify(state.expose(), uid(7), TENANT),
        Ok(Verified { uid: uid(7), key })
    );
    let (state, _) = rotated.client_state(uid(7), TENANT);
    assert_eq!(old.verify(state.expose(), uid(7), TENANT), Err(Forged));
}

#[test]
fn unused_keys_are_dropped_but_never_the_one_that_signs() {
    let ring = ring(&[("key-1", 32), ("key-2", 32), ("key-3", 32)]).unwrap();
    let unused = ring.unused(&BTreeSet::from([KeyId(2)]));
    assert_eq!(unused, BTreeSet::from([KeyId(1)]));
}

#[test]
fn what_is_no_key_is_reported_and_what_is_broken_is_named() {
    let odd = ring(&[
        ("ca.crt", 3),
        ("key-", 32),
        ("key-+2", 32),
        ("key-01", 32),
        ("key-1", 32),
    ]);
    assert_eq!(
        odd.unwrap().ignored(),
        ["ca.crt", "key-", "key-+2", "key-01"]
    );
    assert_eq!(
        ring(&[("key-1", 32), ("key-2", 31)]),
        Err(KeyRingError::WrongLength {
            entry: "key-2".to_owned(),
            length: 31,
        })
    );
    assert_eq!(ring(&[("password", 32)]), Err(KeyRingError::Empty));
}

#[test]
fn a_ring_prints_numbers_only() {
    let ring = KeyRing::generate(KeyId(1), *b"an extremely secret secret key!!");
    assert_eq!(format!("{ring:?}"), r#"{"key-1"}"#);
}

#[test]
fn a_client_state_is_bound_to_object_and_tenant() {
    let ring = KeyRing::generate(KeyId(1), [42; 32]);
    let (state, _) = ring.client_state(uid(7), TENANT);
    assert_eq!(state.expose().len(), 70);
    assert!(
        ring.verify(state.expose(), uid(7), &TENANT.to_uppercase())
            .is_ok()
    );
    let other_tenant = "5f1d7a9c-2222-4000-8000-00000000000a";
    assert_eq!(ring.verify(state.expose(), uid(8), TENANT), Err(Forged));
    assert_eq!(
        ring.verify(state.expose(), uid(7), other_tenant),
        Err(Forged)
    );
    assert_eq!(
        KeyRing::generate(KeyId(1), [43; 32]).verify(state.expose(), uid(7), TENANT),
        Err(Forged)
    );
}

proptest! {
    #[test]
    fn every_client_state_verifies_and_fits(
        key in any::<[u8; KEY_LENGTH]>(),
        object in any::<[u8; 16]>(),
        tenant in "[0-9a-fA-F-]{0,40}",
    ) {
        let ring = KeyRing::from_secret(&KeyRing::generate(KeyId(1), key).to_secret()).unwrap();
        let uid = Uid::from_bytes(object);
        let (state, key) = ring.client_state(uid, &tenant);
        prop_assert!(state.expose().len() <= CLIENT_STATE_LIMIT);
        prop_assert_eq!(ring.verify(state.expose(), uid, &tenant), Ok(Verified { uid, key }));
    }

    #[test]
    fn arbitrary_bytes_are_forged_and_never_panic(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        let ring = KeyRing::generate(KeyId(1), [42; 32]);
        let state = URL_SAFE_NO_PAD.encode(bytes);
        prop_assert_eq!(ring.verify(&state, uid(7), TENANT), Err(Forged));
        prop_assert_eq!(ring.verify(&text, uid(7), TENANT), Err(Forged));
    }

    #[test]
    fn one_changed_bit_is_noticed(position in 0..52_usize * 8) {
        let ring = KeyRing::generate(KeyId(1), [42; 32]);
        let (state, _) = ring.client_state(uid(7), TENANT);
        let mut bytes = URL_SAFE_NO_PAD.decode(state.expose()).unwrap();
        bytes[position / 8] ^= 1 << (position % 8);
        let state = URL_SAFE_NO_PAD.encode(bytes);
        prop_assert_eq!(ring.verify(&state, uid(7), TENANT), Err(Forged));
    }

    #[test]
    fn arbitrary_paths_never_panic(path in any::<String>(), tail in "[/v1a-z0-9-]{0,120}") {
        let _ = Target::parse_path(&path);
        let _ = Target::parse_url(&path);
        let _ = Target::parse_path(&tail);
    }
}
