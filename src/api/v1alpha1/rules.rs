//! CEL rules that several fields share. Each message names the field and the remedy.
//!
//! Only what an object shows by itself is judged here; what depends on the world becomes a condition.

use kube::core::Rule;

/// A GUID in any case.
const GUID: &str =
    "self.matches('^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')";

/// Exactly one address: one `@`, a dotted domain, no separators, no `SMTP:` in front.
const ONE_ADDRESS: &str = r#"self.matches('^[^@\\s,;:<>()\\[\\]"]+@[^@\\s,;:<>()\\[\\]".]+(\\.[^@\\s,;:<>()\\[\\]".]+)+$')"#;

/// A host name in lower case.
const DOMAINS: &str =
    "self.all(d, d.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?\\\\.)+[a-z0-9][-a-z0-9]*[a-z0-9]$'))";

/// Six digits a part: with at most 20 characters no sum of parts is more than a duration can hold.
const DURATION_FORM: &str = "^([0-9]{1,6}([.][0-9]+)?(ms|s|m|h))+$";

pub(super) fn guid(field: &str, where_to_find: &str) -> Rule {
    rule(
        GUID,
        &format!(
            "{field} must be a GUID such as 5f1d7a9c-1111-4000-8000-000000000001. {where_to_find}"
        ),
    )
}

pub(super) fn one_address(field: &str) -> Rule {
    rule(
        ONE_ADDRESS,
        &format!(
            "{field} must be exactly one e-mail address such as room-a@contoso.example, without a name, \
             a prefix, spaces or a second address."
        ),
    )
}

pub(super) fn domains(field: &str) -> Rule {
    rule(
        DOMAINS,
        &format!(
            "{field} must list domain names in lower case such as contoso.example, without @ and without a URL."
        ),
    )
}

pub(super) fn immutable(field: &str, remedy: &str) -> Rule {
    rule(
        "self == oldSelf",
        &format!("{field} is immutable. {remedy}"),
    )
}

/// A Go-style duration within bounds, both of them written as durations themselves.
pub(super) fn duration(field: &str, least: &str, most: &str) -> Rule {
    rule(
        &format!(
            "self.matches('{DURATION_FORM}') && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')"
        ),
        &format!("{field} must be a duration such as 90m or 24h, from {least} to {most}."),
    )
}

/// An origin that credentials may be sent to: HTTPS, or plain HTTP on this host for an emulator.
pub(super) fn endpoint(field: &str) -> Rule {
    rule(
        "isURL(self) && url(self).getHostname() != '' && \
         self.matches('^(https://|http://(localhost|127[.][0-9.]+|[[]::1[]])(:[0-9]+)?(/|$))') && \
         !self.matches('[?#@\\\\s]')",
        &format!(
            "{field} must be a URL such as https://graph.example: HTTPS (plain HTTP only for localhost), \
             without user, query or fragment."
        ),
    )
}

/// The operator adds the version itself.
pub(super) fn without_version(field: &str) -> Rule {
    rule(
        "!self.matches('/(v1[.]0|beta)/?$')",
        &format!("{field} must not end in a version: remove /v1.0 or /beta."),
    )
}

/// The name of an object, not a path to it.
pub(super) fn object_name(field: &str, what: &str) -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        &format!(
            "{field} must be the name of a {what} alone: lower case letters, digits, '-' and '.', \
             without a namespace in front."
        ),
    )
}

/// The name of a namespace.
pub(super) fn namespace_name(field: &str) -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        &format!("{field} must be the name of a namespace: lower case letters, digits and '-'."),
    )
}

/// A key in a Secret's data.
pub(super) fn secret_key(field: &str) -> Rule {
    rule(
        "self.matches('^[-._a-zA-Z0-9]+$')",
        &format!(
            "{field} must be a key of the Secret's data: letters, digits, '-', '_' and '.'. The secret itself belongs into the Secret."
        ),
    )
}

fn rule(expression: &str, message: &str) -> Rule {
    Rule::new(expression).message(message)
}
