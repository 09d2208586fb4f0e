//! Values as people write them, and as they should not.

use super::*;

#[test]
fn sizes_are_powers_of_1024() {
    assert_eq!("16M".parse(), Ok(Size(16 << 20)));
    assert_eq!("512".parse(), Ok(Size(512)));
    assert_eq!("infinity".parse(), Ok(Size::INFINITE));
}

#[test]
fn what_is_no_size_is_refused() {
    for text in ["", "0", "0K", "K", "1KX", "-1", "1.5M", "99999999999999999999", "16777216T", "1 M"] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
}

#[test]
fn times_are_systemd_s() {
    for (text, ms) in
        [("60s", 60_000), ("1min 30s", 90_000), ("500ms", 500), ("2", 2000), ("1.5h", 5_400_000)]
    {
        assert_eq!(text.parse(), Ok(Span(Some(Duration::from_millis(ms)))), "{text}");
    }
    assert_eq!("infinity".parse(), Ok(Span(None)));
    // A month and a year are those of systemd.time(7): a twelfth of 365.25 days, and all of them.
    assert_eq!("1M".parse::<Span>(), "2629800s".parse());
    assert_eq!("1 year".parse::<Span>(), "12 months".parse());
}

#[test]
fn what_is_no_time_is_refused() {
    for text in ["", "0", "0s", "s", "5 parsecs", "-1s", "1..5s", "1e400s", "99999999999999999999999999s"] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
}

#[test]
fn escapes_become_bytes() {
    assert_eq!(r"3no\t\r\n\x00\\".parse(), Ok(Bytes(b"3no\t\r\n\0\\".to_vec())));
    for text in [r"\", r"\q", r"\x", r"\x1", r"\xzz"] {
        assert!(text.parse::<Bytes>().is_err(), "{text}");
    }
}

#[test]
fn a_colon_in_a_path_is_written_with_a_backslash() {
    let bind: BindSpec = r"/a\:b:/c".parse().unwrap();
    assert_eq!((bind.source.as_str(), bind.target.as_str()), ("/a:b", "/c"));
    assert!("/a:/b:/c".parse::<BindSpec>().is_err());
    assert!("/a:b".parse::<BindSpec>().is_err());
}

#[test]
fn a_tmpfs_has_bounds() {
    let tmpfs: TmpfsSpec = "/tmp:1M,16".parse().unwrap();
    assert_eq!((tmpfs.size, tmpfs.inodes), (Size(1 << 20), 16));
    for text in ["tmp", "/tmp:infinity", "/tmp:1M,0", "/tmp:0", "/a:1M:x"] {
        assert!(text.parse::<TmpfsSpec>().is_err(), "{text}");
    }
}

#[test]
fn a_user_range_keeps_clear_of_real_users_and_of_minus_one() {
    assert_eq!("1879048192+4194304".parse(), Ok(UserRange::DEFAULT));
    for text in ["0+10", "1000+10", "4294967295+1", "4294967000+4000", "70000", "70000+0", "x+1"] {
        assert!(text.parse::<UserRange>().is_err(), "{text}");
    }
    // To the last id on both sides: 65535 and 4294967295 mean no change.
    for (text, taken) in
        [("65535+10", false), ("65536+10", true), ("4294967284+10", true), ("4294967285+10", false)]
    {
        assert_eq!(text.parse::<UserRange>().is_ok(), taken, "{text}");
    }
}

#[test]
fn a_pool_has_bounds() {
    assert_eq!("8".parse(), Ok(Warm { min: 8, max: 8 }));
    assert_eq!("4..64".parse(), Ok(Warm::DEFAULT));
    for text in ["0", "", "5..4", "1..9999", "..3", "a"] {
        assert!(text.parse::<Warm>().is_err(), "{text}");
    }
}

#[test]
fn a_limit_of_zero_is_a_limit() {
    let limit: RlimitSpec = "RLIMIT_MEMLOCK=0".parse().unwrap();
    assert_eq!((limit.name.as_str(), limit.soft, limit.hard), ("memlock", 0, 0));
    assert!("nofile=9:3".parse::<RlimitSpec>().is_err());
}

#[test]
fn a_rate_is_a_number_in_a_time() {
    let minute = Duration::from_secs(60);
    for text in ["30/min", "30/1min", "30/60"] {
        assert_eq!(text.parse(), Ok(Rate { count: 30, time: minute }), "{text}");
    }
    for text in ["30", "0/min", "/min", "30/", "30/infinity", "30/0", "-1/s", "9999999/1us"] {
        assert!(text.parse::<Rate>().is_err(), "{text}");
    }
}
