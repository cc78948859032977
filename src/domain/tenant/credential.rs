//! What was found where the credential should be: values only, never the credential itself.

use jiff::Timestamp;

use crate::api::vocabulary::Reason;
use crate::domain::reading::Outage;

/// What a look at the credential in the cluster brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CredentialReading {
    /// Nobody looked in this pass.
    #[default]
    NotLooked,
    /// It can be used.
    Usable {
        /// When it ends, if that is known.
        expires_at: Option<Timestamp>,
        /// Whether it is another one than this process used before.
        changed: bool,
    },
    /// It cannot be used.
    Problem(CredentialProblem),
    /// The cluster did not say.
    Unavailable(Outage),
}

/// Why a credential cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialProblem {
    /// There is no such Secret.
    SecretNotFound {
        /// Its name.
        secret: String,
    },
    /// The Secret lacks the label that offers it.
    SecretNotOffered {
        /// Its name.
        secret: String,
    },
    /// The Secret lacks a key, or it is empty.
    SecretKeyMissing {
        /// Its name.
        secret: String,
        /// The key.
        key: String,
    },
    /// The Secret's content makes no sense.
    SecretInvalid {
        /// Its name.
        secret: String,
        /// What is wrong, as the end of a sentence that begins with the Secret.
        problem: &'static str,
    },
    /// The certificate is outside its validity.
    CertificateExpired {
        /// The Secret's name.
        secret: String,
        /// From when on it is valid.
        not_before: Timestamp,
        /// Until when.
        not_after: Timestamp,
    },
    /// There is no such ServiceAccount.
    ServiceAccountNotFound {
        /// Its name.
        service_account: String,
    },
    /// The ServiceAccount lacks the annotation that offers it to this application, or names another.
    ServiceAccountNotOffered {
        /// Its name.
        service_account: String,
    },
}

impl CredentialProblem {
    /// The reason that the condition shows.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::SecretNotFound { .. } => Reason::SecretNotFound,
            Self::SecretNotOffered { .. } => Reason::SecretNotOffered,
            Self::SecretKeyMissing { .. } => Reason::SecretKeyMissing,
            Self::SecretInvalid { .. } => Reason::SecretInvalid,
            Self::CertificateExpired { .. } => Reason::CertificateExpired,
            Self::ServiceAccountNotFound { .. } | Self::ServiceAccountNotOffered { .. } => {
                Reason::ServiceAccountNotOffered
            }
        }
    }
}

impl CredentialProblem {
    /// Whether its owner took back the offer: what was read of it before must not be used any more either.
    #[must_use]
    pub const fn is_taken_back(&self) -> bool {
        match self {
            Self::SecretNotOffered { .. } | Self::ServiceAccountNotOffered { .. } => true,
            Self::SecretNotFound { .. }
            | Self::SecretKeyMissing { .. }
            | Self::SecretInvalid { .. }
            | Self::CertificateExpired { .. }
            | Self::ServiceAccountNotFound { .. } => false,
        }
    }
}

/// What asking for a token brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TokenReading {
    /// Nobody asked in this pass.
    #[default]
    NotLooked,
    /// There is one.
    Issued {
        /// Application roles in it, sorted.
        roles: Vec<String>,
    },
    /// Entra refused, or the cluster did before Entra was asked.
    Refused(TokenRefused),
    /// Nobody answered.
    Unavailable(Outage),
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRefused {
    /// The reason that the condition shows.
    pub cause: RefusalCause,
    /// Entra's id of the request.
    pub request_id: Option<String>,
}

/// What Entra objects to, or the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCause {
    /// The client secret is wrong.
    InvalidClientSecret,
    /// The client secret ended.
    ClientSecretExpired,
    /// It does not know the certificate.
    CertificateRejected,
    /// Our clock and Entra's differ too much for an assertion to be valid.
    ClockDiffers,
    /// No federated credential matches.
    FederationRejected,
    /// The application is unknown in the tenant.
    ApplicationNotFound,
    /// The application is disabled.
    ApplicationDisabled,
    /// The tenant is unknown.
    TenantNotFound,
    /// Conditional Access refuses.
    BlockedByPolicy,
    /// The cluster does not let us request tokens of ServiceAccounts in the namespace. Entra was not asked.
    TokensNotPermitted,
    /// Anything else.
    Rejected {
        /// The AADSTS number, 0 if there was none.
        code: u32,
    },
}

impl RefusalCause {
    /// The reason that the condition shows.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::InvalidClientSecret => Reason::InvalidClientSecret,
            Self::ClientSecretExpired => Reason::ClientSecretExpired,
            Self::CertificateRejected | Self::ClockDiffers => Reason::CertificateRejected,
            Self::FederationRejected => Reason::FederationRejected,
            Self::ApplicationNotFound => Reason::ApplicationNotFound,
            Self::ApplicationDisabled => Reason::ApplicationDisabled,
            Self::TenantNotFound => Reason::TenantNotFound,
            Self::BlockedByPolicy => Reason::BlockedByPolicy,
            Self::TokensNotPermitted => Reason::TokensNotPermitted,
            Self::Rejected { .. } => Reason::Rejected,
        }
    }
}

/// Whether a reason of `Unauthorized` means that there is no token at all.
#[must_use]
pub fn denies_token(reason: &Reason) -> bool {
    !matches!(reason, Reason::ConsentRequired | Reason::PermissionMissing)
}
