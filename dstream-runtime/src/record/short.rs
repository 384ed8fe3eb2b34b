//! Short texts, checked without a call.

/// Bytes as text, if they are UTF-8.
///
/// A window shows all of its keys at every slide, and most are a few ASCII letters: the general
/// check took a fifth of the time of a job of small batches.
#[inline(always)]
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    if is_short_ascii(bytes) { Some(ascii(bytes)) } else { std::str::from_utf8(bytes).ok() }
}

#[inline(always)]
#[expect(unsafe_code, reason = "measured: see above")]
fn ascii(bytes: &[u8]) -> &str {
    debug_assert!(bytes.is_ascii());
    // SAFETY: only called for bytes that were seen to be ASCII, all of them, and ASCII is UTF-8.
    unsafe { std::str::from_utf8_unchecked(bytes) }
}

/// Whether these are at most 16 bytes, all of them ASCII.
#[inline(always)]
fn is_short_ascii(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Two loads that overlap see every byte.
    let all = match bytes.len() {
        8..=16 => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(head), Some(tail)) => u64::from_le_bytes(*head) | u64::from_le_bytes(*tail),
            _ => HIGH,
        },
        4..=7 => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(head), Some(tail)) => {
                u64::from(u32::from_le_bytes(*head) | u32::from_le_bytes(*tail))
            }
            _ => HIGH,
        },
        0..=3 => bytes.iter().fold(0, |all, byte| all | u64::from(*byte)),
        _ => HIGH,
    };
    all & HIGH == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_place() {
        for len in 0..40 {
            let mut bytes = vec![b'x'; len];
            assert_eq!(text(&bytes), std::str::from_utf8(&bytes).ok());
            for at in 0..len {
                for byte in [0x7f, 0x80, 0xc3, 0xff] {
                    bytes[at] = byte;
                    assert_eq!(text(&bytes), std::str::from_utf8(&bytes).ok(), "{len} {at} {byte}");
                }
                bytes[at] = b'x';
            }
        }
        assert_eq!(text("zwölf".as_bytes()), Some("zwölf"));
    }
}
