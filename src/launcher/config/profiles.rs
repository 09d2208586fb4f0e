//! `--profile NAME or FILE`: a built-in one, one of /etc/dayfly/profiles, or any file that is the operator's.

use super::options::Options;
use super::{ConfigError, names_in, read_trusted};
use sandbox::plan::profile::{self, Loaded};
use seccomp::abi::Files;
use seccomp::guard;
use seccomp::profile::model::{Action, Entry, Profile};
use seccomp::profile::parse;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use sys::names;

const PROFILES: &str = "/etc/dayfly/profiles";
/// Profiles of the package, for runtimes; relative to the directory above that of the launcher's own file.
const PACKAGED: &str = "share/dayfly/profiles";

/// Built-in names come first: no file can take one's place.
pub(super) fn load(given: Option<&str>) -> Result<Loaded, ConfigError> {
    let given = given.unwrap_or(profile::DEFAULT);
    if let Some(built_in) = profile::built_in(given) {
        return Ok(Loaded::BuiltIn(built_in));
    }
    let path = path(given, Path::new("/")).ok_or_else(|| unknown(given))?;
    let by_name = !given.contains('/');
    if by_name && !path.exists() {
        return Err(unknown(given));
    }
    let shown = path.display().to_string();
    let text =
        read_trusted(&path).map_err(|why| ConfigError::usage(format!("the profile {shown}: {why}")))?;
    let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut include = |name: &str| included(name, &directory);
    let profile = parse::parse(&shown, &text, names::NATIVE, &mut include)
        .map_err(|error| ConfigError::usage(error.to_string()))?;
    Ok(without_mistakes(given.to_owned(), profile))
}

/// If both filters deny a call, the profile's is heard, and there is a record. So it does not allow what
/// the guard denies.
fn without_mistakes(name: String, mut profile: Profile) -> Loaded {
    let denied: BTreeSet<_> = guard::denied().map(|(name, _)| name).collect();
    let is_mistaken = |entry: &Entry| entry.action == Action::Allow && denied.contains(entry.name);
    let mistaken: BTreeSet<_> =
        profile.entries.iter().filter(|entry| is_mistaken(entry)).map(|entry| entry.name).collect();
    profile.entries.retain(|entry| !is_mistaken(entry));
    Loaded::File { name, profile, mistaken: mistaken.into_iter().collect() }
}

/// Calls that an operator's profile allows and the guard does not.
pub(super) fn warnings(loaded: &Loaded) -> Vec<String> {
    let Loaded::File { name, profile, mistaken } = loaded else { return Vec::new() };
    let allowed = || profile.entries.iter().filter(|entry| entry.action == Action::Allow);
    let mut warnings = Vec::new();
    if !mistaken.is_empty() {
        warnings.push(format!(
            "profile {name} allows {}: the guard denies it under every profile, so the profile's default verdict decides the \
             call; remove it (docs/profiles.md says what to use instead)",
            mistaken.join(" ")
        ));
    }
    if allowed().any(|entry| entry.name == "clone3") {
        warnings.push(format!(
            "profile {name} allows clone3: the guard denies it under every profile, so the call fails with ENOSYS; remove it"
        ));
    }
    let whole = |call: &str| allowed().any(|entry| entry.name == call && entry.when.is_empty());
    // Only calls of which the guard leaves little: to allow chmod(2) with its set-id bits is no mistake.
    let is_partly = |call: &str| call != "clone3" && guard::closes(call) && whole(call);
    let judged = guard::judged_by_argument(Files::Temporary).filter(|(call, ..)| is_partly(call));
    warnings.extend(judged.map(|(call, remains, _)| {
        format!(
            "profile {name} allows every {call}: the guard allows {remains}; the rest fails with ENOSYS and leaves no record"
        )
    }));
    warnings
}

/// Calls that are permitted and prohibited in addition to a profile, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CallChanges {
    pub(crate) permitted: BTreeSet<String>,
    /// Calls that are permitted by groups. They change no decision of the profile, and permit nothing that a
    /// profile cannot permit.
    pub(crate) permitted_in_groups: Vec<&'static str>,
    pub(crate) prohibited: BTreeSet<String>,
}

/// The profile that the options name, with what they change of it.
pub(super) fn load_for(options: &Options) -> Result<Loaded, ConfigError> {
    let loaded = load(options.profile.as_deref())?;
    let Some(changes) = &options.calls else { return Ok(loaded) };
    let text = changed(&loaded, changes)?;
    let mut include = |name: &str| included(name, Path::new("/"));
    let profile = parse::parse("--system-call-filter", &text, names::NATIVE, &mut include)
        .map_err(|error| ConfigError::usage(error.to_string()))?;
    Ok(without_mistakes(format!("{} with --system-call-filter", loaded.name()), profile))
}

/// The text of a profile that includes another one and changes some calls. Prohibited calls fail with EPERM,
/// as with systemd-nspawn.
fn changed(loaded: &Loaded, changes: &CallChanges) -> Result<String, ConfigError> {
    let known = loaded.profile().map_err(|error| ConfigError::usage(error.to_string()))?.entries;
    let mut text = format!("arch {}\ninclude {}\n", names::NATIVE.name(), loaded.name());
    let decides = |call: &str| known.iter().any(|entry| entry.name == call);
    let mut say = |call: &str, action: &str| {
        if decides(call) {
            text.push_str(&format!("remove {call}\n"));
        }
        text.push_str(&format!("{action} {call} # --system-call-filter\n"));
    };
    if let Some(call) = changes.permitted.iter().find(|call| guard::closes(call)) {
        return Err(ConfigError::usage(format!(
            "--system-call-filter={call}: refused: the guard denies it under every profile"
        )));
    }
    let stays_closed = |call: &str| guard::closes(call) || matches!(call, "execve" | "execveat");
    let in_groups = changes.permitted_in_groups.iter().copied();
    let in_groups = in_groups.filter(|call| !decides(call) && !stays_closed(call));
    let permitted: BTreeSet<_> = changes.permitted.iter().map(String::as_str).chain(in_groups).collect();
    let prohibited: BTreeSet<_> = changes.prohibited.iter().map(String::as_str).collect();
    // A call that is both is prohibited.
    permitted.difference(&prohibited).for_each(|call| say(call, "allow"));
    prohibited.iter().for_each(|call| say(call, "errno EPERM"));
    Ok(text)
}

fn unknown(name: &str) -> ConfigError {
    let known: Vec<_> = profile::names_built_in().collect();
    let known = known.join(" ");
    let packaged = packaged().map(|directory| names_in(&directory, "profile").join(" ")).unwrap_or_default();
    let packaged = if packaged.is_empty() { "none is installed" } else { &packaged };
    ConfigError::usage(format!(
        "unknown profile '{name}': it is not built in ({known}), not of the package ({packaged}), and {PROFILES} has no such \
         file; for a file elsewhere give a path with a /, such as ./{name}"
    ))
}

/// NAME has no `/`; with one it is a file, relative to the directory.
fn path(given: &str, directory: &Path) -> Option<PathBuf> {
    if given.contains('/') {
        return Some(directory.join(given));
    }
    let is_name = !given.is_empty() && !given.starts_with('.');
    let (name, own) = (format!("{given}.profile"), Path::new(PROFILES));
    let packaged = || packaged().map(|directory| directory.join(&name)).filter(|path| path.exists());
    let own = own.join(&name);
    is_name.then(|| if own.exists() { own } else { packaged().unwrap_or(own) })
}

fn packaged() -> Option<PathBuf> {
    let launcher = std::env::current_exe().ok()?.canonicalize().ok()?;
    Some(launcher.parent()?.parent()?.join(PACKAGED))
}

/// Finds an included profile: a built-in one, or another file relative to the first one's directory.
fn included(name: &str, directory: &Path) -> Result<(String, String), String> {
    if let Some(text) = profile::included(name) {
        return Ok((name.to_owned(), text.to_owned()));
    }
    let path = path(name, directory).ok_or_else(|| format!("invalid profile name '{name}'"))?;
    let shown = path.display().to_string();
    let text = read_trusted(&path).map_err(|why| format!("{shown}: {why}"))?;
    Ok((shown, text))
}
