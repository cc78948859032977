//! The alerts of conditions: for single objects, counted by tenant, and left out where the tenant explains them.

use hybrid_calendar_operator::api::vocabulary::remedy::Problem;
use hybrid_calendar_operator::api::vocabulary::severity::Severity;
use hybrid_calendar_operator::api::vocabulary::{
    ConditionMeta, ConditionType, MAILBOX, Reason, TENANT, spec_problems_of,
};
use hybrid_calendar_operator::ids::Kind;

use super::{Case, Firing, case};

/// A tenant whose application was not granted what it needs.
const LACKS_A_PERMISSION: (&str, &str) = (
    "hybridcalendar_conditions{kind=\"CalendarTenant\",tenant=\"calendars/contoso\",type=\"Unauthorized\",status=\"True\",reason=\"PermissionMissing\"}",
    "1+0x200",
);

/// When the problem begins.
const BEGIN: u32 = 10;
/// For how long it lasts after the alert fires.
const LAST: u32 = 20;
/// How long an alert outlives its problem.
const KEEP: u32 = 5;

/// What a case is about.
struct Subject {
    alert: String,
    kind: &'static str,
    type_: &'static str,
    meaning: &'static str,
    wait: u32,
    explained_by: Vec<&'static str>,
    /// What is there all the time beside the problem.
    beside: &'static [(&'static str, &'static str)],
}

/// A tenant that worked has subscriptions.
const SUBSCRIBED: (&str, &str) = (
    "hybridcalendar_subscriptions{tenant=\"calendars/contoso\",state=\"active\"}",
    "3+0x200",
);

impl Subject {
    fn new(kind: Kind, type_: &'static ConditionType, severity: Severity) -> Self {
        let word = match kind {
            Kind::CalendarTenant => "Tenant",
            Kind::WorkspaceMailbox => "Mailbox",
        };
        let type_name = type_.as_str();
        Self {
            alert: format!(
                "{word}{}",
                type_name.strip_prefix(word).unwrap_or(type_name)
            ),
            kind: kind.as_str(),
            type_: type_name,
            meaning: type_.docs(),
            wait: match severity {
                Severity::Critical => 5,
                Severity::Warning => 15,
                Severity::Info => 60,
            },
            explained_by: Vec::new(),
            beside: &[],
        }
    }

    fn of(meta: &ConditionMeta) -> Self {
        Self {
            explained_by: meta
                .explained_by
                .iter()
                .map(|type_| type_.as_str())
                .collect(),
            ..Self::new(meta.kind, meta.type_, meta.severity)
        }
    }

    /// A tenant whose credential was refused after it had worked.
    fn refused() -> Self {
        Self {
            meaning: "A tenant that worked gets no token any more, so that its subscriptions end one after the other.",
            beside: &[SUBSCRIBED],
            ..Self::new(
                Kind::CalendarTenant,
                &ConditionType::Unauthorized,
                Severity::Critical,
            )
        }
    }

    /// A tenant that waits for an administrator.
    fn awaits() -> Self {
        Self {
            alert: "TenantAwaitsAuthorization".to_owned(),
            meaning: "A tenant waits for an administrator's consent, for a permission or for the first credential that works; nothing that worked is lost by waiting.",
            wait: 30,
            ..Self::refused()
        }
    }

    fn stalled(kind: Kind) -> Self {
        Self {
            meaning: "The spec cannot be used, so that nothing is looked at.",
            ..Self::new(kind, &ConditionType::Stalled, Severity::Warning)
        }
    }

    fn name(&self) -> &'static str {
        if self.kind == "CalendarTenant" {
            "contoso"
        } else {
            "room-a"
        }
    }

    fn object(&self, reason: &str, copy: u32) -> String {
        format!(
            "hybridcalendar_condition{{kind=\"{}\",namespace=\"calendars\",name=\"{}\",tenant=\"calendars/contoso\",\
             type=\"{}\",reason=\"{reason}\",job=\"operator\",instance=\"10.0.0.{copy}:9090\"}}",
            self.kind,
            self.name(),
            self.type_
        )
    }

    fn count(&self, reason: &str, copy: u32) -> String {
        format!(
            "hybridcalendar_conditions{{kind=\"{}\",tenant=\"calendars/contoso\",type=\"{}\",status=\"True\",\
             reason=\"{reason}\",job=\"operator\",instance=\"10.0.0.{copy}:9090\"}}",
            self.kind, self.type_
        )
    }

    /// Values while the problem lasts.
    fn lasting(&self, value: u32) -> String {
        let minutes = self.wait + LAST;
        format!("_x{BEGIN} {value}+0x{minutes} stale")
    }

    /// The minute after the last one at which there is a problem.
    fn end(&self) -> u32 {
        BEGIN + self.wait + LAST + 1
    }

    fn told(&self, subject: &str, problem: &Problem) -> String {
        format!(
            "{subject}: {} {}: {} Who acts: {}. {}",
            self.meaning,
            problem.reason,
            problem.cause,
            problem.acts.as_str(),
            problem.remedy
        )
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [Kind::CalendarTenant, Kind::WorkspaceMailbox] {
        cases.extend(of_condition(
            &Subject::stalled(kind),
            spec_problems_of(kind),
        ));
    }
    for meta in [TENANT, MAILBOX].concat() {
        let of_a_tenant = meta.kind == Kind::CalendarTenant;
        if of_a_tenant && *meta.type_ == ConditionType::Unauthorized {
            cases.extend(unauthorized(meta.problems));
        } else {
            cases.extend(of_condition(&Subject::of(&meta), meta.problems));
        }
    }
    cases.extend(permission_and_access_policy());
    cases.push(a_week_before_the_end_another_alert_speaks());
    cases.push(clusters_explain_nothing_of_each_other());
    cases
}

/// Who wakes somebody at night, and who waits for an administrator.
fn unauthorized(problems: &[Problem]) -> Vec<Case> {
    let problem = |reason: Reason| *problems.iter().find(|p| *p.reason == reason).unwrap();
    let expired = problem(Reason::ClientSecretExpired);
    let (consent, permission) = (
        problem(Reason::ConsentRequired),
        problem(Reason::PermissionMissing),
    );
    let (refused, awaits) = (Subject::refused(), Subject::awaits());
    let never_worked = || Subject {
        beside: &[],
        ..Subject::awaits()
    };
    let quiet = |subject: &Subject, problem: &Problem, name: &str| {
        let object = subject.object(problem.reason.as_str(), 1);
        let count = subject.count(problem.reason.as_str(), 1);
        let lasting = subject.lasting(1);
        let mut series = vec![(&*object, &*lasting), (&*count, &*lasting)];
        series.extend(subject.beside);
        let checks = [(BEGIN + subject.wait + 1, None), (subject.end() - 1, None)];
        case((&subject.alert, name), &series, &checks)
    };
    let new_and_refused = Subject {
        beside: &[],
        ..Subject::refused()
    };
    let mut cases = of_condition(&refused, &[expired, problem(Reason::Rejected)]);
    cases.extend(of_condition(&awaits, &[consent, permission]));
    cases.extend([
        an_object(&never_worked(), &expired),
        quiet(&refused, &consent, "the tenant waits for consent"),
        quiet(&refused, &permission, "the tenant lacks a permission"),
        quiet(&new_and_refused, &expired, "the tenant never worked"),
        quiet(
            &awaits,
            &expired,
            "another alert tells that a credential ended",
        ),
    ]);
    cases
}

/// Both keep the application out of a mailbox: the permission is told once, at the tenant, the policy at each mailbox.
fn permission_and_access_policy() -> [Case; 2] {
    let subject = Subject::new(
        Kind::WorkspaceMailbox,
        &ConditionType::Unauthorized,
        Severity::Warning,
    );
    let denied = Subject {
        beside: &[LACKS_A_PERMISSION],
        ..subject
    };
    let unauthorized = MAILBOX
        .iter()
        .find(|meta| *meta.type_ == ConditionType::Unauthorized)
        .unwrap();
    let problem = |reason: Reason| {
        let mut problems = unauthorized.problems.iter();
        problems.find(|p| *p.reason == reason).unwrap()
    };
    let policy = an_object(&denied, problem(Reason::AccessPolicyDenied));
    let object = denied.object("PermissionMissing", 1);
    let count = denied.count("PermissionMissing", 1);
    let lasting = denied.lasting(1);
    let series = [
        (&*object, &*lasting),
        (&*count, &*lasting),
        denied.beside[0],
    ];
    let checks = [(BEGIN + denied.wait + 1, None), (denied.end() - 1, None)];
    let name = "the tenant's missing permission explains it";
    [policy, case((&denied.alert, name), &series, &checks)]
}

/// The same names in another cluster are other objects.
fn clusters_explain_nothing_of_each_other() -> Case {
    let subject = Subject::new(
        Kind::WorkspaceMailbox,
        &ConditionType::MailboxNotFound,
        Severity::Warning,
    );
    let east = |series: String| series.replace("job=", "cluster=\"east\",job=");
    let object = east(subject.object("NotFound", 1));
    let count = east(subject.count("NotFound", 1));
    let rests = "hybridcalendar_conditions{cluster=\"west\",kind=\"CalendarTenant\",tenant=\"calendars/contoso\",type=\"Ready\",status=\"Unknown\",reason=\"Suspended\"}";
    let lasting = subject.lasting(1);
    let problem = &MAILBOX
        .iter()
        .find(|meta| *meta.type_ == ConditionType::MailboxNotFound)
        .unwrap()
        .problems[0];
    let about = "WorkspaceMailbox calendars/room-a";
    let labels = [
        ("cluster", "east"),
        ("kind", subject.kind),
        ("namespace", "calendars"),
        ("name", subject.name()),
        ("tenant", "calendars/contoso"),
    ];
    let firing = Firing {
        description: Some(subject.told(about, problem)),
        ..Firing::new(&labels, &format!("{about}: {}", subject.type_))
    };
    case(
        (
            &subject.alert,
            "the tenant of the same name is suspended in another cluster",
        ),
        &[
            (&*object, &*lasting),
            (&*count, &*lasting),
            (rests, "1+0x200"),
        ],
        &[(BEGIN + subject.wait + 1, Some(&firing))],
    )
}

fn of_condition(subject: &Subject, problems: &[Problem]) -> Vec<Case> {
    let mut cases = vec![
        an_object(subject, &problems[0]),
        counted(subject, &problems[problems.len() - 1]),
        a_short_one(subject, &problems[0]),
    ];
    let reason = problems[0].reason.as_str();
    for cause in &subject.explained_by {
        cases.push(explained(subject, reason, ("True", cause, "Rejected")));
    }
    if subject.kind == "WorkspaceMailbox" {
        cases.push(explained(
            subject,
            reason,
            ("Unknown", "Ready", "Suspended"),
        ));
        cases.push(explained(
            subject,
            reason,
            ("False", "Ready", "InvalidSpec"),
        ));
    }
    cases
}

/// Fires for the object alone, although the counts are there, too; and goes on when another copy leads.
fn an_object(subject: &Subject, problem: &Problem) -> Case {
    let reason = problem.reason.as_str();
    let handover = BEGIN + subject.wait + 5;
    let until = subject.end() - handover - 3;
    let first = format!("_x{BEGIN} 1+0x{} stale", subject.wait + 4);
    let second = format!("_x{} 1+0x{until} stale", handover + 2);
    let (objects, counts) = (
        [1, 2].map(|copy| subject.object(reason, copy)),
        [1, 2].map(|copy| subject.count(reason, copy)),
    );
    let mut series = vec![
        (&*objects[0], &*first),
        (&*objects[1], &*second),
        (&*counts[0], &*first),
        (&*counts[1], &*second),
    ];
    series.extend(subject.beside);
    let about = match subject.kind {
        "CalendarTenant" => "CalendarTenant calendars/contoso".to_owned(),
        kind => format!("{kind} calendars/{}", subject.name()),
    };
    let labels = [
        ("kind", subject.kind),
        ("namespace", "calendars"),
        ("name", subject.name()),
        ("tenant", "calendars/contoso"),
    ];
    let firing = Firing {
        description: Some(subject.told(&about, problem)),
        ..Firing::new(&labels, &format!("{about}: {}", subject.type_))
    };
    let fires = BEGIN + subject.wait + 1;
    let checks = [
        (BEGIN + subject.wait - 1, None),
        (fires, Some(&firing)),
        (subject.end() - 1, Some(&firing)),
        (subject.end() + KEEP + 1, None),
    ];
    case(
        (
            &subject.alert,
            "an object has the problem, and another copy begins to lead",
        ),
        &series,
        &checks,
    )
}

/// Fires for the tenant where there are no series of single objects.
fn counted(subject: &Subject, problem: &Problem) -> Case {
    let count = subject.count(problem.reason.as_str(), 1);
    let labels = [("kind", subject.kind), ("tenant", "calendars/contoso")];
    let about = match subject.kind {
        "CalendarTenant" => "CalendarTenant calendars/contoso".to_owned(),
        kind => format!("3 {kind} of tenant calendars/contoso"),
    };
    let firing = Firing {
        description: Some(subject.told(&about, problem)),
        ..Firing::new(&labels, &format!("{about}: {}", subject.type_))
    };
    let checks = [
        (BEGIN + subject.wait - 1, None),
        (BEGIN + subject.wait + 1, Some(&firing)),
        (subject.end() + KEEP + 1, None),
    ];
    let name = "it is counted without series of single objects";
    let lasting = subject.lasting(3);
    let series = [&[(&*count, &*lasting)], subject.beside].concat();
    case((&subject.alert, name), &series, &checks)
}

/// Says nothing of what ends by itself in time.
fn a_short_one(subject: &Subject, problem: &Problem) -> Case {
    let object = subject.object(problem.reason.as_str(), 1);
    let values = format!("_x{BEGIN} 1+0x{} stale", subject.wait - 2);
    let checks = [
        (BEGIN + subject.wait - 1, None),
        (BEGIN + subject.wait + 1, None),
        (BEGIN + subject.wait + 5, None),
    ];
    case(
        (&subject.alert, "the problem ends by itself in time"),
        &[&[(&*object, &*values)], subject.beside].concat(),
        &checks,
    )
}

/// Says nothing while the tenant has this condition.
fn explained(subject: &Subject, reason: &str, (status, type_, why): (&str, &str, &str)) -> Case {
    let object = subject.object(reason, 1);
    let count = subject.count(reason, 1);
    let tenant = format!(
        "hybridcalendar_conditions{{kind=\"CalendarTenant\",tenant=\"calendars/contoso\",type=\"{type_}\",\
         status=\"{status}\",reason=\"{why}\",job=\"operator\",instance=\"10.0.0.1:9090\"}}"
    );
    let lasting = subject.lasting(1);
    let series = [
        (&*object, &*lasting),
        (&*count, &*lasting),
        (&*tenant, &*lasting),
    ];
    let checks = [(BEGIN + subject.wait + 1, None), (subject.end() - 1, None)];
    let name = format!("the tenant's {type_} {why} explains it");
    case((&subject.alert, &name), &series, &checks)
}

fn a_week_before_the_end_another_alert_speaks() -> Case {
    let subject = Subject::new(
        Kind::CalendarTenant,
        &ConditionType::CredentialExpiring,
        Severity::Warning,
    );
    let object = subject.object("ExpiresVerySoon", 1);
    let lasting = subject.lasting(1);
    let expiry = "hybridcalendar_credential_expiry_timestamp_seconds{tenant=\"calendars/contoso\"}";
    let series = [(&*object, &*lasting), (expiry, "518400+0x120")];
    let name = "less than a week is left, which another alert tells";
    case(
        (&subject.alert, name),
        &series,
        &[(BEGIN + subject.wait + 1, None)],
    )
}
