//! Search, item type 7: over the names, titles and texts that a reader could reach by following links.
//!
//! Only what pages link to is looked at, so a file that is hidden or just not linked does not come up.
//! Everything has a bound, and a search that met one says so.

use std::io;
use std::time::{Duration, Instant};

use crate::clean;
use crate::crawl::{Crawl, Found};
use crate::menu::{self, Menu, Sink};
use crate::output::Output;
use crate::site::Site;
use crate::tree::Tree;

const WORDS_MAX: usize = 8;
const RESULTS_MAX: usize = 100;

/// How long a search may take; what was found until then is shown.
const SEARCH_DEADLINE: Duration = Duration::from_secs(2);

/// Columns of the line that shows where a text has the words.
const EXCERPT_COLUMNS: usize = 64;

/// The words of a search, and the selector that it starts from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query {
    below: Vec<u8>,
    words: Vec<String>,
}

/// A request to search, if the selector is one: the search's own, or with the directory to search after it.
/// Words follow a TAB, or a `?` where a client made a URL of it.
pub(crate) fn query(site: &Site<'_>, selector: &[u8], extra: Option<&[u8]>) -> Option<Query> {
    let ours = site.settings.search.as_deref()?;
    let rest = selector.strip_prefix(ours).or_else(|| selector.strip_prefix(ours.strip_prefix(b"/")?))?;
    let (below, after) = match rest.iter().position(|&byte| byte == b'?') {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    if !below.is_empty() && !below.starts_with(b"/") {
        return None;
    }
    let typed = match (extra, after) {
        (Some(extra), _) => extra.split(|&byte| byte == b'\t').next().unwrap_or_default().to_vec(),
        (None, Some(after)) => clean::decoded(
            &after.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect::<Vec<_>>(),
        ),
        (None, None) => Vec::new(),
    };
    let lower = String::from_utf8_lossy(&typed).to_lowercase();
    let words = lower.split_whitespace().take(WORDS_MAX).map(str::to_owned).collect();
    Some(Query { below: below.to_vec(), words })
}

pub(crate) fn answer(tree: &Tree, site: &Site<'_>, query: &Query, output: &mut Output<'_>) -> io::Result<()> {
    page(tree, site, query, output)?;
    menu::end(output)
}

/// A page of what was found: first what is named so, then what says so.
pub(crate) fn page(tree: &Tree, site: &Site<'_>, query: &Query, sink: &mut dyn Sink) -> io::Result<()> {
    let (mut named, mut saying) = (Vec::new(), Vec::new());
    let mut crawl = Crawl::new(tree, site, Instant::now() + SEARCH_DEADLINE).with_texts();
    if !query.words.is_empty() {
        crawl.follow(&query.below, &mut |found| {
            match matching(&query.words, &found) {
                Some(Match::Name) => named.push((found.item_type, found.name, found.selector, None)),
                Some(Match::Text(line)) => {
                    saying.push((found.item_type, found.name, found.selector, Some(line)))
                }
                None => {}
            }
            named.len() + saying.len() < RESULTS_MAX
        })?;
    }
    let mut menu = Menu::new(sink, site);
    let shown = query.words.join(" ");
    menu.title(format!("Search: {shown}").as_bytes())?;
    menu.info(b"")?;
    if query.words.is_empty() {
        menu.info(b"Type one word or several; all of them must occur.")?;
    } else if named.is_empty() && saying.is_empty() {
        menu.info(b"Nothing found.")?;
    }
    let cut = crawl.cut || named.len() + saying.len() >= RESULTS_MAX;
    for (item_type, name, selector, line) in named.into_iter().chain(saying) {
        menu.own(item_type, &name, &selector)?;
        if let Some(line) = line {
            menu.info(format!("    {line}").as_bytes())?;
        }
    }
    if cut {
        menu.info(b"")?;
        menu.info(b"(there may be more: the search reached its limit)")?;
    }
    Ok(())
}

enum Match {
    Name,
    Text(String),
}

/// Every word must occur, wherever; the line shown is the first that has one of those that are not in
/// the name.
fn matching(words: &[String], found: &Found) -> Option<Match> {
    let name = String::from_utf8_lossy(&found.name).to_lowercase();
    let missing: Vec<&String> = words.iter().filter(|word| !name.contains(word.as_str())).collect();
    if missing.is_empty() {
        return Some(Match::Name);
    }
    let text = String::from_utf8_lossy(&found.text);
    let lower = text.to_lowercase();
    if !missing.iter().all(|word| lower.contains(word.as_str())) {
        return None;
    }
    let has = |line: &str| missing.iter().any(|word| line.to_lowercase().contains(word.as_str()));
    let line = text.lines().find(|line| has(line)).unwrap_or_default();
    Some(Match::Text(line.trim().chars().take(EXCERPT_COLUMNS).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn words(selector: &str, extra: Option<&[u8]>) -> Option<(String, Vec<String>)> {
        let settings = Settings::default();
        let site = Site::find(&settings, io::stdin());
        let query = query(&site, selector.as_bytes(), extra)?;
        Some((String::from_utf8_lossy(&query.below).into_owned(), query.words))
    }

    #[test]
    fn words_come_after_a_tab_or_a_question_mark() {
        let expected = Some((String::new(), vec!["foo".to_owned(), "bar".to_owned()]));
        assert_eq!(words("/search", Some(b" Foo  bar")), expected);
        assert_eq!(words("search", Some(b"foo bar\t+")), expected);
        assert_eq!(words("/search?foo+bar", None), expected);
        assert_eq!(words("/search?foo%20BAR", None), expected);
    }

    #[test]
    fn a_directory_may_follow() {
        assert_eq!(words("/search/a/b", Some(b"x")), Some(("/a/b".to_owned(), vec!["x".to_owned()])));
        assert_eq!(words("/searching", Some(b"x")), None);
        assert_eq!(words("/x", Some(b"x")), None);
    }

    #[test]
    fn words_are_bounded() {
        assert_eq!(
            words("/search", Some(&b"w ".repeat(1000))).map(|(_, words)| words.len()),
            Some(WORDS_MAX)
        );
    }
}
