//! Namespaces, config maps, secrets and services.

use dugout_model::{ConfigMap, ObjectSpec, Secret, Service, ServiceType, StoredObject};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::meta::{list, of_object, port, some_text, strings, version};
use super::template::REDACTED;
use super::{Object, View, limits};

impl View<'_> {
    /// An object that Git declares.
    pub fn stored(self, object: &StoredObject) -> Object {
        let metadata = of_object(self, object);
        match &object.declared.spec {
            ObjectSpec::Namespace => Object::Namespace(Box::new(namespace(metadata))),
            ObjectSpec::LimitRange(spec) => {
                Object::LimitRange(Box::new(limits::limit_range(metadata, spec)))
            }
            ObjectSpec::ResourceQuota(spec) => {
                Object::ResourceQuota(Box::new(self.quota(metadata, object, spec)))
            }
            ObjectSpec::ConfigMap(spec) => Object::ConfigMap(Box::new(config_map(metadata, spec))),
            ObjectSpec::Secret(spec) => Object::Secret(Box::new(secret(metadata, spec))),
            ObjectSpec::Service(spec) => Object::Service(Box::new(service(metadata, spec))),
            ObjectSpec::Deployment(spec) => {
                Object::Deployment(Box::new(self.deployment(metadata, object, spec)))
            }
            ObjectSpec::Job(spec) => {
                Object::Job(Box::new(self.declared_job(metadata, object, spec)))
            }
            ObjectSpec::CronJob(spec) => {
                Object::CronJob(Box::new(self.cron_job(metadata, object, spec)))
            }
            ObjectSpec::PodDisruptionBudget(spec) => {
                Object::PodDisruptionBudget(Box::new(self.budget(metadata, object, spec)))
            }
            ObjectSpec::PersistentVolumeClaim(spec) => {
                Object::PersistentVolumeClaim(Box::new(self.claim(metadata, object, spec)))
            }
            ObjectSpec::PersistentVolume(spec) => {
                Object::PersistentVolume(Box::new(self.declared_volume(metadata, object, spec)))
            }
            ObjectSpec::StorageClass(spec) => {
                Object::StorageClass(Box::new(self.declared_class(metadata, spec)))
            }
            ObjectSpec::StatefulSet(spec) => {
                Object::StatefulSet(Box::new(self.stateful_set(metadata, object, spec)))
            }
            ObjectSpec::DaemonSet(spec) => {
                Object::DaemonSet(Box::new(self.daemon_set(metadata, object, spec)))
            }
            ObjectSpec::ReplicaSet(spec) => {
                Object::ReplicaSet(Box::new(self.declared_replica_set(metadata, object, spec)))
            }
            ObjectSpec::ReplicationController(spec) => {
                let controller = self.replication_controller(metadata, object, spec);
                Object::ReplicationController(Box::new(controller))
            }
            ObjectSpec::Pod(template) => {
                Object::Pod(Box::new(self.awaited_pod(metadata, object, template)))
            }
        }
    }

    /// A namespace that exists because something is in it, though Git does not declare it.
    pub fn implied_namespace(self, name: &str) -> Object {
        Object::Namespace(Box::new(namespace(ObjectMeta {
            name: Some(name.to_owned()),
            resource_version: version(self),
            ..ObjectMeta::default()
        })))
    }
}

fn namespace(metadata: ObjectMeta) -> core::Namespace {
    core::Namespace {
        metadata,
        spec: None,
        status: Some(core::NamespaceStatus { conditions: None, phase: Some("Active".to_owned()) }),
    }
}

fn config_map(metadata: ObjectMeta, spec: &ConfigMap) -> core::ConfigMap {
    let binary =
        spec.binary_data.iter().map(|(key, value)| (key.to_owned(), ByteString(value.clone())));
    core::ConfigMap {
        binary_data: (!spec.binary_data.is_empty()).then(|| binary.collect()),
        data: strings(&spec.data),
        immutable: spec.immutable.then_some(true),
        metadata,
    }
}

/// The keys of a secret, each with a marker in the place of its content.
fn secret(metadata: ObjectMeta, spec: &Secret) -> core::Secret {
    let data = spec.data.keys().map(|key| (key.to_owned(), ByteString(REDACTED.into()))).collect();
    core::Secret {
        data: Some(data),
        immutable: spec.immutable.then_some(true),
        metadata,
        string_data: None,
        type_: Some(spec.secret_type.clone()),
    }
}

fn service(metadata: ObjectMeta, spec: &Service) -> core::Service {
    let ports = spec
        .ports
        .iter()
        .map(|declared| core::ServicePort {
            app_protocol: None,
            name: some_text(&declared.name),
            node_port: declared.node_port.map(i32::from),
            port: i32::from(declared.port),
            protocol: Some(declared.protocol.as_str().to_owned()),
            target_port: Some(port(&declared.target_port)),
        })
        .collect();
    let (service_type, cluster_ip, external_name) = match &spec.service_type {
        ServiceType::ClusterIp => ("ClusterIP", None, None),
        ServiceType::Headless => ("ClusterIP", Some("None".to_owned()), None),
        ServiceType::NodePort => ("NodePort", None, None),
        ServiceType::ExternalName(name) => ("ExternalName", None, Some(name.clone())),
    };
    core::Service {
        metadata,
        spec: Some(core::ServiceSpec {
            cluster_ips: cluster_ip.clone().map(|address| vec![address]),
            cluster_ip,
            external_name,
            ports: list(ports),
            selector: strings(&spec.selector),
            session_affinity: Some("None".to_owned()),
            type_: Some(service_type.to_owned()),
            ..core::ServiceSpec::default()
        }),
        status: None,
    }
}
