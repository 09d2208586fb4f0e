//! Whether the item type of a link fits what the link leads to.

/// A client does by the type what it cannot do for another kind of file: it shows a picture as text, or
/// breaks the lines of an archive. `9` is right for every file, as it is saved.
pub(super) fn fits(link: u8, file: u8) -> bool {
    match link {
        b'9' | b'+' => true,
        b'0' => b"0hcM64".contains(&file),
        b'h' => file == b'h',
        b'I' | b'p' | b':' => b"Ig".contains(&file),
        b'g' => file == b'g',
        b's' | b'<' => file == b's',
        b';' => file == b';',
        b'5' | b'P' | b'r' | b'x' => b"59".contains(&file),
        b'd' => b"590h".contains(&file),
        b'6' | b'c' | b'M' | b'4' => file == link || file == b'0',
        b'1' | b'7' => false,
        _ => true,
    }
}

/// A type in words.
pub(super) fn kind(file: u8) -> &'static str {
    match file {
        b'0' => "a text",
        b'h' => "a web page or XML",
        b'I' | b'g' => "a picture",
        b's' => "a sound",
        b';' => "a video",
        b'5' => "an archive",
        _ => "a binary file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_fits_files_that_clients_can_show_by_it() {
        for (link, file) in
            [(b'0', b'0'), (b'0', b'h'), (b'9', b'I'), (b'I', b'g'), (b'5', b'9'), (b'P', b'9')]
        {
            assert!(fits(link, file), "{} {}", char::from(link), char::from(file));
        }
        for (link, file) in
            [(b'0', b'I'), (b'0', b'9'), (b'g', b'I'), (b's', b'0'), (b'h', b'0'), (b'7', b'0')]
        {
            assert!(!fits(link, file), "{} {}", char::from(link), char::from(file));
        }
    }
}
