//! What a watch begins with: everything that is there, streamed where the API server can, in pages where it cannot.
//!
//! A stream costs one request instead of a hundred one after the other, and neither side ever holds a page. Kubernetes has
//! them switched on since 1.34; where they are off, it refuses them.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use http::{Request, Uri};
use kube::api::Api;
use kube::client::Body;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Config, Error, Event, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::cluster::PAGE;
use crate::api_server::in_time;
use crate::plain::Causes;

/// How long the API server may be silent within a list. Then pages have to do: they end, or say why not.
const SILENCE: Duration = Duration::from_secs(30);

/// A way to the cluster on which a list that is streamed shows everything as it is now, and on which an answer begins in
/// time. kube asks for what the API server happens to have in its cache, which may be older than what was shown before,
/// and waits for an answer without an end.
pub(super) fn as_of_now(client: &Client) -> Client {
    let inner = client.clone();
    let service = tower::service_fn(move |mut request: Request<Body>| {
        if let Some(uri) = of_now(request.uri()) {
            *request.uri_mut() = uri;
        }
        let client = inner.clone();
        async move { in_time(client.send(request)).await }
    });
    Client::new(service, client.default_namespace())
}

/// The same request for a streamed list without a version, which stands for now; `None` for all others.
fn of_now(uri: &Uri) -> Option<Uri> {
    let query = uri.query()?;
    if !query
        .split('&')
        .any(|pair| pair == "sendInitialEvents=true")
    {
        return None;
    }
    let pairs = query.split('&').filter(|pair| *pair != "resourceVersion=0");
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
    let pages = config.clone().page_size(PAGE);
    let pages = watcher(api.clone(), pages).default_backoff();
    let streamed = watcher(api, config.streaming_lists()).default_backoff();
    while_streamed(streamed).chain(pages)
}

/// As long as the API server streams its lists to the end.
fn while_streamed<K: Send>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    let begin = (Box::pin(events), false);
    stream::unfold(begin, |(mut events, listing)| async move {
        let next = if listing {
            timeout(SILENCE, events.next()).await
        } else {
            Ok(events.next().await)
        };
        let Ok(event) = next else {
            tracing::warn!(
                seconds = SILENCE.as_secs(),
                "the API server began to stream a list and then said nothing more; lists are read in pages until this process ends"
            );
            return None;
        };
        let event = event?;
        let listing = match &event {
            Ok(Event::Init | Event::InitApply(_)) => true,
            Ok(_) => false,
            Err(error) if refuses(error) => {
                tracing::info!(error = %Causes(error), "the API server streams no lists; they are read in pages");
                return None;
            }
            // The list goes on, or begins anew without a word.
            Err(_) => listing,
        };
        Some((event, (events, listing)))
    })
}

/// Whether a list is refused because it is to be streamed: no other parameter of ours can be invalid, and nothing else has
/// to wait until the API server knows that its cache is as new as the moment, which it gives up after three seconds.
fn refuses(error: &Error) -> bool {
    let Error::WatchStartFailed(kube::Error::Api(status)) = error else {
        return false;
    };
    status.is_invalid() || status.code == 504
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::super::objects::StoredMailbox;
    use super::super::stage::{room, stored};
    use super::*;

    type Events = Vec<watcher::Result<Event<StoredMailbox>>>;

    fn applied() -> Event<StoredMailbox> {
        Event::InitApply(serde_json::from_value(stored(&room(1))).unwrap())
    }

    fn refused(code: u16, reason: &str) -> watcher::Result<Event<StoredMailbox>> {
        let status = Status::failure("of no interest", reason).with_code(code);
        let error = kube::Error::Api(status.boxed());
        Err(Error::WatchStartFailed(error))
    }

    /// How many of these events are passed on before pages are read instead; `None` if they never are.
    async fn passed_on(events: Events) -> Option<usize> {
        let silence = stream::pending();
        let passed = while_streamed(stream::iter(events).chain(silence)).count();
        timeout(SILENCE * 2, passed).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn pages_are_read_where_no_list_is_streamed_to_its_end() {
        let unavailable = || refused(503, "ServiceUnavailable");
        let table: [(&str, Events, Option<usize>); 8] = [
            ("refused", vec![refused(422, "Invalid")], Some(0)),
            ("too far behind", vec![refused(504, "Timeout")], Some(0)),
            ("another trouble", vec![unavailable(), unavailable()], None),
            ("silence at first", vec![Ok(Event::Init)], Some(1)),
            (
                "silence within",
                vec![Ok(Event::Init), Ok(applied())],
                Some(2),
            ),
            (
                "interrupted, then silent",
                vec![Ok(Event::Init), unavailable()],
                Some(2),
            ),
            (
                "silence afterwards",
                vec![Ok(Event::Init), Ok(applied()), Ok(Event::InitDone)],
                None,
            ),
            (
                "refused later",
                vec![
                    Ok(Event::Init),
                    Ok(Event::InitDone),
                    refused(422, "Invalid"),
                ],
                Some(2),
            ),
        ];
        for (name, events, expected) in table {
            assert_eq!(passed_on(events).await, expected, "{name}");
        }
    }

    #[test]
    fn a_streamed_list_is_of_now_and_nothing_else_is_changed() {
        let table = [
            (
                "/x?&watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=0",
                Some("/x?&watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
            ),
            ("/x?&watch=true&resourceVersion=0", None),
            ("/x?limit=100", None),
            ("/x", None),
        ];
        for (asked, expected) in table {
            let uri = of_now(&asked.parse().unwrap());
            let uri = uri.map(|uri| uri.to_string());
            assert_eq!(uri.as_deref(), expected, "{asked}");
        }
    }
}
