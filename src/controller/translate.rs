//! From Graph's answers to the words of decisions. Exhaustive, and the only place where the two meet.

use crate::api::v1alpha1::tenant;
use crate::domain::mailbox::look::Person;
use crate::domain::reading::{Absence, Outage, OutageKind, Reading, Refusal};
use crate::domain::tenant::credential::{RefusalCause, TokenReading, TokenRefused};
use crate::domain::tenant::desired::{Hosts, TenantDesired};
use crate::domain::tenant::observed::{DomainSeen, OrganizationSeen};
use crate::graph::cloud::{Cloud, Endpoints};
use crate::graph::error::{
    self, ErrorClass, Forbidden, GraphError, NotFound, TokenRefusal, Withheld,
};
use crate::graph::model::{Domain, Organization, TokenFacts, User};
use crate::plain::harmless;

/// What a read brought.
#[must_use]
pub fn reading<T, U>(result: Result<T, GraphError>, translate: impl FnOnce(T) -> U) -> Reading<U> {
    match result {
        Ok(value) => Reading::Present(translate(value)),
        Err(error) => failed(error),
    }
}

fn failed<U>(error: GraphError) -> Reading<U> {
    let absent = |not_enabled_for_rest, request_id| {
        Reading::Absent(Absence {
            not_enabled_for_rest,
            request_id,
        })
    };
    let refused = |by_access_policy, request_id| {
        Reading::Forbidden(Refusal {
            by_access_policy,
            request_id,
        })
    };
    match error.class {
        ErrorClass::NotFound(NotFound::Unknown) => absent(false, error.request_id),
        ErrorClass::NotFound(NotFound::NotEnabledForRest) => absent(true, error.request_id),
        ErrorClass::Forbidden(Forbidden::AccessPolicy) => refused(true, error.request_id),
        ErrorClass::Forbidden(Forbidden::Denied) => refused(false, error.request_id),
        ErrorClass::Token(_)
        | ErrorClass::Unauthenticated
        | ErrorClass::Duplicate { .. }
        | ErrorClass::EndpointInvalid(_)
        | ErrorClass::QuotaExceeded
        | ErrorClass::LifetimeTooLong { .. }
        | ErrorClass::Rejected
        | ErrorClass::Throttled { .. }
        | ErrorClass::Unavailable(_)
        | ErrorClass::Withheld(_) => Reading::Unavailable(outage(error)),
    }
}

/// Why nothing was learned from a call that failed.
#[must_use]
pub fn outage(error: GraphError) -> Outage {
    let (kind, retry_after) = match error.class {
        ErrorClass::Unavailable(error::Outage::LoginUnreachable) => {
            (OutageKind::LoginUnreachable, None)
        }
        ErrorClass::Unavailable(error::Outage::GraphUnreachable) => {
            (OutageKind::GraphUnreachable, None)
        }
        ErrorClass::Unavailable(error::Outage::ServerErrors) => (OutageKind::ServerErrors, None),
        ErrorClass::Throttled { retry_after: after }
        | ErrorClass::Withheld(Withheld::RetryLater { after }) => {
            (OutageKind::Throttled, Some(after))
        }
        ErrorClass::Withheld(Withheld::ObserveOnly | Withheld::Fenced) => {
            (OutageKind::Withheld, None)
        }
        ErrorClass::Token(_) | ErrorClass::Unauthenticated => (OutageKind::NoToken, None),
        ErrorClass::Forbidden(_)
        | ErrorClass::NotFound(_)
        | ErrorClass::Duplicate { .. }
        | ErrorClass::EndpointInvalid(_)
        | ErrorClass::QuotaExceeded
        | ErrorClass::LifetimeTooLong { .. }
        | ErrorClass::Rejected => (OutageKind::Refused, None),
    };
    Outage {
        kind,
        retry_after,
        request_id: error.request_id,
    }
}

/// What asking for a token brought.
#[must_use]
pub fn token_reading(result: Result<TokenFacts, GraphError>) -> TokenReading {
    let error = match result {
        Ok(facts) => return TokenReading::Issued { roles: facts.roles },
        Err(error) => error,
    };
    let ErrorClass::Token(refusal) = &error.class else {
        return TokenReading::Unavailable(outage(error));
    };
    match refusal_cause(*refusal) {
        Some(cause) => TokenReading::Refused(TokenRefused {
            cause,
            request_id: error.request_id,
        }),
        None => TokenReading::Unavailable(Outage::of(OutageKind::ClusterUnreachable)),
    }
}

/// What Entra or the cluster objects to; `None` when the cluster gave no assertion and does not say why.
const fn refusal_cause(refusal: TokenRefusal) -> Option<RefusalCause> {
    Some(match refusal {
        TokenRefusal::InvalidClientSecret => RefusalCause::InvalidClientSecret,
        TokenRefusal::ClientSecretExpired => RefusalCause::ClientSecretExpired,
        TokenRefusal::CertificateRejected { clock: false } => RefusalCause::CertificateRejected,
        TokenRefusal::CertificateRejected { clock: true } => RefusalCause::ClockDiffers,
        TokenRefusal::FederationRejected => RefusalCause::FederationRejected,
        TokenRefusal::ApplicationNotFound => RefusalCause::ApplicationNotFound,
        TokenRefusal::ApplicationDisabled => RefusalCause::ApplicationDisabled,
        TokenRefusal::TenantNotFound => RefusalCause::TenantNotFound,
        TokenRefusal::BlockedByPolicy => RefusalCause::BlockedByPolicy,
        TokenRefusal::Rejected { code } => RefusalCause::Rejected { code },
        TokenRefusal::AssertionForbidden => RefusalCause::TokensNotPermitted,
        TokenRefusal::AssertionUnavailable => return None,
    })
}

/// A cloud as the gateway knows it.
#[must_use]
pub const fn cloud(cloud: tenant::Cloud) -> Cloud {
    match cloud {
        tenant::Cloud::Worldwide => Cloud::Worldwide,
        tenant::Cloud::USGovGCCHigh => Cloud::UsGovGccHigh,
        tenant::Cloud::USGovDoD => Cloud::UsGovDod,
        tenant::Cloud::China => Cloud::China,
    }
}

/// Where a tenant's calls go.
#[must_use]
pub fn endpoints(desired: &TenantDesired) -> Endpoints {
    match &desired.hosts {
        Hosts::Microsoft => cloud(desired.cloud).endpoints(),
        Hosts::Custom { login, graph } => Endpoints {
            login: login.clone(),
            graph: graph.clone(),
        },
    }
}

/// A domain as the decisions see it.
#[must_use]
pub fn domain_seen(domain: Domain) -> DomainSeen {
    let Domain {
        name,
        default,
        verified,
    } = domain;
    DomainSeen {
        name: harmless(&name),
        default,
        verified,
    }
}

/// The organization as the decisions see it.
#[must_use]
pub fn organization_seen(organization: Organization) -> OrganizationSeen {
    let Organization {
        id,
        display_name,
        domains,
    } = organization;
    OrganizationSeen {
        id,
        display_name: harmless(&display_name),
        domains: domains.into_iter().map(domain_seen).collect(),
    }
}

/// A directory user as the decisions see it.
#[must_use]
pub fn person(user: User) -> Person {
    let User {
        id,
        display_name,
        mail,
        user_principal_name: _,
        proxy_addresses,
        guest,
    } = user;
    let primary = proxy_addresses
        .iter()
        .find_map(|entry| entry.strip_prefix("SMTP:"));
    Person {
        id,
        display_name: harmless(&display_name),
        primary: primary.map(str::to_owned).or(mail),
        guest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MailboxId;

    #[test]
    fn the_primary_address_has_the_prefix_in_capitals() {
        let user = User {
            id: MailboxId::new("1"),
            display_name: "Room\u{202e} A\u{9b}".to_owned(),
            mail: Some("other@contoso.example".to_owned()),
            user_principal_name: "room-a@contoso.onmicrosoft.com".to_owned(),
            proxy_addresses: vec![
                "smtp:a@contoso.example".to_owned(),
                "SMTP:room-a@contoso.example".to_owned(),
            ],
            guest: false,
        };
        let person = person(user);
        assert_eq!(person.primary.as_deref(), Some("room-a@contoso.example"));
        assert_eq!(person.display_name, "Room\u{fffd} A\u{fffd}");
    }

    #[test]
    fn a_refused_token_is_told_from_one_that_could_not_be_asked_for() {
        let failed = |class| {
            token_reading(Err(GraphError {
                operation: crate::graph::operation::Operation::Token,
                class,
                detail: String::new(),
                request_id: Some("r-1".to_owned()),
            }))
        };
        let refused = failed(ErrorClass::Token(TokenRefusal::CertificateRejected {
            clock: true,
        }));
        assert!(matches!(
            refused,
            TokenReading::Refused(TokenRefused {
                cause: RefusalCause::ClockDiffers,
                request_id: Some(_)
            })
        ));
        for (class, kind) in [
            (
                ErrorClass::Token(TokenRefusal::AssertionUnavailable),
                OutageKind::ClusterUnreachable,
            ),
            (
                ErrorClass::Unavailable(error::Outage::LoginUnreachable),
                OutageKind::LoginUnreachable,
            ),
            (
                ErrorClass::Unavailable(error::Outage::ServerErrors),
                OutageKind::ServerErrors,
            ),
        ] {
            let reading = failed(class);
            assert!(
                matches!(&reading, TokenReading::Unavailable(outage) if outage.kind == kind),
                "{reading:?}"
            );
        }
    }
}
