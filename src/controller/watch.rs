//! Watches that fill the store, and what a change in the cluster wakes.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, ObjectMeta};
use kube::core::{ApiResource, DynamicResourceScope, PartialObjectMeta};
use kube::runtime::watcher::{self, Config, Event};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::cluster;
use super::mirror::Mirror;
use super::objects::{self, Malformed, Revision, StoredMailbox, StoredTenant};
use super::streamed::{as_of_now, events};
use crate::config::Scope;
use crate::domain::freshness::{Freshness, Stream};
use crate::ids::{Kind, ObjectKey};
use crate::plain::Causes;

/// Secrets that their owners offer to the operator.
const OFFERED: &str = "hybridcalendar.dev/credential=true";

const KINDS: [Kind; 2] = [Kind::CalendarTenant, Kind::WorkspaceMailbox];

/// Something that a watch keeps the mirror in step with.
trait Watched: Clone + Send + Sync + 'static {
    type Object: Send;

    /// The object is there, perhaps changed.
    fn present(&self, mirror: &Mirror, object: Self::Object);
    /// It is gone.
    fn gone(&self, mirror: &Mirror, key: &ObjectKey);
    /// What the mirror has of what this watch shows.
    fn known(&self, mirror: &Mirror) -> Vec<ObjectKey>;
    fn key(object: &Self::Object) -> Option<ObjectKey>;
    /// The watch, if it matters how new what it shows is.
    fn stream(&self) -> Option<Stream> {
        None
    }
    /// The version of an object, if that matters.
    fn version(_object: &Self::Object) -> Option<String> {
        None
    }
}

/// The watches of both kinds.
pub(super) fn streams(scope: &Scope) -> Vec<Stream> {
    let places = scope.places();
    let of = |kind| places.iter().map(move |place| (kind, place.clone()));
    KINDS.into_iter().flat_map(of).collect()
}

/// Starts every watch; returns how many will say that they have seen everything once.
pub(super) fn start(
    mirror: &Mirror,
    scope: &Scope,
    tasks: &mut JoinSet<()>,
    synced: &mpsc::Sender<()>,
) -> usize {
    let client = as_of_now(mirror.client());
    for (kind, namespace) in streams(scope) {
        let around = (mirror.clone(), namespace, synced.clone());
        match kind {
            Kind::CalendarTenant => {
                tasks.spawn(follow_ours::<StoredTenant>(around, client.clone()))
            }
            Kind::WorkspaceMailbox => {
                tasks.spawn(follow_ours::<StoredMailbox>(around, client.clone()))
            }
        };
    }
    for namespace in &scope.places() {
        let secrets: Api<PartialObjectMeta<Secret>> = match namespace {
            Some(name) => Api::namespaced(client.clone(), name),
            None => Api::all(client.clone()),
        };
        let stream = events(secrets, Config::default().labels(OFFERED));
        let around = (mirror.clone(), namespace.clone(), synced.clone());
        tasks.spawn(follow(around, Secrets(namespace.clone()), stream));
        let namespaces = match namespace {
            Some(name) => Config::default().fields(&format!("metadata.name={name}")),
            None => Config::default(),
        };
        let api = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
        let stream = events(api, namespaces);
        let around = (mirror.clone(), None, synced.clone());
        tasks.spawn(follow(around, Namespaces(namespace.clone()), stream));
    }
    4 * scope.places().len()
}

/// What keeps the mirror in step with a stream of one namespace or of all, and hears when that is there.
type Around = (Mirror, Option<Arc<str>>, mpsc::Sender<()>);

/// Follows the objects of one of our kinds.
async fn follow_ours<K: Ours>(around: Around, client: Client) {
    let (_, namespace, _) = &around;
    let api: Api<K> = cluster::objects(&client, K::KIND, namespace.as_deref());
    let watched = Objects::<K>(namespace.clone(), PhantomData);
    follow(around, watched, events(api, Config::default())).await;
}

/// Keeps the mirror in step with a stream of one namespace or of all; what only a new list shows as gone is gone.
async fn follow<W: Watched>(
    (mirror, namespace, synced): Around,
    watched: W,
    stream: impl futures::Stream<Item = watcher::Result<Event<W::Object>>>,
) {
    let mut stream = std::pin::pin!(stream.map_err(Box::new));
    let mut list: Option<BTreeSet<ObjectKey>> = None;
    let mut first = true;
    loop {
        note(&mirror, &watched, Freshness::waits);
        let Some(event) = stream.next().await else {
            return;
        };
        match event {
            Ok(Event::Init) => {
                list = Some(BTreeSet::new());
                note(&mirror, &watched, Freshness::list_begins);
            }
            Ok(Event::InitApply(object)) => {
                if let Some(key) = W::key(&object) {
                    list.as_mut().map(|list| list.insert(key));
                    watched.present(&mirror, object);
                }
            }
            Ok(Event::InitDone) => {
                if let Some(listed) = list.take() {
                    let known = watched.known(&mirror).into_iter();
                    for key in known.filter(|key| !listed.contains(key)) {
                        watched.gone(&mirror, &key);
                    }
                    note(&mirror, &watched, Freshness::list_ends);
                } else {
                    tracing::warn!(
                        "a list was interrupted and went on; what was deleted meanwhile may still count as there until the next list"
                    );
                }
                if std::mem::take(&mut first) {
                    // Nobody waits any more when this fails.
                    let _ = synced.send(()).await;
                }
            }
            Ok(Event::Apply(object)) => {
                let version = W::version(&object);
                watched.present(&mirror, object);
                show(&mirror, &watched, version);
            }
            Ok(Event::Delete(object)) => {
                if let Some(key) = W::key(&object) {
                    watched.gone(&mirror, &key);
                    show(&mirror, &watched, W::version(&object));
                }
            }
            Err(error) if is_empty(mirror.client(), namespace.as_deref(), &error).await => {
                for key in watched.known(&mirror) {
                    watched.gone(&mirror, &key);
                }
                if std::mem::take(&mut first) {
                    let _ = synced.send(()).await;
                }
            }
            Err(error) => {
                // What is not on a list that was interrupted need not be gone.
                list = None;
                tracing::warn!(error = %Causes(&*error), "a watch was interrupted; it goes on by itself");
            }
        }
        mirror.told();
    }
}

/// The watch goes on or a list of everything ends, which may prove how new the mirror is.
fn note<W: Watched>(mirror: &Mirror, watched: &W, note: fn(&mut Freshness, &Stream)) {
    if let Some(stream) = watched.stream() {
        mirror.with_freshness(|freshness| note(freshness, &stream));
    }
}

/// The watch has shown this version, which may prove how new the mirror is.
fn show<W: Watched>(mirror: &Mirror, watched: &W, version: Option<String>) {
    if let (Some(stream), Some(version)) = (watched.stream(), version) {
        mirror.with_freshness(|freshness| freshness.shown(&stream, &version));
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

/// One of our kinds.
trait Ours: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>
where
    Self: Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    const KIND: Kind;

    fn revision(&self) -> Option<Revision<'_>>;
    fn present(self, mirror: &Mirror) -> Result<(), Malformed>;
    fn gone(mirror: &Mirror, key: &ObjectKey);
}

impl Ours for StoredTenant {
    const KIND: Kind = Kind::CalendarTenant;

    fn revision(&self) -> Option<Revision<'_>> {
        Self::revision(self)
    }

    fn present(self, mirror: &Mirror) -> Result<(), Malformed> {
        self.record().map(|record| mirror.tenant_present(record))
    }

    fn gone(mirror: &Mirror, key: &ObjectKey) {
        mirror.tenant_gone(key);
    }
}

impl Ours for StoredMailbox {
    const KIND: Kind = Kind::WorkspaceMailbox;

    fn revision(&self) -> Option<Revision<'_>> {
        Self::revision(self)
    }

    fn present(self, mirror: &Mirror) -> Result<(), Malformed> {
        self.record().map(|record| mirror.mailbox_present(record))
    }

    fn gone(mirror: &Mirror, key: &ObjectKey) {
        mirror.mailbox_gone(key);
    }
}

/// Objects of one of our kinds, in a namespace or in all.
struct Objects<K>(Option<Arc<str>>, PhantomData<fn(K)>);

impl<K> Clone for Objects<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<K: Ours> Watched for Objects<K> {
    type Object = K;

    fn present(&self, mirror: &Mirror, object: K) {
        if object
            .revision()
            .is_some_and(|revision| mirror.knows(K::KIND, &revision))
        {
            return;
        }
        let key = Self::key(&object);
        if let (Err(problem), Some(object)) = (object.present(mirror), key) {
            let kind = K::KIND.as_str();
            tracing::error!(kind, %object, %problem, "an object cannot be read and is left alone until it changes");
        }
    }

    fn gone(&self, mirror: &Mirror, key: &ObjectKey) {
        K::gone(mirror, key);
    }

    fn known(&self, mirror: &Mirror) -> Vec<ObjectKey> {
        mirror.objects(K::KIND, self.0.as_deref())
    }

    fn key(object: &K) -> Option<ObjectKey> {
        objects::key_of(object.meta())
    }

    fn stream(&self) -> Option<Stream> {
        Some((K::KIND, self.0.clone()))
    }

    fn version(object: &K) -> Option<String> {
        object.meta().resource_version.clone()
    }
}

/// Offered Secrets, as metadata only, in a namespace or in all.
#[derive(Clone)]
struct Secrets(Option<Arc<str>>);

impl Watched for Secrets {
    type Object = PartialObjectMeta<Secret>;

    fn present(&self, mirror: &Mirror, object: Self::Object) {
        if let (Some(key), Some(version)) = (
            objects::key_of(&object.metadata),
            object.metadata.resource_version,
        ) {
            mirror.secret_changed(&key, Some(&version));
        }
    }

    fn gone(&self, mirror: &Mirror, key: &ObjectKey) {
        mirror.secret_changed(key, None);
    }

    fn known(&self, mirror: &Mirror) -> Vec<ObjectKey> {
        mirror.secrets(self.0.as_deref())
    }

    fn key(object: &Self::Object) -> Option<ObjectKey> {
        objects::key_of(&object.metadata)
    }
}

/// Labels of one namespace or of all.
#[derive(Clone)]
struct Namespaces(Option<Arc<str>>);

impl Watched for Namespaces {
    type Object = PartialObjectMeta<Namespace>;

    fn present(&self, mirror: &Mirror, object: Self::Object) {
        let ObjectMeta {
            name: Some(name),
            labels,
            ..
        } = object.metadata
        else {
            return;
        };
        mirror.namespace_labelled(&name.into(), labels.unwrap_or_default());
    }

    fn gone(&self, mirror: &Mirror, key: &ObjectKey) {
        mirror.namespace_gone(&key.name);
    }

    fn known(&self, mirror: &Mirror) -> Vec<ObjectKey> {
        let names = mirror.namespaces(self.0.as_deref()).into_iter();
        names.map(|name| ObjectKey::new("", name)).collect()
    }

    fn key(object: &Self::Object) -> Option<ObjectKey> {
        Some(ObjectKey::new("", object.metadata.name.as_deref()?))
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::super::stage::{Stage, room, stored};
    use super::*;
    use crate::domain::records::MailboxRecord;

    const WATCHED: &str = "calendars";
    const OTHER: &str = "elsewhere";

    fn object(namespace: &str, number: u8) -> StoredMailbox {
        let room = room(number);
        let elsewhere = MailboxRecord {
            key: ObjectKey::new(namespace, Arc::clone(&room.key.name)),
            ..room
        };
        serde_json::from_value(stored(Kind::WorkspaceMailbox, &elsewhere)).unwrap()
    }

    /// The rooms that are known after these events of a watch of one namespace, or of all.
    async fn known_after(
        namespace: Option<&'static str>,
        events: Vec<Event<StoredMailbox>>,
    ) -> Vec<String> {
        let mirror = Stage::new().around.mirror;
        let other = StoredMailbox::present(object(OTHER, 9), &mirror);
        other.unwrap();
        let namespace: Option<Arc<str>> = namespace.map(Arc::from);
        let (synced, mut all_synced) = mpsc::channel(1);
        let around = (mirror.clone(), namespace.clone(), synced);
        let watched = Objects::<StoredMailbox>(namespace, PhantomData);
        follow(around, watched, stream::iter(events.into_iter().map(Ok))).await;
        assert_eq!(all_synced.recv().await, Some(()));
        let known = mirror.objects(Kind::WorkspaceMailbox, None);
        known.iter().map(|key| key.name.to_string()).collect()
    }

    fn list(numbers: &[u8]) -> Vec<Event<StoredMailbox>> {
        let objects = numbers.iter().map(|number| object(WATCHED, *number));
        let applied = objects.map(Event::InitApply);
        std::iter::once(Event::Init)
            .chain(applied)
            .chain([Event::InitDone])
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_new_list_of_a_namespace_lacks_is_gone_there_only() {
        let events = [list(&[1, 2, 3]), list(&[2])].concat();
        let known = known_after(Some(WATCHED), events.clone()).await;
        assert_eq!(known, ["room-2", "room-9"]);
        assert_eq!(known_after(None, events).await, ["room-2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_is_interrupted_takes_nothing_away_though_it_comes_to_its_end() {
        let mirror = Stage::new().around.mirror;
        let interrupted = || Err(watcher::Error::NoResourceVersion);
        let mut events: Vec<_> = list(&[1, 2]).into_iter().map(Ok).collect();
        events.extend([Ok(Event::Init), interrupted(), Ok(Event::InitDone)]);
        let (synced, _all_synced) = mpsc::channel(1);
        let watched = Objects::<StoredMailbox>(None, PhantomData);
        let around = (mirror.clone(), None, synced);
        follow(around, watched, stream::iter(events)).await;
        assert_eq!(mirror.objects(Kind::WorkspaceMailbox, None).len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_is_cut_off_takes_nothing_away() {
        let mut cut_off = list(&[2]);
        cut_off.pop();
        let known = known_after(Some(WATCHED), [list(&[1]), cut_off.clone()].concat()).await;
        assert_eq!(known, ["room-1", "room-2", "room-9"]);
        let again = [list(&[1]), cut_off, list(&[1])].concat();
        assert_eq!(
            known_after(Some(WATCHED), again).await,
            ["room-1", "room-9"]
        );
    }
}
