//! Which specs can be used, and what of them is kept.

use std::time::Duration;

use super::super::desired::{Hosts, TenantDesired};
use super::world::spec;
use crate::api::vocabulary::Reason;
use crate::domain::endpoints::{AllowedEndpoints, Microsoft};

fn allowed(urls: &[&str], microsoft: Microsoft) -> AllowedEndpoints {
    let urls: Vec<url::Url> = urls.iter().map(|url| url.parse().unwrap()).collect();
    AllowedEndpoints::new(&urls, microsoft)
}

#[test]
fn identities_are_compared_in_lower_case() {
    let spec = spec("domains: [B.example, a.example, b.example]");
    let desired = TenantDesired::from_spec("ns", &spec, &AllowedEndpoints::default()).unwrap();
    assert_eq!(&*desired.tenant_id, "5f1d7a9c-1111-4000-8000-000000000001");
    assert_eq!(desired.domains, ["a.example", "b.example"]);
    assert_eq!(&*desired.app().cloud, "Worldwide");
    assert_eq!(desired.lifetime, Duration::from_hours(160));
    assert_eq!(desired.interval, Duration::from_hours(1));
    assert!(desired.places && !desired.suspended);
}

#[test]
fn only_endpoints_that_the_operator_was_started_with_are_called() {
    let microsoft = Microsoft::Allowed;
    let named = allowed(&["http://127.0.0.1:8600"], microsoft);
    let rehearsal = allowed(&["http://127.0.0.1:8600"], Microsoft::Refused);
    let endpoints =
        |login: &str, graph: &str| format!("endpoints: {{login: '{login}', graph: '{graph}'}}");
    let own = endpoints("http://127.0.0.1:8600/", "http://127.0.0.1:8600");
    let other = endpoints("http://127.0.0.1:8600", "https://evil.example");
    let path = endpoints("http://127.0.0.1:8600", "http://127.0.0.1:8600/v1.0");
    let user = endpoints("http://me@127.0.0.1:8600", "http://127.0.0.1:8600");
    for (more, allowed, expected) in [
        ("", &named, None),
        ("", &rehearsal, Some(Reason::EndpointNotAllowed)),
        (own.as_str(), &named, None),
        (&own, &rehearsal, None),
        (
            &own,
            &AllowedEndpoints::default(),
            Some(Reason::EndpointNotAllowed),
        ),
        (&other, &named, Some(Reason::EndpointNotAllowed)),
        (&path, &named, Some(Reason::InvalidSpec)),
        (&user, &named, Some(Reason::InvalidSpec)),
    ] {
        let problem = TenantDesired::from_spec("ns", &spec(more), allowed).err();
        assert_eq!(problem.map(|problem| problem.reason), expected, "{more}");
    }
}

#[test]
fn a_custom_graph_counts_as_a_cloud_of_its_own() {
    let spec =
        spec("endpoints: {login: 'http://127.0.0.1:8600/', graph: 'http://127.0.0.1:8600/'}");
    let allowed = allowed(&["http://127.0.0.1:8600"], Microsoft::Allowed);
    let desired = TenantDesired::from_spec("ns", &spec, &allowed).unwrap();
    assert_eq!(&*desired.app().cloud, "http://127.0.0.1:8600");
    assert!(matches!(desired.hosts, Hosts::Custom { .. }));
}

#[test]
fn what_an_older_crd_let_through_is_named_by_field() {
    for (more, field) in [
        ("tenantId: contoso", "spec.tenantId"),
        ("clientId: ''", "spec.clientId"),
        ("checkInterval: often", "spec.checkInterval"),
        (
            "subscription: {lifetime: '-1h'}",
            "spec.subscription.lifetime",
        ),
        ("testMailbox: somebody", "spec.testMailbox"),
        (
            "isolationProbe: {mailbox: '@contoso.example'}",
            "spec.isolationProbe.mailbox",
        ),
        ("credential: {}", "spec.credential"),
        (
            "credential: {certificate: {secretRef: {name: a}}, workloadIdentity: {serviceAccountName: b}}",
            "spec.credential",
        ),
    ] {
        let problem =
            TenantDesired::from_spec("ns", &spec(more), &AllowedEndpoints::default()).unwrap_err();
        assert_eq!(problem.reason, Reason::InvalidSpec);
        assert!(
            problem.message.starts_with(field),
            "{more}: {}",
            problem.message
        );
    }
}
