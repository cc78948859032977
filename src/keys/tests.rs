//! What becomes of the key Secret, against an API server that holds nothing else.

use std::convert::Infallible;
use std::sync::Mutex;

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use super::*;
use crate::api_server::ANSWER_TIME;

/// What the API server says about the key Secret.
#[derive(Clone, Debug)]
enum Said {
    /// It never answers.
    Nothing,
    /// There is none.
    NotFound,
    /// It holds this.
    Secret(Value),
}

type Held = Arc<Mutex<Said>>;

fn client(held: &Held) -> Client {
    let held = Arc::clone(held);
    let service = service_fn(move |request: Request<Body>| {
        let held = Arc::clone(&held);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            let before = held.lock().unwrap().clone();
            let (status, answer) = match (&before, parts.method) {
                (Said::Nothing, _) => return std::future::pending().await,
                (Said::NotFound, Method::GET) => failure(StatusCode::NOT_FOUND, "NotFound"),
                (Said::Secret(secret), Method::GET) => (StatusCode::OK, secret.clone()),
                (Said::Secret(_), Method::POST) => failure(StatusCode::CONFLICT, "AlreadyExists"),
                (Said::NotFound | Said::Secret(_), _) => {
                    let written: Value = serde_json::from_slice(&body).unwrap();
                    *held.lock().unwrap() = Said::Secret(written.clone());
                    (StatusCode::OK, written)
                }
            };
            let response = Response::builder().status(status);
            let body = Body::from(answer.to_string().into_bytes());
            Ok::<_, Infallible>(response.body(body).unwrap())
        }
    });
    Client::new(service, "default")
}

fn failure(status: StatusCode, reason: &str) -> (StatusCode, Value) {
    let code = status.as_u16();
    let answer = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": reason, "message": reason});
    (status, answer)
}

fn server(said: Said) -> Held {
    Held::new(Mutex::new(said))
}

fn keys(held: &Held) -> Keys {
    keys_of(held, true)
}

fn keys_of(held: &Held, leads: bool) -> Keys {
    Keys::new(
        client(held),
        ObjectKey::new("operators", "key"),
        Clock::starting_at("2026-11-24T08:00:00Z".parse().unwrap()),
        Arc::new(move || leads),
        (IdentitySlot::default(), Readiness::new()),
    )
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_is_not_waited_for_long() {
    let keys = keys(&server(Said::Nothing));
    let asked = tokio::time::Instant::now();
    let looked = keys.look(&instance_id(), Duration::ZERO).await;
    assert!(matches!(looked, Err(KeysError::Cluster { .. })));
    assert!(asked.elapsed() <= ANSWER_TIME + Duration::from_secs(1));
}

fn instance_id() -> InstanceId {
    InstanceId::new("0123456789abcdef")
}

fn secret(numbers: &[u32]) -> Value {
    let data = numbers
        .iter()
        .map(|number| {
            let bytes = ByteString(vec![1; KEY_LENGTH]);
            (entry_name(KeyId(*number)), json!(bytes))
        })
        .collect::<serde_json::Map<String, Value>>();
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "key", "namespace": "operators", "resourceVersion": "1"},
        "data": data,
    })
}

fn held_keys(held: &Held) -> Vec<KeyId> {
    let Said::Secret(secret) = held.lock().unwrap().clone() else {
        return Vec::new();
    };
    let secret = serde_json::from_value(secret).unwrap();
    ring_of(&secret).unwrap().ids().collect()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_dropped_when_no_subscription_uses_it_twice_in_a_row() {
    let held = server(Said::Secret(secret(&[1, 2, 3])));
    let keys = keys(&held);
    keys.look(&instance_id(), Duration::ZERO).await.unwrap();
    let (first, second) = (BTreeSet::from([KeyId(1)]), BTreeSet::from([KeyId(2)]));
    let (tell, mut used) = watch::channel(first);
    let doubted = keys.drop_unused(&mut used, BTreeSet::new()).await;
    assert_eq!(held_keys(&held), [KeyId(1), KeyId(2), KeyId(3)]);
    // The subscription that was being created is named now.
    tell.send_replace(second);
    let doubted = keys.drop_unused(&mut used, doubted).await;
    assert_eq!(held_keys(&held), [KeyId(1), KeyId(2), KeyId(3)]);
    keys.drop_unused(&mut used, doubted).await;
    assert_eq!(held_keys(&held), [KeyId(2), KeyId(3)]);
}

#[tokio::test(start_paused = true)]
async fn the_last_key_stays_whatever_somebody_has_taken_out_of_the_secret_meanwhile() {
    let held = server(Said::Secret(secret(&[1, 2])));
    let keys = keys(&held);
    keys.look(&instance_id(), Duration::ZERO).await.unwrap();
    let (_tell, mut used) = watch::channel(BTreeSet::new());
    let doubted = keys.drop_unused(&mut used, BTreeSet::new()).await;
    *held.lock().unwrap() = Said::Secret(secret(&[1]));
    keys.drop_unused(&mut used, doubted).await;
    assert_eq!(held_keys(&held), [KeyId(1)]);
}

fn signs(keys: &Keys) -> bool {
    keys.slot.load().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_does_not_lead_makes_the_secret_only_when_the_leader_has_had_its_time() {
    let held = server(Said::NotFound);
    let keys = keys_of(&held, false);
    let looked = keys.look(&instance_id(), Duration::ZERO).await;
    assert_eq!(looked.unwrap(), Seen::Missing);
    assert!(!signs(&keys) && held_keys(&held).is_empty());
    assert!(keys.readiness.to_string().contains("the leader has not"));
    let looked = keys.look(&instance_id(), LEADER_FIRST).await;
    assert_eq!(looked.unwrap(), Seen::Held);
    assert!(signs(&keys) && held_keys(&held).len() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_does_not_lead_writes_no_deleted_secret_again() {
    let held = server(Said::Secret(secret(&[1])));
    let keys = keys_of(&held, false);
    keys.look(&instance_id(), Duration::ZERO).await.unwrap();
    *held.lock().unwrap() = Said::NotFound;
    let looked = keys.look(&instance_id(), LEADER_FIRST).await;
    assert_eq!(looked.unwrap(), Seen::Held);
    assert!(signs(&keys) && held_keys(&held).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_another_copy_made_at_the_same_moment_is_read_and_not_written_over() {
    let held = server(Said::Secret(secret(&[7])));
    let keys = keys_of(&held, false);
    let ring = KeyRing::generate(KeyId(8), [2; KEY_LENGTH]);
    assert_eq!(keys.create(&ring).await.unwrap(), Seen::Missing);
    keys.look(&instance_id(), LEADER_FIRST).await.unwrap();
    assert_eq!(held_keys(&held), [KeyId(7)]);
    let signing = keys.slot.load_full().unwrap();
    assert_eq!(signing.keys.ids().collect::<Vec<_>>(), [KeyId(7)]);
}
