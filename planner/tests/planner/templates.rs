//! The identity of a template, and what its environment is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use dugout_model::*;
use dugout_planner::template_hash;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

fn template() -> ResolvedTemplate {
    ResolvedTemplate {
        labels: StringMap::from([("app".to_owned(), "web".to_owned())]),
        annotations: StringMap::new(),
        containers: vec![container("web:1")],
        termination_grace: seconds(30),
        node_selector: StringMap::new(),
    }
}

/// A change of the encoding would restart every pod of every cluster that is upgraded.
#[test]
fn the_identity_of_a_template_never_changes() {
    assert_eq!(
        template_hash(&template()).as_str(),
        "7b9c22d98049fff6eace50487d9924b5bbd49bf919ae282899e8b01af205668b"
    );
}

#[test]
fn everything_that_a_template_says_is_part_of_its_identity() {
    let probe = || Probe {
        action: ProbeAction::TcpSocket { host: None, port: PortRef::Number(80) },
        initial_delay: Duration::ZERO,
        period: seconds(10),
        timeout: seconds(1),
        success_threshold: 1,
        failure_threshold: 3,
    };
    let http = || ProbeAction::HttpGet {
        scheme: HttpScheme::Http,
        host: None,
        port: PortRef::Name("http".to_owned()),
        path: "/".to_owned(),
        headers: vec![("a".to_owned(), "b".to_owned())],
    };
    let env = |content| vec![EnvValue { name: "A".to_owned(), content }];
    type Edit<'a> = Box<dyn Fn(&mut ResolvedTemplate) + 'a>;
    let edits: Vec<Edit<'_>> = vec![
        Box::new(|t| drop(t.labels.insert("a".to_owned(), "b".to_owned()))),
        Box::new(|t| drop(t.annotations.insert("a".to_owned(), "b".to_owned()))),
        Box::new(|t| drop(t.node_selector.insert("a".to_owned(), "b".to_owned()))),
        Box::new(|t| t.termination_grace = Duration::from_millis(30_001)),
        Box::new(|t| t.containers.push(container("web:1"))),
        Box::new(|t| t.containers[0].name.push('x')),
        Box::new(|t| t.containers[0].image.push('x')),
        Box::new(|t| t.containers[0].pull_policy = PullPolicy::Always),
        Box::new(|t| t.containers[0].pull_policy = PullPolicy::Never),
        Box::new(|t| t.containers[0].command = vec!["ab".to_owned(), "c".to_owned()]),
        Box::new(|t| t.containers[0].command = vec!["a".to_owned(), "bc".to_owned()]),
        Box::new(|t| t.containers[0].args = vec!["ab".to_owned(), "c".to_owned()]),
        Box::new(|t| t.containers[0].working_dir = Some(String::new())),
        Box::new(|t| t.containers[0].env = env(EnvContent::Text("x".to_owned()))),
        Box::new(|t| t.containers[0].env = env(EnvContent::Secret(SecretValue::new("x")))),
        Box::new(|t| t.containers[0].env = env(EnvContent::Secret(SecretValue::new("y")))),
        Box::new(|t| t.containers[0].env = env(EnvContent::Field(PodField::Name))),
        Box::new(|t| t.containers[0].env = env(EnvContent::Field(PodField::NodeName))),
        Box::new(|t| t.containers[0].env = env(EnvContent::Field(PodField::Label("x".into())))),
        Box::new(|t| {
            t.containers[0].env = env(EnvContent::Field(PodField::Annotation("x".into())));
        }),
        Box::new(|t| t.containers[0].ports[0].name.clear()),
        Box::new(|t| t.containers[0].ports[0].container_port += 1),
        Box::new(|t| t.containers[0].ports[0].protocol = Protocol::Udp),
        Box::new(|t| t.containers[0].ports.clear()),
        Box::new(|t| t.containers[0].resources.cpu_request_millis += 1),
        Box::new(|t| t.containers[0].resources.memory_request_bytes += 1),
        Box::new(|t| t.containers[0].resources.cpu_limit_millis = Some(0)),
        Box::new(|t| t.containers[0].resources.memory_limit_bytes = Some(0)),
        Box::new(|t| t.containers[0].startup_probe = Some(probe())),
        Box::new(|t| t.containers[0].readiness_probe = Some(probe())),
        Box::new(|t| t.containers[0].liveness_probe = Some(probe())),
        Box::new(|t| {
            t.containers[0].liveness_probe = Some(Probe { period: seconds(11), ..probe() });
        }),
        Box::new(|t| {
            t.containers[0].liveness_probe = Some(Probe { timeout: seconds(2), ..probe() });
        }),
        Box::new(|t| {
            t.containers[0].liveness_probe = Some(Probe { initial_delay: seconds(2), ..probe() });
        }),
        Box::new(|t| {
            t.containers[0].liveness_probe = Some(Probe { failure_threshold: 2, ..probe() });
        }),
        Box::new(|t| {
            t.containers[0].liveness_probe = Some(Probe { success_threshold: 2, ..probe() });
        }),
        Box::new(|t| {
            t.containers[0].liveness_probe = Some(Probe { action: http(), ..probe() });
        }),
        Box::new(|t| {
            let action = ProbeAction::Exec { command: vec!["true".to_owned()] };
            t.containers[0].liveness_probe = Some(Probe { action, ..probe() });
        }),
    ];
    let mut seen = BTreeMap::from([(template_hash(&template()), usize::MAX)]);
    for (index, edit) in edits.iter().enumerate() {
        let mut edited = template();
        edit(&mut edited);
        let same = seen.insert(template_hash(&edited), index);
        assert_eq!(same, None, "edit {index} has the identity of another");
    }
}

/// The environment of the only pod, as text.
fn environment(cluster: &Cluster) -> Vec<(String, String)> {
    let set = cluster.world.current_replica_set(cluster.deployment("web")).expect("a set");
    let text = |value: &EnvValue| match &value.content {
        EnvContent::Text(text) => text.clone(),
        EnvContent::Secret(secret) => {
            format!("secret {}", String::from_utf8_lossy(secret.expose()))
        }
        EnvContent::Field(field) => format!("{field:?}"),
    };
    set.template.containers[0].env.iter().map(|value| (value.name.clone(), text(value))).collect()
}

#[test]
fn the_environment_holds_every_source_and_later_ones_win() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let name = |text: &str| text.to_owned();
    let web = web_with(1, "web:1", |deployment| {
        deployment.template.containers[0].env = vec![
            EnvSource::AllOfConfigMap {
                config_map: ObjectName::new("settings"),
                prefix: name("S_"),
                optional: false,
            },
            EnvSource::AllOfSecret {
                secret: ObjectName::new("keys"),
                prefix: String::new(),
                optional: false,
            },
            EnvSource::Literal { name: name("S_greeting"), value: name("again") },
            EnvSource::SecretKey {
                name: name("KEY"),
                secret: ObjectName::new("keys"),
                key: name("key"),
                optional: false,
            },
            EnvSource::Field { name: name("ME"), field: PodField::Name },
            EnvSource::ConfigMapKey {
                name: name("ABSENT"),
                config_map: ObjectName::new("nowhere"),
                key: name("key"),
                optional: true,
            },
            EnvSource::ConfigMapKey {
                name: name("ABSENT_KEY"),
                config_map: ObjectName::new("settings"),
                key: name("nowhere"),
                optional: true,
            },
        ];
    });
    let keys = ObjectSpec::Secret(Secret {
        secret_type: name("Opaque"),
        data: BTreeMap::from([(name("key"), SecretValue::new("hunter2"))]),
        immutable: false,
    });
    cluster.commit(vec![web, config("settings", "greeting", "hello"), declare("keys", keys)]);
    let pair = |key: &str, value: &str| (name(key), name(value));
    assert_eq!(
        environment(&cluster),
        [
            pair("key", "secret hunter2"),
            pair("S_greeting", "again"),
            pair("KEY", "secret hunter2"),
            pair("ME", "Name"),
        ]
    );
}

#[test]
fn a_missing_key_is_named_with_its_object() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let web = web_with(1, "web:1", |deployment| {
        deployment.template.containers[0].env = vec![env_from_config("settings", "greeting")];
    });
    cluster.commit(vec![web, config("settings", "other", "value")]);
    let RolloutState::Waiting { message } = cluster.rollout("web") else { panic!("it waits") };
    assert_eq!(
        message,
        "waits for key greeting in ConfigMap demo/settings, which no source declares"
    );
    cluster.run_for(seconds(61));
    let RolloutState::Failed { message, .. } = cluster.rollout("web") else { panic!("it failed") };
    assert!(message.contains("key greeting in ConfigMap demo/settings"), "{message}");
}
