//! Certificates of a receiver that serves TLS itself.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// An authority of its own with a certificate for this machine, as the two files of a Secret.
pub(crate) struct Certificates {
    pub(crate) authority: String,
    certificate: String,
    key: String,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        Self::until(2099)
    }

    /// One that is out of date.
    pub(crate) fn expired() -> Self {
        Self::until(2020)
    }

    fn until(year: i32) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        leaf.not_before = rcgen::date_time_ymd(2019, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(year, 1, 1);
        Self {
            authority,
            certificate: leaf.signed_by(&key, &issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn write(&self, dir: &Path) {
        std::fs::write(dir.join("tls.crt"), &self.certificate).unwrap();
        std::fs::write(dir.join("tls.key"), &self.key).unwrap();
    }

    /// Whether a server shows a certificate of this authority.
    pub(crate) async fn are_shown_by(&self, url: &str) -> bool {
        let authority = reqwest::Certificate::from_pem(self.authority.as_bytes()).unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority]);
        client.build().unwrap().get(url).send().await.is_ok()
    }
}
