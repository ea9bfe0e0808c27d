//! The fuzz targets over their corpus and over mutations of it: a bounded run in every test run, and a
//! longer one with other mutations by `make fuzz`.
//!
//! `FUZZ_CASES` is how many mutations each target gets, and `FUZZ_SEED` the number from which they are
//! made; the same number makes the same ones. An input that fails belongs into the corpus.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

const CASES: u32 = 600;

/// What YAML and kustomizations care about.
const WORDS: &[&str] = &[
    ":",
    "- ",
    "\n",
    "\n---\n",
    "  ",
    "\t",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "&a ",
    "*a",
    "<<: *a",
    "|\n ",
    ">-\n ",
    "!!str ",
    "!!binary ",
    "null",
    "~",
    "-1",
    "0o17",
    "1e999",
    "99999999999999999999",
    "yes",
    "# x\n",
    "? ",
    "\r\n",
    "\0",
    "\u{FEFF}",
    "ä",
    "$patch: delete",
    "$patch: replace",
    "../",
    "*",
    ".",
    "=== ",
    " -> ",
    "=== a.yaml\n",
    "resources: [a.yaml]\n",
    "components: [..]\n",
    "namePrefix: x-\n",
    "behavior: merge",
    "op: move",
    "from: /spec",
    "path: /",
    "kind: List\nitems:\n",
    "v1",
];

/// The files of a corpus, by name.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{name} holds nothing");
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn number(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// One change: a piece is taken out, and a word, some bytes, or a piece of another file put in.
#[derive(Clone, Debug)]
struct Change {
    place: prop::sample::Index,
    remove: usize,
    insert: Insert,
}

#[derive(Clone, Debug)]
enum Insert {
    Bytes(Vec<u8>),
    Piece { of: prop::sample::Index, start: prop::sample::Index, length: usize },
}

fn change() -> impl Strategy<Value = Change> {
    let words = prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec());
    let bytes = prop::collection::vec(any::<u8>(), 0..4);
    let piece = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1_usize..80)
        .prop_map(|(of, start, length)| Insert::Piece { of, start, length });
    let insert = prop_oneof![
        4 => words.prop_map(Insert::Bytes),
        1 => bytes.prop_map(Insert::Bytes),
        2 => piece,
    ];
    (any::<prop::sample::Index>(), 0_usize..24, insert).prop_map(|(place, remove, insert)| Change {
        place,
        remove,
        insert,
    })
}

fn apply(bytes: &mut Vec<u8>, change: Change, seeds: &[Vec<u8>]) {
    let start = change.place.index(bytes.len() + 1);
    let end = (start + change.remove).min(bytes.len());
    let insert = match change.insert {
        Insert::Bytes(bytes) => bytes,
        Insert::Piece { of, start, length } => {
            let other = of.get(seeds);
            let start = start.index(other.len() + 1);
            other[start..(start + length).min(other.len())].to_vec()
        }
    };
    bytes.splice(start..end, insert);
}

/// Runs a target over all seeds, and over mutations of them.
fn run(target: fn(&[u8]), seeds: Vec<(PathBuf, Vec<u8>)>) {
    for (path, bytes) in &seeds {
        assert!(bytes.len() <= targets::INPUT_LIMIT_BYTES, "{} is too large", path.display());
        target(bytes);
    }
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, bytes)| bytes).collect();
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number("FUZZ_SEED", 0).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let config = Config {
        cases: number("FUZZ_CASES", CASES),
        failure_persistence: None,
        ..Config::default()
    };
    let strategy =
        (any::<prop::sample::Index>(), prop::collection::vec(change(), 1..8)).prop_map({
            let seeds = seeds.clone();
            move |(of, changes)| {
                let mut bytes = of.get(&seeds).clone();
                changes.into_iter().for_each(|change| apply(&mut bytes, change, &seeds));
                bytes
            }
        });
    let result = TestRunner::new_with_rng(config, rng).run(&strategy, |bytes| {
        target(&bytes);
        Ok(())
    });
    if let Err(TestError::Fail(reason, bytes)) = result {
        panic!("{reason}\nof this input:\n{}", bytes.escape_ascii());
    }
}

#[test]
fn what_must_hold_of_a_file_holds_for_the_corpus_and_its_mutations() {
    let mut seeds = corpus("fuzz/corpus/yaml");
    let golden = corpus("golden").into_iter();
    seeds.extend(golden.filter(|(path, _)| path.extension().is_some_and(|end| end == "yaml")));
    run(targets::yaml, seeds);
}

#[test]
fn what_must_hold_of_a_kustomization_holds_for_the_corpus_and_its_mutations() {
    run(targets::kustomize, corpus("fuzz/corpus/kustomize"));
}

#[test]
fn bytes_stand_for_a_tree() {
    use dugout_manifest::{Found, Tree};
    let files = targets::files_of(
        b"resources: []\n=== a/b.yaml\nx\n=== l -> a\n=== ../out\ny\n=== a/b.yaml/c\nz\n",
    );
    assert_eq!(files.list("").unwrap().len(), 3, "a, kustomization.yaml, l");
    assert_eq!(files.find("l").unwrap(), Found::Link { target: "a".to_owned() });
    let Found::File { id, size_bytes: 2 } = files.find("a/b.yaml").unwrap() else {
        panic!("no file")
    };
    assert_eq!(files.read("a/b.yaml", id).unwrap(), b"x\n");
}
