//! A request and its answer, apart from sockets: what the network, the in-process service and the items of
//! a batch have in common.

use axum::body::{Body, Bytes};
use http::header::{CONTENT_TYPE, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::Value;

/// The connection was cut on purpose: the client gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was cut by a fault rule")]
pub struct ConnectionCut;

/// How links in answers begin when the caller names no host.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) scheme: &'static str,
    pub(crate) authority: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Origin of links in the answer, ends in `/`.
    pub(crate) base: String,
    pub(crate) batched: bool,
}

const LARGEST_BODY: usize = 4 * 1024 * 1024;

impl Call {
    /// Reads a request; `None` if its body is larger than Graph takes.
    pub(crate) async fn read(request: Request<Body>, origin: &Origin) -> Option<Self> {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, LARGEST_BODY).await.ok()?;
        let host = head
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .or_else(|| head.uri.authority().map(http::uri::Authority::as_str))
            .unwrap_or(&origin.authority);
        Some(Self {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            base: format!("{}://{host}/", origin.scheme),
            headers: head.headers,
            body,
            batched: false,
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Path and query, for the journal.
    pub(crate) fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Empty,
    Json(Value),
    Text(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    /// What is not imitated, when the status is 501.
    pub(crate) note: Option<String>,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, content: Content) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            content,
            note: None,
        }
    }

    pub(crate) fn ok(value: Value) -> Self {
        Self::new(StatusCode::OK, Content::Json(value))
    }

    pub(crate) fn created(value: Value) -> Self {
        Self::new(StatusCode::CREATED, Content::Json(value))
    }

    pub(crate) fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT, Content::Empty)
    }

    #[must_use]
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut headers = self.headers;
        let body = match self.content {
            Content::Empty => Body::empty(),
            Content::Text(text) => {
                let plain = HeaderValue::from_static("text/plain; charset=utf-8");
                headers.entry(CONTENT_TYPE).or_insert(plain);
                Body::from(text)
            }
            Content::Json(value) => {
                let json = HeaderValue::from_static("application/json");
                headers.entry(CONTENT_TYPE).or_insert(json);
                Body::from(value.to_string())
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}
