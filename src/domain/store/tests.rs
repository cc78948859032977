//! What is known, and what our own writes make of it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::api::v1alpha1::mailbox::WorkspaceMailboxStatus;
use crate::api::v1alpha1::tenant::CalendarTenantStatus;
use crate::domain::mailbox::tenant_view::{EndpointState, TokenState};
use crate::ids::AppTenant;

fn room(uid: u8, version: &str) -> MailboxRecord {
    let spec = json!({"tenantRef": {"name": "contoso"}, "address": "room-a@contoso.example"});
    MailboxRecord {
        key: ObjectKey::new("rooms", "room-a"),
        uid: Uid::from_bytes([uid; 16]),
        generation: 1,
        resource_version: version.into(),
        created_at: Timestamp::UNIX_EPOCH,
        requested_at: None,
        spec: serde_json::from_value(spec).unwrap(),
        status: WorkspaceMailboxStatus::default(),
    }
}

#[test]
fn an_answer_that_comes_after_somebody_elses_change_is_no_news() {
    let tenant = |version: &str| -> TenantRecord {
        let spec = json!({
            "tenantId": "5f1d7a9c-1111-4000-8000-000000000001",
            "clientId": "5f1d7a9c-2222-4000-8000-000000000001",
            "credential": {"workloadIdentity": {"serviceAccountName": "calendars"}},
        });
        TenantRecord {
            key: ObjectKey::new("rooms", "contoso"),
            uid: Uid::from_bytes([9; 16]),
            generation: 1,
            resource_version: version.into(),
            created_at: Timestamp::UNIX_EPOCH,
            requested_at: None,
            spec: serde_json::from_value(spec).unwrap(),
            status: CalendarTenantStatus::default(),
        }
    };
    let known = KnownTenant {
        key: ObjectKey::new("rooms", "contoso"),
        uid: Uid::from_bytes([9; 16]),
        app: AppTenant {
            cloud: "Worldwide".into(),
            tenant_id: "tenant".into(),
            client_id: "client".into(),
        },
        lifetime: Duration::from_hours(160),
        places: false,
        domains: None,
        token: TokenState::Pending,
        recovered_at: None,
        roles: Vec::new(),
        calendars_readable: false,
        microsoft_silent: false,
        endpoint: EndpointState::Usable,
        mailboxes: 0,
    };
    let is_known = |store: &Store, version| {
        let TenantRecord { key, uid, .. } = tenant("1");
        store.knows_tenant(&key, uid, version)
    };
    let mut store = Store::default();
    assert!(!is_known(&store, "11"));
    store.put_tenant(tenant("11"), known);
    assert!(is_known(&store, "10"));
    assert!(is_known(&store, "11"));
    assert!(!is_known(&store, "12"));
}

fn memory() -> Memory {
    Memory::new(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH)
}

fn known(store: &Store) -> Option<(Uid, &str)> {
    let entry = store.mailbox(&ObjectKey::new("rooms", "room-a"))?;
    Some((entry.record.uid, &entry.record.resource_version))
}

#[test]
fn our_own_write_is_known_at_once() {
    let mut store = Store::default();
    store.put_mailbox(room(1, "1"), memory());
    assert!(store.rewrite_mailbox(room(1, "2")));
    assert_eq!(known(&store), Some((room(1, "2").uid, "2")));
}

#[test]
fn our_own_write_does_not_bring_back_what_was_deleted_meanwhile() {
    let mut store = Store::default();
    store.put_mailbox(room(1, "1"), memory());
    store.remove_mailbox(&room(1, "1").key);
    assert!(!store.rewrite_mailbox(room(1, "2")));
    assert_eq!(known(&store), None);
}

#[test]
fn our_own_write_does_not_displace_the_object_that_has_the_name_now() {
    let mut store = Store::default();
    store.put_mailbox(room(1, "1"), memory());
    store.put_mailbox(room(2, "3"), memory());
    assert!(!store.rewrite_mailbox(room(1, "2")));
    assert_eq!(known(&store), Some((room(2, "3").uid, "3")));
    assert_eq!(store.key_of(room(2, "3").uid), Some(&room(2, "3").key));
}

#[test]
fn what_the_api_server_does_not_store_is_not_written_again() {
    let mut store = Store::default();
    let mut written = room(1, "2");
    written.status.observed_generation = Some(1);
    store.put_mailbox(room(1, "1"), memory());
    assert!(!store.insist_on_mailbox(&written), "not shown yet");
    store.put_mailbox(room(1, "2"), memory());
    assert!(store.insist_on_mailbox(&written));
    let entry = store.mailbox(&written.key).unwrap();
    assert_eq!(entry.record.status, written.status);
    assert!(!store.insist_on_mailbox(&written), "said once");

    store.put_mailbox(room(1, "3"), memory());
    assert!(!store.insist_on_mailbox(&written), "somebody wrote since");
    store.put_mailbox(room(2, "2"), memory());
    assert!(!store.insist_on_mailbox(&written), "another object");
}
