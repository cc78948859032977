//! Credentials from files: Secrets and ServiceAccounts among the manifests, or what a person has at hand.
//!
//! Both take the way of the cluster's, so that a Secret without its label is refused here as well.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::api::ObjectMeta;

use super::objects::{Declared, Objects, Problem};
use crate::api::v1alpha1::{CLIENT_ID_ANNOTATION, CREDENTIAL_LABEL};
use crate::config::check::Local;
use crate::controller::credential::Offers;
use crate::domain::endpoints::AllowedEndpoints;
use crate::domain::reading::Outage;
use crate::domain::records::TenantRecord;
use crate::domain::tenant::desired::{CredentialSource, TenantDesired};
use crate::graph::credential::{AssertionError, AssertionSource};
use crate::ids::ObjectKey;
use crate::secret::Secret;

/// What tenants find when they look for their credentials.
#[derive(Default)]
pub struct FileOffers {
    secrets: BTreeMap<ObjectKey, SecretObject>,
    accounts: BTreeMap<ObjectKey, ObjectMeta>,
    token: Option<Secret>,
}

impl fmt::Debug for FileOffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileOffers").finish_non_exhaustive()
    }
}

/// A tenant whose credential is looked for.
type Seeker<'a> = (&'a Declared<TenantRecord>, TenantDesired);

impl FileOffers {
    /// The credentials of the files, and those at hand in their places.
    ///
    /// # Errors
    /// A credential at hand that nobody or more than one could mean, and a tenant that needs a token and has none.
    pub fn new(
        objects: &Objects,
        allowed: &AllowedEndpoints,
        local: &Local,
    ) -> Result<Self, Vec<Problem>> {
        let seekers: Vec<Seeker<'_>> = objects
            .tenants
            .iter()
            .filter_map(|tenant| {
                let namespace = &tenant.record.key.namespace;
                let desired = TenantDesired::from_spec(namespace, &tenant.record.spec, allowed);
                Some((tenant, desired.ok()?))
            })
            .collect();
        let mut offers = Self {
            secrets: objects.secrets.clone(),
            accounts: objects.accounts.clone(),
            token: local.federated_token.clone(),
        };
        let mut problems = Vec::new();
        offers.take_client_secret(&seekers, local, &mut problems);
        offers.take_certificate(&seekers, local, &mut problems);
        offers.take_token(&seekers, &mut problems);
        if problems.is_empty() {
            Ok(offers)
        } else {
            Err(problems)
        }
    }

    fn take_client_secret(
        &mut self,
        seekers: &[Seeker<'_>],
        local: &Local,
        problems: &mut Vec<Problem>,
    ) {
        let wants =
            |source: &CredentialSource| matches!(source, CredentialSource::ClientSecret { .. });
        // A variable that was set for something else must not win over what the files say.
        let is_lacking = || {
            let mut of_kind = seekers.iter().filter(|(_, d)| wants(&d.credential));
            of_kind.any(|(_, desired)| self.lacks(desired))
        };
        let ambient = || local.ambient_secret.as_ref().filter(|_| is_lacking());
        let Some(value) = local.client_secret.as_ref().or_else(ambient) else {
            return;
        };
        let Some(desired) = self.meant(seekers, wants, "the client secret", problems) else {
            return;
        };
        if let CredentialSource::ClientSecret { secret, key, .. } = &desired.credential {
            self.put(desired, secret, [(key.as_str(), value)]);
        }
    }

    fn take_certificate(
        &mut self,
        seekers: &[Seeker<'_>],
        local: &Local,
        problems: &mut Vec<Problem>,
    ) {
        let Some((certificate, key)) = &local.certificate else {
            return;
        };
        let wants =
            |source: &CredentialSource| matches!(source, CredentialSource::Certificate { .. });
        let Some(desired) = self.meant(seekers, wants, "the certificate", problems) else {
            return;
        };
        if let CredentialSource::Certificate { secret } = &desired.credential {
            self.put(
                desired,
                secret,
                [("tls.crt", certificate), ("tls.key", key)],
            );
        }
    }

    /// The one tenant that a credential at hand is for: of several, the one whose Secret is in no file.
    fn meant<'s>(
        &self,
        seekers: &'s [Seeker<'_>],
        wants: impl Fn(&CredentialSource) -> bool,
        what: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<&'s TenantDesired> {
        let of_kind: Vec<&Seeker<'_>> = seekers
            .iter()
            .filter(|(_, desired)| wants(&desired.credential))
            .collect();
        let lacking: Vec<&&Seeker<'_>> = of_kind.iter().filter(|(_, d)| self.lacks(d)).collect();
        match (of_kind.as_slice(), lacking.as_slice()) {
            ([(_, only)], _) | (_, [(_, only)]) => Some(only),
            (_, [(first, _), ..]) => {
                problems.push(Problem {
                    place: first.place.clone(),
                    says: format!(
                        "{what} at hand could be for {} CalendarTenants: put their Secrets into the files, or check one tenant at a time.",
                        lacking.len()
                    ),
                });
                None
            }
            (_, []) => None,
        }
    }

    /// Whether a tenant's Secret is in no file.
    fn lacks(&self, desired: &TenantDesired) -> bool {
        let name = desired.credential.secret().unwrap_or_default();
        let key = ObjectKey::new(Arc::clone(&desired.namespace), name);
        !self.secrets.contains_key(&key)
    }

    /// A Secret as its owner would offer it.
    fn put<const N: usize>(
        &mut self,
        desired: &TenantDesired,
        name: &str,
        values: [(&str, &Secret); N],
    ) {
        let data = values.into_iter().map(|(key, value)| {
            (
                key.to_owned(),
                ByteString(value.expose().as_bytes().to_vec()),
            )
        });
        let label = (CREDENTIAL_LABEL.to_owned(), "true".to_owned());
        let secret = SecretObject {
            metadata: ObjectMeta {
                labels: Some(BTreeMap::from([label])),
                ..ObjectMeta::default()
            },
            data: Some(data.collect()),
            ..SecretObject::default()
        };
        let key = ObjectKey::new(Arc::clone(&desired.namespace), name);
        self.secrets.insert(key, secret);
    }

    /// Nobody but a cluster makes tokens of ServiceAccounts, so that one has to be at hand.
    fn take_token(&mut self, seekers: &[Seeker<'_>], problems: &mut Vec<Problem>) {
        for (tenant, desired) in seekers {
            let CredentialSource::WorkloadIdentity { service_account } = &desired.credential else {
                continue;
            };
            if self.token.is_none() {
                problems.push(Problem {
                    place: tenant.place.clone(),
                    says: format!(
                        "spec.credential.workloadIdentity needs a token of ServiceAccount {}/{service_account}: write one into a file with `kubectl create token` and name it by --federated-token-file.",
                        desired.namespace
                    ),
                });
            }
            let key = ObjectKey::new(Arc::clone(&desired.namespace), service_account.as_str());
            let annotation = (
                CLIENT_ID_ANNOTATION.to_owned(),
                desired.client_id.to_string(),
            );
            // One that is in the files has to offer itself.
            self.accounts.entry(key).or_insert_with(|| ObjectMeta {
                annotations: Some(BTreeMap::from([annotation])),
                ..ObjectMeta::default()
            });
        }
    }
}

impl Offers for FileOffers {
    fn secret<'a>(
        &'a self,
        key: &'a ObjectKey,
    ) -> BoxFuture<'a, Result<Option<SecretObject>, Outage>> {
        ready(Ok(self.secrets.get(key).cloned())).boxed()
    }

    fn service_account<'a>(
        &'a self,
        key: &'a ObjectKey,
    ) -> BoxFuture<'a, Result<Option<ObjectMeta>, Outage>> {
        ready(Ok(self.accounts.get(key).cloned())).boxed()
    }

    fn tokens(&self, _: &ObjectKey, _: &'static str) -> Arc<dyn AssertionSource> {
        Arc::new(TokenAtHand(self.token.clone()))
    }
}

/// A token that somebody else asked for.
struct TokenAtHand(Option<Secret>);

impl AssertionSource for TokenAtHand {
    fn assertion(&self) -> BoxFuture<'_, Result<Secret, AssertionError>> {
        let none = || AssertionError::Unavailable("there is no token at hand".to_owned());
        let token = self.0.clone();
        ready(token.ok_or_else(none)).boxed()
    }
}
