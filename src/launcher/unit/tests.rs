use super::*;
use crate::config::parse_service_file;

fn given(inetd: bool, listen: &[&str]) -> UnitOptions {
    UnitOptions {
        name: String::new(),
        inetd,
        user: false,
        listen: listen.iter().map(ToString::to_string).collect(),
        slice: None,
        systemd: 252,
        drop_in: false,
        output: None,
        replace: false,
    }
}

/// The units of a service of this name and file: socket, if there is one, and service.
fn made(given: &UnitOptions, name: &str, file: &str) -> Vec<UnitText> {
    let settings = Settings { name: name.to_owned(), options: parse_service_file(file).unwrap() };
    units(given, &settings, None).unwrap()
}

fn value(units: &[UnitText], key: &str) -> String {
    units.iter().find_map(|unit| unit.value(key)).unwrap_or("-").to_owned()
}

#[test]
fn the_shipped_units_are_what_is_printed_for_the_shipped_service() {
    let file = include_str!("../../../units/gopher.toml");
    for (inetd, shipped) in [(false, RESIDENT), (true, INETD)] {
        let units = made(&given(inetd, &[]), "gopher", file);
        assert_eq!(units.len(), 2);
        for (unit, (name, text)) in units.iter().zip(shipped) {
            assert_eq!((unit.name.as_str(), unit.text().as_str()), (name, text));
            assert_eq!(unit.drop_in(), None);
        }
    }
}

#[test]
fn another_service_has_its_name_everywhere() {
    for inetd in [false, true] {
        for unit in made(&given(inetd, &[":79"]), "finger", "snapshot = \"readonly\"") {
            assert!(unit.name.starts_with("finger"), "{}", unit.name);
            assert!(!unit.text().to_lowercase().contains("gopher"), "{}", unit.text());
        }
    }
}

#[test]
fn an_overlay_a_tree_and_a_low_port_have_their_capabilities() {
    let set = |file: &str| value(&made(&given(false, &[":79"]), "x", file), "CapabilityBoundingSet");
    assert!(!set("snapshot = \"readonly\"").contains("CAP_DAC_OVERRIDE"));
    assert!(!set("snapshot = \"btrfs\"").contains("CAP_DAC_OVERRIDE"));
    assert!(set("").contains("CAP_SYS_CHROOT CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER"));
    assert!(set("profile = \"tree\"").contains("CAP_MKNOD"));
    assert!(set("listen = [\":80\"]").contains("CAP_NET_BIND_SERVICE"));
    assert!(!set("listen = [\":7079\"]").contains("CAP_NET_BIND_SERVICE"));
}

#[test]
fn what_an_option_takes_of_its_unit_is_there() {
    for inetd in [false, true] {
        let value = |file: &str, key: &str| value(&made(&given(inetd, &[":79"]), "x", file), key);
        let readonly = "snapshot = \"readonly\"\n";
        let set = |line: &str| value(&format!("{readonly}{line}"), "CapabilityBoundingSet");
        for (line, capability) in [
            ("credential = [\"key:/etc/key\"]", "CAP_CHOWN"),
            ("open = [\"/etc/key:key:ro\"]", "CAP_DAC_OVERRIDE"),
            ("owner = \"4242\"", "CAP_SETFCAP"),
        ] {
            assert!(set(line).contains(capability), "{line}: {}", set(line));
            assert!(!set("").contains(capability));
        }
        assert!(!set("owner = \"0:0\"").contains("CAP_SETFCAP"));
        let filter = value("cpu_affinity = \"0\"", "SystemCallFilter");
        assert!(
            filter.ends_with("\nSystemCallFilter=sched_setaffinity") || filter.starts_with('~'),
            "{filter}"
        );
        assert_eq!(value("rlimit = [\"memlock=16M\"]", "LimitMEMLOCK"), "16777216");
        assert_eq!(value("rlimit = [\"rtprio=infinity\"]", "LimitRTPRIO"), "infinity");
        assert_eq!(value("rlimit = [\"fsize=16M\"]", "LimitFSIZE"), "-");
        assert_eq!(value("cpu = \"50%\"", "CPUQuota"), if inetd { "50%" } else { "-" });
    }
}

#[test]
fn keys_that_no_launcher_of_that_kind_applies_are_named_or_refused() {
    let options = |file: &str| parse_service_file(file).unwrap();
    let ignored = |inetd: bool, file: &str| adapt::ignored(&given(inetd, &[]), &options(file));
    let file = "rate = \"1/s\"\nmax_connections = 2\nbacklog = 3\nover_limit = \"x\"\nmin_rate = \"1K\"\n";
    assert_eq!(ignored(true, file), ["--rate", "--over-limit"]);
    assert!(ignored(false, file).is_empty());
    for (inetd, file) in [
        (true, "proxy_protocol = [\"unix\"]"),
        (false, "kill_signal = \"SIGTERM\""),
        (true, "status_fd = 4"),
        (false, "status_fd = 4"),
    ] {
        let settings = Settings { name: "x".to_owned(), options: options(file) };
        assert_eq!(units(&given(inetd, &[":79"]), &settings, None).unwrap_err().kind.status(), 2, "{file}");
    }
}

#[test]
fn what_is_named_on_the_host_is_there_for_the_launcher() {
    let value = |file: &str, key: &str| value(&made(&given(true, &[":79"]), "x", file), key);
    let subvolume = "template = \"/srv/dayfly/x\"\nsnapshot = \"btrfs\"";
    assert_eq!(value(subvolume, "ReadWritePaths"), "/srv/dayfly");
    assert_eq!(value("", "ProtectHome"), "yes");
    assert_eq!(value("bind_ro = [\"/home/a/plans:/plans\"]", "ProtectHome"), "read-only");
    assert_eq!(value("template = \"/var/tmp/t\"", "PrivateTmp"), "no");
    assert_eq!(value("bind = [\"/var/lib/scores:/scores\"]", "ReadWritePaths"), "/var/lib/scores");
    assert_eq!(value("open = [\"/var/log/x:log:append\"]", "ReadWritePaths"), "/var/log/x");
    assert_eq!(value("credential = [\"key:/root/key\"]", "ProtectHome"), "read-only");
}

#[test]
fn an_image_has_the_loop_devices_that_older_kernels_mount_it_by() {
    // Any file will do.
    let file = format!("template = \"{}/Cargo.toml\"", env!("CARGO_MANIFEST_DIR"));
    let units = made(&given(false, &[":79"]), "x", &file);
    assert_eq!(value(&units, "PrivateDevices"), "no");
    assert!(units[1].text().contains("DeviceAllow=/dev/loop-control rw\nDeviceAllow=block-loop r\n"));
    assert_eq!(value(&made(&given(false, &[":79"]), "x", ""), "DeviceAllow"), "-");
}

#[test]
fn a_service_that_listens_itself_has_no_socket_unit() {
    let units = made(&given(false, &[]), "x", "listen = [\":79\"]");
    let [service] = units.as_slice() else { panic!("{units:?}") };
    for key in ["Requires", "After", "Also"] {
        assert_eq!(service.value(key), None);
    }
    assert_eq!(service.value("IPAddressDeny"), Some(""));
    assert_eq!(service.value("PrivateNetwork"), Some("no"));
    assert_eq!(service.value("WantedBy"), Some("multi-user.target"));
    // Under Accept=yes it is systemd that does.
    assert_eq!(value(&made(&given(true, &[]), "x", "listen = [\":79\"]"), "ListenStream"), "79");
}

#[test]
fn a_port_that_nobody_has_named_is_asked_for() {
    let settings = Settings { name: "x".to_owned(), options: Options::default() };
    let error = units(&given(false, &[]), &settings, None).unwrap_err();
    assert_eq!(error.kind.status(), 2);
    assert!(error.message.contains("--listen"));
}

#[test]
fn limits_follow_the_file() {
    let file = "memory = \"32M\"\ntasks = 4\nmax_connections = 10\nmax_per_source = 2\ndrain_time = \"30s\"\n\
                tmpfs = [\"/tmp:8M\"]\ncgroup = \"none\"\n";
    let resident = made(&given(false, &[":79"]), "x", file);
    for (key, expected) in [
        ("MemoryMax", "256M"),
        ("TasksMax", "70"),
        ("LimitNOFILE", "320"),
        ("TimeoutStopSec", "40s"),
        ("Delegate", "no"),
        ("ProtectControlGroups", "yes"),
    ] {
        assert_eq!(value(&resident, key), expected, "{key}");
    }
    let inetd = made(&given(true, &[":79"]), "x", file);
    for (key, expected) in
        [("MemoryMax", "56M"), ("TasksMax", "11"), ("MaxConnections", "10"), ("MaxConnectionsPerSource", "2")]
    {
        assert_eq!(value(&inetd, key), expected, "{key}");
    }
}

#[test]
fn a_drop_in_says_only_what_differs() {
    let file = include_str!("../../../units/gopher.toml").replace("\"readonly\"", "\"overlay\"");
    let units = made(&given(false, &[]), "gopher", &file);
    assert_eq!(units[0].drop_in(), None);
    let drop_in = units[1].drop_in().unwrap();
    assert_eq!(drop_in.lines().count(), 2, "{drop_in}");
    assert!(drop_in.starts_with("[Service]\nCapabilityBoundingSet="));
}

#[test]
fn slices_and_poll_limits_are_there_for_who_asks() {
    let options =
        UnitOptions { slice: Some("small.slice".to_owned()), systemd: 255, ..given(true, &["unix:/run/x"]) };
    let units = made(&options, "x", "");
    assert_eq!(value(&units, "Slice"), "small.slice");
    assert_eq!(value(&units, "PollLimitBurst"), "200");
    assert_eq!(value(&units, "ListenStream"), "/run/x");
    assert_eq!(value(&units, "SocketMode"), "0660");
}

/// Statements of the shipped units' comments, and the settings that make them untrue.
#[test]
fn no_comment_says_what_is_not_so_in_this_unit() {
    let much = "profile = \"tree\"\nmemory = \"1M\"\nmax_connections = 1000\ndrain_time = \"1min\"\n";
    let text = |inetd: bool, listen: &[&str], more: &str| -> String {
        made(&given(inetd, listen), "much", &format!("{much}{more}")).iter().map(UnitText::text).collect()
    };
    let own = text(false, &[], "listen = [\":79\"]\nbind = [\"/var/lib/x:/data\"]\n");
    let resident = text(false, &["unix:/run/x"], "");
    let inetd = text(true, &["unix:/run/x"], "bind = [\"/var/lib/x:/data\"]\n");
    for (unit, wrong, right) in [
        (&own, "of much.socket:", "which listens itself: one sandbox"),
        (&own, "systemd binds the port", "NET_BIND_SERVICE binds ports below 1024"),
        (&own, "itself needs no network", "binds its addresses itself"),
        (&own, "opens only /dev/null", "making or opening devices"),
        (&own, "# The launcher writes only", "The paths of ReadWritePaths= are written for sandboxes."),
        (&own, "A service with snapshot", "copy the template's files up"),
        (&own, "256 connections", "up to 1000 connections"),
        (&own, "for 10 s at most", "as long as drain_time says"),
        (
            &resident,
            "whatever net.ipv6.bindv6only",
            "MKNOD makes the devices of its /dev. NET_BIND_SERVICE is not needed",
        ),
        (&inetd, "64M for the handler", "what the service file gives the handler"),
        (&inetd, "# The launcher writes no file", "The paths of ReadWritePaths="),
    ] {
        // A comment may be wrapped anywhere.
        let flat = unit.replace("\n# ", " ");
        assert!(!flat.contains(wrong) && flat.contains(right), "{wrong} | {right}\n{unit}");
    }
    for unit in [own, resident, inetd] {
        let long = unit.lines().find(|line| line.starts_with('#') && line.len() > 126);
        assert_eq!(long, None);
    }
}

#[test]
fn an_address_of_the_file_that_the_socket_unit_has_is_not_bound_by_the_launcher() {
    let same = made(&given(false, &["79"]), "x", "listen = [\":79\"]");
    assert_eq!((same.len(), value(&same, "PrivateNetwork")), (2, "yes".to_owned()));
    assert!(!value(&same, "CapabilityBoundingSet").contains("CAP_NET_BIND_SERVICE"));
    let other = made(&given(false, &[":79"]), "x", "listen = [\":80\"]");
    assert_eq!((other.len(), value(&other, "PrivateNetwork")), (2, "no".to_owned()));
}

#[test]
fn a_drop_in_needs_no_address() {
    let given = UnitOptions { drop_in: true, ..given(false, &[]) };
    let units = made(&given, "finger", "memory = \"128M\"");
    assert!(units.iter().any(|unit| unit.drop_in().is_some_and(|text| text.contains("MemoryMax=1024M"))));
    assert!(!units.iter().any(|unit| unit.text().contains("ListenStream=70\n") && unit.drop_in().is_some()));
}

#[test]
fn units_for_a_user_take_no_privilege_and_start_with_the_user() {
    let given = |listen: &[&str]| UnitOptions { user: true, ..given(false, listen) };
    let units = made(&given(&[":7079"]), "finger", "drain_time = \"1m\"");
    assert_eq!((units.len(), value(&units, "ListenStream")), (2, "7079".to_owned()));
    assert_eq!(value(&units, "TimeoutStopSec"), "70s");
    for unit in &units {
        let text = unit.text();
        assert!(!text.to_lowercase().contains("gopher"), "{text}");
        for line in ["CapabilityBoundingSet=", "Protect", "Private", "MemoryMax=", "SystemCallFilter="] {
            assert!(!text.contains(&format!("\n{line}")), "{text}");
        }
    }
    let alone = made(&given(&[]), "finger", "listen = [\":7079\"]\ncgroup = \"none\"");
    assert_eq!((alone.len(), value(&alone, "WantedBy")), (1, "default.target".to_owned()));
    assert_eq!((value(&alone, "Requires"), value(&alone, "Delegate")), ("-".to_owned(), "no".to_owned()));
}
