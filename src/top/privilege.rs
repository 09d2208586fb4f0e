//! Gives up what is not needed, where it is root: it keeps what connecting to supervisors of other users
//! needs, and, with a screen, what killing needs.

/// linux/capability.h
const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_KILL: u32 = 5;

pub(crate) fn drop_most(may_kill: bool) -> Result<(), String> {
    let failed = |errno: sys::Errno| format!("cannot give up privileges: {errno}");
    sys::privilege::set_no_new_privs().map_err(failed)?;
    let kill = if may_kill { 1 << CAP_KILL } else { 0 };
    sys::privilege::keep_capabilities(1 << CAP_DAC_OVERRIDE | kill).map_err(failed)
}

/// Two files stay open for each sandbox.
pub(crate) fn raise_file_limit() {
    if let Ok((_, hard)) = sys::privilege::limit(nix::libc::RLIMIT_NOFILE as _) {
        let _as_it_is = sys::privilege::set_limit(nix::libc::RLIMIT_NOFILE as _, hard, hard);
    }
}
