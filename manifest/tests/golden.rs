//! Files in, what a person is told out: each case is a file or a folder in `golden/`, beside a text of
//! what comes of it. `UPDATE_GOLDEN=1` writes the texts anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use dugout_manifest::{
    Files, Policy, SourceCache, assemble, compatibility_page, parse_blob, read_source,
};
use dugout_model::RevisionContent;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The files below a folder, by their path in it.
fn read_folder(top: &Path) -> Files {
    let mut files = Files::default();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
            match path.is_dir() {
                true => folders.push(path),
                false => files.add(name, fs::read(&path).unwrap()),
            }
        }
    }
    files
}

fn assemble_all(files: &Files) -> RevisionContent {
    read_source(files, "", &Policy::default(), &mut SourceCache::default()).unwrap()
}

fn show(content: &RevisionContent) -> String {
    let mut text = String::new();
    match content {
        RevisionContent::Problems(problems) => {
            for problem in problems {
                writeln!(text, "{problem}").unwrap();
            }
        }
        RevisionContent::Objects { objects, notices } => {
            for notice in notices {
                writeln!(text, "{notice}").unwrap();
            }
            for object in objects.values() {
                writeln!(text, "\n{} {object:#?}", object.id()).unwrap();
            }
        }
    }
    text
}

/// Compares with a file, or writes it.
fn check(path: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, actual).unwrap();
        return Ok(());
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    let difference = similar::TextDiff::from_lines(expected.as_str(), actual);
    Err(format!("{} (- expected, + actual):\n{}", path.display(), difference.unified_diff()))
}

#[test]
fn every_case_gives_what_its_text_says() {
    let mut cases: Vec<PathBuf> = fs::read_dir(folder("tests/golden"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    cases.sort();
    assert!(cases.len() > 10, "the cases are not where they should be");
    let mut wrong = Vec::new();
    for case in cases {
        let files = if case.is_dir() {
            read_folder(&case)
        } else {
            let name = case.file_name().unwrap().to_str().unwrap().to_owned();
            let mut files = Files::default();
            files.add(name, fs::read(&case).unwrap());
            files
        };
        wrong.extend(check(&case.with_extension("txt"), &show(&assemble_all(&files))).err());
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_GOLDEN=1 writes them anew", wrong.join("\n"));
}

#[test]
fn the_tutorials_repository_has_no_problems() {
    let files = read_folder(&folder("../examples-repo"));
    let RevisionContent::Objects { objects, notices } = assemble_all(&files) else {
        panic!("{}", show(&assemble_all(&files)))
    };
    assert_eq!(notices, [], "not even notices");
    let ids: Vec<String> = objects.keys().map(ToString::to_string).collect();
    assert_eq!(
        ids,
        [
            "Namespace demo",
            "ConfigMap demo/web",
            "Secret demo/web",
            "Service demo/web",
            "Deployment demo/web"
        ]
    );
}

#[test]
fn the_compatibility_page_says_what_the_code_does() {
    let page = folder("../docs/compatibility.md");
    if let Err(difference) = check(&page, &compatibility_page()) {
        panic!("{difference}\nUPDATE_GOLDEN=1 writes it anew");
    }
}

/// What a message repeats of a secret ends in logs, in the database and on forges.
#[test]
fn no_problem_of_a_secret_repeats_its_content() {
    let text = fs::read_to_string(folder("tests/golden/secret-wrong.yaml")).unwrap();
    let blob = parse_blob(text.as_bytes());
    let shown = show(&assemble([("secret.yaml", &blob)], &Policy::default()));
    for content in ["hunter2", "314159", "271828"] {
        assert!(!shown.contains(content), "{content} in {shown}");
    }
}
