//! TLS of a service: its files, and the two services beside it that end TLS and that hold the key.

use super::ConfigError;
use super::options::Options;
use super::service::ServiceId;
use super::trust::{self, Trusted};
use super::values::Span;
use std::path::{Path, PathBuf};
use std::time::Duration;

const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// The files of a service that speaks TLS, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Every client must have a certificate of one of these.
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) crl: Option<PathBuf>,
}

/// TLS of a service.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) files: Files,
    pub(crate) handshake_time: Option<Duration>,
    /// None where nothing is served, as for `check`.
    pub(crate) companions: Option<Companions>,
}

/// The services beside one that speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Companions {
    pub(crate) relay: ServiceId,
    pub(crate) signer: ServiceId,
}

/// The purpose of a service's sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Role {
    /// The operator's settings.
    #[default]
    Handler,
    /// Each ends the TLS of one connection of this service.
    Relay(ServiceId),
    /// One of them has the key of this service's certificate.
    Signer(ServiceId),
}

impl Tls {
    /// Of these options, with their files checked; None: the service speaks no TLS.
    pub(crate) fn of(options: &Options) -> Result<Option<Tls>, ConfigError> {
        let Some(files) = files(options)? else { return Ok(None) };
        let others = [&Some(files.certificate.clone()), &files.client_ca, &files.crl];
        for (option, path) in ["--tls-certificate", "--tls-client-ca", "--tls-crl"].into_iter().zip(others) {
            path.as_ref().map(|path| look(option, path)).transpose()?;
        }
        let key = &files.key;
        if look("--tls-key", key)? & libc::S_IROTH != 0 {
            let key = key.display();
            return Err(ConfigError::usage(format!(
                "--tls-key: everybody can read {key}: take that away with 'chmod o-r {key}'"
            )));
        }
        let handshake_time = options.tls_handshake_time.unwrap_or(Span(Some(HANDSHAKE_TIME))).0;
        Ok(Some(Tls { files, handshake_time, companions: None }))
    }
}

/// Which of the options are there.
fn files(options: &Options) -> Result<Option<Files>, ConfigError> {
    let (certificate, key) = match (&options.tls_certificate, &options.tls_key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        (Some(_), None) => return Err(ConfigError::usage("--tls-certificate needs --tls-key FILE")),
        (None, Some(_)) => return Err(ConfigError::usage("--tls-key needs --tls-certificate FILE")),
        (None, None) => {
            let given = [
                ("--tls-client-ca", options.tls_client_ca.is_some()),
                ("--tls-crl", options.tls_crl.is_some()),
                ("--tls-handshake-time", options.tls_handshake_time.is_some()),
            ];
            let given = given.iter().find_map(|(option, given)| given.then_some(option));
            return match given {
                Some(option) => {
                    let needs = "needs --tls-certificate FILE and --tls-key FILE";
                    Err(ConfigError::usage(format!("{option} {needs}")))
                }
                None => Ok(None),
            };
        }
    };
    if options.tls_crl.is_some() && options.tls_client_ca.is_none() {
        return Err(ConfigError::usage(
            "--tls-crl needs --tls-client-ca FILE: without it, no client is asked for a certificate",
        ));
    }
    Ok(Some(Files {
        certificate,
        key,
        client_ca: options.tls_client_ca.clone(),
        crl: options.tls_crl.clone(),
    }))
}

/// The mode of a regular file at a path that nobody else can change.
fn look(option: &str, path: &Path) -> Result<u32, ConfigError> {
    let file = trust::host_root()
        .and_then(|root| trust::walk(root, path, Trusted::for_caller()))
        .map_err(|error| ConfigError::sandbox(format!("{option}: cannot use {}: {error}", path.display())))?;
    if file.stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(ConfigError::usage(format!("{option}: {} is not a regular file", path.display())));
    }
    Ok(file.stat.st_mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files_of(given: &[&str]) -> Result<Option<Files>, String> {
        let mut options = Options::default();
        for name in given {
            let path = Some(PathBuf::from("/x"));
            match *name {
                "certificate" => options.tls_certificate = path,
                "key" => options.tls_key = path,
                "client-ca" => options.tls_client_ca = path,
                "crl" => options.tls_crl = path,
                _ => options.tls_handshake_time = Some(Span(None)),
            }
        }
        files(&options).map_err(|error| error.message)
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        assert_eq!(files_of(&[]), Ok(None));
        assert!(files_of(&["certificate", "key"]).unwrap().is_some());
        assert!(files_of(&["certificate", "key", "client-ca", "crl", "time"]).unwrap().is_some());
        for (given, says) in [
            (&["certificate"][..], "--tls-certificate needs --tls-key"),
            (&["key"], "--tls-key needs --tls-certificate"),
            (&["client-ca"], "--tls-client-ca needs --tls-certificate"),
            (&["crl"], "--tls-crl needs --tls-certificate"),
            (&["time"], "--tls-handshake-time needs --tls-certificate"),
            (&["certificate", "key", "crl"], "--tls-crl needs --tls-client-ca"),
        ] {
            let error = files_of(given).unwrap_err();
            assert!(error.starts_with(says), "{given:?}: {error}");
        }
    }
}
