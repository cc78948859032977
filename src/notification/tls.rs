//! The receiver's certificate: read from a directory, read again when it changes there.
//!
//! A pair that does not fit, as between the two writes of an update, changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::clock::sleep;

/// Why a directory holds no usable certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error("cannot find a {what} in PEM in {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What was found.
        #[source]
        source: pem::Error,
    },
    /// Certificate and key are unusable or do not belong together.
    #[error("the certificate and the key in {} cannot be used together", dir.display())]
    Pair {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
}

/// The two files of a `kubernetes.io/tls` Secret, as they are at one moment.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate in use that follows its files.
#[derive(Debug)]
pub struct Certificate {
    dir: PathBuf,
    files: Files,
    config: RustlsConfig,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files(…)")
    }
}

impl Certificate {
    /// Reads `tls.crt` and `tls.key` in `dir`.
    ///
    /// # Errors
    /// When they cannot be read or used.
    pub async fn load(dir: PathBuf) -> Result<Self, TlsError> {
        let files = Files::read(&dir).await?;
        let config = RustlsConfig::from_config(files.server_config(&dir)?);
        Ok(Self { dir, files, config })
    }

    /// What a server uses; it changes when the files do.
    #[must_use]
    pub fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Looks for new files forever. Each bad pair is logged once and then left alone.
    pub async fn follow(mut self, every: Duration) {
        let mut unreadable = false;
        loop {
            sleep(every).await;
            match Files::read(&self.dir).await {
                Ok(files) => {
                    unreadable = false;
                    self.adopt(files);
                }
                Err(error) if !unreadable => {
                    unreadable = true;
                    tracing::warn!(error = %error, "the receiver's certificate is kept: its files are unreadable");
                }
                Err(_) => {}
            }
        }
    }

    fn adopt(&mut self, files: Files) {
        if files == self.files {
            return;
        }
        match files.server_config(&self.dir) {
            Ok(config) => {
                self.config.reload_from_config(config);
                tracing::info!("the receiver uses a new certificate");
            }
            Err(error) => {
                tracing::warn!(error = %error, "the receiver's certificate is kept: the new one is unusable");
            }
        }
        self.files = files;
    }
}

impl Files {
    async fn read(dir: &Path) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read(certificate_in(dir)).await?,
            key: read(key_in(dir)).await?,
        })
    }

    fn server_config(&self, dir: &Path) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|chain| {
                if chain.is_empty() {
                    Err(pem::Error::NoItemsFound)
                } else {
                    Ok(chain)
                }
            })
            .map_err(|source| TlsError::Pem {
                path: certificate_in(dir),
                what: "certificate",
                source,
            })?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|source| TlsError::Pem {
            path: key_in(dir),
            what: "private key",
            source,
        })?;
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
                .map_err(|source| TlsError::Pair {
                    dir: dir.to_owned(),
                    source,
                })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificate_in(dir: &Path) -> PathBuf {
    dir.join("tls.crt")
}

fn key_in(dir: &Path) -> PathBuf {
    dir.join("tls.key")
}

async fn read(path: PathBuf) -> Result<Vec<u8>, TlsError> {
    match tokio::fs::read(&path).await {
        Ok(bytes) => Ok(bytes),
        Err(source) => Err(TlsError::Read { path, source }),
    }
}
