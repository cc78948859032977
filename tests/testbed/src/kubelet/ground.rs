//! What a pod may refer to: Secrets, ConfigMaps, its own fields and tokens of its ServiceAccount.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Pod, Secret, ServiceAccount, ServiceAccountTokenProjection,
};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::error::{Attempt, Error};

/// Content by key.
pub(super) type Contents = BTreeMap<String, Vec<u8>>;

/// Least life of a token, as the API server wants it. Tests are shorter: nobody renews it.
const TOKEN_SECONDS: i64 = 60 * 60;

/// A pod and the cluster that it is in.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) client: Client,
    pub(super) pod: Pod,
    /// Base URL of the API server.
    pub(super) server: String,
    /// By which it reaches Services, if it does.
    pub(super) proxy: Option<String>,
    /// As the cluster spells the pod's address.
    pub(super) pod_ip: Ipv4Addr,
    /// On this machine.
    pub(super) address: Ipv4Addr,
}

impl Ground {
    pub(super) fn namespace(&self) -> String {
        self.pod.namespace().unwrap_or_default()
    }

    /// A Secret's content.
    pub(super) async fn secret(&self, name: &str) -> Result<Option<Contents>, Error> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace());
        let found = secrets
            .get_opt(name)
            .await
            .attempt(format!("read the Secret {name}"))?;
        let data = |secret: Secret| secret.data.unwrap_or_default();
        Ok(found.map(|secret| data(secret).into_iter().map(|(k, v)| (k, v.0)).collect()))
    }

    /// A ConfigMap's content.
    pub(super) async fn config_map(&self, name: &str) -> Result<Option<Contents>, Error> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace());
        let found = maps
            .get_opt(name)
            .await
            .attempt(format!("read the ConfigMap {name}"))?;
        Ok(found.map(|map| {
            let texts = map.data.unwrap_or_default().into_iter();
            let binary = map.binary_data.unwrap_or_default().into_iter();
            texts
                .map(|(key, text)| (key, text.into_bytes()))
                .chain(binary.map(|(key, bytes)| (key, bytes.0)))
                .collect()
        }))
    }

    /// A token of the pod's ServiceAccount, which the API server accepts only while the pod is there.
    pub(super) async fn token(
        &self,
        wanted: &ServiceAccountTokenProjection,
    ) -> Result<String, Error> {
        let account = self.pod.spec.as_ref();
        let account = account.and_then(|spec| spec.service_account_name.clone());
        let account = account.unwrap_or_else(|| "default".to_owned());
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: wanted.audience.clone().into_iter().collect(),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(self.pod.name_any()),
                    uid: self.pod.uid(),
                }),
                expiration_seconds: wanted.expiration_seconds.or(Some(TOKEN_SECONDS)),
            },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.namespace());
        let answer = accounts
            .create_token_request(&account, &PostParams::default(), &request)
            .await
            .attempt(format!("request a token of the ServiceAccount {account}"))?;
        Ok(answer.status.map(|status| status.token).unwrap_or_default())
    }

    /// A field of the pod, as the downward API names it.
    pub(super) fn field(&self, path: &str) -> Result<String, Error> {
        if path == "status.podIP" {
            return Ok(self.pod_ip.to_string());
        }
        let pod = serde_json::to_value(&self.pod).unwrap_or_default();
        field(&pod, path).ok_or_else(|| missing(path, "the pod has no such field"))
    }
}

/// Looks up `metadata.name` or `metadata.labels['app']`.
fn field(pod: &Value, path: &str) -> Option<String> {
    let (path, key) = match path.split_once("['") {
        Some((path, key)) => (path, Some(key.strip_suffix("']")?)),
        None => (path, None),
    };
    let found = path
        .split('.')
        .try_fold(pod, |value, name| value.get(name))?;
    match key {
        // A label that is not there is empty.
        Some(key) => Some(found[key].as_str().unwrap_or_default().to_owned()),
        None => found.as_str().map(str::to_owned),
    }
}

pub(super) fn missing(what: &str, message: &str) -> Error {
    Error::Document {
        what: what.to_owned(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_as_the_downward_api_names_them() {
        let pod = json!({"metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "b"}}});
        for (path, expected) in [
            ("metadata.name", Some("a")),
            ("metadata.labels['app.kubernetes.io/name']", Some("b")),
            ("metadata.labels['none']", Some("")),
            ("metadata.uid", None),
            ("spec.nodeName", None),
        ] {
            assert_eq!(field(&pod, path).as_deref(), expected, "{path}");
        }
    }
}
