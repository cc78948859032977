//! What nothing that an operator says may contain: the secrets that tests used; and what no log line, Event or metric
//! may contain either: addresses of mailboxes.
//!
//! Secrets are kept in a file beside the operators' logs, so that a later test can search those for them. Addresses are
//! known by their look.

use std::collections::BTreeSet;

use graph_emulator::World;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::archive;
use crate::error::{Attempt, Error};
use crate::manifest;

/// The file of the archive: one secret a line.
pub const SECRETS: &str = "sensitive.txt";

/// How every JSON Web Token begins: `{"alg":` or `{"typ":`. That is what Entra issues, and what the API server issues
/// to a ServiceAccount.
pub const TOKENS: [&str; 2] = ["eyJhbGciOi", "eyJ0eXAiOi"];

/// Whatever is shorter may be a word that anybody uses.
const SHORTEST: usize = 12;

/// The value of a `kubernetes.io/tls` Secret that everybody may see.
const CERTIFICATE: &str = "tls.crt";

/// All client secrets of this world.
#[must_use]
pub fn secrets_of(world: &World) -> BTreeSet<String> {
    let applications = world.tenants.iter().flat_map(|tenant| &tenant.applications);
    applications
        .flat_map(|application| &application.secrets)
        .map(|secret| secret.value.clone())
        .collect()
}

/// All addresses of this world that are written out in it.
#[must_use]
pub fn addresses_of(world: &World) -> BTreeSet<String> {
    let mailboxes = world.tenants.iter().flat_map(|tenant| &tenant.mailboxes);
    mailboxes
        .flat_map(|mailbox| {
            let sign_in = mailbox.user_principal_name.clone();
            [mailbox.address.clone()]
                .into_iter()
                .chain(mailbox.aliases.clone())
                .chain(sign_in)
        })
        .collect()
}

/// What a Secret holds: text line by line, as a private key would show in a log, and every value as the API spells it.
#[must_use]
pub fn values_of(secret: &Secret) -> BTreeSet<String> {
    let texts = secret.string_data.iter().flatten();
    let texts = texts.map(|(key, text)| (key, ByteString(text.clone().into_bytes())));
    let data = secret.data.iter().flatten();
    let data = data.map(|(key, value)| (key, value.clone()));
    texts
        .chain(data)
        .filter(|(key, _)| *key != CERTIFICATE)
        .flat_map(|(_, value)| {
            let lines = String::from_utf8(value.0.clone()).unwrap_or_default();
            let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
            lines.into_iter().chain(std::iter::once(spelled(&value)))
        })
        .filter(|word| word.len() >= SHORTEST && !word.starts_with("-----"))
        .collect()
}

/// A value as the API spells it: in base64.
fn spelled(value: &ByteString) -> String {
    let spelled = serde_json::to_value(value).unwrap_or_default();
    spelled.as_str().unwrap_or_default().to_owned()
}

/// Whether a line names a mailbox. The addresses of all tests are in the domain that documentation uses, `.example`.
#[must_use]
pub fn names_an_address(line: &str) -> bool {
    let plain = line.replace("%40", "@");
    plain.split('@').skip(1).any(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-');
        let domain = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
        domain.to_ascii_lowercase().ends_with(".example")
    })
}

/// Writes down the secrets of a world.
pub fn remember_world(world: &World) -> Result<(), Error> {
    remember(secrets_of(world))
}

/// Writes down the values of the Secrets among these documents.
pub fn remember_manifests(yaml: &str) -> Result<(), Error> {
    let mut words = BTreeSet::new();
    for object in manifest::objects(yaml)? {
        if object
            .types
            .as_ref()
            .is_some_and(|types| types.kind == "Secret")
        {
            let secret = serde_json::to_value(object).and_then(serde_json::from_value);
            let secret: Secret = secret.map_err(|error| Error::Document {
                what: "a Secret".to_owned(),
                message: error.to_string(),
            })?;
            words.extend(values_of(&secret));
        }
    }
    remember(words)
}

/// Writes down the values of every Secret of a namespace, the operator's own keys among them.
pub async fn remember_namespace(client: &kube::Client, namespace: &str) -> Result<(), Error> {
    let secrets: kube::Api<Secret> = kube::Api::namespaced(client.clone(), namespace);
    let list = secrets
        .list(&kube::api::ListParams::default())
        .await
        .attempt(format!("list the Secrets of {namespace}"))?;
    remember(list.iter().flat_map(values_of))
}

/// Writes words down.
pub fn remember(words: impl IntoIterator<Item = String>) -> Result<(), Error> {
    let mut text = String::new();
    for word in words {
        text = text + &word + "\n";
    }
    archive::append(SECRETS, &text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_known_by_each_of_its_lines_and_in_base64_and_a_certificate_is_no_secret() {
        let secret = json!({
            "stringData": {
                "tls.crt": "-----BEGIN CERTIFICATE-----\nMIIBpublicpublic\n",
                "tls.key": "-----BEGIN KEY-----\nMIIEfirstline\nsecondline==\n",
            },
            "data": {"client-secret": "YS1jbGllbnQtc2VjcmV0", "key-1": "AAECAwQFBgcICQoLDP8="},
        });
        let secret: Secret = serde_json::from_value(secret).unwrap();
        let expected = [
            "AAECAwQFBgcICQoLDP8=",
            "LS0tLS1CRUdJTiBLRVktLS0tLQpNSUlFZmlyc3RsaW5lCnNlY29uZGxpbmU9PQo=",
            "MIIEfirstline",
            "YS1jbGllbnQtc2VjcmV0",
            "a-client-secret",
            "secondline==",
        ];
        assert_eq!(values_of(&secret), expected.map(str::to_owned).into());
    }

    #[test]
    fn an_address_is_known_by_its_look() {
        for line in [
            "room-a@contoso.example is gone",
            r#""path":"/users/Room%40Contoso.Example/calendar""#,
            "to o'hara@sub.contoso.example.",
        ] {
            assert!(names_an_address(line), "{line}");
        }
        for line in [
            "<address> is gone",
            "user@host",
            "at 12:00 @ contoso.example",
        ] {
            assert!(!names_an_address(line), "{line}");
        }
    }
}
