//! The words of status: every condition type and every reason, with what each means and who acts.
//!
//! Closed enums here, plain strings in the CRD schema: an older CRD never rejects a newer operator's status,
//! and what another version wrote is kept as `Other`. Reference pages, labels and alerts are generated from
//! these tables; nothing repeats them by hand.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::Kind;

mod mailbox;
pub mod remedy;
pub mod severity;
mod tenant;

use remedy::{Actor, Problem};
use severity::Severity;

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = $text] $variant,)*
            /// A word that this version does not know.
            Other(Box<str>),
        }

        impl $name {
            /// Every word that this version knows, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As it is written in a status.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => stringify!($variant),)*
                    Self::Other(text) => text,
                }
            }

            /// What it means, in a sentence or less.
            #[must_use]
            pub const fn docs(&self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(_) => "Written by another version.",
                }
            }

            /// Reads a word; one that is not known is kept as it is.
            #[must_use]
            pub fn parse(text: &str) -> Self {
                match text {
                    $(stringify!($variant) => Self::$variant,)*
                    other => Self::Other(other.into()),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Ok(Self::parse(&text))
            }
        }
    };
}

vocabulary! {
    /// The type of a condition. Except `Ready`, each names a problem and is `True` while it exists.
    ConditionType {
        Ready => "Everything that blocks it was looked at and is well.",
        Reconciling => "The operator is still working on it; present only while true.",
        Stalled => "Only a person can end this; present only while true.",
        TenantNotReady => "The mailbox cannot be worked on because of its tenant.",
        Conflict => "Another object has the same mailbox.",
        Unauthorized => "Microsoft 365 does not let the application do its work.",
        DomainMismatch => "A domain is not one of the tenant's.",
        MailboxNotFound => "There is no cloud mailbox behind the address.",
        AddressMismatch => "The address is not the mailbox's primary address.",
        SubscriptionInactive => "No change notifications arrive for the mailbox.",
        RoomNotListed => "Places does not know the room.",
        TestMailboxFailed => "The provisioning check in the test mailbox failed.",
        EndpointRejected => "Graph could not validate the operator's notification URL.",
        MicrosoftUnavailable => "Microsoft has not answered for a while.",
        CredentialExpiring => "The credential ends soon.",
        PermissionsExcessive => "The application has Graph permissions that nothing needs.",
        AccessUnrestricted => "A mailbox that must be out of reach is readable.",
    }
}

vocabulary! {
    /// Why a condition has its status.
    Reason {
        // Ready
        Operational => "All checks of the tenant passed.",
        Activated => "The mailbox works and its subscription is alive.",
        Suspended => "`spec.suspend` is set.",
        Progressing => "The operator is working on it.",
        // Unknown
        NotYetKnown => "It was not looked at yet.",
        Blocked => "Another problem has to be solved before this can be checked.",
        Unavailable => "It could not be checked for 15 minutes and three tries.",
        NotApplicable => "It does not apply to this object.",
        // Stalled
        InvalidSpec => "The spec cannot be used.",
        EndpointNotAllowed => "The operator was not started with --allowed-endpoint for these endpoints.",
        // Tenant: Unauthorized
        SecretNotFound => "The Secret does not exist.",
        SecretKeyMissing => "The Secret lacks the key.",
        SecretInvalid => "The Secret's content cannot be used.",
        SecretNotOffered => "The Secret lacks the label that offers it to the operator.",
        ServiceAccountNotOffered => "The ServiceAccount does not exist or lacks the annotation that offers it to this application.",
        TokensNotPermitted => "The operator may not request tokens of ServiceAccounts in this namespace.",
        InvalidClientSecret => "Entra refused the client secret (AADSTS7000215).",
        ClientSecretExpired => "Entra refused the client secret as expired (AADSTS7000222).",
        CertificateExpired => "The certificate is outside its validity.",
        CertificateRejected => "Entra refused the certificate (AADSTS700027).",
        FederationRejected => "No federated credential of the application matches the ServiceAccount's token.",
        ApplicationNotFound => "The application is unknown in the tenant (AADSTS700016).",
        ApplicationDisabled => "The application is disabled (AADSTS7000112).",
        TenantNotFound => "The tenant does not exist.",
        BlockedByPolicy => "A Conditional Access policy refuses the application (AADSTS53003).",
        ConsentRequired => "No Graph permission was granted to the application.",
        PermissionMissing => "A Graph permission that is needed was not granted.",
        Rejected => "Entra refused for a reason that the message quotes.",
        // DomainMismatch
        DomainNotVerified => "The domain's ownership is not proven in Microsoft 365.",
        DomainNotInTenant => "The domain does not belong to the tenant.",
        DomainNotAllowed => "The domain is verified but not listed in the tenant's spec.domains.",
        // TestMailboxFailed
        MailboxNotFound => "The mailbox does not exist.",
        CreateDenied => "The application may not create events in the mailbox.",
        CleanupFailed => "The test event could not be deleted.",
        NotLicensed => "The mailbox has no Exchange Online licence, or is not in the cloud.",
        // EndpointRejected
        ValidationFailed => "The notification URL did not answer the validation as Graph expects.",
        ValidationTimedOut => "The notification URL did not answer the validation within ten seconds.",
        // MicrosoftUnavailable
        LoginUnreachable => "The login host does not answer.",
        GraphUnreachable => "Graph does not answer.",
        ServerErrors => "Microsoft answers with server errors.",
        // Credential, permissions, access
        ExpiresSoon => "It ends within 30 days.",
        ExpiresVerySoon => "It ends within 7 days.",
        UnneededPermissions => "Permissions that no feature needs were granted.",
        IsolationProbeReadable => "The mailbox of spec.isolationProbe is readable.",
        // TenantNotReady
        TenantUnauthorized => "The tenant gets no token.",
        TenantSuspended => "The tenant is suspended.",
        ReferenceNotPermitted => "The tenant does not allow references from this namespace.",
        // Conflict
        AddressInUse => "Another, older object has the same mailbox.",
        // MailboxNotFound
        NotFound => "The directory does not know the address.",
        NotEnabledForRest => "The mailbox is on-premises, soft-deleted or unlicensed.",
        GuestAccount => "The address belongs to a guest.",
        // AddressMismatch
        AliasUsed => "The address is an alias.",
        UserPrincipalNameUsed => "The address is a sign-in name, not a mail address.",
        UnsupportedCharacter => "The address has a character that the meeting service does not accept.",
        // Mailbox: Unauthorized
        AccessPolicyDenied => "An access policy keeps the application out of this mailbox.",
        SubscribeDenied => "Graph refuses the subscription although the mailbox is readable.",
        // SubscriptionInactive
        Pending => "It is about to be created.",
        CreateFailed => "Graph did not create it.",
        RenewFailed => "Graph did not renew it and no time is left.",
        Lapsed => "It ended before it was renewed.",
        Removed => "Graph removed it before its end.",
        QuotaExceeded => "Graph's quota of subscriptions is used up.",
        HeldByAnother => "Another installation holds a subscription for the same mailbox and application.",
        // RoomNotListed
        NotInPlaces => "Places does not list the room.",
        // False
        Authorized => "It is authorized.",
        DomainVerified => "The domain is one of the tenant's verified domains.",
        TestPassed => "The test event was created, read and deleted.",
        EndpointAccepted => "Graph validated the notification URL.",
        Reachable => "Microsoft answers.",
        Fresh => "The credential does not end soon, or its end is not known.",
        NoExcess => "No permission is unneeded.",
        Isolated => "The mailbox of spec.isolationProbe is not readable.",
        TenantReady => "The tenant can be used.",
        NoConflict => "No other object has this mailbox.",
        MailboxFound => "The mailbox exists and is readable.",
        PrimaryAddress => "The address is the mailbox's primary address.",
        SubscriptionActive => "The subscription is alive.",
        Listed => "Places lists the room.",
        // History and Events
        SubscriptionReplaced => "The subscription had to be replaced.",
    }
}

/// What the rest of the project needs to know about a condition type of one kind.
#[derive(Clone, Copy, Debug)]
pub struct ConditionMeta {
    /// The type.
    pub type_: &'static ConditionType,
    /// Whose condition it is.
    pub kind: Kind,
    /// Whether `Ready` is False while it is True.
    pub blocks_ready: bool,
    /// How soon somebody must act.
    pub severity: Severity,
    /// Of a mailbox: the tenant's conditions that explain it while they are True, so that nobody is told twice.
    pub explained_by: &'static [&'static ConditionType],
    /// What it can be True for, each with its remedy.
    pub problems: &'static [Problem],
    /// Reason when it was looked at and all is well.
    pub healthy: &'static Reason,
}

/// The conditions of a tenant. Order is precedence: the first problem becomes `Ready`'s reason.
pub const TENANT: &[ConditionMeta] = tenant::CONDITIONS;

/// The conditions of a mailbox. Order is precedence: the first problem becomes `Ready`'s reason.
pub const MAILBOX: &[ConditionMeta] = mailbox::CONDITIONS;

/// What makes a spec unusable, although the API server accepted it: then `Stalled` is True, `Ready` has this
/// reason and nothing is looked at.
pub const SPEC_PROBLEMS: &[Problem] = &[INVALID_SPEC, ENDPOINT_NOT_ALLOWED];

const INVALID_SPEC: Problem = Problem::new(
    &Reason::InvalidSpec,
    Actor::ObjectOwner,
    "Correct the field that the message names.",
);

const ENDPOINT_NOT_ALLOWED: Problem = Problem::new(
    &Reason::EndpointNotAllowed,
    Actor::PlatformTeam,
    "If the operator may send credentials there, start it with `--allowed-endpoint` and this URL; else remove `spec.endpoints`.",
);

/// Those of a kind: only a tenant names endpoints.
#[must_use]
pub const fn spec_problems_of(kind: Kind) -> &'static [Problem] {
    match kind {
        Kind::CalendarTenant => SPEC_PROBLEMS,
        Kind::WorkspaceMailbox => &[INVALID_SPEC],
    }
}

/// Reasons that name no problem and belong to no single condition.
pub const NEUTRAL: &[Reason] = &[
    Reason::Operational,
    Reason::Activated,
    Reason::Suspended,
    Reason::Progressing,
    Reason::NotYetKnown,
    Reason::Blocked,
    Reason::Unavailable,
    Reason::NotApplicable,
    Reason::SubscriptionReplaced,
];

/// The conditions of a kind, in order of precedence.
#[must_use]
pub const fn conditions_of(kind: Kind) -> &'static [ConditionMeta] {
    match kind {
        Kind::CalendarTenant => TENANT,
        Kind::WorkspaceMailbox => MAILBOX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_another_version_survives_a_round_trip() {
        let reason: Reason = serde_json::from_str("\"FromTheFuture\"").unwrap();
        assert_eq!(reason, Reason::Other("FromTheFuture".into()));
        assert_eq!(serde_json::to_string(&reason).unwrap(), "\"FromTheFuture\"");
    }

    #[test]
    fn every_problem_has_a_cause_and_a_remedy_in_sentences() {
        let all = [TENANT, MAILBOX].concat();
        for meta in &all {
            assert!(!meta.problems.is_empty(), "{}", meta.type_);
            for problem in meta.problems {
                for text in [problem.cause, problem.remedy] {
                    let sentence = text.len() > 20 && text.ends_with('.');
                    assert!(sentence, "{}/{}: {text}", meta.type_, problem.reason);
                }
                let ends_well = *problem.reason == *meta.healthy;
                assert!(!ends_well, "{}/{}", meta.type_, problem.reason);
            }
        }
    }

    #[test]
    fn a_reason_appears_once_in_a_condition_and_a_condition_once_in_a_kind() {
        for conditions in [TENANT, MAILBOX] {
            let types: std::collections::BTreeSet<_> = conditions.iter().map(|m| m.type_).collect();
            assert_eq!(types.len(), conditions.len());
            for meta in conditions {
                let reasons: std::collections::BTreeSet<_> =
                    meta.problems.iter().map(|p| p.reason).collect();
                assert_eq!(reasons.len(), meta.problems.len(), "{}", meta.type_);
            }
        }
    }

    #[test]
    fn only_problems_of_a_tenant_explain_those_of_a_mailbox() {
        for meta in TENANT {
            assert!(meta.explained_by.is_empty(), "{}", meta.type_);
        }
        for meta in MAILBOX {
            for type_ in meta.explained_by {
                let cause = TENANT.iter().find(|m| m.type_ == *type_).unwrap();
                let louder = cause.severity <= meta.severity;
                assert!(louder, "{type_} would silence {}", meta.type_);
            }
        }
    }

    #[test]
    fn no_word_is_left_without_a_use() {
        let mut used: Vec<&Reason> = Vec::new();
        for meta in [TENANT, MAILBOX].concat() {
            used.extend(meta.problems.iter().map(|p| p.reason));
            used.push(meta.healthy);
        }
        used.extend(SPEC_PROBLEMS.iter().map(|p| p.reason));
        used.extend(NEUTRAL);
        for reason in Reason::ALL {
            assert!(used.contains(&reason), "{reason} belongs to no condition");
        }
        for type_ in ConditionType::ALL {
            let summary = [
                ConditionType::Ready,
                ConditionType::Reconciling,
                ConditionType::Stalled,
            ];
            let of_a_kind = [TENANT, MAILBOX].concat().iter().any(|m| m.type_ == type_);
            assert!(
                of_a_kind || summary.contains(type_),
                "{type_} belongs to no kind"
            );
        }
    }

    #[test]
    fn every_known_word_parses_to_itself() {
        for reason in Reason::ALL {
            assert_eq!(&Reason::parse(reason.as_str()), reason);
        }
        for type_ in ConditionType::ALL {
            assert_eq!(&ConditionType::parse(type_.as_str()), type_);
        }
    }
}
