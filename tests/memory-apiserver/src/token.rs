//! Tokens of ServiceAccounts, signed by whoever plays the cluster.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::TokenRequest;
use serde_json::{Value, json};

use crate::call::Call;
use crate::cluster::{Cluster, key};
use crate::failure::{Failure, bad_request, not_found, not_imitated};
use crate::resource::Nature;
use crate::write::seconds;

/// The shortest life of a token, in seconds.
const SHORTEST: i64 = 600;

/// The life of a token for which none is asked, in seconds.
const USUAL: i64 = 3600;

impl Cluster {
    pub(crate) fn token(&self, call: Call, now: Timestamp) -> Result<Value, Failure> {
        let resource = &self.kinds[call.kind];
        let (Nature::ServiceAccount, Some(namespace)) = (&resource.nature, &call.namespace) else {
            return Err(not_imitated("a token of this kind"));
        };
        let request: TokenRequest = serde_json::from_value(call.body)
            .map_err(|error| bad_request(&format!("this is no TokenRequest: {error}")))?;
        let key = key(Some(namespace), &call.name);
        let account = self.shelves[call.kind].objects.get(&key);
        let account = account.ok_or_else(|| not_found(resource, &call.name))?;
        let life = request.spec.expiration_seconds.unwrap_or(USUAL);
        let Some(sign) = &self.signer else {
            return Err(not_imitated(
                "tokens, as long as nobody says how they are signed",
            ));
        };
        if life < SHORTEST
            || request.spec.bound_object_ref.is_some()
            || request.spec.audiences.is_empty()
        {
            return Err(not_imitated("such a token"));
        }
        let end = now
            .saturating_add(SignedDuration::from_secs(life))
            .unwrap_or(Timestamp::MAX);
        let claims = json!({
            "aud": request.spec.audiences,
            "exp": end.as_second(),
            "iat": now.as_second(),
            "nbf": now.as_second(),
            "sub": format!("system:serviceaccount:{namespace}:{}", call.name),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": call.name, "uid": account.object["metadata"]["uid"]},
            },
        });
        Ok(json!({
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": call.name, "namespace": namespace, "creationTimestamp": seconds(now),
            },
            "spec": {
                "audiences": request.spec.audiences, "expirationSeconds": life, "boundObjectRef": null,
            },
            "status": {"token": sign(&claims), "expirationTimestamp": seconds(end)},
        }))
    }
}
