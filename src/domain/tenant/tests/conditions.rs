//! Every reason of every condition: what the world is like, and the one problem that is shown for it.

use std::time::Duration;

use super::super::credential::{CredentialProblem, RefusalCause};
use super::super::work::Work;
use super::world::{Answer, World, start};
use crate::api::v1alpha1::condition::ConditionStatus;
use crate::api::vocabulary::{ConditionType as C, Reason as R, TENANT};
use crate::domain::notification_url::{EndpointProblem, EndpointVerdict};
use crate::domain::schedule::later;

const TEST_MAILBOX: &str = "testMailbox: probe@contoso.example";
const PROBE: &str = "isolationProbe: {mailbox: ceo@contoso.example}";

struct Case {
    condition: C,
    reason: R,
    spec: &'static str,
    /// What a person must find in the message.
    says: &'static str,
    /// What is wrong with the world.
    set: Box<dyn Fn(&mut World)>,
}

fn case(
    condition: C,
    reason: R,
    spec: &'static str,
    says: &'static str,
    set: impl Fn(&mut World) + 'static,
) -> Case {
    Case {
        condition,
        reason,
        spec,
        says,
        set: Box::new(set),
    }
}

fn refused(reason: R, says: &'static str, set: impl Fn(&mut World) + 'static) -> Case {
    case(C::Unauthorized, reason, "", says, set)
}

fn credential_cases() -> Vec<Case> {
    let secret = || "graph".to_owned();
    let service_account = || "operator".to_owned();
    let problem = "the private key does not belong to the certificate";
    let (not_before, not_after) = ("2025-11-24T08:00:00Z".parse().unwrap(), start());
    let key = "client-secret".to_owned();
    [
        (
            CredentialProblem::SecretNotFound { secret: secret() },
            "calendars/graph does not exist",
        ),
        (
            CredentialProblem::SecretKeyMissing {
                secret: secret(),
                key,
            },
            "under the key client-secret",
        ),
        (
            CredentialProblem::SecretInvalid {
                secret: secret(),
                problem,
            },
            "does not belong",
        ),
        (
            CredentialProblem::SecretNotOffered { secret: secret() },
            "hybridcalendar.dev/credential=true",
        ),
        (
            CredentialProblem::CertificateExpired {
                secret: secret(),
                not_before,
                not_after,
            },
            "to 2026-11-24T08:00:00Z only",
        ),
        (
            CredentialProblem::ServiceAccountNotFound {
                service_account: service_account(),
            },
            "does not exist",
        ),
        (
            CredentialProblem::ServiceAccountNotOffered {
                service_account: service_account(),
            },
            "azure.workload.identity/client-id",
        ),
    ]
    .into_iter()
    .map(|(problem, says)| {
        refused(problem.reason(), says, move |w| {
            w.microsoft.credential = Err(problem.clone());
        })
    })
    .collect()
}

fn entra_cases() -> Vec<Case> {
    let federated = "credential: {workloadIdentity: {serviceAccountName: operator}}";
    [
        (RefusalCause::InvalidClientSecret, "", "AADSTS7000215"),
        (RefusalCause::ClientSecretExpired, "", "AADSTS7000222"),
        (RefusalCause::CertificateRejected, "", "AADSTS700027"),
        (RefusalCause::ClockDiffers, "", "clock"),
        (
            RefusalCause::FederationRejected,
            federated,
            "system:serviceaccount:calendars:operator",
        ),
        (
            RefusalCause::TokensNotPermitted,
            federated,
            "workloadIdentity.namespaces",
        ),
        (RefusalCause::ApplicationNotFound, "", "AADSTS700016"),
        (RefusalCause::ApplicationDisabled, "", "AADSTS7000112"),
        (RefusalCause::TenantNotFound, "", "AADSTS90002"),
        (RefusalCause::BlockedByPolicy, "", "AADSTS53003"),
        (
            RefusalCause::Rejected { code: 7_000_218 },
            "",
            "AADSTS7000218",
        ),
        (RefusalCause::Rejected { code: 0 }, "", "sign-in logs"),
    ]
    .into_iter()
    .map(|(cause, spec, says)| {
        case(C::Unauthorized, cause.reason(), spec, says, move |w| {
            w.microsoft.refused = Some(cause);
        })
    })
    .collect()
}

fn all_cases() -> Vec<Case> {
    [
        credential_cases(),
        entra_cases(),
        permission_cases(),
        provisioning_cases(),
        other_cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn provisioning_cases() -> Vec<Case> {
    let create = |reason, says, answer| {
        case(C::TestMailboxFailed, reason, TEST_MAILBOX, says, move |w| {
            w.microsoft.create = answer;
        })
    };
    let failed = |reason, says, set: fn(&mut World)| {
        case(C::TestMailboxFailed, reason, TEST_MAILBOX, says, set)
    };
    vec![
        create(R::MailboxNotFound, "does not exist", Answer::NotThere),
        create(R::NotLicensed, "unlicensed", Answer::NotEnabledForRest),
        create(R::CreateDenied, "Calendars.ReadWrite", Answer::Refused),
        failed(R::CreateDenied, "read back", |w| {
            w.microsoft.read = Answer::NotThere;
        }),
        failed(R::CleanupFailed, "could not be deleted", |w| {
            w.microsoft.delete = Answer::Refused;
        }),
    ]
}

fn permission_cases() -> Vec<Case> {
    vec![
        refused(R::ConsentRequired, "without consent", |w| {
            w.microsoft.roles.clear();
            w.microsoft.domains = Answer::Refused;
            w.microsoft.organization = Answer::Refused;
            w.microsoft.places = Answer::Refused;
        }),
        refused(R::PermissionMissing, "Place.Read.All", |w| {
            w.microsoft.places = Answer::Refused;
        }),
        refused(R::PermissionMissing, "Domain.Read.All", |w| {
            w.microsoft.domains = Answer::Refused;
            w.microsoft.organization = Answer::Refused;
        }),
        refused(R::PermissionMissing, "Calendars.Read.", |w| {
            w.microsoft.roles.retain(|role| *role != "Calendars.Read");
        }),
        refused(R::PermissionMissing, "RBAC for Applications", |w| {
            w.microsoft.roles.retain(|role| *role != "Calendars.Read");
            w.mailboxes.sample = Some("room@contoso.example".into());
            w.microsoft.calendar = Answer::Refused;
        }),
        case(
            C::PermissionsExcessive,
            R::UnneededPermissions,
            "",
            "Mail.Read",
            |w| {
                w.microsoft.roles.push("Mail.Read");
            },
        ),
        case(
            C::AccessUnrestricted,
            R::IsolationProbeReadable,
            PROBE,
            "ceo@contoso.example",
            |w| {
                w.microsoft.isolation = Answer::Yes;
            },
        ),
    ]
}

fn other_cases() -> Vec<Case> {
    let endpoint =
        |reason, says, set: fn(&mut World)| case(C::EndpointRejected, reason, "", says, set);
    vec![
        case(
            C::DomainMismatch,
            R::DomainNotInTenant,
            "domains: [fabrikam.example]",
            "contoso.example",
            |_| {},
        ),
        case(
            C::DomainMismatch,
            R::DomainNotVerified,
            "domains: [old.example]",
            "old.example",
            |w| {
                w.microsoft.unverified = vec!["old.example"];
            },
        ),
        case(
            C::DomainMismatch,
            R::DomainNotInTenant,
            "domains: [old.example]",
            "old.example",
            |w| {
                w.microsoft.unverified = vec!["old.example"];
                w.microsoft.domains = Answer::Refused;
            },
        ),
        endpoint(R::ValidationFailed, "platform team", |w| {
            w.endpoint = rejected(EndpointProblem::Failed, 2);
        }),
        endpoint(R::ValidationTimedOut, "within ten seconds", |w| {
            w.endpoint = rejected(EndpointProblem::TimedOut, 3);
        }),
        case(
            C::CredentialExpiring,
            R::ExpiresSoon,
            "",
            "2026-12-23T08:00:00Z",
            |w| {
                w.microsoft.credential = Ok(Some(later(start(), Duration::from_hours(29 * 24))));
            },
        ),
        case(
            C::CredentialExpiring,
            R::ExpiresVerySoon,
            "",
            "Put a new one",
            |w| {
                w.microsoft.credential = Ok(Some(later(start(), Duration::from_hours(6 * 24))));
            },
        ),
    ]
}

fn run(case: &Case) -> World {
    let mut world = World::with_spec(case.spec);
    if case.condition == C::TestMailboxFailed {
        world.microsoft.roles.push("Calendars.ReadWrite");
    }
    (case.set)(&mut world);
    world.settle();
    world
}

#[test]
fn each_kind_of_failure_shows_as_exactly_one_problem_with_its_reason() {
    let cases = all_cases();
    for case in &cases {
        let world = run(case);
        let expected = [(case.condition.clone(), case.reason.clone())];
        assert_eq!(world.problems(), expected, "{}", case.reason);
        let message = &world.condition(&case.condition).message;
        assert!(message.contains(case.says), "{}: {message}", case.reason);
        assert!(message.ends_with(['.', ')']), "a whole sentence: {message}");
        let blocks = TENANT
            .iter()
            .any(|meta| *meta.type_ == case.condition && meta.blocks_ready);
        let ready = if blocks {
            (ConditionStatus::False, R::parse(case.condition.as_str()))
        } else {
            (ConditionStatus::True, R::Operational)
        };
        assert_eq!(world.ready(), ready, "{}", case.reason);
    }
}

#[test]
fn every_reason_in_the_vocabulary_is_reached() {
    let cases = all_cases();
    for meta in TENANT
        .iter()
        .filter(|meta| *meta.type_ != C::MicrosoftUnavailable)
    {
        for reason in meta.problems.iter().map(|problem| problem.reason) {
            let reached = cases
                .iter()
                .any(|c| c.condition == *meta.type_ && c.reason == *reason);
            assert!(reached, "{}/{reason}", meta.type_);
        }
    }
}

#[test]
fn without_a_token_everything_else_is_blocked_by_it() {
    let mut world = World::with_spec(&format!("{TEST_MAILBOX}\n{PROBE}"));
    let secret = "graph".to_owned();
    world.microsoft.credential = Err(CredentialProblem::SecretNotFound { secret });
    world.settle();
    for meta in TENANT.iter().filter(|meta| *meta.type_ != C::Unauthorized) {
        let condition = world.condition(meta.type_);
        assert_eq!(condition.status, ConditionStatus::Unknown, "{}", meta.type_);
        assert_eq!(condition.reason, R::Blocked, "{}", meta.type_);
        assert!(
            condition.message.contains("Unauthorized"),
            "{}",
            condition.message
        );
    }
    assert!(world.condition(&C::Stalled).status == ConditionStatus::True);
    assert_eq!(world.record.status.observed_generation, Some(1));
}

#[test]
fn rights_given_by_rbac_for_applications_need_no_role() {
    let mut world = World::new();
    world
        .microsoft
        .roles
        .retain(|role| *role != "Calendars.Read");
    world.mailboxes.sample = Some("room@contoso.example".into());
    world.settle();
    assert_eq!(world.ready(), (ConditionStatus::True, R::Operational));
    assert_eq!(
        world.record.status.permissions.as_ref().unwrap().missing,
        [""; 0]
    );
}

#[test]
fn the_first_readable_mailbox_clears_a_missing_calendar_permission() {
    let mut world = World::new();
    world
        .microsoft
        .roles
        .retain(|role| *role != "Calendars.Read");
    world.settle();
    assert_eq!(world.problems(), [(C::Unauthorized, R::PermissionMissing)]);
    world.pass_time(Duration::from_secs(2));
    world.facts.evidence.calendars = Some(world.now);
    world.settle();
    assert_eq!(world.ready(), (ConditionStatus::True, R::Operational));
}

#[test]
fn a_right_that_was_revoked_is_seen_when_somebody_asks_although_it_worked_lately() {
    let mut world = World::new();
    world.settle();
    world.facts.evidence.places = Some(world.now);
    world.microsoft.places = Answer::Refused;
    world.record.requested_at = Some("now".into());
    world.settle();
    assert_eq!(world.problems(), [(C::Unauthorized, R::PermissionMissing)]);
}

#[test]
fn a_calendar_is_read_again_when_somebody_asks_although_one_was_readable_lately() {
    let mut world = World::new();
    world
        .microsoft
        .roles
        .retain(|role| *role != "Calendars.Read");
    world.mailboxes.sample = Some("room@contoso.example".into());
    world.settle();
    world.microsoft.calendar = Answer::Refused;
    world.record.requested_at = Some("now".into());
    world.settle();
    assert_eq!(world.problems(), [(C::Unauthorized, R::PermissionMissing)]);
}

#[test]
fn what_worked_for_one_application_says_nothing_of_another() {
    let mut world = World::new();
    world
        .microsoft
        .roles
        .retain(|role| *role != "Calendars.Read");
    world.settle();
    world.pass_time(Duration::from_secs(2));
    world.facts.evidence.calendars = Some(world.now);
    world.settle();
    assert_eq!(world.ready(), (ConditionStatus::True, R::Operational));
    world.change_spec("clientId: 5f1d7a9c-2222-4000-8000-000000000002");
    world.pass_with(Work::CHECK);
    assert_eq!(world.problems(), [(C::Unauthorized, R::PermissionMissing)]);
    assert_eq!(world.facts.evidence.calendars, None);
}

#[test]
fn a_tenant_that_needs_little_is_fine_with_little() {
    let mut world = World::with_spec("features: []");
    world.microsoft.roles = vec!["Calendars.Read", "Organization.Read.All"];
    world.microsoft.domains = Answer::Refused;
    world.microsoft.places = Answer::Refused;
    world.settle();
    assert_eq!(world.ready(), (ConditionStatus::True, R::Operational));
    let permissions = world.record.status.permissions.as_ref().unwrap();
    assert_eq!(permissions.missing, ["User.Read.All"], "optional");
    assert_eq!(world.record.status.domains.len(), 2);
}

const fn rejected(problem: EndpointProblem, times: u32) -> EndpointVerdict {
    EndpointVerdict::Rejected { problem, times }
}
