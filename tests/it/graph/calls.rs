//! Every operation, and what it says when something is not as it should be.

use futures::future::join_all;
use graph_emulator::{Emulator, Options};
use hybrid_calendar_operator::graph::error::{
    EndpointProblem, ErrorClass, Forbidden, NotFound, Outage,
};
use hybrid_calendar_operator::graph::model::TestEvent;
use hybrid_calendar_operator::ids::{MailboxId, SubscriptionId};
use jiff::SignedDuration;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

use super::setting::{
    ROOM, SECRET, TENANT, assert_understood, connection, contoso, contoso_with_application,
    from_now, gateway_that_trusts, mailbox, receiver, secret, serve, start, subscription, tenant,
    world,
};

#[tokio::test]
async fn the_directory_is_read() {
    let emulator = start(&contoso()).await;
    let tenant = tenant(&emulator);
    let organization = tenant.organization().await.unwrap();
    assert_eq!(
        (organization.id.as_str(), organization.display_name.as_str()),
        (TENANT, "Contoso")
    );
    let domains = tenant.domains().await.unwrap();
    let named = |name: &str| domains.iter().find(|domain| domain.name == name).unwrap();
    assert!(named("contoso.example").default && named("contoso.example").verified);
    assert!(!named("old.example").verified);
    assert!(
        organization
            .domains
            .iter()
            .all(|domain| domain.name != "old.example")
    );
    let facts = tenant.token().await.unwrap();
    assert!(facts.roles.is_sorted() && facts.roles.contains(&"Calendars.Read".to_owned()));
    assert!(tenant.clock_offset().is_zero());
    assert_understood(&emulator);
}

#[tokio::test]
async fn users_are_found_by_each_of_their_addresses() {
    let emulator = start(&contoso()).await;
    let tenant = tenant(&emulator);
    for address in [ROOM, "a@contoso.example"] {
        let found = tenant.find_users(address).await.unwrap();
        let [user] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(user.mail.as_deref(), Some(ROOM));
        assert_eq!(user.display_name, "Room A");
        assert!(
            user.proxy_addresses.contains(&format!("SMTP:{ROOM}")),
            "{user:?}"
        );
        assert!(
            user.proxy_addresses
                .contains(&"smtp:a@contoso.example".to_owned()),
            "{user:?}"
        );
        assert_eq!(tenant.get_user(user.id.as_str()).await.unwrap(), *user);
        assert_eq!(tenant.get_user(ROOM).await.unwrap(), *user);
    }
    mailbox(&tenant, "o'neil@contoso.example").await;
    let guest = "guest_fabrikam.example#EXT#@contoso.onmicrosoft.com";
    assert!(tenant.get_user(guest).await.unwrap().guest);
    assert_eq!(
        tenant.find_users("nobody@contoso.example").await.unwrap(),
        []
    );
    let error = tenant.get_user("nobody@contoso.example").await.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound(NotFound::Unknown));
    assert!(error.request_id.is_some());
    assert!(!error.to_string().contains("nobody"), "{error}");
    assert_understood(&emulator);
}

#[tokio::test]
async fn mailboxes_say_what_is_wrong_with_them() {
    let world = contoso_with_application(&json!({"denied": ["ceo@contoso.example"]}));
    let emulator = start(&world).await;
    let tenant = tenant(&emulator);
    let room = mailbox(&tenant, ROOM).await;
    let calendar = tenant.calendar(&room).await.unwrap();
    assert_eq!(calendar.owner_address.as_deref(), Some(ROOM));
    for (address, class) in [
        (
            "legacy@contoso.example",
            ErrorClass::NotFound(NotFound::NotEnabledForRest),
        ),
        (
            "gone@contoso.example",
            ErrorClass::NotFound(NotFound::NotEnabledForRest),
        ),
        (
            "nobody@contoso.example",
            ErrorClass::NotFound(NotFound::Unknown),
        ),
        (
            "ceo@contoso.example",
            ErrorClass::Forbidden(Forbidden::AccessPolicy),
        ),
    ] {
        let error = tenant.calendar(&MailboxId::new(address)).await.unwrap_err();
        assert_eq!(error.class, class, "{address}: {error}");
    }
}

#[tokio::test]
async fn places_know_listed_rooms_only() {
    let emulator = start(&contoso()).await;
    let tenant = tenant(&emulator);
    assert_eq!(
        tenant.place(ROOM).await.unwrap().email_address.as_deref(),
        Some(ROOM)
    );
    assert_eq!(tenant.first_places().await.unwrap().len(), 1);
    let error = tenant.place("hidden@contoso.example").await.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound(NotFound::Unknown));
    assert_understood(&emulator);
}

#[tokio::test]
async fn an_event_is_created_read_and_deleted() {
    let emulator = start(&contoso()).await;
    let tenant = tenant(&emulator);
    let room = mailbox(&tenant, ROOM).await;
    let event = TestEvent {
        subject: "Provisioning check".to_owned(),
        start: from_now(SignedDuration::from_hours(1)),
        end: from_now(SignedDuration::from_hours(2)),
        transaction_id: Uuid::new_v4(),
    };
    let id = tenant.create_event(&room, &event).await.unwrap();
    let read = tenant.get_event(&room, &id).await.unwrap();
    assert_eq!(read.id, id);
    assert_eq!(read.transaction_id, Some(event.transaction_id.to_string()));
    let double = tenant.create_event(&room, &event).await.unwrap_err();
    assert_eq!(double.class, ErrorClass::Rejected, "{double}");
    tenant.delete_event(&room, &id).await.unwrap();
    let again = tenant.delete_event(&room, &id).await.unwrap_err();
    assert_eq!(again.class, ErrorClass::NotFound(NotFound::Unknown));
    assert_understood(&emulator);
}

#[tokio::test]
async fn a_subscription_lives_as_long_as_it_is_renewed() {
    let emulator = start(&contoso()).await;
    let tenant = tenant(&emulator);
    let room = mailbox(&tenant, ROOM).await;
    let new = subscription(&room, &receiver().await);
    let granted = tenant.create_subscription(&new).await.unwrap();
    assert!(new.expires_at.duration_since(granted.expires_at).abs() < SignedDuration::from_secs(2));
    assert!(
        granted
            .granted_at
            .duration_since(from_now(SignedDuration::ZERO))
            .abs()
            < SignedDuration::from_secs(5)
    );

    let read = tenant.get_subscription(&granted.id).await.unwrap();
    assert_eq!(read.notification_url, new.notification_url.as_str());
    assert_eq!(read.resource, format!("users/{room}/events"));
    assert_eq!(tenant.list_subscriptions().await.unwrap(), [read]);

    let double = tenant.create_subscription(&new).await.unwrap_err();
    let existing = Some(granted.id.clone());
    assert_eq!(double.class, ErrorClass::Duplicate { existing });

    let until = from_now(SignedDuration::from_hours(150));
    let renewed = tenant.renew_subscription(&granted.id, until).await.unwrap();
    assert!(renewed.expires_at > granted.expires_at);
    tenant.delete_subscription(&granted.id).await.unwrap();
    let missing = ErrorClass::NotFound(NotFound::Unknown);
    let errors = [
        tenant.delete_subscription(&granted.id).await.unwrap_err(),
        tenant
            .renew_subscription(&granted.id, until)
            .await
            .unwrap_err(),
        tenant
            .get_subscription(&SubscriptionId::new("nonsense/../x"))
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.class, missing, "{error}");
    }
    assert_understood(&emulator);
}

#[tokio::test]
async fn a_life_that_is_too_long_is_refused_with_the_longest() {
    let emulator = start(&contoso()).await;
    let tenant = tenant(&emulator);
    let mut new = subscription(&mailbox(&tenant, ROOM).await, &receiver().await);
    new.expires_at = from_now(SignedDuration::from_hours(170));
    let error = tenant.create_subscription(&new).await.unwrap_err();
    let longest = Some(Duration::from_mins(10_070));
    assert_eq!(error.class, ErrorClass::LifetimeTooLong { longest });
}

#[tokio::test]
async fn a_receiver_that_cannot_be_validated_is_named() {
    let mut slow = contoso();
    slow["limits"] = json!({"validationTimeout": "200ms"});
    let emulator = start(&slow).await;
    let tenant = tenant(&emulator);
    let room = mailbox(&tenant, ROOM).await;
    let wrong = serve(axum::Router::new().fallback(|| async { "hello" })).await;
    let hanging = serve(axum::Router::new().fallback(std::future::pending::<&str>)).await;
    for (receiver, problem) in [
        (wrong, EndpointProblem::Failed),
        (hanging, EndpointProblem::TimedOut),
    ] {
        let new = subscription(&room, &receiver);
        let error = tenant.create_subscription(&new).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::EndpointInvalid(problem), "{error}");
    }
}

#[tokio::test]
async fn lists_are_read_to_the_end() {
    let mut small = contoso();
    small["behaviour"] = json!({"pageSize": 2});
    let emulator = start(&small).await;
    let tenant = tenant(&emulator);
    let receiver = receiver().await;
    let addresses = [
        ROOM,
        "room-b@contoso.example",
        "o'neil@contoso.example",
        "ceo@contoso.example",
        "hidden@contoso.example",
    ];
    let created = join_all(addresses.map(|address| async {
        let new = subscription(&mailbox(&tenant, address).await, &receiver);
        tenant.create_subscription(&new).await.unwrap().id
    }));
    let mut created = created.await;
    let listed = tenant.list_subscriptions().await.unwrap();
    let mut listed: Vec<SubscriptionId> = listed.into_iter().map(|one| one.id).collect();
    created.sort();
    listed.sort();
    assert_eq!(listed, created);
}

#[tokio::test]
async fn a_missing_right_is_named_and_a_new_one_works_with_a_fresh_token() {
    let emulator = start(&contoso_with_application(&json!({"roles": []}))).await;
    let tenant = tenant(&emulator);
    assert_eq!(tenant.token().await.unwrap().roles, [""; 0]);
    let denied = ErrorClass::Forbidden(Forbidden::Denied);
    let room = MailboxId::new(ROOM);
    let new = subscription(&room, &receiver().await);
    let errors = [
        tenant.organization().await.unwrap_err(),
        tenant.domains().await.unwrap_err(),
        tenant.find_users(ROOM).await.unwrap_err(),
        tenant.calendar(&room).await.unwrap_err(),
        tenant.first_places().await.unwrap_err(),
        tenant.create_subscription(&new).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.class, denied, "{error}");
    }
    emulator.set_world(world(&contoso())).unwrap();
    tenant.fresh_token().await.unwrap();
    tenant.organization().await.unwrap();
    tenant.calendar(&room).await.unwrap();
}

#[tokio::test]
async fn rights_in_exchange_work_without_showing_in_the_token() {
    let rights = json!({"roles": [], "exchangeRoles": ["Application Calendars.Read"]});
    let emulator = start(&contoso_with_application(&rights)).await;
    let tenant = tenant(&emulator);
    assert_eq!(tenant.token().await.unwrap().roles, [""; 0]);
    tenant.calendar(&MailboxId::new(ROOM)).await.unwrap();
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        tls_dir: Some(directory.path().to_owned()),
        ..Options::default()
    };
    let emulator = Emulator::start(world(&contoso()), options).await.unwrap();
    let authority = emulator.ca_pem().unwrap().into_bytes();
    let known = gateway_that_trusts(Some(authority)).tenant(connection(&emulator, secret(SECRET)));
    known.organization().await.unwrap();
    let hasty = tenant(&emulator).with_patience(Duration::ZERO);
    let error = hasty.organization().await.unwrap_err();
    assert_eq!(
        error.class,
        ErrorClass::Unavailable(Outage::LoginUnreachable)
    );
}

#[tokio::test]
async fn graphs_clock_is_known_when_it_differs_from_ours() {
    let emulator = start(&contoso()).await;
    emulator.advance(Duration::from_hours(1));
    let tenant = tenant(&emulator);
    tenant.organization().await.unwrap();
    let ahead = tenant.clock_offset();
    assert!(
        ahead > SignedDuration::from_mins(59) && ahead < SignedDuration::from_mins(61),
        "{ahead}"
    );
}
