//! Collects the options, one function for each honoured option.

use super::groups;
use super::values;
use super::{Line, Root, Volatile};

/// A line while it is read.
pub(crate) struct Draft {
    pub(super) line: Line,
    /// The launcher's own environment.
    pub(super) variable: fn(&str) -> Option<String>,
    pub(super) ephemeral: bool,
    pub(super) read_only: bool,
    pub(super) hostname: Option<String>,
}

type Done = Result<(), String>;

impl Draft {
    fn add(&mut self, name: &str, value: &str) {
        self.line.options.push(format!("--{name}={value}"));
    }

    fn note(&mut self, note: String) {
        self.line.notes.push(note);
    }

    pub(super) fn help(&mut self, _: &str) -> Done {
        self.line.wants_help = true;
        Ok(())
    }

    pub(super) fn version(&mut self, _: &str) -> Done {
        self.line.wants_version = true;
        Ok(())
    }

    pub(super) fn quiet(&mut self, _: &str) -> Done {
        self.line.quiet = true;
        Ok(())
    }

    pub(super) fn settings(&mut self, mode: &str) -> Done {
        self.line.without_settings = match (values::boolean(mode), mode) {
            (Some(on), _) => !on,
            (None, "override" | "trusted") => false,
            _ => return Err(format!("invalid mode '{mode}': use yes, no, override or trusted")),
        };
        Ok(())
    }

    pub(super) fn directory(&mut self, path: &str) -> Done {
        if path.is_empty() {
            return Err("the directory is missing".to_owned());
        }
        self.line.root = Root::Directory(path.to_owned());
        Ok(())
    }

    pub(super) fn ephemeral(&mut self, _: &str) -> Done {
        self.ephemeral = true;
        Ok(())
    }

    pub(super) fn read_only(&mut self, _: &str) -> Done {
        self.read_only = true;
        Ok(())
    }

    pub(super) fn volatile(&mut self, mode: &str) -> Done {
        self.line.volatile = match (mode, values::boolean(mode)) {
            ("overlay", _) => Some(Volatile::Overlay),
            ("state", _) => Some(Volatile::State),
            ("", _) | (_, Some(true)) => Some(Volatile::Yes),
            (_, Some(false)) => None,
            _ => return Err(format!("invalid mode '{mode}': use yes, state, overlay or no")),
        };
        Ok(())
    }

    pub(super) fn setenv(&mut self, text: &str) -> Done {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, (self.variable)(text)),
        };
        if name.is_empty() {
            return Err("the name of the variable is missing".to_owned());
        }
        match value {
            Some(value) => self.add("setenv", &format!("{name}={value}")),
            None => self
                .note(format!("--setenv={name}: the launcher has no such variable, so the program has none")),
        }
        Ok(())
    }

    pub(super) fn uid(&mut self, user: &str) -> Done {
        if user.is_empty() {
            return Err("the user is missing".to_owned());
        }
        self.line.user = (user != "root" && user != "0").then(|| user.to_owned());
        Ok(())
    }

    pub(super) fn user(&mut self, user: &str) -> Done {
        if user.is_empty() {
            return Err(
                "without a name it means the user's service manager, which sandboxes do not use".to_owned()
            );
        }
        self.uid(user)
    }

    pub(super) fn machine(&mut self, name: &str) -> Done {
        values::host_name(name)?;
        self.line.machine = (!name.is_empty()).then(|| name.to_owned());
        Ok(())
    }

    pub(super) fn hostname(&mut self, name: &str) -> Done {
        values::host_name(name)?;
        self.hostname = (!name.is_empty()).then(|| name.to_owned());
        Ok(())
    }

    pub(super) fn uuid(&mut self, text: &str) -> Done {
        let uuid = values::uuid(text)?;
        self.add("setenv", &format!("container_uuid={uuid}"));
        Ok(())
    }

    pub(super) fn chdir(&mut self, path: &str) -> Done {
        self.add("chdir", path);
        Ok(())
    }

    pub(super) fn oom_score_adjust(&mut self, score: &str) -> Done {
        match score.parse::<i16>() {
            Ok(0..=1000) => {
                self.add("oom-score-adjust", score);
                Ok(())
            }
            Ok(-1000..0) => {
                Err("not below 0: the kernel kills a sandbox before the host's processes".to_owned())
            }
            _ => Err(format!("invalid score '{score}': use 0 to 1000")),
        }
    }

    pub(super) fn cpu_affinity(&mut self, cpus: &str) -> Done {
        self.add("cpu-affinity", cpus);
        Ok(())
    }

    pub(super) fn kill_signal(&mut self, signal: &str) -> Done {
        self.add("kill-signal", signal);
        Ok(())
    }

    pub(super) fn rlimit(&mut self, text: &str) -> Done {
        let Some((name, limit)) = text.split_once('=') else {
            return Err(format!("invalid limit '{text}': use NAME=LIMIT, for example nofile=32"));
        };
        self.add("rlimit", &format!("{name}={limit}"));
        Ok(())
    }

    pub(super) fn timezone(&mut self, mode: &str) -> Done {
        match mode {
            "off" | "auto" => Ok(()),
            "bind" => {
                self.add("bind-ro", "/etc/localtime");
                Ok(())
            }
            _ => Err(format!("'{mode}' would write into the tree: use off, auto or bind")),
        }
    }

    /// Only the owner's writes are supported; another user would need a separate id map.
    pub(super) fn bind(&mut self, text: &str) -> Done {
        let known = |option: &str| match option {
            "norbind" | "rootidmap" | "owneridmap" => Ok(()),
            "rbind" => Err("rbind: mounts below the source are not shown".to_owned()),
            other => Err(format!("{other}: the program always writes as the owner of the source")),
        };
        let bind = values::bind(text, &known)?;
        self.add("bind", &bind);
        Ok(())
    }

    pub(super) fn bind_ro(&mut self, text: &str) -> Done {
        let known = |option: &str| match option {
            "rbind" | "noidmap" => Ok(()),
            "norbind" => Err("norbind: mounts below the source are shown too".to_owned()),
            other => Err(format!("{other}: read-only binds show ids as they are")),
        };
        let bind = values::bind(text, &known)?;
        self.add("bind-ro", &bind);
        Ok(())
    }

    pub(super) fn overlay_ro(&mut self, text: &str) -> Done {
        let stack = values::stack(text)?;
        self.add("overlay-ro", &stack);
        Ok(())
    }

    pub(super) fn system_call_filter(&mut self, list: &str) -> Done {
        let (list, prohibits) = match list.strip_prefix('~') {
            Some(list) => (list, true),
            None => (list, false),
        };
        for name in list.split_whitespace() {
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let calls = &mut self.line.calls;
            if name.starts_with('@') {
                let group = groups::calls(name).ok_or_else(|| format!("systemd has no group {name}"))?;
                let into = if prohibits { &mut calls.prohibited_groups } else { &mut calls.permitted_groups };
                into.extend(group);
            } else if is_name {
                let into = if prohibits { &mut calls.prohibited } else { &mut calls.permitted };
                into.insert(name.to_owned());
            } else {
                return Err(format!("unknown system call '{name}'"));
            }
        }
        Ok(())
    }

    pub(super) fn inaccessible(&mut self, path: &str) -> Done {
        if !path.starts_with('/') || path == "/" {
            return Err(format!("invalid path '{path}': it must be below the root"));
        }
        self.line.inaccessible.push(path.to_owned());
        Ok(())
    }

    /// A relative path is a credential that the launcher was given itself.
    pub(super) fn load_credential(&mut self, text: &str) -> Done {
        let Some((name, path)) =
            text.split_once(':').filter(|(name, path)| !name.is_empty() && !path.is_empty())
        else {
            return Err(format!("invalid credential '{text}': use ID:PATH"));
        };
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => match (self.variable)("CREDENTIALS_DIRECTORY") {
                Some(directory) => format!("{directory}/{path}"),
                None => {
                    return Err(format!(
                        "'{path}' is relative, and the launcher has no $CREDENTIALS_DIRECTORY"
                    ));
                }
            },
        };
        self.add("credential", &format!("{name}:{}", values::escaped(&path)));
        Ok(())
    }

    pub(super) fn tmpfs(&mut self, text: &str) -> Done {
        let tmpfs = values::tmpfs(text)?;
        self.add("tmpfs", &tmpfs);
        Ok(())
    }

    /// One of dayfly's own options among nspawn's.
    pub(super) fn own(&mut self, name: &str, value: Option<&str>) {
        match (name, value) {
            ("explain", _) => self.line.explain = true,
            ("json", _) => self.line.json = true,
            (_, Some(value)) => self.add(name, value),
            (_, None) => self.line.options.push(format!("--{name}")),
        }
    }

    pub(super) fn has_own(&self, name: &str) -> bool {
        let (alone, with_value) = (format!("--{name}"), format!("--{name}="));
        self.line.options.iter().any(|option| *option == alone || option.starts_with(&with_value))
    }

    /// Completes the line after the last option: the snapshot, the name, and the defaults.
    pub(super) fn finish(mut self) -> Result<Line, String> {
        if self.line.json && !self.line.explain {
            return Err(
                "--json needs --explain; for a run, use --log-format=json or --status-fd=N".to_owned()
            );
        }
        let snapshot = match (self.line.volatile, self.read_only, self.ephemeral) {
            (Some(Volatile::Overlay), false, _) => Some("overlay"),
            (Some(_), ..) | (None, true, _) => Some("readonly"),
            (None, false, true) => Some("overlay"),
            (None, false, false) => None,
        };
        match snapshot {
            _ if self.has_own("snapshot") => {}
            Some(kind) => self.add("snapshot", kind),
            None => {
                return Err("the program would change the tree: give -x (--ephemeral), --read-only or \
                            --volatile= (--volatile=overlay)"
                    .to_owned());
            }
        }
        if self.line.volatile == Some(Volatile::State) {
            self.line.options.insert(0, "--tmpfs=/var".to_owned());
        }
        let machine = self.line.machine.clone();
        if let (Some(name), Root::Here) = (&machine, &self.line.root) {
            self.line.root = Root::Machine(name.clone());
        }
        if let Some(name) = self.hostname.take().or(machine) {
            self.add("hostname", &name);
        }
        self.line.chose_profile = !self.has_own("profile");
        if self.line.chose_profile {
            self.add("profile", "tree");
        }
        if !self.has_own("init") {
            self.add("init", "yes");
        }
        Ok(self.line)
    }
}
