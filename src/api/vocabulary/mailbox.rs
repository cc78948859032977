//! The conditions of a WorkspaceMailbox, with every problem's remedy.

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
        explained_by: &[&C::Unauthorized],
        ..blocking(&C::TenantNotReady, TENANT_NOT_READY, &R::TenantReady)
    },
    blocking(&C::Conflict, CONFLICT, &R::NoConflict),
    ConditionMeta {
        explained_by: &[&C::DomainMismatch],
        ..blocking(&C::DomainMismatch, DOMAIN_MISMATCH, &R::DomainVerified)
    },
    blocking(&C::MailboxNotFound, MAILBOX_NOT_FOUND, &R::MailboxFound),
    blocking(&C::AddressMismatch, ADDRESS_MISMATCH, &R::PrimaryAddress),
    ConditionMeta {
        explained_by: &[&C::Unauthorized],
        ..blocking(&C::Unauthorized, UNAUTHORIZED, &R::Authorized)
    },
    ConditionMeta {
        explained_by: &[
            &C::Unauthorized,
            &C::EndpointRejected,
            &C::MicrosoftUnavailable,
        ],
        ..blocking(
            &C::SubscriptionInactive,
            SUBSCRIPTION_INACTIVE,
            &R::SubscriptionActive,
        )
    },
    ConditionMeta {
        blocks_ready: false,
        severity: Severity::Info,
        ..blocking(&C::RoomNotListed, ROOM_NOT_LISTED, &R::Listed)
    },
];

/// One mailbox that does not work wakes nobody: many at once have an alert of their own.
const fn blocking(
    type_: &'static C,
    problems: &'static [Problem],
    healthy: &'static R,
) -> ConditionMeta {
    ConditionMeta {
        type_,
        kind: Kind::WorkspaceMailbox,
        blocks_ready: true,
        severity: Severity::Warning,
        explained_by: &[],
        problems,
        healthy,
    }
}

const TENANT_NOT_READY: &[Problem] = &[
    Problem::new(
        &R::TenantNotFound,
        ObjectOwner,
        "Create the CalendarTenant, or create this mailbox again with the right `spec.tenantRef` (it is immutable).",
    )
    .because("There is no CalendarTenant of this name in that namespace."),
    Problem::new(
        &R::TenantUnauthorized,
        EntraAdministrator,
        "Look at the CalendarTenant: its condition `Unauthorized` names the cause. All its mailboxes recover by themselves.",
    ),
    Problem::new(
        &R::TenantSuspended,
        ObjectOwner,
        "Set `spec.suspend` of the CalendarTenant to false when the work on it is done.",
    ),
    Problem::new(
        &R::ReferenceNotPermitted,
        ObjectOwner,
        "Ask the owner of the CalendarTenant to admit this namespace in `spec.allowedNamespaces`.",
    ),
];

const CONFLICT: &[Problem] = &[Problem::new(
    &R::AddressInUse,
    ObjectOwner,
    "Delete one of the two objects; the message names the other one. The older one works on.",
)];

const DOMAIN_MISMATCH: &[Problem] = &[
    Problem::new(
        &R::DomainNotInTenant,
        ObjectOwner,
        "Correct `spec.address`, or verify the domain in Microsoft 365; the message lists the tenant's domains. Webex calls this *Unauthorized*.",
    )
    .because("The address is in a domain that the tenant does not have, or has not verified."),
    Problem::new(
        &R::DomainNotAllowed,
        ObjectOwner,
        "Correct `spec.address`, or ask the owner of the CalendarTenant to add the domain to `spec.domains`.",
    ),
];

const MAILBOX_NOT_FOUND: &[Problem] = &[
    Problem::new(
        &R::NotFound,
        ExchangeAdministrator,
        "Create the mailbox in Exchange Online or correct `spec.address`: address and object must be equal. A new mailbox takes some minutes to appear. Webex calls this *Unauthorized*.",
    ),
    Problem::new(
        &R::NotEnabledForRest,
        ExchangeAdministrator,
        "Move the mailbox to Exchange Online, restore it, or give it a licence.",
    ),
    Problem::new(
        &R::GuestAccount,
        ObjectOwner,
        "Use the address of a mailbox of this tenant: a guest's mailbox is in the guest's own tenant.",
    ),
];

const ADDRESS_MISMATCH: &[Problem] = &[
    Problem::new(
        &R::AliasUsed,
        ObjectOwner,
        "Set `spec.address` to the primary address, which the message names; the meeting service must use it too.",
    ),
    Problem::new(
        &R::UserPrincipalNameUsed,
        ObjectOwner,
        "Set `spec.address` to the primary address, which the message names: a sign-in name receives no mail.",
    ),
    Problem::new(
        &R::UnsupportedCharacter,
        ExchangeAdministrator,
        "Give the mailbox a primary address without an apostrophe, then correct `spec.address`.",
    ),
];

const UNAUTHORIZED: &[Problem] = &[
    Problem::new(
        &R::AccessPolicyDenied,
        ExchangeAdministrator,
        "Add the mailbox to the group of the application access policy, or to the management scope of RBAC for Applications. It takes up to two hours to act.",
    ),
    Problem::new(
        &R::PermissionMissing,
        EntraAdministrator,
        "Grant `Calendars.Read` as an application permission with admin consent, or an Exchange role by RBAC for Applications.",
    ),
    Problem::new(
        &R::SubscribeDenied,
        EntraAdministrator,
        "Grant `Calendars.Read` as an application permission, also beside `Calendars.ReadWrite`: subscriptions need it.",
    ),
];

const SUBSCRIPTION_INACTIVE: &[Problem] = &[
    Problem::new(
        &R::Pending,
        Nobody,
        "Wait some seconds. If it lasts, look at `EndpointRejected` of the CalendarTenant.",
    ),
    Problem::new(
        &R::CreateFailed,
        PlatformTeam,
        "Read the message, which quotes Graph. The operator tries again by itself.",
    ),
    Problem::new(
        &R::RenewFailed,
        PlatformTeam,
        "Read the message, which quotes Graph. If it cannot be ended before the time shown, expect a gap until it is.",
    ),
    Problem::new(
        &R::Lapsed,
        Nobody,
        "It is created again as soon as Graph answers. `status.history` shows the gap.",
    ),
    Problem::new(
        &R::Removed,
        Nobody,
        "It is created again at once. Microsoft removes subscriptions when rights change; `status.history` shows the gap.",
    ),
    Problem::new(
        &R::QuotaExceeded,
        EntraAdministrator,
        "Find the application that holds many subscriptions for the mailbox or tenant, and have it remove them.",
    ),
    Problem::new(
        &R::HeldByAnother,
        PlatformTeam,
        "Use one app registration for each installation, or end the other one. To replace a lost cluster, start with `--take-over-from`.",
    ),
];

const ROOM_NOT_LISTED: &[Problem] = &[Problem::new(
    &R::NotInPlaces,
    ExchangeAdministrator,
    "Make it a room mailbox (`Set-Mailbox -Type Room`). The mailbox works without; a new room takes up to a day to appear in Places.",
)];
