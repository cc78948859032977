//! The API server as a service, and by hand.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use futures::stream;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::client::Body as RequestBody;
use kube::core::Status;
use serde_json::Value;
use tokio::sync::watch;
use tower::Service;

use crate::call::{Call, Form, Query, Subresource, Verb, agent};
use crate::cluster::{Answer, Cluster, key};
use crate::failure::{Failure, bad_request, body, not_imitated};
use crate::journal::{About, Write};
use crate::watch::{Lists, Stream};

/// Who does what is done by hand.
const BY_HAND: &str = "by-hand";

/// What everybody shares.
#[derive(Clone)]
pub(crate) struct Shared {
    cluster: Arc<Mutex<Cluster>>,
    cuts: watch::Sender<u64>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cuts(&self) -> watch::Receiver<u64> {
        self.cuts.subscribe()
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// An API server without a process, without sockets and without a clock of its own. Clones are the same one.
#[derive(Clone)]
pub struct MemoryApiServer {
    shared: Shared,
}

impl fmt::Debug for MemoryApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryApiServer").finish_non_exhaustive()
    }
}

impl MemoryApiServer {
    /// A cluster with the namespaces `default` and `kube-system`. `clock` tells the time of what objects say; waiting is
    /// tokio's.
    #[must_use]
    pub fn new(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self::seeded(0, clock)
    }

    /// The same with UIDs that follow from `seed`.
    #[must_use]
    pub fn seeded(seed: u64, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            shared: Shared {
                cluster: Arc::new(Mutex::new(Cluster::new(seed, clock()))),
                cuts: watch::Sender::default(),
                clock: Arc::new(clock),
            },
        }
    }

    /// Serves the kinds of a definition from now on.
    pub fn install(&self, definition: &CustomResourceDefinition) {
        self.shared.lock().install(definition);
    }

    /// Signs the tokens of ServiceAccounts, given their claims. Until then there are none.
    pub fn sign_tokens(&self, sign: impl Fn(&Value) -> String + Send + Sync + 'static) {
        self.shared.lock().signer = Some(Arc::new(sign));
    }

    /// How it takes it from now on that a list is to be streamed; at first it does so.
    pub fn offer(&self, lists: Lists) {
        self.shared.lock().lists = lists;
    }

    /// A client of namespace `default`.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// A client that the journal names `agent`.
    #[must_use]
    pub fn client_of(&self, agent: &str) -> kube::Client {
        kube::Client::new(self.service_of(agent), "default")
    }

    /// What a client calls, to put layers around it. Requests name themselves by their `User-Agent`.
    #[must_use]
    pub fn service(&self) -> ApiService {
        ApiService {
            server: self.clone(),
            agent: None,
        }
    }

    /// The same for one client that the journal names `agent`.
    #[must_use]
    pub fn service_of(&self, agent: &str) -> ApiService {
        ApiService {
            agent: HeaderValue::from_str(agent).ok(),
            ..self.service()
        }
    }

    /// Forgets how everything was before now: watches, lists and continued lists from before are told `410 Gone`.
    /// Watches that are under way go on.
    pub fn compact(&self) {
        self.shared.lock().compact();
    }

    /// Ends every watch that is under way, as a restart of the API server does.
    pub fn drop_watches(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// The version of what was written last.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.shared.lock().revision()
    }

    /// How often each thing was asked for since the beginning.
    #[must_use]
    pub fn counts(&self) -> Vec<(About, u64)> {
        let cluster = self.shared.lock();
        let counts = cluster.journal.counts().iter();
        counts
            .map(|(about, count)| (about.clone(), *count))
            .collect()
    }

    /// The writes from this number on, as far as they are still remembered (the last 16,384 are).
    #[must_use]
    pub fn writes_since(&self, number: u64) -> Vec<Write> {
        self.shared.lock().journal.writes_since(number)
    }

    /// What was asked for and is not imitated. If it is not empty, a test proves nothing.
    #[must_use]
    pub fn not_imitated(&self) -> Vec<String> {
        self.shared.lock().unimitated.iter().cloned().collect()
    }

    /// Creates an object by hand.
    ///
    /// # Errors
    /// What the API server says.
    pub fn create(&self, object: Value) -> Result<Value, Box<Status>> {
        let said = |pointer: &str| {
            let text = object.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let (kind, namespace) = (said("/kind"), said("/metadata/namespace"));
        self.by_hand(Verb::Create, (&kind, &namespace, ""), object)
    }

    /// Replaces an object by hand; without `metadata.resourceVersion` in the version that there is.
    ///
    /// # Errors
    /// What the API server says.
    pub fn replace(&self, mut object: Value) -> Result<Value, Box<Status>> {
        let said = |pointer: &str| {
            let text = object.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let (kind, namespace, name) = (
            said("/kind"),
            said("/metadata/namespace"),
            said("/metadata/name"),
        );
        if said("/metadata/resourceVersion").is_empty()
            && let Some(present) = self.get(&kind, &namespace, &name)
        {
            object["metadata"]["resourceVersion"] = present["metadata"]["resourceVersion"].clone();
        }
        self.by_hand(Verb::Update, (&kind, &namespace, &name), object)
    }

    /// Changes an object by hand, by a merge patch. Kinds are named as in manifests; a kind without namespaces has an
    /// empty one.
    ///
    /// # Errors
    /// What the API server says.
    pub fn patch(&self, object: (&str, &str, &str), patch: Value) -> Result<Value, Box<Status>> {
        self.by_hand(Verb::MergePatch, object, patch)
    }

    /// Deletes an object by hand.
    ///
    /// # Errors
    /// What the API server says.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<Value, Box<Status>> {
        self.by_hand(Verb::Delete, (kind, namespace, name), Value::Null)
    }

    /// Deletes a namespace with all that is in it, as the controllers of a cluster do.
    ///
    /// # Errors
    /// What the API server says. What somebody holds with a finalizer stays, and the namespace with it.
    pub fn delete_namespace(&self, name: &str) -> Result<(), Box<Status>> {
        self.delete("Namespace", "", name)?;
        let within = format!("{name}/");
        let mut contents = Vec::new();
        {
            let cluster = self.shared.lock();
            for (number, shelf) in cluster.shelves.iter().enumerate() {
                let keys = shelf.objects.range(within.clone()..);
                let keys = keys.take_while(|(key, _)| key.starts_with(&within));
                let names = keys.map(|(key, _)| key[within.len()..].to_owned());
                let kind = cluster.kinds[number].kind.clone();
                contents.extend(names.map(|name| (kind.clone(), name)));
            }
        }
        for (kind, object) in &contents {
            self.delete(kind, name, object)?;
        }
        let mut cluster = self.shared.lock();
        let holds = |shelf: &crate::shelf::Shelf| {
            let first = shelf.objects.range(within.clone()..).next();
            first.is_some_and(|(key, _)| key.starts_with(&within))
        };
        if !cluster.shelves.iter().any(holds) {
            let namespaces = cluster.namespaces();
            cluster.take_away(namespaces, name);
        }
        Ok(())
    }

    /// An object as it is.
    #[must_use]
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let cluster = self.shared.lock();
        let number = cluster.kinds.named(kind)?;
        let namespace = cluster.kinds[number].namespaced.then_some(namespace);
        let stored = cluster.shelves[number].objects.get(&key(namespace, name))?;
        Some(stored.object.clone())
    }

    /// All objects of a kind as they are, by namespace and name.
    #[must_use]
    pub fn list(&self, kind: &str) -> Vec<Value> {
        self.view(kind, Value::clone)
    }

    /// What `look` sees of each object of a kind, by namespace and name. It must ask the server nothing.
    #[must_use]
    pub fn view<T>(&self, kind: &str, look: impl FnMut(&Value) -> T) -> Vec<T> {
        let cluster = self.shared.lock();
        let Some(number) = cluster.kinds.named(kind) else {
            return Vec::new();
        };
        let objects = cluster.shelves[number].objects.values();
        objects.map(|stored| &stored.object).map(look).collect()
    }

    fn by_hand(
        &self,
        verb: Verb,
        (kind, namespace, name): (&str, &str, &str),
        body: Value,
    ) -> Result<Value, Box<Status>> {
        let number = self.shared.lock().kinds.named(kind);
        let number = number.ok_or_else(|| not_imitated(&format!("the kind {kind}")))?;
        let namespaced = self.shared.lock().kinds[number].namespaced;
        let call = Call {
            agent: BY_HAND.to_owned(),
            verb,
            kind: number,
            namespace: namespaced.then(|| namespace.to_owned()),
            name: name.to_owned(),
            subresource: None,
            query: Query::default(),
            form: Form::Full,
            body,
        };
        match self.answer(call)? {
            Answer::Body(_, object) => Ok(object),
            Answer::Watch(_) => Ok(Value::Null),
        }
    }

    fn answer(&self, call: Call) -> Result<Answer, Failure> {
        let now = self.shared.now();
        let mut cluster = self.shared.lock();
        let resource = &cluster.kinds[call.kind];
        let subresource = match call.subresource {
            None => "",
            Some(Subresource::Status) => "/status",
            Some(Subresource::Token) => "/token",
        };
        let resource = format!("{}{subresource}", resource.plural);
        let (agent, verb) = (call.agent.as_str().into(), call.verb.as_str());
        let name = match call.name.as_str() {
            "" => call.body["metadata"]["name"].as_str().unwrap_or_default(),
            name => name,
        };
        let object = key(call.namespace.as_deref(), name);
        let answer = cluster.answer(call, now);
        let code = match &answer {
            Ok(Answer::Body(code, _)) => *code,
            Ok(Answer::Watch(_)) => 200,
            Err(failure) => failure.code,
        };
        if let Err(failure) = &answer
            && code == 501
        {
            let what = format!("{verb} {resource}: {}", failure.message);
            cluster.lacks(what);
        }
        let about = About {
            agent,
            verb,
            resource: resource.into(),
            code,
        };
        cluster.note(now, about, &object);
        answer
    }

    async fn serve(self, parts: Parts, body: RequestBody) -> Response<Body> {
        let bytes = match body.collect_bytes().await {
            Ok(bytes) => bytes,
            Err(error) => {
                let why = format!("the body could not be read: {error}");
                return refused(&bad_request(&why));
            }
        };
        let call = {
            let mut cluster = self.shared.lock();
            let call = Call::read(&cluster.kinds, &parts, &bytes);
            if let Err(failure) = &call
                && failure.code == 501
            {
                let what = format!("{} by {}", failure.message, agent(&parts.headers));
                cluster.lacks(what);
            }
            call
        };
        match call.and_then(|call| self.answer(call)) {
            Ok(Answer::Body(code, object)) => json_response(code, &object),
            Ok(Answer::Watch(watching)) => {
                let watch = Stream::new(self.shared, watching);
                let lines = stream::unfold(watch, |watch| async {
                    let (lines, watch) = watch.next().await?;
                    Some((Ok::<Bytes, Infallible>(lines), watch))
                });
                response(200, Body::from_stream(lines))
            }
            Err(failure) => refused(&failure),
        }
    }
}

fn refused(failure: &Status) -> Response<Body> {
    json_response(failure.code, &body(failure))
}

fn json_response(code: u16, object: &Value) -> Response<Body> {
    // What is a `Value` can be written.
    response(
        code,
        Body::from(serde_json::to_vec(object).unwrap_or_default()),
    )
}

fn response(code: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// What a client of a [`MemoryApiServer`] calls.
#[derive(Clone, Debug)]
pub struct ApiService {
    server: MemoryApiServer,
    agent: Option<HeaderValue>,
}

impl Service<Request<RequestBody>> for ApiService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        if let Some(agent) = &self.agent {
            parts.headers.insert(USER_AGENT, agent.clone());
        }
        let server = self.server.clone();
        Box::pin(async move { Ok(server.serve(parts, body).await) })
    }
}

#[cfg(test)]
mod tests;
