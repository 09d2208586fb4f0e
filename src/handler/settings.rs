//! Everything that an operator can set: the defaults, then the configuration file, then the command line.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::charset::Charset;
use crate::cli::Options;
use crate::config;
use crate::users::Template;
use crate::vhost::Vhost;

/// The longest configuration file that is read.
const CONFIG_BYTES_MAX: u64 = 256 * 1024;

/// Everything that can be set. The field's name is the key in the file; docs/gopher-handler.md says what each
/// is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) root: PathBuf,
    /// The configured name; None: the address that the client reached.
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) vhosts: Vec<Vhost>,
    pub(crate) users: Option<Template>,
    /// The pages of a new account: a user who has no others is not listed.
    pub(crate) users_skeleton: Option<PathBuf>,
    /// The selector of the search; `None` is off.
    pub(crate) search: Option<Vec<u8>>,
    /// The selector of the statistics; `None` is off.
    pub(crate) stats: Option<Vec<u8>>,
    pub(crate) stats_file: PathBuf,
    /// The name, in any directory, of its feed; `None` is off.
    pub(crate) feed: Option<Vec<u8>>,
    /// The name, in any directory, of the page with its newest texts; `None` is off.
    pub(crate) latest: Option<Vec<u8>>,
    pub(crate) latest_entries: usize,
    /// How many rows of a listing are on a page.
    pub(crate) page_rows: usize,
    pub(crate) gopher_plus: bool,
    /// Files of gemtext are shown as menus.
    pub(crate) gemtext_menus: bool,
    /// The port where a TLS proxy takes connections for us, for `caps.txt`.
    pub(crate) tls_port: Option<u16>,
    pub(crate) strict_rfc1436: bool,
    pub(crate) charset: Charset,
    /// Colour sequences stay in menus.
    pub(crate) colors: bool,
    pub(crate) dialect: Dialect,
    /// Directories whose listings, and those below them, have the newest first.
    pub(crate) newest_first: Vec<Vec<u8>>,
    /// A map above, and one below, each listing of a directory without a map: a name in it, or a path from
    /// the root.
    pub(crate) header: Option<Vec<u8>>,
    pub(crate) footer: Option<Vec<u8>>,
    pub(crate) parent_link: bool,
    /// Patterns of names that are not listed.
    pub(crate) hide: Vec<Vec<u8>>,
    pub(crate) http_hint: bool,
    pub(crate) admin: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) log_format: LogFormat,
    pub(crate) hide_addresses: bool,
}

/// Whether the first character of a map's line can be a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Gophernicus,
    Bucktooth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Fields,
    Combined,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            root: PathBuf::from("/srv/gopher"),
            host: None,
            port: None,
            vhosts: Vec::new(),
            users: None,
            users_skeleton: None,
            search: Some(b"/search".to_vec()),
            stats: None,
            stats_file: PathBuf::from("/run/dayfly/stats.json"),
            feed: Some(b"feed.xml".to_vec()),
            latest: Some(b"latest".to_vec()),
            latest_entries: 20,
            page_rows: 1000,
            gopher_plus: true,
            gemtext_menus: true,
            tls_port: None,
            strict_rfc1436: false,
            charset: Charset::AsItIs,
            colors: false,
            dialect: Dialect::Gophernicus,
            newest_first: Vec::new(),
            header: None,
            footer: None,
            parent_link: true,
            hide: Vec::new(),
            http_hint: true,
            admin: None,
            description: None,
            location: None,
            log_format: LogFormat::Fields,
            hide_addresses: false,
        }
    }
}

impl Settings {
    /// The defaults, then the file, then the options of the command line.
    pub(crate) fn load(options: &Options) -> Result<Settings, String> {
        let mut settings = Settings::default();
        if let Some(path) = &options.config {
            let text = read(path)?;
            config::apply(&text, &mut settings).map_err(|wrong| format!("{}:{wrong}", path.display()))?;
        }
        if let Some(root) = &options.root {
            settings.root.clone_from(root);
        }
        settings.host = options.host.clone().or(settings.host);
        settings.port = options.port.or(settings.port);
        Ok(settings)
    }
}

fn read(path: &Path) -> Result<String, String> {
    let said = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(said)?;
    file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text).map_err(said)?;
    match text.len() as u64 {
        0..=CONFIG_BYTES_MAX => Ok(text),
        _ => Err(format!("{}: longer than {CONFIG_BYTES_MAX} bytes", path.display())),
    }
}
