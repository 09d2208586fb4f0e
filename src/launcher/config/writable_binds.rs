//! Writable binds: host paths that a handler may write.

use super::ConfigError;
use super::options::Options;
use super::passed_fds::{How, Item, PassedFds};
use super::rootfs_plan::source;
use super::service::c_string;
use super::subvolume;
use super::targets;
use super::trust::{self, Trusted, TrustedFile};
use super::values::{ValueError, fields};
use crate::privilege::Privilege;
use nix::unistd::{Group, User};
use sandbox::plan::identity::Identity;
use sandbox::plan::rootfs;
use sandbox::plan::rootfs::WritableBind;
use serde::Deserialize;
use std::path::Path;
use std::str::FromStr;
use sys::Errno;

/// `SRC[:DST][:OWNER[:GROUP]]`. DST begins with `/`, OWNER does not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct WritableBindSpec {
    pub(crate) source: String,
    pub(crate) target: String,
    owner: Option<String>,
    group: Option<String>,
}

impl FromStr for WritableBindSpec {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<WritableBindSpec, ValueError> {
        let wrong = || {
            ValueError(format!(
                "invalid bind '{text}': use SRC, SRC:DST, SRC:OWNER or SRC:DST:OWNER, with \\: for a colon in a path"
            ))
        };
        let mut fields = fields(text).into_iter().peekable();
        let source = fields.next().filter(|source| !source.is_empty()).ok_or_else(wrong)?;
        let target = fields.next_if(|field| field.starts_with('/')).unwrap_or_else(|| source.clone());
        let (owner, group) = (fields.next(), fields.next());
        let empty = |name: &Option<String>| name.as_ref().is_some_and(String::is_empty);
        if fields.next().is_some() || empty(&owner) || empty(&group) {
            return Err(wrong());
        }
        let target = targets::normal_below_root(&target)?;
        Ok(WritableBindSpec { source, target, owner, group })
    }
}

impl TryFrom<String> for WritableBindSpec {
    type Error = ValueError;

    fn try_from(text: String) -> Result<WritableBindSpec, ValueError> {
        text.parse()
    }
}

/// Sources are content, as those of --bind-ro. The last of a target wins.
pub(super) fn writable_binds(
    options: &Options,
    privilege: Privilege,
) -> Result<Vec<WritableBind>, ConfigError> {
    let mut binds: Vec<WritableBind> = Vec::new();
    for spec in options.bind.iter().flatten() {
        let path = Path::new(&spec.source);
        let file = trust::host_root()
            .and_then(|root| trust::walk(root, path, Trusted::for_content()))
            .map_err(|error| ConfigError::sandbox(format!("cannot bind {}: {error}", path.display())))?;
        let kind = file.stat.st_mode & libc::S_IFMT;
        if kind != libc::S_IFDIR && kind != libc::S_IFREG {
            return Err(ConfigError::usage(format!(
                "--bind {}: it is neither a directory nor a file",
                spec.source
            )));
        }
        let owner = owner(spec, &file, privilege)?;
        let target = c_string(spec.target.as_bytes(), "--bind")?;
        binds.retain(|known| known.target != target);
        binds.push(WritableBind { source: source(&file.path, &file.fd)?, target, owner });
    }
    Ok(binds)
}

/// The owner of writes on the host: OWNER, or else the owner of the source. Never uid or gid 0.
fn owner(spec: &WritableBindSpec, file: &TrustedFile, privilege: Privilege) -> Result<Identity, ConfigError> {
    let shown = &spec.source;
    let own = Identity { uid: file.stat.st_uid, gid: file.stat.st_gid };
    let mut owner = spec.owner.as_deref().map_or(Ok(own), |name| user(name, own))?;
    if let Some(name) = &spec.group {
        owner.gid = group(name)?;
    }
    if owner.uid == 0 {
        let whose = if spec.owner.is_some() { "OWNER is" } else { "it belongs to" };
        return Err(ConfigError::usage(format!(
            "--bind {shown}: {whose} root, and handlers never write as root: run chown USER:GROUP on it; --bind of dayfly \
             run and of service files also takes SRC:DST:OWNER:GROUP"
        )));
    }
    if owner.gid == 0 {
        return Err(ConfigError::usage(format!(
            "--bind {shown}: handlers never write as the group root: run chgrp GROUP on it; --bind of dayfly run \
             and of service files also takes SRC:DST:OWNER:GROUP"
        )));
    }
    if privilege == Privilege::Rootless && owner.uid != nix::unistd::geteuid().as_raw() {
        return Err(ConfigError::usage(format!(
            "--bind {shown}: without root, handlers can write only as the user who started the launcher"
        )));
    }
    Ok(owner)
}

/// A name or a number. The group is that of the source if OWNER owns it, else the account's group, else the
/// same number. (The group is not arbitrary, because the kernel denies writes to a file whose group is not in
/// the map.)
fn user(name: &str, own: Identity) -> Result<Identity, ConfigError> {
    let number: Option<u32> = name.parse().ok();
    let account = match number {
        Some(uid) => User::from_uid(uid.into()),
        None => User::from_name(name),
    };
    let account = account.map_err(|errno| cannot_look_up("user", name, errno))?;
    match (account, number) {
        (Some(account), _) if account.uid.as_raw() == own.uid => Ok(own),
        (None, Some(uid)) if uid == own.uid => Ok(own),
        (Some(account), _) => Ok(Identity { uid: account.uid.as_raw(), gid: account.gid.as_raw() }),
        (None, Some(uid)) if uid != u32::MAX => Ok(Identity { uid, gid: uid }),
        (None, _) => Err(ConfigError::usage(format!("--bind: unknown user '{name}'"))),
    }
}

fn group(name: &str) -> Result<u32, ConfigError> {
    if let Some(number) = name.parse().ok().filter(|gid| *gid != u32::MAX) {
        return Ok(number);
    }
    match Group::from_name(name).map_err(|errno| cannot_look_up("group", name, errno))? {
        Some(group) => Ok(group.gid.as_raw()),
        None => Err(ConfigError::usage(format!("--bind: unknown group '{name}'"))),
    }
}

/// The host's fault, not a wrong option.
fn cannot_look_up(what: &str, name: &str, errno: Errno) -> ConfigError {
    ConfigError::sandbox(format!("--bind: cannot look up the {what} '{name}': {errno}"))
}

/// Remarks for start and `check` on paths that outlive the sandbox.
pub(super) fn remarks(rootfs: &rootfs::Plan, passed_fds: &PassedFds) -> Vec<String> {
    let of = |bind: &WritableBind| {
        let (path, owner) = (bind.source.path.to_string_lossy(), bind.owner);
        format!(
            "handlers can write to {path} as {}:{}; it stays, and its size is not limited",
            owner.uid, owner.gid
        )
    };
    let open = |(number, item): (i32, &Item)| {
        let path = item.path().display();
        match item.how {
            How::Read | How::Kept => None,
            How::Append => Some(format!(
                "handlers can append to {path}; it stays, and its size is not limited; chattr +a protects its present content"
            )),
            How::Connect => Some(format!(
                "handlers talk to {path} on descriptor {number}, which sees the launcher's credentials"
            )),
        }
    };
    let binds = rootfs.writable.iter().map(of);
    subvolume::remark(rootfs).into_iter().chain(binds).chain(passed_fds.items().filter_map(open)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Result<(String, String, Option<String>, Option<String>), ValueError> {
        let spec: WritableBindSpec = text.parse()?;
        Ok((spec.source, spec.target, spec.owner, spec.group))
    }

    #[test]
    fn a_writable_bind_tells_a_path_from_an_owner() {
        let some = |text: &str| Some(text.to_owned());
        let path = |text: &str| text.to_owned();
        assert_eq!(spec("/a"), Ok((path("/a"), path("/a"), None, None)));
        assert_eq!(spec("/a:/b"), Ok((path("/a"), path("/b"), None, None)));
        assert_eq!(spec("/a:games"), Ok((path("/a"), path("/a"), some("games"), None)));
        assert_eq!(spec("/a\\:b:/c:7:8"), Ok((path("/a:b"), path("/c"), some("7"), some("8"))));
        for wrong in ["", ":/b", "/a:", "/a:/b:", "/a:/b:1:", "/a:/b:1:2:3", "a"] {
            assert!(spec(wrong).is_err(), "{wrong}");
        }
    }
}
