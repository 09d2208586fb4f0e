//! Values of nspawn's options, as its manual writes them.

/// A boolean as systemd reads it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// Whether a value is one of those; booleans may be written in any way.
pub(super) fn is_among(value: &str, accepted: &[&str]) -> bool {
    let spelt = match boolean(value) {
        Some(true) => "yes",
        Some(false) => "no",
        None => value,
    };
    accepted.iter().any(|one| *one == value || *one == spelt)
}

/// A name as hosts have: labels of letters, digits and `-`, at most 64 bytes. Empty: none.
pub(super) fn host_name(name: &str) -> Result<(), String> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.is_empty() || (name.len() <= 64 && name.split('.').all(label)) {
        Ok(())
    } else {
        Err(format!("invalid host name '{name}'"))
    }
}

/// 32 hexadecimal digits, with or without the four dashes, not all zero; answered with them.
pub(super) fn uuid(text: &str) -> Result<String, String> {
    let error = || format!("invalid UUID '{text}': use 32 hexadecimal digits that are not all zero");
    let dashed =
        text.len() == 36 && text.char_indices().all(|(at, c)| (c == '-') == [8, 13, 18, 23].contains(&at));
    let digits: String = if dashed { text.replace('-', "") } else { text.to_owned() };
    let digits = digits.to_ascii_lowercase();
    let sound = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !sound || digits.bytes().all(|byte| byte == b'0') {
        return Err(error());
    }
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    Ok([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}

/// Splits at `:`, which `\:` writes literally.
fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            ':' => {
                fields.push(String::new());
                continue;
            }
            '\\' if chars.as_str().starts_with(':') => chars.next(),
            '\\' => return Err(format!("'{text}': a backslash is for a colon in a path only")),
            other => Some(other),
        };
        if let Some(field) = fields.last_mut() {
            field.extend(literal);
        }
    }
    Ok(fields)
}

/// A path as --bind-ro of `run` writes it.
pub(super) fn escaped(path: &str) -> String {
    path.replace(':', "\\:")
}

/// `PATH[:PATH[:OPTIONS]]` as `SRC:DST` of `run`; `known` judges each option.
pub(super) fn bind(text: &str, known: &dyn Fn(&str) -> Result<(), String>) -> Result<String, String> {
    let fields = fields(text)?;
    let (source, target, options) = match fields.as_slice() {
        [source] => (source, source, ""),
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options.as_str()),
        _ => return Err(format!("invalid bind '{text}': use PATH, PATH:PATH or PATH:PATH:OPTIONS")),
    };
    if source.is_empty() {
        return Err("an empty source would be a directory that stays: use --tmpfs".to_owned());
    }
    if source.starts_with('+') {
        return Err(format!("'{source}' is in the tree itself: give its path on the host"));
    }
    options.split(',').filter(|option| !option.is_empty()).try_for_each(known)?;
    let target = if target.is_empty() { source } else { target };
    Ok(format!("{}:{}", escaped(source), escaped(target)))
}

/// `PATH:PATH[:PATH...]:PATH` as `PATH:PATH:DST` of `run`; of two paths the second is both a layer and the
/// place.
pub(super) fn stack(text: &str) -> Result<String, String> {
    let mut fields = fields(text)?;
    if let [_lowest, highest] = fields.as_slice() {
        fields.push(highest.clone());
    }
    if fields.len() < 3 || fields.contains(&String::new()) {
        return Err(format!("invalid overlay '{text}': use PATH:PATH or PATH:PATH:PATH, none of them empty"));
    }
    if let Some(own) = fields.iter().find(|path| path.starts_with('+')) {
        return Err(format!("'{own}' is in the tree itself: give its path on the host"));
    }
    Ok(fields.iter().map(|path| escaped(path)).collect::<Vec<_>>().join(":"))
}

/// `PATH[:OPTIONS]`, options of tmpfs(5), as `PATH:SIZE,INODES` of `run`.
pub(super) fn tmpfs(text: &str) -> Result<String, String> {
    let fields = fields(text)?;
    let (path, options) = match fields.as_slice() {
        [path] => (path, ""),
        [path, options] => (path, options.as_str()),
        _ => return Err(format!("invalid tmpfs '{text}': use PATH or PATH:OPTIONS")),
    };
    if path == "/" {
        return Err("the snapshot makes the root writable: use -x".to_owned());
    }
    let (mut size, mut inodes) = (String::new(), String::new());
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", bytes)) => size = bytes.to_ascii_uppercase(),
            Some(("nr_inodes", number)) => inodes = format!(",{number}"),
            _ => is_mount_flag(option)?,
        }
    }
    Ok(match size.is_empty() && inodes.is_empty() {
        true => escaped(path),
        false => format!("{}:{size}{inodes}", escaped(path)),
    })
}

fn is_mount_flag(option: &str) -> Result<(), String> {
    let known = ["nosuid", "nodev", "noexec", "noatime", "rw", "mode=1777", "mode=01777"];
    match known.contains(&option) {
        true => Ok(()),
        false => Err(format!("{option}: there are size=, nr_inodes=, mode=1777, nosuid, nodev and noexec")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_with_its_dashes() {
        let dashed = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(uuid("0123456789ABCDEF0123456789abcdef"), Ok(dashed.to_owned()));
        assert_eq!(uuid(dashed), Ok(dashed.to_owned()));
        for wrong in ["", "00000000000000000000000000000000", "0123", "g123456789abcdef0123456789abcdef"] {
            assert!(uuid(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bind_keeps_its_colons_and_refuses_what_it_cannot_be() {
        let known = |option: &str| match option {
            "rbind" | "noidmap" => Ok(()),
            other => Err(other.to_owned()),
        };
        let bind = |text: &str| bind(text, &known);
        assert_eq!(bind("/a"), Ok("/a:/a".to_owned()));
        assert_eq!(bind("/a\\:b:/c:rbind,noidmap"), Ok("/a\\:b:/c".to_owned()));
        for wrong in ["", "+/a", "/a:/b:norbind", "/a:/b:idmap", "/a:/b:rbind:x", "/a\\nb"] {
            assert!(bind(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tmpfs_has_the_options_of_its_mount() {
        assert_eq!(tmpfs("/x"), Ok("/x".to_owned()));
        assert_eq!(tmpfs("/x:size=5m,mode=1777,nodev"), Ok("/x:5M".to_owned()));
        assert_eq!(tmpfs("/x:nr_inodes=7"), Ok("/x:,7".to_owned()));
        for wrong in ["/", "/x:mode=0700", "/x:ro", "/x:uid=3", "/x:size=1m:y", "/x:huge=always"] {
            assert!(tmpfs(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_host_name_has_labels() {
        for right in ["", "a", "gopher.example.org", "x-1"] {
            assert_eq!(host_name(right), Ok(()), "{right}");
        }
        for wrong in [".", "a..b", "-a", "a b", "a/b", "ä"] {
            assert!(host_name(wrong).is_err(), "{wrong}");
        }
    }
}
