//! Notes about a template and its handler. None of them prevents the service from running; resolving the
//! service finds the real errors.

use super::{Finding, Level, finding, text_of};
use crate::config::program;
use crate::config::service::Service;
use std::ffi::CString;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use sys::mount::{self, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS};

pub(super) fn of_handler(service: &Service) -> Vec<Finding> {
    let rootfs = &service.plan.rootfs;
    let handler = text_of(&rootfs.handler);
    let note = |text: String| finding(Level::Note, "handler", text);
    let mut findings = Vec::new();
    if service.handler_is_readable {
        let why = "is readable for its own uid; with mode 0711 it would stay non-dumpable after exec";
        findings.push(note(format!("{handler} {why}")));
    }
    let path = Path::new(&text_of(&rootfs.template.path)).join(handler.trim_start_matches('/'));
    let mut head = Vec::with_capacity(program::HEAD);
    let read = File::open(path).and_then(|file| file.take(program::HEAD as u64).read_to_end(&mut head));
    if read.is_ok() {
        findings
            .extend(program::oddities(&head).into_iter().map(|oddity| note(format!("{handler}: {oddity}"))));
    }
    findings
}

/// Kinds of oddities, each with what it means here.
const KINDS: [(Kind, &str); 8] = [
    (Kind::SetId, "set-uid or set-gid: without effect in a sandbox, dangerous elsewhere"),
    (Kind::Capabilities, "with file capabilities: without effect in a sandbox, dangerous elsewhere"),
    (Kind::Device, "device nodes: a sandbox cannot open them"),
    (
        Kind::Meeting,
        "FIFOs and sockets: sandboxes of readonly snapshots share them, and opening one may block",
    ),
    (Kind::Writable, "writable by everyone: any user can change the sandboxes"),
    (Kind::Owner, "owned by other users, who can change the sandboxes"),
    (
        Kind::Elsewhere,
        "mount points, which no sandbox sees, or subvolumes, which are empty in a btrfs snapshot",
    ),
    (Kind::LinkOut, "symbolic links that resolve on the host but not in the sandbox"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    SetId,
    Capabilities,
    Device,
    Meeting,
    Writable,
    Owner,
    Elsewhere,
    LinkOut,
}

/// Limit on the examples for each kind; the rest is counted.
const EXAMPLES: usize = 3;
/// Content may be large: beyond so many files the lint says that it has stopped.
const FILES_MAX: usize = 200_000;

/// Walks the template. Links are not followed, other file systems below it are not entered.
pub(super) fn lint(template: &Path) -> Vec<Finding> {
    let note = |text: String| finding(Level::Note, "template", text);
    let Ok(root) = File::open(template).map(OwnedFd::from) else { return Vec::new() };
    let device = fs::metadata(template).map(|metadata| metadata.dev()).ok();
    let mut found: Vec<(Kind, PathBuf)> = Vec::new();
    let mut findings = Vec::new();
    let (mut directories, mut files) = (vec![template.to_owned()], 0);
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            findings.push(note(format!("{} cannot be read and was skipped", directory.display())));
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            files += 1;
            found.extend(
                kinds(&path, &metadata, template, &root).into_iter().map(|kind| (kind, path.clone())),
            );
            if metadata.is_dir() && Some(metadata.dev()) == device {
                directories.push(path);
            } else if metadata.is_dir() {
                found.push((Kind::Elsewhere, path));
            }
        }
        if files > FILES_MAX {
            findings.push(note(format!("more than {FILES_MAX} files: the rest was skipped")));
            break;
        }
    }
    found.sort_by(|(_, a), (_, b)| a.cmp(b));
    for (kind, meaning) in KINDS {
        let paths: Vec<_> = found.iter().filter(|(of, _)| *of == kind).map(|(_, path)| path).collect();
        if !paths.is_empty() {
            findings.push(note(format!("{} {meaning}: {}", paths.len(), examples(&paths, template))));
        }
    }
    findings
}

fn examples(paths: &[&PathBuf], template: &Path) -> String {
    let inside = |path: &&PathBuf| format!("/{}", path.strip_prefix(template).unwrap_or(path).display());
    let mut shown: Vec<String> = paths.iter().take(EXAMPLES).map(inside).collect();
    if paths.len() > EXAMPLES {
        shown.push("…".to_owned());
    }
    shown.join(" ")
}

fn kinds(path: &Path, metadata: &Metadata, template: &Path, root: &OwnedFd) -> Vec<Kind> {
    let (kind, mode) = (metadata.file_type(), metadata.mode());
    if kind.is_symlink() {
        return if leads_out(path, template, root) { vec![Kind::LinkOut] } else { Vec::new() };
    }
    let sticky_directory = kind.is_dir() && mode & libc::S_ISVTX != 0;
    let found = [
        (Kind::SetId, kind.is_file() && mode & (libc::S_ISUID | libc::S_ISGID) != 0),
        (Kind::Capabilities, kind.is_file() && mode & 0o111 != 0 && has_capabilities(path)),
        (Kind::Device, kind.is_block_device() || kind.is_char_device()),
        (Kind::Meeting, kind.is_fifo() || kind.is_socket()),
        (Kind::Writable, mode & libc::S_IWOTH != 0 && !sticky_directory),
        (Kind::Owner, metadata.uid() != 0 && metadata.uid() != nix::unistd::geteuid().as_raw()),
    ];
    found.into_iter().filter(|(_, holds)| *holds).map(|(kind, _)| kind).collect()
}

fn has_capabilities(path: &Path) -> bool {
    c_path(path).is_some_and(|path| mount::has_attribute(&path, c"security.capability"))
}

/// Where the sandbox's root is the template, nothing is there; followed on the host, something is.
fn leads_out(path: &Path, template: &Path, root: &OwnedFd) -> bool {
    let inside = path.strip_prefix(template).ok().and_then(c_path);
    let resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    let inside = inside.map(|inside| mount::openat2(root.as_fd(), &inside, libc::O_PATH, resolve));
    !matches!(inside, Some(Ok(_))) && fs::metadata(path).is_ok()
}

fn c_path(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_bytes()).ok()
}
