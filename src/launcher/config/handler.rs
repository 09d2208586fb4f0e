//! The template and the handler in it: found, trusted, and of a kind that can run.

use super::host;
use super::links;
use super::options::Options;
use super::program::{self, Program};
use super::service::{PATH, c_string};
use super::subvolume;
use super::targets::is_at_or_below;
use super::trust::{self, TrustError, Trusted, TrustedFile};
use super::{ConfigError, ErrorKind};
use crate::privilege::Privilege;
use nix::sys::stat::fstat;
use sandbox::launch::image;
use sandbox::plan::rootfs::{Image, ImageKind};
use seccomp::profile::model::Exec;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use sys::Errno;
use sys::mount::{Version, version};

/// The template: its path, checked component by component, and its root; of an image, the handler's mount's.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) root: TrustedFile,
    pub(super) image: Option<Image>,
    /// An image of which only the superblock was looked at: what is in it is seen at the launch.
    pub(super) is_unseen: bool,
}

pub(super) fn open_template(options: &Options, trusted: Trusted) -> Result<Template, ConfigError> {
    let Some(path) = &options.template else {
        return Err(ConfigError::usage("no template: give --template DIR or --service NAME"));
    };
    let template = trust::host_root().and_then(|root| trust::walk(root, path, trusted)).map_err(|error| {
        ConfigError::sandbox(format!("cannot use the template {}: {error}", path.display()))
    })?;
    let template = match template.stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => Template { root: template, image: None, is_unseen: false },
        libc::S_IFREG => open_image(template, options.only_tells == Some(true))?,
        _ => return Err(ConfigError::sandbox(format!("the template {} is not a directory", path.display()))),
    };
    host::refuse(&template)?;
    Ok(template)
}

/// Opens the template, and makes sure that the requested kind of snapshot can be made of it.
pub(super) fn open_for_snapshots(
    options: &Options,
    trusted: Trusted,
    privilege: Privilege,
) -> Result<Template, ConfigError> {
    let template = open_template(options, trusted)?;
    subvolume::require(options, &template.root, template.image.is_some(), privilege)?;
    Ok(template)
}

fn open_image(file: TrustedFile, only_tells: bool) -> Result<Template, ConfigError> {
    let shown = file.path.display().to_string();
    let failed = |errno: Errno| {
        let hint = match errno {
            Errno::EPERM => {
                "; mounting an image needs root, and before Linux 6.12 or for squashfs DeviceAllow= in the unit for loop devices"
            }
            Errno::ENODEV => "; this kernel lacks the file system: load its module",
            Errno::ENOENT | Errno::ENXIO => "; no loop device is available: see PrivateDevices= in the unit",
            _ => "",
        };
        ConfigError::sandbox(format!("cannot mount the image {shown}: {errno}{hint}"))
    };
    if Privilege::of_this_process() == Privilege::Rootless {
        return Err(ConfigError::usage(format!(
            "--template {shown}: without root, the template must be a directory"
        )));
    }
    // The path leads to the descriptor that was checked.
    let again = format!("/proc/self/fd/{}", file.fd.as_raw_fd());
    let opened: OwnedFd =
        File::open(again).map_err(|error| failed(Errno::from_raw(error.raw_os_error().unwrap_or(0))))?.into();
    let Some(kind) = ImageKind::of(opened.as_fd()).map_err(failed)? else {
        return Err(ConfigError::sandbox(format!(
            "the template {shown} is neither a directory nor an image (erofs, squashfs)"
        )));
    };
    let size = image::size(opened.as_fd(), kind).map_err(failed)?;
    let length = u64::try_from(file.stat.st_size).unwrap_or(0);
    if size.is_none_or(|size| size > length) {
        return Err(ConfigError::sandbox(format!(
            "cannot mount the image {shown}: it is cut off or damaged: its superblock asks for {} bytes, it has {length}",
            size.map_or_else(|| "no possible number of".to_owned(), |size| size.to_string())
        )));
    }
    let (image, is_seen) = match only_tells {
        true => image::look(opened.as_fd(), kind),
        false => image::mount(opened.as_fd(), kind).map(|image| (image, true)),
    }
    .map_err(failed)?;
    let fd = image.handler.try_clone().map_err(|error| ConfigError::sandbox(error.to_string()))?;
    let stat = fstat(&fd).map_err(failed)?;
    Ok(Template { root: TrustedFile { fd, path: file.path, stat }, image: Some(image), is_unseen: !is_seen })
}

/// The file to execute, and the argument vector it gets.
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) file: TrustedFile,
    pub(super) argv: Vec<CString>,
    /// Each path that was looked at in the template, and what was there: the command, then the interpreter of
    /// a script.
    pub(super) looked_at: Vec<(PathBuf, Version)>,
}

/// Where to look for a handler, and with which rights.
#[derive(Debug, Clone, Copy)]
struct Search<'t> {
    template: &'t TrustedFile,
    trusted: Trusted,
    privilege: Privilege,
    /// The profile's rule on exec: with `exec tree` a handler may have a loader.
    exec: Exec,
}

/// The handler that the options name, in the template that they name.
pub(super) fn handler_in(
    template: &Template,
    options: &Options,
    privilege: Privilege,
    exec: Exec,
) -> Result<Handler, ConfigError> {
    let command = options.handler.as_deref().unwrap_or_default();
    if template.is_unseen {
        return assume_handler(template, command);
    }
    let search = Search { template: &template.root, trusted: Trusted::for_caller(), privilege, exec };
    find_handler(search, command).map_err(|error| with_hint_of_binds(error, options, &template.root))
}

/// The handler as it was typed, because the template's content is not visible.
fn assume_handler(template: &Template, command: &[String]) -> Result<Handler, ConfigError> {
    let Some((name, _)) = command.split_first() else { return Err(no_handler()) };
    let arguments = command.iter().map(|word| c_string(word.as_str(), "the handler's arguments"));
    let failed = |error: std::io::Error| ConfigError::sandbox(error.to_string());
    let fd = template.root.fd.try_clone().map_err(failed)?;
    let file = TrustedFile { fd, path: Path::new("/").join(name), stat: template.root.stat };
    Ok(Handler { file, argv: arguments.collect::<Result<_, _>>()?, looked_at: Vec::new() })
}

fn no_handler() -> ConfigError {
    ConfigError::usage("no handler: give -- CMD, or handler in the service file")
}

fn find_handler(search: Search<'_>, command: &[String]) -> Result<Handler, ConfigError> {
    let Some((name, arguments)) = command.split_first() else {
        return Err(no_handler());
    };
    let (path, mut handler) = lookup(search, name)?;
    let mut argv = vec![OsString::from(name)];
    let mut looked_at = vec![(path, version_of(&handler)?)];
    if let Program::Script(interpreter, argument) = inspect(search, &handler, name)? {
        // One level, as for the kernel; the script's own path becomes an argument.
        argv = vec![interpreter.clone()];
        argv.extend(argument);
        argv.push(handler.path.clone().into_os_string());
        let shown = format!("{} (interpreter of {name})", interpreter.to_string_lossy());
        handler = resolve(search, Path::new(&interpreter), &shown)?;
        looked_at.push((PathBuf::from(&interpreter), version_of(&handler)?));
        if let Program::Script(..) = inspect(search, &handler, &shown)? {
            return Err(not_executable(&shown, "itself a script: dayfly follows only one level of #!"));
        }
    }
    argv.extend(arguments.iter().map(OsString::from));
    let argv = argv
        .into_iter()
        .map(|a| c_string(a.into_vec(), "the handler's arguments"))
        .collect::<Result<_, _>>()?;
    Ok(Handler { file: handler, argv, looked_at })
}

fn version_of(file: &TrustedFile) -> Result<Version, ConfigError> {
    let shown = file.path.display();
    version(file.fd.as_fd()).map_err(|errno| ConfigError::sandbox(format!("cannot look at {shown}: {errno}")))
}

/// A handler that is sought where the host shows something of its own, which nothing is executed of.
fn with_hint_of_binds(error: ConfigError, options: &Options, template: &TrustedFile) -> ConfigError {
    if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::NotExecutable) {
        return error;
    }
    let name = options.handler.iter().flatten().next().map(String::as_str).unwrap_or_default();
    let loader = error.message.split("its loader ").nth(1).and_then(|rest| rest.split(' ').next());
    let sought = if name.contains('/') { vec![name] } else { PATH.split(':').collect() };
    let sought = sought.into_iter().chain(loader);
    // As it is written, and where links of the template lead: /bin may be one to /usr/bin.
    let sought: Vec<PathBuf> =
        sought.flat_map(|path| [PathBuf::from(path), links::followed(template.fd.as_fd(), path)]).collect();
    let read = options.bind_ro.iter().flatten().map(|bind| ("--bind-ro", &bind.target));
    let written = options.bind.iter().flatten().map(|bind| ("--bind", &bind.target));
    let layers = options.overlay_ro.iter().flatten().map(|stack| ("--overlay-ro", &stack.target));
    let mut all = read.chain(written).chain(layers);
    let over =
        all.find(|(_, target)| sought.iter().any(|path| is_at_or_below(&path.to_string_lossy(), target)));
    match over {
        None => error,
        Some((option, target)) => {
            let hint = format!(
                "; hint: {option} shows {target} of the host, but nothing of a bind is executed: copy the handler into \
                 the template"
            );
            ConfigError { message: error.message + &hint, ..error }
        }
    }
}

/// Whether the command, or its interpreter, needs no loader. Errors are reported later, when the handler is
/// resolved.
pub(super) fn is_static(options: &Options) -> Option<bool> {
    let trusted = Trusted::for_caller();
    let template = open_template(options, trusted).ok().filter(|template| !template.is_unseen)?.root;
    let privilege = Privilege::of_this_process();
    let search = Search { template: &template, trusted, privilege, exec: Exec::Tree };
    let kind = |name: &str| inspect(search, &lookup(search, name).ok()?.1, name).ok();
    match kind(options.handler.as_ref()?.first()?)? {
        Program::Script(interpreter, _) => Some(kind(interpreter.to_str()?)? == Program::Static),
        program => Some(program == Program::Static),
    }
}

/// The path by which a command is found in the template, and the file. A CMD without `/` is looked up in
/// PATH there.
fn lookup(search: Search<'_>, name: &str) -> Result<(PathBuf, TrustedFile), ConfigError> {
    let at = |path: PathBuf| resolve(search, &path, name).map(|file| (path, file));
    if name.contains('/') {
        return at(PathBuf::from(name));
    }
    for directory in PATH.split(':') {
        match at(Path::new(directory).join(name)) {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            found => return found,
        }
    }
    let message = format!("no handler '{name}' in the template's PATH ({PATH})");
    Err(ConfigError { kind: ErrorKind::NotFound, message })
}

fn resolve(search: Search<'_>, path: &Path, shown: &str) -> Result<TrustedFile, ConfigError> {
    let template = search.template;
    let root = template
        .fd
        .try_clone()
        .map_err(|error| ConfigError::sandbox(format!("cannot copy the template's descriptor: {error}")))?;
    trust::walk(root, path, search.trusted).map_err(|error| match error {
        TrustError::Missing(_) => ConfigError {
            kind: ErrorKind::NotFound,
            message: format!("no handler {shown} in the template {}", template.path.display()),
        },
        error => ConfigError::sandbox(format!("cannot use the handler {shown} in the template: {error}")),
    })
}

fn not_executable(name: &str, why: &str) -> ConfigError {
    let message = format!("cannot execute the handler {name}: it is {why}");
    ConfigError { kind: ErrorKind::NotExecutable, message }
}

/// The kind of program that the handler is; refuses a program that cannot run.
fn inspect(search: Search<'_>, handler: &TrustedFile, name: &str) -> Result<Program, ConfigError> {
    let mode = handler.stat.st_mode;
    if mode & libc::S_IFMT != libc::S_IFREG {
        return Err(not_executable(name, "not a regular file"));
    }
    // A sandbox has another uid than the file's owner; rootless it may have the owner's.
    let needed =
        if search.privilege == Privilege::Root { libc::S_IXOTH } else { libc::S_IXOTH | libc::S_IXUSR };
    if mode & needed == 0 {
        return Err(not_executable(name, "not executable for others: run chmod 0711 on it"));
    }
    // Through /proc, because the descriptor is O_PATH; before any namespace is entered.
    let mut head = Vec::with_capacity(program::HEAD);
    let opened = File::open(format!("/proc/self/fd/{}", handler.fd.as_raw_fd()));
    let read = opened.and_then(|file| file.take(program::HEAD as u64).read_to_end(&mut head));
    match read {
        Ok(_) => {}
        // Rootless, a file of mode 0711 cannot be read; exec will tell.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(Program::Static),
        Err(error) => return Err(ConfigError::sandbox(format!("cannot read the handler {name}: {error}"))),
    }
    match program::classify(&head) {
        Program::Dynamic(loader) => inspect_loader(search, Path::new(&loader), name),
        Program::Foreign(what) => Err(not_executable(name, what)),
        program => Ok(program),
    }
}

/// A dynamic program can run only if its loader is in the template and the profile says `exec tree`.
fn inspect_loader(search: Search<'_>, loader: &Path, name: &str) -> Result<Program, ConfigError> {
    let (shown, found) = (loader.display(), resolve(search, loader, name));
    let why = match (search.exec, found) {
        (Exec::Tree, Ok(_)) => return Ok(Program::Dynamic(loader.into())),
        (_, Err(error)) if error.kind == ErrorKind::NotFound => {
            format!(
                "dynamically linked, and its loader {shown} is not in the template; see docs/static-musl.md"
            )
        }
        (_, Err(error)) => return Err(error),
        (Exec::Once, Ok(_)) => format!(
            "dynamically linked: its loader {shown} is in the template, but the profile runs static programs only; \
             --profile tree runs it, see docs/profiles.md"
        ),
    };
    Err(not_executable(name, &why))
}
