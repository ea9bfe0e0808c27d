//! What one node must run. Each template is written once and referred to by its place.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dugout_model as model;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::WireError;
use crate::names::{digest_text, parse_address, parse_digest, parse_node_name};
use crate::pull_secret::AssignedPullSecret;
use crate::storage::AssignedClaim;
use crate::template::{PullPolicy, Template, micros};
use crate::volume::{FilesTable, VolumeFile};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    pub cluster: Uuid,
    pub node: String,
    pub generation: u64,
    pub templates: Vec<Template>,
    /// What the volumes of templates hold; each list once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_files: Vec<Vec<VolumeFile>>,
    pub pods: Vec<AssignedPod>,
    pub services: Vec<AssignedService>,
    /// Images to have at hand. An agent of an earlier release ignores them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<AssignedImage>,
    /// An agent of an earlier release pulls without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pull_secrets: Vec<AssignedPullSecret>,
    /// An agent of an earlier release has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted_volumes: Vec<Uuid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedImage {
    pub release: u64,
    pub image: String,
    pub pull_policy: PullPolicy,
    /// An agent of an earlier release has whatever the image's name stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What the name of an image stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedPin {
    pub image: String,
    /// Absent while it is not fixed: the agent says what it finds, and waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedPod {
    pub uid: Uuid,
    pub namespace: String,
    pub name: String,
    pub replica_set: Uuid,
    /// The place in [`Assignment::templates`].
    pub template: u32,
    pub order: PodOrder,
    /// An agent of an earlier release ignores it, and corrects and shows nothing.
    #[serde(default, skip_serializing_if = "Drift::is_correct")]
    pub drift: Drift,
    /// An agent of an earlier release gets no pod that has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<AssignedClaim>,
    /// An agent of an earlier release runs whatever the images' names stand for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<AssignedPin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Drift {
    #[default]
    Correct,
    Warn,
}

impl Drift {
    fn is_correct(&self) -> bool {
        *self == Drift::Correct
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PodOrder {
    Run {
        draining: bool,
    },
    #[serde(rename_all = "camelCase")]
    Stop {
        grace_micros: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedService {
    pub namespace: String,
    pub name: String,
    pub ports: Vec<AssignedServicePort>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedServicePort {
    pub name: String,
    pub protocol: Protocol,
    pub port: u16,
    pub node_port: u16,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    Tcp,
    Udp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub pod: Uuid,
    pub port: u16,
    pub place: EndpointPlace,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EndpointPlace {
    Local,
    SameEngine { address: String },
}

impl From<&model::Assignment> for Assignment {
    fn from(value: &model::Assignment) -> Self {
        let model::Assignment {
            cluster,
            node,
            generation,
            pods,
            services,
            images,
            pull_secrets,
            deleted_volumes,
        } = value;
        let mut templates = TemplateTable::default();
        let pods = pods.iter().map(|pod| pod_to_wire(pod, &mut templates)).collect();
        Self {
            cluster: cluster.0,
            node: node.as_str().to_owned(),
            generation: generation.0,
            templates: templates.rows,
            volume_files: templates.files.rows,
            pods,
            services: services.iter().map(service_to_wire).collect(),
            images: images.iter().map(AssignedImage::from).collect(),
            pull_secrets: pull_secrets.iter().map(Into::into).collect(),
            deleted_volumes: deleted_volumes.iter().map(|volume| volume.0).collect(),
        }
    }
}

impl TryFrom<Assignment> for model::Assignment {
    type Error = WireError;

    fn try_from(value: Assignment) -> Result<Self, WireError> {
        let Assignment {
            cluster,
            node,
            generation,
            templates,
            volume_files,
            pods,
            services,
            images,
            pull_secrets,
            deleted_volumes,
        } = value;
        let volume_files = volume_files
            .into_iter()
            .map(|list| list.into_iter().map(TryInto::try_into).collect())
            .collect::<Result<Vec<model::VolumeFiles>, WireError>>()?;
        let templates = templates
            .into_iter()
            .map(|template| Ok(Arc::new(template.into_model(&volume_files)?)))
            .collect::<Result<Vec<model::SharedTemplate>, WireError>>()?;
        Ok(Self {
            cluster: model::ClusterId(cluster),
            node: parse_node_name(&node)?,
            generation: model::Turn(generation),
            pods: pods
                .into_iter()
                .map(|pod| pod_from_wire(pod, &templates))
                .collect::<Result<_, _>>()?,
            services: services.into_iter().map(service_from_wire).collect::<Result<_, _>>()?,
            images: images.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            pull_secrets: pull_secrets
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, _>>()?,
            deleted_volumes: deleted_volumes.into_iter().map(model::VolumeUid).collect(),
        })
    }
}

/// The templates met so far, by the address of their shared value.
#[derive(Default)]
struct TemplateTable {
    rows: Vec<Template>,
    places: HashMap<*const model::ResolvedTemplate, u32>,
    files: FilesTable,
}

impl TemplateTable {
    fn place(&mut self, template: &model::SharedTemplate) -> u32 {
        *self.places.entry(Arc::as_ptr(template)).or_insert_with(|| {
            self.rows.push(Template::from_model(template, &mut self.files));
            u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

fn pod_to_wire(value: &model::AssignedPod, templates: &mut TemplateTable) -> AssignedPod {
    let model::AssignedPod {
        uid,
        namespace,
        name,
        replica_set,
        template,
        order,
        drift,
        claims,
        pins,
    } = value;
    AssignedPod {
        uid: uid.0,
        namespace: namespace.as_str().to_owned(),
        name: name.as_str().to_owned(),
        replica_set: replica_set.0,
        template: templates.place(template),
        order: match order {
            model::PodOrder::Run { draining } => PodOrder::Run { draining: *draining },
            model::PodOrder::Stop { grace } => PodOrder::Stop { grace_micros: micros(*grace) },
        },
        drift: (*drift).into(),
        claims: claims.iter().map(Into::into).collect(),
        pins: pins.iter().map(pin_to_wire).collect(),
    }
}

fn pin_to_wire(value: &model::AssignedPin) -> AssignedPin {
    let model::AssignedPin { image, digest } = value;
    AssignedPin { image: image.clone(), digest: digest_text(digest.as_ref()) }
}

fn pin_from_wire(value: AssignedPin) -> Result<model::AssignedPin, WireError> {
    let AssignedPin { image, digest } = value;
    Ok(model::AssignedPin { image, digest: parse_digest("digest of a pin", digest)? })
}

fn pod_from_wire(
    value: AssignedPod,
    templates: &[model::SharedTemplate],
) -> Result<model::AssignedPod, WireError> {
    let AssignedPod {
        uid,
        namespace,
        name,
        replica_set,
        template: index,
        order,
        drift,
        claims,
        pins,
    } = value;
    let template = usize::try_from(index).ok().and_then(|index| templates.get(index));
    let Some(template) = template else {
        let pod = format!("{namespace}/{name}");
        return Err(WireError::MissingTemplate { pod, index, count: templates.len() });
    };
    Ok(model::AssignedPod {
        uid: model::PodUid(uid),
        namespace: model::NamespaceName::new(namespace),
        name: model::ObjectName::new(name),
        replica_set: model::ReplicaSetUid(replica_set),
        template: Arc::clone(template),
        order: match order {
            PodOrder::Run { draining } => model::PodOrder::Run { draining },
            PodOrder::Stop { grace_micros } => {
                model::PodOrder::Stop { grace: Duration::from_micros(grace_micros) }
            }
        },
        drift: drift.into(),
        claims: claims.into_iter().map(Into::into).collect(),
        pins: pins.into_iter().map(pin_from_wire).collect::<Result<_, _>>()?,
    })
}

impl From<model::Drift> for Drift {
    fn from(value: model::Drift) -> Self {
        match value {
            model::Drift::Correct => Drift::Correct,
            model::Drift::Warn => Drift::Warn,
        }
    }
}

impl From<Drift> for model::Drift {
    fn from(value: Drift) -> Self {
        match value {
            Drift::Correct => model::Drift::Correct,
            Drift::Warn => model::Drift::Warn,
        }
    }
}

impl From<&model::AssignedImage> for AssignedImage {
    fn from(value: &model::AssignedImage) -> Self {
        let model::AssignedImage { release, image, policy, digest } = value;
        Self {
            release: release.0,
            image: image.clone(),
            pull_policy: (*policy).into(),
            digest: digest_text(digest.as_ref()),
        }
    }
}

impl TryFrom<AssignedImage> for model::AssignedImage {
    type Error = WireError;

    fn try_from(value: AssignedImage) -> Result<Self, WireError> {
        let AssignedImage { release, image, pull_policy, digest } = value;
        Ok(Self {
            release: model::ReleaseId(release),
            image,
            policy: pull_policy.into(),
            digest: parse_digest("digest of an image", digest)?,
        })
    }
}

fn service_to_wire(value: &model::AssignedService) -> AssignedService {
    let model::AssignedService { key: model::ObjectKey { namespace, name }, ports } = value;
    AssignedService {
        namespace: namespace.as_str().to_owned(),
        name: name.as_str().to_owned(),
        ports: ports.iter().map(service_port_to_wire).collect(),
    }
}

fn service_from_wire(value: AssignedService) -> Result<model::AssignedService, WireError> {
    let AssignedService { namespace, name, ports } = value;
    Ok(model::AssignedService {
        key: model::ObjectKey::new(namespace, name),
        ports: ports.into_iter().map(service_port_from_wire).collect::<Result<_, _>>()?,
    })
}

fn service_port_to_wire(value: &model::AssignedServicePort) -> AssignedServicePort {
    let model::AssignedServicePort { name, protocol, port, node_port, endpoints } = value;
    AssignedServicePort {
        name: name.clone(),
        protocol: (*protocol).into(),
        port: *port,
        node_port: *node_port,
        endpoints: endpoints.iter().map(endpoint_to_wire).collect(),
    }
}

fn service_port_from_wire(
    value: AssignedServicePort,
) -> Result<model::AssignedServicePort, WireError> {
    let AssignedServicePort { name, protocol, port, node_port, endpoints } = value;
    Ok(model::AssignedServicePort {
        name,
        protocol: protocol.into(),
        port,
        node_port,
        endpoints: endpoints.into_iter().map(endpoint_from_wire).collect::<Result<_, _>>()?,
    })
}

fn endpoint_to_wire(value: &model::Endpoint) -> Endpoint {
    let model::Endpoint { pod, port, place } = value;
    Endpoint {
        pod: pod.0,
        port: *port,
        place: match place {
            model::EndpointPlace::Local => EndpointPlace::Local,
            model::EndpointPlace::SameEngine { address } => {
                EndpointPlace::SameEngine { address: address.to_string() }
            }
        },
    }
}

fn endpoint_from_wire(value: Endpoint) -> Result<model::Endpoint, WireError> {
    let Endpoint { pod, port, place } = value;
    Ok(model::Endpoint {
        pod: model::PodUid(pod),
        port,
        place: match place {
            EndpointPlace::Local => model::EndpointPlace::Local,
            EndpointPlace::SameEngine { address } => model::EndpointPlace::SameEngine {
                address: parse_address("endpoint address", &address)?,
            },
        },
    })
}

impl From<model::Protocol> for Protocol {
    fn from(value: model::Protocol) -> Self {
        match value {
            model::Protocol::Tcp => Protocol::Tcp,
            model::Protocol::Udp => Protocol::Udp,
        }
    }
}

impl From<Protocol> for model::Protocol {
    fn from(value: Protocol) -> Self {
        match value {
            Protocol::Tcp => model::Protocol::Tcp,
            Protocol::Udp => model::Protocol::Udp,
        }
    }
}
