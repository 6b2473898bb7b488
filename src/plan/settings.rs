//! The values that instructions put into an image's config, and how Docker writes them in its history.

use std::net::IpAddr;

use crate::dockerfile::nearest;

/// Arguments that tell a scanner of images which stages to look at: no variables, neither for commands nor for words, so that
/// they change no step. Never undefined either.
///
/// # References
/// BuildKit `dockerfile2llb/convert.go` (`nonEnvArgs`).
pub(super) const NOT_IN_ENVIRONMENT: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// Ports of EXPOSE as the config has them: `[ip:][host:]port[-port][/protocol]` becomes `port/protocol`, one for each.
///
/// # References
/// BuildKit `convert_expose.go`.
pub(super) fn ports(spec: &str) -> Result<Vec<String>, String> {
    let parts: Vec<&str> = spec.split(':').collect();
    let (ip, host, container) = match parts.as_slice() {
        [container] => (String::new(), "", *container),
        [host, container] => (String::new(), *host, *container),
        [ip @ .., host, container] => (ip.join(":"), *host, *container),
        [] => (String::new(), "", ""),
    };
    let (range, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_lowercase().as_str() {
        "" => "tcp".to_owned(),
        known @ ("tcp" | "udp" | "sctp") => known.to_owned(),
        other => return Err(format!("`{other}` is not a protocol; it may be `tcp`, `udp` or `sctp`")),
    };
    let address = ip.trim_start_matches('[').trim_end_matches(']');
    if !ip.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(format!("`{ip}` is not an IP address"));
    }
    let (first, last) = port_range(range)?;
    if !host.is_empty() {
        let (host_first, host_last) = port_range(host)?;
        if last - first != host_last - host_first && first != last {
            return Err(format!("the ranges `{host}` and `{range}` have different lengths"));
        }
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn port_range(range: &str) -> Result<(u16, u16), String> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (port(first)?, port(last)?);
    if last < first { Err(format!("the range `{range}` runs backwards")) } else { Ok((first, last)) }
}

fn port(text: &str) -> Result<u16, String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    digits.parse().map_err(|_not_a_number| format!("`{text}` is not a port; it may be 0 to 65535"))
}

/// The folder that WORKDIR leads to from the current one. An absolute one stays as written, as BuildKit records it.
pub(super) fn workdir(current: &str, given: &str) -> String {
    if given.starts_with('/') {
        return given.to_owned();
    }
    let current = if current.starts_with('/') { current.to_owned() } else { clean(&format!("/{current}")) };
    if given.is_empty() { current } else { clean(&format!("{current}/{given}")) }
}

/// The absolute destination of COPY, with its trailing slash (or `/.`) kept: it says that a folder is meant.
pub(super) fn destination(workdir: &str, given: &str) -> String {
    if given.starts_with('/') {
        return given.to_owned();
    }
    let given = if given.is_empty() || given == "." { "./" } else { given };
    let parent = if workdir.starts_with('/') { workdir.to_owned() } else { format!("/{workdir}") };
    let mut path = clean(&format!("{parent}/{given}"));
    if given.ends_with('/') && !path.ends_with('/') {
        path.push('/');
    } else if given.ends_with("/.") {
        path.push_str(if path == "/" { "." } else { "/." });
    }
    path
}

/// As Go's `path.Clean` does for an absolute path.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

const SIGNALS: [&str; 37] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX", "UNUSED",
];

/// The signal that somebody who mistyped most likely meant, with its `SIG`.
pub(super) fn nearest_signal(text: &str) -> Option<String> {
    let upper = text.to_uppercase();
    nearest(upper.strip_prefix("SIG").unwrap_or(&upper), SIGNALS).map(|name| format!("SIG{name}"))
}

/// Whether STOPSIGNAL may be this: a number from 1 to 64, or a name with or without `SIG`.
///
/// # References
/// moby `sys/signal`: `ParseSignal`, `SignalMap`.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |prefix: &str, limit: u8| {
        name.strip_prefix(prefix).and_then(|n| n.parse::<u8>().ok()).is_some_and(|n| (1..=limit).contains(&n))
    };
    SIGNALS.contains(&name) || real_time("RTMIN+", 15) || real_time("RTMAX-", 14)
}

/// A list of words as Go prints it with `%q`: `["a" "b"]`.
pub(super) fn quoted_list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", quoted.join(" "))
}

/// A string as Go's `%q` prints it.
fn quoted(word: &str) -> String {
    let mut out = String::from("\"");
    for c in word.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list of words as Go prints it with `%v`: `[a b]`.
pub(super) fn plain_list(words: &[String]) -> String {
    format!("[{}]", words.join(" "))
}

/// A span of nanoseconds as Go prints it: `1h2m3.5s`, `1.5ms`, `0s`.
pub(super) fn duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let decimal = |value: u64, unit: u64, suffix: &str| {
        let whole = value / unit;
        let rest = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        let rest = rest.trim_end_matches('0');
        if rest.is_empty() { format!("{whole}{suffix}") } else { format!("{whole}.{rest}{suffix}") }
    };
    let text = match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => decimal(nanos, 1_000, "µs"),
        1_000_000..1_000_000_000 => decimal(nanos, 1_000_000, "ms"),
        _ => {
            let seconds = nanos / 1_000_000_000;
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let rest = decimal(nanos % 60_000_000_000, 1_000_000_000, "s");
            match (hours, minutes) {
                (0, 0) => rest,
                (0, minutes) => format!("{minutes}m{rest}"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
            }
        }
    };
    format!("{sign}{text}")
}

/// Whether a variable of this name most likely holds a secret: its value is then kept out of the history, and the rule
/// `SecretsUsedInArgOrEnv` warns of it.
///
/// # References
/// The words are those of BuildKit's rule.
pub fn looks_secret(name: &str) -> bool {
    const SECRET: [&str; 10] =
        ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
    const PUBLIC: [&str; 3] = ["public", "file", "version"];
    let lower = name.to_lowercase();
    let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
    has(&SECRET) && !has(&PUBLIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_written_as_docker_does() {
        for (given, expected) in [
            ("80", "80/tcp"),
            ("53/UDP", "53/udp"),
            ("1-3/sctp", "1/sctp 2/sctp 3/sctp"),
            ("127.0.0.1:8080:80", "80/tcp"),
            ("8080:80", "80/tcp"),
            ("[::1]:1:2", "2/tcp"),
        ] {
            assert_eq!(ports(given).map(|p| p.join(" ")).as_deref(), Ok(expected), "{given}");
        }
        for bad in ["", "x", "70000", "3-1", "80/icmp", "a:1:2", "1-2:3-5", "-1"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn workdirs_and_destinations_follow_go_paths() {
        assert_eq!(workdir("/a", "b/../c"), "/a/c");
        assert_eq!(workdir("/a", "/x//y/"), "/x//y/");
        assert_eq!(workdir("", "../../x"), "/x");
        for (given, expected) in
            [(".", "/w/"), ("./", "/w/"), ("x", "/w/x"), ("x/", "/w/x/"), ("/y/.", "/y/."), ("x/.", "/w/x/.")]
        {
            assert_eq!(destination("/w", given), expected, "{given}");
        }
    }

    #[test]
    fn signals_have_names_or_numbers() {
        for good in ["9", "SIGTERM", "term", "RTMIN+3", "SIGRTMAX-1"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "0", "SIGNOPE", "RTMIN+99"] {
            assert!(!is_signal(bad), "{bad}");
        }
    }

    #[test]
    fn values_are_printed_as_go_does() {
        assert_eq!(quoted_list(&["a\"b\\".into(), "c\n".into()]), r#"["a\"b\\" "c\n"]"#);
        for (nanos, text) in [
            (0, "0s"),
            (1_500_000, "1.5ms"),
            (30_000_000_000, "30s"),
            (3_661_000_000_000, "1h1m1s"),
            (60_000_000_000, "1m0s"),
        ] {
            assert_eq!(duration(nanos), text);
        }
    }

    #[test]
    fn names_of_secrets_are_told_by_their_words() {
        assert!(looks_secret("API_TOKEN") && looks_secret("db_password"));
        assert!(!looks_secret("VERSION") && !looks_secret("PUBLIC_KEY") && !looks_secret("MONKEY"));
    }
}
