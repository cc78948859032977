//! What a copy leaves at Graph that dies at the worst instant: a subscription that no status names, and one whose object is
//! gone.

use std::time::Duration;

use graph_emulator::{EmulatorService, SubscriptionView};
use http::Method;
use serde_json::json;

use crate::foreign::{self, Caller, ask, token};
use crate::town::{client_id, take_doubles};
use crate::truth::owner;
use crate::witness::Witness;

/// An object that never was.
const NOBODY: &str = "5f1d7a9c-6666-4000-8000-000000000001";

/// How long such a subscription would live.
const LIFE: Duration = Duration::from_hours(100);

/// Creates both, as the copy would have: like `one`, which is alive.
pub(crate) async fn leave(
    graph: &EmulatorService,
    witness: &Witness,
    one: &SubscriptionView,
    (tenant, secret): (usize, &str),
) {
    let caller = Caller {
        tenant,
        client: client_id(tenant),
        secret: secret.to_owned(),
    };
    let Some(token) = token(graph, &caller).await else {
        return;
    };
    take_doubles(&graph.control(), true);
    for of in [owner(one), NOBODY] {
        let url = one.notification_url.replace(owner(one), of);
        let body = json!({
            "changeType": one.change_type,
            "notificationUrl": url,
            "resource": one.resource,
            "expirationDateTime": foreign::end(graph, LIFE),
            "clientState": "of-a-copy-that-died",
        });
        let created = ask(graph, Method::POST, ("/v1.0/subscriptions", &token), &body).await;
        if created.is_some_and(|created| created["id"].is_string()) {
            witness.count("subscriptions left by a crash");
        }
    }
}
