//! The ways in which an example is broken: bits, bytes, cuts, splices with another one, words, numbers, depth,
//! repetition and keys that are there twice.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::corpus::Corpus;

/// What bytes that somebody parses are made of.
const WORDS: &[&[u8]] = &[
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"[{}]",
    b"\"\"",
    b"\"",
    b"'",
    b"\\",
    b",",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\0",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf0\x9f",
    b"\\u0000",
    b"\\ud800",
    b"\\udfff\\ud800",
    b"\xef\xbb\xbf",
    "\u{202e}".as_bytes(),
    "\u{85}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{130}".as_bytes(),
    "é".as_bytes(),
    b"\r\n",
    b"\n",
    b"\n\n",
    b"\t",
    b" ",
    b"---\n",
    b"...\n",
    b"&a ",
    b"*a",
    b"<<: *a\n",
    b"!!binary ",
    b"!x ",
    b"? ",
    b"- ",
    b"#",
    b"|\n",
    b"%00",
    b"%2F",
    b"%",
    b"..",
    b"/",
    b"//",
    b"?",
    b"&",
    b"=",
    b"+",
    b"@",
    b"$",
    b"https://",
    b"http://",
    b"eyJ",
    b"room-a@contoso.example",
    b"smtp:",
    b"5f1d7a9c-1111-4000-8000-000000000001",
    b"9999-12-31T23:59:59Z",
    b"-009999-01-02T01:59:59Z",
    b"2026-02-30T00:00:00Z",
    b"9999999h",
    b"Tue, 24 Nov 2026 08:00:45 GMT",
    b"Fri, 31 Dec 9999 23:59:59 GMT",
];

/// Numbers at the edges of what somebody reads them into.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "-1e308",
    "1e999",
    "1e-999",
    "0.1",
    "00",
    "99999999999999999999999999999999999999999999999999999999999999999999999999999999",
];

/// What opens and closes.
const PAIRS: &[(&str, &str)] = &[
    ("[", "]"),
    ("{\"a\":", "}"),
    ("(", ")"),
    ("- ", ""),
    ("not (", ")"),
    ("{a: ", "}"),
    ("/", ""),
    ("\"", "\""),
];

/// One way to break something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Truncate,
    Cut,
    Flip,
    Put,
    Word,
    ReplaceWithWord,
    Number,
    DoubleKey,
    Swap,
    Splice,
    Repeat,
    Nest,
    Grow,
}

const KINDS: &[Kind] = &[
    Kind::Truncate,
    Kind::Cut,
    Kind::Flip,
    Kind::Flip,
    Kind::Put,
    Kind::Put,
    Kind::Word,
    Kind::Word,
    Kind::ReplaceWithWord,
    Kind::ReplaceWithWord,
    Kind::Number,
    Kind::Number,
    Kind::DoubleKey,
    Kind::Swap,
    Kind::Swap,
    Kind::Splice,
    Kind::Splice,
    Kind::Repeat,
    Kind::Nest,
    Kind::Grow,
];

/// One change; what its parts mean depends on its kind.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    kind: Kind,
    at: Index,
    other: Index,
    amount: u32,
}

/// An example, and what is done to it. Fewer changes are simpler ones.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    example: Index,
    changes: Vec<Change>,
}

/// All recipes.
pub(crate) fn recipes() -> impl Strategy<Value = Recipe> {
    let amount = prop_oneof![12 => 0..24_u32, 2 => 0..3_000_u32, 1 => 0..1_000_000_u32];
    let change = (select(KINDS), any::<Index>(), any::<Index>(), amount).prop_map(
        |(kind, at, other, amount)| Change {
            kind,
            at,
            other,
            amount,
        },
    );
    (any::<Index>(), prop::collection::vec(change, 0..7))
        .prop_map(|(example, changes)| Recipe { example, changes })
}

impl Recipe {
    /// The input, of at most so many bytes.
    pub(crate) fn cook(&self, corpus: &Corpus, words: &[&str], longest: usize) -> Vec<u8> {
        let kitchen = Kitchen {
            corpus,
            words,
            longest,
        };
        let mut input = self.example.get(&corpus.inputs).1.clone();
        for change in &self.changes {
            kitchen.apply(&mut input, change);
            input.truncate(longest);
        }
        input
    }
}

struct Kitchen<'a> {
    corpus: &'a Corpus,
    words: &'a [&'a str],
    longest: usize,
}

impl Kitchen<'_> {
    fn apply(&self, input: &mut Vec<u8>, change: &Change) {
        let Change {
            kind,
            at,
            other,
            amount,
        } = change;
        let small = usize::try_from(*amount).unwrap_or(usize::MAX);
        let place = at.index(input.len() + 1);
        let end = place.saturating_add(small).min(input.len());
        match kind {
            Kind::Truncate => input.truncate(place),
            Kind::Cut => drop(input.drain(place..end)),
            Kind::Flip => {
                if let Some(byte) = input.get_mut(place) {
                    *byte ^= 1 << (amount % 8);
                }
            }
            Kind::Put => {
                if let Some(byte) = input.get_mut(place) {
                    *byte = amount.to_le_bytes()[0];
                }
            }
            Kind::Word => insert(input, place, self.word(*other)),
            Kind::ReplaceWithWord => {
                let (from, to) = run(input, place, |byte| byte.is_ascii_alphanumeric());
                input.splice(from..to, self.word(*other).iter().copied());
            }
            Kind::Number => number(input, *at, NUMBERS[other.index(NUMBERS.len())]),
            Kind::DoubleKey => double_key(input, *at, *other),
            Kind::Swap => swap(input, *at, *other),
            Kind::Splice => {
                let (_, donor) = other.get(&self.corpus.inputs);
                let from = at.index(donor.len() + 1);
                let until = from
                    .saturating_add(small.saturating_mul(8))
                    .min(donor.len());
                insert(input, other.index(input.len() + 1), &donor[from..until]);
            }
            Kind::Repeat => {
                let end = place.saturating_add(1 + other.index(64)).min(input.len());
                let part = input[place..end].to_vec();
                self.repeat(input, place, &part, small);
            }
            Kind::Nest => {
                let (open, close) = other.get(PAIRS);
                self.repeat(input, input.len(), close.as_bytes(), small);
                // Whatever is read from the start gets as deep only there.
                let start = if small % 2 == 0 { 0 } else { place };
                self.repeat(input, start, open.as_bytes(), small);
            }
            Kind::Grow => {
                let byte = [*other.get(b"a 0,[{(\"\n%\\\xff")];
                self.repeat(input, place, &byte, small);
            }
        }
    }

    fn word(&self, which: Index) -> &[u8] {
        let place = which.index(WORDS.len() + 2 * self.words.len());
        match place.checked_sub(WORDS.len()) {
            None => WORDS[place],
            Some(own) => self.words[own / 2].as_bytes(),
        }
    }

    fn repeat(&self, input: &mut Vec<u8>, at: usize, part: &[u8], times: usize) {
        if part.is_empty() {
            return;
        }
        let room = self.longest.saturating_sub(input.len()) / part.len();
        insert(input, at, &part.repeat(times.min(room)));
    }
}

fn insert(input: &mut Vec<u8>, at: usize, part: &[u8]) {
    input.splice(at..at, part.iter().copied());
}

/// The run of such bytes around a place.
fn run(input: &[u8], place: usize, is_part: impl Fn(u8) -> bool) -> (usize, usize) {
    let before = input[..place]
        .iter()
        .rev()
        .take_while(|byte| is_part(**byte));
    let after = input[place..].iter().take_while(|byte| is_part(**byte));
    (place - before.count(), place + after.count())
}

/// Puts a number in the place of one that is there.
fn number(input: &mut Vec<u8>, which: Index, text: &str) {
    let is_first =
        |at: &usize| input[*at].is_ascii_digit() && (*at == 0 || !input[*at - 1].is_ascii_digit());
    let starts: Vec<usize> = (0..input.len()).filter(is_first).collect();
    if starts.is_empty() {
        return;
    }
    let (from, to) = run(input, *which.get(&starts), |byte| byte.is_ascii_digit());
    input.splice(from..to, text.bytes());
}

/// Says something twice: the key of JSON or YAML that begins at some quote or line, with another value.
fn double_key(input: &mut Vec<u8>, which: Index, other: Index) {
    let colons: Vec<usize> = (0..input.len()).filter(|at| input[*at] == b':').collect();
    if colons.is_empty() {
        return;
    }
    let colon = *which.get(&colons);
    let (from, _) = run(input, colon, |byte| !b"{},[]\n:".contains(&byte));
    let key = input[from..=colon].to_vec();
    let value: &[u8] = [&b" null"[..], b" 1", b" \"x\"", b" []", b" {}"][other.index(5)];
    let end: &[u8] = if key.contains(&b'"') { b"," } else { b"\n" };
    insert(input, from, &[&key, value, end].concat());
}

/// Exchanges two words.
fn swap(input: &mut Vec<u8>, one: Index, other: Index) {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'"';
    let mut ends = [one, other].map(|index| run(input, index.index(input.len() + 1), is_part));
    ends.sort_unstable();
    let [(a, b), (c, d)] = ends;
    if b > c {
        return;
    }
    let swapped = [
        &input[..a],
        &input[c..d],
        &input[b..c],
        &input[a..b],
        &input[d..],
    ]
    .concat();
    *input = swapped;
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;

    use super::*;

    fn corpus() -> Corpus {
        Corpus {
            inputs: vec![("one".to_owned(), b"{\"key\": 12, \"other\": []}".to_vec())],
        }
    }

    proptest! {
        #[test]
        fn every_recipe_makes_something_of_bounded_length(recipe in recipes()) {
            let input = recipe.cook(&corpus(), &["word"], 1_000);
            prop_assert!(input.len() <= 1_000);
        }
    }

    #[test]
    fn words_of_a_target_and_numbers_and_keys_are_put_in() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut seen = [false; 4];
        for _ in 0..2_000 {
            let recipe = recipes().new_tree(&mut runner).unwrap().current();
            let input = recipe.cook(&corpus(), &["wonderful"], 100_000);
            let has = |what: &[u8]| input.windows(what.len()).any(|one| one == what);
            seen[0] |= has(b"wonderful");
            seen[1] |= has(b"18446744073709551616");
            seen[2] |= has(b"\"key\": null,\"key\"");
            seen[3] |= has(&b"[".repeat(200));
        }
        assert_eq!(seen, [true; 4]);
    }
}
