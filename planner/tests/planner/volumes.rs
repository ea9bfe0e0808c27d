//! What the volumes of a template are made of, and what follows from a change of it.

use std::sync::Arc;

use dugout_model::*;
use dugout_planner::assignment;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

const MODE: FileMode = FileMode::DEFAULT;

fn name(text: &str) -> ObjectName {
    ObjectName::new(text)
}

fn key(key: &str, path: &str, mode: Option<FileMode>) -> KeyFile {
    KeyFile { key: key.to_owned(), path: path.to_owned(), mode }
}

fn of_config(items: &[KeyFile], optional: bool) -> FileSource {
    FileSource::ConfigMap { config_map: name("settings"), items: items.into(), optional }
}

/// The deployment `web` with one volume of these sources.
fn web_of(sources: Vec<FileSource>) -> DeclaredObject {
    web_with(1, "web:1", |deployment| {
        deployment.template.volumes = [volume(sources)].into();
    })
}

fn volume(sources: Vec<FileSource>) -> Volume<Projection> {
    let projection = Projection { default_mode: MODE, sources: sources.into() };
    Volume { name: "files".to_owned(), source: VolumeSource::Files(projection) }
}

fn settings() -> DeclaredObject {
    let data = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())];
    let binary_data = [("raw".to_owned(), vec![0xff])];
    declare(
        "settings",
        ObjectSpec::ConfigMap(ConfigMap {
            data: data.into_iter().collect(),
            binary_data: binary_data.into_iter().collect(),
            immutable: false,
        }),
    )
}

fn keys() -> DeclaredObject {
    declare(
        "keys",
        ObjectSpec::Secret(Secret {
            secret_type: "Opaque".to_owned(),
            data: SortedMap::from([("key".to_owned(), SecretValue::new("hunter2"))]),
            immutable: false,
        }),
    )
}

fn files_of(template: &ResolvedTemplate) -> &VolumeFiles {
    let [Volume { source: VolumeSource::Files(files), .. }] = &*template.volumes else {
        panic!("{:?}", template.volumes)
    };
    files
}

/// The files of the only volume of `web`: path, mode and content.
fn files(cluster: &Cluster) -> Vec<(String, u32, FileContent)> {
    let set = cluster.world.current_replica_set(cluster.deployment("web")).expect("a set");
    let file = |file: &VolumeFile| (file.path.clone(), file.mode.bits(), file.content.clone());
    files_of(&set.template).iter().map(file).collect()
}

fn plain(bytes: &[u8]) -> FileContent {
    FileContent::Plain(bytes.into())
}

#[test]
fn a_volume_holds_every_source_and_later_files_win() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let only = FileMode::new(0o400);
    let secret = FileSource::Secret {
        secret: name("keys"),
        items: [key("key", "b", Some(only))].into(),
        optional: false,
    };
    let missing = FileSource::Secret { secret: name("none"), items: [].into(), optional: true };
    let field = FileField::Labels;
    let file = |path: &str, content| FieldFile { path: path.to_owned(), content, mode: None };
    let of_web = |field| {
        let container = Some("app".to_owned());
        FieldFileContent::Resource(ResourceFieldSelector { container, field, divisor: 1 })
    };
    let fields = [
        file("deep/labels", FieldFileContent::Field(field.clone())),
        file("cpu", of_web(ResourceField::CpuRequest)),
        file("memory", of_web(ResourceField::MemoryLimit)),
    ];
    let web = web_of(vec![
        of_config(&[], false),
        secret,
        missing,
        of_config(&[key("none", "none", None), key("a", "deep/a", None)], true),
        FileSource::Fields(fields.into()),
    ]);
    cluster.commit(vec![web, settings(), keys()]);
    let file = |path: &str, mode, content| (path.to_owned(), mode, content);
    assert_eq!(
        files(&cluster),
        [
            file("a", 0o644, plain(b"1")),
            file("b", 0o400, FileContent::Secret(SecretValue::new("hunter2"))),
            file("cpu", 0o644, plain(b"100")),
            file("deep/a", 0o644, plain(b"1")),
            file("deep/labels", 0o644, FileContent::Field(field)),
            file(
                "memory",
                0o644,
                FileContent::NodeResource(NodeResource {
                    kind: NodeResourceKind::Memory,
                    divisor: 1,
                }),
            ),
            file("raw", 0o644, plain(&[0xff])),
        ]
    );
}

#[test]
fn a_missing_object_and_a_missing_key_are_waited_for() {
    for (source, missing) in [
        (of_config(&[key("none", "x", None)], false), "key none in ConfigMap demo/settings"),
        (
            FileSource::Secret { secret: name("none"), items: [].into(), optional: false },
            "Secret demo/none",
        ),
    ] {
        let mut cluster = Cluster::with_nodes(&["a"]);
        cluster.commit(vec![web_of(vec![source]), settings()]);
        let RolloutState::Waiting { message } = cluster.rollout("web") else { panic!("it waits") };
        assert_eq!(message, &format!("waits for {missing}, which no source declares"));
    }
}

#[test]
fn a_changed_file_rolls_its_consumers_and_a_key_that_none_takes_does_not() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let all = || web_of(vec![of_config(&[], false)]);
    let one = || {
        let mut one = web_of(vec![of_config(&[key("a", "a", None)], false)]);
        one.key.name = name("one");
        one
    };
    let set = |cluster: &Cluster, name: &str| {
        cluster.world.current_replica_set(cluster.deployment(name)).expect("a set").uid
    };
    cluster.commit(vec![all(), one(), settings()]);
    cluster.run_for(seconds(5));
    let before = (set(&cluster, "web"), set(&cluster, "one"));
    let mut changed = settings();
    let ObjectSpec::ConfigMap(map) = &mut changed.spec else { panic!("it is one") };
    map.data.insert("b", "3".to_owned());
    let sha = cluster.commit(vec![all(), one(), changed]);
    cluster.run_for(seconds(30));
    assert_eq!(cluster.verdict(&sha), Verdict::Healthy);
    assert_ne!(set(&cluster, "web"), before.0);
    assert_eq!(set(&cluster, "one"), before.1);
    assert_eq!(files(&cluster)[1].2, plain(b"3"));
}

#[test]
fn pods_with_templates_of_their_own_share_the_content_of_their_files() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let set = db(2, "db:1", |spec| {
        spec.template.volumes = [volume(vec![of_config(&[], false)])].into();
    });
    cluster.commit(vec![set, settings()]);
    cluster.run_for(seconds(20));
    let assigned = assignment(&cluster.world, &NodeName::new("a")).expect("a node");
    let [one, other] = assigned.pods.as_slice() else { panic!("{:?}", assigned.pods) };
    assert!(!Arc::ptr_eq(&one.template, &other.template), "each has its own labels");
    assert!(Arc::ptr_eq(files_of(&one.template), files_of(&other.template)));
}
