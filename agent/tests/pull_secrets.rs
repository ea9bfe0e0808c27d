//! Pulls from a registry that asks who one is, against a real Docker engine.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![allow(dead_code, reason = "the support of all conformance tests is shared")]

mod support;

use dugout_model::*;
use support::registry::{PASSWORD, Registry, USER};
use support::{Rig, docker_host, waiting};

const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 1 & wait; done";

fn secret(name: &str, registry: &str, password: &str) -> AssignedPullSecret {
    let login = format!(r#"{{"username":"{USER}","password":"{password}"}}"#);
    AssignedPullSecret {
        key: ObjectKey::new("demo", name),
        format: PullSecretFormat::ConfigJson,
        content: SecretValue::new(format!(r#"{{"auths":{{"{registry}":{login}}}}}"#)),
        images: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_pulled_with_the_secrets_of_its_pod_or_release_and_with_no_others() {
    let mut rig = Rig::start().await;
    let registry = Registry::start_guarded().await;
    let image = registry.push(&docker_host(), "team/app:1");
    let add = |rig: &mut Rig, names: &[&str]| {
        let uid = rig.add(SLEEP);
        rig.change_container(uid, |container| {
            container.image.clone_from(&image);
            container.pull_policy = PullPolicy::Always;
        });
        let pod = rig.pods.get_mut(&uid).unwrap();
        let mut template = (*pod.template).clone();
        template.image_pull_secrets = names.iter().map(|name| ObjectName::new(*name)).collect();
        pod.template = std::sync::Arc::new(template);
        uid
    };
    let without = add(&mut rig, &[]);
    let unknown = add(&mut rig, &["nowhere"]);
    // What is refused is followed by what is less specific.
    let with = add(&mut rig, &["wrong", "right"]);
    let host = format!("127.0.0.1:{}", registry.port);
    rig.pull_secrets = vec![
        secret("right", &host, PASSWORD),
        secret("wrong", &format!("https://{host}/team"), "an old one"),
    ];
    rig.assign();
    let is_refused = |pod: &PodReport| {
        waiting(pod).is_some_and(|(reason, _)| reason == WaitingReason::ErrImagePull)
    };
    rig.until_pod(without, "refused", is_refused).await;
    rig.until_pod(unknown, "refused", is_refused).await;
    rig.until_running(with).await;
    let told = rig.plane.count("FailedToRetrieveImagePullSecret");
    assert!(told > 0, "{:#?}", *rig.plane.events());
    assert!(!format!("{:?}", *rig.plane.events()).contains(PASSWORD));

    // For a release that has no pod yet.
    let other = registry.push(&docker_host(), "team/other:1");
    let asked = AssignedImage {
        release: ReleaseId(1),
        image: other.clone(),
        policy: PullPolicy::IfNotPresent,
    };
    rig.images = vec![asked.clone()];
    rig.pull_secrets[0].images = vec![other.clone()];
    rig.assign();
    rig.until("the image is here", |report| {
        let held = report.images.as_ref().and_then(|images| images.get(&asked));
        held == Some(&ImageReport::Held)
    })
    .await;
    rig.docker_command(&["rmi", &other]);
    rig.finish().await;
}
