//! Certificates and keys as Secrets have them. Reading them ends and tells nothing of what is in them; a key that is
//! read signs what its certificate verifies.

use std::cell::RefCell;
use std::collections::BTreeSet;

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fuzz::Target;
use serde_json::Value;
use sha2::{Digest, Sha256};
use x509_parser::parse_x509_certificate;

use crate::graph::assertion;
use crate::graph::credential::{CertificateCredential, CertificateError};
use crate::graph::tests::stand_in::START;
use crate::plain::Causes;

const WORDS: &[&str] = &[
    "-----BEGIN CERTIFICATE-----\n",
    "-----END CERTIFICATE-----\n",
    "-----BEGIN PRIVATE KEY-----\n",
    "-----END PRIVATE KEY-----\n",
    "-----BEGIN RSA PRIVATE KEY-----\n",
    "-----END RSA PRIVATE KEY-----\n",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
    "-----BEGIN ",
    "-----",
    "Proc-Type: 4,ENCRYPTED\n",
    "subject=CN = calendars\n",
    "\r",
    "====",
];

/// What becomes of a certificate and a key.
const ENDS: [&str; 6] = [
    "Malformed",
    "Mismatch",
    "NoCertificate",
    "NoKey",
    "NotRsa",
    "Signs",
];

/// What may be said of an error: this sentence and nothing else, whatever the certificate and the key are.
fn refused(error: &CertificateError) -> &'static str {
    let (end, name, sentence) = match error {
        CertificateError::NoCertificate => (
            "NoCertificate",
            "NoCertificate",
            "there is no PEM certificate",
        ),
        CertificateError::MalformedCertificate => (
            "Malformed",
            "MalformedCertificate",
            "the certificate is no valid X.509 certificate",
        ),
        CertificateError::NoKey => (
            "NoKey",
            "NoKey",
            "there is no PEM private key (PKCS#8 or PKCS#1, not encrypted)",
        ),
        CertificateError::NotRsa => (
            "NotRsa",
            "NotRsa",
            "the private key is no RSA key of at least 2048 bits, which Entra requires",
        ),
        CertificateError::Mismatch => (
            "Mismatch",
            "Mismatch",
            "the private key does not belong to the certificate",
        ),
    };
    assert_eq!(Causes(error).to_string(), sentence);
    assert_eq!(format!("{error:?}"), name);
    end
}

/// The contents of all certificates in a file, however they are written.
fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(pem);
    let blocks = text.split("-----BEGIN CERTIFICATE").skip(1);
    let contents = blocks.filter_map(|block| {
        let (_, rest) = block.split_once('\n')?;
        let (base64, _) = rest.split_once("-----END ")?;
        let base64: String = base64.split_whitespace().collect();
        STANDARD.decode(base64).ok()
    });
    contents.collect()
}

/// Signs, and verifies that with the certificate to which the assertion points.
fn signs(credential: &CertificateCredential, pem: &[u8]) {
    let now = START.parse().unwrap();
    let signed = assertion::sign(credential, "client", "https://login.example/", now);
    let signed = signed.expect("a key that is read can sign");
    let (message, signature) = signed.expose().rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    let thumbprint = header["x5t#S256"].as_str().unwrap();
    let is_named = |der: &Vec<u8>| URL_SAFE_NO_PAD.encode(Sha256::digest(der)) == thumbprint;
    let der = certificates(pem).into_iter().find(is_named);
    let der = der.expect("the assertion points to a certificate of the Secret");
    let (_, x509) = parse_x509_certificate(&der).unwrap();
    let key = &x509.public_key().subject_public_key.data;
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key)
        .verify(
            message.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
        .expect("the certificate verifies what its key signs");
    assert_eq!(
        credential.not_after().as_second(),
        x509.validity().not_after.timestamp()
    );
    let shown = format!("{credential:?}");
    let end = credential.not_after();
    assert_eq!(
        shown,
        format!("CertificateCredential {{ not_after: {end:?}, .. }}")
    );
}

fn read(cert: &[u8], key: &[u8]) -> &'static str {
    match CertificateCredential::from_pem(cert, key) {
        Ok(credential) => {
            signs(&credential, cert);
            "Signs"
        }
        Err(error) => refused(&error),
    }
}

/// An example is the certificate, an empty line, and the key.
fn parts(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.windows(2).position(|pair| pair == b"\n\n");
    let end = end.unwrap_or(input.len());
    (&input[..end], &input[end..])
}

#[test]
fn a_certificate_with_its_key_signs_or_is_refused_with_nothing_of_it_told() {
    let ends = RefCell::new(BTreeSet::new());
    Target::new("certificates").words(WORDS).run(|input| {
        let (cert, key) = parts(input);
        // Some have both in one file.
        let both = [read(cert, key), read(input, input)];
        ends.borrow_mut().extend(both);
    });
    let ends = ends.into_inner();
    assert!(ends.into_iter().eq(ENDS), "an end that no example leads to");
}

#[test]
fn whatever_a_pem_block_contains_it_signs_or_is_refused_with_nothing_of_it_told() {
    let pair = include_bytes!("../../../../tests/fuzz/corpus/certificates/pair");
    let (cert, key) = parts(pair);
    let block = |label: &str, contents: &[u8]| {
        let text = STANDARD.encode(contents);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n").into_bytes()
    };
    let ends = RefCell::new(BTreeSet::new());
    // Each is signed with several times.
    let target = Target::new("certificate-contents").cases(200);
    target.run(|input| {
        let mut ends = ends.borrow_mut();
        ends.insert(read(&block("CERTIFICATE", input), key));
        ends.insert(read(cert, &block("PRIVATE KEY", input)));
        ends.insert(read(cert, &block("RSA PRIVATE KEY", input)));
        let behind = [block("ATTRIBUTES", input), key.to_vec()].concat();
        assert_eq!(read(cert, &behind), "Signs");
    });
    let ends = ends.into_inner();
    let without_pem = ["NoCertificate", "NoKey"];
    let expected = ENDS.into_iter().filter(|end| !without_pem.contains(end));
    assert!(
        ends.into_iter().eq(expected),
        "an end that no example leads to"
    );
}
