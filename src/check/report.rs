//! What a run found: for people, for programs, and as an exit code.

use std::sync::Arc;

use serde_json::{Value, json};
use url::Url;

use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::v1alpha1::mailbox::WorkspaceMailbox;
use crate::api::v1alpha1::tenant::CalendarTenant;
use crate::api::vocabulary::remedy::Problem;
use crate::api::vocabulary::{ConditionType, Reason, SPEC_PROBLEMS, conditions_of};
use crate::config::Writes;
use crate::domain::conditions::find;
use crate::domain::records::{MailboxRecord, TenantRecord};
use crate::ids::{Kind, ObjectKey};

/// Everything that was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Tenants, in the order of the files.
    pub tenants: Vec<TenantReport>,
    /// Mailboxes, in the order of the files.
    pub mailboxes: Vec<MailboxReport>,
    /// What was left aside, in sentences.
    pub left_aside: Vec<String>,
    /// Whether time ran out, or somebody wanted no more.
    pub unfinished: bool,
    /// Whether the provisioning check was made.
    pub writes: Writes,
}

/// One tenant.
#[derive(Clone, Debug)]
pub struct TenantReport {
    /// The object, with the status that the operator would write.
    pub record: Arc<TenantRecord>,
    /// Where an administrator gives consent, if the spec can be used.
    pub consent: Option<Url>,
}

/// One mailbox.
#[derive(Clone, Debug)]
pub struct MailboxReport {
    /// The object, with the status that the operator would write.
    pub record: Arc<MailboxRecord>,
    /// Its tenant.
    pub tenant: Option<ObjectKey>,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Everything is Ready, or suspended.
    Ready,
    /// Something could not be found out.
    Undetermined,
    /// A problem was found.
    Problem,
}

impl TenantReport {
    /// The page for consent, if consent may be what is missing.
    #[must_use]
    pub fn missing_consent(&self) -> Option<&Url> {
        let unauthorized = find(&self.record.status.conditions, &ConditionType::Unauthorized)
            .filter(|condition| condition.status == ConditionStatus::True)?;
        let by_consent = matches!(
            unauthorized.reason,
            Reason::ConsentRequired | Reason::PermissionMissing | Reason::ApplicationNotFound
        );
        self.consent.as_ref().filter(|_| by_consent)
    }
}

impl Report {
    /// The worst of all objects. What is not finished may hide a problem.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let tenants = self.tenants.iter().map(|t| &t.record.status.conditions);
        let mailboxes = self.mailboxes.iter().map(|m| &m.record.status.conditions);
        let all = tenants
            .chain(mailboxes)
            .map(|conditions| outcome(conditions));
        let rest = if self.unfinished {
            Outcome::Undetermined
        } else {
            Outcome::Ready
        };
        all.max()
            .map_or(Outcome::Undetermined, |worst| worst.max(rest))
    }

    /// Whether somebody at Microsoft gave no answer.
    #[must_use]
    pub fn is_microsoft_silent(&self) -> bool {
        self.tenants.iter().any(|tenant| {
            let conditions = &tenant.record.status.conditions;
            find(conditions, &ConditionType::MicrosoftUnavailable)
                .is_some_and(|condition| condition.status == ConditionStatus::True)
        })
    }

    /// Whether a Secret is missing, which somebody may have at hand.
    #[must_use]
    pub fn lacks_secret(&self) -> bool {
        self.tenants.iter().any(|tenant| {
            find(
                &tenant.record.status.conditions,
                &ConditionType::Unauthorized,
            )
            .is_some_and(|condition| condition.reason == Reason::SecretNotFound)
        })
    }

    /// The objects with the status that the operator would write, as a `List`.
    ///
    /// # Errors
    /// An object has no JSON form, which a test excludes.
    pub fn list(&self) -> Result<Value, serde_json::Error> {
        let mut items = Vec::new();
        for TenantReport { record, .. } in &self.tenants {
            let mut object = CalendarTenant::new(&record.key.name, record.spec.clone());
            object.metadata.namespace = Some(record.key.namespace.to_string());
            object.status = Some(record.status.clone());
            items.push(serde_json::to_value(object)?);
        }
        for MailboxReport { record, .. } in &self.mailboxes {
            let mut object = WorkspaceMailbox::new(&record.key.name, record.spec.clone());
            object.metadata.namespace = Some(record.key.namespace.to_string());
            object.status = Some(record.status.clone());
            items.push(serde_json::to_value(object)?);
        }
        Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}))
    }
}

/// What the conditions of one object come to.
#[must_use]
pub fn outcome(conditions: &[Condition]) -> Outcome {
    let Some(ready) = find(conditions, &ConditionType::Ready) else {
        return Outcome::Undetermined;
    };
    let silent = Reason::parse(ConditionType::MicrosoftUnavailable.as_str());
    match ready.status {
        ConditionStatus::True => Outcome::Ready,
        ConditionStatus::Unknown if ready.reason == Reason::Suspended => Outcome::Ready,
        ConditionStatus::Unknown => Outcome::Undetermined,
        ConditionStatus::False if ready.reason == silent => Outcome::Undetermined,
        ConditionStatus::False => Outcome::Problem,
    }
}

/// Who can end a problem and how, as the vocabulary says.
#[must_use]
pub fn remedy(kind: Kind, condition: &Condition) -> Option<&'static Problem> {
    let of_condition = conditions_of(kind)
        .iter()
        .filter(|meta| *meta.type_ == condition.type_)
        .flat_map(|meta| meta.problems);
    let of_spec = SPEC_PROBLEMS
        .iter()
        .filter(|_| condition.type_ == ConditionType::Stalled);
    of_condition
        .chain(of_spec)
        .find(|problem| *problem.reason == condition.reason)
}
