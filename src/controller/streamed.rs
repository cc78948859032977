//! What a watch begins with: everything that is there, streamed where the API server can, in pages where it cannot.
//!
//! A stream is one request instead of one for each hundred objects, one after the other, and no page is ever parsed. The
//! feature gate `WatchList` decides; Kubernetes has it on in 1.32 and since 1.34.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use http::{Request, Response, Uri};
use kube::api::Api;
use kube::client::Body;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Config, Error, Event, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use super::cluster::PAGE;
use crate::plain::Causes;

/// How long a page may take, and a watch until it begins. An API server that has too much to do lets requests wait for a
/// quarter of a minute, and gives up after a minute itself.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long the API server may be silent within a list that is streamed.
const SILENCE: Duration = Duration::from_secs(30);

/// How long a list that is streamed may take: several times what a hundred thousand objects do. One that trickles would keep
/// whoever leads from all work.
const LONGEST: Duration = Duration::from_mins(2);

/// How often a list that is streamed may begin before one has come to its end.
const BEGINNINGS: u32 = 3;

/// A way to the cluster on which a list that is streamed shows everything as it is now, and on which nothing is waited for
/// without an end. kube asks for what the API server happens to have in its cache, which may be older than what a watch has
/// shown already, and waits for an answer for ever.
pub(super) fn as_of_now(client: &Client) -> Client {
    let inner = client.clone();
    let service = tower::service_fn(move |request| {
        let client = inner.clone();
        async move {
            let answer = timeout(PATIENCE, ask(&client, request)).await;
            answer.unwrap_or_else(|elapsed| Err(kube::Error::Service(elapsed.into())))
        }
    });
    Client::new(service, client.default_namespace())
}

async fn ask(client: &Client, mut request: Request<Body>) -> kube::Result<Response<Body>> {
    let watches = says(request.uri(), "watch=true");
    if says(request.uri(), "sendInitialEvents=true")
        && let Some(uri) = without_version(request.uri())
    {
        *request.uri_mut() = uri;
    }
    let answer = client.send(request).await?;
    if watches {
        return Ok(answer);
    }
    let (parts, body) = answer.into_parts();
    let bytes = body.collect_bytes().await?;
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn says(uri: &Uri, pair: &str) -> bool {
    let query = uri.query().unwrap_or_default();
    query.split('&').any(|said| said == pair)
}

/// No version stands for now, and 0 for any.
fn without_version(uri: &Uri) -> Option<Uri> {
    let pairs = uri.query()?.split('&');
    let pairs = pairs.filter(|pair| *pair != "resourceVersion=0");
    let query = pairs.collect::<Vec<_>>().join("&");
    format!("{}?{query}", uri.path()).parse().ok()
}

/// What is there, and then what happens to it, for ever.
pub(super) fn events<K>(
    api: Api<K>,
    config: Config,
) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let path = api.resource_url().to_owned();
    let pages = config.clone().page_size(PAGE);
    let pages = watcher(api.clone(), pages).default_backoff();
    let streamed = watcher(api, config.streaming_lists()).default_backoff();
    while_streamed(path, streamed).chain(pages)
}

/// As long as the API server streams its lists to their ends.
fn while_streamed<K: Send>(
    path: String,
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    let begin = (Box::pin(events), Progress::default(), path);
    stream::unfold(begin, |(mut events, mut progress, path)| async move {
        let silent_until = Instant::now() + SILENCE;
        let next = match progress.ends_by {
            Some(ends_by) => timeout_at(ends_by.min(silent_until), events.next()).await,
            None => Ok(events.next().await),
        };
        let why = match next {
            Ok(event) => {
                let event = event?;
                match progress.after(&event) {
                    Ok(()) => return Some((event, (events, progress, path))),
                    Err(why) => why,
                }
            }
            Err(_)
                if progress
                    .ends_by
                    .is_some_and(|ends_by| ends_by < silent_until) =>
            {
                format!("a list did not end within {} seconds", LONGEST.as_secs())
            }
            Err(_) => format!(
                "the API server said nothing for {} seconds in the midst of a list",
                SILENCE.as_secs()
            ),
        };
        tracing::info!(
            path,
            why,
            "the list cannot be streamed; it is read in pages until this process ends"
        );
        None
    })
}

/// How far a list that is streamed has come.
#[derive(Default)]
struct Progress {
    /// When the list that is coming has to be at its end.
    ends_by: Option<Instant>,
    /// How many have begun since one came to its end.
    beginnings: u32,
}

impl Progress {
    /// Goes on, or says why pages have to do.
    fn after<K>(&mut self, event: &watcher::Result<Event<K>>) -> Result<(), String> {
        match event {
            Ok(Event::Init) if self.beginnings == BEGINNINGS => {
                return Err(format!("{BEGINNINGS} lists ended before their ends"));
            }
            Ok(Event::Init) => {
                self.ends_by = Some(Instant::now() + LONGEST);
                self.beginnings += 1;
            }
            Ok(Event::InitApply(_)) => {
                let ends_by = || Instant::now() + LONGEST;
                self.ends_by.get_or_insert_with(ends_by);
            }
            Ok(Event::InitDone) => *self = Self::default(),
            Ok(Event::Apply(_) | Event::Delete(_)) => {}
            Err(error) if refuses(error, self.ends_by.is_some()) => {
                return Err(Causes(error).to_string());
            }
            // The wait before the next try is no silence.
            Err(_) => self.ends_by = None,
        }
        Ok(())
    }
}

/// Whether a list is refused because it is to be streamed: no other parameter of ours can be invalid, and what an API server
/// says within the stream instead of the list, it says of its cache, which pages do without: that it cannot know or wait
/// until it is as new as now. Only "expired" is said of a watch that was resumed.
fn refuses(error: &Error, listing: bool) -> bool {
    match error {
        Error::WatchStartFailed(kube::Error::Api(status)) => status.is_invalid(),
        Error::WatchError(status) => listing && status.code != 410,
        Error::InitialListFailed(_)
        | Error::WatchStartFailed(_)
        | Error::WatchFailed(_)
        | Error::NoResourceVersion => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures::stream::BoxStream;
    use kube::core::Status;

    use super::super::objects::StoredMailbox;
    use super::super::stage::{room, stored};
    use super::*;
    use crate::clock::sleep;
    use crate::ids::Kind;

    type Events = Vec<watcher::Result<Event<StoredMailbox>>>;
    type Watched = BoxStream<'static, watcher::Result<Event<StoredMailbox>>>;

    fn applied() -> Event<StoredMailbox> {
        Event::InitApply(serde_json::from_value(stored(Kind::WorkspaceMailbox, &room(1))).unwrap())
    }

    fn status(code: u16, reason: &str) -> Box<Status> {
        Status::failure("of no interest", reason)
            .with_code(code)
            .boxed()
    }

    fn refused(code: u16, reason: &str) -> watcher::Result<Event<StoredMailbox>> {
        Err(Error::WatchStartFailed(kube::Error::Api(status(
            code, reason,
        ))))
    }

    fn told(code: u16, reason: &str) -> watcher::Result<Event<StoredMailbox>> {
        Err(Error::WatchError(status(code, reason)))
    }

    /// How many of these events are passed on before pages are read instead; `None` if they never are.
    async fn passed_on(events: Events) -> Option<usize> {
        let events = stream::iter(events).chain(stream::pending());
        let passed = while_streamed("/mailboxes".to_owned(), events).count();
        timeout(SILENCE * 2, passed).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn pages_are_read_where_no_list_is_streamed_to_its_end() {
        let init = || Ok(Event::Init);
        let done = || Ok(Event::InitDone);
        let unavailable = || refused(503, "ServiceUnavailable");
        let table: [(&str, Events, Option<usize>); 11] = [
            ("refused", vec![refused(422, "Invalid")], Some(0)),
            (
                "refused later",
                vec![init(), done(), refused(422, "Invalid")],
                Some(2),
            ),
            (
                "its cache is too old",
                vec![init(), told(504, "Timeout")],
                Some(1),
            ),
            (
                "its cache cannot tell",
                vec![init(), told(500, "InternalError")],
                Some(1),
            ),
            ("expired within", vec![init(), told(410, "Expired")], None),
            (
                "an error of the watch",
                vec![init(), done(), told(500, "InternalError")],
                None,
            ),
            ("another trouble", vec![unavailable(), unavailable()], None),
            ("silence", vec![init(), Ok(applied())], Some(2)),
            ("silence after an error", vec![init(), unavailable()], None),
            (
                "silence afterwards",
                vec![init(), Ok(applied()), done()],
                None,
            ),
            (
                "never to the end",
                vec![
                    init(),
                    Ok(applied()),
                    init(),
                    Ok(applied()),
                    init(),
                    Ok(applied()),
                    init(),
                ],
                Some(6),
            ),
        ];
        for (name, events, expected) in table {
            assert_eq!(passed_on(events).await, expected, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lists_that_came_to_their_ends_may_begin_again() {
        let list = || [Ok(Event::Init), Ok(applied()), Ok(Event::InitDone)];
        let events: Events = (0..2 * BEGINNINGS).flat_map(|_| list()).collect();
        assert_eq!(passed_on(events).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_trickles_is_read_in_pages() {
        let trickle = stream::repeat(()).then(|()| async {
            sleep(SILENCE / 3).await;
            Ok(applied())
        });
        let events = stream::iter([Ok(Event::Init)]).chain(trickle).boxed();
        let began = Instant::now();
        while_streamed("/mailboxes".to_owned(), events)
            .count()
            .await;
        assert_eq!(began.elapsed(), LONGEST);
    }

    /// What an API server that answers nothing is asked for within some minutes.
    async fn asked(watch: impl FnOnce(Api<StoredMailbox>) -> Watched) -> Vec<String> {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&asked);
        let service = tower::service_fn(move |request: Request<Body>| {
            heard.lock().unwrap().push(request.uri().to_string());
            std::future::pending::<Result<Response<Body>, std::convert::Infallible>>()
        });
        let client = as_of_now(&Client::new(service, "default"));
        let api: Api<StoredMailbox> =
            super::super::cluster::objects(&client, Kind::WorkspaceMailbox, None);
        let _ = timeout(PATIENCE * 3, watch(api).count()).await;
        asked.lock().unwrap().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_is_of_now_and_asked_for_again_when_no_answer_comes() {
        let streamed = asked(|api| events(api, Config::default()).boxed()).await;
        assert!(streamed.len() >= 2, "{streamed:?}");
        for uri in streamed {
            assert!(uri.contains("sendInitialEvents=true"), "{uri}");
            assert!(!uri.contains("resourceVersion="), "{uri}");
        }
        let pages = asked(|api| watcher(api, Config::default()).default_backoff().boxed()).await;
        assert!(pages.len() >= 2, "{pages:?}");
    }
}
