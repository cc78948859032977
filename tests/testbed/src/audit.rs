//! What the API server was asked, by whom: its audit log, so that tests can count writes.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::api::Api;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::error::{Attempt, Error};
use crate::wait;

/// One request: metadata only, without bodies, without the API server's talk with itself, without what tests poll.
pub(crate) const POLICY: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, users: ["system:apiserver", "system:anonymous"]}
- {level: None, nonResourceURLs: ["/readyz*", "/livez*", "/healthz*"]}
- level: None
  users: [admin]
  verbs: [get, list]
  resources:
  - {group: hybridcalendar.dev}
  - {group: events.k8s.io}
  - {group: "", resources: [events]}
- {level: Metadata}
"#;

const DEADLINE: Duration = Duration::from_secs(10);
static MARKS: AtomicU64 = AtomicU64::new(0);

/// A request to the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Who asked; `system:serviceaccount:<namespace>:<name>` for ServiceAccounts.
    pub user: String,
    /// What the client called itself.
    pub user_agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Plural name of the resource, empty for other paths.
    pub resource: String,
    /// `status`, `token` …, or empty.
    pub subresource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name of the object, or empty.
    pub name: String,
    /// HTTP status of the answer; of a watch, of its begin.
    pub code: u16,
    /// When the request arrived.
    pub time: Timestamp,
}

impl AuditEntry {
    /// Whether it changed something, or tried to.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether it wrote a status, or tried to.
    #[must_use]
    pub fn is_status_write(&self) -> bool {
        self.is_write() && self.subresource == "status"
    }
}

/// A place in the audit log: what was asked before it is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditMark(u64);

/// The place after everything that ended before this call.
pub(crate) async fn mark(client: &Client, log: &Path) -> Result<AuditMark, Error> {
    // What is there already cannot hold a marker that nobody has asked for yet.
    let metadata = tokio::fs::metadata(log).await;
    let written = metadata
        .attempt(format!("look at {}", log.display()))?
        .len();
    let marker = ask_for_nothing(client).await;
    let what = format!("the audit log holds {marker}");
    wait::for_some(&what, DEADLINE, async || {
        let text = read_from(log, AuditMark(written)).await.ok()?;
        let (before, rest) = text.split_at(text.find(&marker)?);
        // A line may be half written.
        let end = before.len() + rest.find('\n')? + 1;
        Some(AuditMark(written + end as u64))
    })
    .await
}

/// Everything since `mark` that ended before this call.
pub(crate) async fn since(
    client: &Client,
    log: &Path,
    mark: AuditMark,
) -> Result<Vec<AuditEntry>, Error> {
    let end = self::mark(client, log).await?;
    let text = read_from(log, mark).await?;
    let length = usize::try_from(end.0.saturating_sub(mark.0)).unwrap_or(usize::MAX);
    text.get(..length)
        .unwrap_or(&text)
        .lines()
        .filter(|line| !line.contains("/audit-mark-"))
        .filter_map(|line| parse(line).transpose())
        .collect()
}

/// The log is written in the order in which requests end: one of our own shows that the earlier ones are there.
async fn ask_for_nothing(client: &Client) -> String {
    let name = format!(
        "audit-mark-{}-{}",
        std::process::id(),
        MARKS.fetch_add(1, Ordering::Relaxed)
    );
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    // Not found, as expected; any failure shows as a mark that is missing.
    let _ = namespaces.get_opt(&name).await;
    format!("/{name}\"")
}

async fn read_from(log: &Path, mark: AuditMark) -> Result<String, Error> {
    let attempt = || format!("read {}", log.display());
    let mut file = tokio::fs::File::open(log).await.attempt(attempt())?;
    file.seek(std::io::SeekFrom::Start(mark.0))
        .await
        .attempt(attempt())?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).await.attempt(attempt())?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    #[serde(default)]
    user_agent: String,
    user: User,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    request_received_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

/// A watch counts when it begins, all else when it ends.
fn parse(line: &str) -> Result<Option<AuditEntry>, Error> {
    let line: Line = serde_json::from_str(line).map_err(|error| Error::Document {
        what: "the audit log".to_owned(),
        message: error.to_string(),
    })?;
    let counted = match line.verb.as_str() {
        "watch" => "ResponseStarted",
        _ => "ResponseComplete",
    };
    Ok((line.stage == counted).then_some(AuditEntry {
        user: line.user.username,
        user_agent: line.user_agent,
        verb: line.verb,
        resource: line.object_ref.resource,
        subresource: line.object_ref.subresource,
        namespace: line.object_ref.namespace,
        name: line.object_ref.name,
        code: line.response_status.code,
        time: line.request_received_timestamp,
    }))
}
