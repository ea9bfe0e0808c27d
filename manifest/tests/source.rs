//! Reading a source again costs what changed, and no input makes it panic or grow without bound.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use dugout_manifest::{
    ContentId, Files, Found, NOTICE_LIMIT, Policy, SourceCache, Tree, TreeError, assemble,
    parse_blob, read_paths, read_revision, read_source,
};
use dugout_model::{DeclaredObjects, Problem, RevisionContent, Severity};
use proptest::prelude::*;

/// Files that remember what was read of them.
struct Watched {
    files: Files,
    read: RefCell<Vec<String>>,
}

impl Tree for Watched {
    fn find(&self, path: &str) -> Result<Found, TreeError> {
        self.files.find(path)
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, Found)>, TreeError> {
        self.files.list(folder)
    }

    fn read(&self, path: &str, id: ContentId) -> Result<Vec<u8>, TreeError> {
        self.read.borrow_mut().push(path.to_owned());
        self.files.read(path, id)
    }
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

fn example() -> Files {
    let mut files = Files::default();
    files.add("top/plain.yaml", config_map("plain"));
    files.add("top/readme.md", "x");
    files.add("shared/kustomization.yaml", "resources: [a.yaml]\n");
    files.add("shared/a.yaml", config_map("a"));
    for name in ["one", "two"] {
        let text = format!("resources: [../../shared, own.yaml]\nnamePrefix: {name}-\n");
        files.add(format!("top/{name}/kustomization.yaml"), text);
        files.add(format!("top/{name}/own.yaml"), config_map("own"));
        files.add(format!("top/{name}/notes.txt"), "x");
    }
    files
}

/// What is read when a source is read again after a change.
fn read_again(change: impl FnOnce(&mut Files)) -> (Vec<String>, RevisionContent) {
    let mut cache = SourceCache::default();
    let mut tree = Watched { files: example(), read: RefCell::default() };
    read_source(&tree, "top", &Policy::default(), &mut cache).unwrap();
    assert!(tree.read.borrow().len() >= 6);
    tree.read.borrow_mut().clear();
    change(&mut tree.files);
    let content = read_source(&tree, "top", &Policy::default(), &mut cache).unwrap();
    let fresh =
        read_source(&tree.files, "top", &Policy::default(), &mut SourceCache::default()).unwrap();
    assert_eq!(content, fresh, "what is kept is what would be read");
    let mut read = tree.read.take();
    read.sort();
    (read, content)
}

/// Edits of a small source, each of which may make it wrong or right again.
fn edit() -> impl Strategy<Value = (usize, usize)> {
    (0..8_usize, 0..17_usize)
}

/// One of a few files gets one of a few contents, or goes.
fn apply_edit(files: &mut Files, (file, content): (usize, usize)) {
    const PATHS: [&str; 8] = [
        "top/a.yaml",
        "top/b/a.yaml",
        "top/b/b.yaml",
        "top/b/c/a.yaml",
        "top/b/c",
        "top/.hidden/a.yaml",
        "top/notes.txt",
        "top/b/kustomization.yaml",
    ];
    let object = |kind: &str, name: &str, rest: &str| {
        format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n{rest}")
    };
    let ports = |port: u16| {
        format!(
            "spec: {{type: NodePort, selector: {{app: web}}, ports: [{{port: 80, nodePort: {port}}}]}}\n"
        )
    };
    let in_space = |space: &str, key: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c, namespace: {space}}}\ndata: {{{key}: x}}\n"
        )
    };
    let role = |name: &str, verb: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\n\
             rules: [{{apiGroups: [x], resources: [pods], verbs: [{verb}]}}]\n"
        )
    };
    let text = match content {
        0 => object("ConfigMap", "one", ""),
        1 => object("ConfigMap", "one", "data: {a: b}\n"),
        2 => object("ConfigMap", "two", ""),
        3 => object("Namespace", "space", ""),
        4 => in_space("space", "a"),
        5 => in_space("space", "b"),
        6 => object("Service", "s", &ports(30_001)),
        7 => object("Service", "t", &ports(30_001)),
        8 => object("ServiceAccount", "robot", ""),
        9 => "kind: Nonsense\n".to_owned(),
        10 => "resources: [a.yaml]\n".to_owned(),
        11 => role("a", "get"),
        12 => role("a", "list"),
        13 => role("b", "get") + "---\n" + &object("ConfigMap", "two", ""),
        14 => "apiVersion: a.example/v1\nkind: Other\nmetadata: {name: x}\n".to_owned(),
        15 => [object("Namespace", "space", ""), in_space("space", "a")].join("---\n"),
        _ => return files.remove(PATHS[file]),
    };
    // A path is a file or a folder.
    match PATHS[file] {
        "top/b/c" => files.remove("top/b/c/a.yaml"),
        "top/b/c/a.yaml" => files.remove("top/b/c"),
        _ => {}
    }
    files.add(PATHS[file], text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// A source that is followed by its differences is the source that would be read whole.
    #[test]
    fn a_source_that_is_followed_equals_one_that_is_read_whole(
        edits in prop::collection::vec(prop::collection::vec(edit(), 1..4), 1..12),
    ) {
        let mut files = Files::default();
        files.add("top/keep.yaml", config_map("keep"));
        let mut cache = SourceCache::default();
        let mut before: Option<DeclaredObjects> = None;
        let policy = Policy { skip_groups: vec!["a.example".to_owned()] };
        let mut was_right = false;
        for edits in edits {
            edits.into_iter().for_each(|edit| apply_edit(&mut files, edit));
            let reading = read_revision(&files, "top", &policy, &mut cache).unwrap();
            let whole = read_source(&files, "top", &policy, &mut SourceCache::default()).unwrap();
            prop_assert_eq!(&reading.content, &whole);
            let is_right = matches!(whole, RevisionContent::Objects { .. });
            prop_assert_eq!(reading.was_followed, was_right && is_right);
            was_right = is_right;
            let RevisionContent::Objects { objects, .. } = whole else { continue };
            if let Some(changed) = reading.changed {
                let before = before.expect("there was a reading before");
                for id in before.keys().chain(objects.keys()) {
                    let is_same = before.get(id) == objects.get(id);
                    prop_assert!(is_same || changed.contains(id), "{} changed unsaid", id);
                }
            }
            before = Some(objects);
        }
    }
}

#[test]
fn a_changed_file_of_many_is_all_that_is_looked_at() {
    let mut files = Files::default();
    for team in 0..20 {
        files.add(format!("top/{team}/a.yaml"), config_map(&format!("a{team}")));
    }
    let mut tree = Watched { files, read: RefCell::default() };
    let mut cache = SourceCache::default();
    read_revision(&tree, "top", &Policy::default(), &mut cache).unwrap();
    tree.read.borrow_mut().clear();
    tree.files.add("top/7/a.yaml", config_map("other"));
    let reading = read_revision(&tree, "top", &Policy::default(), &mut cache).unwrap();
    assert_eq!(tree.read.take(), ["top/7/a.yaml"]);
    let changed: Vec<String> = reading.changed.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(changed, ["ConfigMap default/a7", "ConfigMap default/other"]);
}

/// Of what a kustomization makes, what is told to differ is what does.
#[test]
fn a_changed_kustomization_says_which_objects_differ() {
    let kustomization = |prefix: &str| {
        format!("namePrefix: {prefix}-\nresources: [map.yaml]\nlabels: [{{pairs: {{a: b}}}}]\n")
    };
    let mut files = Files::default();
    for team in ["one", "two"] {
        files.add(format!("top/{team}/kustomization.yaml"), kustomization(team));
        files.add(format!("top/{team}/map.yaml"), config_map("a") + "---\n" + &config_map("b"));
    }
    let mut cache = SourceCache::default();
    let mut read = |files: &Files| {
        let reading = read_revision(files, "top", &Policy::default(), &mut cache).unwrap();
        let changed = reading.changed?;
        Some(changed.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(read(&files), None, "nothing was read before");
    assert_eq!(read(&files), Some(Vec::new()));
    files.add("top/two/map.yaml", config_map("a") + "---\n" + &config_map("c"));
    let (b, c) = ("ConfigMap default/two-b".to_owned(), "ConfigMap default/two-c".to_owned());
    assert_eq!(read(&files), Some(vec![b.clone(), c.clone()]));
    files.add("top/two/map.yaml", "broken: [");
    assert_eq!(read(&files), None, "it has errors");
    files.add("top/two/map.yaml", config_map("a"));
    assert_eq!(read(&files), None, "it had errors");
}

/// Of many notices the first are listed with their number, however the source is read.
#[test]
fn notices_are_counted_and_the_first_listed() {
    let service = |name: &str, version: usize| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
             spec: {{ports: [{{port: {version}}}]}}\n"
        )
    };
    let mut files = Files::default();
    for number in 0..=NOTICE_LIMIT {
        files.add(format!("top/{number:03}.yaml"), service(&format!("a{number}"), 80));
    }
    let mut cache = SourceCache::default();
    let policy = Policy::default();
    let notices = |content| match content {
        RevisionContent::Objects { notices, .. } => notices,
        RevisionContent::Problems(problems) => panic!("{problems:?}"),
    };
    let whole = |files: &Files| {
        notices(read_source(files, "top", &policy, &mut SourceCache::default()).unwrap())
    };
    let mut read =
        |files: &Files| notices(read_revision(files, "top", &policy, &mut cache).unwrap().content);
    let of_many = |all: Vec<Problem>| {
        let told = format!(
            "top: notice: the source has {} notices; the first {NOTICE_LIMIT} are listed \
             (`dugout validate` lists all of them)",
            all.len()
        );
        let first = all.into_iter().take(NOTICE_LIMIT).map(|notice| notice.to_string());
        std::iter::once(told).chain(first).collect::<Vec<String>>()
    };
    let texts = |notices: Vec<Problem>| -> Vec<String> {
        notices.iter().map(ToString::to_string).collect()
    };
    assert_eq!(texts(read(&files)), of_many(whole(&files)));
    for (path, text) in [
        ("top/050.yaml", "# nothing\n".to_owned()),
        ("top/001b.yaml", service("b", 81)),
        ("top/000.yaml", service("c", 82)),
    ] {
        files.add(path, text);
        assert_eq!(texts(read(&files)), of_many(whole(&files)), "{path} changed");
    }
    for number in 20..=NOTICE_LIMIT {
        files.remove(&format!("top/{number:03}.yaml"));
    }
    assert_eq!(read(&files), whole(&files), "no more than can be listed");
}

#[test]
fn what_did_not_change_is_not_read_again() {
    let (read, content) = read_again(|_| {});
    assert_eq!(read, [""; 0]);
    assert!(matches!(content, RevisionContent::Objects { objects, .. } if objects.len() == 5));
    let (read, _) = read_again(|files| files.add("top/one/notes.txt", "changed"));
    assert_eq!(read, [""; 0], "no kustomization reads it");
    let (read, _) = read_again(|files| files.add("top/plain.yaml", config_map("other")));
    assert_eq!(read, ["top/plain.yaml"]);
    let (read, _) = read_again(|files| files.add("top/one/own.yaml", config_map("other")));
    assert!(read.contains(&"top/one/own.yaml".to_owned()));
    assert!(!read.iter().any(|path| path.starts_with("top/two")), "{read:?}");
    let (read, content) = read_again(|files| files.add("shared/a.yaml", config_map("b")));
    assert!(read.contains(&"top/two/kustomization.yaml".to_owned()), "{read:?}");
    let ids = match content {
        RevisionContent::Objects { objects, .. } => objects,
        RevisionContent::Problems(problems) => panic!("{problems:?}"),
    };
    assert!(ids.keys().any(|id| id.to_string() == "ConfigMap default/two-b"));
}

/// What was missing may come, which changes what a kustomization means.
#[test]
fn a_file_that_appears_is_seen() {
    let mut cache = SourceCache::default();
    let mut files = Files::default();
    files.add("kustomization.yaml", "resources: [a.yaml]\n");
    let first = read_source(&files, "", &Policy::default(), &mut cache).unwrap();
    assert!(matches!(first, RevisionContent::Problems(_)));
    files.add("a.yaml", config_map("a"));
    let second = read_source(&files, "", &Policy::default(), &mut cache).unwrap();
    assert!(matches!(second, RevisionContent::Objects { objects, .. } if objects.len() == 1));
}

#[test]
fn links_are_followed_inside_the_repository() {
    let mut files = Files::default();
    files.add("real/a.yaml", config_map("a"));
    files.add_link("top/a.yaml", "../real/a.yaml");
    files.add_link("top/out.yaml", "../../etc/passwd");
    files.add_link("top/folder", "../real");
    files.add_link("top/gone.yaml", "nothing.yaml");
    files.add_link("top/outside", "/srv/manifests");
    files.add_link("top/round", "round");
    let told = |files: &Files, path| match read_source(
        files,
        path,
        &Policy::default(),
        &mut SourceCache::default(),
    ) {
        Ok(RevisionContent::Problems(problems)) => {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
        Ok(RevisionContent::Objects { objects, .. }) => {
            objects.values().map(|object| object.origin.file.to_string()).collect()
        }
        Err(error) => panic!("{error}"),
    };
    let problems = told(&files, "top");
    for expected in [
        "top/folder: notice: is not read: it is a link to a folder",
        "top/gone.yaml: error: cannot be read: it is a link to nothing",
        "top/out.yaml: error: cannot be read: it is a link that leads out of the repository",
        "top/outside: notice: is not read: it is a link that leads out of the repository",
        "top/round: notice: is not read: it is a link that leads round in a circle",
    ] {
        assert!(problems.contains(expected), "{expected} in {problems}");
    }
    files.add("app/kustomization.yaml", "resources: [../top/folder/a.yaml]\n");
    assert_eq!(told(&files, "app"), "real/a.yaml");
    files.add("app/kustomization.yaml", "resources: [../top/out.yaml]\n");
    assert!(told(&files, "app").contains("leads out of the repository"));
    files.remove("app/kustomization.yaml");
    files.add_link("app/kustomization.yaml", "../../kustomization.yaml");
    assert!(told(&files, "app").contains("\"app/kustomization.yaml\" leads out of the repository"));
    files.add("app/kustomization.yaml", "resources: []\n");
    files.remove("app/kustomization.yaml");
    files.add_link("app/.dugoutignore", "../real/a.yaml");
    assert!(told(&files, "app").contains("app/.dugoutignore: error: this is no file"));
}

fn problems_of(files: &Files) -> String {
    match read_source(files, "", &Policy::default(), &mut SourceCache::default()).unwrap() {
        RevisionContent::Problems(problems) => {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
        RevisionContent::Objects { objects, .. } => format!("{} objects", objects.len()),
    }
}

/// Bases that name bases twice double with each step.
#[test]
fn kustomizations_cannot_multiply_without_bound() {
    let mut files = Files::default();
    for level in 0..30 {
        let next = level + 1;
        for side in ["a", "b"] {
            let text = format!("resources: [../a{next}, ../b{next}]\nnamePrefix: {side}-\n");
            files.add(format!("{side}{level}/kustomization.yaml"), text);
        }
    }
    for side in ["a30", "b30"] {
        files.add(format!("{side}/kustomization.yaml"), "resources: [c.yaml]\n");
        files.add(format!("{side}/c.yaml"), config_map("c"));
    }
    files.add("kustomization.yaml", "resources: [a0]\n");
    let problems = problems_of(&files);
    assert!(problems.contains("more than 1000 kustomizations"), "{problems}");
}

#[test]
fn patches_cannot_multiply_without_bound() {
    let mut files = Files::default();
    files.add("a.yaml", config_map("a") + "data: {a: b}\n");
    let mut patch =
        String::from("resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: |\n");
    for index in 0..60 {
        writeln!(patch, "    - {{op: copy, from: /data, path: /data/k{index}}}").unwrap();
    }
    files.add("kustomization.yaml", patch);
    let problems = problems_of(&files);
    assert!(problems.contains("makes more than"), "{problems}");
    let mut deep =
        String::from("resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: |\n");
    let mut path = String::from("/data");
    for _ in 0..120 {
        path.push_str("/x");
        writeln!(deep, "    - {{op: add, path: {path}, value: {{}}}}").unwrap();
    }
    files.add("kustomization.yaml", deep);
    let problems = problems_of(&files);
    assert!(problems.contains("nest deeper than"), "{problems}");
}

#[test]
fn long_lists_cannot_be_compared_without_bound() {
    let list = |start: usize| -> String {
        (start..start + 60_000).map(|index| format!("{{name: e{index}}},")).collect()
    };
    let object = |items: String| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{{name: a, env: [{items}]}}]}}\n"
        )
    };
    let mut files = Files::default();
    files.add("kustomization.yaml", "resources: [a.yaml]\npatches: [{path: p.yaml}]\n");
    files.add("a.yaml", object(list(0)));
    files.add("p.yaml", object(list(100_000)));
    let problems = problems_of(&files);
    assert!(problems.contains("too many patches"), "{problems}");
}

/// The cases of kubectl, as something to damage.
fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kustomize");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases
}

fn read_case(top: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
            match path.is_dir() {
                true => folders.push(path),
                false if name == "expected.yaml" => {}
                false => files.push((name, fs::read(&path).unwrap())),
            }
        }
    }
    files.sort();
    files
}

/// Whatever the files are: an answer comes, the same each time, and every problem names a file.
fn check(files: &Files) {
    let content = read_source(files, "", &Policy::default(), &mut SourceCache::default()).unwrap();
    let problems = match &content {
        RevisionContent::Problems(problems) => {
            assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
            problems
        }
        RevisionContent::Objects { objects, notices } => {
            for object in objects.values() {
                let found = files.find(&object.origin.file).unwrap();
                assert!(matches!(found, Found::File { .. }), "{:?}", object.origin);
            }
            notices
        }
    };
    for problem in problems {
        let found = files.find(&problem.file).unwrap();
        assert!(!problem.file.is_empty() && found != Found::Nothing, "{problem}");
    }
    assert_eq!(
        content,
        read_source(files, "", &Policy::default(), &mut SourceCache::default()).unwrap()
    );
}

#[test]
fn the_cases_are_read_as_sources() {
    for case in cases() {
        let mut files = Files::default();
        for (name, bytes) in read_case(&case) {
            files.add(name, bytes);
        }
        check(&files);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_kustomization_makes_it_panic(text in "[-:{}\\[\\]&*!|>'\"%@`,#? \n\ta-c0-9<ä]{0,200}") {
        let mut files = Files::default();
        files.add("kustomization.yaml", text.clone());
        files.add(".dugoutignore", text);
        check(&files);
    }

    #[test]
    fn no_values_of_fields_make_it_panic(
        fields in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "resources", "bases", "components", "namespace", "namePrefix", "nameSuffix",
                    "labels", "commonLabels", "commonAnnotations", "images", "replicas", "patches",
                    "patchesStrategicMerge", "patchesJson6902", "configMapGenerator",
                    "secretGenerator", "generatorOptions", "replacements", "sortOptions",
                ]),
                prop::sample::select(vec![
                    "a.yaml", "[a.yaml]", "[.]", "['..']", "['']", "{}", "[]", "null", "5", "[{}]",
                    "[{name: a}]", "[{name: a, literals: [x=y, '=', '']}]", "{a: b}", "[{pairs: {a: b}, includeSelectors: true}]",
                    "[{name: a, newTag: b, digest: c}]", "[{name: web, count: 3}]", "[{path: a.yaml}]",
                    "[{patch: '[{op: add, path: /metadata, value: 1}]', target: {name: '.*'}}]",
                    "[{patch: '[{op: replace, path: \"\", value: 1}]', target: {name: '.*'}}]",
                    "[{patch: '{metadata: {name: 5}, kind: [a]}', target: {kind: '.*'}, options: {allowNameChange: true, allowKindChange: true}}]",
                    "[{patch: '{$patch: delete}', target: {kind: '.*'}}]",
                    "[{source: {kind: ConfigMap}, targets: [{select: {kind: ConfigMap}, fieldPaths: ['', '*', kind, metadata.name, 'a.[b=c].-'], options: {create: true, delimiter: x, index: -1}}]}]",
                    "[{source: {kind: ConfigMap, fieldPath: metadata}, targets: [{select: {}, fieldPaths: ['*', kind, apiVersion], options: {create: true}}]}]",
                ]),
            ),
            0..5,
        ),
    ) {
        let mut files = Files::default();
        let mut text = String::new();
        let mut seen = Vec::new();
        for (field, value) in fields {
            if !seen.contains(&field) {
                writeln!(text, "{field}: {value}").unwrap();
                seen.push(field);
            }
        }
        files.add("kustomization.yaml", text);
        files.add("a.yaml", config_map("a"));
        check(&files);
    }

    #[test]
    fn no_damaged_case_makes_it_panic(
        case in any::<prop::sample::Index>(),
        file in any::<prop::sample::Index>(),
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..12, prop::collection::vec(prop::sample::select(
                b":-\n {}[]\"'&*<|>!~null0$patch/.,=#\t".to_vec()), 0..6)),
            1..5,
        ),
    ) {
        let cases = cases();
        let mut read = read_case(&cases[case.index(cases.len())]);
        let index = file.index(read.len());
        let bytes = &mut read[index].1;
        for (place, remove, insert) in changes {
            let start = place.index(bytes.len() + 1);
            let end = (start + remove).min(bytes.len());
            bytes.splice(start..end, insert);
        }
        let mut files = Files::default();
        for (name, bytes) in read {
            files.add(name, bytes);
        }
        check(&files);
    }
}

/// Plain files and kustomizations are told about in one voice.
#[test]
fn a_folder_of_plain_files_is_what_its_files_are() {
    let mut files = Files::default();
    files.add("b/x.yaml", config_map("x") + "typo: 1\n");
    files.add("a.yaml", config_map("a"));
    let blobs = [
        ("a.yaml", parse_blob(config_map("a").as_bytes())),
        ("b/x.yaml", parse_blob((config_map("x") + "typo: 1\n").as_bytes())),
    ];
    let plain = assemble(blobs.iter().map(|(path, blob)| (*path, blob)), &Policy::default());
    assert_eq!(
        read_source(&files, "", &Policy::default(), &mut SourceCache::default()).unwrap(),
        plain
    );
}

/// Whoever names changed files names some beside the kustomization that they are a part of.
#[test]
fn a_file_that_is_named_beside_its_kustomization_is_read_once() {
    let mut files = Files::default();
    files.add("k/kustomization.yaml", "resources: [a.yaml, in/b.yaml]\nnamePrefix: x-\n");
    files.add("k/a.yaml", config_map("a"));
    files.add("k/in/b.yaml", config_map("b"));
    files.add("k/in/c.yaml", config_map("c"));
    let names = |paths: &[&str]| {
        let policy = Policy::default();
        match read_paths(&files, paths, &policy, &mut SourceCache::default()).unwrap() {
            RevisionContent::Objects { objects, .. } => {
                objects.keys().map(|id| id.key.name.to_string()).collect::<Vec<_>>().join(" ")
            }
            RevisionContent::Problems(problems) => format!("{problems:?}"),
        }
    };
    assert_eq!(names(&["k", "k/a.yaml"]), "x-a x-b");
    assert_eq!(names(&["k/in/b.yaml", "k/kustomization.yaml", "k/in/c.yaml"]), "c x-a x-b");
    assert_eq!(names(&["k/a.yaml"]), "a");
}
