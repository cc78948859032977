//! Flags in, sentences out.

use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::flags::{DEFAULT_LOG_FILTER, Flags};
use super::*;
use crate::domain::endpoints::Microsoft;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    flags: Flags,
}

const GOOD: &str = "--notification-url=https://calendar.example/hooks";

fn config(arguments: &[&str]) -> Result<Config, Problems> {
    let arguments = ["operator"].iter().chain(arguments);
    let command = Command::try_parse_from(arguments).expect("the parser accepts all values");
    Config::new(&command.flags, "operators")
}

fn certificate() -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    made.cert.pem()
}

#[test]
fn an_empty_value_means_not_set() {
    let empty = config(&[
        GOOD,
        "--receiver-listen=",
        "--admin-listen=",
        "--advertise-address=",
        "--wakes-listen=",
        "--namespace=",
        "--allowed-endpoint=",
        "--leader-elect=",
        "--lease-namespace=",
        "--lease-name=",
        "--lease-duration=",
        "--key-secret=",
        "--observe-only=",
        "--take-over-from=",
        "--rehearsal-pace=",
        "--concurrency=",
        "--metrics-detail= ",
        "--ca-file=",
        "--log-format=",
        "--log-filter=",
    ]);
    let unset = config(&[GOOD]);
    assert_eq!(
        format!("{:?}", empty.unwrap()),
        format!("{:?}", unset.unwrap())
    );
}

#[test]
fn one_flag_is_enough_and_the_rest_has_sensible_defaults() {
    let config = config(&[GOOD]).unwrap();
    assert_eq!(
        config.notification_url.as_str(),
        "https://calendar.example/hooks"
    );
    assert_eq!(config.receiver_listen.to_string(), "[::]:8443");
    assert_eq!(config.admin_listen.to_string(), "[::]:9090");
    assert_eq!(config.wakes_listen.to_string(), "[::]:9091");
    assert_eq!(config.advertise_address, None);
    assert_eq!(config.scope, Scope::All);
    assert_eq!(
        config.key_secret.to_string(),
        "operators/hybrid-calendar-operator-key"
    );
    let lease = ObjectKey::new("operators", "hybrid-calendar-operator");
    assert_eq!(config.election, Election::Lease(lease));
    assert_eq!(config.lease_timing.duration(), Duration::from_secs(15));
    assert_eq!(config.writes, Writes::Allowed);
    assert_eq!(config.pace, Pace::REAL);
    assert_eq!(config.concurrency, 512);
    assert_eq!(config.metrics_detail, MetricsDetail::Object);
    assert_eq!(config.allowed_endpoints.microsoft(), Microsoft::Allowed);
    assert_eq!(config.logs.format, LogFormat::Json);
    assert_eq!(config.logs.filter, DEFAULT_LOG_FILTER);
}

#[test]
fn every_flag_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        std::fs::write(path(name), certificate()).unwrap();
    }
    let config = config(&[
        "--notification-url=http://localhost:1",
        "--receiver-listen=[::]:1",
        &format!("--receiver-tls-dir={}", dir.path().display()),
        "--admin-listen=127.0.0.1:2",
        "--advertise-address=fd00::7",
        "--wakes-listen=127.0.0.1:3",
        "--namespace=b,a",
        "--namespace=c",
        "--allowed-endpoint=http://127.0.0.1:8600",
        "--leader-elect=false",
        "--lease-duration=1m",
        "--key-secret=keys/mine",
        "--observe-only",
        "--take-over-from=0123456789abcdef",
        "--rehearsal-pace=60",
        "--concurrency=1024",
        "--metrics-detail=tenant",
        &format!("--ca-file={}", path("ca.crt")),
        "--log-format=text",
        "--log-filter=warn,kube=debug",
    ])
    .unwrap();
    assert_eq!(config.receiver_tls_dir.as_deref(), Some(dir.path()));
    let advertised = config.advertise_address.map(|ip| ip.to_string());
    assert_eq!(advertised.as_deref(), Some("fd00::7"));
    assert_eq!(config.wakes_listen.port(), 3);
    let namespaces = ["a", "b", "c"].map(Arc::from);
    assert_eq!(config.scope, Scope::Namespaces(namespaces.into()));
    assert!(config.scope.contains("a") && !config.scope.contains("d"));
    assert!(config.allowed_endpoints.allows("http://127.0.0.1:8600/"));
    assert_eq!(config.allowed_endpoints.microsoft(), Microsoft::Refused);
    assert_eq!(config.election, Election::Off);
    assert_eq!(config.lease_timing.duration(), Duration::from_mins(1));
    assert_eq!(config.key_secret.to_string(), "keys/mine");
    assert_eq!(config.writes, Writes::Refused);
    assert_eq!(
        config.take_over_from,
        Some(InstanceId::new("0123456789abcdef"))
    );
    assert_eq!(Some(config.pace), Pace::new(60));
    assert_eq!(config.concurrency, 1024);
    assert_eq!(config.metrics_detail, MetricsDetail::Tenant);
    assert!(config.trusted_roots.is_some());
    assert_eq!(config.logs.format, LogFormat::Text);
}

const LOCAL: &str = "--allowed-endpoint=http://127.0.0.1:1";

/// Flags, and what is said about them.
const MISTAKES: &[(&[&str], &str)] = &[
    (&[], "--notification-url is missing"),
    (&["--notification-url="], "--notification-url is missing"),
    (
        &["--notification-url=calendar.example"],
        "--notification-url is not a URL",
    ),
    (
        &["--notification-url=http://calendar.example"],
        "use an https:// URL",
    ),
    (
        &["--notification-url=ftp://calendar.example"],
        "use an https:// URL",
    ),
    (
        &["--notification-url=https://a:b@calendar.example"],
        "user name or password",
    ),
    (
        &["--notification-url=https://calendar.example?x=1"],
        "query or fragment",
    ),
    (
        &[GOOD, "--receiver-listen=8443"],
        "--receiver-listen \"8443\" is not an address with port",
    ),
    (
        &[GOOD, "--admin-listen=localhost:1"],
        "--admin-listen \"localhost:1\" is not an address",
    ),
    (
        &[GOOD, "--admin-listen=127.0.0.1:8443"],
        "both use port 8443",
    ),
    (
        &[GOOD, "--wakes-listen=9091"],
        "--wakes-listen \"9091\" is not an address",
    ),
    (
        &[GOOD, "--advertise-address=10.0.0.1:9091"],
        "is not an IP address that others can call",
    ),
    (
        &[GOOD, "--advertise-address=0.0.0.0"],
        "is not an IP address that others can call",
    ),
    (
        &[
            GOOD,
            "--advertise-address=10.0.0.1",
            "--wakes-listen=[::]:9090",
        ],
        "--admin-listen and --wakes-listen both use port 9090",
    ),
    (
        &[GOOD, "--receiver-tls-dir=/nowhere"],
        "cannot read tls.crt",
    ),
    (
        &[GOOD, "--namespace=Rooms"],
        "--namespace \"Rooms\" is not a namespace name",
    ),
    (
        &[GOOD, "--allowed-endpoint=http://graph.example"],
        "--allowed-endpoint http://graph.example/",
    ),
    (
        &[GOOD, "--leader-elect=yes"],
        "--leader-elect \"yes\" is neither true nor false",
    ),
    (
        &[GOOD, "--lease-namespace=a.b"],
        "--lease-namespace \"a.b\" is not a namespace name",
    ),
    (
        &[GOOD, "--lease-duration=2h"],
        "--lease-duration \"2h\" is not whole seconds from 10s to 1m",
    ),
    (
        &[GOOD, "--lease-duration=ten"],
        "--lease-duration \"ten\" is not whole seconds from 10s to 1m",
    ),
    (
        &[GOOD, "--lease-name=UPPER"],
        "--lease-name \"UPPER\" is not an object name",
    ),
    (
        &[GOOD, "--key-secret=name"],
        "like operators/hybrid-calendar-operator-key",
    ),
    (
        &[GOOD, "--observe-only=1"],
        "--observe-only \"1\" is neither true nor false",
    ),
    (
        &[GOOD, "--take-over-from=production"],
        "16 hexadecimal digits",
    ),
    (
        &[GOOD, "--rehearsal-pace=60"],
        "at least one: Microsoft must not be called",
    ),
    (
        &[
            GOOD,
            "--rehearsal-pace=60",
            LOCAL,
            "--allowed-endpoint=https://graph.example",
        ],
        "Microsoft must not",
    ),
    (
        &[GOOD, "--rehearsal-pace=0", LOCAL],
        "--rehearsal-pace \"0\" is not a whole number",
    ),
    (
        &[GOOD, "--concurrency=0"],
        "--concurrency \"0\" is not a whole number from 1 to 1024",
    ),
    (&[GOOD, "--concurrency=1025"], "from 1 to 1024"),
    (&[GOOD, "--metrics-detail=all"], "use object or tenant"),
    (
        &[GOOD, "--ca-file=/nowhere"],
        "--ca-file /nowhere: cannot be read",
    ),
    (
        &[GOOD, "--ca-file=Cargo.toml"],
        "holds no certificate in PEM",
    ),
    (&[GOOD, "--log-format=xml"], "use json or text"),
    (
        &[GOOD, "--log-filter=a=b=c"],
        "--log-filter \"a=b=c\" is not a filter",
    ),
];

#[test]
fn each_mistake_is_named_with_its_remedy() {
    for (arguments, expected) in MISTAKES {
        let Err(Problems(problems)) = config(arguments) else {
            panic!("{arguments:?} was accepted");
        };
        assert!(
            problems[0].contains(expected),
            "{arguments:?}: {problems:?}"
        );
    }
}

#[test]
fn all_mistakes_are_listed_at_once_and_no_password_is_shown() {
    let problems = config(&[
        "--notification-url=https://user:hunter2@calendar.example",
        "--namespace=A,b,C",
        "--concurrency=many",
        "--log-format=xml",
        "--log-filter=a=b=c",
    ])
    .unwrap_err();
    assert_eq!(problems.0.len(), 6, "{problems}");
    let text = problems.to_string();
    assert!(
        text.starts_with("cannot start, 6 problems:\n  - --notification-url"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn every_flag_has_its_variable() {
    for argument in Command::command().get_arguments() {
        let Some(flag) = argument.get_long().filter(|flag| *flag != "help") else {
            continue;
        };
        let variable = format!("HYBRID_CALENDAR_{}", flag.to_uppercase().replace('-', "_"));
        assert_eq!(
            argument.get_env().unwrap().to_str(),
            Some(variable.as_str())
        );
    }
}

#[test]
fn the_own_namespace_comes_from_the_pod_or_is_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("namespace");
    assert_eq!(&*own_namespace(None, &file), "default");
    std::fs::write(&file, "calendars\n").unwrap();
    assert_eq!(&*own_namespace(None, &file), "calendars");
    assert_eq!(&*own_namespace(Some(String::new()), &file), "calendars");
    assert_eq!(&*own_namespace(Some("mine".to_owned()), &file), "mine");
}

#[test]
fn the_defaults_in_code_are_those_of_the_command_line() {
    let parsed = Command::try_parse_from(["operator", "--notification-url=https://a.example"]);
    assert_eq!(
        parsed.unwrap().flags,
        Flags::for_defaults("https://a.example")
    );
}
