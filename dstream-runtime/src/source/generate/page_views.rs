//! Page views: a URL, more often one than another, and a user.

use super::zipf::Zipf;
use super::{Draws, Generate, PIECE};
use crate::record::Format;

/// The generator.
pub(super) struct PageViews {
    seed: u64,
    urls: Zipf,
    users: u64,
    /// What stands before the URL's number, between it and the user's, and after that.
    around: [&'static [u8]; 3],
}

impl PageViews {
    /// Views of this number of URLs by at most 2³² users.
    pub(super) fn new(seed: u64, urls: usize, users: u64, format: Format) -> Self {
        let around: [&[u8]; 3] = match format {
            Format::Text => [b"/page/", b"\t", b"\n"],
            Format::Csv => [b"/page/", b",", b"\n"],
            Format::Json => [b"{\"url\":\"/page/", b"\",\"user\":", b"}\n"],
        };
        Self { seed, urls: Zipf::new(urls), users, around }
    }
}

impl Generate for PageViews {
    fn header(&self) -> &'static str {
        "url,user"
    }

    fn append(&self, from: u64, to: u64, out: &mut Vec<u8>) -> u64 {
        let [before, between, after] = self.around;
        let (mut number, full) = (itoa::Buffer::new(), out.len() + PIECE - 128);
        for record in from..to {
            if out.len() >= full {
                return record;
            }
            let mut draws = Draws::new(self.seed, record);
            out.extend_from_slice(before);
            out.extend_from_slice(number.format(self.urls.rank(draws.next())).as_bytes());
            out.extend_from_slice(between);
            let user = ((draws.next() >> 32) * self.users) >> 32;
            out.extend_from_slice(number.format(user).as_bytes());
            out.extend_from_slice(after);
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_formats_tell_the_same() {
        let text = |format| {
            let mut out = Vec::new();
            assert_eq!(PageViews::new(3, 50, 20, format).append(5, 1005, &mut out), 1005);
            String::from_utf8(out).unwrap()
        };
        let (plain, csv, json) = (text(Format::Text), text(Format::Csv), text(Format::Json));
        assert_eq!(plain.replace('\t', ","), csv);
        for (row, object) in csv.lines().zip(json.lines()) {
            let (url, user) = row.split_once(',').unwrap();
            let object: serde_json::Value = serde_json::from_str(object).unwrap();
            assert_eq!(
                object,
                serde_json::json!({ "url": url, "user": user.parse::<u64>().unwrap() })
            );
            assert!(user.parse::<u64>().unwrap() < 20);
            assert!(url.strip_prefix("/page/").unwrap().parse::<u64>().unwrap() < 50);
        }
        assert_eq!(json.lines().count(), 1000);
    }
}
