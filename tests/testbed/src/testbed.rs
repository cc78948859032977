//! Everything for one test: a namespace on the shared control plane, an emulator and an operator of its own.
//!
//! The operator has exactly the rights that `hybrid-calendar-operator rbac` prints for its flags.

use std::fmt;
use std::time::Duration;

use graph_emulator::{Emulator, Options, World};
use kube::Client;
use serde_json::Value;

use crate::access::Rights;
use crate::control_plane::ControlPlane;
use crate::error::{Attempt, Error};
use crate::objects::{self, Expected, Kind};
use crate::operator::installed::{self, Installation};
use crate::operator::{self, OperatorOptions, OperatorProcess};
use crate::{archive, crds, sensitive, wait};

/// How many times faster than in earnest the operator waits, unless a test asks for another pace.
const PACE: u32 = 60;

/// How long an operator may take to show its metrics at the end of a test.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A world of its own. Ends with the test; the objects stay until the control plane ends.
pub struct Testbed {
    /// The API server.
    pub control_plane: &'static ControlPlane,
    /// Microsoft.
    pub emulator: Emulator,
    /// What is tested.
    pub operator: OperatorProcess,
    /// The namespace that the operator looks at.
    pub namespace: String,
    /// With all rights.
    pub client: Client,
}

impl fmt::Debug for Testbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Testbed")
            .field("namespace", &self.namespace)
            .field("operator", &self.operator)
            .finish_non_exhaustive()
    }
}

impl Testbed {
    /// Starts everything, the operator 60 times faster than in earnest.
    pub async fn start(world: World) -> Result<Self, Error> {
        Self::start_with(world, |_| {}).await
    }

    /// The same, after a change of how the operator is started.
    ///
    /// Namespaces that are added there are looked at, too. The rights are computed afterwards, but for `arguments`.
    pub async fn start_with(
        world: World,
        configure: impl FnOnce(&mut OperatorOptions),
    ) -> Result<Self, Error> {
        Self::start_against(start_emulator(world).await?, configure).await
    }

    /// The same against an emulator that runs already.
    pub async fn start_against(
        emulator: Emulator,
        configure: impl FnOnce(&mut OperatorOptions),
    ) -> Result<Self, Error> {
        let control_plane = ControlPlane::shared().await?;
        crds::install(control_plane).await?;
        Self::start_on(control_plane, emulator, configure).await
    }

    /// The same on a control plane of its own, which knows the operator's kinds already.
    pub async fn start_on(
        control_plane: &'static ControlPlane,
        emulator: Emulator,
        configure: impl FnOnce(&mut OperatorOptions),
    ) -> Result<Self, Error> {
        let namespace = control_plane.namespace().await?;
        let mut options = OperatorOptions {
            allowed_endpoints: vec![emulator.base_url()],
            namespaces: vec![namespace.clone()],
            rehearsal_pace: Some(PACE),
            ..OperatorOptions::default()
        };
        configure(&mut options);
        let options = granted(control_plane, (&namespace, &namespace), options).await?;
        Ok(Self {
            control_plane,
            emulator,
            operator: OperatorProcess::start(options).await?,
            client: control_plane.admin().await?,
            namespace,
        })
    }

    /// Another operator with a ServiceAccount of its own, so that the audit log tells them apart. It has the flags of
    /// the first, but for addresses of its own and what `configure` changes: with another key Secret and Lease it is
    /// another installation.
    pub async fn other_operator(
        &self,
        account: &str,
        configure: impl FnOnce(&mut OperatorOptions),
    ) -> Result<OperatorProcess, Error> {
        let mut options = OperatorOptions {
            receiver_listen: None,
            admin_listen: None,
            wakes_listen: None,
            notification_url: None,
            ..self.operator.options().clone()
        };
        configure(&mut options);
        let account = format!("{}-{account}", self.namespace);
        let names = (self.namespace.as_str(), account.as_str());
        OperatorProcess::start(granted(self.control_plane, names, options).await?).await
    }

    /// Gives the operator more rights, by further arguments of `rbac`.
    pub async fn permit(&self, more: &[String]) -> Result<(), Error> {
        let names = (self.namespace.as_str(), self.namespace.as_str());
        permit(self.control_plane, names, self.operator.options(), more).await
    }

    /// Applies documents as the administrator; `${EMULATOR}` becomes the emulator's address.
    pub async fn apply(&self, yaml: &str) -> Result<(), Error> {
        let yaml = yaml.replace("${EMULATOR}", &self.emulator.base_url());
        sensitive::remember_manifests(&yaml)?;
        self.control_plane.apply(&self.namespace, &yaml).await
    }

    /// A WorkspaceMailbox, or `Null` when there is none.
    pub async fn get_mailbox(&self, name: &str) -> Result<Value, Error> {
        objects::get(&self.client, Kind::Mailbox, &self.namespace, name).await
    }

    /// A CalendarTenant, or `Null` when there is none.
    pub async fn get_tenant(&self, name: &str) -> Result<Value, Error> {
        objects::get(&self.client, Kind::Tenant, &self.namespace, name).await
    }

    /// Waits for a condition, written `Ready=False/MailboxNotFound`. Returns the object that has it.
    pub async fn wait_condition(
        &self,
        kind: Kind,
        name: &str,
        expected: &str,
        deadline: Duration,
    ) -> Result<Value, Error> {
        let expected = Expected::parse(expected)?;
        let found = wait::for_some("", deadline, async || {
            let object = objects::get(&self.client, kind, &self.namespace, name).await;
            object.ok().filter(|object| expected.holds(object))
        })
        .await;
        match found {
            Ok(object) => Ok(object),
            Err(_) => Err(Error::Deadline {
                what: format!(
                    "{} {name} has {expected}\n{}",
                    kind.as_str(),
                    self.situation().await
                ),
                deadline,
            }),
        }
    }

    /// Waits until `holds` says so. `what` completes the sentence "not within 5 s: …".
    pub async fn wait_until(
        &self,
        what: &str,
        deadline: Duration,
        holds: impl AsyncFnMut() -> bool,
    ) -> Result<(), Error> {
        match wait::until(what, deadline, holds).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::Deadline {
                what: format!("{what}\n{}", self.situation().await),
                deadline,
            }),
        }
    }

    /// Everything that helps to see why a test failed: objects, Events, calls to Graph, the operator's log.
    pub async fn situation(&self) -> String {
        let mut lines = Vec::new();
        for kind in [Kind::Tenant, Kind::Mailbox] {
            match objects::list(&self.client, kind, &self.namespace).await {
                Ok(found) => lines.extend(found.into_iter().map(without_managed_fields)),
                Err(error) => lines.push(error.to_string()),
            }
        }
        lines.push("Events:".to_owned());
        match objects::events(&self.client, &self.namespace).await {
            Ok(events) => lines.extend(events.iter().map(objects::event_line)),
            Err(error) => lines.push(error.to_string()),
        }
        lines.push("Calls to Graph:".to_owned());
        let counts = self.emulator.counts().requests;
        lines.extend(
            counts
                .iter()
                .map(|(call, by_status)| format!("{call}: {by_status:?}")),
        );
        lines.push("The operator's last lines:".to_owned());
        let logs = self.operator.logs();
        lines.extend_from_slice(&logs[logs.len().saturating_sub(30)..]);
        lines.join("\n")
    }
}

impl Drop for Testbed {
    /// What the operator says last, and what was secret, goes into the archive.
    fn drop(&mut self) {
        let remembered = sensitive::remember(self.emulator.client_states());
        let (control_plane, namespace) = (self.control_plane, self.namespace.clone());
        let metrics = format!("{}/metrics", self.operator.admin_url());
        // On a thread of its own: the test's runtime is busy with dropping this.
        let archived = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().attempt("make a runtime")?;
            runtime.block_on(at_the_end(control_plane, &namespace, &metrics))
        });
        // A test that failed has something else to say.
        if !std::thread::panicking() {
            let archived = archived.join().unwrap_or(Ok(()));
            assert!(remembered.is_ok(), "{remembered:?}");
            assert!(archived.is_ok(), "{archived:?}");
        }
    }
}

/// Notes secrets and metrics. An operator that was stopped or stands still has none.
async fn at_the_end(
    control_plane: &ControlPlane,
    namespace: &str,
    metrics: &str,
) -> Result<(), Error> {
    let client = control_plane.admin().await?;
    sensitive::remember_namespace(&client, namespace).await?;
    match tokio::time::timeout(LAST_WORDS, operator::fetch(metrics)).await {
        Ok(Ok(text)) => archive::append(archive::METRICS, &text),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

/// Starts an emulator on free loopback ports. What is secret in its world is written down for those who search for it.
pub async fn start_emulator(world: World) -> Result<Emulator, Error> {
    start_emulator_with(world, Options::default()).await
}

/// The same with options.
pub async fn start_emulator_with(world: World, options: Options) -> Result<Emulator, Error> {
    sensitive::remember_world(&world)?;
    Emulator::start(world, options)
        .await
        .map_err(|error| Error::Program {
            program: "the Graph emulator".to_owned(),
            output: error.to_string(),
        })
}

/// Gives a ServiceAccount the rights for these flags, and for further arguments of `rbac`.
async fn permit(
    control_plane: &ControlPlane,
    (namespace, account): (&str, &str),
    options: &OperatorOptions,
    more: &[String],
) -> Result<(), Error> {
    let mut arguments = vec![format!("--service-account={namespace}/{account}")];
    let flags = [
        ("lease-namespace", &options.lease_namespace),
        ("lease-name", &options.lease_name),
        ("key-secret", &options.key_secret),
    ];
    arguments.extend(
        flags
            .iter()
            .filter_map(|(flag, value)| Some(format!("--{flag}={}", value.as_ref()?))),
    );
    arguments.extend(
        options
            .namespaces
            .iter()
            .map(|name| format!("--namespace={name}")),
    );
    arguments.extend_from_slice(more);
    let rbac = operator::rbac(&arguments).await?;
    control_plane.apply(namespace, &rbac).await
}

/// Makes the operator's ServiceAccount with the rights for these flags, and completes the flags with it.
async fn granted(
    control_plane: &ControlPlane,
    (namespace, account): (&str, &str),
    mut options: OperatorOptions,
) -> Result<OperatorOptions, Error> {
    if installed::is_wanted()? {
        let names = (namespace, account);
        options.installation = Some(Box::pin(Installation::prepare(control_plane, names)).await?);
        return Ok(options);
    }
    permit(control_plane, (namespace, account), &options, &[]).await?;
    options.kubeconfig = control_plane
        .service_account(namespace, account, &Rights::default())
        .await?;
    // Lease and key Secret are in the operator's own namespace by default.
    let own = ("POD_NAMESPACE".to_owned(), namespace.to_owned());
    options.environment.push(own);
    Ok(options)
}

fn without_managed_fields(mut object: Value) -> String {
    object["metadata"]["managedFields"] = Value::Null;
    format!("{object:#}")
}
