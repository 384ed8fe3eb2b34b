//! Finds the bytes of a text that need care, eight at a time.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = LOW << 7;

/// Marks the bytes that are zero. Bytes above the first one may be marked too.
#[inline(always)]
const fn zero(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

#[inline(always)]
const fn is(word: u64, byte: u8) -> u64 {
    zero(word ^ (LOW * byte as u64))
}

/// Marks what JSON strings must escape: quotes, backslashes, and all below a space.
#[inline(always)]
pub(super) const fn json(word: u64) -> u64 {
    let control = word.wrapping_sub(LOW * 0x20) & !word & HIGH;
    control | is(word, b'"') | is(word, b'\\')
}

/// What marks that a CSV field must be quoted.
#[inline(always)]
pub(super) fn csv(delimiter: u8, quote: u8) -> impl Fn(u64) -> u64 {
    move |word| is(word, delimiter) | is(word, quote) | is(word, b'\n') | is(word, b'\r')
}

#[inline(always)]
fn load(bytes: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*bytes)
}

/// Up to seven bytes as a word, and which of its bits they are.
#[inline(always)]
fn load_short(bytes: &[u8]) -> (u64, u64) {
    let len = bytes.len();
    let at = |i: usize| u64::from(bytes[i]) << (8 * i);
    let word = match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        // The two may overlap, with the same bits.
        (Some(first), Some(last)) => {
            let last = u64::from(u32::from_le_bytes(*last));
            u64::from(u32::from_le_bytes(*first)) | last << (8 * (len - 4))
        }
        _ if len == 0 => 0,
        _ => at(0) | at(len / 2) | at(len - 1),
    };
    (word, (1 << (8 * len)) - 1)
}

/// The index of the first byte that `marks` marks.
#[inline(always)]
pub(super) fn find(bytes: &[u8], marks: impl Fn(u64) -> u64) -> Option<usize> {
    let first = |marked: u64| (marked.trailing_zeros() / 8) as usize;
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let marked = marks(load(word));
        if marked != 0 {
            return Some(i * 8 + first(marked));
        }
    }
    if rest.is_empty() {
        return None;
    }
    // The last eight bytes, some of them again, or the only ones.
    let (marked, from) = match bytes.last_chunk::<8>() {
        Some(last) => (marks(load(last)), bytes.len() - 8),
        None => {
            let (word, valid) = load_short(bytes);
            (marks(word) & valid, 0)
        }
    };
    (marked != 0).then(|| from + first(marked))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json_byte(byte: &u8) -> bool {
        *byte < 0x20 || matches!(byte, b'"' | b'\\')
    }

    fn csv_byte(byte: &u8) -> bool {
        matches!(byte, b',' | b'"' | b'\n' | b'\r')
    }

    #[test]
    fn every_byte_is_told_at_every_place() {
        for byte in 0..=255u8 {
            for len in 1..20 {
                for at in 0..len {
                    let mut bytes = vec![b'x'; len];
                    bytes[at] = byte;
                    assert_eq!(find(&bytes, json), json_byte(&byte).then_some(at));
                    assert_eq!(find(&bytes, csv(b',', b'"')), csv_byte(&byte).then_some(at));
                }
            }
        }
        assert_eq!(find(&[], json), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn the_first_one_is_found(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(find(&bytes, json), bytes.iter().position(json_byte));
            prop_assert_eq!(find(&bytes, csv(b',', b'"')), bytes.iter().position(csv_byte));
        }
    }
}
