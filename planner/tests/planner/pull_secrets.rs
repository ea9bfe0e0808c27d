//! Secrets that images are pulled with: who gets them, and that nobody is restarted for them.

use dugout_model::*;
use dugout_planner::assignment;

use crate::harness::objects::*;
use crate::harness::{Cluster, seconds};

fn private(image: &str) -> DeclaredObject {
    web_with(1, image, |web| {
        web.template.image_pull_secrets =
            ["registry", "opaque", "nowhere"].map(ObjectName::new).into();
    })
}

fn secret(name: &str, secret_type: &str, content: &str) -> DeclaredObject {
    let spec = ObjectSpec::Secret(Secret {
        secret_type: secret_type.to_owned(),
        data: SortedMap::from([(".dockerconfigjson".to_owned(), SecretValue::new(content))]),
        immutable: false,
    });
    declare(name, spec)
}

fn objects(image: &str, content: &str) -> Vec<DeclaredObject> {
    let registry = secret("registry", "kubernetes.io/dockerconfigjson", content);
    vec![private(image), registry, secret("opaque", "Opaque", "x")]
}

/// The secrets that each node is told of, and for which images.
fn told(cluster: &Cluster) -> Vec<(String, Vec<String>)> {
    let assignments =
        cluster.world.nodes.keys().filter_map(|node| assignment(&cluster.world, node));
    let secrets = assignments.flat_map(|one| one.pull_secrets);
    secrets
        .map(|one| (String::from_utf8_lossy(one.content.expose()).into_owned(), one.images))
        .collect()
}

#[test]
fn a_changed_secret_reaches_the_node_of_its_pods_and_restarts_none() {
    let mut cluster = Cluster::with_nodes(&["a", "b"]);
    cluster.commit(objects("web:1", "one"));
    cluster.run_for(seconds(20));
    assert_eq!(told(&cluster), [("one".to_owned(), vec![])]);
    let pods = cluster.names();
    let sha = cluster.commit(objects("web:1", "two"));
    cluster.run_for(seconds(20));
    assert_eq!(told(&cluster), [("two".to_owned(), vec![])]);
    assert_eq!((cluster.names(), cluster.verdict(&sha)), (pods, Verdict::Healthy));
}

#[test]
fn a_node_that_is_asked_for_an_image_gets_what_it_is_pulled_with() {
    let mut cluster = Cluster::with_nodes(&["a"]);
    let recreated = |image: &str| {
        let mut objects = objects(image, "one");
        if let ObjectSpec::Deployment(web) = &mut objects[0].spec {
            web.strategy = Strategy::Recreate;
        }
        objects
    };
    cluster.commit(recreated("web:1"));
    cluster.run_for(seconds(20));
    cluster.agent("a").listens = false;
    cluster.commit(recreated("web:2"));
    assert_eq!(told(&cluster), [("one".to_owned(), vec!["web:2".to_owned()])]);
}
