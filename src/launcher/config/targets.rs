//! Where things are mounted in the sandbox: one form of each path, and no mount that hides another.

use super::ConfigError;
use super::options::Options;
use super::values::ValueError;
use sandbox::child::devices;
use sandbox::operand::Mount;
use sandbox::plan::rootfs;
use sandbox::plan::rootfs::Bind;
use std::ffi::CStr;

/// The one form of a path in the sandbox, so that equal places are equal as text. `..` has none: what it
/// leads to depends on the template's links.
pub(super) fn normal(path: &str) -> Result<String, ValueError> {
    let wrong = |why: &str| Err(ValueError(format!("invalid path '{path}' in the sandbox: {why}")));
    if !path.starts_with('/') {
        return wrong("it must begin with /");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !["", "."].contains(part)).collect();
    if parts.contains(&"..") {
        return wrong("it must not have ..");
    }
    Ok(format!("/{}", parts.join("/")))
}

/// A normal path, for mounts that cannot be at the root itself.
pub(super) fn normal_below_root(path: &str) -> Result<String, ValueError> {
    match normal(path)? {
        root if root == "/" => Err(ValueError(format!("'{path}' is the root itself: name a path below it"))),
        below => Ok(below),
    }
}

/// Both in their one form.
pub(crate) fn is_at_or_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Refuses a mount that would hide an earlier one.
pub(super) fn check(options: &Options, plan: &rootfs::Plan) -> Result<(), ConfigError> {
    let mounts = in_order(options, plan);
    let devices = plan.dev.then(|| devices::DEV.to_string_lossy());
    let in_devices =
        |path: &str| devices.as_ref().is_some_and(|dev| path != dev && is_at_or_below(path, dev));
    let shared_memory = devices::SHARED_MEMORY.1.to_string_lossy();
    let lost = mounts.iter().rev().find(|(_, path)| in_devices(path) && *path != shared_memory);
    if let Some((option, path)) = lost {
        return Err(ConfigError::usage(format!(
            "{option} at {path}: the profile has a /dev of its own over the template's; {shared_memory} alone can be mounted on"
        )));
    }
    for (index, (later, over)) in mounts.iter().enumerate() {
        let hidden = mounts.iter().take(index).find(|(_, path)| is_at_or_below(path, over));
        if let Some((earlier, path)) = hidden {
            return Err(ConfigError::usage(format!(
                "{later} at {over} would hide {earlier} at {path}: use another path for one of them"
            )));
        }
    }
    Ok(())
}

/// The mounts below the root in the order of [`rootfs::enter`], with their options.
fn in_order(options: &Options, plan: &rootfs::Plan) -> Vec<(&'static str, String)> {
    let given =
        |path: &CStr| options.tmpfs.iter().flatten().any(|spec| spec.target.as_bytes() == path.to_bytes());
    let option = |mount: Mount| match mount {
        Mount::Bind(number) => plan.binds.get(usize::from(number)).map_or("--bind-ro", Bind::option),
        Mount::Dev => "the profile's devices",
        Mount::Writable(_) => "--bind",
        Mount::Proc => "--proc",
        Mount::Tmpfs(_) if given(plan.target(mount)) => "--tmpfs",
        Mount::Tmpfs(_) => "the default tmpfs",
        Mount::Credentials => "--credential",
    };
    let text = |mount| plan.target(mount).to_string_lossy().into_owned();
    plan.mounts().map(|mount| (option(mount), text(mount))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_places_have_one_form() {
        for written in ["/data", "/data/", "//data", "/./data", "/data/.", "/data//./"] {
            assert_eq!(normal(written), Ok("/data".to_owned()), "{written}");
        }
        assert_eq!(normal("/"), Ok("/".to_owned()));
        assert_eq!(normal("/a..b/...//c"), Ok("/a..b/.../c".to_owned()));
        for wrong in ["", "data", "./data", "/..", "/data/../data", "/data/.."] {
            assert!(normal(wrong).is_err(), "{wrong}");
        }
        for root in ["/", "//", "/."] {
            assert!(normal_below_root(root).is_err(), "{root}");
        }
    }

    #[test]
    fn a_name_that_only_begins_alike_is_another_place() {
        assert!(is_at_or_below("/data", "/data") && is_at_or_below("/data/x", "/data"));
        assert!(!is_at_or_below("/database", "/data") && !is_at_or_below("/data", "/data/x"));
    }
}
