//! What kubectl makes of the cases in `tests/kustomize`, and what we make of them.

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

fn one_map(kustomization: &str, files: &[(&str, &str)]) -> (Vec<Owned>, Vec<String>) {
    let mut tree = Files::default();
    tree.add("kustomization.yaml", kustomization);
    for (path, text) in files {
        tree.add(*path, *text);
    }
    let mut rendering = rendered(&tree, "");
    (std::mem::take(&mut rendering.objects), problems_of(rendering))
}

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, finalizers: [a, b]}
spec:
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}
  template:
    spec:
      initContainers: [{name: one}, {name: two}]
      containers:
      - name: web
        image: nginx
        ports: [{containerPort: 80, protocol: TCP}]
";

/// What the reference leaves in the object does here what it does to an API server.
#[test]
fn directives_of_strategic_merge_patches_are_obeyed() {
    let patch = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  $deleteFromPrimitiveList/finalizers: [a]
  finalizers: [c]
spec:
  strategy: {$retainKeys: [type], type: Recreate}
  template:
    spec:
      $setElementOrder/initContainers: [{name: zero}, {name: two}, {name: one}]
      initContainers: [{name: zero}]
      containers:
      - name: web
        ports: [{containerPort: 80, name: http}]
";
    let (objects, problems) = one_map(
        "resources: [web.yaml]\npatches: [{path: patch.yaml}]\n",
        &[("web.yaml", DEPLOYMENT), ("patch.yaml", patch)],
    );
    let expected = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, finalizers: [c, b]}
spec:
  strategy: {type: Recreate}
  template:
    spec:
      initContainers: [{name: zero}, {name: two}, {name: one}]
      containers:
      - {name: web, image: nginx, ports: [{containerPort: 80, protocol: TCP, name: http}]}
";
    assert_eq!(problems, [""; 0]);
    assert_eq!(shown(&objects), shown(&documents(expected)));
}

#[test]
fn a_suffix_of_a_tag_is_added_once() {
    let images = "images: [{name: nginx, newName: mirror/nginx, newTag: '1'}, {name: mirror/nginx, tagSuffix: -slim}]\n";
    let (objects, _) =
        one_map(&format!("resources: [web.yaml]\n{images}"), &[("web.yaml", DEPLOYMENT)]);
    assert!(shown(&objects).contains("\"mirror/nginx:1-slim\""), "{}", shown(&objects));
}

/// Old kustomizations list the paths of patches.
#[test]
fn patches_may_be_a_list_of_paths() {
    let patch =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 9}\n";
    let (objects, problems) = one_map(
        "resources: [web.yaml]\npatches: [p.yaml]\nbuildMetadata: [managedByLabel]\n",
        &[("web.yaml", DEPLOYMENT), ("p.yaml", patch)],
    );
    assert!(shown(&objects).contains("replicas: 9"), "{problems:?}");
    assert_eq!(problems.len(), 1, "a notice about buildMetadata: {problems:?}");
}

#[test]
fn a_name_that_may_mean_two_objects_is_left_as_it_is() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n";
    let pod = "apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: a, envFrom: [{configMapRef: {name: c}}]}]}
";
    let mut files = Files::default();
    for side in ["a", "b"] {
        files.add(
            format!("{side}/kustomization.yaml"),
            format!("resources: [c.yaml]\nnamePrefix: {side}-\n"),
        );
        files.add(format!("{side}/c.yaml"), map);
    }
    files.add("kustomization.yaml", "resources: [a, b, pod.yaml]\n");
    files.add("pod.yaml", pod);
    let mut rendering = rendered(&files, "");
    let objects = std::mem::take(&mut rendering.objects);
    assert_eq!(problems_of(rendering), [""; 0]);
    let pod = objects.iter().find(|object| edit::text_of(object, "kind") == Some("Pod"));
    // As in the reference. That there is no such config map is told when all objects are known.
    assert!(shown(&[pod.unwrap().clone()]).contains("name: \"c\""), "{}", shown(&objects));
}
