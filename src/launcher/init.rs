//! `dayfly init`: the files that a service of one's own begins with.

use crate::config::ConfigError;
use crate::log::{self, Verbosity};
use crate::output::stdout_line;
use crate::programs;
use crate::unit;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct InitOptions {
    /// Name of the service: of its file and its units
    name: String,
    /// Static program that is its handler: it is put into a new template
    #[arg(long, value_name = "FILE")]
    handler: Option<PathBuf>,
    /// Address for the socket unit: ADDR:PORT, :PORT or unix:PATH
    #[arg(long, value_name = "ADDRESS", default_value = ":7070")]
    listen: String,
    /// Existing directory for all files, in the place of /etc/dayfly, /etc/systemd/system and /srv/dayfly
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Where the files of a service go.
#[derive(Debug)]
struct Places {
    service: PathBuf,
    units: PathBuf,
    template: PathBuf,
}

impl Places {
    fn of(given: &InitOptions) -> Result<Places, ConfigError> {
        let name = &given.name;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(ConfigError::usage(format!("invalid name '{name}': use letters, digits, _ and -")));
        }
        let file = format!("{name}.toml");
        Ok(match &given.output {
            None => Places {
                service: Path::new("/etc/dayfly").join(file),
                units: PathBuf::from("/etc/systemd/system"),
                template: Path::new("/srv/dayfly").join(name),
            },
            Some(directory) => {
                let directory =
                    fs::canonicalize(directory).map_err(|error| failed("use", directory, &error))?;
                Places { service: directory.join(file), template: directory.join(name), units: directory }
            }
        })
    }

    /// Refuses to overwrite a file.
    fn require_absent(&self, name: &str, with_template: bool) -> Result<(), ConfigError> {
        let units = ["socket", "service"].map(|kind| self.units.join(format!("{name}.{kind}")));
        let template = with_template.then(|| self.template.clone());
        match [self.service.clone()].into_iter().chain(units).chain(template).find(|path| path.exists()) {
            None => Ok(()),
            Some(path) => Err(ConfigError::usage(format!(
                "{} is there already: remove it, or choose another name",
                path.display()
            ))),
        }
    }
}

pub(crate) fn main(given: &InitOptions) -> u8 {
    log::init(None, Verbosity::Normal, false);
    match init(given) {
        Ok(()) => 0,
        Err(error) => {
            log::fatal(&error.message);
            error.kind.status()
        }
    }
}

fn init(given: &InitOptions) -> Result<(), ConfigError> {
    let (name, places) = (&given.name, Places::of(given)?);
    places.require_absent(name, given.handler.is_some())?;
    let command = match &given.handler {
        Some(handler) => make_template(handler, &places.template)?,
        None => format!("/bin/{name}"),
    };
    let directory = places.service.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory).map_err(|error| failed("make", directory, &error))?;
    write_new(&places.service, &service_file(name, &places.template, &command))?;
    let argument =
        if given.output.is_some() { places.service.display().to_string() } else { name.to_owned() };
    for path in unit::write_new(&argument, &given.listen, &places.units)? {
        stdout_line(&format!("wrote {}", path.display()));
    }
    if given.handler.is_none() {
        stdout_line(&format!(
            "next: dayfly template build --handler FILE:{command} {}",
            places.template.display()
        ));
    }
    stdout_line(&format!("next: dayfly check {argument}"));
    stdout_line(&format!("then: systemctl daemon-reload && systemctl enable --now {name}.socket"));
    Ok(())
}

/// Runs the program that makes templates. Returns the handler's path in the template.
fn make_template(handler: &Path, template: &Path) -> Result<String, ConfigError> {
    let file = handler.file_name().and_then(|name| name.to_str()).filter(|_| handler.is_file());
    let Some(file) = file else {
        return Err(ConfigError::usage(format!("--handler: {} is no file", handler.display())));
    };
    let above = template.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(above).map_err(|error| failed("make", above, &error))?;
    let words = [format!("--handler={}", handler.display()), template.display().to_string()];
    let words = ["build".to_owned()].into_iter().chain(words);
    if !programs::succeeds("template", words) {
        return Err(ConfigError::usage(format!("cannot make the template {}", template.display())));
    }
    stdout_line(&format!("wrote {}", template.display()));
    Ok(format!("/bin/{file}"))
}

fn service_file(name: &str, template: &Path, command: &str) -> String {
    let template = template.display();
    format!(
        "# The service {name}. Keys are the long options of `dayfly run` and `dayfly serve`: see dayfly.toml(5).\n\
         \n\
         # What a sandbox sees as /.\n\
         template = {template:?}\n\
         \n\
         # The command, by its path inside the template: a static program.\n\
         handler = [{command:?}]\n\
         \n\
         # The handler writes no file, so that all sandboxes share the template. For one that does: \"overlay\".\n\
         snapshot = \"readonly\"\n\
         \n\
         # Content of the host, read-only. The mount point must be in the template.\n\
         # bind_ro = [\"/srv/{name}\"]\n\
         \n\
         # Limits of each connection.\n\
         # wall_time = \"60s\"\n\
         # memory = \"64M\"\n",
        template = template.to_string(),
    )
}

fn write_new(path: &Path, text: &str) -> Result<(), ConfigError> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    made.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| failed("write", path, &error))?;
    stdout_line(&format!("wrote {}", path.display()));
    Ok(())
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> ConfigError {
    ConfigError::usage(format!("cannot {what} {}: {error}", path.display()))
}
