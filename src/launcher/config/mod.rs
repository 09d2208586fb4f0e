//! From options and service file to a checked plan: parses, checks and opens everything.
//!
//! Nothing here changes the host, and every refusal comes before a sandbox starts.

pub(crate) mod admission;
pub(crate) mod cpus;
pub(crate) mod credentials;
mod handler;
mod host;
mod limits;
mod links;
pub(crate) mod mount_points;
pub(crate) mod options;
mod own_files;
pub(crate) mod owner;
pub(crate) mod passed_fds;
pub(crate) mod profiles;
pub(crate) mod program;
pub(crate) mod proxies;
mod requirements;
mod rootfs_plan;
pub(crate) mod service;
pub(crate) mod signals;
pub(crate) mod sources;
mod subvolume;
pub(crate) mod targets;
pub(crate) mod tls;
pub(crate) mod trust;
pub(crate) mod values;
pub(crate) mod words;
pub(crate) mod writable_binds;

use options::Options;
use sandbox::plan::profile::Loaded;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a service cannot be run, and the exit status that says so (design: exit status of `run`).
#[derive(Debug)]
pub(crate) struct ConfigError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// A wrong option or service file.
    Usage,
    /// The sandbox cannot be had: template, kernel, privileges.
    Sandbox,
    NotExecutable,
    NotFound,
}

impl ErrorKind {
    pub(crate) fn status(self) -> u8 {
        match self {
            ErrorKind::Usage => 2,
            ErrorKind::Sandbox => 125,
            ErrorKind::NotExecutable => 126,
            ErrorKind::NotFound => 127,
        }
    }
}

impl ConfigError {
    pub(crate) fn usage(message: impl Into<String>) -> ConfigError {
        ConfigError { kind: ErrorKind::Usage, message: message.into() }
    }

    pub(crate) fn sandbox(message: impl Into<String>) -> ConfigError {
        ConfigError { kind: ErrorKind::Sandbox, message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

const SERVICES: &str = "/etc/dayfly";

/// The options with the service file's below them, and the service's name for records.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) options: Options,
}

/// Reads the service file, if one is named, and puts the command line over it.
pub(crate) fn load(given: Options) -> Result<Settings, ConfigError> {
    let mut all = load_all(given)?;
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(ConfigError::usage("--service: only serve takes several services")),
    }
}

/// Loads the settings of each named service; without a name, of the one that the options describe.
pub(crate) fn load_all(mut given: Options) -> Result<Vec<Settings>, ConfigError> {
    let cwd = std::env::current_dir()
        .map_err(|error| ConfigError::usage(format!("cannot find the current directory: {error}")))?;
    given.make_absolute(&cwd);
    match given.service.take() {
        None => Ok(vec![Settings { name: "-".to_owned(), options: given }]),
        Some(names) => names.iter().map(|service| load_file(service, given.clone(), &cwd)).collect(),
    }
}

fn load_file(service: &str, given: Options, cwd: &Path) -> Result<Settings, ConfigError> {
    let (name, path) = service_path(service, cwd)?;
    if !service.contains('/') && matches!(path.try_exists(), Ok(false)) {
        return Err(ConfigError::usage(no_such_service(service)));
    }
    let mut file = read_service_file(&path)?;
    file.make_absolute(path.parent().unwrap_or(Path::new("/")));
    Ok(Settings { name, options: given.over(file) })
}

fn no_such_service(service: &str) -> String {
    let path = format!("{SERVICES}/{service}.toml");
    let known = names_in(Path::new(SERVICES), "toml");
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let help = match words::nearest(service, &known) {
        Some(meant) => format!("did you mean '{meant}'?"),
        None if known.is_empty() => "write it, or name a FILE with a / in it, such as ./NAME.toml".to_owned(),
        None => format!("there are {}", known.join(", ")),
    };
    format!("there is no service '{service}' ({path}): {help}")
}

/// The names of the files with this ending in a directory, without it.
pub(crate) fn names_in(directory: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let paths =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == ending));
    let mut names: Vec<String> =
        paths.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

/// NAME has no `/`; with one it is a file.
/// Whether there is a service file of this name.
pub(crate) fn service_exists(name: &str) -> bool {
    Path::new(SERVICES).join(format!("{name}.toml")).exists()
}

fn service_path(service: &str, cwd: &Path) -> Result<(String, PathBuf), ConfigError> {
    if service.contains('/') {
        let path = cwd.join(service);
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        return Ok((name, path));
    }
    if service.is_empty() || service.starts_with('.') {
        return Err(ConfigError::usage(format!(
            "invalid service name '{service}': use a NAME in /etc/dayfly, or a path with a slash"
        )));
    }
    if let Some(name) = service.strip_suffix(".toml") {
        return Err(ConfigError::usage(format!(
            "'{service}' looks like a file: write ./{service} for the file in this directory, or {name} for {SERVICES}/{service}"
        )));
    }
    Ok((service.to_owned(), Path::new(SERVICES).join(format!("{service}.toml"))))
}

fn read_service_file(path: &Path) -> Result<Options, ConfigError> {
    let shown = path.display();
    let text =
        read_trusted(path).map_err(|why| ConfigError::usage(format!("the service file {shown}: {why}")))?;
    parse_service_file(&text).map_err(|error| {
        let place = error.span().map(|span| place(&text, span.start));
        let place = place.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        ConfigError::usage(format!(
            "{shown}{place}: {}",
            words::explain(&text, error.message(), error.span())
        ))
    })
}

/// A file of the operator's, whose whole path is trusted.
fn read_trusted(path: &Path) -> Result<String, String> {
    let file = trust::host_root()
        .and_then(|root| trust::walk(root, path, trust::Trusted::for_caller()))
        .map_err(|error| format!("cannot use it: {error}"))?;
    std::fs::read_to_string(&file.path).map_err(|error| format!("cannot read it: {error}"))
}

/// The profile of that name or file; the default one without.
pub(crate) fn profile(given: Option<&str>) -> Result<Loaded, ConfigError> {
    profiles::load(given)
}

/// Whether the command is static, or a script with a static interpreter; None if unknown.
pub(crate) fn is_static(options: &Options) -> Option<bool> {
    handler::is_static(options)
}

/// Flat TOML; an unknown key is an error.
pub(crate) fn parse_service_file(text: &str) -> Result<Options, toml::de::Error> {
    toml::from_str(text)
}

/// Line and column, from 1, of a byte offset.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_an_error_with_its_place() {
        let text = "template = \"/t\"\nwal_time = \"3s\"\n";
        let error = parse_service_file(text).unwrap_err();
        assert_eq!(place(text, error.span().unwrap().start), (2, 1));
    }

    #[test]
    fn numbers_switches_and_lists_have_their_keys() {
        let options = parse_service_file(
            "template = \"t\"\nhandler = [\"/bin/x\", \"a\"]\nproc = true\nmemory = 1048576\nwall_time = 30\n\
             bind_ro = [\"/srv:/srv\"]\nallow_degraded = [\"uid,groups\"]\ncpu = \"50%\"\nsnapshot = \"readonly\"\n",
        )
        .unwrap();
        assert_eq!(options.memory, Some(values::Size(1 << 20)));
        assert_eq!(options.proc, Some(values::Switch(true)));
        assert_eq!(options.handler.unwrap(), ["/bin/x", "a"]);
    }

    #[test]
    fn a_size_or_time_of_zero_is_an_error() {
        for line in ["memory = 0", "wall_time = 0", "wall_time = \"0s\"", "send_buffer = \"0\""] {
            assert!(parse_service_file(line).is_err(), "{line}");
        }
    }

    #[test]
    fn an_option_wins_and_some_lists_add_up() {
        let file = parse_service_file("memory = \"1M\"\nwall_time = \"1s\"\nsetenv = [\"A=1\"]\n").unwrap();
        let given = parse_service_file("memory = \"2M\"\nsetenv = [\"B=2\"]\n").unwrap();
        let both = given.over(file);
        assert_eq!(both.memory, Some(values::Size(2 << 20)));
        assert!(both.wall_time.is_some());
        assert_eq!(both.setenv.unwrap().len(), 2);
    }

    /// Where two entries are about the same thing, the last one counts: so the command line's come last.
    #[test]
    fn lists_that_add_up_have_the_files_entries_first_and_the_command_lines_last() {
        for (list, file, given) in [
            ("bind_ro", "/a:/x", "/b:/x"),
            ("overlay_ro", "/a:/b:/x", "/c:/d:/x"),
            ("bind", "/a:/x:1", "/b:/x:2"),
            ("open", "/a:x:ro", "/b:x:ro"),
            ("credential", "x:/a", "x:/b"),
            ("tmpfs", "/x:1M", "/x:2M"),
            ("setenv", "X=a", "X=b"),
            ("rlimit", "nofile=8", "nofile=16"),
        ] {
            let one = |entry: &str| parse_service_file(&format!("{list} = [{entry:?}]\n")).unwrap();
            let both = parse_service_file(&format!("{list} = [{file:?}, {given:?}]\n")).unwrap();
            let merged = one(given).over(one(file));
            assert_eq!(format!("{merged:?}"), format!("{both:?}"), "{list}");
        }
    }

    #[test]
    fn lists_that_replace_a_default_replace_the_files_as_well() {
        for (list, file, given) in [
            ("landlock_ro", "/a", "/b"),
            ("landlock_rw", "/a", "/b"),
            ("allow_degraded", "uid", "groups"),
            ("listen", "[::1]:1", "[::1]:2"),
            ("proxy_protocol", "10.0.0.1", "10.0.0.2"),
            ("handler", "/bin/a", "/bin/b"),
        ] {
            let one = |entry: &str| parse_service_file(&format!("{list} = [{entry:?}]\n")).unwrap();
            let merged = one(given).over(one(file));
            assert_eq!(format!("{merged:?}"), format!("{:?}", one(given)), "{list}");
            let merged = Options::default().over(one(file));
            assert_eq!(format!("{merged:?}"), format!("{:?}", one(file)), "{list}");
        }
    }

    #[test]
    fn a_service_name_is_no_way_out_of_its_directory() {
        let (name, path) = service_path("gopher", Path::new("/")).unwrap();
        assert_eq!((name.as_str(), path), ("gopher", PathBuf::from("/etc/dayfly/gopher.toml")));
        assert!(service_path("..", Path::new("/")).is_err());
        assert_eq!(service_path("./x.toml", Path::new("/a")).unwrap().1, PathBuf::from("/a/./x.toml"));
    }
}
