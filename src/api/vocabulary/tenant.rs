//! The conditions of a CalendarTenant, with every problem's remedy.

use super::remedy::Actor::{
    EntraAdministrator, ExchangeAdministrator, Nobody, ObjectOwner, PlatformTeam,
};
use super::remedy::Problem;
use super::severity::Severity;
use super::{ConditionMeta, ConditionType as C, Reason as R};
use crate::ids::Kind;

/// Order is precedence.
pub(super) const CONDITIONS: &[ConditionMeta] = &[
    ConditionMeta {
        severity: Severity::Critical,
        ..blocking(&C::Unauthorized, UNAUTHORIZED, &R::Authorized)
    },
    blocking(&C::DomainMismatch, DOMAIN_MISMATCH, &R::DomainVerified),
    blocking(&C::TestMailboxFailed, TEST_MAILBOX_FAILED, &R::TestPassed),
    ConditionMeta {
        severity: Severity::Critical,
        ..blocking(
            &C::EndpointRejected,
            ENDPOINT_REJECTED,
            &R::EndpointAccepted,
        )
    },
    blocking(
        &C::MicrosoftUnavailable,
        MICROSOFT_UNAVAILABLE,
        &R::Reachable,
    ),
    beside_ready(
        &C::CredentialExpiring,
        (CREDENTIAL_EXPIRING, &R::Fresh),
        Severity::Warning,
    ),
    beside_ready(
        &C::PermissionsExcessive,
        (PERMISSIONS_EXCESSIVE, &R::NoExcess),
        Severity::Info,
    ),
    beside_ready(
        &C::AccessUnrestricted,
        (ACCESS_UNRESTRICTED, &R::Isolated),
        Severity::Warning,
    ),
];

const fn blocking(
    type_: &'static C,
    problems: &'static [Problem],
    healthy: &'static R,
) -> ConditionMeta {
    ConditionMeta {
        type_,
        kind: Kind::CalendarTenant,
        blocks_ready: true,
        severity: Severity::Warning,
        explained_by: &[],
        problems,
        healthy,
    }
}

const fn beside_ready(
    type_: &'static C,
    (problems, healthy): (&'static [Problem], &'static R),
    severity: Severity,
) -> ConditionMeta {
    ConditionMeta {
        blocks_ready: false,
        severity,
        ..blocking(type_, problems, healthy)
    }
}

const UNAUTHORIZED: &[Problem] = &[
    Problem::new(
        &R::SecretNotFound,
        ObjectOwner,
        "Create the Secret in the namespace of the CalendarTenant, with the label `hybridcalendar.dev/credential: \"true\"`, or correct the name in `spec.credential`.",
    ),
    Problem::new(
        &R::SecretKeyMissing,
        ObjectOwner,
        "Add the key to the Secret's data, or correct `secretRef.key`. A certificate needs `tls.crt` and `tls.key`.",
    ),
    Problem::new(
        &R::SecretInvalid,
        ObjectOwner,
        "Write the credential into the Secret again: a client secret must not be empty, `tls.crt` and `tls.key` must be PEM and belong together.",
    ),
    Problem::new(
        &R::SecretNotOffered,
        ObjectOwner,
        "If the operator may use this Secret, label it: `kubectl label secret NAME hybridcalendar.dev/credential=true`.",
    ),
    Problem::new(
        &R::ServiceAccountNotOffered,
        ObjectOwner,
        "Create the ServiceAccount, and annotate it with `azure.workload.identity/client-id` and the value of `spec.clientId`.",
    ),
    Problem::new(
        &R::TokensNotPermitted,
        PlatformTeam,
        "List the namespace in the chart's value `workloadIdentity.namespaces`; without the chart, apply what `hybrid-calendar-operator rbac --workload-identity-namespace NAMESPACE` prints.",
    ),
    Problem::new(
        &R::InvalidClientSecret,
        EntraAdministrator,
        "Put the *value* of the client secret into the Secret, not its ID, and without a line break at the end. If it is lost, create a new one in the app registration.",
    ),
    Problem::new(
        &R::ClientSecretExpired,
        EntraAdministrator,
        "Create a new client secret in the app registration and put its value into the Secret. Old and new may be valid at the same time.",
    ),
    Problem::new(
        &R::CertificateExpired,
        EntraAdministrator,
        "Issue a new certificate, upload its public part to the app registration, then replace the Secret. If it is not valid *yet*, correct the clock.",
    ),
    Problem::new(
        &R::CertificateRejected,
        EntraAdministrator,
        "Upload the `tls.crt` of the Secret to the app registration. If the message speaks of time, correct the clock of the node.",
    ),
    Problem::new(
        &R::FederationRejected,
        EntraAdministrator,
        "Make issuer, subject and audience of the federated credential those that the message names, letter by letter. A new credential takes some minutes to act.",
    ),
    Problem::new(
        &R::ApplicationNotFound,
        EntraAdministrator,
        "Give admin consent in this tenant, or correct `spec.clientId` or `spec.tenantId`: the two do not belong together.",
    ),
    Problem::new(
        &R::ApplicationDisabled,
        EntraAdministrator,
        "Enable the enterprise application again: Entra admin center, Enterprise applications, Properties, Enabled for users to sign in.",
    ),
    Problem::new(
        &R::TenantNotFound,
        ObjectOwner,
        "Compare `spec.tenantId` with Overview in the Entra admin center, and `spec.cloud` with the cloud that hosts the tenant. Both are immutable: create another CalendarTenant.",
    )
    .because("Entra knows no tenant with this ID in this cloud (AADSTS90002)."),
    Problem::new(
        &R::BlockedByPolicy,
        EntraAdministrator,
        "Exempt the workload identity from the Conditional Access policy, or add the cluster's egress addresses to its trusted locations.",
    ),
    Problem::new(
        &R::ConsentRequired,
        EntraAdministrator,
        "Grant admin consent for the application permissions of the app registration (API permissions, Grant admin consent).",
    ),
    Problem::new(
        &R::PermissionMissing,
        EntraAdministrator,
        "Add the permission that the message names as an *application* permission and grant admin consent. `status.permissions.missing` lists all.",
    ),
    Problem::new(
        &R::Rejected,
        EntraAdministrator,
        "Look the quoted AADSTS code up at login.microsoftonline.com/error; the sign-in log of the enterprise application shows the attempt.",
    ),
];

const DOMAIN_MISMATCH: &[Problem] = &[
    Problem::new(
        &R::DomainNotVerified,
        EntraAdministrator,
        "Prove the domain's ownership in the Microsoft 365 admin center (Settings, Domains), or take it out of `spec.domains`.",
    ),
    Problem::new(
        &R::DomainNotInTenant,
        ObjectOwner,
        "Correct `spec.domains`. A subdomain is a domain of its own.",
    )
    .because("A domain of `spec.domains` does not belong to the tenant."),
];

const TEST_MAILBOX_FAILED: &[Problem] = &[
    Problem::new(
        &R::MailboxNotFound,
        ExchangeAdministrator,
        "Create the mailbox in Exchange Online, or correct `spec.testMailbox`.",
    )
    .because("There is no mailbox with the address of `spec.testMailbox`."),
    Problem::new(
        &R::CreateDenied,
        ExchangeAdministrator,
        "Let the application into the mailbox of `spec.testMailbox`: its access policy, or an Exchange role for `Calendars.ReadWrite`.",
    ),
    Problem::new(
        &R::CleanupFailed,
        ExchangeAdministrator,
        "Delete the test event that was left in the calendar; the check is made again by itself.",
    ),
    Problem::new(
        &R::NotLicensed,
        ExchangeAdministrator,
        "Give the mailbox an Exchange Online licence, or move it into the cloud.",
    ),
];

const ENDPOINT_REJECTED: &[Problem] = &[
    Problem::new(
        &R::ValidationFailed,
        PlatformTeam,
        "Make the notification URL reachable from the internet: a certificate that the public trusts, no authentication or redirect in front, query strings passed on.",
    ),
    Problem::new(
        &R::ValidationTimedOut,
        PlatformTeam,
        "Make the way from the internet to the receiver fast: Graph waits ten seconds. Look at firewall, Ingress and `notification_response_seconds`.",
    ),
];

const MICROSOFT_UNAVAILABLE: &[Problem] = &[
    Problem::new(
        &R::LoginUnreachable,
        PlatformTeam,
        "Check egress, DNS and proxy from the operator's Pod to the login host that the message names.",
    ),
    Problem::new(
        &R::GraphUnreachable,
        PlatformTeam,
        "Check egress, DNS and proxy from the operator's Pod to the Graph host that the message names.",
    ),
    Problem::new(
        &R::ServerErrors,
        Nobody,
        "Look at Microsoft's service health. The operator goes on trying; subscriptions are renewed long before they end.",
    ),
];

const CREDENTIAL_EXPIRING: &[Problem] = &[
    Problem::new(
        &R::ExpiresSoon,
        EntraAdministrator,
        "Plan the rotation: a new secret or certificate beside the old one, then the Secret in the cluster.",
    ),
    Problem::new(
        &R::ExpiresVerySoon,
        EntraAdministrator,
        "Rotate now. When the credential ends, every mailbox of the tenant loses its subscription within days.",
    ),
];

const PERMISSIONS_EXCESSIVE: &[Problem] = &[Problem::new(
    &R::UnneededPermissions,
    EntraAdministrator,
    "Remove the permissions that `status.permissions.excess` lists from the app registration.",
)];

const ACCESS_UNRESTRICTED: &[Problem] = &[Problem::new(
    &R::IsolationProbeReadable,
    ExchangeAdministrator,
    "Limit the application to its mailboxes by RBAC for Applications or an application access policy. A change takes up to two hours to act.",
)];
