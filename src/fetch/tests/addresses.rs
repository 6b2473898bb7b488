use crate::fetch::address::{is_internal, is_loopback};

#[test]
fn private_addresses_are_known_in_every_spelling() {
    for text in [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ] {
        assert!(is_internal(text.parse().expect(text)), "{text}");
    }
    for text in ["93.184.216.34", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
        assert!(!is_internal(text.parse().expect(text)), "{text}");
    }
}

#[test]
fn this_machine_is_known_by_name_and_address() {
    for (url, expected) in [
        ("http://127.0.0.1:80/", true),
        ("http://2130706433/", true),
        ("http://0x7f.1/", true),
        ("http://[::1]/", true),
        ("http://[::ffff:127.0.0.1]/", true),
        ("http://localhost/", true),
        ("http://LOCALHOST./", true),
        ("http://x.localhost/", true),
        ("http://10.0.0.1/", false),
        ("http://localhost.example/", false),
    ] {
        assert_eq!(is_loopback(&url.parse().expect(url)), expected, "{url}");
    }
}
