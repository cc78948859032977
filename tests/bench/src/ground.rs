//! An API server with the operator's kinds, and places on it for those who are measured: each with a namespace, the same
//! objects, and a ServiceAccount: the operator's with the rights that it asks for, the others' with those of `twins/role.yaml`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use serde_json::Value;
use testbed::access::Rights;
use testbed::control_plane::ControlPlane;
use testbed::error::{Attempt as _, Error};
use testbed::objects::{Expected, Kind};
use testbed::operator::{self, OperatorOptions, OperatorProcess};
use testbed::{crds, wait};

use crate::contender::{Contender, Running};
use crate::microsoft::Microsoft;
use crate::options::Trial;
use crate::twin::Twin;
use crate::world::World;

/// How many objects are made at once; more would only wait for each other.
const HANDS: usize = 32;
/// Objects in one page of a list.
const PAGE: u32 = 500;

/// A control plane of its own.
pub struct Ground {
    /// The API server.
    pub control_plane: ControlPlane,
    client: Client,
}

impl fmt::Debug for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ground = f.debug_struct("Ground");
        ground.field("control_plane", &self.control_plane);
        ground.finish_non_exhaustive()
    }
}

/// Where somebody is measured.
#[derive(Clone, Debug)]
pub struct Place {
    /// Namespace of all objects.
    pub namespace: String,
    /// With whose rights the work is done.
    pub kubeconfig: PathBuf,
}

impl Place {
    /// How the audit log names whoever works here.
    #[must_use]
    pub fn user(&self) -> String {
        let namespace = &self.namespace;
        format!("system:serviceaccount:{namespace}:{namespace}")
    }
}

impl Ground {
    /// Starts it.
    pub async fn start() -> Result<Self, Error> {
        let control_plane = ControlPlane::start().await?;
        control_plane.install_crds(&crds::yaml()?).await?;
        let client = control_plane.admin().await?;
        Ok(Self {
            control_plane,
            client,
        })
    }

    /// A namespace with all the objects of a world, none of which has been looked at.
    pub async fn place(
        &self,
        contender: Contender,
        world: &World,
        microsoft: &Microsoft,
    ) -> Result<Place, Error> {
        let namespace = self.control_plane.namespace().await?;
        let rights = match contender {
            Contender::Twin(_) | Contender::Floor => Twin::rights(&namespace)?,
            Contender::Operator => {
                let account = format!("--service-account={namespace}/{namespace}");
                let rbac = operator::rbac(&[account, format!("--namespace={namespace}")]).await?;
                self.control_plane.apply(&namespace, &rbac).await?;
                Rights::default()
            }
        };
        let secret = World::secret().to_string();
        self.control_plane.apply(&namespace, &secret).await?;
        let kubeconfig = self
            .control_plane
            .service_account(&namespace, &namespace, &rights)
            .await?;
        let tenants = world.tenants(microsoft.endpoint());
        let place = Place {
            namespace,
            kubeconfig,
        };
        self.make(&place, Kind::Tenant, tenants.into_iter()).await?;
        self.make(&place, Kind::Mailbox, world.mailboxes()).await?;
        Ok(place)
    }

    async fn make(
        &self,
        place: &Place,
        kind: Kind,
        objects: impl Iterator<Item = Value>,
    ) -> Result<(), Error> {
        let api = kind.api(&self.client, &place.namespace);
        let made = objects.map(|object| create(api.clone(), object));
        let made = stream::iter(made).buffer_unordered(HANDS);
        made.try_for_each(|()| async { Ok(()) }).await
    }

    /// One more mailbox.
    pub async fn add(&self, place: &Place, mailbox: Value) -> Result<(), Error> {
        create(Kind::Mailbox.api(&self.client, &place.namespace), mailbox).await
    }

    /// Starts whoever is measured, without waiting for anything but that it is built.
    pub async fn launch(
        &self,
        contender: Contender,
        place: &Place,
        microsoft: &Microsoft,
        trial: Trial<'_>,
    ) -> Result<Running, Error> {
        match contender {
            Contender::Twin(twin) => Ok(Running::Twin(twin.start(place).await?)),
            Contender::Operator | Contender::Floor => {
                let operator = self.operator(place, microsoft, trial).await?;
                Ok(Running::Operator(Box::new(operator)))
            }
        }
    }

    /// Starts the operator, without waiting for anything.
    pub async fn operator(
        &self,
        place: &Place,
        microsoft: &Microsoft,
        trial: Trial<'_>,
    ) -> Result<OperatorProcess, Error> {
        OperatorProcess::spawn(Self::as_installed(place, microsoft, trial)).await
    }

    /// How the operator is started.
    #[must_use]
    pub fn as_installed(place: &Place, microsoft: &Microsoft, trial: Trial<'_>) -> OperatorOptions {
        let concurrency = trial.concurrency.iter();
        OperatorOptions {
            kubeconfig: place.kubeconfig.clone(),
            allowed_endpoints: vec![microsoft.endpoint().to_owned()],
            namespaces: vec![place.namespace.clone()],
            rehearsal_pace: trial.pace,
            arguments: concurrency.map(|n| format!("--concurrency={n}")).collect(),
            environment: environment(&place.namespace),
            ..OperatorOptions::default()
        }
    }

    /// Waits until so many mailboxes are Ready; returns one of them. To be asked when that is near: it lists them all.
    pub async fn all_ready(
        &self,
        place: &Place,
        wanted: u64,
        deadline: Duration,
    ) -> Result<Value, Error> {
        let ready = Expected::parse("Ready=True")?;
        wait::for_some("every mailbox is Ready", deadline, async || {
            let (count, one) = self.count(place, &ready).await.ok()?;
            one.filter(|_| count >= wanted)
        })
        .await
    }

    /// Waits until the tenants' statuses count so many mailboxes that are Ready, which is the last that is written about them.
    pub async fn all_counted(
        &self,
        place: &Place,
        wanted: u64,
        deadline: Duration,
    ) -> Result<(), Error> {
        let api = Kind::Tenant.api(&self.client, &place.namespace);
        let ready = |tenant: &DynamicObject| tenant.data["status"]["mailboxes"]["ready"].as_u64();
        wait::until("every Ready mailbox is counted", deadline, async || {
            let found = api.list(&ListParams::default()).await;
            found.is_ok_and(|tenants| tenants.iter().filter_map(ready).sum::<u64>() >= wanted)
        })
        .await
    }

    /// How many mailboxes fulfil an expectation, and the last of them.
    async fn count(
        &self,
        place: &Place,
        expected: &Expected,
    ) -> Result<(u64, Option<Value>), Error> {
        let api = Kind::Mailbox.api(&self.client, &place.namespace);
        let (mut count, mut last) = (0, None);
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let found = api.list(&page).await.attempt("list the mailboxes")?;
            let objects = found.items.into_iter();
            for object in objects.filter_map(|object| serde_json::to_value(object).ok()) {
                if expected.holds(&object) {
                    (count, last) = (count + 1, Some(object));
                }
            }
            match found.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page.continue_token = Some(token),
                None => return Ok((count, last)),
            }
        }
    }

    /// For a look at single objects.
    #[must_use]
    pub fn mailboxes(&self, place: &Place) -> Api<DynamicObject> {
        Kind::Mailbox.api(&self.client, &place.namespace)
    }
}

/// What the chart sets, as far as it matters here.
fn environment(namespace: &str) -> Vec<(String, String)> {
    vec![("POD_NAMESPACE".to_owned(), namespace.to_owned())]
}

async fn create(api: Api<DynamicObject>, object: Value) -> Result<(), Error> {
    let object: DynamicObject =
        serde_json::from_value(object).map_err(|error| Error::Document {
            what: "an object of the benchmark".to_owned(),
            message: error.to_string(),
        })?;
    let made = api.create(&PostParams::default(), &object).await;
    made.map(|_| ()).attempt("create an object")
}
