//! TLS: with a certificate of one's own, or with one that a certificate authority of the emulator's
//! own making has signed. Keys stay in memory unless a file for them is named.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::Clock;

/// What some clients allow a certificate to live; the authority itself lives as long as it may.
const LEAF_DAYS: u64 = 397;
const AUTHORITY_DAYS: u64 = 3650;
const DAY: Duration = Duration::from_secs(86_400);

/// Certificates for a [`crate::Listener`].
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    authority: Option<Arc<str>>,
    takes_plain: bool,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableTls {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A certificate or a key is not what it should be.
    #[error("{0}")]
    Material(String),
}

impl Tls {
    /// A new authority, and a certificate by it for this machine and `names`, which are host names or
    /// addresses. Neither key leaves the process.
    ///
    /// # Errors
    /// If a name cannot stand in a certificate.
    pub fn self_made(names: &[String]) -> Result<Self, UnusableTls> {
        let key = KeyPair::generate().map_err(unusable("the authority's key"))?;
        Self::by_authority(key, names)
    }

    /// As [`Self::self_made`], but the authority is the one whose key lies in `path`. If there is none
    /// it is made, so that the next start finds it, and who trusts the authority goes on doing so.
    ///
    /// # Errors
    /// If the file cannot be read or written, or holds no key.
    pub fn kept(path: &Path, names: &[String]) -> Result<Self, UnusableTls> {
        let at = |source| UnusableTls::File {
            path: path.to_owned(),
            source,
        };
        let key = match std::fs::read_to_string(path) {
            Ok(text) => KeyPair::from_pem(&text).map_err(unusable(path.display()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate().map_err(unusable("the authority's key"))?;
                write_secret(path, &key.serialize_pem()).map_err(at)?;
                key
            }
            Err(error) => return Err(at(error)),
        };
        Self::by_authority(key, names)
    }

    /// A certificate with its chain, and its key, both in PEM.
    ///
    /// # Errors
    /// If they are not that, or do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, UnusableTls> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.map_err(unusable("the certificate"))?;
        if chain.is_empty() {
            let text = "the certificate: there is none in the file".to_owned();
            return Err(UnusableTls::Material(text));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(unusable("the certificate's key"))?;
        Self::with(chain, key)
    }

    fn by_authority(key: KeyPair, names: &[String]) -> Result<Self, UnusableTls> {
        // The machine's time and not the service's: clients check certificates by theirs.
        let now = Clock::system().now();
        let lives = |params: &mut CertificateParams, days: u64| {
            params.not_before = (now - DAY).into();
            params.not_after = (now + DAY * u32::try_from(days).unwrap_or(u32::MAX)).into();
        };
        let mut authority = CertificateParams::default();
        lives(&mut authority, AUTHORITY_DAYS);
        authority.distinguished_name = named("kinesis-emulator local authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = authority
            .self_signed(&key)
            .map_err(unusable("the authority's certificate"))?;
        let issuer = Issuer::new(authority, key);
        let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        all.push("::1".to_owned());
        all.extend(host_name());
        all.extend(names.iter().cloned());
        let mut leaf = CertificateParams::new(all).map_err(unusable("the certificate's names"))?;
        lives(&mut leaf, LEAF_DAYS);
        leaf.distinguished_name = named("kinesis-emulator");
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let leaf_key = KeyPair::generate().map_err(unusable("the certificate's key"))?;
        let leaf = leaf
            .signed_by(&leaf_key, &issuer)
            .map_err(unusable("the certificate"))?;
        let key = PrivateKeyDer::try_from(leaf_key.serialize_der());
        let key = key.map_err(unusable("the certificate's key"))?;
        let mut tls = Self::with(vec![leaf.der().clone()], key)?;
        tls.authority = Some(certificate.pem().into());
        Ok(tls)
    }

    fn with(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, UnusableTls> {
        // Named, as a process may have other providers in it.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(unusable("the certificate and its key"))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authority: None,
            takes_plain: false,
        })
    }

    /// Also serves who speaks plain HTTP on the same port. Off by default.
    #[must_use]
    pub fn and_plain(mut self) -> Self {
        self.takes_plain = true;
        self
    }

    /// The authority's certificate in PEM, which clients have to trust; nothing if the certificate is
    /// one's own.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    pub(super) fn takes_plain(&self) -> bool {
        self.takes_plain
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takes_plain = self.takes_plain;
        write!(f, "Tls {{ takes_plain: {takes_plain} }}")
    }
}

fn unusable<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> UnusableTls {
    move |error| UnusableTls::Material(format!("{what}: {error}"))
}

fn named(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

/// The machine's name, where it can stand in a certificate.
fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let fits = (1..=253).contains(&name.len()) && name.bytes().all(is_plain);
    fits.then_some(name)
}

/// Readable for its owner alone, and never over a file that is there.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_authority_is_the_same_after_a_restart() {
        let name = format!("kinesis-emulator-{:x}.key", fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        let first = Tls::kept(&path, &[]).unwrap();
        let key = std::fs::read_to_string(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777,
            0o600
        );
        Tls::kept(&path, &["a.test".to_owned()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), key);
        assert!(first.authority().unwrap().contains("BEGIN CERTIFICATE"));
        std::fs::write(&path, "no key").unwrap();
        let refused = Tls::kept(&path, &[]).unwrap_err().to_string();
        assert!(refused.contains(path.to_str().unwrap()), "{refused}");
        std::fs::remove_file(path).unwrap();
        let refused = Tls::kept(Path::new("/nowhere/at/all"), &[]).unwrap_err();
        assert!(refused.to_string().contains("/nowhere/at/all"));
    }

    #[test]
    fn a_certificate_and_its_key_have_to_belong_together() {
        let pair = || {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let ((certificate, key), (_, other)) = (pair(), pair());
        let tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(tls.authority(), None);
        assert!(Tls::from_pem(certificate.as_bytes(), other.as_bytes()).is_err());
        for (certificate, key) in [("", key.as_str()), (certificate.as_str(), "")] {
            assert!(Tls::from_pem(certificate.as_bytes(), key.as_bytes()).is_err());
        }
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused() {
        assert!(Tls::self_made(&["ümlaut.test".to_owned()]).is_err());
        assert!(Tls::self_made(&["10.1.2.3".to_owned(), "a.test".to_owned()]).is_ok());
    }
}
