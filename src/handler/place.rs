//! The tree that a selector is about: that of the address, of a virtual host by name, or of a user.

use crate::problem::Problem;
use crate::site::Site;
use crate::tree::Tree;
use crate::users;
use crate::vhost;

/// A tree, how its links are written, and what is asked of it.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) tree: Tree,
    pub(crate) site: Site<'a>,
    pub(crate) selector: Vec<u8>,
}

/// Follows `/;name` and `/~name` as far as they are known here. What is not is left for the tree, which may
/// have a file of that name.
pub(crate) fn find<'a>(tree: Tree, site: &Site<'a>, selector: &[u8]) -> Result<Place<'a>, Problem> {
    let mut place = Place { tree, site: site.clone(), selector: selector.to_vec() };
    if let Some((name, rest)) = vhost::split(selector)
        && let Some(vhost) = site.vhost_of(name)
    {
        place.tree = Tree::open_root(&vhost.root)?;
        place.site.host.clone_from(&vhost.name);
        if site.vhost != Some(vhost) {
            place.site.host_prefix = [b"/;", vhost.name.as_bytes()].concat();
        }
        place.selector = rest.to_vec();
    }
    if let Some(template) = &site.settings.users
        && let Some((name, rest)) = users::split(&place.selector)
    {
        match template.open(name) {
            Ok(tree) => {
                place.tree = tree;
                place.site.user_prefix = [b"/~", name.as_bytes()].concat();
                place.selector = rest.to_vec();
            }
            Err(Problem::Absent) => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(place)
}
