//! The certificate that the settings ask for: given, or made, with its authority written where asked.

#[cfg(feature = "tls")]
use std::path::Path;

#[cfg(feature = "tls")]
use kinesis_emulator::Tls;

use super::options::{Options, TlsMode};

impl Options {
    fn tls_mode(&self) -> Result<TlsMode, String> {
        let mode = self.tls.unwrap_or(TlsMode::Off);
        let files = [
            &self.tls_ca_file,
            &self.tls_ca_key_file,
            &self.tls_cert,
            &self.tls_key,
        ];
        let is_asked = files.iter().any(|file| file.is_some()) || !self.tls_name.is_empty();
        if mode == TlsMode::Off && is_asked {
            return Err("something is set for TLS, but TLS is off; add --tls".to_owned());
        }
        Ok(mode)
    }

    /// TLS as the settings have it; nothing if it is off.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(&self) -> Result<Option<Tls>, String> {
        let mode = self.tls_mode()?;
        if mode == TlsMode::Off {
            return Ok(None);
        }
        let wrong = |error: &dyn std::fmt::Display| format!("there is no TLS: {error}");
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                let is_made = self.tls_ca_file.is_some() || self.tls_ca_key_file.is_some();
                if is_made || !self.tls_name.is_empty() {
                    let text = "tls-cert is your own certificate, and tls-ca-file, \
                                tls-ca-key-file and tls-name are about one made here";
                    return Err(wrong(&text));
                }
                Tls::from_pem(&read(certificate)?, &read(key)?)
            }
            (None, None) => match &self.tls_ca_key_file {
                Some(path) => Tls::kept(path, &self.tls_name),
                None => Tls::self_made(&self.tls_name),
            },
            (Some(_), None) | (None, Some(_)) => {
                return Err(wrong(&"tls-cert and tls-key belong together"));
            }
        };
        let tls = tls.map_err(|error| wrong(&error))?;
        if let (Some(path), Some(authority)) = (&self.tls_ca_file, tls.authority()) {
            std::fs::write(path, authority)
                .map_err(|error| wrong(&format!("{}: {error}", path.display())))?;
        }
        Ok(Some(match mode {
            TlsMode::Both => tls.and_plain(),
            TlsMode::On | TlsMode::Off => tls,
        }))
    }

    /// Refuses TLS, which is not built in.
    #[cfg(not(feature = "tls"))]
    pub(crate) fn tls(&self) -> Result<Option<std::convert::Infallible>, String> {
        match self.tls_mode()? {
            TlsMode::Off => Ok(None),
            TlsMode::On | TlsMode::Both => Err("TLS is not built in".to_owned()),
        }
    }
}

#[cfg(feature = "tls")]
fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("there is no TLS: {}: {error}", path.display()))
}
