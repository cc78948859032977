//! Where objects and credentials come from, and what is said of files that are wrong.

use graph_emulator::{Emulator, Options};
use hybrid_calendar_operator::check::manifests;
use hybrid_calendar_operator::check::objects::Objects;
use hybrid_calendar_operator::config::check::Source;
use jsonwebtoken::EncodingKey;
use rcgen::CertificateParams;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::program::{Files, check, ended, organization, start};
use crate::api::{self, Case};
use crate::behaviour::scene::{SECRET, good, room, tenant, with, world};
use crate::graph::credentials::{ISSUER, account_token, jwks, rsa};
use crate::merge_patch::merged;
use crate::repository::read;

/// The cases that the API server is tried with, as files.
fn cases(file: &str) -> Vec<(Case, Source)> {
    let bases: Value = serde_yaml_ng::from_str(&read("tests/it/manifests/bases.yaml")).unwrap();
    let source = |case: Case| {
        let object = merged(bases[&case.kind].clone(), case.change.clone());
        let source = Source {
            name: "case.yaml".into(),
            text: object.to_string(),
        };
        (case, source)
    };
    api::cases(file).into_iter().map(source).collect()
}

/// What a reader says against a file.
fn complaints(source: Source) -> Result<Objects, String> {
    let now = "2026-11-24T08:00:00Z".parse().unwrap();
    manifests::read(&[source], &"default".into(), now).map_err(|problems| problems.to_string())
}

#[test]
fn what_the_api_server_refuses_is_refused_with_the_same_words() {
    let mut wrong = Vec::new();
    for (case, source) in cases("refused") {
        match complaints(source) {
            Ok(_) => wrong.push(format!("{}: was accepted", case.title)),
            Err(told) => {
                for part in case.says.iter().filter(|part| !told.contains(*part)) {
                    wrong.push(format!("{}: no `{part}` in: {told}", case.title));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Whether every field of `part` is in `whole`.
fn contains(whole: &Value, part: &Value) -> bool {
    match part.as_object() {
        Some(fields) => fields
            .iter()
            .all(|(name, part)| contains(&whole[name], part)),
        None => whole == part,
    }
}

#[test]
fn what_the_api_server_accepts_is_accepted_with_the_same_defaults() {
    let mut wrong = Vec::new();
    for (case, source) in cases("accepted") {
        match complaints(source) {
            Ok(objects) => {
                let tenants = objects
                    .tenants
                    .iter()
                    .map(|t| json!({"spec": t.record.spec}));
                let mailboxes = objects
                    .mailboxes
                    .iter()
                    .map(|m| json!({"spec": m.record.spec}));
                let object = tenants.chain(mailboxes).next().unwrap();
                if !contains(&object["spec"], &case.becomes["spec"]) && !case.becomes.is_null() {
                    wrong.push(format!("{}: became {object}", case.title));
                }
            }
            Err(told) => wrong.push(format!("{}: {told}", case.title)),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn everything_that_is_wrong_with_files_is_told_at_once_and_nobody_is_asked() {
    let emulator = start(&organization()).await;
    let mut objects = good();
    objects[1]["spec"]["domins"] = json!("contoso.example");
    objects.push(room("lost", "room-b@contoso.example"));
    objects[3]["spec"]["tenantRef"]["name"] = json!("fabrikam");
    objects[2]["spec"]["address"] = json!("room-a");
    let checked = check(&emulator, &objects, &[]).await;
    assert_eq!(checked.code, Some(2), "{checked:?}");
    for part in [
        "nothing was checked, 2 problems in the files",
        "objects.yaml:3 (document 2, CalendarTenant contoso): unknown field \"spec.domins\": did you mean domains?",
        "objects.yaml:5 (document 3, WorkspaceMailbox room-a): spec.address must be exactly one e-mail address",
    ] {
        assert!(checked.err.contains(part), "no `{part}` in {}", checked.err);
    }
    assert_eq!(checked.out, "");
    assert!(!checked.err.contains(SECRET));
    assert!(emulator.journal(0).is_empty());

    let mut objects = good();
    objects[2]["spec"]["tenantRef"]["name"] = json!("fabrikam");
    let checked = check(&emulator, &objects, &[]).await;
    assert_eq!(checked.code, Some(2), "{checked:?}");
    let told = "names CalendarTenant default/fabrikam, which is in none of the files";
    assert!(checked.err.contains(told), "{}", checked.err);
}

#[tokio::test]
async fn flags_that_are_wrong_are_told_at_once() {
    let files = Files::of(&good(), "http://127.0.0.1:1");
    let checked = files
        .check(&[
            "-f",
            "nowhere.yaml",
            "--output",
            "wide",
            "--timeout",
            "never",
        ])
        .await;
    assert_eq!(checked.code, Some(2), "{checked:?}");
    for part in [
        "3 problems",
        "nowhere.yaml is not there",
        "--output \"wide\"",
        "--timeout",
    ] {
        assert!(checked.err.contains(part), "no `{part}` in {}", checked.err);
    }
}

#[tokio::test]
async fn files_come_from_standard_input_too_and_a_secret_from_the_environment() {
    let emulator = start(&organization()).await;
    let address = emulator.base_url();
    let files = Files::of(&good()[1..2], &address);
    let mut command = files.command(&["-f", "-", "--allowed-endpoint", &address, "-o", "yaml"]);
    command.env("HYBRID_CALENDAR_CLIENT_SECRET", SECRET);
    command.stdin(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let room = good()[2].to_string();
    stdin.write_all(room.as_bytes()).await.unwrap();
    drop(stdin);
    let checked = ended(child).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let list: Value = serde_yaml_ng::from_str(&checked.out).unwrap();
    assert_eq!(
        list["items"][1]["status"]["mailbox"]["displayName"],
        "Room A"
    );
    assert!(!checked.out.contains(SECRET));

    let files = Files::of(&good(), &address);
    let mut command = files.command(&["--allowed-endpoint", &address]);
    command.env("HYBRID_CALENDAR_CLIENT_SECRET", "set-for-something-else");
    let checked = ended(command.spawn().unwrap()).await;
    assert_eq!(checked.code, Some(0), "the file wins: {checked:?}");
}

/// `check` of a tenant with this credential, which is at hand.
async fn with_credential(
    emulator: &Emulator,
    credential: Value,
    files: &[(&str, &str)],
    arguments: &[&str],
) {
    let address = emulator.base_url();
    let mut tenant = tenant("contoso");
    tenant["spec"]["credential"] = credential;
    let folder = Files::of(&[tenant], &address);
    for (name, text) in files {
        folder.add(name, text);
    }
    let allowed = ["--allowed-endpoint", &address];
    let checked = folder.check(&[&allowed, arguments].concat()).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    for (_, text) in files {
        for line in text.lines().filter(|line| line.len() > 4) {
            let shown = checked.out.contains(line) || checked.err.contains(line);
            assert!(!shown, "{line} is in {checked:?}");
        }
    }
}

/// An organization that trusts a certificate and a ServiceAccount's token.
struct Federation {
    organization: Value,
    certificate: String,
    key: String,
    token: String,
}

fn federation() -> Federation {
    let key = rsa();
    let certificate = CertificateParams::new(Vec::new()).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let (cert, pem) = (certificate.pem(), key.serialize_pem());
    let subject = "system:serviceaccount:default:calendars";
    let encoding = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    let token = account_token(&encoding, subject);
    let federated = json!({
        "issuer": ISSUER, "subject": subject, "audience": "api://AzureADTokenExchange",
        "jwks": jwks(&certificate),
    });
    let known = json!({"certificates": [{"pem": cert}], "federated": [federated]});
    let mut organization = organization();
    let application = &mut organization["tenants"][0]["applications"][0];
    *application = with(application.take(), known);
    Federation {
        organization,
        certificate: cert,
        key: pem,
        token,
    }
}

#[tokio::test]
async fn every_kind_of_credential_can_be_at_hand() {
    let Federation {
        organization,
        certificate,
        key,
        token,
    } = federation();
    let emulator = start(&organization).await;
    with_credential(
        &emulator,
        json!({"certificate": {"secretRef": {"name": "nowhere"}}}),
        &[("tls.crt", &certificate), ("tls.key", &key)],
        &["--certificate", "tls.crt", "--key", "tls.key"],
    )
    .await;
    with_credential(
        &emulator,
        json!({"workloadIdentity": {"serviceAccountName": "calendars"}}),
        &[("token", &token)],
        &["--federated-token-file", "token"],
    )
    .await;
    with_credential(
        &emulator,
        json!({"clientSecret": {"secretRef": {"name": "nowhere"}}}),
        &[("value", &format!("{SECRET}\n"))],
        &["--client-secret-file", "value"],
    )
    .await;
}

#[tokio::test]
async fn a_credential_that_is_missing_or_could_mean_several_tenants_is_told() {
    let emulator = start(&organization()).await;
    let mut federated = tenant("contoso");
    federated["spec"]["credential"] =
        json!({"workloadIdentity": {"serviceAccountName": "calendars"}});
    let checked = check(&emulator, &[federated], &[]).await;
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(
        checked.err.contains("--federated-token-file"),
        "{}",
        checked.err
    );

    let other = json!({"spec": {"credential": {"clientSecret": {"secretRef": {"name": "other"}}}}});
    let others = [tenant("contoso"), with(tenant("fabrikam"), other)];
    let files = Files::of(&others, &emulator.base_url());
    files.add("value", SECRET);
    let allowed = emulator.base_url();
    let arguments = [
        "--client-secret-file",
        "value",
        "--allowed-endpoint",
        &allowed,
    ];
    let checked = files.check(&arguments).await;
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(
        checked
            .err
            .contains("could be for 2 Secrets: default/credential, default/other"),
        "{}",
        checked.err
    );
    assert!(!checked.err.contains(SECRET));

    // Two tenants that name one Secret mean one value.
    let files = Files::of(
        &[tenant("contoso"), tenant("fabrikam")],
        &emulator.base_url(),
    );
    files.add("value", SECRET);
    let checked = files.check(&arguments).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

#[tokio::test]
async fn a_token_is_shown_only_to_the_tenant_that_it_is_for() {
    let Federation {
        organization,
        token,
        ..
    } = federation();
    let emulator = start(&organization).await;
    let address = emulator.base_url();
    let federated = |name: &str| {
        let mut tenant = tenant(name);
        tenant["spec"]["credential"] =
            json!({"workloadIdentity": {"serviceAccountName": "calendars"}});
        tenant
    };
    let files = Files::of(&[federated("contoso"), federated("fabrikam")], &address);
    files.add("token", &token);
    files.add("other", "another");
    let allowed = ["--allowed-endpoint", &address, "-o", "json"];
    for (arguments, told) in [
        (
            &["--federated-token-file", "token"][..],
            "could be for 2 CalendarTenants, and each gets its own only: name every tenant with its file, such as --federated-token default/contoso=FILE",
        ),
        (
            &["--federated-token", "contoso=token"],
            "CalendarTenant fabrikam): spec.credential.workloadIdentity needs a token",
        ),
        (
            &["--federated-token", &token],
            "--federated-token is not TENANT=FILE",
        ),
    ] {
        let checked = files.check(&[&allowed, arguments].concat()).await;
        assert_eq!(checked.code, Some(2), "{checked:?}");
        assert!(checked.err.contains(told), "{checked:?}");
        assert!(!checked.err.contains(&token), "{checked:?}");
    }
    assert!(emulator.journal(0).is_empty());
    let each = [
        "--federated-token",
        "default/contoso=token",
        "--federated-token",
        "fabrikam=other",
    ];
    let checked = files.check(&[&allowed, &each[..]].concat()).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert_eq!(checked.state("contoso", "Unauthorized"), "False/Authorized");
    assert_eq!(checked.state("fabrikam", "Unauthorized"), "True/Rejected");
}

#[tokio::test]
async fn what_is_at_hand_for_nobody_is_told() {
    let emulator = start(&organization()).await;
    let address = emulator.base_url();
    let files = Files::of(&good()[..2], &address);
    files.add("value", "another");
    let checked = files
        .check(&[
            "--federated-token-file",
            "value",
            "--federated-token",
            "fabrikam=value",
            "--certificate",
            "value",
            "--key",
            "value",
            "--allowed-endpoint",
            &address,
        ])
        .await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    for told in [
        "--federated-token-file is not used",
        "--federated-token default/fabrikam is not used",
        "--certificate is not used",
    ] {
        assert!(checked.err.contains(told), "{checked:?}");
    }
}

#[tokio::test]
async fn a_certificate_authority_of_ones_own_is_trusted_when_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        tls_dir: Some(folder.path().to_owned()),
        ..Options::default()
    };
    let emulator = Emulator::start(world(&organization()), options)
        .await
        .unwrap();
    let files = Files::of(&good(), &emulator.base_url());
    let ca = files.add("ca.pem", &emulator.ca_pem().unwrap());
    let address = emulator.base_url();
    let checked = files
        .check(&["--allowed-endpoint", &address, "--ca-file", &ca])
        .await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

#[tokio::test]
async fn colours_are_used_when_somebody_asks_for_them() {
    let emulator = start(&organization()).await;
    let checked = check(&emulator, &good(), &["--color", "always"]).await;
    assert!(
        checked.out.contains("\u{1b}[32m✓\u{1b}[0m"),
        "{}",
        checked.out
    );
}
