//! What holds for every input: no panic, bounded results, and the same result for the same bytes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use dugout_manifest::{PROBLEM_LIMIT, Policy, assemble, parse_blob};
use dugout_model::{RevisionContent, Severity};
use proptest::prelude::*;

/// The golden cases, as something to damage.
fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Reads bytes as the only file of a commit, and checks what holds for all of them.
fn check(bytes: &[u8]) {
    let blob = parse_blob(bytes);
    let content = assemble([("a.yaml", &blob)], &Policy::default());
    match &content {
        RevisionContent::Problems(problems) => {
            assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
            assert!(problems.is_sorted());
            assert!(problems.iter().all(|problem| problem.file == "a.yaml"));
        }
        RevisionContent::Objects { objects, notices } => {
            assert!(objects.iter().all(|(id, object)| *id == object.id()));
            assert!(notices.iter().all(|notice| notice.severity == Severity::Notice));
            assert!(objects.values().all(|object| &*object.origin.file == "a.yaml"));
        }
    }
    assert_eq!(content, assemble([("a.yaml", &parse_blob(bytes))], &Policy::default()));
}

/// One change to a file: bytes taken away, put in, or replaced by what YAML cares about.
fn damage() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    let words: Vec<&str> = vec![
        ":",
        "-",
        "\n",
        "\n---\n",
        " ",
        "\t",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "&a ",
        "*a",
        "<<: ",
        "|",
        ">",
        "!!str ",
        "null",
        "0",
        "-1",
        "1e999",
        "9999999999999999999999",
        "yes",
        "%",
        "#",
        "? ",
        ",",
        "\r",
        "\0",
        "\u{FEFF}",
        "ä",
    ];
    let insert = prop_oneof![
        prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    (any::<prop::sample::Index>(), 0_usize..8, insert)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&bytes);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-:{}\\[\\]&*!|>'\"%@`,#? \n\ta-c0-9<ä]{0,200}") {
        check(text.as_bytes());
    }

    #[test]
    fn no_damaged_manifest_makes_it_panic(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec(damage(), 1..6),
    ) {
        let seeds = seeds();
        let mut bytes = seed.get(&seeds).clone();
        for (place, remove, insert) in changes {
            let start = place.index(bytes.len() + 1);
            let end = (start + remove).min(bytes.len());
            bytes.splice(start..end, insert);
        }
        check(&bytes);
    }
}

/// A result is never much larger than what it came from.
#[test]
fn the_problems_of_a_file_are_bounded() {
    let mut text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n".to_owned();
    for index in 0..100_000 {
        text.push_str(&format!("field{index}: x\n"));
    }
    let blob = parse_blob(text.as_bytes());
    let RevisionContent::Problems(problems) = assemble([("a.yaml", &blob)], &Policy::default())
    else {
        panic!("unknown fields were taken")
    };
    assert_eq!(problems.len(), PROBLEM_LIMIT + 1);
    assert!(problems[0].message.contains("99000 more problems"), "{}", problems[0]);
}

/// However many objects of groups that Dugout does not know, the first are told, and how many more.
#[test]
fn objects_of_other_groups_are_told_up_to_a_limit() {
    let count = PROBLEM_LIMIT + 234;
    let blob = parse_blob("---\nkind: A\napiVersion: a/b\n".repeat(count).as_bytes());
    let told = |policy: &Policy| match assemble([("a.yaml", &blob)], policy) {
        RevisionContent::Problems(problems) => problems,
        RevisionContent::Objects { notices, .. } => notices,
    };
    let skipping = Policy { skip_groups: vec!["a".to_owned()] };
    for (policy, severity) in [(Policy::default(), Severity::Error), (skipping, Severity::Notice)] {
        let problems = told(&policy);
        assert_eq!(problems.len(), PROBLEM_LIMIT + 1);
        assert!(problems.iter().all(|problem| problem.severity == severity));
        let last = &problems[PROBLEM_LIMIT];
        assert_eq!(last.line, 3 * u32::try_from(PROBLEM_LIMIT).unwrap() + 2);
        assert!(last.message.starts_with("234 more objects of groups"), "{last}");
    }
}

#[test]
fn files_that_are_no_utf8_text_are_refused_with_the_place() {
    let problem =
        |bytes: &[u8]| match assemble([("a.yaml", &parse_blob(bytes))], &Policy::default()) {
            RevisionContent::Problems(problems) => problems[0].to_string(),
            RevisionContent::Objects { .. } => panic!("taken"),
        };
    assert!(problem(b"a: 1\nb: \xFF\n").starts_with("a.yaml:2:4: error: the file is not UTF-8"));
    assert!(problem(b"\xFF\xFEa\0").contains("UTF-16"));
    let name = b"\xEF\xBB\xBFapiVersion: v1\r\nkind: Namespace\r\nmetadata:\r\n  name: A\r\n";
    assert!(problem(name).starts_with("a.yaml:4:9: error: metadata.name"), "{}", problem(name));
}

/// A blob is parsed once and may lie anywhere.
#[test]
fn a_blob_tells_the_path_it_is_asked_for() {
    let good = parse_blob(b"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n");
    let bad = parse_blob(b"apiVersion: v1\nkind: Namespace\n");
    for path in ["a.yaml", "moved/b.yaml", "a.yaml"] {
        let RevisionContent::Objects { objects, .. } =
            assemble([(path, &good)], &Policy::default())
        else {
            panic!("refused")
        };
        assert!(objects.values().all(|object| &*object.origin.file == path));
        let RevisionContent::Problems(problems) = assemble([(path, &bad)], &Policy::default())
        else {
            panic!("taken")
        };
        assert_eq!(problems[0].file, path);
    }
    let RevisionContent::Problems(problems) =
        assemble([("b.yaml", &good), ("a.yaml", &good)], &Policy::default())
    else {
        panic!("taken twice")
    };
    assert!(problems[0].to_string().contains("b.yaml:1:1"), "{}", problems[0]);
    assert!(problems[0].to_string().contains("a.yaml:1"), "{}", problems[0]);
}

/// The same objects are handed out again, so that an unchanged file costs nothing later on.
#[test]
fn an_unchanged_file_gives_the_same_shared_object() {
    let blob = parse_blob(b"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n");
    let objects = || match assemble([("a.yaml", &blob)], &Policy::default()) {
        RevisionContent::Objects { objects, .. } => objects,
        RevisionContent::Problems(problems) => panic!("{problems:?}"),
    };
    let (first, again) = (objects(), objects());
    assert!(
        first.values().zip(again.values()).all(|(one, other)| std::sync::Arc::ptr_eq(one, other))
    );
}
