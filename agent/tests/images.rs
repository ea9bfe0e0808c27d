//! Images: pulled with credentials, of other machines, and removed for want of room; against a real Docker
//! engine.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![allow(dead_code, reason = "the support of all conformance tests is shared")]

mod support;

use std::time::Duration;

use dugout_agent::image_gc::ImageGcPolicy;
use dugout_agent::runtime::ContainerRuntime as _;
use dugout_model::*;
use support::registry::{PASSWORD, Registry, USER};
use support::{IMAGE, Rig, docker_host, waiting};

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
    let image = registry.push(&docker_host(), IMAGE, "team/app:1");
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
    let other = registry.push(&docker_host(), IMAGE, "team/other:1");
    let asked = AssignedImage {
        release: ReleaseId(1),
        image: other.clone(),
        policy: PullPolicy::IfNotPresent,
        digest: None,
    };
    rig.images = vec![asked.clone()];
    rig.pull_secrets[0].images = vec![other.clone()];
    rig.assign();
    rig.until("the image is here", |report| {
        let held = report.images.as_ref().and_then(|images| images.get(&asked));
        matches!(held, Some(ImageReport::Held { digest: Some(_) }))
    })
    .await;
    rig.finish_without(&[&other, &image]).await;
}

fn with_image(rig: &mut Rig, image: &str) -> PodUid {
    let uid = rig.add(SLEEP);
    rig.change_container(uid, |container| container.image = image.to_owned());
    uid
}

/// An image with nothing in it, for machines of an architecture, under a name of its own.
fn load(rig: &Rig, registry: &Registry, architecture: &str) -> String {
    const EMPTY: &str = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    let name = format!("dugout-agent-test-empty:{}", registry.port);
    let config = format!(
        r#"{{"os":"linux","architecture":"{architecture}","config":{{"Labels":{{"of":"{name}"}}}},"rootfs":{{"type":"layers","diff_ids":["sha256:{EMPTY}"]}}}}"#
    );
    let manifest =
        format!(r#"[{{"Config":"config.json","RepoTags":["{name}"],"Layers":["layer.tar"]}}]"#);
    let folder = tempfile::tempdir().unwrap();
    for (file, content) in [
        ("config.json", config.as_bytes()),
        ("manifest.json", manifest.as_bytes()),
        ("layer.tar", &[0; 1024]),
    ] {
        std::fs::write(folder.path().join(file), content).unwrap();
    }
    let archive = folder.path().join("image.tar");
    let tar = std::process::Command::new("tar")
        .arg("--create")
        .arg("--file")
        .arg(&archive)
        .args(["config.json", "manifest.json", "layer.tar"])
        .current_dir(folder.path())
        .status();
    assert!(tar.unwrap().success());
    rig.docker_command(&["load", "--input", archive.to_str().unwrap()]);
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_of_another_architecture_is_refused_with_a_sentence() {
    let mut rig = Rig::start().await;
    let registry = Registry::start_guarded().await;
    let other = if std::env::consts::ARCH == "aarch64" { "amd64" } else { "arm64" };
    let platform = format!("linux/{other}");
    let own = load(&rig, &registry, other);
    let image = registry.push(&docker_host(), &own, "foreign:1");
    rig.docker_command(&["rmi", &own]);
    let pod = with_image(&mut rig, &image);
    let assigned = rig.pods.get_mut(&pod).unwrap();
    let mut template = (*assigned.template).clone();
    template.image_pull_secrets = [ObjectName::new("registry")].into();
    assigned.template = std::sync::Arc::new(template);
    rig.pull_secrets = vec![secret("registry", &format!("127.0.0.1:{}", registry.port), PASSWORD)];
    rig.assign();
    let is_refused = |pod: &PodReport| {
        waiting(pod).is_some_and(|(reason, message)| {
            reason == WaitingReason::ErrImagePull && message.contains(&format!("for {platform}"))
        })
    };
    rig.until_pod(pod, "refused", is_refused).await;

    // Now it is there. It is of no more use to another pod, or to a release.
    let mut second = rig.pods[&pod].clone();
    (second.uid, second.name) = (PodUid(uuid::Uuid::new_v4()), ObjectName::new("second"));
    let uid = second.uid;
    rig.pods.insert(uid, second);
    let policy = PullPolicy::Never;
    let asked = AssignedImage { release: ReleaseId(1), image: image.clone(), policy, digest: None };
    rig.images = vec![asked.clone()];
    rig.assign();
    rig.until_pod(uid, "refused, too", is_refused).await;
    rig.until("the release is told", |report| {
        let told = report.images.as_ref().and_then(|images| images.get(&asked));
        matches!(told, Some(ImageReport::Failed { message }) if message.contains(&platform))
    })
    .await;
    rig.finish_without(&[&image]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_pulled_and_is_used_no_more_goes_when_the_disk_is_full() {
    let mut rig = Rig::start().await;
    let registry = Registry::start().await;
    let used = registry.push_open(&docker_host(), IMAGE, "used:1");
    // An image is one however many names it has, so this is another.
    let architecture = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
    let own = load(&rig, &registry, architecture);
    let unused = registry.push_open(&docker_host(), &own, "unused:1");
    rig.docker_command(&["rmi", &own]);
    let (stays, leaves) = (with_image(&mut rig, &used), with_image(&mut rig, &unused));
    rig.assign();
    rig.until_running(stays).await;
    rig.until_event("Pulled", 1).await;
    rig.pods.remove(&leaves);
    rig.assign();
    rig.until("it is gone", |report| !report.pods.contains_key(&leaves)).await;
    let held = |survey: &dugout_agent::image_gc::ImageSurvey, name: &str| {
        survey.images.iter().any(|image| image.tags.iter().any(|tag| tag == name))
    };
    let survey = rig.docker.survey_images().await.unwrap();
    assert!(held(&survey, &used) && held(&survey, &unused), "{survey:#?}");

    rig.stop_agent().await;
    rig.image_gc = ImageGcPolicy { high_percent: 0, low_percent: 0, minimum_age: Duration::ZERO };
    rig.start_agent();
    rig.until_event("ImageRemoved", 0).await;
    let survey = rig.docker.survey_images().await.unwrap();
    assert!(held(&survey, &used) && !held(&survey, &unused), "{survey:#?}");
    // What somebody else made stays.
    assert!(held(&survey, IMAGE), "{survey:#?}");
    rig.finish_without(&[&used]).await;
}
