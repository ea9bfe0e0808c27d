//! What one node saw.

use std::collections::BTreeMap;

use dugout_model as model;
use dugout_model::{NodeName, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::image_report::{ImageReport, image_from_wire, image_to_wire};
use crate::names::{digest_text, parse_address, parse_digest};
use crate::{MAX_REPORT_EVENTS, WireError};

/// Always all of it, so that a lost report does no harm. The node's name is in the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub instance: String,
    pub acknowledged: u64,
    pub engine_answers: bool,
    pub pods: BTreeMap<Uuid, PodReport>,
    /// An agent of an earlier release has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<ImageReport>>,
    /// An agent of an earlier release has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Vec<Uuid>>,
    pub events: Vec<Event>,
    /// An older server ignores it, and tells events that it gets twice twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_event: Option<EventNumber>,
}

/// Where the first event of a report stands among all of this run of the agent. The others follow
/// without a gap, so that a server takes each once however often it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventNumber {
    pub run: Uuid,
    pub number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodReport {
    pub phase: PodPhase,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub init_containers: Vec<ContainerStatus>,
    pub containers: Vec<ContainerStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    pub ready: bool,
    pub connections: u32,
    pub milestones: PodMilestones,
    /// An agent of an earlier release does not look for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
    /// An agent of an earlier release knows of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
}

/// What a person told the agent to do with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pause {
    LeftAlone,
    Stopped,
}

impl From<model::Pause> for Pause {
    fn from(value: model::Pause) -> Self {
        match value {
            model::Pause::LeftAlone => Pause::LeftAlone,
            model::Pause::Stopped => Pause::Stopped,
        }
    }
}

impl From<Pause> for model::Pause {
    fn from(value: Pause) -> Self {
        match value {
            Pause::LeftAlone => model::Pause::LeftAlone,
            Pause::Stopped => model::Pause::Stopped,
        }
    }
}

/// Microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodMilestones {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulled_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodPhase {
    Pending,
    Running,
    Succeeded,
    Failed,
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    pub name: String,
    pub state: ContainerState,
    pub ready: bool,
    pub restarts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// An agent of an earlier release does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<ContainerExit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ContainerState {
    Waiting {
        reason: WaitingReason,
        message: String,
    },
    #[serde(rename_all = "camelCase")]
    Running {
        started_at: i64,
    },
    Terminated(ContainerExit),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerExit {
    pub exit_code: i64,
    pub oom_killed: bool,
    pub finished_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitingReason {
    ContainerCreating,
    PodInitializing,
    Pulling,
    ErrImagePull,
    ErrImageNeverPull,
    CrashLoopBackOff,
    CreateContainerError,
    CreateContainerConfigError,
    EngineUnavailable,
    /// One of a later release. The message beside it says what it is; without this a server would refuse
    /// the whole report of a node whose agent is newer.
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub at: i64,
    #[serde(rename = "type")]
    pub event_type: EventType,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub reason: String,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventType {
    Normal,
    Warning,
}

impl Report {
    /// The report as the model has it, for the node that the path names.
    pub fn into_model(self, node: NodeName) -> Result<model::NodeReport, WireError> {
        let Self {
            instance,
            acknowledged,
            engine_answers,
            pods,
            images,
            volumes,
            events,
            first_event,
        } = self;
        if events.len() > MAX_REPORT_EVENTS {
            return Err(WireError::TooManyEvents { count: events.len(), limit: MAX_REPORT_EVENTS });
        }
        Ok(model::NodeReport {
            node,
            instance,
            acknowledged: model::Turn(acknowledged),
            engine_answers,
            pods: pods
                .into_iter()
                .map(|(uid, pod)| Ok((model::PodUid(uid), pod.try_into()?)))
                .collect::<Result<_, WireError>>()?,
            images: images
                .map(|images| images.into_iter().map(image_from_wire).collect())
                .transpose()?,
            volumes: volumes.map(|held| held.into_iter().map(model::VolumeUid).collect()),
            events: events.into_iter().map(Into::into).collect(),
            first_event: first_event.map(Into::into),
        })
    }
}

impl From<&model::NodeReport> for Report {
    fn from(value: &model::NodeReport) -> Self {
        let model::NodeReport {
            node: _, // in the path
            instance,
            acknowledged,
            engine_answers,
            pods,
            images,
            volumes,
            events,
            first_event,
        } = value;
        Self {
            instance: instance.clone(),
            acknowledged: acknowledged.0,
            engine_answers: *engine_answers,
            pods: pods.iter().map(|(uid, pod)| (uid.0, pod.into())).collect(),
            images: images.as_ref().map(|images| images.iter().map(image_to_wire).collect()),
            volumes: volumes.as_ref().map(|held| held.iter().map(|volume| volume.0).collect()),
            events: events.iter().map(Event::from).collect(),
            first_event: first_event.map(EventNumber::from),
        }
    }
}

impl From<model::EventNumber> for EventNumber {
    fn from(value: model::EventNumber) -> Self {
        let model::EventNumber { run, number } = value;
        Self { run, number }
    }
}

impl From<EventNumber> for model::EventNumber {
    fn from(value: EventNumber) -> Self {
        let EventNumber { run, number } = value;
        Self { run, number }
    }
}

impl From<&model::PodReport> for PodReport {
    fn from(value: &model::PodReport) -> Self {
        let model::PodReport {
            phase,
            init_containers,
            containers,
            address,
            ready,
            connections,
            milestones,
            drift,
            pause,
        } = value;
        Self {
            phase: (*phase).into(),
            init_containers: init_containers.iter().map(ContainerStatus::from).collect(),
            containers: containers.iter().map(ContainerStatus::from).collect(),
            address: address.map(|address| address.to_string()),
            ready: *ready,
            connections: *connections,
            milestones: (*milestones).into(),
            drift: drift.clone(),
            pause: pause.map(Pause::from),
        }
    }
}

impl TryFrom<PodReport> for model::PodReport {
    type Error = WireError;

    fn try_from(value: PodReport) -> Result<Self, WireError> {
        let PodReport {
            phase,
            init_containers,
            containers,
            address,
            ready,
            connections,
            milestones,
            drift,
            pause,
        } = value;
        Ok(Self {
            phase: phase.into(),
            init_containers: statuses_from_wire(init_containers)?,
            containers: statuses_from_wire(containers)?,
            address: address.map(|text| parse_address("pod address", &text)).transpose()?,
            ready,
            connections,
            milestones: milestones.into(),
            drift,
            pause: pause.map(Into::into),
        })
    }
}

impl From<model::PodMilestones> for PodMilestones {
    fn from(value: model::PodMilestones) -> Self {
        let model::PodMilestones {
            accepted_at,
            pulled_at,
            created_at,
            started_at,
            ready_at,
            stopped_at,
        } = value;
        let out = |moment: Option<Timestamp>| moment.map(Timestamp::as_micros);
        Self {
            accepted_at: out(accepted_at),
            pulled_at: out(pulled_at),
            created_at: out(created_at),
            started_at: out(started_at),
            ready_at: out(ready_at),
            stopped_at: out(stopped_at),
        }
    }
}

impl From<PodMilestones> for model::PodMilestones {
    fn from(value: PodMilestones) -> Self {
        let PodMilestones { accepted_at, pulled_at, created_at, started_at, ready_at, stopped_at } =
            value;
        let back = |moment: Option<i64>| moment.map(Timestamp::from_micros);
        Self {
            accepted_at: back(accepted_at),
            pulled_at: back(pulled_at),
            created_at: back(created_at),
            started_at: back(started_at),
            ready_at: back(ready_at),
            stopped_at: back(stopped_at),
        }
    }
}

impl From<model::PodPhase> for PodPhase {
    fn from(value: model::PodPhase) -> Self {
        match value {
            model::PodPhase::Pending => PodPhase::Pending,
            model::PodPhase::Running => PodPhase::Running,
            model::PodPhase::Succeeded => PodPhase::Succeeded,
            model::PodPhase::Failed => PodPhase::Failed,
            model::PodPhase::Gone => PodPhase::Gone,
        }
    }
}

impl From<PodPhase> for model::PodPhase {
    fn from(value: PodPhase) -> Self {
        match value {
            PodPhase::Pending => model::PodPhase::Pending,
            PodPhase::Running => model::PodPhase::Running,
            PodPhase::Succeeded => model::PodPhase::Succeeded,
            PodPhase::Failed => model::PodPhase::Failed,
            PodPhase::Gone => model::PodPhase::Gone,
        }
    }
}

impl From<&model::ContainerStatus> for ContainerStatus {
    fn from(value: &model::ContainerStatus) -> Self {
        let model::ContainerStatus {
            name,
            state,
            ready,
            restarts,
            container_id,
            image_id,
            image_digest,
            last_exit,
        } = value;
        Self {
            name: name.clone(),
            state: state.into(),
            ready: *ready,
            restarts: *restarts,
            container_id: container_id.clone(),
            image_id: image_id.clone(),
            image_digest: digest_text(image_digest.as_ref()),
            last_exit: last_exit.as_ref().map(ContainerExit::from),
        }
    }
}

fn statuses_from_wire(
    values: Vec<ContainerStatus>,
) -> Result<Vec<model::ContainerStatus>, WireError> {
    values.into_iter().map(TryInto::try_into).collect()
}

impl TryFrom<ContainerStatus> for model::ContainerStatus {
    type Error = WireError;

    fn try_from(value: ContainerStatus) -> Result<Self, WireError> {
        let ContainerStatus {
            name,
            state,
            ready,
            restarts,
            container_id,
            image_id,
            image_digest,
            last_exit,
        } = value;
        Ok(Self {
            name,
            state: state.into(),
            ready,
            restarts,
            container_id,
            image_id,
            image_digest: parse_digest("digest of a container's image", image_digest)?,
            last_exit: last_exit.map(Into::into),
        })
    }
}

impl From<&model::ContainerState> for ContainerState {
    fn from(value: &model::ContainerState) -> Self {
        match value {
            model::ContainerState::Waiting { reason, message } => {
                Self::Waiting { reason: (*reason).into(), message: message.clone() }
            }
            model::ContainerState::Running { started_at } => {
                Self::Running { started_at: started_at.as_micros() }
            }
            model::ContainerState::Terminated(exit) => Self::Terminated(exit.into()),
        }
    }
}

impl From<ContainerState> for model::ContainerState {
    fn from(value: ContainerState) -> Self {
        match value {
            ContainerState::Waiting { reason, message } => {
                Self::Waiting { reason: reason.into(), message }
            }
            ContainerState::Running { started_at } => {
                Self::Running { started_at: Timestamp::from_micros(started_at) }
            }
            ContainerState::Terminated(exit) => Self::Terminated(exit.into()),
        }
    }
}

impl From<&model::ContainerExit> for ContainerExit {
    fn from(value: &model::ContainerExit) -> Self {
        let model::ContainerExit { exit_code, oom_killed, finished_at } = value;
        Self {
            exit_code: *exit_code,
            oom_killed: *oom_killed,
            finished_at: finished_at.as_micros(),
        }
    }
}

impl From<ContainerExit> for model::ContainerExit {
    fn from(value: ContainerExit) -> Self {
        let ContainerExit { exit_code, oom_killed, finished_at } = value;
        Self { exit_code, oom_killed, finished_at: Timestamp::from_micros(finished_at) }
    }
}

impl From<model::WaitingReason> for WaitingReason {
    fn from(value: model::WaitingReason) -> Self {
        match value {
            model::WaitingReason::ContainerCreating => Self::ContainerCreating,
            model::WaitingReason::PodInitializing => Self::PodInitializing,
            model::WaitingReason::Pulling => Self::Pulling,
            model::WaitingReason::ErrImagePull => Self::ErrImagePull,
            model::WaitingReason::ErrImageNeverPull => Self::ErrImageNeverPull,
            model::WaitingReason::CrashLoopBackOff => Self::CrashLoopBackOff,
            model::WaitingReason::CreateContainerError => Self::CreateContainerError,
            model::WaitingReason::CreateContainerConfigError => Self::CreateContainerConfigError,
            model::WaitingReason::EngineUnavailable => Self::EngineUnavailable,
        }
    }
}

impl From<WaitingReason> for model::WaitingReason {
    fn from(value: WaitingReason) -> Self {
        match value {
            WaitingReason::ContainerCreating => Self::ContainerCreating,
            WaitingReason::PodInitializing => Self::PodInitializing,
            WaitingReason::Pulling => Self::Pulling,
            WaitingReason::ErrImagePull => Self::ErrImagePull,
            WaitingReason::ErrImageNeverPull => Self::ErrImageNeverPull,
            WaitingReason::CrashLoopBackOff => Self::CrashLoopBackOff,
            WaitingReason::CreateContainerError => Self::CreateContainerError,
            WaitingReason::CreateContainerConfigError => Self::CreateContainerConfigError,
            WaitingReason::EngineUnavailable => Self::EngineUnavailable,
            // It is on its way, and its message says why it is not there yet.
            WaitingReason::Unknown => Self::ContainerCreating,
        }
    }
}

impl From<&model::Event> for Event {
    fn from(value: &model::Event) -> Self {
        let model::Event { at, event_type, kind, namespace, name, reason, message } = value;
        Self {
            at: at.as_micros(),
            event_type: match event_type {
                model::EventType::Normal => EventType::Normal,
                model::EventType::Warning => EventType::Warning,
            },
            kind: kind.clone(),
            namespace: namespace.as_str().to_owned(),
            name: name.clone(),
            reason: reason.clone(),
            message: message.clone(),
        }
    }
}

impl From<Event> for model::Event {
    fn from(value: Event) -> Self {
        let Event { at, event_type, kind, namespace, name, reason, message } = value;
        Self {
            at: Timestamp::from_micros(at),
            event_type: match event_type {
                EventType::Normal => model::EventType::Normal,
                EventType::Warning => model::EventType::Warning,
            },
            kind,
            namespace: model::NamespaceName::new(namespace),
            name,
            reason,
            message,
        }
    }
}
