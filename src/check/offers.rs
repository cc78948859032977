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
    /// Tokens, each for one tenant: whoever gets one can show it to Microsoft.
    tokens: BTreeMap<ObjectKey, Secret>,
    unused: Vec<String>,
}

impl fmt::Debug for FileOffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileOffers").finish_non_exhaustive()
    }
}

/// A tenant whose credential is looked for.
type Seeker<'a> = (&'a Declared<TenantRecord>, TenantDesired);

/// The Secret that a tenant names, and the key in it, if a key is named.
type Target<'a> = (ObjectKey, Option<&'a str>);

impl FileOffers {
    /// The credentials of the files, and those at hand in their places.
    ///
    /// # Errors
    /// A credential at hand that more than one could mean, and a tenant that needs a token and has none.
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
            ..Self::default()
        };
        let mut problems = Vec::new();
        offers.take_client_secret(&seekers, local, &mut problems);
        offers.take_certificate(&seekers, local, &mut problems);
        offers.take_tokens(&seekers, local, &mut problems);
        if seekers.len() < objects.tenants.len() {
            // It may be for the tenant whose spec cannot be used.
            offers.unused.clear();
        }
        if problems.is_empty() {
            Ok(offers)
        } else {
            Err(problems)
        }
    }

    /// Credentials at hand that no tenant in the files can use, in sentences.
    #[must_use]
    pub fn unused(&self) -> &[String] {
        &self.unused
    }

    /// What one tenant finds.
    #[must_use]
    pub fn of(&self, tenant: &ObjectKey) -> TenantOffers<'_> {
        TenantOffers {
            files: self,
            token: self.tokens.get(tenant).cloned(),
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
        let what = ("--client-secret-file", "the client secret");
        let Some(desired) = self.meant(seekers, wants, what, problems) else {
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
        let what = ("--certificate", "the certificate");
        let Some(desired) = self.meant(seekers, wants, what, problems) else {
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

    /// A tenant with the one Secret that a credential at hand is for: of several, the one that is in no file.
    fn meant<'s>(
        &mut self,
        seekers: &'s [Seeker<'_>],
        wants: impl Fn(&CredentialSource) -> bool,
        (flag, what): (&str, &str),
        problems: &mut Vec<Problem>,
    ) -> Option<&'s TenantDesired> {
        let of_kind = || {
            seekers
                .iter()
                .filter(|(_, desired)| wants(&desired.credential))
        };
        // Tenants that name the same Secret mean the same value.
        let all: BTreeMap<Target<'_>, &Seeker<'_>> = of_kind()
            .map(|seeker| (target(&seeker.1), seeker))
            .collect();
        let lacking: BTreeMap<Target<'_>, &Seeker<'_>> = of_kind()
            .filter(|(_, desired)| self.lacks(desired))
            .map(|seeker| (target(&seeker.1), seeker))
            .collect();
        let meant = if all.len() == 1 { &all } else { &lacking };
        let (first, desired) = meant.values().next().copied().or_else(|| {
            self.unused.push(format!(
                "{flag} is not used: no CalendarTenant in the files needs {what} beside what the files hold"
            ));
            None
        })?;
        if meant.len() == 1 {
            return Some(desired);
        }
        let names: Vec<String> = meant.keys().map(|(key, _)| key.to_string()).collect();
        problems.push(Problem {
            place: first.place.clone(),
            says: format!(
                "{what} of {flag} could be for {} Secrets: {}. Put them into the files, or check one tenant at a time.",
                names.len(),
                names.join(", ")
            ),
        });
        None
    }

    /// Whether a tenant's Secret is in no file.
    fn lacks(&self, desired: &TenantDesired) -> bool {
        !self.secrets.contains_key(&target(desired).0)
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

    /// Nobody but a cluster makes tokens of ServiceAccounts, so that each tenant needs one at hand. None is shown to
    /// anybody else than the tenant that it is for.
    fn take_tokens(&mut self, seekers: &[Seeker<'_>], local: &Local, problems: &mut Vec<Problem>) {
        let mut named = local.federated_tokens.clone();
        let mut rest = Vec::new();
        for (tenant, desired) in seekers {
            let CredentialSource::WorkloadIdentity { service_account } = &desired.credential else {
                continue;
            };
            self.introduce(desired, service_account);
            match named.remove(&tenant.record.key) {
                Some(token) => drop(self.tokens.insert(tenant.record.key.clone(), token)),
                None => rest.push((tenant, desired, service_account)),
            }
        }
        for tenant in named.keys() {
            self.unused.push(format!(
                "--federated-token {tenant} is not used: no CalendarTenant {tenant} with workloadIdentity is in the files"
            ));
        }
        match (&local.federated_token, rest.as_slice()) {
            (Some(token), [(tenant, ..)]) => {
                self.tokens.insert(tenant.record.key.clone(), token.clone());
            }
            (Some(_), []) => self.unused.push(
                "--federated-token-file is not used: no CalendarTenant in the files lacks a token"
                    .to_owned(),
            ),
            (Some(_), [(first, ..), ..]) => {
                let says = format!(
                    "the token of --federated-token-file could be for {} CalendarTenants, and each gets its own only: name every tenant with its file, such as --federated-token {}=FILE.",
                    rest.len(),
                    first.record.key
                );
                problems.push(Problem {
                    place: first.place.clone(),
                    says,
                });
            }
            (None, rest) => {
                let flag = |tenant: &ObjectKey| match rest.len() {
                    1 => "--federated-token-file FILE".to_owned(),
                    _ => format!("--federated-token {tenant}=FILE"),
                };
                problems.extend(rest.iter().map(|(tenant, desired, account)| Problem {
                    place: tenant.place.clone(),
                    says: format!(
                        "spec.credential.workloadIdentity needs a token of ServiceAccount {}/{account}: write one into a file with `kubectl create token` and name it by {}.",
                        desired.namespace,
                        flag(&tenant.record.key)
                    ),
                }));
            }
        }
    }

    /// A ServiceAccount as its owner would offer it; one that is in the files has to offer itself.
    fn introduce(&mut self, desired: &TenantDesired, service_account: &str) {
        let key = ObjectKey::new(Arc::clone(&desired.namespace), service_account);
        let annotation = (
            CLIENT_ID_ANNOTATION.to_owned(),
            desired.client_id.to_string(),
        );
        self.accounts.entry(key).or_insert_with(|| ObjectMeta {
            annotations: Some(BTreeMap::from([annotation])),
            ..ObjectMeta::default()
        });
    }
}

/// What a tenant names.
fn target(desired: &TenantDesired) -> Target<'_> {
    let (name, key) = match &desired.credential {
        CredentialSource::ClientSecret { secret, key, .. } => (secret.as_str(), Some(key.as_str())),
        CredentialSource::Certificate { secret } => (secret.as_str(), None),
        CredentialSource::WorkloadIdentity { service_account } => (service_account.as_str(), None),
    };
    let named = ObjectKey::new(Arc::clone(&desired.namespace), name);
    (named, key)
}

/// What one tenant finds when it looks for its credential.
pub struct TenantOffers<'f> {
    files: &'f FileOffers,
    token: Option<Secret>,
}

impl fmt::Debug for TenantOffers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantOffers").finish_non_exhaustive()
    }
}

impl Offers for TenantOffers<'_> {
    fn secret<'a>(
        &'a self,
        key: &'a ObjectKey,
    ) -> BoxFuture<'a, Result<Option<SecretObject>, Outage>> {
        ready(Ok(self.files.secrets.get(key).cloned())).boxed()
    }

    fn service_account<'a>(
        &'a self,
        key: &'a ObjectKey,
    ) -> BoxFuture<'a, Result<Option<ObjectMeta>, Outage>> {
        ready(Ok(self.files.accounts.get(key).cloned())).boxed()
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
