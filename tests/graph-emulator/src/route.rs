//! Which call is meant by a method and a path. Literal segments are matched without case, as Graph does.

use http::Method;
use url::form_urlencoded;

use crate::operation::Operation;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Token { tenant: String },
    OpenIdConfiguration { tenant: String },
    SigningKeys { tenant: String },
    InstanceDiscovery,
    Organization,
    Domains,
    Domain { name: String },
    Application { client_id: String },
    Users,
    User { name: String },
    Calendar { user: String },
    Places,
    Place { name: String },
    Events { user: String },
    Event { user: String, id: String },
    Subscriptions,
    Subscription { id: String },
    Reauthorize { id: String },
    Batch,
}

/// A target, and what is done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) target: Target,
}

/// The route, or `None` for what is not imitated.
pub(crate) fn route(method: &Method, path: &str) -> Option<Route> {
    let segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(decoded)
        .collect();
    let lower: Vec<String> = segments.iter().map(|one| one.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let (operation, target) = match lower.as_slice() {
        ["v1.0", rest @ ..] => graph(method.as_str(), rest, &segments[1..])?,
        rest => entra(method.as_str(), rest, &segments)?,
    };
    Some(Route { operation, target })
}

/// Whether a path of Graph has a name that is empty, which callers make of an id that they do not know.
pub(crate) fn has_empty_segment(path: &str) -> bool {
    path.trim_start_matches('/')
        .split_once('/')
        .is_some_and(|(version, rest)| {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            version.eq_ignore_ascii_case("v1.0")
                && !rest.is_empty()
                && rest.split('/').any(str::is_empty)
        })
}

/// Whether a segment is a function, a cast or a count instead of somebody's name.
fn is_part_of_the_language(segment: &str) -> bool {
    let cast = segment.starts_with("graph.") || segment.starts_with("microsoft.graph.");
    let function = segment == "delta" || segment.ends_with("()");
    segment.starts_with('$') || function || cast && !segment.contains('@')
}

fn entra(method: &str, lower: &[&str], segments: &[String]) -> Option<(Operation, Target)> {
    let tenant = segments.first()?.clone();
    Some(match (method, lower) {
        ("POST", [_, "oauth2", "v2.0", "token"]) => (Operation::Token, Target::Token { tenant }),
        ("GET", ["common", "discovery", "instance"]) => {
            (Operation::Discovery, Target::InstanceDiscovery)
        }
        ("GET", [_, "v2.0", ".well-known", "openid-configuration"]) => {
            (Operation::Discovery, Target::OpenIdConfiguration { tenant })
        }
        ("GET", [_, "discovery", "v2.0", "keys"]) => {
            (Operation::Discovery, Target::SigningKeys { tenant })
        }
        _ => return None,
    })
}

fn graph(method: &str, lower: &[&str], segments: &[String]) -> Option<(Operation, Target)> {
    let at = |position: usize| segments.get(position).cloned().unwrap_or_default();
    let mut names = lower.iter().skip(1);
    if lower.first() != Some(&"places") && names.any(|name| is_part_of_the_language(name)) {
        return None;
    }
    Some(match (method, lower) {
        ("GET", ["organization"]) => (Operation::GetOrganization, Target::Organization),
        ("GET", ["domains"]) => (Operation::ListDomains, Target::Domains),
        ("GET", ["domains", _]) => (Operation::ListDomains, Target::Domain { name: at(1) }),
        ("GET", [application]) if let Some(client_id) = key_of_application(application) => {
            (Operation::GetApplication, Target::Application { client_id })
        }
        ("GET", ["users"]) => (Operation::FindUsers, Target::Users),
        ("GET", ["users", _]) => (Operation::GetUser, Target::User { name: at(1) }),
        ("GET", ["users", _, "calendar"]) => {
            (Operation::GetCalendar, Target::Calendar { user: at(1) })
        }
        ("GET", ["places", "microsoft.graph.room" | "graph.room"]) => {
            (Operation::ListPlaces, Target::Places)
        }
        ("GET", ["places", name] | ["places", name, "microsoft.graph.room" | "graph.room"])
            if !is_part_of_the_language(name) =>
        {
            (Operation::GetPlace, Target::Place { name: at(1) })
        }
        ("POST", ["$batch"]) => (Operation::Batch, Target::Batch),
        (_, ["users", ..]) => events(method, lower, &at)?,
        (_, ["subscriptions", ..]) => subscriptions(method, lower, &at)?,
        _ => return None,
    })
}

/// The alternate key of an application: `applications(appId='…')`.
fn key_of_application(segment: &str) -> Option<String> {
    let key = segment.strip_prefix("applications(appid='")?;
    key.strip_suffix("')").map(str::to_owned)
}

fn events(
    method: &str,
    lower: &[&str],
    at: &impl Fn(usize) -> String,
) -> Option<(Operation, Target)> {
    let (user, rest) = match lower {
        ["users", _, "calendar", "events", rest @ ..] => (at(1), (rest, 4)),
        ["users", _, "events", rest @ ..] => (at(1), (rest, 3)),
        _ => return None,
    };
    let (rest, position) = rest;
    Some(match (method, rest) {
        ("POST", []) => (Operation::CreateEvent, Target::Events { user }),
        ("GET", [_]) => (
            Operation::GetEvent,
            Target::Event {
                user,
                id: at(position),
            },
        ),
        ("PATCH", [_]) => (
            Operation::UpdateEvent,
            Target::Event {
                user,
                id: at(position),
            },
        ),
        ("DELETE", [_]) => (
            Operation::DeleteEvent,
            Target::Event {
                user,
                id: at(position),
            },
        ),
        _ => return None,
    })
}

fn subscriptions(
    method: &str,
    lower: &[&str],
    at: &impl Fn(usize) -> String,
) -> Option<(Operation, Target)> {
    Some(match (method, lower) {
        ("POST", ["subscriptions"]) => (Operation::CreateSubscription, Target::Subscriptions),
        ("GET", ["subscriptions"]) => (Operation::ListSubscriptions, Target::Subscriptions),
        ("GET", ["subscriptions", _]) => (
            Operation::GetSubscription,
            Target::Subscription { id: at(1) },
        ),
        ("PATCH", ["subscriptions", _]) => (
            Operation::RenewSubscription,
            Target::Subscription { id: at(1) },
        ),
        ("DELETE", ["subscriptions", _]) => (
            Operation::DeleteSubscription,
            Target::Subscription { id: at(1) },
        ),
        ("POST", ["subscriptions", _, "reauthorize"]) => (
            Operation::ReauthorizeSubscription,
            Target::Reauthorize { id: at(1) },
        ),
        _ => return None,
    })
}

/// Percent-decodes a path segment; a `+` stays what it is.
pub(crate) fn decoded(segment: &str) -> String {
    form_urlencoded::parse(segment.replace('+', "%2B").replace('&', "%26").as_bytes())
        .next()
        .map(|(name, value)| {
            if value.is_empty() && !segment.contains('=') {
                name.into_owned()
            } else {
                format!("{name}={value}")
            }
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(method: &str, path: &str) -> Option<Route> {
        route(&Method::from_bytes(method.as_bytes()).unwrap(), path)
    }

    #[test]
    fn segments_are_decoded_and_literals_have_no_case() {
        let found = routed("GET", "/v1.0/Users/o%27brien+x%40contoso.example/Calendar").unwrap();
        let user = "o'brien+x@contoso.example".to_owned();
        assert_eq!(found.target, Target::Calendar { user });
    }

    #[test]
    fn an_empty_name_is_seen_and_a_slash_at_either_end_is_not_one() {
        assert!(has_empty_segment("/v1.0/users//calendar"));
        assert!(has_empty_segment("/v1.0//calendar"));
        assert!(has_empty_segment("//v1.0/subscriptions//"));
        assert!(!has_empty_segment("//v1.0/subscriptions/"));
        assert!(!has_empty_segment("/v1.0/"));
        assert!(!has_empty_segment("/contoso//oauth2"));
    }

    #[test]
    fn event_ids_keep_their_case_and_padding() {
        let found = routed("DELETE", "/v1.0/users/u/calendar/events/AAMkAb-_%3D=").unwrap();
        assert_eq!(found.operation, Operation::DeleteEvent);
        let (user, id) = ("u".to_owned(), "AAMkAb-_==".to_owned());
        assert_eq!(found.target, Target::Event { user, id });
    }

    #[test]
    fn an_application_is_found_by_its_alternate_key() {
        for path in [
            "/v1.0/applications(appId='5F1D7A9C-2222')",
            "/v1.0/applications%28appId%3D%275F1D7A9C-2222%27%29",
        ] {
            let found = routed("GET", path).unwrap();
            assert_eq!(found.operation, Operation::GetApplication);
            let client_id = "5f1d7a9c-2222".to_owned();
            assert_eq!(found.target, Target::Application { client_id });
        }
    }

    #[test]
    fn what_is_not_imitated_has_no_route() {
        for (method, path) in [
            ("GET", "/beta/users"),
            ("GET", "/v1.0/me"),
            ("GET", "/v1.0/applications"),
            ("GET", "/v1.0/applications/5f1d7a9c-2222"),
            ("PUT", "/v1.0/subscriptions/1"),
            ("GET", "/v1.0/users/u/messages"),
            ("GET", "/v1.0/users/$count"),
            ("GET", "/v1.0/users/delta"),
            ("GET", "/v1.0/users/u/events/delta()"),
            ("GET", "/v1.0/places/microsoft.graph.roomList"),
            ("POST", "/t/oauth2/token"),
            ("GET", "/"),
        ] {
            assert_eq!(routed(method, path), None, "{method} {path}");
        }
    }
}
