//! Fingerprints of states: a hash of 128 bits that is equal for states that differ only in ids made by AWS. An id counts as
//! the order of its first appearance. All collections are ordered, and an id identifies a resource and its age among its
//! kind and nothing else, so states with equal fingerprints have the same futures.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
};

/// A hasher that renames ids.
#[derive(Default)]
struct Canonical {
    lanes: [u64; 2],
    names: HashMap<Box<[u8]>, u32>,
}

/// The fingerprint of a state.
pub fn fingerprint(state: &impl Hash) -> u128 {
    let mut hasher = Canonical::default();
    state.hash(&mut hasher);
    let [a, b] = hasher.lanes.map(finish);
    u128::from(a) << 64 | u128::from(b)
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn finish(lane: u64) -> u64 {
    let lane = (lane ^ (lane >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let lane = (lane ^ (lane >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    lane ^ (lane >> 31)
}

impl Canonical {
    fn mix(&mut self, word: u64) {
        let [a, b] = &mut self.lanes;
        *a = (a.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        *b = (b.rotate_left(23) ^ word ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xff51_afd7_ed55_8ccd);
    }

    fn plain(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.mix(word.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
        }
        let rest = words.remainder();
        self.mix(rest.iter().fold(rest.len() as u64, |sum, byte| sum << 8 | u64::from(*byte)));
    }

    fn name(&mut self, id: &[u8]) {
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let number = match self.names.get(id) {
            Some(number) => *number,
            None => *self.names.entry(id.into()).or_insert(next),
        };
        self.mix(u64::from(number) | 1 << 63);
    }
}

/// No id is shorter than `sg-` and its digits.
const SHORTEST: usize = 20;

/// The end of an id of 17 digits, if the prefix before this dash is one whose ids are renamed.
fn id_around(bytes: &[u8], dash: usize) -> Option<(usize, usize)> {
    const DIGITS: usize = 17;
    let end = dash + 1 + DIGITS;
    let prefix = [&b"vpce"[..], b"sg", b"eni", b"uid"].into_iter().find(|prefix| bytes[..dash].ends_with(prefix))?;
    let digits = bytes.get(dash + 1..end)?;
    digits.iter().all(u8::is_ascii_hexdigit).then_some((dash - prefix.len(), end))
}

/// The unique id of a role, or the time of a function's last change: unique, and otherwise without meaning.
fn is_serial(bytes: &[u8]) -> bool {
    bytes.starts_with(b"AROA-")
        || (bytes.len() == 8 && bytes.starts_with(b"0.") && bytes[2..].iter().all(u8::is_ascii_digit))
}

impl Hasher for Canonical {
    fn finish(&self) -> u64 {
        finish(self.lanes[0])
    }

    fn write(&mut self, bytes: &[u8]) {
        if is_serial(bytes) {
            return self.name(bytes);
        }
        if bytes.len() < SHORTEST {
            return self.plain(bytes);
        }
        let (mut from, mut at) = (0, 0);
        // A zip has no ids, and is always the same one.
        if bytes.starts_with(b"PK") {
            return self.plain(&bytes[bytes.len().saturating_sub(64)..]);
        }
        while let Some(dash) = bytes[at..].iter().position(|byte| *byte == b'-').map(|found| at + found) {
            at = dash + 1;
            if let Some((begin, end)) = id_around(bytes, dash) {
                self.plain(&bytes[from..begin]);
                self.name(&bytes[begin..end]);
                (from, at) = (end, end);
            }
        }
        self.plain(&bytes[from..]);
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }
}

#[test]
fn states_that_differ_in_names_alone_are_one_and_others_are_not() {
    let endpoint = |number: u32| format!("vpce-{number:017x}");
    let url = |number: u32| format!("https://{}-x.example", endpoint(number));
    let state = |a, b, c| (endpoint(a), vec![url(b)], endpoint(c));
    assert_eq!(fingerprint(&state(1, 1, 2)), fingerprint(&state(7, 7, 9)));
    assert_ne!(fingerprint(&state(1, 1, 2)), fingerprint(&state(1, 2, 2)), "another thing is meant");
    assert_ne!(fingerprint(&state(1, 1, 2)), fingerprint(&state(1, 1, 1)));
    assert_ne!(fingerprint(&"vpc-00000000000000001"), fingerprint(&"vpc-00000000000000002"), "no name of AWS's");
    assert_ne!(fingerprint(&("ab", "c")), fingerprint(&("a", "bc")));
}
