//! The front door of Dugout: Kubernetes-shaped reads and runtime operations over HTTP.
//!
//! Git is the only place where desired state changes, so nothing here writes it: a write to an
//! object is refused with a sentence that says what to commit. Conversions to Kubernetes' types are
//! pure functions of the world; what the front door needs from the rest of the control plane is one
//! trait, [`Backend`].

mod accept;
mod access;
mod age;
mod backend;
mod columns;
mod convert;
mod discovery;
pub mod dugout;
mod eviction;
mod failure;
mod item;
mod limits;
mod logs;
mod operations;
mod plan;
mod query;
mod read;
mod refusal;
mod resource;
mod routes;
mod selector;
mod sessions;
mod table;
mod target;

pub use access::{Access, AccessError, MINIMUM_TOKEN_BYTES};
pub use age::age;
pub use backend::{
    ArchiveAction, Backend, BackendError, ByteStream, Call, JoinToken, Leading, LogsRequest,
    NewJoinToken, RollbackDone, RollbackOnBranch, RollbackRequest, Session, SessionKind,
    SessionRequest, SessionStreams,
};
pub use convert::{Object, View};
pub use failure::{Failure, Reason};
pub use limits::Limits;
pub use read::HISTORY_LIMIT;
pub use resource::{Description, Group, Resource};
pub use routes::router;
pub use selector::{FieldQuery, LabelQuery, SelectorError};
pub use table::{Column, Row, Table};
