//! Requests from anybody who can reach the receiver: notifications, lifecycle notifications, handshakes, paths.

use std::cell::Cell;
use std::collections::HashSet;

use ::fuzz::Target;
use axum::body::Bytes;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::*;
use crate::notification::forwarded::{self, ForwardedState};

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// How many items of a body carry the signature for the room, as JSON is read elsewhere: into values, of bounded depth.
/// Broken characters are left to the receiver, which skips what it does not use.
fn signed_items(body: &[u8], genuine: &str) -> Option<u64> {
    let body: Value = serde_json::from_str(&String::from_utf8_lossy(body)).ok()?;
    // `serde` reads the fields of an object from a list as well.
    let items = body.get("value").or_else(|| body.get(0));
    let is_signed = |item: &&Value| {
        let field = |name: &str, position: usize| {
            let field = item.get(name).or_else(|| item.get(position));
            field.and_then(Value::as_str).unwrap_or_default()
        };
        let tenant = field("tenantId", 1);
        field("clientState", 0) == genuine && tenant.eq_ignore_ascii_case(TENANT)
    };
    let items = items.and_then(Value::as_array);
    Some(items.map_or(0, |items| items.iter().filter(is_signed).count()) as u64)
}

#[test]
fn only_items_that_carry_our_signature_are_accepted_and_nothing_breaks_the_receiver() {
    let runtime = runtime();
    let receiver = Receiver::new();
    let genuine = receiver.client_state(room());
    let paths = [
        receiver.change_path(room()),
        receiver.lifecycle_path(room()),
    ];
    let target = Target::new("notifications").words(&[
        "\"clientState\"",
        "\"tenantId\"",
        "\"lifecycleEvent\"",
        "missed",
        "reauthorizationRequired",
        "5F1D7A9C-1111-4000-8000-000000000001",
    ]);
    target.run(|input| {
        for path in &paths {
            let before = receiver.counted("accepted", "rooms/contoso");
            let body = Bytes::copy_from_slice(input);
            let status = runtime.block_on(receiver.post(path, body));
            let accepted = receiver.counted("accepted", "rooms/contoso") - before;
            match status {
                202 => {
                    let signed = signed_items(input, &genuine);
                    assert_eq!(accepted, signed.unwrap_or(accepted));
                }
                400 | 413 => assert_eq!(accepted, 0),
                other => panic!("answered with {other}"),
            }
        }
    });
}

#[test]
fn a_handshake_is_answered_with_its_token_as_plain_text_and_with_nothing_else() {
    let runtime = runtime();
    let receiver = Receiver::new();
    let target = Target::new("handshakes").words(&["validationToken=", "%3Cscript%3E", "%ff", "+"]);
    target.run(|input| {
        // What is no URL does not get through HTTP.
        let Ok(uri) = axum::http::Uri::try_from(input) else {
            return;
        };
        let request = Request::post(uri.clone()).body(Body::empty()).unwrap();
        let (status, headers, text) = runtime.block_on(receiver.send(request));
        assert!([200, 202, 400, 404].contains(&status), "{status}");
        let is_ours = crate::domain::identity::Target::parse_path(uri.path()).is_some();
        assert_eq!(status == 404, !is_ours, "{uri}");
        if status == 200 {
            let query = uri.query().unwrap_or_default();
            assert!(
                query.contains("alidation") || query.contains('%'),
                "{query}"
            );
            assert!((1..=TOKEN_LIMIT).contains(&text.len()));
            assert_eq!(headers[header::CONTENT_TYPE], "text/plain");
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            let again = url::form_urlencoded::byte_serialize(text.as_bytes());
            let again: String = again.collect();
            let again = Request::post(format!("{}?validationToken={again}", uri.path()));
            let request = again.body(Body::empty()).unwrap();
            assert_eq!(runtime.block_on(receiver.send(request)).2, text);
        } else {
            assert_eq!(text, "");
        }
    });
}

/// The wakes that a message of a copy names, as JSON is read elsewhere.
fn named(message: &[u8]) -> Option<HashSet<Wake>> {
    let message: Value = serde_json::from_str(&String::from_utf8_lossy(message)).ok()?;
    let entries = message
        .get("wakes")
        .or_else(|| message.get(0))?
        .as_array()?;
    let read = entries.iter().map(|entry| {
        let field = |name: &str, position: usize| {
            let field = entry.get(name).or_else(|| entry.get(position));
            field.and_then(Value::as_str).unwrap_or_default()
        };
        let uid = Uid::parse(field("uid", 0))?;
        let event = LifecycleEvent::parse(field("event", 1))?;
        Some(Wake { uid, event })
    });
    Some(read.flatten().collect())
}

#[test]
fn a_signed_message_of_a_copy_wakes_whom_it_names_and_nobody_else() {
    let runtime = runtime();
    let target = Target::new("copy-messages").words(&[
        "\"wakes\"",
        "\"uid\"",
        "\"event\"",
        "missed",
        "reauthorizationRequired",
        "07070707-0707-4707-8707-070707070707",
    ]);
    let accepted = Cell::new(0);
    target.cases(2_000).run(|input| {
        let receiver = Receiver::new();
        let wakes = WakeQueue::new(1_000, receiver.metrics.wake_lost.clone());
        let (clock, (_leads, leading)) = (Clock::system(), watch::channel(true));
        let state = ForwardedState::new(
            ("leader".into(), leading),
            Arc::clone(&receiver.slot),
            wakes.clone(),
            receiver.metrics.clone(),
            clock.clone(),
        );
        let keys = &receiver.identity.keys;
        let seal = keys.seal("leader", input, (clock.now(), [1; 16]));
        let request = Request::post(forwarded::PATH)
            .header(header::AUTHORIZATION, format!("HybridCalendarWakes {seal}"))
            .body(Body::from(input.to_vec()));
        let answering = forwarded::router(state).oneshot(request.unwrap());
        let status = runtime.block_on(answering).unwrap().status().as_u16();
        let woken: HashSet<Wake> = wakes.drain().into_iter().collect();
        match status {
            202 => {
                accepted.set(accepted.get() + 1);
                assert_eq!(woken, named(input).unwrap_or(woken.clone()));
            }
            400 | 413 => assert_eq!(woken.len(), 0),
            other => panic!("answered with {other}"),
        }
    });
    assert!(accepted.get() > 0, "no example is taken");
}
