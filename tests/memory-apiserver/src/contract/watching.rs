//! Watches: how long they last, and what a watcher makes of them.

use futures::StreamExt;
use futures::TryStreamExt;
use kube::api::PostParams;
use kube::api::WatchEvent;
use kube::api::WatchParams;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::timeout;

use super::Ground;
use super::ground::{PATIENCE, Told};

async fn now(ground: &Ground) -> String {
    let list = ground.secrets().list(&ListParams::default()).await.unwrap();
    list.metadata.resource_version.unwrap()
}

pub(super) async fn a_watch_ends_when_its_time_is_up(ground: Ground) {
    let parameters = WatchParams::default().timeout(1).disable_bookmarks();
    let began = Instant::now();
    let mut told = Told::by(&ground.secrets(), &parameters, &now(&ground).await).await;
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
    let from = now(&ground).await;
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
    let mut told = Told::by(
        &ground.secrets(),
        &WatchParams::default(),
        &now(&ground).await,
    )
    .await;
    let secrets = ground.secrets();
    let same = secrets
        .replace("a", &PostParams::default(), &secret)
        .await
        .unwrap();
    assert_eq!(same, secret);
    ground.secret("b", ("x", "1")).await;
    assert_eq!(told.names(1).await, ["ADDED b"]);
}

pub(super) async fn a_watcher_sees_everything_once(ground: Ground) {
    for name in ["a", "b", "c"] {
        ground.mailbox(name).await;
    }
    let config = Config::default().page_size(2);
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
