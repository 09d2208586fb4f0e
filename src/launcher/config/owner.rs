//! `--owner`: the owner whose template files appear as the handler's own, as numbers or as a user in the
//! template.

use super::trust::{self, Trusted, TrustedFile};
use super::values::ValueError;
use sandbox::plan::identity::Identity;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::str::FromStr;

/// `UID[:GID]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Owner(pub(crate) Identity);

impl FromStr for Owner {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Owner, ValueError> {
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        match (uid.parse(), gid.parse()) {
            // The last number means "no change" to the kernel.
            (Ok(uid), Ok(gid)) if uid != u32::MAX && gid != u32::MAX => Ok(Owner(Identity { uid, gid })),
            _ => Err(ValueError(format!("invalid owner '{text}': use UID or UID:GID"))),
        }
    }
}

impl TryFrom<String> for Owner {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Owner, ValueError> {
        text.parse()
    }
}

/// More than any list of users that is written by hand.
const PASSWD_MAX: u64 = 1 << 20;

/// A user of the tree's /etc/passwd, by name or number.
pub(crate) fn of_user(tree: &Path, user: &str) -> Result<Owner, String> {
    let why = |error: &dyn std::fmt::Display| format!("cannot look up {user} in {}: {error}", tree.display());
    let open = || -> Result<TrustedFile, trust::TrustError> {
        let tree = trust::walk(trust::host_root()?, tree, Trusted::for_caller())?;
        trust::walk(tree.fd, Path::new("/etc/passwd"), Trusted::for_caller())
    };
    let file = open().map_err(|error| why(&error))?;
    let mut text = String::new();
    File::open(format!("/proc/self/fd/{}", file.fd.as_raw_fd()))
        .and_then(|file| file.take(PASSWD_MAX).read_to_string(&mut text))
        .map_err(|error| why(&error))?;
    in_passwd(&text, user).ok_or_else(|| why(&"/etc/passwd has no such user"))
}

/// `NAME:PASSWORD:UID:GID:…` (passwd(5)); the first that has the name or the number.
fn in_passwd(text: &str, user: &str) -> Option<Owner> {
    text.lines().find_map(|line| match line.split(':').collect::<Vec<_>>().as_slice() {
        [name, _, uid, gid, ..] if *name == user || *uid == user => format!("{uid}:{gid}").parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_numbers() {
        assert_eq!("33".parse(), Ok(Owner(Identity { uid: 33, gid: 33 })));
        assert_eq!("33:34".parse(), Ok(Owner(Identity { uid: 33, gid: 34 })));
        for wrong in ["", "www", ":", "1:", "-1", "4294967295", "1:4294967295", "1:2:3"] {
            assert!(wrong.parse::<Owner>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_user_is_found_by_name_or_number() {
        let text = "root:x:0:0::/root:/bin/sh\nbroken\nmoon:x:1000:1001::/:/bin/sh\nother:x:y:z::/:\n";
        let moon = Some(Owner(Identity { uid: 1000, gid: 1001 }));
        assert_eq!(in_passwd(text, "moon"), moon);
        assert_eq!(in_passwd(text, "1000"), moon);
        assert_eq!(in_passwd(text, "root"), Some(Owner(Identity::ROOT)));
        for nobody in ["", "mo", "other", "1001"] {
            assert_eq!(in_passwd(text, nobody), None, "{nobody}");
        }
    }
}
