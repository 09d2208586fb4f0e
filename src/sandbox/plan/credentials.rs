//! Credentials, as data.

use super::rootfs::Bounds;
use std::ffi::{CStr, CString};
use std::fmt;

/// Where they are: the template has an empty directory there.
pub const DIRECTORY: &CStr = c"/run/credentials";

/// A file's content, which is never shown.
pub struct Content(pub Vec<u8>);

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

#[derive(Debug)]
pub struct Credential {
    /// Name of the file.
    pub name: CString,
    pub content: Content,
}

#[derive(Debug)]
pub struct Credentials {
    pub list: Vec<Credential>,
    /// Size and inodes that they need.
    pub bounds: Bounds,
}
