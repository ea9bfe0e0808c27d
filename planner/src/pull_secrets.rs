//! The credentials that a node's pulls may be made with.

use std::collections::{BTreeMap, BTreeSet};

use dugout_model::{
    AssignedPullSecret, Kind, NamespaceName, Node, ObjectId, ObjectKey, ObjectName, ObjectSpec,
    PullSecretFormat, Secret, World,
};

/// The key under which each type of secret holds them.
const FORMATS: [(&str, &str, PullSecretFormat); 2] = [
    ("kubernetes.io/dockerconfigjson", ".dockerconfigjson", PullSecretFormat::ConfigJson),
    ("kubernetes.io/dockercfg", ".dockercfg", PullSecretFormat::Dockercfg),
];

/// Whether pulls can be made with it.
pub(crate) fn is_one(secret: &Secret) -> bool {
    FORMATS.iter().any(|(secret_type, ..)| secret.secret_type == *secret_type)
}

/// The names in a template, in the namespace of its workload.
pub(crate) fn keys<'a>(
    namespace: &'a NamespaceName,
    names: &'a [ObjectName],
) -> impl Iterator<Item = ObjectKey> + 'a {
    names.iter().map(|name| ObjectKey { namespace: namespace.clone(), name: name.clone() })
}

/// Those of the node's pods that may still pull and of the images that it shall have. What is not there
/// or holds no credentials is left out, as on Kubernetes: the registry may not ask for any.
pub(crate) fn of_node(world: &World, node: &Node) -> Vec<AssignedPullSecret> {
    let mut wanted: BTreeMap<ObjectKey, BTreeSet<&str>> = BTreeMap::new();
    for pod in world.pods_on(&node.name).filter(|pod| pod.is_at_work()) {
        let Some(set) = world.replica_set_of(pod) else { continue };
        for key in keys(&pod.namespace, &set.template.image_pull_secrets) {
            wanted.entry(key).or_default();
        }
    }
    for pull in &node.pulls {
        for key in &pull.pull_secrets {
            wanted.entry(key.clone()).or_default().insert(&pull.image);
        }
    }
    let assigned = |(key, images): (ObjectKey, BTreeSet<&str>)| {
        let id = ObjectId::new(Kind::Secret, key.namespace.as_str(), key.name.as_str());
        let ObjectSpec::Secret(secret) = &world.objects.get(&id)?.declared.spec else {
            return None;
        };
        let (_, data_key, format) =
            FORMATS.iter().find(|(secret_type, ..)| secret.secret_type == *secret_type)?;
        Some(AssignedPullSecret {
            key,
            format: *format,
            content: secret.data.get(data_key)?.clone(),
            images: images.into_iter().map(str::to_owned).collect(),
        })
    };
    wanted.into_iter().filter_map(assigned).collect()
}
