//! The count of what is understood: every document once, with the problem that decides.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use dugout_manifest::{Coverage, Files, Outcome, Policy, survey_paths};
use dugout_model::RevisionContent;

const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
const ROLE: &str =
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\nrules: []\n";

fn survey(files: &[(&str, &str)], skip_groups: &[&str]) -> (RevisionContent, Coverage) {
    let mut tree = Files::default();
    for (path, text) in files {
        tree.add(*path, *text);
    }
    let skip_groups = skip_groups.iter().map(|group| (*group).to_owned()).collect();
    survey_paths(&tree, &[""], &Policy { skip_groups }).unwrap()
}

/// One line for each kind: understood, noticed, refused, and the places of the first reasons.
fn show(coverage: &Coverage) -> String {
    let mut text = String::new();
    for (name, tally) in &coverage.kinds {
        let counts = (tally.understood, tally.noticed, tally.refused);
        write!(text, "{}|{} {counts:?}", name.kind, name.api_version).unwrap();
        for problem in tally.first_notice.iter().chain(&tally.first_error) {
            write!(text, " {}:{}", problem.file, problem.line).unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn documents_are_counted_by_what_becomes_of_them() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n- {apiVersion: v1, kind: Namespace, metadata: {name: B}}\n";
    let old = "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: i}\n";
    let foreign = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\n";
    let files = [
        ("a.yaml", NAMESPACE),
        ("b.yaml", list),
        ("c.yaml", "a: [\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: c}\n"),
        ("d.yaml", ROLE),
        ("e.yaml", old),
        ("f.yaml", foreign),
        ("g/Chart.yaml", "name: x\n"),
        ("h/kustomization.yaml", "resources: [gone.yaml]\n"),
        ("i/kustomization.yaml", "resources: [i.yaml]\n"),
        ("i/i.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: i}\n"),
    ];
    let (_, coverage) = survey(&files, &["example.com"]);
    assert_eq!(
        show(&coverage),
        "| (0, 0, 2) c.yaml:1\n\
         ClusterRole|rbac.authorization.k8s.io/v1 (0, 1, 0) d.yaml:1\n\
         Ingress|extensions/v1beta1 (0, 0, 1) e.yaml:1\n\
         Kustomization|kustomize.config.k8s.io/v1beta1 (1, 0, 1) h/kustomization.yaml:1\n\
         Namespace|v1 (4, 0, 1) b.yaml:5\n\
         Thing|example.com/v1 (0, 1, 0) f.yaml:1\n"
    );
    assert_eq!(coverage.total(), 12);
    let (_, coverage) = survey(&files[5..6], &[]);
    assert_eq!(show(&coverage), "Thing|example.com/v1 (0, 0, 1) f.yaml:1\n");
}

/// What only the whole can tell belongs to one object, also where another file has the same content.
#[test]
fn a_problem_between_objects_counts_for_the_one_it_is_told_of() {
    let (content, coverage) = survey(&[("a.yaml", NAMESPACE), ("b.yaml", NAMESPACE)], &[]);
    assert!(matches!(content, RevisionContent::Problems(_)));
    assert_eq!(show(&coverage), "Namespace|v1 (1, 0, 1) b.yaml:1\n");
    let lost = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: none}\n";
    let (_, coverage) = survey(&[("a.yaml", lost)], &[]);
    assert_eq!(show(&coverage), "ConfigMap|v1 (0, 0, 1) a.yaml:3\n");
}

#[test]
fn an_object_with_more_problems_than_are_kept_is_refused() {
    let mut text = ROLE.to_owned();
    for _ in 0..dugout_manifest::PROBLEM_LIMIT {
        text.push_str("---\n");
        text.push_str(ROLE);
    }
    text.push_str("---\n{}\n");
    let (_, coverage) = survey(&[("a.yaml", &text)], &[]);
    assert_eq!(coverage.count(Outcome::Understood), 0, "{}", show(&coverage));
    assert_eq!(coverage.total(), dugout_manifest::PROBLEM_LIMIT + 2);
}
