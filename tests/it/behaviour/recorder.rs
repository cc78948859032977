//! Every version of the objects of a kind, as somebody who watches sees them.

use futures::{StreamExt as _, pin_mut};
use kube::api::{DynamicObject, WatchEvent, WatchParams};
use serde_json::Value;
use testbed::objects::Kind;
use testbed::testbed::Testbed;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::scene::DEADLINE;

/// Watches the objects of a kind in a testbed's namespace.
pub(super) struct Recorder {
    seen: UnboundedReceiver<Value>,
    watching: JoinHandle<()>,
}

impl Recorder {
    /// Begins with the objects as they are.
    pub(super) async fn start(bed: &Testbed, kind: Kind) -> Self {
        let (sender, seen) = unbounded_channel();
        let api = kind.api(&bed.client, &bed.namespace);
        let events = api.watch(&WatchParams::default(), "0").await.unwrap();
        let watching = tokio::spawn(async move {
            pin_mut!(events);
            while let Some(Ok(event)) = events.next().await {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                    let object: DynamicObject = object;
                    drop(sender.send(serde_json::to_value(object).unwrap()));
                }
            }
        });
        Self { seen, watching }
    }

    /// Every version until this one, which somebody has read: a watch may lag behind.
    pub(super) async fn until(mut self, resource_version: &Value) -> Vec<Value> {
        let mut versions: Vec<Value> = Vec::new();
        let all = async {
            let is_last =
                |version: &Value| version["metadata"]["resourceVersion"] == *resource_version;
            while !versions.last().is_some_and(is_last) {
                versions.push(self.seen.recv().await.expect("the watch goes on"));
            }
        };
        let came = tokio::time::timeout(DEADLINE, all).await;
        assert!(came.is_ok(), "no {resource_version} in {versions:#?}");
        versions
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
