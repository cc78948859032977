//! The flags of `check` as a person writes them, and what they say once they are validated.
//!
//! Files that flags name are read here. No secret is a flag's value: only files and one environment variable hold any.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use url::Url;

use super::flags::Reach;
use super::validate::{Check, is_label, is_subdomain, set};
use super::{Problems, Writes};
use crate::domain::endpoints::{AllowedEndpoints, Microsoft};
use crate::domain::schedule::go_duration;
use crate::ids::ObjectKey;
use crate::secret::Secret;

/// The environment variable that may hold the value of a client secret.
pub const CLIENT_SECRET_VARIABLE: &str = "HYBRID_CALENDAR_CLIENT_SECRET";

/// Where the pages about conditions are, unless `--runbook-url` says otherwise.
pub const RUNBOOKS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/runbooks");

/// Longest file that is read, in bytes.
const LONGEST_FILE: u64 = 16 * 1024 * 1024;

const LONGEST_TIMEOUT: Duration = Duration::from_hours(1);

/// Flags of `check`. Values are text, so that all mistakes are reported together.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// File with CalendarTenants, WorkspaceMailboxes and their Secrets in YAML or JSON, repeated; - reads standard
    /// input
    #[arg(short = 'f', long, value_name = "FILE")]
    pub filename: Vec<String>,

    /// Namespace of objects that name none
    #[arg(short = 'n', long, value_name = "NS", default_value = "default")]
    pub namespace: String,

    /// File with the value of the client secret, in place of a Secret in the files; the variable
    /// HYBRID_CALENDAR_CLIENT_SECRET may hold the value itself
    #[arg(long, env = "HYBRID_CALENDAR_CLIENT_SECRET_FILE", value_name = "FILE")]
    pub client_secret_file: Option<String>,

    /// File with the certificate in PEM, in place of a Secret in the files; goes with --key
    #[arg(long, env = "HYBRID_CALENDAR_CERTIFICATE_FILE", value_name = "FILE")]
    pub certificate: Option<String>,

    /// File with the certificate's private key in PEM
    #[arg(long, env = "HYBRID_CALENDAR_KEY_FILE", value_name = "FILE")]
    pub key: Option<String>,

    /// File with a token of the ServiceAccount, for the one tenant with workloadIdentity: kubectl create token NAME
    /// --audience api://AzureADTokenExchange
    #[arg(
        long,
        env = "HYBRID_CALENDAR_FEDERATED_TOKEN_FILE",
        value_name = "FILE"
    )]
    pub federated_token_file: Option<String>,

    /// The same for one of several tenants, by its name or namespace/name, repeated; a token is shown to no other
    #[arg(long, value_name = "TENANT=FILE")]
    pub federated_token: Vec<String>,

    /// Try spec.testMailbox too: create a marked event there, read it back and delete it. Without this flag nothing
    /// at all is written at Microsoft
    #[arg(long)]
    pub write_test: bool,

    /// Which hosts may be called, and whom to trust.
    #[command(flatten)]
    pub reach: Reach,

    /// How long everything may take, such as 30s or 5m
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub timeout: String,

    /// What to print: a table for people, or the objects with the status that the operator would write
    #[arg(
        short = 'o',
        long,
        value_name = "table|json|yaml",
        default_value = "table"
    )]
    pub output: String,

    /// Colours: auto uses them when standard output is a terminal and NO_COLOR is not set
    #[arg(long, value_name = "auto|always|never", default_value = "auto")]
    pub color: String,

    /// Redirect URI of the app registration to put into admin-consent URLs; without it they have none, as suits
    /// applications without a page of their own
    #[arg(long, value_name = "URL")]
    pub consent_redirect_uri: Option<String>,

    /// Base URL of the pages that tell more about a condition
    #[arg(
        long,
        env = "HYBRID_CALENDAR_RUNBOOK_URL",
        value_name = "URL",
        default_value = RUNBOOKS
    )]
    pub runbook_url: String,
}

/// What to check, and how.
#[derive(Debug)]
pub struct Settings {
    /// What the files hold.
    pub sources: Vec<Source>,
    /// Namespace of objects that name none.
    pub namespace: Arc<str>,
    /// Credentials that are in none of the manifests.
    pub local: Local,
    /// Whether the provisioning check may create its event.
    pub writes: Writes,
    /// To which hosts credentials may be sent.
    pub allowed_endpoints: AllowedEndpoints,
    /// Certificates in PEM to trust besides the usual ones.
    pub trusted_roots: Option<Vec<u8>>,
    /// How long everything may take.
    pub timeout: Duration,
    /// What to print.
    pub output: Output,
    /// Whether in colours.
    pub color: Color,
    /// Redirect URI for admin-consent URLs.
    pub redirect: Option<Url>,
    /// Base URL of the pages about conditions, without a slash at the end.
    pub runbooks: String,
}

/// One file. It may hold secrets.
pub struct Source {
    /// As the person named it.
    pub name: Arc<str>,
    /// All of it.
    pub text: String,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Credentials that a person has at hand.
#[derive(Clone, Debug, Default)]
pub struct Local {
    /// Value of a client secret, from a file that a flag names: it is meant even where there is another.
    pub client_secret: Option<Secret>,
    /// Value of a client secret, from the environment: only for who has no other.
    pub ambient_secret: Option<Secret>,
    /// Certificate and private key, both in PEM.
    pub certificate: Option<(Secret, Secret)>,
    /// Token of a ServiceAccount, for the one tenant that needs one.
    pub federated_token: Option<Secret>,
    /// Tokens of ServiceAccounts, each for one tenant.
    pub federated_tokens: BTreeMap<ObjectKey, Secret>,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Table,
    /// Objects.
    Json,
    /// Objects.
    Yaml,
}

/// Whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// When somebody sees them.
    Auto,
    /// Yes.
    Always,
    /// No.
    Never,
}

impl Settings {
    /// Validates `flags`; `secret` is what [`CLIENT_SECRET_VARIABLE`] holds.
    ///
    /// # Errors
    /// All problems together.
    pub fn new(flags: &Flags, secret: Option<String>) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let found = Self::collect(flags, secret, &mut problems);
        match found {
            Some(settings) if problems.is_empty() => Ok(settings),
            Some(_) | None => Err(Problems(problems)),
        }
    }

    fn collect(flags: &Flags, secret: Option<String>, problems: &mut Vec<String>) -> Option<Self> {
        let mut check = Check { problems };
        let sources = sources(&mut check, &flags.filename);
        let namespace = namespace(&mut check, &flags.namespace);
        let federated_tokens = tokens(&mut check, flags);
        let local = Local {
            federated_tokens,
            ..local(&mut check, flags, secret)
        };
        let endpoints = check.endpoints(&flags.reach);
        let trusted_roots = check.ca_file(&flags.reach);
        let timeout = timeout(&mut check, &flags.timeout);
        let output = output(&mut check, &flags.output);
        let color = color(&mut check, &flags.color);
        let redirect = set(flags.consent_redirect_uri.as_ref())
            .and_then(|text| check.url("--consent-redirect-uri", text));
        let runbooks = check.url("--runbook-url", &flags.runbook_url);
        Some(Self {
            sources,
            namespace: namespace?,
            local,
            writes: if flags.write_test {
                Writes::Allowed
            } else {
                Writes::Refused
            },
            allowed_endpoints: AllowedEndpoints::new(&endpoints, Microsoft::Allowed),
            trusted_roots,
            timeout: timeout?,
            output: output?,
            color: color?,
            redirect,
            runbooks: runbooks?.as_str().trim_end_matches('/').to_owned(),
        })
    }
}

fn sources(check: &mut Check<'_>, names: &[String]) -> Vec<Source> {
    if names.is_empty() {
        check.note("--filename is missing: name the files to check, such as -f tenant.yaml");
    }
    if names.iter().filter(|name| *name == "-").count() > 1 {
        check.note("--filename - is given twice: standard input can be read once");
        return Vec::new();
    }
    let read = |name: &String| {
        match name.as_str() {
            "-" => Some((
                "standard input",
                text_of(check, "--filename -", std::io::stdin())?,
            )),
            name => Some((name, file(check, "--filename", name)?)),
        }
        .map(|(name, text)| Source {
            name: name.into(),
            text,
        })
    };
    names.iter().filter_map(read).collect()
}

fn file(check: &mut Check<'_>, flag: &str, name: &str) -> Option<String> {
    if name.starts_with("https://") || name.starts_with("http://") {
        return check.problem(format!(
            "{flag} {name} is a URL: fetch it first, and name the file"
        ));
    }
    let path = Path::new(name);
    if path.is_dir() {
        return check.problem(format!(
            "{flag} {name} is a folder: name the files in it, each with a flag of its own"
        ));
    }
    match std::fs::File::open(path) {
        Ok(opened) => text_of(check, &format!("{flag} {name}"), opened),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => check.problem(format!(
            "{flag} {name} is not there: correct the name, which counts from the folder that you are in"
        )),
        Err(error) => check.problem(format!(
            "{flag} {name} cannot be read ({error}): give whoever runs this the right to read it"
        )),
    }
}

fn text_of(check: &mut Check<'_>, what: &str, reader: impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    if let Err(error) = reader.take(LONGEST_FILE + 1).read_to_end(&mut bytes) {
        return check.problem(format!("{what} cannot be read ({error})"));
    }
    if bytes.len() as u64 > LONGEST_FILE {
        return check.problem(format!("{what} is longer than 16 MiB: split it"));
    }
    let is_wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    if is_wide || bytes.contains(&0) {
        return check.problem(format!(
            "{what} looks like UTF-16, as Windows PowerShell writes it with >: save it as UTF-8, such as with Out-File -Encoding utf8"
        ));
    }
    // What is in it is not told: it may be a secret.
    match String::from_utf8(bytes) {
        // The mark that some editors put before UTF-8 is no part of the text.
        Ok(text) => Some(match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        }),
        Err(_) => check.problem(format!(
            "{what} is no text in UTF-8: save it as UTF-8, or name another file"
        )),
    }
}

fn namespace(check: &mut Check<'_>, text: &str) -> Option<Arc<str>> {
    if is_label(text) {
        return Some(text.into());
    }
    check.problem(format!(
        "--namespace {text:?} is not a namespace name: use lower-case letters, digits and hyphens, at most 63"
    ))
}

fn local(check: &mut Check<'_>, flags: &Flags, variable: Option<String>) -> Local {
    let mut read = |flag: &str, name: Option<&String>| {
        set(name).and_then(|name| file(check, flag, name).map(Secret::new))
    };
    let from_file = read("--client-secret-file", flags.client_secret_file.as_ref());
    let certificate = read("--certificate", flags.certificate.as_ref());
    let key = read("--key", flags.key.as_ref());
    let federated_token = read(
        "--federated-token-file",
        flags.federated_token_file.as_ref(),
    );
    let given = |name: &Option<String>| set(name.as_ref()).is_some();
    if given(&flags.certificate) != given(&flags.key) {
        check.note("--certificate and --key go together: give both or neither");
    }
    let ambient = variable.filter(|text| !text.trim().is_empty());
    Local {
        client_secret: from_file,
        ambient_secret: ambient.map(Secret::new),
        certificate: certificate.zip(key),
        federated_token: federated_token.as_ref().map(trimmed),
        federated_tokens: BTreeMap::new(),
    }
}

/// Each `[NAMESPACE/]TENANT=FILE`.
fn tokens(check: &mut Check<'_>, flags: &Flags) -> BTreeMap<ObjectKey, Secret> {
    let mut found = BTreeMap::new();
    for text in &flags.federated_token {
        let named = text.split_once('=').and_then(|(tenant, name)| {
            let (namespace, tenant) = tenant.split_once('/').unwrap_or((&flags.namespace, tenant));
            let sound = is_label(namespace) && is_subdomain(tenant) && !name.is_empty();
            sound.then(|| (ObjectKey::new(namespace, tenant), name))
        });
        let Some((tenant, name)) = named else {
            // What it is instead is not told: it may be a token.
            check.note(
                "--federated-token is not TENANT=FILE: name a CalendarTenant and a file, such as calendars/contoso=token",
            );
            continue;
        };
        let flag = format!("--federated-token {tenant}:");
        if let Some(token) = file(check, &flag, name)
            && found.insert(tenant, trimmed(&Secret::new(token))).is_some()
        {
            check.note(&format!("{flag} is given twice: take one of the two out"));
        }
    }
    found
}

fn trimmed(token: &Secret) -> Secret {
    Secret::new(token.expose().trim().to_owned())
}

fn timeout(check: &mut Check<'_>, text: &str) -> Option<Duration> {
    match go_duration::parse(text.trim()) {
        Ok(timeout) if timeout > Duration::ZERO && timeout <= LONGEST_TIMEOUT => Some(timeout),
        Ok(_) | Err(_) => check.problem(format!(
            "--timeout {text:?} is not a duration such as 30s or 5m, at most 1h"
        )),
    }
}

fn output(check: &mut Check<'_>, text: &str) -> Option<Output> {
    match text.trim() {
        "table" => Some(Output::Table),
        "json" => Some(Output::Json),
        "yaml" => Some(Output::Yaml),
        _ => check.problem(format!(
            "--output {text:?} is not known: use table, json or yaml"
        )),
    }
}

fn color(check: &mut Check<'_>, text: &str) -> Option<Color> {
    match text.trim() {
        "auto" => Some(Color::Auto),
        "always" => Some(Color::Always),
        "never" => Some(Color::Never),
        _ => check.problem(format!(
            "--color {text:?} is not known: use auto, always or never"
        )),
    }
}

#[cfg(test)]
mod tests;
