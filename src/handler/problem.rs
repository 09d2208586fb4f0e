//! Reasons why a request does not get what it asked for: one value, two audiences.

/// The client reads [`Problem::message`], which tells nothing about the tree; the log has
/// [`Problem::status`], which does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    /// There is nothing of this name; another reading of the selector may still fit.
    Absent,
    /// The selector holds `..`, a name that begins with a dot, or NUL.
    Forbidden,
    /// The path leaves the tree, or its mode keeps it from the world.
    Unreadable,
    /// A FIFO, a device, a socket.
    Special,
    /// A program, and programs are not run.
    Program,
    /// A `URL:` selector whose scheme is not one to redirect to.
    Scheme,
    TooLong,
    TimedOut,
    /// The configuration could not be read, or has an error.
    Misconfigured,
    /// The content root could not be opened.
    NoRoot,
    /// This kernel has no openat2(2). There is no second way to open a path: it would be a weaker one.
    NoOpenat2,
}

impl Problem {
    /// Every way of not finding something reads the same, so an answer does not tell a hidden file from none.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Problem::TooLong => "Selector too long",
            Problem::TimedOut => "No request in time",
            Problem::Misconfigured | Problem::NoRoot | Problem::NoOpenat2 => "Service unavailable",
            Problem::Scheme => "Not a link to follow",
            Problem::Absent
            | Problem::Forbidden
            | Problem::Unreadable
            | Problem::Special
            | Problem::Program => "Not found",
        }
    }

    pub(crate) fn status(self) -> &'static str {
        match self {
            Problem::Absent => "not-found",
            Problem::Forbidden => "forbidden",
            Problem::Unreadable => "unreadable",
            Problem::Special => "special-file",
            Problem::Program => "exec-off",
            Problem::Scheme => "scheme",
            Problem::TooLong => "too-long",
            Problem::TimedOut => "timeout",
            Problem::Misconfigured => "misconfigured",
            Problem::NoRoot => "no-root",
            Problem::NoOpenat2 => "no-openat2",
        }
    }
}
