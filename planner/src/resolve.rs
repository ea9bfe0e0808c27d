//! Templates with the content of their config maps and secrets in place.
//!
//! Content is part of a template's identity, so a changed value rolls its consumers like a changed
//! image. A reference that cannot be resolved stops the rollout before anything of it starts.

mod files;
mod resources;

use std::collections::BTreeMap;
use std::fmt;

use dugout_model::{
    ConfigMap, Container, EnvContent, EnvSource, EnvValue, Kind, NamespaceName, ObjectId,
    ObjectName, ObjectSpec, PodTemplate, ResolvedTemplate, Secret, StoredObject, World,
};

/// Something that a template needs and that is not there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingReference {
    /// A config map or secret in the namespace of the workload.
    pub object: ObjectId,
    /// The key that it lacks; without one the whole object is missing.
    pub key: Option<String>,
}

impl fmt::Display for MissingReference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            None => write!(out, "{}", self.object),
            Some(key) => write!(out, "key {key} in {}", self.object),
        }
    }
}

/// What is missing, in a sentence.
pub(crate) fn sentence(missing: &[MissingReference]) -> String {
    let list: Vec<String> = missing.iter().map(ToString::to_string).collect();
    format!("waits for {}, which no source declares", list.join(", "))
}

/// Resolves a template, or says everything that is missing.
pub(crate) fn resolve(
    world: &World,
    namespace: &NamespaceName,
    template: &PodTemplate,
) -> Result<ResolvedTemplate, Vec<MissingReference>> {
    let mut lookup = Lookup { world, namespace, template, missing: Vec::new() };
    let init_containers =
        template.init_containers.iter().map(|each| lookup.container(each)).collect();
    let containers = template.containers.iter().map(|each| lookup.container(each)).collect();
    let volumes = template.volumes.iter().map(|each| files::volume(&mut lookup, each)).collect();
    if !lookup.missing.is_empty() {
        lookup.missing.sort();
        lookup.missing.dedup();
        return Err(lookup.missing);
    }
    Ok(ResolvedTemplate {
        labels: template.labels.clone(),
        annotations: template.annotations.clone(),
        init_containers,
        containers,
        restart_policy: template.restart_policy,
        termination_grace: template.termination_grace,
        node_selector: template.node_selector.clone(),
        volumes,
        image_pull_secrets: template.image_pull_secrets.clone(),
        security: template.security.clone(),
        names: template.names.clone(),
    })
}

/// Whether a workload takes content from the config map or secret of this name.
pub(crate) fn uses(workload: &StoredObject, kind: Kind, name: &ObjectName) -> bool {
    let Some(template) = workload.declared.spec.pod_template() else { return false };
    let mut env = template.all_containers().flat_map(|container| &container.env);
    let in_env = env.any(|source| match source {
        EnvSource::ConfigMapKey { config_map, .. }
        | EnvSource::AllOfConfigMap { config_map, .. } => {
            kind == Kind::ConfigMap && config_map == name
        }
        EnvSource::SecretKey { secret, .. } | EnvSource::AllOfSecret { secret, .. } => {
            kind == Kind::Secret && secret == name
        }
        EnvSource::Literal { .. } | EnvSource::Field { .. } | EnvSource::Resource { .. } => false,
    });
    in_env || template.volumes.iter().any(|volume| files::uses(volume, kind, name))
}

struct Lookup<'a> {
    world: &'a World,
    namespace: &'a NamespaceName,
    template: &'a PodTemplate,
    missing: Vec<MissingReference>,
}

impl<'a> Lookup<'a> {
    fn container(&mut self, container: &Container<EnvSource>) -> Container<EnvValue> {
        let values: Vec<EnvValue> =
            container.env.iter().flat_map(|source| self.values(source, container)).collect();
        let mut env = last_of_each_name(values);
        env.shrink_to_fit();
        Container {
            name: container.name.clone(),
            image: container.image.clone(),
            pull_policy: container.pull_policy,
            command: container.command.clone(),
            args: container.args.clone(),
            working_dir: container.working_dir.clone(),
            env,
            ports: container.ports.clone(),
            resources: container.resources,
            startup_probe: container.startup_probe.clone(),
            readiness_probe: container.readiness_probe.clone(),
            liveness_probe: container.liveness_probe.clone(),
            lifecycle: container.lifecycle.clone(),
            restart_policy: container.restart_policy,
            mounts: container.mounts.clone(),
            security: container.security.clone(),
            streams: container.streams,
        }
    }

    fn values(&mut self, source: &EnvSource, own: &Container<EnvSource>) -> Vec<EnvValue> {
        match source {
            EnvSource::Literal { name, value } => vec![text(name, value)],
            EnvSource::Field { name, field } => {
                vec![EnvValue { name: name.clone(), content: EnvContent::Field(field.clone()) }]
            }
            EnvSource::Resource { name, resource } => {
                let content = resources::content(self.template, own, resource);
                vec![EnvValue { name: name.clone(), content }]
            }
            EnvSource::ConfigMapKey { name, config_map, key, optional } => {
                let found = self.config_map(config_map, *optional);
                let value = found.map(|map| map.data.get(key).map(|value| text(name, value)));
                self.one_key(value, (Kind::ConfigMap, config_map, key), *optional)
            }
            EnvSource::SecretKey { name, secret, key, optional } => {
                let found = self.secret(secret, *optional);
                let value = found.map(|secret| {
                    secret.data.get(key).map(|value| EnvValue {
                        name: name.clone(),
                        content: EnvContent::Secret(value.clone()),
                    })
                });
                self.one_key(value, (Kind::Secret, secret, key), *optional)
            }
            EnvSource::AllOfConfigMap { config_map, prefix, optional } => {
                let Some(found) = self.config_map(config_map, *optional) else { return Vec::new() };
                found
                    .data
                    .iter()
                    .map(|(key, value)| text(&format!("{prefix}{key}"), value))
                    .collect()
            }
            EnvSource::AllOfSecret { secret, prefix, optional } => {
                let Some(found) = self.secret(secret, *optional) else { return Vec::new() };
                let value = |(key, value): (&str, &dugout_model::SecretValue)| EnvValue {
                    name: format!("{prefix}{key}"),
                    content: EnvContent::Secret(value.clone()),
                };
                found.data.iter().map(value).collect()
            }
        }
    }

    /// The value of one key. The outer absence was reported with its object already.
    fn one_key(
        &mut self,
        value: Option<Option<EnvValue>>,
        (kind, name, key): (Kind, &ObjectName, &str),
        optional: bool,
    ) -> Vec<EnvValue> {
        match value {
            Some(Some(value)) => return vec![value],
            Some(None) if !optional => self.miss_key(kind, name, key),
            Some(None) | None => {}
        }
        Vec::new()
    }

    fn config_map(&mut self, name: &ObjectName, optional: bool) -> Option<&'a ConfigMap> {
        match self.spec(Kind::ConfigMap, name, optional) {
            Some(ObjectSpec::ConfigMap(map)) => Some(map),
            _ => None,
        }
    }

    fn secret(&mut self, name: &ObjectName, optional: bool) -> Option<&'a Secret> {
        match self.spec(Kind::Secret, name, optional) {
            Some(ObjectSpec::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    fn spec(&mut self, kind: Kind, name: &ObjectName, optional: bool) -> Option<&'a ObjectSpec> {
        let id = self.id(kind, name);
        match self.world.objects.get(&id) {
            Some(object) => Some(&object.declared.spec),
            None => {
                if !optional {
                    self.missing.push(MissingReference { object: id, key: None });
                }
                None
            }
        }
    }

    fn miss_key(&mut self, kind: Kind, name: &ObjectName, key: &str) {
        let object = self.id(kind, name);
        self.missing.push(MissingReference { object, key: Some(key.to_owned()) });
    }

    fn id(&self, kind: Kind, name: &ObjectName) -> ObjectId {
        ObjectId::new(kind, self.namespace.as_str(), name.as_str())
    }
}

fn text(name: &str, value: &str) -> EnvValue {
    EnvValue { name: name.to_owned(), content: EnvContent::Text(value.to_owned()) }
}

/// Later entries win; each name stays once, where it was last.
fn last_of_each_name(values: Vec<EnvValue>) -> Vec<EnvValue> {
    let last: BTreeMap<String, usize> =
        values.iter().enumerate().map(|(index, value)| (value.name.clone(), index)).collect();
    let keep = |(index, value): (usize, EnvValue)| {
        (last.get(&value.name) == Some(&index)).then_some(value)
    };
    values.into_iter().enumerate().filter_map(keep).collect()
}
