//! One row for each way in which Entra and Graph refuse: status, code, and a part of the message.

use graph_emulator::World;
use graph_emulator::world::{ClientSecret, DeniedText, UnknownPlace};
use jiff::Timestamp;

use crate::client::{Client, Reply, TENANT};

const OTHER: &str = "5f1d7a9c-9999-4000-8000-000000000009";

type Change = fn(&mut World);

/// A change of the world, the tenant asked for, changed fields of the request, and the refusal.
type Row = (
    Change,
    &'static str,
    &'static [(&'static str, &'static str)],
    (u16, &'static str, u64),
);

fn aadsts(reply: &Reply) -> (u16, &str, u64) {
    let body = &reply.body;
    let code = body["error_codes"][0].as_u64().unwrap_or_default();
    let description = body["error_description"].as_str().unwrap_or_default();
    assert!(
        description.starts_with(&format!("AADSTS{code}: ")),
        "{body}"
    );
    for part in ["\r\nTrace ID: ", "\r\nCorrelation ID: ", "\r\nTimestamp: "] {
        assert!(description.contains(part), "{body}");
    }
    let error = body["error"].as_str().unwrap_or_default();
    (reply.status.as_u16(), error, code)
}

#[tokio::test]
async fn entra_refuses_with_the_code_that_names_the_cause() {
    let nothing: Change = |_| {};
    let expire: Change = |world| {
        let secret = ClientSecret {
            value: "demo-secret".to_owned(),
            expires_at: Some(Timestamp::UNIX_EPOCH),
        };
        world.tenants[0].applications[0].secrets = vec![secret];
    };
    let disable: Change = |world| world.tenants[0].applications[0].disabled = true;
    let block: Change = |world| world.tenants[0].applications[0].blocked_by_policy = true;
    let rows: &[Row] = &[
        (
            nothing,
            TENANT,
            &[("client_secret", "wrong")],
            (401, "invalid_client", 7_000_215),
        ),
        (expire, TENANT, &[], (401, "invalid_client", 7_000_222)),
        (
            nothing,
            TENANT,
            &[("client_secret", "")],
            (401, "invalid_client", 7_000_218),
        ),
        (
            nothing,
            TENANT,
            &[("client_id", OTHER)],
            (400, "unauthorized_client", 700_016),
        ),
        (
            disable,
            TENANT,
            &[],
            (401, "unauthorized_client", 7_000_112),
        ),
        (block, TENANT, &[], (400, "invalid_grant", 53_003)),
        (nothing, OTHER, &[], (400, "invalid_request", 90_002)),
        (
            nothing,
            "old.example",
            &[],
            (400, "invalid_request", 90_002),
        ),
        (
            nothing,
            TENANT,
            &[("scope", "User.Read.All")],
            (400, "invalid_scope", 70_011),
        ),
        (
            nothing,
            TENANT,
            &[("scope", "https://vault.example/.default")],
            (400, "invalid_resource", 500_011),
        ),
        (
            nothing,
            TENANT,
            &[("grant_type", "")],
            (400, "invalid_request", 900_144),
        ),
    ];
    for (change, tenant, fields, expected) in rows {
        let client = Client::with(change).await;
        let reply = client.token_at(tenant, fields).await;
        assert_eq!(aadsts(&reply), *expected, "{tenant} {fields:?}");
    }
}

#[tokio::test]
async fn a_verified_domain_names_its_tenant_and_a_token_without_roles_is_issued() {
    let client = Client::with(|world| world.tenants[0].applications[0].roles.clear()).await;
    let reply = client.token_at("contoso.example", &[]).await;
    assert_eq!(reply.status, 200);
    let life = reply.body["expires_in"].as_u64().unwrap();
    assert!((3_599..5_400).contains(&life), "{life}");
    assert_eq!(
        client.get("organization").await.code(),
        (403, "Authorization_RequestDenied")
    );
    assert_eq!(
        client.get("places/microsoft.graph.room").await.code(),
        (403, "ErrorAccessDenied")
    );
    let calendar = client.get("users/room-a@contoso.example/calendar").await;
    assert_eq!(calendar.code(), (403, "ErrorAccessDenied"));
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn graph_refuses_with_the_code_that_names_the_cause() {
    let client = Client::new().await;
    let rows = [
        (
            "users/nobody@contoso.example",
            404,
            "Request_ResourceNotFound",
        ),
        ("users/a@contoso.example", 404, "Request_ResourceNotFound"),
        ("users/ada@contoso.example", 404, "Request_ResourceNotFound"),
        ("users?$filter=mail%20eq", 400, "Request_BadRequest"),
        ("users?$top=1000", 400, "BadRequest"),
        ("domains/unknown.example", 404, "Request_ResourceNotFound"),
        (
            "users/nobody@contoso.example/calendar",
            404,
            "ErrorInvalidUser",
        ),
        ("users/a@contoso.example/calendar", 404, "ErrorInvalidUser"),
        (
            "users/legacy@contoso.example/calendar",
            404,
            "MailboxNotEnabledForRESTAPI",
        ),
        (
            "users/gone@contoso.example/calendar",
            404,
            "MailboxNotEnabledForRESTAPI",
        ),
        (
            "users/visitor@partner.example/calendar",
            404,
            "MailboxNotEnabledForRESTAPI",
        ),
        (
            "users/ceo@contoso.example/calendar",
            403,
            "ErrorAccessDenied",
        ),
        ("places/room-b@contoso.example", 404, "UnknownError"),
        ("places/ada@contoso.example", 404, "UnknownError"),
        (
            "users/room-a@contoso.example/events/none",
            404,
            "ErrorItemNotFound",
        ),
        (
            "subscriptions/5f1d7a9c-9999-4000-8000-000000000009",
            404,
            "ResourceNotFound",
        ),
        ("me", 501, "NotImplemented"),
        ("users?$orderby=mail", 501, "NotImplemented"),
        ("users?$filter=city%20eq%20'x'", 501, "NotImplemented"),
        (
            "users?$filter=endsWith(mail,'x')",
            400,
            "Request_UnsupportedQuery",
        ),
    ];
    for (path, status, code) in rows {
        let reply = client.get(path).await;
        assert_eq!(reply.code(), (status, code), "{path}: {}", reply.body);
        let inner = &reply.body["error"]["innerError"];
        assert_eq!(
            inner["request-id"],
            reply.headers["request-id"].to_str().unwrap()
        );
        assert!(reply.headers.contains_key("date"));
    }
    let denied = client.get("users/ceo@contoso.example/calendar").await;
    assert!(denied.message().contains("[RAOP]"));
    assert_eq!(
        client.get("places/room-b@contoso.example").await.message(),
        ""
    );
    let notes = client
        .emulator
        .journal(0)
        .into_iter()
        .filter_map(|entry| entry.note);
    assert_eq!(notes.count(), 3);
}

#[tokio::test]
async fn an_advanced_query_is_not_imitated_but_only_if_it_is_asked_for_as_one() {
    let client = Client::new().await;
    let path = "users?$count=true&$filter=mail%20ne%20'x'";
    let mut request = client.request("GET", path, None);
    let eventual = "eventual".parse().unwrap();
    request.headers_mut().insert("consistencylevel", eventual);
    assert_eq!(client.send(request).await.status, 501);
    assert_eq!(
        client.get(path).await.code(),
        (400, "Request_UnsupportedQuery")
    );
}

#[tokio::test]
async fn the_basic_profile_has_no_proxy_addresses_and_finds_nobody_by_them() {
    let client = Client::with(|world| {
        world.tenants[0].applications[0].roles = vec!["User.ReadBasic.All".to_owned()];
    })
    .await;
    let path = "users/room-a@contoso.example?$select=mail,proxyAddresses,assignedPlans";
    let reply = client.get(path).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["mail"], "room-a@contoso.example");
    assert!(reply.body.get("proxyAddresses").is_none());
    let path = "users?$filter=proxyAddresses/any(p:p%20eq%20'smtp:a@contoso.example')";
    assert_eq!(
        client.get(path).await.code(),
        (403, "Authorization_RequestDenied")
    );
}

#[tokio::test]
async fn a_domain_below_a_verified_one_is_not_a_root() {
    let client = Client::with(|world| {
        let mut below = world.tenants[0].domains[0].clone();
        below.name = "Lab.contoso.example".to_owned();
        below.default = false;
        world.tenants[0].domains.push(below);
    })
    .await;
    let domains = client.get("domains?$select=id,isRoot").await;
    let roots: Vec<_> = domains.body["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|domain| domain["isRoot"].as_bool().unwrap())
        .collect();
    assert_eq!(roots, [true, true, true, false]);
}

#[tokio::test]
async fn undocumented_behaviour_can_be_switched() {
    let client = Client::with(|world| {
        let behaviour = &mut world.behaviour;
        behaviour.denied_text = DeniedText::Generic;
        behaviour.unknown_place = UnknownPlace::InvalidPlace;
        behaviour.on_premises_status = 400;
        behaviour.missing_subscription_code = "itemNotFound".to_owned();
    })
    .await;
    let denied = client.get("users/ceo@contoso.example/calendar").await;
    assert_eq!(
        denied.message(),
        "Access is denied. Check credentials and try again."
    );
    let place = client.get("places/room-b@contoso.example").await;
    assert!(place.message().contains("invalid_place"));
    assert_eq!(
        client
            .get("users/legacy@contoso.example/calendar")
            .await
            .status,
        400
    );
    assert_eq!(
        client.get("subscriptions/none").await.code(),
        (404, "itemNotFound")
    );
}

#[tokio::test]
async fn a_bad_token_is_refused_and_an_old_one_expires_on_the_emulators_clock() {
    let mut client = Client::new().await;
    let good = std::mem::take(&mut client.token);
    assert_eq!(
        client.get("domains").await.code(),
        (401, "InvalidAuthenticationToken")
    );
    client.token = format!("{}x", good.trim_end_matches(char::is_alphanumeric));
    assert_eq!(client.get("domains").await.status, 401);
    client.token = good;
    assert_eq!(client.get("domains").await.status, 200);
    client.emulator.advance(std::time::Duration::from_hours(2));
    let expired = client.get("domains").await;
    assert_eq!(
        expired.message(),
        "Lifetime validation failed, the token is expired."
    );
    assert!(
        expired.headers["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Bearer")
    );
    client.sign_in().await;
    assert_eq!(client.get("domains").await.status, 200);
}

#[tokio::test]
async fn roles_last_as_long_as_the_token_and_policies_act_at_once() {
    let mut client = Client::new().await;
    let room = "users/room-a@contoso.example/calendar";
    let change = |world: &mut World| {
        let application = &mut world.tenants[0].applications[0];
        application
            .roles
            .retain(|role| !role.starts_with("Calendars"));
    };
    client.emulator.update_world(change).unwrap();
    assert_eq!(client.get(room).await.status, 200);
    client.sign_in().await;
    assert_eq!(client.get(room).await.status, 403);
    let grant = |world: &mut World| {
        let application = &mut world.tenants[0].applications[0];
        application.exchange_roles = vec!["Application Calendars.Read".to_owned()];
    };
    client.emulator.update_world(grant).unwrap();
    assert_eq!(client.get(room).await.status, 200);
    let deny = |world: &mut World| {
        let application = &mut world.tenants[0].applications[0];
        application.denied.push("ROOM-A@contoso.example".to_owned());
    };
    client.emulator.update_world(deny).unwrap();
    assert_eq!(client.get(room).await.status, 403);
}
