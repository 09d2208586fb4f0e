//! The lines of gemtext, the menu and text format of Gemini, as the lines of a gopher menu.

/// Columns that a line of prose is broken at: in gemtext a paragraph is one line, and gopher clients do not
/// break lines.
const COLUMNS_MAX: usize = 67;

/// A line of a page made from gemtext.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Text(String),
    Title(String),
    /// `=> target label`; the label is the target where there is none.
    Link {
        target: &'a str,
        label: &'a str,
    },
}

/// Reads a whole text. What is not UTF-8 in it is shown as replacement characters by the caller.
pub(crate) fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let (mut preformatted, mut titled) = (false, false);
    for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
        if line.starts_with("```") {
            preformatted = !preformatted;
        } else if preformatted {
            lines.push(Line::Text(line.to_owned()));
        } else if let Some((target, label)) = line.strip_prefix("=>").and_then(link) {
            lines.push(Line::Link { target, label });
        } else if let Some(title) = line.strip_prefix("# ").filter(|_| !titled) {
            titled = true;
            lines.push(Line::Title(title.trim().to_owned()));
        } else {
            lines.extend(broken(line).into_iter().map(Line::Text));
        }
    }
    lines
}

fn link(rest: &str) -> Option<(&str, &str)> {
    let rest = rest.trim();
    let (target, label) = rest.split_once([' ', '\t']).unwrap_or((rest, rest));
    (!target.is_empty()).then_some((target, label.trim()))
}

/// A line broken at blanks, continued as far in as its mark: quotes and list items keep theirs.
fn broken(line: &str) -> Vec<String> {
    let mark = match line {
        _ if line.starts_with("* ") => "  ",
        _ if line.starts_with('>') => "> ",
        _ => "",
    };
    let mut rows = Vec::new();
    let mut row = String::new();
    for word in line.split_whitespace() {
        let columns = row.chars().count() + 1 + word.chars().count();
        if !row.is_empty() && columns > COLUMNS_MAX {
            rows.push(std::mem::replace(&mut row, format!("{mark}{word}")));
        } else {
            row = if row.is_empty() { word.to_owned() } else { format!("{row} {word}") };
        }
    }
    rows.push(row);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> Line<'_> {
        Line::Text(line.to_owned())
    }

    #[test]
    fn every_kind_of_line_is_known() {
        let page =
            lines("# Home\n## News\n\n=> gemini://example.org/ A friend\n=>a.txt\n=>\n* item\n> said\n");
        let expected = [
            Line::Title("Home".to_owned()),
            text("## News"),
            text(""),
            Line::Link { target: "gemini://example.org/", label: "A friend" },
            Line::Link { target: "a.txt", label: "a.txt" },
            text("=>"),
            text("* item"),
            text("> said"),
        ];
        assert_eq!(page, expected);
    }

    #[test]
    fn preformatted_lines_are_kept() {
        assert_eq!(lines("```art\n  /\\  =>\n# no title\n```\n"), [text("  /\\  =>"), text("# no title")]);
    }

    #[test]
    fn a_paragraph_is_broken_at_blanks() {
        let line = format!("* {}", "word ".repeat(30));
        let rows = broken(&line);
        assert!(rows.len() > 1 && rows.iter().all(|row| row.chars().count() <= COLUMNS_MAX), "{rows:?}");
        assert!(rows[1].starts_with("  word"), "{rows:?}");
        assert_eq!(broken(&"x".repeat(100)), ["x".repeat(100)]);
    }
}
