//! Puts the handler into the tree.

use crate::elf::{self, Kind};
use crate::error::{At, Error};
use crate::options::HandlerOption;
use crate::tree;
use std::fs;
use std::path::{Path, PathBuf};

/// Copies the handler to its place and answers that place, a path inside the template. Its mode is set with
/// all others.
pub(crate) fn install(handler: &HandlerOption, tree: &Path) -> Result<PathBuf, Error> {
    let content = fs::read(&handler.file).at("read the handler", &handler.file)?;
    match elf::kind(&content) {
        Kind::Elf { loader: Some(loader) } if !tree::holds(tree, Path::new(&loader)) => {
            return Err(Error::NoLoader { handler: handler.file.clone(), loader });
        }
        Kind::Elf { .. } | Kind::Script => {}
        Kind::Other => return Err(Error::HandlerNotElf(handler.file.clone())),
    }
    let parent = handler.place.parent().unwrap_or(Path::new("/"));
    let directory = tree::make_directory(tree, parent)?;
    let name = handler.place.file_name().unwrap_or_default();
    let target = directory.join(name);
    if fs::symlink_metadata(&target).is_ok() {
        fs::remove_file(&target).at("replace", &target)?;
    }
    fs::write(&target, content).at("write the handler", &target)?;
    Ok(handler.place.clone())
}
