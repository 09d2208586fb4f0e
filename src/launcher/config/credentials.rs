//! Files that the launcher reads for a handler, at the start and at a reload.

use super::ConfigError;
use super::options::Options;
use super::rootfs_plan::bounds;
use super::service::c_string;
use super::trust::{self, Trusted};
use super::values::{ValueError, fields};
use sandbox::plan::credentials::{self, Content, Credential, Credentials};
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

/// Where a handler finds them.
pub(super) fn directory() -> String {
    credentials::DIRECTORY.to_string_lossy().into_owned()
}

/// `NAME:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct CredentialSpec {
    name: String,
    pub(crate) path: String,
}

impl FromStr for CredentialSpec {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<CredentialSpec, ValueError> {
        let [name, path] = &fields(text)[..] else {
            return Err(ValueError(format!("invalid credential '{text}': use NAME:PATH")));
        };
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        if name.is_empty() || name.len() > 255 || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(ValueError(format!("invalid credential name '{name}': use a plain file name")));
        }
        if path.is_empty() {
            return Err(ValueError(format!("'{text}' has no path: use NAME:PATH")));
        }
        Ok(CredentialSpec { name: name.clone(), path: path.clone() })
    }
}

impl TryFrom<String> for CredentialSpec {
    type Error = ValueError;

    fn try_from(text: String) -> Result<CredentialSpec, ValueError> {
        text.parse()
    }
}

/// Limit on all credentials together: they are in the memory of each sandbox.
const SIZE_MAX: usize = 1 << 20;
const PAGE: usize = 4096;

/// The last of a name wins.
pub(super) fn read(options: &Options) -> Result<Option<Credentials>, ConfigError> {
    let mut specs: Vec<&CredentialSpec> = Vec::new();
    for spec in options.credential.iter().flatten() {
        specs.retain(|known| known.name != spec.name);
        specs.push(spec);
    }
    let mut list = Vec::new();
    let mut room = SIZE_MAX;
    for spec in specs {
        let content = content(spec, room)?;
        room -= content.len();
        list.push(Credential {
            name: c_string(spec.name.as_str(), "--credential")?,
            content: Content(content),
        });
    }
    if list.is_empty() {
        return Ok(None);
    }
    let pages: usize = list.iter().map(|credential| credential.content.0.len().div_ceil(PAGE)).sum();
    // The directory is an inode too.
    let bounds = bounds((pages.max(1) * PAGE) as u64, list.len() as u64 + 1)?;
    Ok(Some(Credentials { list, bounds }))
}

fn content(spec: &CredentialSpec, room: usize) -> Result<Vec<u8>, ConfigError> {
    let (name, path) = (&spec.name, &spec.path);
    let failed = |why: String| ConfigError::sandbox(format!("cannot read the credential {name}: {why}"));
    let file = trust::host_root()
        .and_then(|root| trust::walk(root, Path::new(path), Trusted::for_caller()))
        .map_err(|error| failed(error.to_string()))?;
    if file.stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(ConfigError::usage(format!("--credential {name}: {path} is not a regular file")));
    }
    let mut content = Vec::new();
    File::open(&file.path)
        .and_then(|file| file.take(room as u64 + 1).read_to_end(&mut content))
        .map_err(|error| failed(format!("{path}: {error}")))?;
    if content.len() > room {
        return Err(ConfigError::usage(format!(
            "--credential {name}: all credentials together exceed 1 MiB"
        )));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_has_a_plain_name_and_a_path() {
        let spec: CredentialSpec = "key:/etc/key".parse().unwrap();
        assert_eq!((spec.name.as_str(), spec.path.as_str()), ("key", "/etc/key"));
        for wrong in ["", "key", "key:", ":/x", "a/b:/x", "..:/x", ".a:/x", "a:b:c"] {
            assert!(wrong.parse::<CredentialSpec>().is_err(), "{wrong}");
        }
    }
}
