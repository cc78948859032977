//! Everything that the emulator reads, broken in every way: it is refused in Graph's words, or done. Nothing ends a call
//! or the process.

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use fuzz::Target;
use fuzz::message::Message;
use http::{HeaderValue, Method, Request, StatusCode};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

use crate::admin;
use crate::call::{Answer, Call, Content};
use crate::clock::Clock;
use crate::control::Control;
use crate::core::Core;
use crate::entra::certificate::Claims;
use crate::fault::{FaultState, Faults};
use crate::graph::filter::{Filter, Queries};
use crate::operation::Operation;
use crate::outgoing::network;
use crate::world::World;

const TENANT: &str = "5f1d7a9c-1111-4000-8000-000000000001";
const SECRET: &str = "demo-secret";

/// Requests of the examples have this in the place of a token that is valid.
const TOKEN: &str = "Bearer TOKEN";

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    // The key that signs tokens is found by chance, which may take longer than any input: it is made before.
    let call = token_request(&format!("client_secret={SECRET}"));
    let _ = runtime.block_on(async { core(world()).answer(call).await });
    runtime
}

/// Of the examples, with nothing that depends on chance.
fn world() -> World {
    World::from_yaml(include_str!("../examples/world.yaml")).unwrap()
}

/// An emulator that reaches nobody: all that it sends goes to a port at which nobody listens.
fn core(world: World) -> Arc<Core> {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        let nobody = reqwest::Proxy::all("http://127.0.0.1:9").unwrap();
        reqwest::Client::builder().proxy(nobody).build().unwrap()
    });
    Core::new(world, 7, network(CLIENT.clone()), Clock::system())
}

fn call(message: &Message<'_>) -> Option<Call> {
    let (method, target) = message.words();
    let uri: http::Uri = target.parse().ok()?;
    Some(Call {
        method: Method::from_bytes(method.as_bytes()).ok()?,
        path: uri.path().to_owned(),
        query: uri.query().map(str::to_owned),
        headers: message.headers.clone(),
        body: message.body.to_vec().into(),
        base: "https://emulator.example/".to_owned(),
        batched: false,
    })
}

fn token_request(fields: &str) -> Call {
    let text = format!(
        "POST /{TENANT}/oauth2/v2.0/token\ncontent-type: application/x-www-form-urlencoded\n\n\
         grant_type=client_credentials&client_id=5f1d7a9c-2222-4000-8000-000000000001\
         &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&{fields}"
    );
    call(&Message::read(text.as_bytes())).unwrap()
}

/// The answer; a call that panics has none.
fn answered(runtime: &Runtime, core: &Arc<Core>, call: Call) -> Answer {
    let answer = runtime.block_on(Arc::clone(core).answer(call));
    answer.expect("the call was finished")
}

fn json(answer: &Answer) -> &Value {
    match &answer.content {
        Content::Json(value) => value,
        Content::Empty | Content::Text(_) => &Value::Null,
    }
}

#[test]
fn every_request_is_answered_in_graphs_words() {
    let runtime = runtime();
    let core = || runtime.block_on(async { core(world()) });
    let issued = answered(
        &runtime,
        &core(),
        token_request("client_secret=demo-secret"),
    );
    let token = json(&issued)["access_token"].as_str().unwrap().to_owned();
    let token = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    let target = Target::new("emulator-requests").words(&[
        "$filter=",
        "$select=id",
        "$top=",
        "$skiptoken=",
        "$expand=",
        "proxyAddresses/any(p:p%20eq%20'smtp:a@contoso.example')",
        "startswith(mail,'a')",
        "/v1.0/$batch",
        "dependsOn",
        "/users/room-a@contoso.example",
        "expirationDateTime",
        "changeType",
        "Prefer: IdType=\"ImmutableId\"",
        "authorization: Bearer TOKEN\n",
        "content-type: application/json\n",
    ]);
    target.cases(600).run(|input| {
        let Some(mut call) = call(&Message::read(input)) else {
            return;
        };
        if call
            .headers
            .get("authorization")
            .is_some_and(|value| value == TOKEN)
        {
            call.headers.insert("authorization", token.clone());
        }
        let answer = answered(&runtime, &core(), call);
        let status = answer.status;
        assert!(
            status.as_u16() < 500 || status == StatusCode::NOT_IMPLEMENTED,
            "{answer:?}"
        );
        if status.as_u16() >= 400 {
            let error = &json(&answer)["error"];
            assert!(error.is_string() || error["code"].is_string(), "{answer:?}");
        }
    });
}

#[test]
fn no_forged_assertion_is_worth_a_token() {
    let runtime = runtime();
    let core = runtime.block_on(async {
        let mut world = world();
        let application = &mut world.tenants[0].applications[0];
        application.federated = vec![crate::world::FederatedCredential {
            issuer: "https://issuer.example".to_owned(),
            subject: "system:serviceaccount:calendars:operator".to_owned(),
            audience: "api://AzureADTokenExchange".to_owned(),
            jwks_file: None,
            jwks: Some(serde_json::json!({"keys": []})),
        }];
        core(world)
    });
    let target =
        Target::new("emulator-assertions").words(&["nbf", "exp", "iss", "sub", "aud", "."]);
    target.run(|input| {
        // Claims that say anything, and anything in the place of an assertion.
        if let Ok(claims) = serde_json::from_slice::<Claims>(input) {
            let _ = claims.check_time(core.clock.now());
        }
        let assertion: String = url::form_urlencoded::byte_serialize(input).collect();
        let answer = answered(
            &runtime,
            &core,
            token_request(&format!(
                "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
                 &client_assertion={assertion}"
            )),
        );
        assert!(answer.status.is_client_error(), "{answer:?}");
        assert!(json(&answer)["error_codes"][0].is_u64(), "{answer:?}");
    });
}

#[test]
fn every_filter_is_read_or_refused() {
    Target::new("emulator-filters").cases(1_000).run(|input| {
        let text = String::from_utf8_lossy(input);
        for queries in [Queries::Simple, Queries::Advanced] {
            if let Ok(filter) = Filter::parse(&text, queries) {
                assert!(filter.subject().is_some());
                assert_eq!(Filter::parse(&text, queries).ok(), Some(filter));
            }
        }
    });
}

#[test]
fn a_world_that_is_read_is_written_and_read_again() {
    let target = Target::new("emulator-worlds")
        .memory_per_byte(1_024)
        .words(&[
            "tenants:\n",
            "generate: {rooms: 3, prefix: r, domain: contoso.example}\n",
            "limits: {maxLifetime: 1h}\n",
            "behaviour: {pageSize: 1}\n",
        ]);
    target.run(|input| {
        let text = String::from_utf8_lossy(input);
        if let Ok(world) = World::from_yaml(&text) {
            let written = world.to_yaml();
            assert_eq!(World::from_yaml(&written).ok(), Some(world), "{written}");
        }
    });
}

#[test]
fn faults_that_are_read_are_written_and_read_again() {
    let runtime = runtime();
    let core = runtime.block_on(async { core(world()) });
    let target = Target::new("emulator-faults").words(&["\"nth\"", "\"retryAfter\"", "\"10s\""]);
    target.run(|input| {
        let Ok(faults) = serde_json::from_slice::<Faults>(input) else {
            return;
        };
        if faults.check().is_ok() {
            let written = serde_json::to_string(&faults).unwrap();
            assert_eq!(serde_json::from_str(&written).ok(), Some(faults.clone()));
            let mut state = FaultState::new(faults, &core.state().data);
            drop(state.fire(Operation::GetUser, Some(TENANT), None, || 0.5));
        }
    });
}

#[test]
fn every_call_of_the_admin_port_is_done_or_refused_with_its_reason() {
    let runtime = runtime();
    let target = Target::new("emulator-admin")
        .memory_per_byte(1_024)
        .words(&[
            "PUT /faults",
            "PUT /world",
            "POST /clock/advance",
            "{\"by\": \"10s\"}",
            "584942417355y",
            "POST /mailboxes/room-a@contoso.example/events",
            "2026-11-24T08:00:00Z",
        ]);
    target.cases(300).run(|input| {
        let message = Message::read(input);
        let (method, target) = message.words();
        let request = Request::builder().method(method).uri(target);
        let Ok(request) = request.body(Body::from(message.body.to_vec())) else {
            return;
        };
        runtime.block_on(async {
            let control = Control(core(world()));
            let again = Request::builder().method("POST").uri("/clock/advance");
            let again = again.body(Body::from(message.body.to_vec())).unwrap();
            for request in [request, again] {
                let router = admin::router(control.clone());
                let answer = router.oneshot(request).await.unwrap();
                assert!(answer.status().as_u16() < 500, "{}", answer.status());
            }
            // A fault of the clock or of the world shows when they are used.
            let _ = control.now();
            let call = token_request(&format!("client_secret={SECRET}"));
            let _ = Arc::clone(&control.0).answer(call).await;
        });
    });
}
