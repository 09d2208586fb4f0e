//! `lint`: tells an author what readers would trip over. It looks at a tree as the server would, and
//! changes nothing.
//!
//! A finding is a problem that the author can solve. One that many lines of a file have is reported once.

mod forms;
mod hosts;
mod kinds;
mod map;

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::answer::{self, Target};
use crate::clean;
use crate::filetype::{self, Evidence};
use crate::listing;
use crate::log;
use crate::mapfile::{Form, Map};
use crate::path::TreePath;
use crate::problem::Problem;
use crate::settings::Settings;
use crate::site::Site;
use crate::tree::Tree;

/// How deep directories may be in each other; the longest selector holds no more.
const DEPTH_MAX: usize = 512;

/// RFC 1436 §2: selectors of at most 255 bytes.
const SELECTOR_BYTES_RFC: usize = 255;

/// How much of a text is looked at.
const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A walk over a tree, and what it found.
#[derive(Debug)]
struct Lint<'a> {
    tree: Tree,
    site: Site<'a>,
    top: &'a Path,
    /// Links that name another host, if the author did not say which one is this.
    named: Vec<hosts::Named>,
    findings: Vec<String>,
}

/// Prints a line for each finding: status 0 without any, 1 with some, 2 if the tree cannot be looked at.
pub(crate) fn tree(settings: &Settings, top: &Path) -> ExitCode {
    let opened = match Tree::open_root(top) {
        Ok(tree) => tree,
        Err(problem) => {
            log::diagnose(&format!("{}: cannot be opened ({})", top.display(), problem.status()));
            return ExitCode::from(crate::USAGE);
        }
    };
    let site = Site::find(settings, io::stdin());
    let mut lint = Lint { tree: opened, site, top, named: Vec::new(), findings: Vec::new() };
    lint.directory(&TreePath::root(), 0);
    lint.named_hosts();
    let mut text = lint.findings.join("\n");
    text.push_str(if lint.findings.is_empty() { "" } else { "\n" });
    match (io::stdout().write_all(text.as_bytes()), lint.findings.is_empty()) {
        (Err(_), _) => ExitCode::from(crate::USAGE),
        (Ok(()), true) => ExitCode::SUCCESS,
        (Ok(()), false) => ExitCode::FAILURE,
    }
}

impl Lint<'_> {
    fn directory(&mut self, path: &TreePath, depth: usize) {
        let entries = match fs::read_dir(self.real(path)) {
            Ok(entries) => entries,
            Err(error) => return self.find(path, None, &format!("cannot be read: {error}")),
        };
        let mut names: Vec<Vec<u8>> =
            entries.flatten().map(|entry| entry.file_name().as_bytes().to_vec()).collect();
        names.sort();
        for name in names.iter().filter(|name| !name.starts_with(b".") || *name == b".gophermap") {
            self.entry(&path.dotted(name), depth);
        }
    }

    fn entry(&mut self, path: &TreePath, depth: usize) {
        let metadata = match fs::symlink_metadata(self.real(path)) {
            Ok(metadata) => metadata,
            Err(error) => return self.find(path, None, &format!("cannot be looked at: {error}")),
        };
        let kind = metadata.file_type();
        if kind.is_symlink() {
            return self.symlink(path);
        }
        if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
            return self.find(path, None, "neither a file nor a directory: not served");
        }
        let mode = metadata.mode();
        if mode & 0o002 != 0 {
            self.find(path, None, &format!("mode {:o}: anybody can change it: chmod o-w", mode & 0o7777));
        }
        let wanted = if kind.is_dir() { (0o005, "o+rx") } else { (0o004, "o+r") };
        if mode & wanted.0 != wanted.0 {
            let what = format!("mode {:o}: not served: chmod {}", mode & 0o7777, wanted.1);
            return self.find(path, None, &what);
        }
        self.name(path);
        if !kind.is_dir() {
            self.file(path);
        } else if depth < DEPTH_MAX {
            self.directory(path, depth + 1);
        }
    }

    fn symlink(&mut self, path: &TreePath) {
        match self.tree.open(path) {
            Ok(_) => self.name(path),
            Err(Problem::Absent) => self.find(path, None, "a symlink to nothing: not served"),
            Err(Problem::Unreadable) => self.find(
                path,
                None,
                "a symlink out of the tree, or to what is not for everybody: not served",
            ),
            Err(problem) => self.find(path, None, &format!("not served ({})", problem.status())),
        }
    }

    fn name(&mut self, path: &TreePath) {
        if clean::display(path.name()) != path.name() {
            self.find(path, None, "the name has control characters, which are shown as ?");
        }
        match listing::fetchable(&self.tree, &self.site, path) {
            None => self.find(path, None, "no selector leads to it: the path is too long"),
            Some(selector) if selector.len() > SELECTOR_BYTES_RFC => {
                let what = format!("a selector of {} bytes; some clients stop at 255", selector.len());
                self.find(path, None, &what);
            }
            Some(_) => {}
        }
    }

    fn file(&mut self, path: &TreePath) {
        let form = answer::form(&self.site, path);
        let named = filetype::by_name(path.name());
        if form.is_none() && named.is_some_and(|item_type| item_type != b'0') {
            return;
        }
        let text = match self.read(path) {
            Ok(text) => text,
            Err(error) => return self.find(path, None, &format!("cannot be read: {error}")),
        };
        if let Some(form) = form {
            let Some(document) = self.tree.document(path) else { return };
            return match (Map::read(document, form), form) {
                (Err(_), _) => self.find(path, None, "a program: programs are off, and readers get an error"),
                (Ok(_), Form::Gophermap) => self.map(path, &text),
                (Ok(_), Form::Gph) => self.gph(path, &text),
                (Ok(_), Form::Gemtext) => self.gemtext(path, &text),
            };
        }
        if text.starts_with(b"\xFF\xFE") || text.starts_with(b"\xFE\xFF") {
            return self.find(path, None, "UTF-16, which no client shows: save it as UTF-8");
        }
        let mut evidence = Evidence::default();
        evidence.add(&text);
        let head = &text[..text.len().min(filetype::SNIFF_BYTES)];
        let is_text = named.is_some() || filetype::by_content(head) == b'0';
        // A text that was cut may end within a character.
        if let Err(error) = std::str::from_utf8(&text)
            && is_text
            && evidence.is_text(path.name())
            && error.error_len().is_some()
        {
            let line = 1 + text[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
            self.find(path, Some(line), "not UTF-8, which is what clients take a text for");
        }
    }

    fn read(&self, path: &TreePath) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        File::open(self.real(path))?.take(TEXT_BYTES_MAX).read_to_end(&mut text)?;
        Ok(text)
    }

    /// The place that a selector of this site leads to; `None` for one that is answered without the tree.
    pub(super) fn leads_to(&self, selector: &[u8]) -> Option<Result<Target, Problem>> {
        let path = self.site.in_tree(selector)?;
        let found = answer::find(&self.tree, path);
        let made = crate::fixed::is_caps(path)
            || crate::search::query(&self.site, path, None).is_some()
            || crate::web::target(path).is_some()
            || crate::feed::asked_for(&self.tree, &self.site, path).is_some()
            || crate::latest::asked_for(&self.tree, &self.site, path).is_some();
        match found {
            Err(Problem::Absent) if made => None,
            found => Some(found),
        }
    }

    fn real(&self, path: &TreePath) -> PathBuf {
        self.top.join(std::ffi::OsStr::from_bytes(path.relative()))
    }

    fn find(&mut self, path: &TreePath, line: Option<usize>, what: &str) {
        let name = String::from_utf8_lossy(&clean::display(path.relative())).into_owned();
        let line = line.map_or_else(String::new, |line| format!("{line}:"));
        self.findings.push(format!("{name}:{line} {what}"));
    }
}
