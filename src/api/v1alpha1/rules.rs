//! CEL rules that several fields share. Each message names the field and the remedy.

use kube::core::Rule;

/// A GUID in any case.
const GUID: &str =
    "self.matches('^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')";

/// Exactly one address: one `@`, no separators.
const ONE_ADDRESS: &str = "self.matches('^[^@\\\\s,;<>\"]+@[^@\\\\s,;<>\"]+$')";

/// A host name in lower case.
const DOMAINS: &str =
    "self.all(d, d.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?\\\\.)+[a-z0-9][-a-z0-9]*[a-z0-9]$'))";

const DURATION_FORM: &str = "^([0-9]+([.][0-9]+)?(ms|s|m|h))+$";

pub(super) fn guid(field: &str, where_to_find: &str) -> Rule {
    Rule::new(GUID).message(
        format!(
            "{field} must be a GUID such as 5f1d7a9c-1111-4000-8000-000000000001. {where_to_find}"
        )
        .as_str(),
    )
}

pub(super) fn one_address(field: &str) -> Rule {
    Rule::new(ONE_ADDRESS).message(format!(
        "{field} must be exactly one e-mail address such as room-a@contoso.example, without a name, spaces or a second address."
    ).as_str())
}

pub(super) fn domains(field: &str) -> Rule {
    Rule::new(DOMAINS).message(format!(
        "{field} must list domain names in lower case such as contoso.example, without @ and without a URL."
    ).as_str())
}

pub(super) fn immutable(field: &str, remedy: &str) -> Rule {
    Rule::new("self == oldSelf").message(format!("{field} is immutable. {remedy}").as_str())
}

/// A Go-style duration within bounds, both of them written as durations themselves.
pub(super) fn duration(field: &str, least: &str, most: &str) -> Rule {
    Rule::new(format!(
        "self.matches('{DURATION_FORM}') && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')"
    ))
    .message(format!(
        "{field} must be a duration such as 90m or 24h, from {least} to {most}."
    ).as_str())
}

pub(super) fn url(field: &str) -> Rule {
    Rule::new("isURL(self) && url(self).getScheme() in ['https', 'http'] && url(self).getHostname() != ''")
        .message(format!("{field} must be an absolute URL such as https://graph.example.").as_str())
}
