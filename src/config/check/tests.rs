//! Flags and files in, sentences out.

use super::*;

fn flags() -> Flags {
    Flags {
        namespace: "default".to_owned(),
        timeout: "1m".to_owned(),
        output: "table".to_owned(),
        color: "auto".to_owned(),
        runbook_url: RUNBOOKS.to_owned(),
        ..Flags::default()
    }
}

fn problems(flags: &Flags) -> String {
    Settings::new(flags, None).unwrap_err().to_string()
}

#[test]
fn every_mistake_is_named_at_once() {
    let told = problems(&Flags {
        namespace: "No_Label".to_owned(),
        certificate: Some("/nowhere.pem".to_owned()),
        reach: Reach {
            allowed_endpoint: vec!["http://graph.example".to_owned()],
            ca_file: None,
        },
        timeout: "soon".to_owned(),
        output: "wide".to_owned(),
        color: "blue".to_owned(),
        consent_redirect_uri: Some("nowhere".to_owned()),
        ..flags()
    });
    for part in [
        "--filename is missing",
        "--namespace \"No_Label\"",
        "--certificate /nowhere.pem is not there",
        "--certificate and --key go together",
        "--allowed-endpoint http://graph.example",
        "--timeout \"soon\"",
        "--output \"wide\"",
        "--color \"blue\"",
        "--consent-redirect-uri is not a URL",
    ] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
}

#[test]
fn a_file_that_is_no_utf_8_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let told = problems(&Flags {
        filename: vec![
            at("wide.yaml", &wide("\u{feff}kind: x")),
            at("unmarked.yaml", &wide("kind: x")),
            at("latin.yaml", b"kind: \xe4"),
            "https://git.example/tenant.yaml".to_owned(),
            folder.path().to_str().unwrap().to_owned(),
        ],
        ..flags()
    });
    for part in [
        "wide.yaml looks like UTF-16",
        "unmarked.yaml looks like UTF-16",
        "latin.yaml is no text in UTF-8: save it as UTF-8",
        "https://git.example/tenant.yaml is a URL: fetch it first",
        "is a folder: name the files in it",
    ] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
    let marked = Flags {
        filename: vec![at("marked.yaml", "\u{feff}kind: x".as_bytes())],
        ..flags()
    };
    let settings = Settings::new(&marked, None).unwrap();
    assert_eq!(settings.sources[0].text, "kind: x");
}

#[test]
fn secrets_come_from_files_or_the_variable_and_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let given = Flags {
        filename: vec![at("tenant.yaml", "stringData: hunter2")],
        federated_token_file: Some(at("token", "hunter3\n")),
        ..flags()
    };
    let settings = Settings::new(&given, Some("hunter1".to_owned())).unwrap();
    let secret = settings.local.ambient_secret.as_ref().unwrap();
    assert_eq!(secret.expose(), "hunter1");
    assert!(settings.local.client_secret.is_none());
    let token = settings.local.federated_token.as_ref().unwrap();
    assert_eq!(token.expose(), "hunter3");
    assert!(!format!("{settings:?}").contains("hunter"));
    let by_file = Flags {
        client_secret_file: Some(at("secret", "hunter4")),
        ..given
    };
    let settings = Settings::new(&by_file, None).unwrap();
    let secret = settings.local.client_secret.unwrap();
    assert_eq!(secret.expose(), "hunter4");
}
