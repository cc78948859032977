//! Mailboxes that cannot be used as they are declared, and what is said about them.

use graph_emulator::world::{Domain, Location, Mailbox};
use serde_json::{Value, json};
use testbed::objects::Kind;
use testbed::testbed::Testbed;

use super::scene::{
    SECRET, SOON, TENANT, apply, assert_one_problem, calls_about, contoso, echoed, good,
    mailbox_is, message, patch, request, room, secret, since, start, state, tenant, tenant_is,
    warning, with, world,
};

/// Contoso with these mailboxes besides.
fn contoso_and(mailboxes: &[Value]) -> Value {
    let mut organization = contoso();
    let known = organization["tenants"][0]["mailboxes"].as_array_mut();
    known.unwrap().extend_from_slice(mailboxes);
    organization
}

fn subscription_calls(bed: &Testbed, address: &str) -> usize {
    calls_about(bed, address)
        .iter()
        .filter(|call| call.operation == "createSubscription")
        .count()
}

#[tokio::test]
async fn an_unknown_address_is_named_and_works_by_itself_as_soon_as_the_mailbox_exists() {
    let bed = start(&contoso(), &good()).await;
    apply(&bed, &[room("new", "new@contoso.example")]).await;
    let found = mailbox_is(&bed, "new", "MailboxNotFound=True/NotFound").await;
    assert_one_problem(&found, "MailboxNotFound", "NotFound");
    assert!(message(&found, "Ready").contains("new@contoso.example"));
    for blocked in [
        "AddressMismatch",
        "Unauthorized",
        "RoomNotListed",
        "SubscriptionInactive",
    ] {
        assert_eq!(state(&found, blocked), "Unknown/Blocked", "{blocked}");
        assert!(message(&found, blocked).contains("MailboxNotFound"));
    }
    // It may be a mailbox that is on its way, so nobody is called at first.
    assert_eq!(state(&found, "Stalled"), "absent");
    assert_eq!(state(&found, "Reconciling"), "True/Progressing");
    assert_eq!(found["status"]["observedGeneration"], -1);
    let note = warning(&bed, "new", "NotFound").await;
    assert!(!note.contains('@'), "{note}");

    let stalled = mailbox_is(&bed, "new", "Stalled=True/NotFound").await;
    assert_eq!(state(&stalled, "Reconciling"), "absent");
    assert_eq!(stalled["status"]["observedGeneration"], 1);
    let patience = since(&stalled, "Stalled").duration_since(since(&stalled, "MailboxNotFound"));
    // Ten minutes at pace 60, each end cut to whole seconds.
    assert!(patience.as_secs() >= 9, "{patience}");
    assert_eq!(subscription_calls(&bed, "new@contoso.example"), 0);

    bed.emulator
        .update_world(|world| {
            let mailboxes = &mut world.tenant_mut(TENANT).unwrap().mailboxes;
            mailboxes.push(Mailbox::room("new@contoso.example"));
        })
        .unwrap();
    let ready = mailbox_is(&bed, "new", "Ready=True/Activated").await;
    assert_eq!(state(&ready, "Stalled"), "absent");
    let history = ready["status"]["history"].as_array().unwrap();
    let entries: Vec<_> = history.iter().map(|entry| entry["to"].clone()).collect();
    assert_eq!(entries, ["Activated", "MailboxNotFound"]);
    assert_eq!(history[1]["reason"], "NotFound");
}

#[tokio::test]
async fn a_repaired_address_works_at_once_when_a_person_asks_for_it() {
    // In earnest pace the next retry is most of a minute away.
    let bed = Testbed::start_with(world(&contoso()), |options| options.rehearsal_pace = None)
        .await
        .unwrap();
    apply(&bed, &good()).await;
    apply(&bed, &[room("new", "new@contoso.example")]).await;
    mailbox_is(&bed, "new", "MailboxNotFound=True/NotFound").await;
    request(&bed, Kind::Mailbox, "new", "once").await;
    echoed(&bed, Kind::Mailbox, "new", "once").await;
    let still = bed.get_mailbox("new").await.unwrap();
    assert_one_problem(&still, "MailboxNotFound", "NotFound");

    bed.emulator
        .update_world(|world| {
            let mailboxes = &mut world.tenant_mut(TENANT).unwrap().mailboxes;
            mailboxes.push(Mailbox::room("new@contoso.example"));
        })
        .unwrap();
    request(&bed, Kind::Mailbox, "new", "twice").await;
    bed.wait_condition(Kind::Mailbox, "new", "Ready=True/Activated", SOON)
        .await
        .unwrap();
    let ready = bed.get_mailbox("new").await.unwrap();
    assert_eq!(ready["status"]["lastHandledReconcileAt"], "twice");
}

#[tokio::test]
async fn a_room_is_ready_although_places_does_not_list_it() {
    let hidden = json!({"address": "hidden@contoso.example", "type": "room", "listed": false});
    let bed = start(&contoso_and(&[hidden]), &good()).await;
    apply(&bed, &[room("hidden", "hidden@contoso.example")]).await;
    let unlisted = mailbox_is(&bed, "hidden", "RoomNotListed=True/NotInPlaces").await;
    assert_eq!(state(&unlisted, "Ready"), "True/Activated");
    assert_eq!(state(&unlisted, "Stalled"), "absent");
    assert_eq!(unlisted["status"]["observedGeneration"], 1);
    let note = warning(&bed, "hidden", "NotInPlaces").await;
    assert!(!note.contains('@'), "{note}");

    bed.emulator
        .update_world(|world| {
            world.mailbox_mut("hidden@contoso.example").unwrap().listed = true;
        })
        .unwrap();
    let listed = mailbox_is(&bed, "hidden", "RoomNotListed=False/Listed").await;
    assert_eq!(state(&listed, "Ready"), "True/Activated");
}

#[tokio::test]
async fn a_domain_that_is_not_verified_or_not_accepted_is_named_with_those_that_are() {
    let rooms = [
        json!({"address": "room@old.example", "type": "room"}),
        json!({"address": "room@laboratory.example", "type": "room"}),
    ];
    let limited = with(
        tenant("contoso"),
        json!({"spec": {"domains": ["contoso.example"]}}),
    );
    let objects = [
        secret("credential", SECRET),
        limited,
        tenant("unlimited"),
        with(
            room("unverified", "room@old.example"),
            json!({"spec": {"tenantRef": {"name": "unlimited"}}}),
        ),
        room("foreign", "room@elsewhere.example"),
        room("excluded", "room@laboratory.example"),
    ];
    let bed = start(&contoso_and(&rooms), &objects).await;
    for (name, reason, domains) in [
        (
            "unverified",
            "DomainNotInTenant",
            "contoso.example, laboratory.example",
        ),
        (
            "foreign",
            "DomainNotInTenant",
            "contoso.example, laboratory.example",
        ),
        ("excluded", "DomainNotAllowed", "accepts contoso.example."),
    ] {
        let expected = format!("DomainMismatch=True/{reason}");
        let found = mailbox_is(&bed, name, &expected).await;
        assert_one_problem(&found, "DomainMismatch", reason);
        assert!(
            message(&found, "DomainMismatch").contains(domains),
            "{found:#}"
        );
        assert_eq!(state(&found, "MailboxNotFound"), "Unknown/Blocked");
        assert_eq!(state(&found, "Stalled"), "absent");
    }
    for (name, address) in [
        ("unverified", "room@old.example"),
        ("foreign", "room@elsewhere.example"),
        ("excluded", "room@laboratory.example"),
    ] {
        let stalled = mailbox_is(&bed, name, "Stalled=True").await;
        assert_eq!(stalled["status"]["observedGeneration"], 1);
        assert_eq!(calls_about(&bed, address), [], "{name}");
    }

    // What an administrator does in Microsoft 365 is noticed by itself, a change of the spec at once.
    bed.emulator
        .update_world(|world| {
            let domains = &mut world.tenant_mut(TENANT).unwrap().domains;
            let verify = |domain: &mut Domain| domain.verified = true;
            domains.iter_mut().for_each(verify);
        })
        .unwrap();
    let accepted = json!({"spec": {"domains": ["contoso.example", "laboratory.example"]}});
    patch(&bed, Kind::Tenant, "contoso", &accepted).await;
    bed.wait_condition(Kind::Mailbox, "excluded", "Ready=True/Activated", SOON)
        .await
        .unwrap();
    mailbox_is(&bed, "unverified", "Ready=True/Activated").await;
}

#[tokio::test]
async fn an_address_that_is_not_the_primary_one_is_told_which_one_is() {
    let mailboxes = [
        json!({"address": "main@contoso.example", "type": "room",
            "aliases": ["alias@contoso.example"]}),
        json!({"address": "desk@contoso.example", "type": "room",
            "userPrincipalName": "sign-in@contoso.example"}),
        json!({"address": "o'hara@contoso.example", "type": "user"}),
    ];
    let bed = start(&contoso_and(&mailboxes), &good()).await;
    let person = json!({"spec": {"type": "User"}});
    let objects = [
        room("alias", "alias@contoso.example"),
        room("sign-in", "sign-in@contoso.example"),
        with(room("apostrophe", "o'hara@contoso.example"), person),
    ];
    apply(&bed, &objects).await;
    for (name, reason, primary) in [
        ("alias", "AliasUsed", "main@contoso.example"),
        ("sign-in", "UserPrincipalNameUsed", "desk@contoso.example"),
        (
            "apostrophe",
            "UnsupportedCharacter",
            "o'hara@contoso.example",
        ),
    ] {
        let found = mailbox_is(&bed, name, &format!("AddressMismatch=True/{reason}")).await;
        assert_one_problem(&found, "AddressMismatch", reason);
        let named = format!("the primary address is {primary}");
        assert!(message(&found, "Ready").contains(&named), "{found:#}");
        assert_eq!(state(&found, "MailboxNotFound"), "False/MailboxFound");
        assert_eq!(state(&found, "Unauthorized"), "Unknown/Blocked");
        // Only a person can end it.
        assert_eq!(state(&found, "Stalled"), format!("True/{reason}"));
        assert_eq!(found["status"]["observedGeneration"], 1);
        let note = warning(&bed, name, reason).await;
        assert!(!note.contains('@'), "{note}");
    }
    for (name, primary) in [
        ("alias", "main@contoso.example"),
        ("sign-in", "desk@contoso.example"),
    ] {
        assert_eq!(subscription_calls(&bed, primary), 0, "{name}");
        let corrected = json!({"spec": {"address": primary}});
        patch(&bed, Kind::Mailbox, name, &corrected).await;
        bed.wait_condition(Kind::Mailbox, name, "Ready=True/Activated", SOON)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn mailboxes_that_graph_cannot_read_say_whether_policy_or_place_is_the_cause() {
    let mailboxes = [
        json!({"address": "ceo@contoso.example", "type": "room"}),
        json!({"address": "cellar@contoso.example", "type": "room", "location": "onPremises"}),
        json!({"address": "gone@contoso.example", "type": "room", "location": "softDeleted"}),
        json!({"address": "poor@contoso.example", "type": "room", "location": "unlicensed"}),
        json!({"address": "visitor@contoso.example", "type": "user", "guest": true}),
    ];
    let mut organization = contoso_and(&mailboxes);
    organization["tenants"][0]["applications"][0]["denied"] = json!(["ceo@contoso.example"]);
    let bed = start(&organization, &good()).await;
    tenant_is(&bed, "contoso", "Ready=True/Operational").await;
    let mut objects: Vec<Value> = ["ceo", "cellar", "gone", "poor"]
        .iter()
        .map(|name| room(name, &format!("{name}@contoso.example")))
        .collect();
    let person = json!({"spec": {"type": "User"}});
    objects.push(with(room("visitor", "visitor@contoso.example"), person));
    apply(&bed, &objects).await;
    for (name, type_, reason) in [
        ("ceo", "Unauthorized", "AccessPolicyDenied"),
        ("cellar", "MailboxNotFound", "NotEnabledForRest"),
        ("gone", "MailboxNotFound", "NotEnabledForRest"),
        ("poor", "MailboxNotFound", "NotEnabledForRest"),
        ("visitor", "MailboxNotFound", "GuestAccount"),
    ] {
        let found = mailbox_is(&bed, name, &format!("{type_}=True/{reason}")).await;
        assert_one_problem(&found, type_, reason);
        let address = format!("{name}@contoso.example");
        assert_eq!(subscription_calls(&bed, &address), 0, "{name}");
        let note = warning(&bed, name, reason).await;
        assert!(!note.contains('@'), "{note}");
        // A policy takes its time to act, so its refusal is not final at first; a mailbox's place is.
        let final_ = if name == "ceo" {
            "absent".to_owned()
        } else {
            format!("True/{reason}")
        };
        assert_eq!(state(&found, "Stalled"), final_, "{name}");
    }
    let stalled = mailbox_is(&bed, "ceo", "Stalled=True/AccessPolicyDenied").await;
    assert_eq!(stalled["status"]["observedGeneration"], 1);

    bed.emulator
        .update_world(|world| {
            let tenant = world.tenant_mut(TENANT).unwrap();
            tenant.applications[0].denied.clear();
            world
                .mailbox_mut("cellar@contoso.example")
                .unwrap()
                .location = Location::Cloud;
        })
        .unwrap();
    mailbox_is(&bed, "ceo", "Ready=True/Activated").await;
    mailbox_is(&bed, "cellar", "Ready=True/Activated").await;
}
