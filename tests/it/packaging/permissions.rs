//! What the operator may do, and that it may do nothing else: its ServiceAccount as the chart makes it, asked about
//! everything that the API server serves.
//!
//! The allow-list is what `hybrid-calendar-operator rbac` prints for the same settings. Kubernetes tells by a
//! SelfSubjectRulesReview which rules hold for an account in a namespace; what every account may do is taken away from it.

use std::collections::BTreeSet;

use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
    SelfSubjectRulesReview, SelfSubjectRulesReviewSpec,
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;
use testbed::access::Rights;
use testbed::control_plane::ControlPlane;
use testbed::helm::{Release, chart};
use testbed::{crds, manifest, operator};

use super::installation::NAME;

/// Those of the HTTP API, and those that only RBAC knows.
const VERBS: [&str; 12] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "impersonate",
    "bind",
    "escalate",
    "use",
];

/// Kinds of RBAC's own that no list of the API server names.
const UNLISTED: [(&str, &str); 5] = [
    ("", "users"),
    ("", "groups"),
    ("authentication.k8s.io", "userextras/scopes"),
    ("authentication.k8s.io", "uids"),
    ("certificates.k8s.io", "signers"),
];

/// An object that belongs to somebody else.
const OTHERS: &str = "somebody-elses";

/// A request, as far as RBAC looks at it. No name: any, or one that does not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    verb: &'static str,
    group: String,
    resource: String,
    name: Option<String>,
}

fn request(verb: &'static str, group: &str, resource: &str, name: Option<&str>) -> Request {
    Request {
        verb,
        group: group.to_owned(),
        resource: resource.to_owned(),
        name: name.map(str::to_owned),
    }
}

/// As both kinds of rules are read.
struct Rule<'a> {
    verbs: &'a [String],
    groups: &'a [String],
    resources: &'a [String],
    names: &'a [String],
}

impl<'a> From<&'a PolicyRule> for Rule<'a> {
    fn from(rule: &'a PolicyRule) -> Self {
        Self {
            verbs: &rule.verbs,
            groups: rule.api_groups.as_deref().unwrap_or_default(),
            resources: rule.resources.as_deref().unwrap_or_default(),
            names: rule.resource_names.as_deref().unwrap_or_default(),
        }
    }
}

impl<'a> From<&'a ResourceRule> for Rule<'a> {
    fn from(rule: &'a ResourceRule) -> Self {
        Self {
            verbs: &rule.verbs,
            groups: rule.api_groups.as_deref().unwrap_or_default(),
            resources: rule.resources.as_deref().unwrap_or_default(),
            names: rule.resource_names.as_deref().unwrap_or_default(),
        }
    }
}

impl Rule<'_> {
    fn permits(&self, request: &Request) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|one| one == "*" || one == word);
        let named = request.name.as_ref();
        has(self.verbs, request.verb)
            && has(self.groups, &request.group)
            && has(self.resources, &request.resource)
            && (self.names.is_empty() || named.is_some_and(|name| self.names.contains(name)))
    }
}

/// Every kind and part of it that is served, as group and resource.
async fn served(client: &Client) -> BTreeSet<(String, String)> {
    let mut found: BTreeSet<(String, String)> = UNLISTED
        .map(|(group, resource)| (group.to_owned(), resource.to_owned()))
        .into();
    let core = client.list_core_api_resources("v1").await.unwrap();
    found.extend(
        core.resources
            .into_iter()
            .map(|one| (String::new(), one.name)),
    );
    for group in client.list_api_groups().await.unwrap().groups {
        for version in group.versions {
            let list = client.list_api_group_resources(&version.group_version);
            let resources = list.await.unwrap().resources.into_iter();
            found.extend(resources.map(|one| (group.name.clone(), one.name)));
        }
    }
    found
}

/// Namespaces with different permissions.
#[derive(Clone)]
struct Places {
    own: String,
    watched: String,
    other: String,
}

impl Places {
    async fn prepare(control_plane: &ControlPlane) -> Self {
        let make = async || control_plane.namespace().await.unwrap();
        Self {
            own: make().await,
            watched: make().await,
            other: make().await,
        }
    }

    fn all(&self) -> [&String; 3] {
        [&self.own, &self.watched, &self.other]
    }

    /// Everything that could be asked of the API server: each verb on each resource, with every name that matters.
    fn requests(&self, served: &BTreeSet<(String, String)>) -> Vec<Request> {
        let key = format!("{NAME}-key");
        let names = [NAME, &key, "kube-system", &self.watched, &self.own, OTHERS];
        let names: Vec<Option<&str>> = names.into_iter().map(Some).chain([None]).collect();
        let mut requests = Vec::new();
        for (group, resource) in served {
            for verb in VERBS {
                requests.extend(
                    names
                        .iter()
                        .map(|name| request(verb, group, resource, *name)),
                );
            }
        }
        requests
    }
}

/// Installs the chart's ServiceAccount and permissions. The account's own client.
async fn installed(control_plane: &ControlPlane, places: &Places, watched: &[&str]) -> Client {
    let values = json!({
        "fullnameOverride": places.own,
        "notificationUrl": "https://calendar.example",
        "watchNamespaces": watched,
        "leaderElection": {"leaseName": NAME},
        "keySecret": {"name": format!("{NAME}-key")},
    });
    let release = Release::new(control_plane, &places.own, &places.own);
    let rendered = release.template(chart(), &values).await.unwrap();
    let permissions = manifest::objects(&rendered)
        .unwrap()
        .into_iter()
        .filter(|object| {
            let kind = object.types.as_ref().map(|types| types.kind.as_str());
            let kind = kind.unwrap_or_default();
            let aggregated = object.metadata.labels.iter().flatten();
            let mut aggregated = aggregated.filter(|(name, _)| name.contains("aggregate-to"));
            (kind == "ServiceAccount" || kind.contains("Role")) && aggregated.next().is_none()
        });
    let permissions: Vec<String> = permissions
        .map(|object| serde_json::to_string(&object).unwrap())
        .collect();
    let yaml = permissions.join("\n---\n");
    control_plane.apply(&places.own, &yaml).await.unwrap();
    account(control_plane, &places.own, &places.own).await
}

/// A client as a ServiceAccount.
async fn account(control_plane: &ControlPlane, namespace: &str, name: &str) -> Client {
    let nothing_more = Rights::default();
    let made = control_plane.service_account(namespace, name, &nothing_more);
    control_plane
        .client_for(&made.await.unwrap())
        .await
        .unwrap()
}

/// The rules that hold for an account in a namespace, those for the whole cluster among them.
async fn rules(client: &Client, namespace: &str) -> Vec<ResourceRule> {
    let question = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec {
            namespace: Some(namespace.to_owned()),
        },
        ..SelfSubjectRulesReview::default()
    };
    let reviews: Api<SelfSubjectRulesReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &question).await;
    let status = answer.unwrap().status.unwrap();
    assert!(!status.incomplete, "{:?}", status.evaluation_error);
    status.resource_rules
}

fn permitted<'a, R: 'a>(rules: &'a [R], requests: &[Request]) -> BTreeSet<Request>
where
    Rule<'a>: From<&'a R>,
{
    let rules: Vec<Rule<'_>> = rules.iter().map(Rule::from).collect();
    let asked = requests.iter();
    asked
        .filter(|request| rules.iter().any(|rule| rule.permits(request)))
        .cloned()
        .collect()
}

/// What `hybrid-calendar-operator rbac` lists.
async fn allowed(places: &Places, watched: &[&str]) -> Rights {
    let mut arguments = vec![format!("--service-account={0}/{0}", places.own)];
    arguments.extend(watched.iter().map(|name| format!("--namespace={name}")));
    let yaml = operator::rbac(&arguments).await.unwrap();
    Rights::parse(&yaml, &places.own).unwrap()
}

async fn nothing_but_the_allow_list(watched_alone: Option<&str>, places: &Places) {
    let control_plane = ControlPlane::shared().await.unwrap();
    let watched: Vec<&str> = watched_alone.into_iter().collect();
    let client = installed(control_plane, places, &watched).await;
    let nobody = account(control_plane, &places.other, "nobody").await;
    let served = served(&control_plane.admin().await.unwrap()).await;
    assert!(served.len() > 100, "only {} are served", served.len());
    let requests = places.requests(&served);
    let rights = allowed(places, &watched).await;
    for namespace in places.all() {
        let may = permitted(&rules(&client, namespace).await, &requests);
        let anybody_may = permitted(&rules(&nobody, namespace).await, &requests);
        let may: BTreeSet<Request> = may.difference(&anybody_may).cloned().collect();
        let within = rights.within.get(namespace).into_iter().flatten();
        let listed: Vec<PolicyRule> = rights.everywhere.iter().chain(within).cloned().collect();
        let listed = permitted(&listed, &requests);
        let differ: Vec<&Request> = may.symmetric_difference(&listed).collect();
        assert!(differ.is_empty(), "in {namespace}: {differ:#?}");
        assert!(!may.is_empty(), "nothing is allowed in {namespace}");
        // A rule that names its objects is not one that covers all.
        assert!(may.len() < requests.len() / 50, "{} are allowed", may.len());
    }
}

#[tokio::test]
async fn the_chart_allows_what_the_program_lists_and_nothing_else_that_the_api_server_serves() {
    let control_plane = ControlPlane::shared().await.unwrap();
    crds::install(control_plane).await.unwrap();
    let places = Places::prepare(control_plane).await;
    nothing_but_the_allow_list(Some(&places.watched), &places).await;
    let everywhere = Places::prepare(control_plane).await;
    nothing_but_the_allow_list(None, &everywhere).await;
}

/// Whether the API server would let the client do this.
async fn may(client: &Client, namespace: &str, request: &Request) -> bool {
    let (resource, part) = match request.resource.split_once('/') {
        Some((resource, part)) => (resource, Some(part.to_owned())),
        None => (request.resource.as_str(), None),
    };
    let question = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_owned()),
                verb: Some(request.verb.to_owned()),
                group: Some(request.group.clone()),
                resource: Some(resource.to_owned()),
                subresource: part,
                name: request.name.clone(),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &question).await;
    answer.unwrap().status.unwrap().allowed
}

/// Each permission that would make a stolen token worth more, by what could be done with it.
const FORBIDDEN: [(&str, &str, &str, Option<&str>); 24] = [
    ("create", "", "pods", None),
    ("create", "", "pods/exec", None),
    ("list", "", "pods", None),
    ("update", "", "secrets", Some(OTHERS)),
    ("patch", "", "secrets", Some(OTHERS)),
    (
        "delete",
        "",
        "secrets",
        Some("hybrid-calendar-operator-key"),
    ),
    ("deletecollection", "", "secrets", None),
    ("create", "", "serviceaccounts", None),
    ("create", "", "serviceaccounts/token", Some("default")),
    ("impersonate", "", "serviceaccounts", Some("default")),
    ("impersonate", "", "users", Some("admin")),
    ("impersonate", "", "groups", Some("system:masters")),
    ("update", "hybridcalendar.dev", "workspacemailboxes", None),
    ("patch", "hybridcalendar.dev", "workspacemailboxes", None),
    ("delete", "hybridcalendar.dev", "calendartenants", None),
    ("create", "hybridcalendar.dev", "calendartenants", None),
    (
        "patch",
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        None,
    ),
    (
        "delete",
        "coordination.k8s.io",
        "leases",
        Some("hybrid-calendar-operator"),
    ),
    ("update", "coordination.k8s.io", "leases", Some(OTHERS)),
    ("list", "", "nodes", None),
    ("get", "", "nodes/proxy", None),
    ("create", "rbac.authorization.k8s.io", "rolebindings", None),
    (
        "escalate",
        "rbac.authorization.k8s.io",
        "clusterroles",
        None,
    ),
    ("bind", "rbac.authorization.k8s.io", "clusterroles", None),
];

#[tokio::test]
async fn the_api_server_refuses_what_would_make_a_stolen_token_worth_more() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let places = Places::prepare(control_plane).await;
    let client = installed(control_plane, &places, &[&places.watched]).await;
    let everywhere = FORBIDDEN.iter().flat_map(|(verb, group, resource, name)| {
        let request = request(verb, group, resource, *name);
        places.all().map(|place| (place.as_str(), request.clone()))
    });
    let elsewhere = [
        (places.own.as_str(), "list", "secrets", None),
        (places.other.as_str(), "list", "secrets", None),
        (places.other.as_str(), "get", "secrets", Some(OTHERS)),
        (places.watched.as_str(), "create", "secrets", None),
        (
            places.other.as_str(),
            "get",
            "namespaces",
            Some(&*places.other),
        ),
    ]
    .map(|(place, verb, resource, name)| (place, request(verb, "", resource, name)));
    let asked = everywhere.chain(elsewhere);
    let answers = join_all(asked.map(async |(place, request)| {
        let allowed = may(&client, place, &request).await;
        allowed.then(|| format!("{place}: {request:?}"))
    }));
    let allowed: Vec<String> = answers.await.into_iter().flatten().collect();
    assert!(allowed.is_empty(), "{allowed:#?}");
    // What it needs is not refused by the same means.
    for (place, request) in [
        (&places.watched, request("list", "", "secrets", None)),
        (
            &places.own,
            request("create", "coordination.k8s.io", "leases", None),
        ),
    ] {
        assert!(may(&client, place, &request).await, "{request:?}");
    }
}
