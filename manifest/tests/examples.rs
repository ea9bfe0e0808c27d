//! Manifests that others wrote: each folder as one revision, accepted or refused for stated reasons.
//! `UPDATE_GOLDEN=1` writes the reasons anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use dugout_manifest::{ParsedBlob, Policy, assemble, parse_blob};
use dugout_model::RevisionContent;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples")
}

/// The files of each folder that has any, by path from the top.
fn folders() -> BTreeMap<String, BTreeMap<String, ParsedBlob>> {
    let mut found: BTreeMap<String, BTreeMap<String, ParsedBlob>> = BTreeMap::new();
    let mut waiting = vec![top()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let folder = folder.strip_prefix(top()).unwrap().to_str().unwrap().to_owned();
                let blob = parse_blob(&fs::read(&path).unwrap());
                found.entry(folder).or_default().insert(name, blob);
            }
        }
    }
    found
}

fn outcome(files: &BTreeMap<String, ParsedBlob>, policy: &Policy) -> String {
    let files = files.iter().map(|(path, blob)| (path.as_str(), blob));
    let mut text = String::new();
    let problems = match assemble(files, policy) {
        RevisionContent::Problems(problems) => problems,
        RevisionContent::Objects { objects, notices } => {
            writeln!(text, "accepted: {} objects", objects.len()).unwrap();
            notices
        }
    };
    for problem in problems {
        writeln!(text, "{problem}").unwrap();
    }
    text
}

#[test]
fn every_example_is_accepted_or_refused_for_a_stated_reason() {
    let folders = folders();
    assert!(folders.len() > 20, "the examples are not where they should be");
    let mut all = String::new();
    for (folder, files) in &folders {
        writeln!(all, "# {folder}\n{}", outcome(files, &Policy::default())).unwrap();
    }
    let path = top().join("outcome.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &all).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let difference = similar::TextDiff::from_lines(&expected, &all);
    assert!(
        expected == all,
        "UPDATE_GOLDEN=1 writes it anew\n{}",
        difference.unified_diff().header("expected", "actual")
    );
}

/// The custom resources among them are all that keeps this folder out, but for what Dugout lacks.
#[test]
fn a_skipped_group_is_noticed_and_no_error() {
    let folders = folders();
    let files = &folders["AI/vllm-deployment/hpa"];
    let custom = |text: &str| text.lines().filter(|line| line.contains("custom resource")).count();
    assert_eq!(custom(&outcome(files, &Policy::default())), 4);
    let skips = Policy { skip_groups: vec!["monitoring.coreos.com".to_owned()] };
    let text = outcome(files, &skips);
    assert_eq!(custom(&text), 0, "{text}");
    assert_eq!(text.matches("the source skips monitoring.coreos.com").count(), 4, "{text}");
}
