//! The words of a command line as getopt_long(3) with `+` reads them: options end at the first word that is
//! none.

use super::table::{Known, OPTIONS, OWN, Takes, takes};

/// One option as it was given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) option: Which,
    pub(super) value: Option<String>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    Nspawn(&'static Known),
    /// The name of one of dayfly's.
    Own(&'static str),
}

impl Which {
    fn takes(self) -> Takes {
        match self {
            Which::Nspawn(known) => known.takes(),
            Which::Own(name) => {
                takes(OWN.iter().find(|(own, _)| *own == name).map_or("", |(_, argument)| argument))
            }
        }
    }
}

/// The options in their order, and the command.
pub(super) fn read(words: &[String]) -> Result<(Vec<Given>, &[String]), String> {
    let mut options = Vec::new();
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        if word == "--" {
            return Ok((options, after));
        }
        rest = match (word.strip_prefix("--"), word.strip_prefix('-')) {
            (Some(long), _) => read_long(long, after, &mut options)?,
            (None, Some(letters)) if !letters.is_empty() => read_short(letters, after, &mut options)?,
            _ => return Ok((options, rest)),
        };
    }
    Ok((options, rest))
}

/// `--name`, `--name=value`, `--name value`. Answers what is left.
fn read_long<'w>(text: &str, after: &'w [String], options: &mut Vec<Given>) -> Result<&'w [String], String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let option = find_long(name)?;
    let (value, after) = match (option.takes(), value) {
        (Takes::Nothing, Some(_)) => return Err(format!("--{name} takes no argument")),
        (Takes::Argument, None) => match after.split_first() {
            Some((next, rest)) => (Some(next.clone()), rest),
            None => return Err(format!("--{name} needs an argument")),
        },
        (Takes::Optional, None) if is_user(option) => user_behind(after),
        (_, value) => (value, after),
    };
    options.push(Given { option, value });
    Ok(after)
}

/// `--user NAME` is the older form of --uid. It still works if the next word does not look like an option.
fn user_behind(after: &[String]) -> (Option<String>, &[String]) {
    match after.split_first() {
        Some((next, rest)) if !next.starts_with('-') => (Some(next.clone()), rest),
        _ => (None, after),
    }
}

fn is_user(option: Which) -> bool {
    matches!(option, Which::Nspawn(known) if known.long == "user")
}

/// A cluster of short options; the first that takes an argument takes the rest of the word, or the next word.
fn read_short<'w>(
    letters: &str,
    mut after: &'w [String],
    options: &mut Vec<Given>,
) -> Result<&'w [String], String> {
    let mut rest = letters.chars();
    while let Some(letter) = rest.next() {
        let Some(known) = OPTIONS.iter().find(|known| known.short == Some(letter)) else {
            return Err(format!("unknown option -{letter}"));
        };
        let mut value = None;
        let takes = known.takes() == Takes::Argument;
        if takes && !rest.as_str().is_empty() {
            value = Some(rest.as_str().to_owned());
        } else if takes {
            let Some((next, left)) = after.split_first() else {
                return Err(format!("-{letter} needs an argument"));
            };
            value = Some(next.clone());
            after = left;
        }
        options.push(Given { option: Which::Nspawn(known), value });
        if takes {
            break;
        }
    }
    Ok(after)
}

/// Finds an option by its name, or by a beginning that only one of nspawn's options has.
fn find_long(name: &str) -> Result<Which, String> {
    if let Some(known) = OPTIONS.iter().find(|known| known.long == name && !name.is_empty()) {
        return Ok(Which::Nspawn(known));
    }
    if let Some((own, _)) = OWN.iter().find(|(own, _)| *own == name) {
        return Ok(Which::Own(own));
    }
    let begin = |known: &&Known| !name.is_empty() && known.long.starts_with(name);
    let mut candidates = OPTIONS.iter().filter(begin);
    match (candidates.next(), candidates.next()) {
        (Some(known), None) => Ok(Which::Nspawn(known)),
        (Some(one), Some(two)) => {
            Err(format!("--{name} is ambiguous: it can mean --{}, --{} or others", one.long, two.long))
        }
        (None, _) => Err(format!("unknown option --{name}")),
    }
}
