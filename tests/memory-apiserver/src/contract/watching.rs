//! Watches: how long they last, and what a watcher makes of them.

use futures::StreamExt;
use futures::TryStreamExt;
use kube::api::DeleteParams;
use kube::api::PostParams;
use kube::api::WatchEvent;
use kube::api::WatchParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::timeout;

use super::Ground;
use super::ground::{PATIENCE, Told, now, refused, value, version as version_of};

pub(super) async fn a_watch_ends_when_its_time_is_up(ground: Ground) {
    let parameters = WatchParams::default().timeout(1).disable_bookmarks();
    let began = Instant::now();
    let mut told = ground.watch_secrets(&parameters).await;
    let end = timeout(PATIENCE, told.0.try_next()).await.unwrap();
    assert!(matches!(end, Ok(None)), "{end:?}");
    let lasted = began.elapsed();
    assert!(
        lasted >= Duration::from_secs(1) && lasted < Duration::from_secs(5),
        "{lasted:?}"
    );
}

pub(super) async fn a_watch_is_told_how_far_it_is_before_it_ends(ground: Ground) {
    let parameters = WatchParams::default().timeout(4);
    let from = now(&ground.secrets()).await;
    let mut told = Told::by(&ground.secrets(), &parameters, &from).await;
    let mut bookmark = None;
    while let Some(event) = timeout(PATIENCE, told.0.try_next()).await.unwrap().unwrap() {
        let WatchEvent::Bookmark(mark) = event else {
            panic!("{event:?}");
        };
        bookmark = Some(mark);
    }
    let bookmark = bookmark.expect("a bookmark");
    assert_eq!(bookmark.types.kind, "Secret");
    let version: u64 = bookmark.metadata.resource_version.parse().unwrap();
    assert!(version >= from.parse().unwrap());
}

pub(super) async fn what_changes_nothing_is_not_told(ground: Ground) {
    let secret = ground.secret("a", ("x", "1")).await;
    let mut told = ground.watch_secrets(&WatchParams::default()).await;
    let secrets = ground.secrets();
    let same = secrets
        .replace("a", &PostParams::default(), &secret)
        .await
        .unwrap();
    assert_eq!(same, secret);
    ground.secret("b", ("x", "1")).await;
    assert_eq!(told.names(1).await, ["ADDED b"]);
}

pub(super) async fn a_list_can_be_streamed_and_has_an_end(ground: Ground) {
    for name in ["a", "b"] {
        ground.mailbox(name).await;
    }
    let parameters = WatchParams::streaming_lists();
    let mailboxes = ground.mailboxes();
    let mut listed = vec!["ADDED a".to_owned(), "ADDED b".to_owned()];
    // The first waits until the API server's cache has all; what the second shows of the cache has it therefore.
    for (version, later) in [("", "c"), ("0", "d")] {
        let mut told = Told::by(&mailboxes, &parameters, version).await;
        let mut first = told.names(listed.len()).await;
        first.sort();
        assert_eq!(first, listed);
        let end = told.end_of_list().await;
        assert_eq!(end.types.kind, "WorkspaceMailbox");
        let added = value(&ground.mailbox(later).await);
        assert!(end.metadata.resource_version.parse::<u64>().unwrap() < version_of(&added));
        listed.push(format!("ADDED {later}"));
        assert_eq!(told.names(1).await, listed[listed.len() - 1..]);
    }
}

pub(super) async fn a_streamed_list_of_metadata_has_an_end_too(ground: Ground) {
    ground.secret("a", ("x", "1")).await;
    ground.secret("b", ("x", "2")).await;
    let parameters = WatchParams::streaming_lists().labels("x=1");
    let stream = ground.secrets().watch_metadata(&parameters, "").await;
    let mut told = Told(stream.unwrap().boxed());
    assert_eq!(told.names(1).await, ["ADDED a"]);
    let end = told.end_of_list().await;
    assert_eq!(end.types.kind, "PartialObjectMetadata");
}

pub(super) async fn what_does_not_go_with_a_streamed_list_is_refused(ground: Ground) {
    let path = ground.path("workspacemailboxes");
    let ask = async |query: &str| {
        let path = format!("{path}?watch=true&timeoutSeconds=1&{query}");
        ground.ask("GET", &path, &Value::Null).await
    };
    let unmatched = ask("sendInitialEvents=true&allowWatchBookmarks=true").await;
    let why = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires";
    refused(&unmatched, (422, "Invalid", why));
    let unasked = ask("resourceVersionMatch=NotOlderThan&resourceVersion=0").await;
    let why = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless";
    refused(&unasked, (422, "Invalid", why));
    let cause = &unasked.1["details"]["causes"][0];
    assert_eq!(cause["reason"], "FieldValueForbidden", "{}", unasked.1);
}

pub(super) async fn a_watcher_sees_everything_once(ground: Ground) {
    sees_everything_once(&ground, Config::default().page_size(2)).await;
}

pub(super) async fn a_watcher_of_streamed_lists_sees_everything_once(ground: Ground) {
    sees_everything_once(&ground, Config::default().streaming_lists()).await;
}

async fn sees_everything_once(ground: &Ground, config: Config) {
    for name in ["a", "b", "c"] {
        ground.mailbox(name).await;
    }
    now(&ground.mailboxes()).await;
    let mut events = watcher(ground.mailboxes(), config)
        .default_backoff()
        .boxed();
    let mut next = async || {
        let event = timeout(PATIENCE, events.try_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        match event {
            Event::Init => "init".to_owned(),
            Event::InitDone => "done".to_owned(),
            Event::InitApply(object) => format!("is {}", object.metadata.name.unwrap()),
            Event::Apply(object) => format!("applied {}", object.metadata.name.unwrap()),
            Event::Delete(object) => format!("deleted {}", object.metadata.name.unwrap()),
        }
    };
    let mut first = Vec::new();
    for _ in 0..5 {
        first.push(next().await);
    }
    assert_eq!(first, ["init", "is a", "is b", "is c", "done"]);
    ground.mailbox("d").await;
    ground
        .mailboxes()
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!([next().await, next().await], ["applied d", "deleted a"]);
}
