//! What people read about a credential that does not work: what is wrong, who must act, and how.
//!
//! Nothing here decides. No secret and no token can appear, since none is known here.

use super::credential::{CredentialProblem, RefusalCause};
use super::desired::{CredentialSource, TenantDesired};
use crate::api::v1alpha1::time::Time;
use crate::api::v1alpha1::{CLIENT_ID_ANNOTATION, CREDENTIAL_LABEL};

pub(super) fn credential_problem(problem: &CredentialProblem, desired: &TenantDesired) -> String {
    let namespace = &desired.namespace;
    match problem {
        CredentialProblem::SecretNotFound { secret } => format!(
            "Secret {namespace}/{secret} does not exist. Create it with the label {CREDENTIAL_LABEL}=true, or correct spec.credential."
        ),
        CredentialProblem::SecretNotOffered { secret } => format!(
            "Secret {namespace}/{secret} is not offered to the operator. Its owner has to add the label {CREDENTIAL_LABEL}=true."
        ),
        CredentialProblem::SecretKeyMissing { secret, key } => format!(
            "Secret {namespace}/{secret} has no value under the key {key}. Add it, or correct spec.credential."
        ),
        CredentialProblem::SecretInvalid { secret, problem } => {
            format!("Secret {namespace}/{secret} cannot be used: {problem}. Correct its content.")
        }
        CredentialProblem::CertificateExpired {
            secret,
            not_before,
            not_after,
        } => format!(
            "The certificate in Secret {namespace}/{secret} is valid from {} to {} only. Renew it, and add the new one to the app registration.",
            Time::new(*not_before),
            Time::new(*not_after)
        ),
        CredentialProblem::ServiceAccountNotFound { service_account } => format!(
            "ServiceAccount {namespace}/{service_account} does not exist. Create it with the annotation {CLIENT_ID_ANNOTATION}: {}, or correct spec.credential.",
            desired.client_id
        ),
        CredentialProblem::ServiceAccountNotOffered { service_account } => format!(
            "ServiceAccount {namespace}/{service_account} is not offered to this application. Its owner has to set the annotation {CLIENT_ID_ANNOTATION} to {}.",
            desired.client_id
        ),
    }
}

pub(super) fn token_refused(cause: RefusalCause, desired: &TenantDesired) -> String {
    let client = &desired.client_id;
    let tenant = &desired.tenant_id;
    match cause {
        RefusalCause::InvalidClientSecret => format!(
            "Entra refuses the client secret of application {client} (AADSTS7000215). Put the secret's value, not its ID, into {}.",
            place(desired)
        ),
        RefusalCause::ClientSecretExpired => format!(
            "The client secret of application {client} has expired (AADSTS7000222). Create a new one in the app registration and put its value into {}.",
            place(desired)
        ),
        RefusalCause::CertificateRejected => format!(
            "Entra does not know the certificate that application {client} uses (AADSTS700027). Upload the certificate of {} to the app registration.",
            place(desired)
        ),
        RefusalCause::ClockDiffers => {
            "Entra finds the signed assertion outside its validity (AADSTS700024): the clock of the operator's node and Entra's differ. Correct the node's time synchronization.".to_owned()
        }
        RefusalCause::FederationRejected => format!(
            "No federated credential of application {client} matches the token of {} (AADSTS70021). An Entra administrator has to add one whose issuer is the cluster's and whose subject is {}; a new one takes some minutes to act.",
            place(desired),
            subject(desired)
        ),
        RefusalCause::ApplicationNotFound => format!(
            "Application {client} is unknown in tenant {tenant} (AADSTS700016). Correct spec.clientId or spec.tenantId, or have an administrator of the tenant consent to the application."
        ),
        RefusalCause::ApplicationDisabled => format!(
            "Application {client} is disabled in tenant {tenant} (AADSTS7000112). An Entra administrator has to allow sign-in for its enterprise application."
        ),
        RefusalCause::TenantNotFound => format!(
            "Entra does not know tenant {tenant} in cloud {} (AADSTS90002). Create a CalendarTenant with the right spec.tenantId and spec.cloud.",
            desired.cloud.as_str()
        ),
        RefusalCause::BlockedByPolicy => format!(
            "A Conditional Access policy of tenant {tenant} refuses application {client} (AADSTS53003). An Entra administrator has to exclude the application or allow the operator's address."
        ),
        RefusalCause::TokensNotPermitted => format!(
            "The operator may not request tokens of ServiceAccounts in namespace {}. The platform team has to permit it there: the chart's value workloadIdentity.namespaces, or rbac --workload-identity-namespace.",
            desired.namespace
        ),
        RefusalCause::Rejected { code: 0 } => format!(
            "Entra refuses application {client} without saying why. An Entra administrator finds the reason in the sign-in logs."
        ),
        RefusalCause::Rejected { code } => format!(
            "Entra refuses application {client} (AADSTS{code}). Look the code up at https://login.microsoftonline.com/error?code={code}."
        ),
    }
}

/// Where the credential lies.
fn place(desired: &TenantDesired) -> String {
    let namespace = &desired.namespace;
    match &desired.credential {
        CredentialSource::ClientSecret { secret, key, .. } => {
            format!("Secret {namespace}/{secret} under the key {key}")
        }
        CredentialSource::Certificate { secret } => format!("Secret {namespace}/{secret}"),
        CredentialSource::WorkloadIdentity { service_account } => {
            format!("ServiceAccount {namespace}/{service_account}")
        }
    }
}

fn subject(desired: &TenantDesired) -> String {
    let namespace = &desired.namespace;
    match &desired.credential {
        CredentialSource::WorkloadIdentity { service_account } => {
            format!("system:serviceaccount:{namespace}:{service_account}")
        }
        CredentialSource::ClientSecret { .. } | CredentialSource::Certificate { .. } => {
            format!("a ServiceAccount of namespace {namespace}")
        }
    }
}
