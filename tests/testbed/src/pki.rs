//! The certificates and keys of one control plane, made anew each time it starts.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SanType,
};

use crate::error::{Attempt, Error};

/// Writes `ca.crt`, `ca.key`, `apiserver.crt`, `apiserver.key`, `admin.crt`, `admin.key` and `service-account.key`.
pub(crate) fn write(folder: &Path) -> Result<(), Error> {
    let ca = authority().map_err(refused)?;
    let serving = serving(&ca.issuer, GOOD).map_err(refused)?;
    let admin = admin(&ca.issuer).map_err(refused)?;
    // Real clusters sign ServiceAccount tokens with RS256, and Entra accepts nothing else.
    let signer = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(refused)?;
    for (name, pem) in [
        ("ca.crt", ca.certificate),
        ("ca.key", ca.key),
        ("apiserver.crt", serving.certificate),
        ("apiserver.key", serving.key),
        ("admin.crt", admin.certificate),
        ("admin.key", admin.key),
        ("service-account.key", signer.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), pem).attempt(format!("write {name}"))?;
    }
    Ok(())
}

/// Certificates are good until the beginning of this year.
pub(crate) const GOOD: i32 = 2099;

/// Writes `apiserver.crt` and `apiserver.key` anew, good until the beginning of a year.
pub(crate) fn write_serving(folder: &Path, until: i32) -> Result<(), Error> {
    let key = folder.join("ca.key");
    let key = std::fs::read_to_string(&key).attempt(format!("read {}", key.display()))?;
    let key = KeyPair::from_pem(&key).map_err(refused)?;
    let serving = serving(&Issuer::new(authority_of(), key), until).map_err(refused)?;
    for (name, pem) in [
        ("apiserver.crt", serving.certificate),
        ("apiserver.key", serving.key),
    ] {
        std::fs::write(folder.join(name), pem).attempt(format!("write {name}"))?;
    }
    Ok(())
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    key: String,
}

struct Leaf {
    certificate: String,
    key: String,
}

fn authority() -> Result<Authority, rcgen::Error> {
    let key = KeyPair::generate()?;
    let params = authority_of();
    Ok(Authority {
        certificate: params.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
        issuer: Issuer::new(params, key),
    })
}

fn authority_of() -> CertificateParams {
    let mut params = named("testbed");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

fn serving(issuer: &Issuer<'_, KeyPair>, until: i32) -> Result<Leaf, rcgen::Error> {
    let mut params = named("kube-apiserver");
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    params.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::DnsName("kubernetes.default.svc".try_into()?),
        SanType::IpAddress([127, 0, 0, 1].into()),
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    signed(&params, issuer)
}

fn admin(issuer: &Issuer<'_, KeyPair>) -> Result<Leaf, rcgen::Error> {
    let mut params = named("admin");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "system:masters");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    signed(&params, issuer)
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

fn signed(params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<Leaf, rcgen::Error> {
    let key = KeyPair::generate()?;
    Ok(Leaf {
        certificate: params.signed_by(&key, issuer)?.pem(),
        key: key.serialize_pem(),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: rcgen::Error) -> Error {
    Error::Document {
        what: "the control plane's certificates".to_owned(),
        message: error.to_string(),
    }
}
