//! Descriptors that are passed to a handler beside its connection: files that the launcher opens and unix
//! sockets that it connects, as systemd's OpenFile= does (systemd.service(5)).
//!
//! Each sandbox gets new ones, opened by path at that time: no offset or flag is shared, and a rotated file
//! or a restarted daemon's socket is the new one. The path is checked each time as at the start.

use super::ConfigError;
use super::options::Options;
use super::service::c_string;
use super::trust::{self, TrustError, Trusted, TrustedFile};
use super::values::{ValueError, fields};
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::sys::stat::Mode;
use sandbox::child::exec::{HANDED_FD, HANDED_MAX};
use sandbox::operand::{Operand, place};
use sandbox::step::{AtStep, Failure, Step};
use serde::Deserialize;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use sys::{self, Errno};

/// How the path is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Read,
    Append,
    Connect,
    /// For reading, and always the file that was there at the start.
    Kept,
}

impl How {
    const ALL: [(&str, How); 3] = [("ro", How::Read), ("append", How::Append), ("connect", How::Connect)];

    pub(crate) fn word(self) -> &'static str {
        How::ALL.iter().find(|(_, how)| *how == self).map_or("", |(word, _)| word)
    }
}

/// `PATH:NAME:ro|append|connect`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct OpenSpec {
    pub(crate) path: String,
    name: String,
    pub(crate) how: How,
}

impl FromStr for OpenSpec {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<OpenSpec, ValueError> {
        let found = match fields(text).as_slice() {
            [path, name, how] if !path.is_empty() => {
                let how = How::ALL.iter().find(|(word, _)| word == how).map(|(_, how)| *how);
                how.map(|how| (path.clone(), name.clone(), how))
            }
            _ => None,
        };
        let Some((path, name, how)) = found else {
            return Err(ValueError(format!(
                "invalid value '{text}': use PATH:NAME:ro, PATH:NAME:append or PATH:NAME:connect"
            )));
        };
        // sd_listen_fds_with_names(3)
        if name.is_empty() || name.len() > 255 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ValueError(format!(
                "invalid descriptor name '{name}': use 1 to 255 ASCII characters without spaces and colons"
            )));
        }
        Ok(OpenSpec { path, name, how })
    }
}

impl OpenSpec {
    /// A file of the launcher's own choice: each sandbox gets the one that is there now.
    pub(crate) fn kept(path: &Path, name: &str) -> OpenSpec {
        OpenSpec { path: path.to_string_lossy().into_owned(), name: name.to_owned(), how: How::Kept }
    }
}

impl TryFrom<String> for OpenSpec {
    type Error = ValueError;

    fn try_from(text: String) -> Result<OpenSpec, ValueError> {
        text.parse()
    }
}

/// One descriptor, not opened yet.
#[derive(Debug)]
pub(crate) struct Item {
    path: PathBuf,
    name: String,
    pub(crate) how: How,
    /// Of [`How::Kept`]: the file.
    kept: Option<OwnedFd>,
}

/// Descriptors to pass to each sandbox of a service, in order.
#[derive(Debug)]
pub(crate) struct PassedFds {
    items: Vec<Item>,
    /// The host's root, which the supervisor of `serve` has left. None if nothing is passed.
    root: Option<OwnedFd>,
}

impl PassedFds {
    /// Opens everything once, so that what is wrong is known at the start. The last of a name wins.
    pub(super) fn new(options: &Options) -> Result<PassedFds, ConfigError> {
        let mut items: Vec<Item> = Vec::new();
        for OpenSpec { path, name, how } in options.open.iter().flatten().cloned() {
            items.retain(|known| known.name != name);
            items.push(Item { path: path.into(), name, how, kept: None });
        }
        if items.len() > HANDED_MAX {
            return Err(ConfigError::usage(format!("--open: at most {HANDED_MAX} descriptors")));
        }
        if items.is_empty() {
            return Ok(PassedFds { items, root: None });
        }
        let root = trust::host_root().map_err(|error| ConfigError::sandbox(error.to_string()))?;
        for item in &mut items {
            let shown = item.path.display();
            let file = item.find(&root).map_err(|error| {
                ConfigError::sandbox(format!("cannot open {shown} for the handler: {error}"))
            })?;
            item.check_kind(&file).map_err(|why| ConfigError::usage(format!("--open: {shown} is {why}")))?;
            item.kept = (item.how == How::Kept).then_some(file.fd);
        }
        Ok(PassedFds { items, root: Some(root) })
    }

    /// Opens the files and sockets for one sandbox.
    pub(crate) fn open(&self) -> Result<Vec<OwnedFd>, Failure> {
        let Some(root) = &self.root else { return Ok(Vec::new()) };
        let open = |(index, item): (usize, &Item)| {
            item.open(root).step_on(Step::Open, Operand::Passed(place(index)))
        };
        self.items.iter().enumerate().map(open).collect()
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = (i32, &Item)> {
        (HANDED_FD..).zip(&self.items)
    }

    /// The paths, for messages.
    pub(super) fn paths(&self) -> Result<Vec<CString>, ConfigError> {
        let path = |item: &Item| c_string(item.path.as_os_str().as_encoded_bytes(), "--open");
        self.items.iter().map(path).collect()
    }

    /// The variables that sd_listen_fds(3) reads. `pid` is the handler's, in its own pid namespace.
    pub(super) fn variables(&self, pid: u32) -> Vec<(&'static str, String)> {
        if self.items.is_empty() {
            return Vec::new();
        }
        let names: Vec<&str> = self.items.iter().map(|item| item.name.as_str()).collect();
        vec![
            ("LISTEN_FDS", names.len().to_string()),
            ("LISTEN_FDNAMES", names.join(":")),
            ("LISTEN_PID", pid.to_string()),
        ]
    }
}

impl Item {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A socket's directory is often its daemon's, which is who answers there anyway.
    fn find(&self, root: &OwnedFd) -> Result<TrustedFile, TrustError> {
        let trusted = match self.how {
            How::Read | How::Append => Trusted::for_file_of_anybody(),
            How::Kept => Trusted::for_caller(),
            How::Connect => Trusted::for_content(),
        };
        let root = root.try_clone().map_err(|error| TrustError::Failed {
            component: PathBuf::from("/"),
            errno: Errno::from_raw(error.raw_os_error().unwrap_or(0)),
        })?;
        trust::walk(root, &self.path, trusted)
    }

    fn check_kind(&self, file: &TrustedFile) -> Result<(), &'static str> {
        match (self.how, file.stat.st_mode & libc::S_IFMT) {
            (How::Read | How::Append | How::Kept, libc::S_IFREG) | (How::Connect, libc::S_IFSOCK) => Ok(()),
            (How::Read | How::Append | How::Kept, _) => Err("not a regular file"),
            (How::Connect, _) => Err("not a socket"),
        }
    }

    /// Above the numbers that a sandbox's own descriptors have.
    fn open(&self, root: &OwnedFd) -> Result<OwnedFd, Errno> {
        let file;
        let number = match &self.kept {
            Some(kept) => kept.as_raw_fd(),
            None => {
                file = self.find(root).map_err(|error| match error {
                    TrustError::Missing(_) => Errno::ENOENT,
                    TrustError::Unsafe { .. } => Errno::EPERM,
                    TrustError::Failed { errno, .. } => errno,
                })?;
                self.check_kind(&file).map_err(|_why| Errno::EINVAL)?;
                file.fd.as_raw_fd()
            }
        };
        // The path leads to the descriptor that was checked: no path is resolved a second time.
        let found = format!("/proc/self/fd/{number}");
        let opened = match self.how {
            How::Read | How::Kept => opened(&found, OFlag::O_RDONLY),
            How::Append => opened(&found, OFlag::O_WRONLY | OFlag::O_APPEND),
            How::Connect => connected(&found),
        };
        // EAGAIN here means that others use the file. Elsewhere in a launch it means a shortage of the
        // machine.
        let opened = opened.map_err(|errno| if errno == Errno::EAGAIN { Errno::EBUSY } else { errno })?;
        sys::dup_above(opened.as_fd(), HIGH)
    }
}

/// Above the handler's own descriptor, the highest that a sandbox uses.
const HIGH: i32 = sandbox::child::exec::EXEC_FD + 1;

/// Opens a file without waiting for its owner to give up a lease on it (fcntl(2), F_SETLEASE), for which the
/// kernel would give 45 s.
fn opened(path: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let file = open(path, flags, Mode::empty())?;
    sys::set_blocking(file.as_fd())?;
    Ok(file)
}

/// A stream, sequenced packets or datagrams, as the peer has it. Without waiting for a peer whose queue is
/// full.
fn connected(path: &str) -> Result<OwnedFd, Errno> {
    let address = UnixAddr::new(path)?;
    for kind in [SockType::Stream, SockType::SeqPacket, SockType::Datagram] {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, kind, flags, None)?;
        match connect(socket.as_raw_fd(), &address) {
            Ok(()) => {
                sys::set_blocking(socket.as_fd())?;
                return Ok(socket);
            }
            Err(Errno::EPROTOTYPE) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EPROTOTYPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_has_a_path_a_name_and_a_way() {
        let spec: OpenSpec = "/a\\:b:key:ro".parse().unwrap();
        assert_eq!((spec.path.as_str(), spec.name.as_str(), spec.how), ("/a:b", "key", How::Read));
        for wrong in ["", "/a", "/a:n", "/a:n:rw", ":n:ro", "/a::ro", "/a:a b:ro", "/a:n:ro:x"] {
            assert!(wrong.parse::<OpenSpec>().is_err(), "{wrong}");
        }
    }
}
