//! A certificate authority of the emulator's own, so that clients can be configured for HTTPS.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Some of the files are there: writing the others would make a pair that does not fit.
    #[error(
        "{path} is missing beside other TLS files; add it, or remove the others so that all three are made"
    )]
    Incomplete {
        /// The missing file.
        path: PathBuf,
    },
    /// A certificate could not be made.
    #[error("the certificate was not made: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// The files of a TLS directory, as text in PEM.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl TlsFiles {
    /// Reads `ca.crt`, `tls.crt` and `tls.key`, or makes them if there are none.
    pub(crate) fn load_or_make(directory: &Path) -> Result<Self, TlsError> {
        let paths = ["ca.crt", "tls.crt", "tls.key"].map(|name| directory.join(name));
        if paths.iter().all(|path| path.is_file()) {
            let [authority, certificate, key] = paths;
            return Ok(Self {
                authority: read(&authority)?,
                certificate: read(&certificate)?,
                key: read(&key)?,
            });
        }
        if paths.iter().any(|path| path.exists()) {
            let mut missing = paths.into_iter().filter(|path| !path.is_file());
            let path = missing.next().unwrap_or_default();
            return Err(TlsError::Incomplete { path });
        }
        let made = Self::make()?;
        let wrong = |source| TlsError::File {
            path: directory.to_owned(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(wrong)?;
        let [authority, certificate, key] = paths;
        write(&authority, &made.authority, 0o644)?;
        write(&certificate, &made.certificate, 0o644)?;
        write(&key, &made.key, 0o600)?;
        Ok(made)
    }

    fn make() -> Result<Self, TlsError> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let name = "graph-emulator authority";
        authority.distinguished_name.push(DnType::CommonName, name);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let mut server = CertificateParams::new(vec!["localhost".to_owned()])?;
        server.subject_alt_names.extend([
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ]);
        server
            .distinguished_name
            .push(DnType::CommonName, "localhost");
        server.use_authority_key_identifier_extension = true;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = server.signed_by(&key, &authority)?;
        Ok(Self {
            authority: authority.pem(),
            certificate: format!("{}{}", certificate.pem(), authority.pem()),
            key: key.serialize_pem(),
        })
    }
}

fn read(path: &Path) -> Result<String, TlsError> {
    std::fs::read_to_string(path).map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(mode);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })
}
