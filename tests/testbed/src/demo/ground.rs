//! The cluster that the demo stands on: a control plane of its own, or somebody's that gets back what it was.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use testbed::cluster::Cluster;
use testbed::control_plane::ControlPlane;
use testbed::crds;
use testbed::error::{Attempt as _, Error};
use testbed::guard::Scratch;

use crate::screen::Screen;
use crate::stage::{NAMESPACE, VISITORS};

const DEFINITIONS: [&str; 2] = [
    "calendartenants.hybridcalendar.dev",
    "workspacemailboxes.hybridcalendar.dev",
];

/// Where the cluster is from.
#[derive(Debug)]
pub(crate) enum Ground {
    Own(Box<ControlPlane>),
    Borrowed(Borrowed),
}

/// Somebody's cluster.
#[derive(Debug)]
pub(crate) struct Borrowed {
    cluster: Cluster,
    had_definitions: bool,
    _scratch: Scratch,
}

impl Ground {
    /// Starts a control plane, or looks at what is there. Nothing is written yet.
    pub(crate) async fn find(kubeconfig: Option<PathBuf>, screen: &Screen) -> Result<Self, Error> {
        let Some(kubeconfig) = kubeconfig else {
            screen.line("Starting an API server.");
            return ControlPlane::start()
                .await
                .map(|own| Self::Own(Box::new(own)));
        };
        let scratch = Scratch::new()?;
        let folder = scratch.path().to_owned();
        let cluster = Cluster::existing(kubeconfig, "kubectl".into(), folder);
        let definitions: Api<CustomResourceDefinition> = Api::all(cluster.admin().await?);
        let present = definitions
            .get_opt(DEFINITIONS[0])
            .await
            .attempt("look for the CustomResourceDefinitions")?;
        Ok(Self::Borrowed(Borrowed {
            cluster,
            had_definitions: present.is_some(),
            _scratch: scratch,
        }))
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        match self {
            Self::Own(control_plane) => control_plane,
            Self::Borrowed(borrowed) => &borrowed.cluster,
        }
    }

    /// Where our kubectl is, when the cluster is ours.
    pub(crate) fn kubectl_folder(&self) -> Option<&Path> {
        match self {
            Self::Own(control_plane) => control_plane.kubectl_path().parent(),
            Self::Borrowed(_) => None,
        }
    }

    /// Installs the CustomResourceDefinitions, unless somebody did.
    pub(crate) async fn define(&self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Borrowed(borrowed) if borrowed.had_definitions => {
                screen.line("The CustomResourceDefinitions are there: they are left as they are.");
                Ok(())
            }
            Self::Own(_) | Self::Borrowed(_) => self.cluster().install_crds(&crds::yaml()?).await,
        }
    }

    /// Ends our own control plane, or removes what was brought into somebody's cluster.
    pub(crate) async fn clear(self) -> Result<(), Error> {
        let borrowed = match self {
            Self::Own(control_plane) => {
                control_plane.stop();
                return Ok(());
            }
            Self::Borrowed(borrowed) => borrowed,
        };
        let client = borrowed.cluster.admin().await?;
        for namespace in [NAMESPACE, VISITORS] {
            remove::<Namespace>(&client, namespace).await?;
        }
        remove::<ClusterRoleBinding>(&client, NAMESPACE).await?;
        remove::<ClusterRole>(&client, NAMESPACE).await?;
        if !borrowed.had_definitions {
            for name in DEFINITIONS {
                remove::<CustomResourceDefinition>(&client, name).await?;
            }
        }
        Ok(())
    }
}

/// Deletes an object; what is not there was never brought.
async fn remove<K>(client: &Client, name: &str) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::all(client.clone());
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error).attempt(format!("remove {name}")),
    }
}
