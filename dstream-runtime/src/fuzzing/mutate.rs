//! Mutates valid bytes, in the same sequence on every machine.

/// Numbers at which lengths and counts go wrong.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    i64::MAX as u64,
    u64::MAX,
];

/// Length beyond which insertions do not grow a case.
const LONGEST: usize = 64 << 10;

/// Pseudo-random numbers (xorshift64*).
pub(super) struct Chance(u64);

impl Chance {
    /// A different sequence for each name.
    pub(super) fn new(name: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(name.as_bytes()) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below a bound, which must not be 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A part of `bytes`, usually short.
    fn part(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let from = self.below(bytes.len() + 1);
        let most = bytes.len() - from;
        let len = if self.below(4) > 0 { most.min(16) } else { most };
        from..from + self.below(len + 1)
    }
}

/// The next case: a seed with up to five changes.
pub(super) fn next(chance: &mut Chance, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = chance.pick(seeds).clone();
    for _ in 0..chance.below(6) {
        change(chance, &mut bytes, seeds);
    }
    bytes
}

fn change(chance: &mut Chance, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let part = chance.part(bytes);
    let at = part.start;
    match chance.below(10) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = chance.next() as u8;
            }
        }
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(part)),
        // Repeats a part, there or elsewhere.
        4 => {
            let copy = bytes[part].to_vec();
            let to = chance.below(bytes.len() + 1);
            put(bytes, to, &copy);
        }
        // Inserts a part of another seed.
        5 => {
            let other = chance.pick(seeds);
            let copy = other[chance.part(other)].to_vec();
            put(bytes, at, &copy);
        }
        // Overwrites or inserts a number, as in headers or as postcard encodes it.
        6 | 7 => {
            let number = near(chance);
            let width = *chance.pick(&[1, 2, 4, 8]);
            let number = &number.to_le_bytes()[..width];
            match bytes.get_mut(at..at + width) {
                Some(place) => place.copy_from_slice(number),
                None => put(bytes, at, number),
            }
        }
        8 => {
            let mut number = near(chance);
            let mut varint = Vec::new();
            while number > 0x7f {
                varint.push(number as u8 | 0x80);
                number >>= 7;
            }
            varint.push(number as u8);
            let from = bytes.len().min(at + 1).max(at);
            drop(bytes.drain(at..from));
            put(bytes, at, &varint);
        }
        _ => {
            let texts =
                ["\n", "\r\n", "\"", ",", "-", "1e999", "%41", "?", "&", "ü", "\0", "://", "."];
            let text = *chance.pick(&texts);
            put(bytes, at, text.as_bytes());
        }
    }
}

/// A critical number, or a neighbour of one.
fn near(chance: &mut Chance) -> u64 {
    let number = *chance.pick(&NUMBERS);
    match chance.below(4) {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        _ => number,
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    if bytes.len() + what.len() <= LONGEST {
        drop(bytes.splice(at..at, what.iter().copied()));
    }
}
