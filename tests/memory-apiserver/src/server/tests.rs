//! What only the API server in memory can be made to do. What it has in common with the real one is in `contract`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::*;

/// A watcher that is told nothing begins anew again and again.
const PATIENCE: Duration = Duration::from_mins(10);

fn secret(name: &str) -> Value {
    json!({"kind": "Secret", "metadata": {"name": name, "namespace": "default"}})
}

fn secrets(server: &MemoryApiServer) -> Api<Secret> {
    Api::namespaced(server.client(), "default")
}

/// What happens to Secrets after a version.
async fn watch(
    server: &MemoryApiServer,
    version: &str,
) -> BoxStream<'static, kube::Result<WatchEvent<Secret>>> {
    let watch = secrets(server);
    let watch = watch.watch(&WatchParams::default(), version).await;
    watch.unwrap().boxed()
}

/// A server whose clock can be set, with some Secrets.
fn server(names: &[&str]) -> (MemoryApiServer, Arc<AtomicI64>) {
    let second = Arc::new(AtomicI64::new(1_800_000_000));
    let clock = Arc::clone(&second);
    let now = move || Timestamp::from_second(clock.load(Ordering::Relaxed)).unwrap();
    let server = MemoryApiServer::new(now);
    for name in names {
        server.create(secret(name)).unwrap();
    }
    (server, second)
}

fn code<T: fmt::Debug>(answer: kube::Result<T>) -> u16 {
    let error = answer.unwrap_err();
    let kube::Error::Api(status) = error else {
        panic!("{error}");
    };
    status.code
}

#[tokio::test(start_paused = true)]
async fn what_was_before_a_compaction_is_gone() {
    let (server, _) = server(&["a", "b", "c"]);
    let secrets = secrets(&server);
    let first = secrets.list(&ListParams::default().limit(1)).await.unwrap();
    let version = first.metadata.resource_version.unwrap();
    let mut under_way = watch(&server, &version).await;
    server.create(secret("d")).unwrap();
    assert!(matches!(
        under_way.try_next().await,
        Ok(Some(WatchEvent::Added(_)))
    ));

    server.compact();
    let next = ListParams::default().limit(1);
    let next = next.continue_token(&first.metadata.continue_.unwrap());
    assert_eq!(code(secrets.list(&next).await), 410);
    let mut anew = watch(&server, &version).await;
    let Some(WatchEvent::Error(status)) = anew.try_next().await.unwrap() else {
        panic!("not told");
    };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    assert!(anew.try_next().await.unwrap().is_none());
    server.create(secret("e")).unwrap();
    assert!(matches!(
        under_way.try_next().await,
        Ok(Some(WatchEvent::Added(_)))
    ));
}

#[tokio::test(start_paused = true)]
async fn who_is_too_slow_is_cut_off() {
    let (server, _) = server(&[]);
    let version = server.revision().to_string();
    let mut watch = watch(&server, &version).await;
    for number in 0..1200 {
        server.create(secret(&format!("s{number}"))).unwrap();
    }
    assert!(watch.try_next().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn watches_can_be_cut() {
    let (server, _) = server(&["a"]);
    let began = Instant::now();
    let version = server.revision().to_string();
    let mut watch = watch(&server, &version).await;
    server.drop_watches();
    assert!(watch.try_next().await.unwrap().is_none());
    assert_eq!(began.elapsed(), Duration::ZERO);
    let mut anew = self::watch(&server, &version).await;
    server.create(secret("b")).unwrap();
    assert!(matches!(
        anew.try_next().await,
        Ok(Some(WatchEvent::Added(_)))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_missed_something_lists_again() {
    let (server, _) = server(&["a", "b"]);
    let config = Config::default().page_size(1);
    let mut events = watcher(secrets(&server), config).default_backoff().boxed();
    let mut next = async || {
        let event = timeout(PATIENCE, events.next()).await.expect("in time");
        match event.unwrap() {
            Ok(Event::Init) => "init".to_owned(),
            Ok(Event::InitApply(object)) => format!("is {}", object.metadata.name.unwrap()),
            Ok(Event::InitDone) => "done".to_owned(),
            Ok(Event::Apply(object)) => format!("applied {}", object.metadata.name.unwrap()),
            Ok(Event::Delete(object)) => format!("deleted {}", object.metadata.name.unwrap()),
            Err(error) => format!("{error}"),
        }
    };
    let first = [next().await, next().await, next().await, next().await];
    assert_eq!(first, ["init", "is a", "is b", "done"]);
    server.create(secret("c")).unwrap();
    assert_eq!(next().await, "applied c");

    server.drop_watches();
    server.delete("Secret", "default", "a").unwrap();
    assert_eq!(next().await, "deleted a", "a cut alone loses nothing");

    server.drop_watches();
    server.delete("Secret", "default", "b").unwrap();
    server.compact();
    assert!(next().await.contains("too old resource version"));
    let again = [next().await, next().await, next().await];
    assert_eq!(again, ["init", "is c", "done"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_on_which_nothing_happens_is_told_how_far_it_is() {
    let (server, _) = server(&["a"]);
    let began = Instant::now();
    let version = server.revision().to_string();
    let mut watch = watch(&server, &version).await;
    let mut told = Vec::new();
    while let Some(event) = watch.try_next().await.unwrap() {
        assert!(matches!(event, WatchEvent::Bookmark(_)), "{event:?}");
        told.push(began.elapsed().as_secs());
    }
    assert_eq!(told, [60, 120, 180, 240, 288]);
    assert_eq!(began.elapsed(), Duration::from_secs(290));
}

#[tokio::test(start_paused = true)]
async fn events_are_gone_an_hour_after_they_were_written_last() {
    let (server, second) = server(&[]);
    let event = |name: &str| {
        json!({"kind": "Event", "metadata": {"name": name, "namespace": "default"}, "reason": "x", "action": "x",
            "eventTime": "2026-11-24T08:00:00.000000Z", "reportingController": "me", "reportingInstance": "me-1"})
    };
    server.create(event("a")).unwrap();
    server.create(event("b")).unwrap();
    second.fetch_add(1800, Ordering::Relaxed);
    server
        .patch(
            ("Event", "default", "b"),
            json!({"metadata": {"labels": {"x": "1"}}}),
        )
        .unwrap();
    second.fetch_add(1800, Ordering::Relaxed);
    server.create(secret("c")).unwrap();
    let left = server.list("Event");
    assert_eq!((left.len(), &left[0]["metadata"]["name"]), (1, &json!("b")));
    second.fetch_add(1800, Ordering::Relaxed);
    server.create(secret("d")).unwrap();
    assert_eq!(server.list("Event").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_request_is_counted_for_its_client() {
    let (server, _) = server(&["a"]);
    let secrets: Api<Secret> = Api::namespaced(server.client_of("operator-0"), "default");
    let found = secrets.get("a").await.unwrap();
    assert_eq!(code(secrets.get("none").await), 404);
    assert_eq!(
        code(
            secrets
                .create(&kube::api::PostParams::default(), &found)
                .await
        ),
        500
    );
    let seen: Vec<String> = server
        .counts()
        .iter()
        .map(|(about, count)| {
            format!(
                "{} {} {} {} {count}",
                about.agent, about.verb, about.resource, about.code
            )
        })
        .collect();
    let expected = [
        "by-hand create secrets 201 1",
        "operator-0 get secrets 200 1",
        "operator-0 get secrets 404 1",
        "operator-0 create secrets 500 1",
    ];
    let mut sorted = expected.map(str::to_owned).to_vec();
    sorted.sort();
    let mut counted = seen;
    counted.sort();
    assert_eq!(counted, sorted);
    let writes = server.writes_since(1);
    assert_eq!(writes.len(), 1);
    assert_eq!(
        (writes[0].object.as_str(), writes[0].about.code),
        ("default/a", 500)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_imitated_is_refused_and_remembered() {
    let (server, _) = server(&["a"]);
    let ask = async |method: &str, path: &str| {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.body(RequestBody::empty()).unwrap();
        let answer = server.client().send(request).await.unwrap();
        answer.status().as_u16()
    };
    for (method, path) in [
        ("GET", "/version"),
        ("GET", "/api/v1/pods"),
        ("GET", "/api/v1/namespaces/default/secrets/a/scale"),
        ("GET", "/api/v1/namespaces/default/secrets?pretty=true"),
        (
            "GET",
            "/api/v1/namespaces/default/secrets?labelSelector=x+in+(a,b)",
        ),
        (
            "GET",
            "/api/v1/namespaces/default/secrets?watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan",
        ),
        (
            "GET",
            "/api/v1/namespaces/default/secrets?resourceVersion=999999",
        ),
        ("DELETE", "/api/v1/namespaces/default/secrets"),
        ("POST", "/api/v1/secrets"),
    ] {
        let before = server.not_imitated().len();
        assert_eq!(ask(method, path).await, 501, "{method} {path}");
        assert_eq!(
            server.not_imitated().len(),
            before + 1,
            "{:?}",
            server.not_imitated()
        );
    }
    assert_eq!(
        ask("GET", "/api/v1/namespaces/default/secrets/a").await,
        200
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_streams_no_lists_says_so() {
    let (server, _) = server(&["a"]);
    server.offer(Lists::InPages);
    let secrets: Api<Secret> = Api::default_namespaced(server.client());
    let refused = secrets.watch(&WatchParams::streaming_lists(), "").await;
    let Err(kube::Error::Api(status)) = refused.map(|_| ()) else {
        panic!("no refusal");
    };
    assert_eq!(
        (status.code, status.message.as_str()),
        (
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch \
             unless the WatchList feature gate is enabled"
        )
    );
    assert_eq!(server.not_imitated(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_tell_how_new_it_is_says_so_within_the_stream() {
    let (server, _) = server(&["a"]);
    server.offer(Lists::Untold);
    let secrets: Api<Secret> = Api::default_namespaced(server.client());
    let parameters = WatchParams::streaming_lists();
    let told = secrets.watch(&parameters, "").await.unwrap();
    let told: Vec<_> = timeout(PATIENCE, told.collect()).await.unwrap();
    let [Ok(WatchEvent::Error(status))] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(status.code, 500);
    assert!(status.message.contains("RequestWatchProgress"));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_cut_in_its_midst_has_no_end() {
    let (server, _) = server(&["a", "b"]);
    let secrets: Api<Secret> = Api::default_namespaced(server.client());
    let told = secrets.watch(&WatchParams::streaming_lists(), "").await;
    let mut told = told.unwrap().boxed();
    let first = told.try_next().await.unwrap();
    assert!(matches!(first, Some(WatchEvent::Added(_))));
    server.drop_watches();
    let rest: Vec<_> = timeout(PATIENCE, told.try_collect())
        .await
        .unwrap()
        .unwrap();
    assert!(
        !rest
            .iter()
            .any(|event| matches!(event, WatchEvent::Bookmark(_))),
        "{rest:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_objects() {
    let story = |seed| {
        let server = MemoryApiServer::seeded(seed, || Timestamp::UNIX_EPOCH);
        ["a", "b"].map(|name| server.create(secret(name)).unwrap())
    };
    assert_eq!(story(1), story(1));
    let uids = [story(1), story(2)].concat();
    let uids: std::collections::BTreeSet<_> = uids
        .iter()
        .map(|object| object["metadata"]["uid"].as_str().unwrap())
        .collect();
    assert_eq!(uids.len(), 4);
}

#[test]
fn objects_can_be_changed_by_hand() {
    let (server, _) = server(&["a"]);
    let mut changed = secret("a");
    changed["data"] = json!({"x": "YQ=="});
    let replaced = server.replace(changed).unwrap();
    assert_eq!(replaced["data"], json!({"x": "YQ=="}));
    server
        .patch(("Secret", "default", "a"), json!({"data": null}))
        .unwrap();
    assert!(
        server
            .get("Secret", "default", "a")
            .unwrap()
            .get("data")
            .is_none()
    );
    server.delete("Secret", "default", "a").unwrap();
    assert!(server.get("Secret", "default", "a").is_none());
    assert_eq!(
        server.delete("Secret", "default", "a").unwrap_err().code,
        404
    );
    assert_eq!(server.delete("Pod", "default", "a").unwrap_err().code, 501);
}
