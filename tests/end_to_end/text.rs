//! Random but reproducible text to count and search.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The size of larger inputs.
pub(crate) fn bytes() -> usize {
    let bytes = std::env::var("DSTREAM_TEST_BYTES").ok().and_then(|text| text.parse().ok());
    bytes.unwrap_or(8 << 20)
}

/// Random numbers, by splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// A number below a bound; small ones are more frequent, like words of a language.
    pub(crate) fn rank(&mut self, bound: u64) -> u64 {
        let below = self.below(bound) + 1;
        let below = self.below(below) + 1;
        self.below(below)
    }
}

/// Number of distinct words.
const WORDS: u64 = 6000;

/// A word for each number: syllables, some with an apostrophe, a non-ASCII letter, or a mark.
fn word(number: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "ba", "re", "mi", "to", "lu", "ne", "sa", "di", "ko", "ve", "é", "th", "or", "in", "ga",
        "zu",
    ];
    let mut word = String::new();
    let mut left = number + 7;
    while left > 0 {
        word.push_str(SYLLABLES[(left % 16) as usize]);
        left /= 16;
    }
    match number % 40 {
        13 => word.push_str("'s"),
        21 => word.push(','),
        34 => word.insert(0, '"'),
        _ => {}
    }
    word
}

/// Lines of words: some empty, some indented, some with tabs or several spaces; the last one lacks its line
/// end.
pub(crate) fn write(path: &Path, bytes: usize) -> PathBuf {
    let words: Vec<_> = (0..WORDS).map(word).collect();
    let mut random = Random(1);
    let mut text = String::with_capacity(bytes + 1024);
    while text.len() < bytes {
        if random.below(50) == 0 {
            text.push_str(["", "\t", "  ", "   \t"][random.below(4) as usize]);
        } else {
            for n in 0..=random.rank(24) {
                if n > 0 {
                    text.push_str(if random.below(20) == 0 { " \t" } else { " " });
                }
                text.push_str(&words[random.rank(WORDS) as usize]);
            }
        }
        text.push('\n');
    }
    text.push_str("the last line of toé");
    fs::write(path, text).expect("there is room");
    path.to_owned()
}

/// Page views as JSON lines.
pub(crate) fn page_views(path: &Path, lines: u64) -> PathBuf {
    let mut random = Random(2);
    let mut text = String::new();
    for _ in 0..lines {
        let (page, user) = (random.rank(500), random.below(1000));
        // Order of fields and escapes vary, as JSON allows.
        let slash = if random.below(2) == 0 { "/" } else { "\\/" };
        let _ = match random.below(3) {
            0 => writeln!(text, r#"{{"url":"{slash}page\u00e9{page}","user":{user}}}"#),
            1 => writeln!(text, r#"{{ "user": {user}, "url": "{slash}pageé{page}" }}"#),
            _ => writeln!(text, r#"{{"url":"{slash}pageé{page}","user":{user},"more":[1,{{}}]}}"#),
        };
    }
    fs::write(path, text).expect("there is room");
    path.to_owned()
}
