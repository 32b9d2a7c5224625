//! TLS on the main listener, by rustls. The certificate is loaded again when its files change: connections that are open
//! keep theirs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use zeroize::Zeroizing;

use crate::files;
use crate::settings::TlsSettings;

/// Most bytes of a file: far more than a chain of certificates has.
const MAX_LEN: u64 = 1024 * 1024;
/// How often the files are looked at.
const FOLLOW: Duration = Duration::from_secs(5);
/// TLS 1.3 and 1.2 (RFC 9325, section 3.1.1).
const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// Why there is no certificate to serve.
#[derive(Debug, thiserror::Error)]
pub enum NoCertificate {
    /// A file cannot be read.
    #[error("{key}: {}: {error}", path.display())]
    Unreadable {
        /// The setting.
        key: &'static str,
        /// Its file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file holds something else.
    #[error("{key}: {}: there is no PEM {what} in it", path.display())]
    NotThere {
        /// The setting.
        key: &'static str,
        /// Its file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// The two do not belong together, or are of no use.
    #[error("http.tls.key_file: with the certificate of http.tls.certificate_file: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The certificate that is served, as its files have it.
pub(super) struct Certificate {
    files: TlsSettings,
    current: ArcSwap<Loaded>,
}

struct Loaded {
    key: Arc<CertifiedKey>,
    /// Of both files' contents.
    digest: Vec<u8>,
}

impl Certificate {
    /// Loads it.
    ///
    /// # Errors
    /// Why it cannot be served.
    pub(super) fn load(files: &TlsSettings) -> Result<Arc<Self>, NoCertificate> {
        let current = ArcSwap::from_pointee(load(files)?);
        Ok(Arc::new(Self { files: files.clone(), current }))
    }

    /// What a listener needs.
    ///
    /// # Errors
    /// If the cryptographic library does not offer what TLS needs.
    pub(super) fn config(self: &Arc<Self>) -> Result<ServerConfig, NoCertificate> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&VERSIONS)?
            .with_no_client_auth();
        let mut config = builder.with_cert_resolver(self.clone());
        // Who comes back need not be signed for.
        config.ticketer = Ticketer::new()?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Loads it again now and then, if its files have changed.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut told = String::new();
        loop {
            tokio::time::sleep(FOLLOW).await;
            let this = self.clone();
            let looked = tokio::task::spawn_blocking(move || this.look()).await;
            let problem = match looked {
                Ok(Ok(changed)) => {
                    if changed {
                        tracing::info!(
                            event = "certificate_loaded",
                            "the certificate has changed and is served from now on"
                        );
                    }
                    String::new()
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            if !problem.is_empty() && problem != told {
                // One of the two may not be written yet.
                tracing::warn!(
                    event = "certificate_not_loaded",
                    error = problem,
                    "the certificate has changed and is of no use; going on with the one before"
                );
            }
            told = problem;
        }
    }

    /// Loads it if its files have changed, and says whether they have.
    fn look(&self) -> Result<bool, NoCertificate> {
        let found = load(&self.files)?;
        let changed = found.digest != self.current.load().digest;
        if changed {
            self.current.store(Arc::new(found));
        }
        Ok(changed)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().key.clone())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

fn load(files: &TlsSettings) -> Result<Loaded, NoCertificate> {
    let (at_certificate, at_key) = ("http.tls.certificate_file", "http.tls.key_file");
    let certificate = read(at_certificate, &files.certificate_file)?;
    let key = read(at_key, &files.key_file)?;
    let not_there = |key, path: &Path, what| NoCertificate::NotThere { key, path: path.to_owned(), what };
    let no_certificate = || not_there(at_certificate, &files.certificate_file, "certificate");
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(no_certificate)?;
    let private =
        PrivateKeyDer::from_pem_slice(&key).map_err(|_| not_there(at_key, &files.key_file, "private key"))?;
    let mut digest = digest::Context::new(&digest::SHA256);
    digest.update(&certificate);
    digest.update(&key);
    let key = CertifiedKey::from_der(chain, private, &default_provider())?;
    Ok(Loaded { key: Arc::new(key), digest: digest.finish().as_ref().to_vec() })
}

fn read(key: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, NoCertificate> {
    let unreadable = |error| NoCertificate::Unreadable { key, path: path.to_owned(), error };
    files::read(path, MAX_LEN).map_err(unreadable)
}
