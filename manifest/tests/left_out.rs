//! What is not read is told to whoever looks at a folder.

use dugout_manifest::{Files, Policy, SourceCache, read_paths, read_revision};
use dugout_model::RevisionContent;

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

fn folder() -> Files {
    let mut files = Files::default();
    for path in [
        "a.yaml",
        "UP.YAML",
        ".b.yaml",
        ".deploy/more/c.yaml",
        ".deploy/d.yaml",
        ".git/e.yaml",
        ".ignored/f.yaml",
        "k/base/named.yaml",
        "k/base/stray.yaml",
        "k/base/ignored.yaml",
        "k/base/.hidden.yaml",
        "k/over/other.json",
    ] {
        let name: String = path.to_lowercase().replace(['/', '.'], "");
        files.add(path, config_map(&name));
    }
    files.add(".github/workflows/ci.yaml", "on: push\njobs: {}\n");
    files.add(".pre-commit-config.yaml", "repos: []\n");
    files.add(".dugoutignore", ".ignored/\n/k/base/ignored.yaml\n");
    files.add("k/base/values.yaml", "replicas: 3\n");
    files.add("k/base/kustomization.yaml", "resources: [named.yaml]\n");
    files.add("k/over/kustomization.yaml", "resources: [../base]\n");
    files
}

#[test]
fn what_is_hidden_or_not_named_is_told() {
    let files = folder();
    let policy = Policy::default();
    let content = read_paths(&files, &[""], &policy, &mut SourceCache::default()).unwrap();
    let RevisionContent::Objects { objects, notices } = content else { panic!("{content:?}") };
    let names: Vec<&str> = objects.keys().map(|id| id.key.name.as_str()).collect();
    assert_eq!(names, ["ayaml", "kbasenamedyaml", "upyaml"]);
    let told: Vec<String> = notices.iter().map(ToString::to_string).collect();
    let hidden = "(rename it, or name it in .dugoutignore)";
    let unnamed =
        "is not read: no kustomization names it (name it under resources, or in .dugoutignore)";
    assert_eq!(
        told,
        [
            format!(
                ".b.yaml: notice: is not read: its name begins with a dot, and it is a manifest {hidden}"
            ),
            format!(
                ".deploy: notice: is not read: its name begins with a dot, and there are manifests in it, as .deploy/d.yaml {hidden}"
            ),
            format!(
                "k/base/.hidden.yaml: notice: is not read: its name begins with a dot, and it is a manifest {hidden}"
            ),
            format!("k/base/stray.yaml: notice: {unnamed}"),
            format!("k/over/other.json: notice: {unnamed}"),
        ]
    );
}

/// What is read for a server costs what changed, so it does not search what it leaves out.
#[test]
fn a_revision_has_no_word_of_it() {
    let files = folder();
    let policy = Policy::default();
    let reading = read_revision(&files, "", &policy, &mut SourceCache::default()).unwrap();
    let RevisionContent::Objects { notices, .. } = reading.content else { unreachable!() };
    assert_eq!(notices, []);
}

#[test]
fn a_file_that_is_asked_for_is_read_beside_its_kustomization() {
    let files = folder();
    let policy = Policy::default();
    let paths = ["k/over", "k/base/stray.yaml", "k/over/other.json"];
    let content = read_paths(&files, &paths, &policy, &mut SourceCache::default()).unwrap();
    let RevisionContent::Objects { objects, notices } = content else { panic!("{content:?}") };
    assert_eq!(objects.len(), 3);
    assert_eq!(notices.len(), 1, "the hidden one alone: {notices:?}");
}
