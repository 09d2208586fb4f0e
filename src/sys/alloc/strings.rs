//! Arguments and environments for exec.

use std::ffi::{CString, c_char};
use std::ptr;

/// A NULL-terminated array of C strings, for exec. Built once, before the clone: exec must not allocate.
#[derive(Debug)]
pub struct CStrings {
    /// The strings that the pointers point to.
    strings: Vec<CString>,
    pub(crate) pointers: Vec<*const c_char>,
}

impl CStrings {
    pub fn new(strings: Vec<CString>) -> CStrings {
        // The pointers stay good when the vector moves: they point to each string's own heap block.
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        CStrings { strings, pointers }
    }

    pub fn strings(&self) -> &[CString] {
        &self.strings
    }
}
