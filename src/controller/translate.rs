//! From Graph's answers to the words of decisions. Exhaustive, and the only place where the two meet.

use crate::domain::mailbox::look::Person;
use crate::domain::reading::{Absence, Outage, OutageKind, Reading, Refusal};
use crate::graph::error::{self, ErrorClass, Forbidden, GraphError, NotFound, Withheld};
use crate::graph::model::User;

/// What a read brought.
#[must_use]
pub fn reading<T, U>(result: Result<T, GraphError>, translate: impl FnOnce(T) -> U) -> Reading<U> {
    match result {
        Ok(value) => Reading::Present(translate(value)),
        Err(error) => failed(error),
    }
}

fn failed<U>(error: GraphError) -> Reading<U> {
    let GraphError {
        operation: _,
        class,
        detail,
        request_id,
    } = error;
    match class {
        ErrorClass::NotFound(NotFound::Unknown) => Reading::Absent(Absence {
            not_enabled_for_rest: false,
            request_id,
        }),
        ErrorClass::NotFound(NotFound::NotEnabledForRest) => Reading::Absent(Absence {
            not_enabled_for_rest: true,
            request_id,
        }),
        ErrorClass::Forbidden(Forbidden::AccessPolicy) => Reading::Forbidden(Refusal {
            by_access_policy: true,
            request_id,
        }),
        ErrorClass::Forbidden(Forbidden::Denied) => Reading::Forbidden(Refusal {
            by_access_policy: false,
            request_id,
        }),
        ErrorClass::Token(_)
        | ErrorClass::Unauthenticated
        | ErrorClass::Duplicate { .. }
        | ErrorClass::EndpointInvalid(_)
        | ErrorClass::QuotaExceeded
        | ErrorClass::LifetimeTooLong { .. }
        | ErrorClass::Rejected
        | ErrorClass::Throttled { .. }
        | ErrorClass::Unavailable(_)
        | ErrorClass::Withheld(_) => Reading::Unavailable(outage_of(&class, &detail)),
    }
}

/// Why nothing was learned from a call that failed with `class`.
#[must_use]
pub fn outage_of(class: &ErrorClass, detail: &str) -> Outage {
    let (kind, sentence, retry_after) = match class {
        ErrorClass::Unavailable(error::Outage::LoginUnreachable) => (
            OutageKind::LoginUnreachable,
            "Microsoft's login host does not answer.",
            None,
        ),
        ErrorClass::Unavailable(error::Outage::GraphUnreachable) => (
            OutageKind::GraphUnreachable,
            "Microsoft Graph does not answer.",
            None,
        ),
        ErrorClass::Throttled { retry_after } => (
            OutageKind::Throttled,
            "Microsoft Graph asked to slow down.",
            Some(*retry_after),
        ),
        ErrorClass::Withheld(Withheld::RetryLater { after }) => (
            OutageKind::Throttled,
            "Microsoft Graph asked to slow down.",
            Some(*after),
        ),
        ErrorClass::Withheld(Withheld::ObserveOnly) => (
            OutageKind::Withheld,
            "The operator runs with --observe-only and writes nothing to Graph.",
            None,
        ),
        ErrorClass::Withheld(Withheld::Fenced) => (
            OutageKind::Withheld,
            "This copy of the operator does not lead any more.",
            None,
        ),
        ErrorClass::Token(_) | ErrorClass::Unauthenticated => (
            OutageKind::NoToken,
            "The CalendarTenant has no token.",
            None,
        ),
        ErrorClass::Unavailable(error::Outage::ServerErrors)
        | ErrorClass::Forbidden(_)
        | ErrorClass::NotFound(_)
        | ErrorClass::Duplicate { .. }
        | ErrorClass::EndpointInvalid(_)
        | ErrorClass::QuotaExceeded
        | ErrorClass::LifetimeTooLong { .. }
        | ErrorClass::Rejected => (
            OutageKind::ServerErrors,
            "Microsoft Graph answered with an error.",
            None,
        ),
    };
    let detail = match detail.trim() {
        "" => sentence.to_owned(),
        said => format!("{sentence} It said: {said}"),
    };
    Outage {
        kind,
        detail,
        retry_after,
    }
}

/// A directory user as the decisions see it.
#[must_use]
pub fn person(user: User) -> Person {
    let User {
        id,
        display_name,
        mail,
        user_principal_name,
        proxy_addresses,
        guest,
    } = user;
    let with_prefix = |prefix: &str| {
        let of = |entry: &String| entry.strip_prefix(prefix).map(str::to_owned);
        proxy_addresses
            .iter()
            .filter_map(of)
            .collect::<Vec<String>>()
    };
    let primary = with_prefix("SMTP:").into_iter().next().or(mail);
    let mut addresses: Vec<String> = primary.iter().cloned().collect();
    addresses.extend(with_prefix("smtp:"));
    Person {
        id,
        display_name,
        primary,
        addresses,
        sign_in_name: user_principal_name,
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
            display_name: "Room A".to_owned(),
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
        assert_eq!(
            person.addresses,
            ["room-a@contoso.example", "a@contoso.example"]
        );
    }
}
