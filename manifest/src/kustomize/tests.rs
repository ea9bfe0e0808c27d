//! What kubectl makes of the cases in `tests/kustomize`, and what we make of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::edit::{Owned, entries, items, same, to_owned};
use super::*;
use crate::tree::Files;
use crate::yaml::{Document, Documents, ScalarKind, Value};

fn read_folder(top: &Path) -> Files {
    let mut files = Files::default();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(top).unwrap().to_str().unwrap();
                files.add(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn rendered(files: &Files, folder: &str) -> Rendering {
    render(files, folder, &mut ParsedTrees::default()).unwrap()
}

fn problems_of(rendering: Rendering) -> Vec<String> {
    let Rendering { problems, lines, .. } = rendering;
    let located = problems.into_list().into_iter().map(|problem| {
        let (file, line) = lines.locate(problem.line);
        let file = file.to_owned();
        dugout_model::Problem { file, line, ..problem }.to_string()
    });
    located.collect()
}

fn documents(text: &str) -> Vec<Owned> {
    let mut problems = Problems::default();
    let mut stream = Documents::of(text);
    let mut found = Vec::new();
    while let Some(document) = stream.next(&mut problems) {
        let Document::Tree(node) = document else { panic!("{:?}", problems.into_list()) };
        found.push(to_owned(&node, 0));
    }
    found
}

/// An object in lines, its keys in order, so that two can be compared by eye.
fn show(node: &Owned, indent: usize, out: &mut String) {
    let pad = "  ".repeat(indent);
    match &node.value {
        Value::Scalar { text, kind: ScalarKind::Text } => writeln!(out, "{text:?}").unwrap(),
        Value::Scalar { text, kind } => match kind {
            ScalarKind::Int(number) => writeln!(out, "{number}").unwrap(),
            ScalarKind::Bool(value) => writeln!(out, "{value}").unwrap(),
            ScalarKind::Null => writeln!(out, "null").unwrap(),
            _ => writeln!(out, "{text}").unwrap(),
        },
        Value::List(_) => {
            writeln!(out).unwrap();
            for item in items(node) {
                write!(out, "{pad}- ").unwrap();
                show(item, indent + 1, out);
            }
        }
        Value::Map(_) => {
            writeln!(out).unwrap();
            let mut sorted: Vec<_> = entries(node).iter().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            for entry in sorted {
                write!(out, "{pad}{}: ", entry.key).unwrap();
                show(&entry.node, indent + 1, out);
            }
        }
    }
}

fn shown(nodes: &[Owned]) -> String {
    let mut out = String::new();
    for node in nodes {
        out.push_str("---");
        show(node, 0, &mut out);
    }
    out
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kustomize");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    assert!(cases.len() > 20, "the cases are not where they should be");
    cases
}

#[test]
fn every_case_renders_to_what_kubectl_prints() {
    let mut wrong = Vec::new();
    for case in cases() {
        let files = read_folder(&case);
        let folder = if case.join("overlay").is_dir() { "overlay" } else { "" };
        let expected = documents(&fs::read_to_string(case.join("expected.yaml")).unwrap());
        let mut rendering = rendered(&files, folder);
        let objects = std::mem::take(&mut rendering.objects);
        let as_expected = objects.len() == expected.len()
            && objects.iter().zip(&expected).all(|(a, b)| same(a, b));
        if !as_expected {
            let (expected, actual) = (shown(&expected), shown(&objects));
            let difference = similar::TextDiff::from_lines(&expected, &actual);
            let problems = problems_of(rendering).join("\n");
            wrong.push(format!(
                "{} (- kubectl, + Dugout)\n{problems}\n{}",
                case.display(),
                difference.unified_diff()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
