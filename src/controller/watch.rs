//! Watches that fill the store, and what a change in the cluster wakes.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Client;
use kube::api::{Api, DynamicObject, ObjectMeta};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::cluster;
use super::names::Names;
use super::objects;
use super::status::resource;
use super::world::Context;
use crate::config::Scope;
use crate::ids::{Kind, ObjectKey};

/// Secrets that their owners offer to the operator.
const OFFERED: &str = "hybridcalendar.dev/credential=true";

/// Whom watches tell.
trait Audience: Clone + Send + Sync + 'static {
    fn client(&self) -> &Client;
    /// Something was told.
    fn told(&self) {}
}

impl Audience for Context {
    fn client(&self) -> &Client {
        &self.client
    }

    fn told(&self) {
        self.changed.notify_one();
    }
}

impl Audience for Names {
    fn client(&self) -> &Client {
        &self.client
    }
}

/// Something that a watch keeps an audience in step with.
trait Watched<A>: Clone + Send + Sync + 'static {
    type Object: Send;

    /// The object is there, perhaps changed.
    fn present(&self, audience: &A, object: Self::Object);
    /// It is gone.
    fn gone(&self, audience: &A, key: &ObjectKey);
    fn key(object: &Self::Object) -> Option<ObjectKey>;
}

/// Where is looked: everywhere, or in each of these.
fn places(scope: &Scope) -> Vec<Option<Arc<str>>> {
    match scope {
        Scope::All => vec![None],
        Scope::Namespaces(names) => names.iter().cloned().map(Some).collect(),
    }
}

/// Starts watches of tenants and mailboxes alone, for who only names them; returns how many there are.
pub(super) fn start_names(
    names: &Names,
    scope: &Scope,
    tasks: &mut JoinSet<()>,
    synced: &mpsc::Sender<()>,
) -> usize {
    let scopes = places(scope);
    for namespace in &scopes {
        follow_objects(names, namespace.as_ref(), tasks, synced);
    }
    2 * scopes.len()
}

/// Starts the watches of both kinds.
fn follow_objects<A: Audience>(
    audience: &A,
    namespace: Option<&Arc<str>>,
    tasks: &mut JoinSet<()>,
    synced: &mpsc::Sender<()>,
) where
    Objects: Watched<A, Object = DynamicObject>,
{
    let client = audience.client();
    for kind in [Kind::CalendarTenant, Kind::WorkspaceMailbox] {
        let resource = resource(kind);
        let api: Api<DynamicObject> = match namespace {
            Some(name) => Api::namespaced_with(client.clone(), name, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let config = watcher::Config::default().page_size(cluster::PAGE);
        let stream = watcher(api, config).default_backoff();
        let around = (audience.clone(), namespace.cloned(), synced.clone());
        tasks.spawn(follow(around, Objects(kind), stream));
    }
}

/// Starts every watch; returns how many will say that they have seen everything once.
pub(super) fn start(
    context: &Context,
    tasks: &mut JoinSet<()>,
    synced: &mpsc::Sender<()>,
) -> usize {
    let client = &context.client;
    let config = || watcher::Config::default().page_size(cluster::PAGE);
    let mut count = 0;
    for namespace in &places(&context.settings.scope) {
        follow_objects(context, namespace.as_ref(), tasks, synced);
        let secrets: Api<PartialObjectMeta<Secret>> = match namespace {
            Some(name) => Api::namespaced(client.clone(), name),
            None => Api::all(client.clone()),
        };
        let stream = watcher(secrets, config().labels(OFFERED)).default_backoff();
        let around = (context.clone(), namespace.clone(), synced.clone());
        tasks.spawn(follow(around, Secrets, stream));
        let namespaces = match namespace {
            Some(name) => config().fields(&format!("metadata.name={name}")),
            None => config(),
        };
        let api = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
        let stream = watcher(api, namespaces).default_backoff();
        let around = (context.clone(), None, synced.clone());
        tasks.spawn(follow(around, Namespaces, stream));
        count += 4;
    }
    count
}

/// Keeps an audience in step with a stream of one namespace or of all; what only a new list shows as gone is gone.
async fn follow<A: Audience, W: Watched<A>>(
    (audience, namespace, synced): (A, Option<Arc<str>>, mpsc::Sender<()>),
    watched: W,
    stream: impl futures::Stream<Item = watcher::Result<Event<W::Object>>>,
) {
    let mut stream = std::pin::pin!(stream.map_err(Box::new));
    let mut known: BTreeSet<ObjectKey> = BTreeSet::new();
    let mut listed: BTreeSet<ObjectKey> = BTreeSet::new();
    let mut first = true;
    while let Some(event) = stream.next().await {
        match event {
            // A list that was cut off brought objects all the same.
            Ok(Event::Init) => known.append(&mut listed),
            Ok(Event::InitApply(object)) => {
                if let Some(key) = W::key(&object) {
                    listed.insert(key);
                    watched.present(&audience, object);
                }
            }
            Ok(Event::InitDone) => {
                for key in known.difference(&listed) {
                    watched.gone(&audience, key);
                }
                known = std::mem::take(&mut listed);
                if std::mem::take(&mut first) {
                    // Nobody waits any more when this fails.
                    let _ = synced.send(()).await;
                }
            }
            Ok(Event::Apply(object)) => {
                if let Some(key) = W::key(&object) {
                    known.insert(key);
                    watched.present(&audience, object);
                }
            }
            Ok(Event::Delete(object)) => {
                if let Some(key) = W::key(&object) {
                    known.remove(&key);
                    watched.gone(&audience, &key);
                }
            }
            Err(error) if is_empty(audience.client(), namespace.as_deref(), &error).await => {
                for key in std::mem::take(&mut known) {
                    watched.gone(&audience, &key);
                }
                if std::mem::take(&mut first) {
                    let _ = synced.send(()).await;
                }
            }
            Err(error) => tracing::warn!(%error, "a watch was interrupted; it goes on by itself"),
        }
        audience.told();
    }
}

/// Whether a watch is refused because its namespace is gone, and our rights in it with it: then there is nothing to
/// see, and the other namespaces must not wait for it.
async fn is_empty(client: &Client, namespace: Option<&str>, error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(cause) | watcher::Error::WatchStartFailed(cause)) =
        error
    else {
        return false;
    };
    match namespace {
        Some(name) => cluster::is_gone(client, name, cause).await,
        None => false,
    }
}

/// Tenants or mailboxes.
#[derive(Clone)]
struct Objects(Kind);

impl Watched<Context> for Objects {
    type Object = DynamicObject;

    fn present(&self, context: &Context, object: DynamicObject) {
        let key = objects::key_of(&object.metadata);
        let problem = match self.0 {
            Kind::CalendarTenant => {
                objects::tenant(object).map(|record| context.tenant_present(&record))
            }
            Kind::WorkspaceMailbox => {
                objects::mailbox(object).map(|record| context.mailbox_present(&record))
            }
        };
        if let (Err(problem), Some(object)) = (problem, key) {
            let kind = self.0.as_str();
            tracing::error!(kind, %object, %problem, "an object cannot be read and is left alone until it changes");
        }
    }

    fn gone(&self, context: &Context, key: &ObjectKey) {
        match self.0 {
            Kind::CalendarTenant => context.tenant_gone(key),
            Kind::WorkspaceMailbox => context.mailbox_gone(key),
        }
    }

    fn key(object: &DynamicObject) -> Option<ObjectKey> {
        objects::key_of(&object.metadata)
    }
}

impl Watched<Names> for Objects {
    type Object = DynamicObject;

    fn present(&self, names: &Names, object: DynamicObject) {
        match self.0 {
            Kind::CalendarTenant => {
                if let Some(key) = objects::key_of(&object.metadata) {
                    names.tenant_present(&key);
                }
            }
            // The leader says which cannot be read.
            Kind::WorkspaceMailbox => {
                if let Ok(record) = objects::mailbox(object) {
                    names.mailbox_present(&record);
                }
            }
        }
    }

    fn gone(&self, names: &Names, key: &ObjectKey) {
        match self.0 {
            Kind::CalendarTenant => names.tenant_gone(key),
            Kind::WorkspaceMailbox => names.mailbox_gone(key),
        }
    }

    fn key(object: &DynamicObject) -> Option<ObjectKey> {
        objects::key_of(&object.metadata)
    }
}

/// Offered Secrets, as metadata only.
#[derive(Clone)]
struct Secrets;

impl Watched<Context> for Secrets {
    type Object = PartialObjectMeta<Secret>;

    fn present(&self, context: &Context, object: Self::Object) {
        if let (Some(key), Some(version)) = (
            objects::key_of(&object.metadata),
            object.metadata.resource_version,
        ) {
            context.secret_changed(&key, Some(&version));
        }
    }

    fn gone(&self, context: &Context, key: &ObjectKey) {
        context.secret_changed(key, None);
    }

    fn key(object: &Self::Object) -> Option<ObjectKey> {
        objects::key_of(&object.metadata)
    }
}

/// Labels of namespaces.
#[derive(Clone)]
struct Namespaces;

impl Watched<Context> for Namespaces {
    type Object = PartialObjectMeta<Namespace>;

    fn present(&self, context: &Context, object: Self::Object) {
        let ObjectMeta {
            name: Some(name),
            labels,
            ..
        } = object.metadata
        else {
            return;
        };
        context.namespace_labelled(&name.into(), labels.unwrap_or_default());
    }

    fn gone(&self, context: &Context, key: &ObjectKey) {
        context.namespace_gone(&key.name);
    }

    fn key(object: &Self::Object) -> Option<ObjectKey> {
        Some(ObjectKey::new("", object.metadata.name.as_deref()?))
    }
}
