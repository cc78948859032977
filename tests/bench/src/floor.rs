//! The floor: what any program must do at least. Lists the mailboxes of a namespace and writes one status each.
//!
//! Decides nothing, asks Microsoft nothing, remembers nothing but names and versions.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use bench::process::Usage;
use bench::scenario::floor::Spent;
use bench::scenario::writes::Manner;
use clap::Parser;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use testbed::objects::Kind;

/// Writes the same status to every mailbox of a namespace
#[derive(Debug, Parser)]
struct Flags {
    /// With whose rights
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Where the mailboxes are
    #[arg(long)]
    namespace: String,
    /// A file with the status, as JSON
    #[arg(long)]
    status: PathBuf,
    /// How many writes are under way at once
    #[arg(long)]
    concurrency: usize,
    /// In which manner a status is written
    #[arg(long, value_enum, default_value_t = Manner::default())]
    manner: Manner,
    /// Objects in one page of the list
    #[arg(long, default_value_t = 500)]
    page: u32,
}

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    match write_all(&Flags::parse()).await.and_then(tell) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "floor: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn write_all(flags: &Flags) -> Result<u64, Failure> {
    let kubeconfig = Kubeconfig::read_from(&flags.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let status: Value = serde_json::from_slice(&std::fs::read(&flags.status)?)?;
    let api = Kind::Mailbox.api(&client, &flags.namespace);
    let found = list(&api, flags.page).await?;
    let writer = Writer {
        client: &client,
        requests: Request::new(api.resource_url()),
        manner: flags.manner,
        status: &status,
    };
    let written = found.into_iter().map(|who| writer.write(who));
    let written = stream::iter(written).buffer_unordered(flags.concurrency);
    written
        .try_fold(0, |count, ()| async move { Ok(count + 1) })
        .await
}

/// Name, UID and version of each object.
type Who = (String, String, String);

async fn list(api: &Api<DynamicObject>, page: u32) -> Result<Vec<Who>, kube::Error> {
    let mut parameters = ListParams::default().limit(page);
    let mut found = Vec::new();
    loop {
        let list = api.list(&parameters).await?;
        let metadata = list.items.into_iter().map(|object| object.metadata);
        found.extend(metadata.filter_map(|it| Some((it.name?, it.uid?, it.resource_version?))));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

struct Writer<'a> {
    client: &'a Client,
    requests: Request,
    manner: Manner,
    status: &'a Value,
}

impl Writer<'_> {
    async fn write(&self, (name, uid, version): Who) -> Result<(), Failure> {
        let resource = Kind::Mailbox.resource();
        let object = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": name, "uid": uid, "resourceVersion": version},
            "status": self.status,
        });
        let request = self.request(&name, &object)?;
        self.client.request::<DynamicObject>(request).await?;
        Ok(())
    }

    fn request(&self, name: &str, object: &Value) -> Result<http::Request<Vec<u8>>, Failure> {
        let patch = |parameters: &PatchParams, patch: &Patch<&Value>| {
            self.requests
                .patch_subresource("status", name, parameters, patch)
        };
        let mut request = match self.manner {
            Manner::Apply | Manner::ApplyUnchecked => {
                patch(&PatchParams::apply("floor").force(), &Patch::Apply(object))
            }
            Manner::Merge | Manner::MergeUnchecked => {
                patch(&PatchParams::default(), &Patch::Merge(object))
            }
            Manner::Replace | Manner::ReplaceUnchecked => {
                let body = serde_json::to_vec(object)?;
                self.requests
                    .replace_subresource("status", name, &PostParams::default(), body)
            }
        }?;
        if self.manner.is_unchecked() {
            *request.uri_mut() = format!("{}&fieldValidation=Ignore", request.uri()).parse()?;
        }
        Ok(request)
    }
}

fn tell(writes: u64) -> Result<(), Failure> {
    let usage = Usage::own()?;
    let spent = Spent {
        writes,
        cpu_seconds: usage.cpu.as_secs_f64(),
        peak: usage.peak,
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&spent)?)?;
    Ok(())
}
