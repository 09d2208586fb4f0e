//! Answers that are the same for every tree: what the server can do, told to clients that ask.

use std::io;

use crate::charset::Charset;
use crate::clean;
use crate::output::Output;
use crate::site::Site;

/// `caps.txt`, where the tree has none of its own. "Delimeter" is how the format spells it.
const CAPS: &str = concat!(
    "CAPS\r\n",
    "\r\n",
    "CapsVersion=1\r\n",
    "ExpireCapsAfter=3600\r\n",
    "\r\n",
    "PathDelimeter=/\r\n",
    "PathIdentity=.\r\n",
    "PathParent=..\r\n",
    "PathParentDouble=FALSE\r\n",
    "PathKeepPreDelimeter=FALSE\r\n",
    "\r\n",
    "ServerSoftware=gopher-handler\r\n",
    "ServerSoftwareVersion=",
    env!("CARGO_PKG_VERSION"),
    "\r\n",
);

pub(crate) fn is_caps(selector: &[u8]) -> bool {
    selector.strip_prefix(b"/").unwrap_or(selector) == b"caps.txt"
}

pub(crate) fn caps(site: &Site<'_>, output: &mut Output<'_>) -> io::Result<()> {
    output.put(CAPS.as_bytes())?;
    let encoding = match output.charset {
        Charset::AsItIs | Charset::Utf8 => "UTF-8",
        Charset::Latin1 => "ISO-8859-1",
        Charset::Ascii => "US-ASCII",
    };
    output.put(format!("ServerDefaultEncoding={encoding}\r\n").as_bytes())?;
    let settings = site.settings;
    if let Some(port) = settings.tls_port {
        output.put(format!("ServerTLSPort={port}\r\n").as_bytes())?;
    }
    for (key, value) in [
        ("ServerAdmin", &settings.admin),
        ("ServerDescription", &settings.description),
        ("ServerGeolocationString", &settings.location),
    ] {
        if let Some(value) = value {
            output.put(format!("{key}={value}\r\n").as_bytes())?;
        }
    }
    output.flush()
}

/// The answer to a Gopher+ client that asks for the attributes of a directory: one item, the directory,
/// without attributes. The UMN client asks this first, and then goes on in plain gopher. A menu would make it
/// give up.
pub(crate) fn gopher_plus(selector: &[u8], site: &Site<'_>, output: &mut Output<'_>) -> io::Result<()> {
    let place = format!("\t{}\t{}\r\n", site.host, site.port);
    let stub = [
        &b"+-1\r\n+INFO: 1Main menu\t"[..],
        &clean::selector(selector),
        place.as_bytes(),
        b"+VIEWS:\r\n application/gopher+-menu: <512b>\r\n.\r\n",
    ];
    output.put(&stub.concat())?;
    output.flush()
}
