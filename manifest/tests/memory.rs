//! What it takes to read many manifests, counted at the allocator: how much memory the first reading
//! needs, and that the next one costs what changed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counting;

use std::collections::BTreeSet;

use dugout_manifest::{
    ContentId, Found, NOTICE_LIMIT, Policy, SourceCache, Tree, TreeError, read_revision,
};
use dugout_model::{Kind, ObjectId, RevisionContent};

/// Applications in folders of a hundred, made when they are read, so that they take no memory.
struct Applications {
    count: usize,
    /// The application whose file differs, if any.
    changed: Option<usize>,
}

const PER_FOLDER: usize = 100;

fn id(tag: u8, number: usize, version: u8) -> ContentId {
    let mut id = [0; 32];
    (id[0], id[1]) = (tag, version);
    id[8..16].copy_from_slice(&number.to_le_bytes());
    ContentId(id)
}

impl Applications {
    fn version(&self, application: usize) -> u8 {
        u8::from(self.changed == Some(application))
    }

    fn folder_version(&self, folder: usize) -> u8 {
        u8::from(self.changed.is_some_and(|changed| changed / PER_FOLDER == folder))
    }

    fn text(&self, application: usize) -> String {
        let namespace = format!("team-{}", application / PER_FOLDER);
        let head = match application % PER_FOLDER {
            0 => format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n---\n"),
            _ => String::new(),
        };
        let name = format!("app-{application}");
        let value = self.version(application);
        format!(
            "{head}apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: {namespace}
data:
  greeting: hello from {name} {value}
---
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {namespace}
spec:
  selector:
    app: {name}
  ports:
  - port: 80
    targetPort: http
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: {namespace}
spec:
  replicas: 0
  selector:
    matchLabels:
      app: {name}
  template:
    metadata:
      labels:
        app: {name}
    spec:
      containers:
      - name: web
        image: registry.example/web:1.0
        ports:
        - name: http
          containerPort: 8080
        envFrom:
        - configMapRef:
            name: {name}
"
        )
    }

    fn input_bytes(&self) -> usize {
        (0..self.count).map(|application| self.text(application).len()).sum()
    }

    fn file(&self, application: usize) -> (String, Found) {
        let found = Found::File {
            id: id(2, application, self.version(application)),
            size_bytes: self.text(application).len() as u64,
        };
        (format!("app-{application:06}.yaml"), found)
    }
}

impl Tree for Applications {
    fn find(&self, path: &str) -> Result<Found, TreeError> {
        assert_eq!(path, "", "the source is at the top");
        Ok(Found::Folder { id: id(0, 0, u8::from(self.changed.is_some())) })
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, Found)>, TreeError> {
        if folder.is_empty() {
            let folders = 0..self.count / PER_FOLDER;
            let found = |folder| Found::Folder { id: id(1, folder, self.folder_version(folder)) };
            return Ok(folders
                .map(|folder| (format!("team-{folder:04}"), found(folder)))
                .collect());
        }
        let first = folder["team-".len()..].parse::<usize>()? * PER_FOLDER;
        Ok((first..first + PER_FOLDER).map(|application| self.file(application)).collect())
    }

    fn read(&self, path: &str, _: ContentId) -> Result<Vec<u8>, TreeError> {
        let application = path["team-0000/app-".len()..path.len() - ".yaml".len()].parse()?;
        Ok(self.text(application).into_bytes())
    }
}

/// What reading cost.
struct Cost {
    /// The most memory of the first reading, for each byte of the manifests.
    peak_per_input_byte: usize,
    /// What is held after it, in bytes for each application.
    held_per_application: usize,
    /// How often the second reading asked for memory.
    allocations_of_a_change: usize,
}

/// Reads applications, changes the file of one, and reads them again.
fn read_twice(count: usize) -> Cost {
    let policy = Policy::default();
    let tree = Applications { count, changed: None };
    let mut cache = SourceCache::default();
    let (first, taken) = counting::count(|| read_revision(&tree, "", &policy, &mut cache).unwrap());
    let RevisionContent::Objects { objects, notices } = &first.content else {
        unreachable!("the applications have no errors")
    };
    assert_eq!(objects.len(), count * 3 + count / PER_FOLDER);
    assert!(notices.len() > NOTICE_LIMIT, "each service has one");

    let tree = Applications { count, changed: Some(77) };
    let (second, again) =
        counting::count(|| read_revision(&tree, "", &policy, &mut cache).unwrap());
    let changed = ObjectId::new(Kind::ConfigMap, "team-0", "app-77");
    assert_eq!(second.changed, Some(BTreeSet::from([changed])));
    Cost {
        peak_per_input_byte: taken.peak.div_ceil(tree.input_bytes()),
        held_per_application: taken.held / count,
        allocations_of_a_change: again.allocations,
    }
}

/// One test, because the counts are of the whole process.
#[test]
fn reading_many_manifests_takes_bounded_memory_and_then_what_changed() {
    let few = read_twice(500);
    let many = read_twice(4_000);
    // Ratchets; most of it are the objects themselves and what they say about others.
    assert!(many.peak_per_input_byte <= 6, "{} bytes", many.peak_per_input_byte);
    // Of this, 140 bytes are where containers say what they need, for limits and quotas, and 48 where rights, names, hooks and pull secrets of pods stand.
    assert!(many.held_per_application <= 3_690, "{} bytes", many.held_per_application);
    // The 35 further folders are listed, and nothing is asked of what is in them.
    let more = many.allocations_of_a_change.saturating_sub(few.allocations_of_a_change);
    assert!(more <= 35 * 5, "{more} allocations more");
}
