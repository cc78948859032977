//! What can go wrong with a call, in the words that a decision needs.
//!
//! [`GraphError::class`] alone decides retry, reason and label; nothing above this layer sees a status code.

use std::fmt;
use std::time::Duration;

use crate::graph::operation::Operation;
use crate::ids::SubscriptionId;

/// A call that brought no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphError {
    /// What was attempted.
    pub operation: Operation,
    /// What it means.
    pub class: ErrorClass,
    /// What the service said, shortened, without addresses, tokens or other personal data. May be empty.
    pub detail: String,
    /// Graph's or Entra's id of the request, for Microsoft's support.
    pub request_id: Option<String>,
}

/// The meaning of a failed call. One exhaustive list, matched without wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The login host refused the credential, the application or the tenant.
    Token(TokenRefusal),
    /// Graph refused a token that was just issued.
    Unauthenticated,
    /// The application may not do this.
    Forbidden(Forbidden),
    /// What was asked for is not there.
    NotFound(NotFound),
    /// A subscription for the same mailbox and change types exists already.
    Duplicate {
        /// The one that Graph names.
        existing: Option<SubscriptionId>,
    },
    /// Graph could not validate the notification URL.
    EndpointInvalid(EndpointProblem),
    /// Graph's quota of subscriptions is used up.
    QuotaExceeded,
    /// Graph does not grant so long a life.
    LifetimeTooLong {
        /// The longest life that its message names, if any.
        longest: Option<Duration>,
    },
    /// Graph refuses the request as it is; repeating it changes nothing.
    Rejected,
    /// Too many calls; the budget says when to come back.
    Throttled {
        /// The wait that was asked for.
        retry_after: Duration,
    },
    /// No answer, or one that says nothing about the question.
    Unavailable(Outage),
    /// We did not ask: `--observe-only`, or the lease was lost.
    Withheld(Withheld),
}

/// Why the login host issues no token (docs/graph.md 1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// AADSTS7000215.
    InvalidClientSecret,
    /// AADSTS7000222.
    ClientSecretExpired,
    /// AADSTS700027 or 50012, or 700024 even with a fresh assertion.
    CertificateRejected {
        /// The assertion was outside its validity window: the clocks differ.
        clock: bool,
    },
    /// AADSTS70021, 700211, 700212, 700213, 7002137 or 7002138.
    FederationRejected,
    /// AADSTS700016.
    ApplicationNotFound,
    /// AADSTS7000112.
    ApplicationDisabled,
    /// AADSTS90002 or 900023.
    TenantNotFound,
    /// AADSTS53003.
    BlockedByPolicy,
    /// The TokenRequest API of the cluster gave no token for the ServiceAccount.
    AssertionUnavailable,
    /// We may not ask the TokenRequest API of the cluster.
    AssertionForbidden,
    /// Any other code, quoted.
    Rejected {
        /// The AADSTS number, 0 if there was none.
        code: u32,
    },
}

/// Which right is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// An application access policy keeps this mailbox out.
    AccessPolicy,
    /// Anything else: the role is missing, or RBAC for Applications does not cover the mailbox.
    Denied,
}

/// What exactly is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// The directory, Exchange or Graph does not know it.
    Unknown,
    /// `MailboxNotEnabledForRESTAPI`: on-premises, soft-deleted or unlicensed.
    NotEnabledForRest,
}

/// How the validation of a notification URL failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointProblem {
    /// The answer was wrong.
    Failed,
    /// No answer in time.
    TimedOut,
}

/// Why nothing was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// No connection to the login host, or it did not answer in time.
    LoginUnreachable,
    /// No connection to Graph, or it did not answer in time.
    GraphUnreachable,
    /// The service answered with a server error, or with something that is no Graph answer.
    ServerErrors,
}

/// Why a call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// `--observe-only` is set and this was a write.
    ObserveOnly,
    /// This process may no longer write: the lease is lost or about to be.
    Fenced,
    /// The wait for a budget or a `Retry-After` is longer than this call may last.
    RetryLater {
        /// When to come back.
        after: Duration,
    },
}

impl GraphError {
    /// What this error means; the only thing that decisions may look at.
    #[must_use]
    pub const fn class(&self) -> &ErrorClass {
        &self.class
    }

    /// Whether nothing was learned about the question that was asked.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self.class {
            ErrorClass::Throttled { .. } | ErrorClass::Unavailable(_) | ErrorClass::Withheld(_) => {
                true
            }
            ErrorClass::Token(_)
            | ErrorClass::Unauthenticated
            | ErrorClass::Forbidden(_)
            | ErrorClass::NotFound(_)
            | ErrorClass::Duplicate { .. }
            | ErrorClass::EndpointInvalid(_)
            | ErrorClass::QuotaExceeded
            | ErrorClass::LifetimeTooLong { .. }
            | ErrorClass::Rejected => false,
        }
    }

    /// How long the service asked us to wait, if it did.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.class {
            ErrorClass::Throttled { retry_after } => Some(retry_after),
            ErrorClass::Withheld(Withheld::RetryLater { after }) => Some(after),
            ErrorClass::Withheld(Withheld::ObserveOnly | Withheld::Fenced)
            | ErrorClass::Unavailable(_)
            | ErrorClass::Token(_)
            | ErrorClass::Unauthenticated
            | ErrorClass::Forbidden(_)
            | ErrorClass::NotFound(_)
            | ErrorClass::Duplicate { .. }
            | ErrorClass::EndpointInvalid(_)
            | ErrorClass::QuotaExceeded
            | ErrorClass::LifetimeTooLong { .. }
            | ErrorClass::Rejected => None,
        }
    }
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {:?}", self.operation, self.class)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        match &self.request_id {
            Some(id) => write!(f, " (request-id {id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for GraphError {}
