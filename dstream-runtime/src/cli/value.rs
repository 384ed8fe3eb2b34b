//! Values of options.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// A duration such as `500ms`, `2s`, `1.5s`, `1m`; whole milliseconds, at least one.
///
/// # Errors
/// When it is anything else.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || "write a duration such as 500ms, 2s or 1m, of at least 1ms".to_owned();
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let unit_ms = match unit {
        "ms" => 1.0,
        "s" => 1e3,
        "m" | "min" => 60e3,
        "h" => 3600e3,
        _ => return Err(wrong()),
    };
    let ms = number * unit_ms;
    if !(1.0..=86_400e3).contains(&ms) || ms.fract() > 1e-9 {
        return Err(wrong());
    }
    Ok(Duration::from_millis(ms as u64))
}

/// How long something may take; without a value, any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit(pub Option<Duration>);

/// A duration, or `none`.
///
/// # Errors
/// When it is anything else.
pub(super) fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        text => interval(text).map(|limit| Limit(Some(limit))).map_err(|why| why + ", or none"),
    }
}

/// A number of partitions or threads: from 1 to 4096.
///
/// # Errors
/// When it is anything else.
pub(super) fn count(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(n @ 1..=4096) => Ok(n),
        _ => Err("write a number from 1 to 4096".to_owned()),
    }
}

/// A number of processes: at most 1024.
///
/// # Errors
/// When it is anything else.
pub(super) fn processes(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(n @ 0..=1024) => Ok(n),
        _ => Err("write a number from 0 to 1024".to_owned()),
    }
}

/// A number of bytes such as `512MiB`, `2GiB`, `1.5GB`; at least 1 MiB.
///
/// # Errors
/// When it is anything else.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "write a size such as 512MiB or 2GiB, of at least 1MiB".to_owned();
    let letters = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(letters);
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let unit = match unit.to_ascii_lowercase().as_str() {
        "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let bytes = number * unit;
    // No machine has more than 2^53 bytes of memory.
    if !(1_048_576.0..=9e15).contains(&bytes) {
        return Err(wrong());
    }
    Ok(bytes as u64)
}

/// For how long something is valid, such as `30m`, `24h`, `7d`: from a minute to a year.
///
/// # Errors
/// When it is anything else.
pub(super) fn life(text: &str) -> Result<Duration, String> {
    let wrong = || "write a time such as 30m, 24h or 7d, from a minute to a year".to_owned();
    let letters = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(letters);
    let number: u64 = number.trim().parse().map_err(|_| wrong())?;
    let unit = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit) {
        Some(seconds @ 60..=31_536_000) => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

/// An address of this host: `127.0.0.1:7077`, `[::]:7077`, `0.0.0.0:0`.
///
/// # Errors
/// When it is anything else.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = "write an address of this host and a port, such as 0.0.0.0:7077; port 0 is any";
    text.parse().map_err(|_| wrong.to_owned())
}

/// Where the processes named by `HOST:PORT` are, in the order given.
///
/// # Errors
/// When a name means nothing.
pub(super) fn resolve(names: &[String]) -> Result<Vec<SocketAddr>, String> {
    let mut found = Vec::new();
    for name in names {
        let unknown = |why: String| {
            format!("--master {name}: {why}; write HOST:PORT, as the master says when it starts")
        };
        let before = found.len();
        found.extend(name.to_socket_addrs().map_err(|error| unknown(error.to_string()))?);
        if found.len() == before {
            return Err(unknown("this host has no address".to_owned()));
        }
        if found[before].port() == 0 {
            return Err(unknown("no process listens on port 0".to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(interval("1m"), Ok(Duration::from_secs(60)));
        for wrong in ["", "5", "0s", "-1s", "1.5ms", "2 days", "s"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits() {
        assert_eq!(limit("none"), Ok(Limit(None)));
        assert_eq!(limit("90s"), Ok(Limit(Some(Duration::from_secs(90)))));
        assert!(limit("never").unwrap_err().ends_with(", or none"));
    }

    #[test]
    fn sizes() {
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("1.5g"), Ok(3 << 29));
        assert_eq!(size("20MB"), Ok(20_000_000));
        assert_eq!(size("1024 KiB"), Ok(1 << 20));
        for wrong in ["", "2", "GiB", "-2GiB", "1023KiB", "2 parsecs", "9e9TiB", "nanGiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lives() {
        assert_eq!(life("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(life("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "24", "59s", "366d", "1.5h", "-1h", "99999999999999999999d"] {
            assert!(life(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn masters_are_named_by_host_and_port() {
        let here = "127.0.0.1:7077".to_owned();
        let found = resolve(&[here.clone(), "[::1]:1".to_owned()]).unwrap();
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(found, [addr(&here), addr("[::1]:1")]);
        for wrong in ["127.0.0.1", "no port", "", "127.0.0.1:0"] {
            let error = resolve(&[wrong.to_owned()]).unwrap_err();
            assert!(error.contains("write HOST:PORT"), "{error}");
        }
    }
}
