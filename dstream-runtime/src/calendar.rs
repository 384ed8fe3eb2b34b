//! Times for people: dates in UTC.

use crate::time::BatchTime;

/// Batch times before the year 2000 are no dates: a job over history counts from zero.
const DATES: u64 = 946_684_800_000;

const DAY: u64 = 86_400_000;

/// Days from 0000-03-01 to 1970: a year that begins in March has its leap day at the end.
const MARCH: u64 = 719_468;

/// Year, month and day of a number of milliseconds since the Unix epoch.
fn day(ms: u64) -> (u64, u64, u64) {
    day_since_march(ms / DAY + MARCH)
}

fn day_since_march(days: u64) -> (u64, u64, u64) {
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

fn clock(ms: u64) -> (u64, u64, u64) {
    let seconds = ms % DAY / 1000;
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `2026-11-30 14:01:09`, for people.
pub(crate) fn text(ms: u64) -> String {
    let ((year, month, day), (hour, minute, second)) = (day(ms), clock(ms));
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// `2026-11-30T14:01:09.250Z`, for programs.
pub(crate) fn iso(ms: u64) -> String {
    let ((year, month, day), (hour, minute, second)) = (day(ms), clock(ms));
    let ms = ms % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The same for any time; one that is not of the years 1 to 9999 is the number of its milliseconds.
pub(crate) fn iso_of(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(DAY as i64) + MARCH as i64, ms.rem_euclid(DAY as i64) as u64);
    let date = u64::try_from(days).map(day_since_march);
    match date {
        Ok((year @ 1..=9999, month, day)) => {
            let ((hour, minute, second), ms) = (clock(rest), rest % 1000);
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
        }
        _ => ms.to_string(),
    }
}

/// The time of a batch: a date, or milliseconds since zero in a job over history.
pub(crate) fn batch(time: BatchTime) -> String {
    match time.0 {
        ms if ms < DATES => format!("{ms} ms"),
        ms if ms % 1000 == 0 => format!("{} UTC", text(ms)),
        ms => format!("{}.{:03} UTC", text(ms), ms % 1000),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn dates_are_those_of_date() {
        let mut seconds =
            vec![0, 951_782_399, 951_782_400, 1_709_164_800, 4_107_542_400, 1_796_047_269];
        seconds.extend((0..200).map(|n| n * 86_399 * 97));
        let given: String = seconds.iter().map(|s| format!("@{s}\n")).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), given).unwrap();
        let mut date = Command::new("date");
        date.args(["-u", "+%Y-%m-%d %H:%M:%S", "-f"]).arg(file.path());
        let said = String::from_utf8(date.output().unwrap().stdout).unwrap();
        let expected: Vec<&str> = said.lines().collect();
        let dates: Vec<String> = seconds.iter().map(|s| text(s * 1000)).collect();
        assert_eq!(dates, expected);
    }

    #[test]
    fn times_before_1970_are_dates_too() {
        let dates: Vec<_> = [0, -1, -62_135_596_800_000, 253_402_300_799_999].map(iso_of).into();
        let expected = [
            "1970-01-01T00:00:00.000Z",
            "1969-12-31T23:59:59.999Z",
            "0001-01-01T00:00:00.000Z",
            "9999-12-31T23:59:59.999Z",
        ];
        assert_eq!(dates, expected);
        assert_eq!((iso_of(-62_135_596_800_001), iso_of(1 << 53)).0, "-62135596800001");
        assert_eq!(iso_of(1 << 53), "9007199254740992");
    }

    #[test]
    fn batches_over_history_have_no_dates() {
        assert_eq!(batch(BatchTime(3000)), "3000 ms");
        assert_eq!(batch(BatchTime(1_796_047_269_000)), "2026-11-30 14:01:09 UTC");
        assert_eq!(batch(BatchTime(1_796_047_269_250)), "2026-11-30 14:01:09.250 UTC");
        assert_eq!(iso(1_796_047_269_007), "2026-11-30T14:01:09.007Z");
    }
}
