//! The log on standard error: lines for people, or JSON objects, each with its time and level.

use std::io::Write as _;

use serde_json::{Map, Value};

use super::args::LogFormat;
use crate::{calendar, host};

/// How much an entry matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// The job goes on as it should.
    Info,
    /// Something needs attention.
    Warn,
    /// Why the process ends.
    Error,
}

impl Level {
    /// For programs.
    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// For people.
    fn word(self) -> &'static str {
        match self {
            Self::Warn => "warning",
            Self::Info | Self::Error => self.name(),
        }
    }
}

/// Length of the time that stands before a line.
const TIME: usize = "2026-11-30 14:01:09Z ".len();

fn now() -> u64 {
    host::wall().as_millis() as u64
}

/// What is written for an entry: its lines with time and level, or one line of JSON.
pub(super) fn entry(log: LogFormat, level: Level, lines: &[String], json: &Value) -> String {
    match log {
        LogFormat::Text => {
            format!("{}Z {}: {}", calendar::text(now()), level.word(), lines.join("\n"))
        }
        LogFormat::Json => {
            let mut event = Map::new();
            event.insert("time".to_owned(), calendar::iso(now()).into());
            event.insert("level".to_owned(), level.name().into());
            event.insert("message".to_owned(), lines.join("\n").into());
            // What the event says itself counts.
            if let Value::Object(own) = json {
                event.extend(own.clone());
            }
            Value::Object(event).to_string()
        }
    }
}

/// A line of another process's log in this one: its time and level stay in front.
pub(super) fn with_name(name: &str, line: &str) -> String {
    let is_time = |time: &str| time.ends_with("Z ") && time.starts_with("2");
    let timed = line.get(..TIME).filter(|time| is_time(time)).map(|time| (time, &line[TIME..]));
    match timed.and_then(|(time, rest)| Some((time, rest.split_once(": ")?))) {
        Some((time, (level, rest))) => format!("{time}{level}: {name} | {rest}"),
        None => format!("{name} | {line}"),
    }
}

/// Writes text to standard error, with a line end. There may be no reader; the job goes on.
pub(super) fn write(text: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_have_time_and_level() {
        let lines = ["first".to_owned(), "  second".to_owned()];
        let text = entry(LogFormat::Text, Level::Warn, &lines, &json!({}));
        assert_eq!(&text[19..], "Z warning: first\n  second");
        let named = format!("{}warning: w1 | first\n  second", &text[..TIME]);
        assert_eq!(with_name("w1", &text), named);
        assert_eq!(with_name("w1", "a panic"), "w1 | a panic");
        assert_eq!(with_name("w1", "ééééééééééééééé"), "w1 | ééééééééééééééé");
        let event =
            entry(LogFormat::Json, Level::Info, &lines[..1], &json!({"event": "x", "n": 1}));
        let event: Value = serde_json::from_str(&event).unwrap();
        assert_eq!((&event["event"], &event["n"]), (&json!("x"), &json!(1)));
        assert_eq!((&event["level"], &event["message"]), (&json!("info"), &json!("first")));
        assert!(event["time"].as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 24));
    }
}
