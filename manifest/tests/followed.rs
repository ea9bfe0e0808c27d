//! A source with kustomizations is followed from commit to commit: what is read is what would be read
//! whole, and it costs what changed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use dugout_manifest::{
    ContentId, Files, Found, Policy, SourceCache, Tree, TreeError, read_revision, read_source,
};
use dugout_model::{DeclaredObjects, Kind, ObjectId, Problem, RevisionContent};
use proptest::prelude::*;

fn config_map(name: &str, data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{{data}}}\n")
}

/// A service that selects nothing, which there is a notice about, or with a port of the nodes.
fn service(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec: {{selector: {{app: web}}, {rest}}}\n"
    )
}

fn limit_range(name: &str, cpu: &str) -> String {
    format!(
        "apiVersion: v1\nkind: LimitRange\nmetadata: {{name: {name}}}\n\
         spec: {{limits: [{{type: Container, default: {{cpu: {cpu}}}, max: {{cpu: 2}}}}]}}\n"
    )
}

fn pod_quota(pods: u32) -> String {
    format!(
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: quota}}\n\
         spec: {{hard: {{pods: {pods}, limits.cpu: 3}}}}\n"
    )
}

/// A workload whose containers have these resources.
fn deployment(name: &str, replicas: u32, resources: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\n\
         spec:\n  replicas: {replicas}\n  selector: {{matchLabels: {{is: {name}}}}}\n  template:\n    \
         metadata: {{labels: {{is: {name}}}}}\n    spec:\n      containers:\n      \
         - {{name: c, image: a/b, resources: {{{resources}}}}}\n"
    )
}

/// Those that hold what others of their namespace are held against.
fn choices_of_limits() -> Vec<(&'static str, Vec<String>)> {
    vec![
        (
            "apps/limits.yaml",
            vec![limit_range("limits", "500m"), limit_range("limits", "1"), pod_quota(3)],
        ),
        ("apps/quota.yaml", vec![pod_quota(9), pod_quota(2), limit_range("later", "100m")]),
        (
            "apps/deployment.yaml",
            vec![
                deployment("d", 2, ""),
                deployment("d", 2, "limits: {cpu: 1}"),
                deployment("e", 1, "limits: {cpu: 3}"),
            ],
        ),
    ]
}

/// What the files of a small source may hold, most of it without an error.
fn choices() -> Vec<(&'static str, Vec<String>)> {
    let port = |number: u16| format!("type: NodePort, ports: [{{port: 80, nodePort: {number}}}]");
    let component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n";
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let with = |head: &str, texts: &[&str]| {
        texts.iter().map(|text| format!("{head}{text}")).collect::<Vec<_>>()
    };
    let notice = service("s", "ports: [{port: 80}]");
    let choices = vec![
        ("apps/plain.yaml", vec![config_map("p", ""), config_map("p", "a: b"), notice.clone()]),
        ("apps/more.yaml", vec![config_map("q", ""), service("port", &port(30_001))]),
        ("apps/folder/a.yaml", vec![config_map("r", ""), config_map("one-p", "")]),
        ("apps/folder/kustomization.yaml", texts(&["resources: [a.yaml]\nnamePrefix: k-\n"])),
        ("apps/base/map.yaml", vec![config_map("m", ""), config_map("m", "a: b"), notice]),
        ("apps/base/readme.md", texts(&["x", "y"])),
        (
            "apps/base/kustomization.yaml",
            texts(&[
                "resources: [map.yaml]\n",
                "resources: [map.yaml]\nnameSuffix: -x\n",
                "resources: [map.yaml, ../one]\n",
                "resources: [map.yaml, ../../lib]\n",
            ]),
        ),
        (
            "apps/one/kustomization.yaml",
            with(
                "namePrefix: one-\n",
                &[
                    "resources: [../base]\ncomponents: [../part]\n",
                    "resources: [../base]\n",
                    "resources: [../base, own.yaml]\ncomponents: [../part]\n",
                    "resources: [../base, inner]\ncomponents: [../part]\n",
                    "resources: [../plain.yaml]\ncomponents: [../part]\n",
                    "resources: [../../lib, ../more.yaml]\ncomponents: [../part]\n",
                    "resources: [../folder/a.yaml]\ncomponents: [../part]\n",
                ],
            ),
        ),
        ("apps/one/own.yaml", vec![config_map("own", ""), service("n", &port(30_001))]),
        ("apps/one/inner/kustomization.yaml", texts(&["resources: [i.yaml]\n"])),
        ("apps/one/inner/i.yaml", vec![config_map("i", ""), config_map("i", "a: c")]),
        (
            "apps/two/kustomization.yml",
            with(
                "nameSuffix: -two\n",
                &[
                    "resources: [../base, ../more.yaml]\n",
                    "resources: [../base]\n",
                    "resources: [../one]\n",
                    "resources: [../plain.yaml, ../../lib]\n",
                    "resources: [../../lib/link]\n",
                    "resources: [../../lib/link/map.yaml]\n",
                    "configMapGenerator: [{name: g, files: [../../lib/text.txt]}]\n",
                ],
            ),
        ),
        (
            "apps/part/kustomization.yaml",
            with(component, &["nameSuffix: -part\n", "commonLabels: {a: b}\n"]),
        ),
        ("lib/kustomization.yaml", texts(&["resources: [map.yaml]\n", "resources: [../far]\n"])),
        ("lib/map.yaml", vec![config_map("l", ""), config_map("l", "a: b"), "broken: [".into()]),
        ("lib/text.txt", texts(&["x", "y"])),
        ("lib/link", texts(&["../far", "../apps/base", "nowhere"])),
        ("far/kustomization.yaml", texts(&["resources: [map.yaml]\n"])),
        ("far/map.yaml", vec![config_map("f", ""), config_map("f", "a: b")]),
    ];
    [choices, choices_of_limits()].concat()
}

/// What makes that a source cannot be followed.
const RARE: [(&str, &str); 3] = [
    ("apps/kustomization.yaml", "resources: [plain.yaml]\n"),
    ("apps/link.yaml", "plain.yaml"),
    ("apps/.dugoutignore", "b.yaml\n"),
];

/// Whether a source of those files is followed by its differences.
fn is_followed(files: &Files, content: &RevisionContent) -> bool {
    let RevisionContent::Objects { notices, .. } = content else { return false };
    let is_there = |path| !matches!(files.find(path), Ok(Found::Nothing));
    let is_unused = |notice: &Problem| notice.message.contains("it is a component");
    !RARE.iter().any(|(path, _)| is_there(path)) && !notices.iter().any(is_unused)
}

/// A source without an error, in which each of the first contents stands.
fn valid_source() -> Files {
    let mut files = Files::default();
    for (path, texts) in choices() {
        set(&mut files, path, &texts[0]);
    }
    files
}

fn set(files: &mut Files, path: &str, text: &str) {
    match path.ends_with("link") || path.ends_with("link.yaml") {
        true => files.add_link(path, text),
        false => files.add(path, text),
    }
}

/// A file gets one of its contents, or goes.
#[derive(Clone, Debug)]
struct Edit {
    path: prop::sample::Index,
    text: prop::sample::Index,
    is_rare: bool,
}

fn edit() -> impl Strategy<Value = Edit> {
    let is_rare = prop::bool::weighted(0.03);
    (any::<prop::sample::Index>(), any::<prop::sample::Index>(), is_rare)
        .prop_map(|(path, text, is_rare)| Edit { path, text, is_rare })
}

impl Edit {
    fn apply(&self, files: &mut Files) {
        for (path, text) in RARE {
            match self.is_rare && path == self.path.get(&RARE).0 {
                true => set(files, path, text),
                false => files.remove(path),
            }
        }
        let choices = choices();
        let (path, texts) = self.path.get(&choices);
        match texts.get(self.text.index(texts.len() + 1)) {
            Some(text) => set(files, path, text),
            None => files.remove(path),
        }
    }
}

fn difference(before: &DeclaredObjects, after: &DeclaredObjects) -> BTreeSet<ObjectId> {
    let ids = before.keys().chain(after.keys());
    ids.filter(|id| before.get(*id) != after.get(*id)).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Most edits are taken back when they make the source wrong, so that it is followed for long.
    #[test]
    fn kustomizations_that_are_followed_equal_those_that_are_read_whole(
        edits in prop::collection::vec((prop::collection::vec(edit(), 1..3), 0..4_u8), 1..16),
    ) {
        let policy = Policy::default();
        let mut files = valid_source();
        let mut cache = SourceCache::default();
        let mut before = None;
        let mut can_follow = false;
        for (edits, patience) in edits {
            let good = files.clone();
            edits.iter().for_each(|edit| edit.apply(&mut files));
            let whole = read_source(&files, "apps", &policy, &mut SourceCache::default()).unwrap();
            if patience > 0 && matches!(whole, RevisionContent::Problems(_)) {
                files = good;
                continue;
            }
            let reading = read_revision(&files, "apps", &policy, &mut cache).unwrap();
            prop_assert_eq!(&reading.content, &whole);
            let could_follow = std::mem::replace(&mut can_follow, is_followed(&files, &whole));
            prop_assert_eq!(reading.was_followed, could_follow && can_follow);
            let RevisionContent::Objects { objects, .. } = whole else { continue };
            if let Some(changed) = reading.changed {
                let before: DeclaredObjects = before.expect("there was a reading before");
                prop_assert_eq!(changed, difference(&before, &objects));
            }
            before = Some(objects);
        }
    }
}

/// A commit of many files, whose ids are told once, and that counts what is asked of it.
struct Commit<'f> {
    files: &'f BTreeMap<String, String>,
    found: HashMap<String, Found>,
    /// Of each folder.
    entries: HashMap<String, BTreeMap<String, Found>>,
    asked: Cell<usize>,
}

fn content_id(content: impl Hash) -> ContentId {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let mut id = [0; 32];
    id[..8].copy_from_slice(&hasher.finish().to_le_bytes());
    ContentId(id)
}

impl<'f> Commit<'f> {
    fn of(files: &'f BTreeMap<String, String>) -> Self {
        let mut commit =
            Self { files, found: HashMap::new(), entries: HashMap::new(), asked: Cell::default() };
        for (path, text) in files {
            let found = Found::File { id: content_id(text), size_bytes: text.len() as u64 };
            commit.put(path, found);
        }
        // The deepest first, so that a folder is known when the one around it is told.
        let mut folders: Vec<String> = commit.entries.keys().cloned().collect();
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.split('/').count()));
        for folder in folders.into_iter().filter(|folder| !folder.is_empty()) {
            let id = content_id(format!("{:?}", commit.entries[&folder]));
            commit.put(&folder, Found::Folder { id });
        }
        let id = content_id(format!("{:?}", commit.entries[""]));
        commit.found.insert(String::new(), Found::Folder { id });
        commit
    }

    fn put(&mut self, path: &str, found: Found) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        for (end, _) in folder.match_indices('/') {
            self.entries.entry(folder[..end].to_owned()).or_default();
        }
        self.entries.entry(String::new()).or_default();
        self.entries.entry(folder.to_owned()).or_default().insert(name.to_owned(), found.clone());
        self.found.insert(path.to_owned(), found);
    }

    fn count(&self) {
        self.asked.set(self.asked.get() + 1);
    }
}

impl Tree for Commit<'_> {
    fn find(&self, path: &str) -> Result<Found, TreeError> {
        self.count();
        Ok(self.found.get(path).cloned().unwrap_or(Found::Nothing))
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, Found)>, TreeError> {
        self.count();
        Ok(self.entries.get(folder).cloned().unwrap_or_default().into_iter().collect())
    }

    fn read(&self, path: &str, _: ContentId) -> Result<Vec<u8>, TreeError> {
        self.count();
        Ok(self.files[path].clone().into_bytes())
    }
}

fn add_application(files: &mut BTreeMap<String, String>, number: usize) {
    let folder = format!("apps/team-{}/app-{number}", number / 100);
    for (path, text) in [
        ("base/kustomization.yaml", "resources: [map.yaml]\n".to_owned()),
        ("base/map.yaml", config_map("map", "")),
        (
            "overlay/kustomization.yaml",
            format!("resources: [../base, ../../../../shared]\nnamePrefix: app-{number}-\n"),
        ),
    ] {
        files.insert(format!("{folder}/{path}"), text);
    }
}

/// How often a commit is asked for something, for each of some changes to this many applications.
fn asked_after_changes(applications: usize) -> Vec<usize> {
    let mut files = BTreeMap::new();
    files.insert("apps/plain.yaml".to_owned(), config_map("plain", ""));
    files.insert("shared/kustomization.yaml".to_owned(), "resources: []\n".to_owned());
    (0..applications).for_each(|number| add_application(&mut files, number));
    let policy = Policy::default();
    let mut cache = SourceCache::default();
    let mut read = |files: &BTreeMap<String, String>| {
        let commit = Commit::of(files);
        let reading = read_revision(&commit, "apps", &policy, &mut cache).unwrap();
        assert!(matches!(reading.content, RevisionContent::Objects { .. }));
        let changed = reading.changed.map(|changed| changed.len());
        (commit.asked.get(), reading.was_followed, changed)
    };
    read(&files);
    let mut asked = Vec::new();
    let mut change = |files: &BTreeMap<String, String>, objects: usize| {
        let (count, was_followed, changed) = read(files);
        assert_eq!((was_followed, changed), (true, Some(objects)));
        asked.push(count);
    };
    change(&files, 0);
    let base = "apps/team-0/app-7/base";
    files.insert(format!("{base}/map.yaml"), config_map("map", "a: b"));
    change(&files, 1);
    files.insert(format!("{base}/kustomization.yaml"), "resources: [map.yaml]\n#".to_owned());
    change(&files, 0);
    files.insert("apps/team-1/app-123/overlay/readme.md".to_owned(), "x".to_owned());
    change(&files, 0);
    files.insert("apps/plain.yaml".to_owned(), config_map("other", ""));
    change(&files, 2);
    files.retain(|path, _| !path.starts_with("apps/team-1/app-150/"));
    change(&files, 1);
    add_application(&mut files, 150);
    change(&files, 1);
    asked
}

#[test]
fn a_change_to_one_of_many_kustomizations_asks_for_what_changed() {
    let few = asked_after_changes(200);
    assert_eq!(few, asked_after_changes(2_000), "it does not matter how many others there are");
    assert!(few.iter().all(|asked| *asked <= 60), "{few:?}");
}

/// All that are made from a shared base are made anew when it changes, and nothing else is.
#[test]
fn a_changed_base_concerns_those_who_are_made_from_it() {
    let mut files = Files::default();
    files.add("shared/kustomization.yaml", "resources: [map.yaml]\n");
    files.add("shared/map.yaml", config_map("map", ""));
    for name in ["one", "two", "three"] {
        let base = if name == "three" { "[]" } else { "[../../shared]" };
        let text = format!("resources: {base}\nnamePrefix: {name}-\n");
        files.add(format!("apps/{name}/kustomization.yaml"), text);
    }
    let mut cache = SourceCache::default();
    let mut read = |files: &Files| {
        let reading = read_revision(files, "apps", &Policy::default(), &mut cache).unwrap();
        let changed = reading.changed.unwrap_or_default();
        changed.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    read(&files);
    files.add("shared/map.yaml", config_map("map", "a: b"));
    assert_eq!(read(&files), ["ConfigMap default/one-map", "ConfigMap default/two-map"]);
}

/// Who asks only whether there is a folder is not asked again when it is another one.
#[test]
fn a_folder_that_is_again_as_it_was_is_looked_into() {
    let mut files = Files::default();
    files.add("apps/plain.yaml", config_map("plain", ""));
    files.add("apps/one/kustomization.yaml", "resources: [../../lib]\n");
    files.add("lib/kustomization.yaml", "resources: []\n");
    let mut cache = SourceCache::default();
    let mut is_valid = |files: &Files| {
        let reading = read_revision(files, "apps", &Policy::default(), &mut cache).unwrap();
        matches!(reading.content, RevisionContent::Objects { .. })
    };
    assert!(is_valid(&files));
    // It cannot be followed, and what was rendered stays as it is.
    files.add("apps/.dugoutignore", "");
    files.add("apps/two/kustomization.yaml", "resources: [../../lib/map.yaml]\n");
    files.add("lib/map.yaml", config_map("map", ""));
    assert!(is_valid(&files));
    files.remove("apps/.dugoutignore");
    assert!(is_valid(&files));
    files.remove("lib/map.yaml");
    assert!(!is_valid(&files), "what the second one needs is gone");
}

/// Overlays that each repeat a large base. What one makes is little, and all of them together are bounded,
/// in a source that is read whole as in one that is followed.
#[test]
fn overlays_cannot_multiply_a_base_without_bound() {
    const OVERLAYS: usize = 310;
    let overlay = |number: usize| {
        let text = format!("resources: [../../shared]\nnamePrefix: o{number:03}-\n");
        (format!("apps/o{number:03}/kustomization.yaml"), text)
    };
    let mut files = BTreeMap::new();
    let text = "x".repeat(90_000);
    let data: String = (0..10).map(|key| format!("k{key}: {text}, ")).collect();
    files.insert("shared/map.yaml".to_owned(), config_map("map", &data));
    files.insert("shared/kustomization.yaml".to_owned(), "resources: [map.yaml]\n".to_owned());
    files.insert("apps/plain.yaml".to_owned(), config_map("plain", ""));
    files.extend((0..3).map(overlay));
    let mut cache = SourceCache::default();
    let policy = Policy::default();
    let reading = read_revision(&Commit::of(&files), "apps", &policy, &mut cache).unwrap();
    assert!(matches!(reading.content, RevisionContent::Objects { .. }) && cache.is_followed());
    files.extend((3..OVERLAYS).map(overlay));
    let commit = Commit::of(&files);
    let reading = read_revision(&commit, "apps", &policy, &mut cache).unwrap();
    drop(cache);
    let whole = read_source(&commit, "apps", &policy, &mut SourceCache::default()).unwrap();
    for content in [reading.content, whole] {
        let RevisionContent::Problems(problems) = content else { panic!("it has no bound") };
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let told = problems[0].starts_with("apps/o2") && problems[0].contains("or 256 MiB of text");
        assert!(told, "{problems:?}");
    }
}

/// Objects of the whole cluster, and those of groups that the source skips, cost what changed, too.
#[test]
fn what_is_of_no_namespace_is_followed() {
    let role = |name: &str, verb: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\n\
             rules: [{{apiGroups: [x], resources: [pods], verbs: [{verb}]}}]\n"
        )
    };
    let other =
        |name: &str| format!("apiVersion: a.example/v1\nkind: Other\nmetadata: {{name: {name}}}\n");
    let policy = Policy { skip_groups: vec!["a.example".to_owned()] };
    let mut files = valid_source();
    files.add("apps/role.yaml", role("a", "get"));
    files.add("apps/folder/a.yaml", config_map("r", "") + "---\n" + &other("k"));
    let mut cache = SourceCache::default();
    let mut read = |files: &Files| {
        let reading = read_revision(files, "apps", &policy, &mut cache).unwrap();
        let whole = read_source(files, "apps", &policy, &mut SourceCache::default()).unwrap();
        assert_eq!(reading.content, whole);
        (reading.was_followed, matches!(whole, RevisionContent::Objects { .. }))
    };
    assert_eq!(read(&files), (false, true), "it is read whole once");
    for (path, text) in [
        ("apps/plain.yaml", config_map("p", "a: b")),
        ("apps/role.yaml", role("a", "list")),
        ("apps/role.yaml", role("b", "list")),
        ("apps/other.yaml", other("x")),
        ("apps/other.yaml", other("x") + "---\n" + &other("x2")),
        ("apps/other.yaml", role("c", "get")),
        ("apps/folder/a.yaml", config_map("r", "") + "---\n" + &role("d", "get")),
        ("apps/base/map.yaml", config_map("m", "") + "---\n" + &other("z")),
        ("apps/other.yaml", role("e", "get")),
    ] {
        files.add(path, text);
        assert_eq!(read(&files), (true, true), "{path}");
    }
    files.remove("apps/role.yaml");
    assert_eq!(read(&files), (true, true));
    files.add("apps/role.yaml", role("e", "list"));
    assert_eq!(read(&files), (false, false), "it is declared twice");
    files.remove("apps/role.yaml");
    assert_eq!(read(&files), (false, true));
    files.add("apps/role.yaml", other("x2").replace("a.example", "b.example"));
    assert_eq!(read(&files), (false, false), "its group is not skipped");
}

/// A namespace of limits, quotas and workloads costs what changed, too, and what a default does not reach is
/// the same shared value as before.
#[test]
fn limits_and_quotas_are_followed() {
    let policy = Policy::default();
    let mut files = Files::default();
    files.add("apps/says.yaml", deployment("says", 1, "limits: {cpu: 1}"));
    files.add("apps/silent.yaml", deployment("silent", 1, ""));
    let elsewhere = deployment("elsewhere", 1, "")
        .replace("{name: elsewhere}", "{name: elsewhere, namespace: other}");
    files.add("apps/elsewhere.yaml", elsewhere);
    files.add("apps/other.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n");
    files.add("apps/limits.yaml", limit_range("limits", "500m"));
    let mut cache = SourceCache::default();
    let mut before: Option<DeclaredObjects> = None;
    let mut read = |files: &Files| {
        let reading = read_revision(files, "apps", &policy, &mut cache).unwrap();
        let whole = read_source(files, "apps", &policy, &mut SourceCache::default()).unwrap();
        assert_eq!(reading.content, whole);
        let RevisionContent::Objects { objects, .. } = reading.content else {
            return (reading.was_followed, None);
        };
        let earlier = before.replace(objects.clone()).unwrap_or_default();
        let other = difference(&earlier, &objects);
        if let Some(changed) = reading.changed {
            assert_eq!(other, changed);
            let same =
                objects.iter().filter(|(id, _)| !other.contains(id) && id.kind == Kind::Deployment);
            let mut same = same.map(|(id, object)| (object, &earlier[id]));
            assert!(same.all(|(now, before)| std::sync::Arc::ptr_eq(now, before)));
        }
        let other = other.iter().map(ToString::to_string);
        (reading.was_followed, Some(other.collect::<Vec<_>>().join(", ")))
    };
    let told = |was_followed: bool, changed: &str| (was_followed, Some(changed.to_owned()));
    let all = "Namespace other, LimitRange default/limits, Deployment default/says, \
               Deployment default/silent, Deployment other/elsewhere";
    assert_eq!(read(&files), told(false, all));
    assert_eq!(read(&files), told(true, ""));
    let (range, silent) = ("LimitRange default/limits", "Deployment default/silent");
    files.add("apps/limits.yaml", limit_range("limits", "600m"));
    assert_eq!(read(&files), told(true, &format!("{range}, {silent}")), "another default");
    files.add("apps/limits.yaml", limit_range("limits", "600m") + "#\n");
    assert_eq!(read(&files), told(true, ""), "the same in other words");
    files.add("apps/quota.yaml", pod_quota(9));
    assert_eq!(read(&files), told(true, "ResourceQuota default/quota"));
    files.add("apps/says.yaml", deployment("says", 2, "limits: {cpu: 1}"));
    assert_eq!(read(&files), told(true, "Deployment default/says"));
    files.add("apps/says.yaml", deployment("says", 3, "limits: {cpu: 1}"));
    assert_eq!(read(&files), (false, None), "together they are beyond the quota");
    files.add("apps/says.yaml", deployment("says", 2, "limits: {cpu: 1}"));
    assert!(!read(&files).0);
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\n\
                   imagePullSecrets: [{name: registry}]\n";
    files.add("apps/account.yaml", account);
    assert!(read(&files).0, "the pods of its namespace pull with it");
    files.remove("apps/account.yaml");
    assert_eq!(read(&files), told(true, &format!("Deployment default/says, {silent}")));
    files.remove("apps/quota.yaml");
    files.remove("apps/limits.yaml");
    let gone = format!("{range}, ResourceQuota default/quota, {silent}");
    assert_eq!(read(&files), told(true, &gone), "it is again as it is written");
    files.add("apps/silent.yaml", deployment("silent", 2, ""));
    assert_eq!(read(&files), told(true, silent));
}

/// A folder with very many files, none of which is a manifest.
struct Crowd {
    entries: Vec<(String, Found)>,
    edition: u8,
}

impl Tree for Crowd {
    fn find(&self, _: &str) -> Result<Found, TreeError> {
        Ok(Found::Folder { id: ContentId([self.edition; 32]) })
    }

    fn list(&self, _: &str) -> Result<Vec<(String, Found)>, TreeError> {
        Ok(self.entries.clone())
    }

    fn read(&self, path: &str, _: ContentId) -> Result<Vec<u8>, TreeError> {
        Err(format!("{path} is no manifest").into())
    }
}

#[test]
fn files_and_folders_are_counted_from_commit_to_commit() {
    let file = |number: usize| {
        (format!("f{number:07}"), Found::File { id: ContentId([0; 32]), size_bytes: 1 })
    };
    let mut crowd = Crowd { entries: (0..1_000_000).map(file).collect(), edition: 0 };
    let mut cache = SourceCache::default();
    let policy = Policy::default();
    let mut read = |crowd: &Crowd| {
        let reading = read_revision(crowd, "", &policy, &mut cache).unwrap();
        (reading.was_followed, matches!(reading.content, RevisionContent::Objects { .. }))
    };
    assert_eq!(read(&crowd), (false, true));
    crowd.entries[7].0 = "f0000006x".to_owned();
    crowd.edition = 1;
    assert_eq!(read(&crowd), (true, true), "there are as many as before");
    crowd.entries.push(file(1_000_000));
    crowd.edition = 2;
    assert_eq!(read(&crowd), (false, false), "there is one too many");
}

/// Ports of nodes and classes of storage concern objects of all namespaces, so what is held against them is read
/// whole.
#[test]
fn ports_of_nodes_and_classes_are_held_against_the_whole_source() {
    let daemon = |name: &str, port: u16| {
        format!(
            "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{a: {name}}}}}\n  template:\n    metadata: {{labels: {{a: {name}}}}}\n    spec: {{containers: [{{name: a, image: b, ports: [{{containerPort: 80, hostPort: {port}}}]}}]}}\n"
        )
    };
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {storageClassName: fast, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n";
    let class = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: fast}\nprovisioner: dugout.dev/local\n";
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: NodePort, selector: {a: a}, ports: [{port: 80, nodePort: 30080}]}\n";
    let mut files = Files::default();
    files.add("a.yaml", daemon("a", 30080));
    files.add("c.yaml", claim);
    files.add("class.yaml", class);
    let mut cache = SourceCache::default();
    let mut told = |change: &dyn Fn(&mut Files)| {
        let mut files = files.clone();
        let mut read = |files: &Files| {
            let reading = read_revision(files, "", &Policy::default(), &mut cache).unwrap();
            match reading.content {
                RevisionContent::Objects { notices, .. } => notices,
                RevisionContent::Problems(problems) => problems,
            }
        };
        assert_eq!(read(&files), []);
        change(&mut files);
        let told = read(&files);
        told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let other = daemon("b", 30080);
    assert!(
        told(&|files| files.add("b.yaml", other.as_str())).contains("of the node is asked for")
    );
    assert!(told(&|files| files.add("s.yaml", service)).contains("is taken by Service default/s"));
    assert!(told(&|files| files.remove("class.yaml")).contains("declares no StorageClass fast"));
    let more = claim.replace("name: c", "name: d");
    assert_eq!(told(&|files| files.add("d.yaml", more.as_str())), "");
    let unknown = more.replace("fast", "slow");
    assert!(told(&|files| files.add("d.yaml", unknown.as_str())).contains("no StorageClass slow"));
}
