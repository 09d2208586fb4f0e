//! A file that is a menu: which form it is written in, and whether it is a program.

use std::io::Read as _;

use crate::filetype;
use crate::path::TreePath;
use crate::problem::Problem;
use crate::settings::Settings;
use crate::tree::{Document, Tree};

/// The longest map that is read; the page says where it was cut.
const MAP_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Gophermap,
    /// geomyidae's `.gph`
    Gph,
    /// Gemini's `.gmi`
    Gemtext,
}

/// The text of a map.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) form: Form,
    pub(crate) text: Vec<u8>,
    /// The rest was too long, or could not be read.
    pub(crate) cut: bool,
}

impl Form {
    /// The form of a file that is a page when it is asked for by this name; `None` is no map.
    pub(crate) fn of(settings: &Settings, name: &[u8]) -> Option<Form> {
        if name == b"gophermap" {
            return Some(Form::Gophermap);
        }
        let extension = match name.strip_prefix(b".") {
            Some(b"gophermap") => return Some(Form::Gophermap),
            _ => filetype::extension(name)?,
        };
        match extension {
            b"gophermap" => Some(Form::Gophermap),
            b"gph" => Some(Form::Gph),
            b"gmi" | b"gemini" if settings.gemtext_menus => Some(Form::Gemtext),
            _ => None,
        }
    }
}

/// Whether a directory's page is a program, so that a link to it would lead nowhere.
pub(crate) fn is_program(tree: &Tree, directory: &TreePath) -> bool {
    let Some(mut document) = tree.document(&directory.dotted(b"gophermap")) else { return false };
    let mut head = [0; 4];
    let length = filetype::fill(&mut document, &mut head).unwrap_or(0);
    has_mark(&head[..length])
}

fn has_mark(text: &[u8]) -> bool {
    text.starts_with(b"#!") || text.starts_with(b"\x7FELF")
}

impl Map {
    /// Reads a map that a page is to be made of. A program is refused: it is not run, and its source may hold
    /// what its output would not.
    ///
    /// The content decides. The execute bit alone says nothing: file systems without modes show it on every
    /// file, and authors set it on maps by accident.
    pub(crate) fn read(document: Document, form: Form) -> Result<Map, Problem> {
        let Document { file, bytes, executable, .. } = document;
        let mut text = Vec::new();
        let read = file.take(MAP_BYTES_MAX).read_to_end(&mut text);
        let is_program =
            text.starts_with(b"#!") || text.starts_with(b"\x7FELF") || (executable && text.contains(&0));
        match is_program {
            true => Err(Problem::Program),
            false => Ok(Map { form, text, cut: read.is_err() || bytes > MAP_BYTES_MAX }),
        }
    }
}
