//! Certificates made by openssl(1) for one test.

use common::{Site, site};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name that the server's certificates are for.
pub(crate) const NAME: &str = "gopher.example";

/// A CA, in a directory of its own.
#[derive(Debug)]
pub(crate) struct Authority {
    directory: PathBuf,
}

/// A certificate chain and its key.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(site: &mut Site, name: &str) -> Authority {
        let directory = site.directory().join(name);
        site::make_directory(&directory, 0o755);
        let authority = Authority { directory };
        let words = ["req", "-x509", "-days", "30", "-nodes", "-newkey", "ec", "-pkeyopt"];
        let more = ["ec_paramgen_curve:P-256", "-keyout", "ca.key", "-out", "ca.pem", "-subj"];
        authority.openssl(&[&words[..], &more, &[&format!("/CN={name}")]].concat());
        let settings = "[ca]\ndefault_ca=x\n[x]\ndatabase=index\nserial=serial\ncrlnumber=crlnumber\n\
                        new_certs_dir=.\nunique_subject=no\ndefault_md=sha256\npolicy=p\ncopy_extensions=copy\n\
                        [p]\ncommonName=supplied\n";
        authority.write("ca.conf", settings);
        authority.write("index", "");
        authority.write("serial", "1000\n");
        authority.write("crlnumber", "1000\n");
        site.settle();
        authority
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("ca.pem")
    }

    fn write(&self, name: &str, content: &str) {
        site::write(&self.path(name), content.as_bytes(), 0o644);
    }

    fn openssl(&self, words: &[&str]) {
        let openssl = common::program("openssl").expect("openssl");
        let done = Command::new(openssl).args(words).current_dir(&self.directory).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "openssl {words:?}: {said}");
    }

    /// Signs a certificate for this name, in force between these times.
    fn sign_for(&self, site: &mut Site, name: &str, times: [&str; 2]) -> Pair {
        let (key, request, certificate) =
            (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let subject = format!("/CN={name}");
        let names = format!("subjectAltName=DNS:{name}");
        self.openssl(&[
            "req",
            "-new",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-keyout",
            &key,
            "-out",
            &request,
            "-subj",
            &subject,
            "-addext",
            &names,
        ]);
        let [from, to] = times;
        self.openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "ca.conf",
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca.key",
            "-in",
            &request,
            "-out",
            &certificate,
            "-startdate",
            from,
            "-enddate",
            to,
        ]);
        site::set_mode(&self.path(&key), 0o600);
        site.settle();
        Pair { certificate: self.path(&certificate), key: self.path(&key) }
    }

    pub(crate) fn sign(&self, site: &mut Site, name: &str) -> Pair {
        self.sign_for(site, name, ["20200101000000Z", "20491231235959Z"])
    }

    pub(crate) fn sign_expired(&self, site: &mut Site, name: &str) -> Pair {
        self.sign_for(site, name, ["20200101000000Z", "20200201000000Z"])
    }

    /// Signs another CA, with a key of its own.
    pub(crate) fn sign_authority(&self, site: &mut Site, name: &str) -> Authority {
        let below = Authority::new(site, name);
        let (subject, extension) = (format!("/CN={name}"), "basicConstraints=critical,CA:true");
        let request = ["req", "-new", "-key", "ca.key", "-out", "ca.csr", "-subj"];
        below.openssl(&[&request[..], &[&subject, "-addext", extension]].concat());
        let [from, to] = ["ca.csr", "ca.pem"].map(|name| below.path(name).display().to_string());
        let common =
            ["ca", "-batch", "-notext", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key"];
        self.openssl(&[&common[..], &["-days", "30", "-in", &from, "-out", &to]].concat());
        site.settle();
        below
    }

    /// Revokes the certificate, and writes the list.
    pub(crate) fn revoke(&self, site: &mut Site, pair: &Pair) -> PathBuf {
        self.revoke_again(pair);
        site.settle();
        self.path("crl.pem")
    }

    /// The same while a server has the list.
    pub(crate) fn revoke_again(&self, pair: &Pair) {
        let certificate = pair.certificate.to_str().unwrap();
        let common = ["ca", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key"];
        self.openssl(&[&common[..], &["-revoke", certificate]].concat());
        self.openssl(&[&common[..], &["-gencrl", "-crldays", "30", "-out", "new.pem"]].concat());
        std::fs::rename(self.path("new.pem"), self.path("crl.pem")).unwrap();
    }
}

/// The options of a server with this certificate.
pub(crate) fn options(pair: &Pair) -> Vec<String> {
    let text = |path: &Path| path.display().to_string();
    vec![
        "--tls-certificate".into(),
        text(&pair.certificate),
        "--tls-key".into(),
        text(&pair.key),
        "--warm".into(),
        "2".into(),
    ]
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
