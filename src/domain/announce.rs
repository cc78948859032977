//! Which Events tell of a change of conditions: a problem's start, its change of reason, and its end.

use crate::api::v1alpha1::condition::{Condition, ConditionStatus};
use crate::api::vocabulary::{ConditionType, Reason, conditions_of};
use crate::domain::conditions::find;
use crate::ids::Kind;

/// One Event to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Whether it is a problem or good news.
    pub tone: Tone,
    /// The condition's reason.
    pub reason: String,
    /// The condition it is about.
    pub about: ConditionType,
    /// The message, without addresses.
    pub note: String,
}

/// How an Event is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something ended well.
    Normal,
    /// Somebody may have to act.
    Warning,
}

/// What to announce when conditions go from `before` to `after`. A first success is no news.
#[must_use]
pub fn announcements(kind: Kind, before: &[Condition], after: &[Condition]) -> Vec<Announcement> {
    conditions_of(kind)
        .iter()
        .filter_map(|meta| {
            let (was, is) = (find(before, meta.type_), find(after, meta.type_)?);
            let was_problem = was.filter(|c| c.status == ConditionStatus::True);
            match (was_problem, is.status) {
                (_, ConditionStatus::True) if is.reason == Reason::Pending => None,
                (Some(was), ConditionStatus::True) if was.reason == is.reason => None,
                (_, ConditionStatus::True) => Some(announcement(
                    Tone::Warning,
                    is,
                    without_addresses(&is.message),
                )),
                (Some(was), ConditionStatus::False) if was.reason != Reason::Pending => {
                    let note = format!("{} has ended: {}", meta.type_, is.reason.docs());
                    Some(announcement(Tone::Normal, is, note))
                }
                (Some(_) | None, ConditionStatus::False | ConditionStatus::Unknown) => None,
            }
        })
        .collect()
}

fn announcement(tone: Tone, condition: &Condition, note: String) -> Announcement {
    Announcement {
        tone,
        reason: condition.reason.as_str().to_owned(),
        about: condition.type_.clone(),
        note,
    }
}

/// A message whose readers need not be allowed to read the object: every address becomes `<address>`.
#[must_use]
pub fn without_addresses(message: &str) -> String {
    let word = |word: &str| {
        if !word.contains('@') {
            return word.to_owned();
        }
        let end = word.trim_end_matches(['.', ',', ';', ':', ')']);
        format!("<address>{}", &word[end.len()..])
    };
    message.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::time::Time;

    fn condition(type_: ConditionType, status: ConditionStatus, reason: Reason) -> Condition {
        Condition {
            type_,
            status,
            observed_generation: Some(1),
            last_transition_time: Time::new(jiff::Timestamp::UNIX_EPOCH),
            reason,
            message:
                "room-a@contoso.example is an alias; the primary address is a@contoso.example."
                    .into(),
        }
    }

    fn tones(before: &[Condition], after: &[Condition]) -> Vec<Tone> {
        announcements(Kind::WorkspaceMailbox, before, after)
            .into_iter()
            .map(|a| a.tone)
            .collect()
    }

    #[test]
    fn a_problem_is_announced_at_its_start_change_and_end_only() {
        let healthy = [condition(
            ConditionType::AddressMismatch,
            ConditionStatus::False,
            Reason::PrimaryAddress,
        )];
        let alias = [condition(
            ConditionType::AddressMismatch,
            ConditionStatus::True,
            Reason::AliasUsed,
        )];
        let upn = [condition(
            ConditionType::AddressMismatch,
            ConditionStatus::True,
            Reason::UserPrincipalNameUsed,
        )];
        assert_eq!(tones(&[], &healthy), []);
        assert_eq!(tones(&[], &alias), [Tone::Warning]);
        assert_eq!(tones(&alias, &alias), []);
        assert_eq!(tones(&alias, &upn), [Tone::Warning]);
        assert_eq!(tones(&upn, &healthy), [Tone::Normal]);
    }

    #[test]
    fn a_subscription_that_is_about_to_be_created_is_no_news() {
        let pending = [condition(
            ConditionType::SubscriptionInactive,
            ConditionStatus::True,
            Reason::Pending,
        )];
        let active = [condition(
            ConditionType::SubscriptionInactive,
            ConditionStatus::False,
            Reason::SubscriptionActive,
        )];
        assert_eq!(tones(&[], &pending), []);
        assert_eq!(tones(&pending, &active), []);
    }

    #[test]
    fn notes_name_no_address() {
        let alias = [condition(
            ConditionType::AddressMismatch,
            ConditionStatus::True,
            Reason::AliasUsed,
        )];
        let all = announcements(Kind::WorkspaceMailbox, &[], &alias);
        assert_eq!(
            all[0].note,
            "<address> is an alias; the primary address is <address>."
        );
    }
}
