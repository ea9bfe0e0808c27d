//! The agent protocol: what a node and the control plane say to each other, as serialised types.
//!
//! HTTP/1.1 with JSON bodies. The agent makes every request, so a node needs no open port. Each
//! request carries `Authorization: Bearer <join token>` and [`PROTOCOL_HEADER`].
//!
//! | request | answer |
//! |---|---|
//! | `POST` [`paths::register`] [`Registration`] | 200 [`Registered`]; 401 wrong token; 409 the name is taken by another live instance; 426 another protocol version |
//! | `GET` [`paths::assignment`] | 200 [`Assignment`] as soon as its generation differs from `held`; 204 when the wait ended; 404 unknown node: register again |
//! | `POST` [`paths::report`] [`Report`] | 204; 404 unknown node: register again |
//! | `GET` [`paths::streams`] | 200 [`StreamRequest`]; 204 when the wait ended |
//! | `POST` [`paths::stream`] bytes | 204; 404 nobody waits for it any more |
//! | `GET` [`paths::session`] upgrade | 101 a WebSocket with the messages of [`ClientMessage`] and [`NodeMessage`]; 404 nobody waits for it any more |
//!
//! An error answer has an [`ErrorBody`]. The types here are only the serialised form; each has one
//! explicit conversion from the model and one back, which name every field, so that no field can be
//! forgotten. Unknown fields are ignored when read: a field may be added within a version as long as
//! an older reader does right without it; anything else needs a new [`PROTOCOL_VERSION`].

mod assignment;
mod error;
mod image_report;
mod lifecycle;
mod names;
pub mod paths;
mod probe;
mod pull_secret;
mod remote_command;
mod report;
mod security;
mod session;
mod storage;
mod stream;
mod template;
mod volume;

pub use assignment::{
    AssignedPin, AssignedPod, AssignedService, AssignedServicePort, Assignment, Drift, Endpoint,
    EndpointPlace, PodOrder, Protocol,
};
pub use error::WireError;
pub use lifecycle::{ContainerLifecycle, LifecycleHandler};
pub use names::parse_node_name;
pub use probe::{Header, HttpGetAction, HttpScheme, PortRef, Probe, ProbeAction};
pub use pull_secret::{AssignedPullSecret, PullSecretFormat};
pub use remote_command::{
    ArchiveAction, ArchiveRequest, ClientMessage, ExecRequest, MAX_SESSION_MESSAGE_BYTES,
    MessageError, NodeMessage, Owner, PathKind, PathStatus, SESSION_CHUNK_BYTES,
    SESSION_SUBPROTOCOL, SessionEnd, SessionKind, SessionRequest, SessionStreams, TerminalSize,
};
pub use report::{
    ContainerExit, ContainerState, ContainerStatus, Event, EventNumber, EventType, Pause,
    PodMilestones, PodPhase, PodReport, Report, WaitingReason,
};
pub use security::{
    Capabilities, ContainerSecurity, Escalation, GroupChange, HostAlias, Input, NamespaceOwner,
    Output, PodNames, PodSecurity, Privilege, Processes, Profile, RootUser, Streams, Sysctl,
    VolumeGroup,
};
pub use session::{AssignmentQuery, ErrorBody, Registered, Registration, Resources, StreamsQuery};
pub use storage::{AssignedClaim, ClaimName, ClaimPlace, ClaimVolume};
pub use stream::{LogsRequest, StreamKind, StreamQuery, StreamRequest, StreamStatus};
pub use template::{
    Container, ContainerPort, ContainerResources, EnvContent, EnvValue, NodeResource,
    NodeResourceKind, PodField, PullPolicy, RestartPolicy, Template,
};
pub use volume::{
    EmptyDir, FileContent, HostPathType, MountAccess, MountPropagation, SubPath, Volume,
    VolumeFile, VolumeMount, VolumeSource,
};

/// The header that carries the protocol's version on every request.
pub const PROTOCOL_HEADER: &str = "dugout-protocol";
/// The version that this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;
/// [`PROTOCOL_VERSION`] as the header's value.
pub const PROTOCOL_VERSION_TEXT: &str = "1";

/// Which fields of an assignment this crate knows: it grows with each that is added. A reader drops what it
/// does not know, so what one of another revision kept is not the whole assignment.
pub const ASSIGNMENT_REVISION: u32 = 5;

/// The largest body of a registration that a server reads.
pub const MAX_REGISTRATION_BYTES: usize = 64 * 1024;
/// The largest body of a report that a server reads: some thousands of pods.
pub const MAX_REPORT_BYTES: usize = 8 * 1024 * 1024;
/// The largest assignment that an agent reads.
pub const MAX_ASSIGNMENT_BYTES: usize = 64 * 1024 * 1024;
/// The longest that a long-poll may wait.
pub const MAX_WAIT_MS: u64 = 60_000;
/// The most events in one report. The agent keeps what does not fit for the next one.
pub const MAX_REPORT_EVENTS: usize = 256;
