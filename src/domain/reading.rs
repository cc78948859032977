//! What a look at Microsoft brought. Unavailable is not absent, and nobody looked is neither.

use std::time::Duration;

/// One remote fact, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Reading<T> {
    /// Nobody asked in this pass.
    #[default]
    NotLooked,
    /// It is there.
    Present(T),
    /// It is not there: an answer, not a failure.
    Absent(Absence),
    /// We may not see it.
    Forbidden(Refusal),
    /// Nothing was learned. Nothing destructive may follow from this.
    Unavailable(Outage),
}

/// In which way something is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    /// Exchange knows the mailbox but it is on-premises, soft-deleted or unlicensed.
    pub not_enabled_for_rest: bool,
    /// Graph's id of the request.
    pub request_id: Option<String>,
}

/// In which way something is out of reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Graph says that an application access policy is the cause.
    pub by_access_policy: bool,
    /// Graph's id of the request.
    pub request_id: Option<String>,
}

/// Why nothing was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Who failed.
    pub kind: OutageKind,
    /// How long we were asked to wait.
    pub retry_after: Option<Duration>,
    /// Graph's id of the request, if it got that far.
    pub request_id: Option<String>,
}

/// Who or what kept us from learning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageKind {
    /// The login host does not answer.
    LoginUnreachable,
    /// Graph does not answer.
    GraphUnreachable,
    /// Server errors, or answers that make no sense.
    ServerErrors,
    /// Graph answers that it does not accept the question: about one object, and no outage.
    Refused,
    /// We were asked to slow down.
    Throttled,
    /// There is no token; the tenant's own conditions say why.
    NoToken,
    /// We kept from asking: observe-only, or the lease is gone.
    Withheld,
    /// The Kubernetes API server does not answer.
    ClusterUnreachable,
}

impl Outage {
    /// One of which nothing else is known.
    #[must_use]
    pub const fn of(kind: OutageKind) -> Self {
        Self {
            kind,
            retry_after: None,
            request_id: None,
        }
    }
}

impl OutageKind {
    /// Whether this speaks against Microsoft's availability, which the tenant then reports.
    #[must_use]
    pub const fn is_microsoft(self) -> bool {
        match self {
            Self::LoginUnreachable | Self::GraphUnreachable | Self::ServerErrors => true,
            Self::Refused
            | Self::Throttled
            | Self::NoToken
            | Self::Withheld
            | Self::ClusterUnreachable => false,
        }
    }

    /// In a sentence, the same from one attempt to the next.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::LoginUnreachable => "The login host does not answer.",
            Self::GraphUnreachable => "Graph does not answer.",
            Self::ServerErrors => "Microsoft answers with server errors.",
            Self::Refused => "Graph does not accept the question.",
            Self::Throttled => "Graph asks to slow down.",
            Self::NoToken => "There is no token.",
            Self::Withheld => "The operator may not write to Graph now.",
            Self::ClusterUnreachable => "The Kubernetes API server does not answer, or refuses.",
        }
    }
}

impl<T> Reading<T> {
    /// The fact, if it is there.
    #[must_use]
    pub const fn present(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            Self::NotLooked | Self::Absent(_) | Self::Forbidden(_) | Self::Unavailable(_) => None,
        }
    }

    /// The outage, if that is what kept us from learning.
    #[must_use]
    pub const fn outage(&self) -> Option<&Outage> {
        match self {
            Self::Unavailable(outage) => Some(outage),
            Self::NotLooked | Self::Present(_) | Self::Absent(_) | Self::Forbidden(_) => None,
        }
    }
}
