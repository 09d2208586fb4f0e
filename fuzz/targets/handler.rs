// The handler's own modules, as each target's: there is no library of them. Included by each target.
#[path = "../../src/handler/answer.rs"]
mod answer;
#[path = "../../src/handler/attributes.rs"]
mod attributes;
#[path = "../../src/handler/charset.rs"]
mod charset;
#[path = "../../src/handler/clean.rs"]
mod clean;
#[path = "../../src/handler/codepage.rs"]
mod codepage;
#[path = "../../src/handler/command.rs"]
mod command;
#[path = "../../src/handler/cli.rs"]
mod cli;
#[path = "../../src/handler/config/mod.rs"]
mod config;
#[path = "../../src/handler/connection.rs"]
mod connection;
#[path = "../../src/handler/crawl.rs"]
mod crawl;
#[path = "../../src/handler/document.rs"]
mod document;
#[path = "../../src/handler/filetype.rs"]
mod filetype;
#[path = "../../src/handler/feed.rs"]
mod feed;
#[path = "../../src/handler/fixed.rs"]
mod fixed;
#[path = "../../src/handler/gemtext.rs"]
mod gemtext;
#[path = "../../src/handler/gophermap.rs"]
mod gophermap;
#[path = "../../src/handler/gph.rs"]
mod gph;
#[path = "../../src/handler/latest.rs"]
mod latest;
#[path = "../../src/handler/link.rs"]
mod link;
#[path = "../../src/handler/lint/mod.rs"]
mod lint;
#[path = "../../src/handler/listing.rs"]
mod listing;
#[path = "../../src/handler/log.rs"]
mod log;
#[path = "../../src/handler/mapfile.rs"]
mod mapfile;
#[path = "../../src/handler/menu.rs"]
mod menu;
#[path = "../../src/handler/names.rs"]
mod names;
#[path = "../../src/handler/natural.rs"]
mod natural;
#[path = "../../src/handler/output.rs"]
mod output;
#[path = "../../src/handler/page.rs"]
mod page;
#[path = "../../src/handler/path.rs"]
mod path;
#[path = "../../src/handler/place.rs"]
mod place;
#[path = "../../src/handler/problem.rs"]
mod problem;
#[path = "../../src/handler/receive.rs"]
mod receive;
#[path = "../../src/handler/request.rs"]
mod request;
#[path = "../../src/handler/search.rs"]
mod search;
#[path = "../../src/handler/settings.rs"]
mod settings;
#[path = "../../src/handler/site.rs"]
mod site;
#[path = "../../src/handler/skeleton.rs"]
mod skeleton;
#[path = "../../src/handler/stats/mod.rs"]
mod stats;
#[path = "../../src/handler/tree.rs"]
mod tree;
#[path = "../../src/handler/users.rs"]
mod users;
#[path = "../../src/handler/vhost.rs"]
mod vhost;
#[path = "../../src/handler/web.rs"]
mod web;

const USAGE: u8 = 2;
