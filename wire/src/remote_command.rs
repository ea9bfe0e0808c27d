//! Remote commands: a session with a container (a command in it, or its own process), and how its bytes
//! are framed.
//!
//! The framing is that of Kubernetes' subprotocol `v5.channel.k8s.io`, from the client to the node and
//! back: each binary message of a WebSocket begins with the number of its channel. So the control plane
//! passes messages on unread, and Kubernetes' own clients understand what an agent says.

use dugout_model as model;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// The framing, as a WebSocket names it.
pub const SESSION_SUBPROTOCOL: &str = "v5.channel.k8s.io";
/// The largest message of a session that is read.
pub const MAX_SESSION_MESSAGE_BYTES: usize = 1024 * 1024;
/// The largest content that our own programs put into one message.
pub const SESSION_CHUNK_BYTES: usize = 32 * 1024;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// What follows is the number of a channel that its writer has closed.
const CLOSE: u8 = 255;

/// Somebody wants to talk with a container. The agent takes it up with an upgrade of
/// [`crate::paths::session`], or refuses it as it refuses a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionRequest {
    pub pod: Uuid,
    pub container: String,
    pub kind: SessionKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SessionKind {
    /// A command beside what runs in the container.
    Exec(ExecRequest),
    /// The container's own process.
    Attach(SessionStreams),
    /// Its files.
    Archive(ArchiveRequest),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecRequest {
    /// The program and its arguments; not empty.
    pub command: Vec<String>,
    pub streams: SessionStreams,
}

/// Which of a process's streams are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStreams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// One terminal instead of three streams; what it shows comes as standard output.
    pub tty: bool,
}

/// What is done with a container's files. An archive (tar) comes on standard output or goes on standard
/// input, and is whole only when the end of that was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveRequest {
    pub action: ArchiveAction,
    /// Begins in the container's working directory when it is relative.
    pub path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ArchiveAction {
    /// Tells on standard output what is there: a [`PathStatus`].
    Look,
    /// The file or folder, under its last name.
    Read,
    /// Unpacks into the folder.
    Write,
}

/// What there is at a path in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathStatus {
    /// The path in full.
    pub path: String,
    pub kind: PathKind,
    /// Where it leads, if it is a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_target: Option<String>,
    /// Whose a file is to be that is brought there.
    pub owner: Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathKind {
    Absent,
    Folder,
    /// Or anything else that is no folder.
    File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub uid: u64,
    pub gid: u64,
}

impl SessionRequest {
    pub fn pod_uid(&self) -> model::PodUid {
        model::PodUid(self.pod)
    }
}

/// How large a terminal is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminalSize {
    pub width: u16,
    pub height: u16,
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    Stdin(&'a [u8]),
    /// Nothing more comes on standard input.
    EndOfStdin,
    Resize(TerminalSize),
}

/// What a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeMessage<'a> {
    /// Without a byte it only says that the session lives.
    Stdout(&'a [u8]),
    Stderr(&'a [u8]),
    /// The last message.
    End(SessionEnd),
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// What ran ended with this code; 0 is success.
    Exited(i64),
    /// It could not be carried to its end; a sentence for a person.
    Failed(String),
}

/// A message that is none of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    #[error("a message without a channel")]
    Empty,
    #[error("a message on channel {0}, where none is expected")]
    Channel(u8),
    #[error("the content of a message on channel {0} is not understood")]
    Content(u8),
}

impl<'a> ClientMessage<'a> {
    pub fn parse(message: &'a [u8]) -> Result<Self, MessageError> {
        let (channel, content) = message.split_first().ok_or(MessageError::Empty)?;
        match *channel {
            STDIN => Ok(Self::Stdin(content)),
            RESIZE => serde_json::from_slice(content)
                .map(Self::Resize)
                .map_err(|_| MessageError::Content(RESIZE)),
            CLOSE if content == [STDIN] => Ok(Self::EndOfStdin),
            CLOSE => Err(MessageError::Content(CLOSE)),
            other => Err(MessageError::Channel(other)),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Stdin(content) => framed(STDIN, content),
            Self::EndOfStdin => vec![CLOSE, STDIN],
            // A size is plain data, which JSON always has a form for.
            Self::Resize(size) => framed(RESIZE, &serde_json::to_vec(size).unwrap_or_default()),
        }
    }
}

impl<'a> NodeMessage<'a> {
    pub fn parse(message: &'a [u8]) -> Result<Self, MessageError> {
        let (channel, content) = message.split_first().ok_or(MessageError::Empty)?;
        match *channel {
            STDOUT => Ok(Self::Stdout(content)),
            STDERR => Ok(Self::Stderr(content)),
            ERROR => serde_json::from_slice::<Status>(content)
                .map(|status| Self::End(status.into()))
                .map_err(|_| MessageError::Content(ERROR)),
            other => Err(MessageError::Channel(other)),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Stdout(content) => framed(STDOUT, content),
            Self::Stderr(content) => framed(STDERR, content),
            Self::End(end) => {
                framed(ERROR, &serde_json::to_vec(&Status::from(end)).unwrap_or_default())
            }
        }
    }
}

fn framed(channel: u8, content: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(content.len() + 1);
    message.push(channel);
    message.extend_from_slice(content);
    message
}

/// The end of a session in the form of Kubernetes' `Status`.
#[derive(Serialize, Deserialize)]
struct Status {
    #[serde(default)]
    metadata: Metadata,
    status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Default, Serialize, Deserialize)]
struct Metadata {}

#[derive(Serialize, Deserialize)]
struct Details {
    #[serde(default)]
    causes: Vec<Cause>,
}

#[derive(Serialize, Deserialize)]
struct Cause {
    reason: String,
    message: String,
}

const SUCCESS: &str = "Success";
const FAILURE: &str = "Failure";
const NON_ZERO: &str = "NonZeroExitCode";
const EXIT_CODE: &str = "ExitCode";

impl From<&SessionEnd> for Status {
    fn from(end: &SessionEnd) -> Self {
        let text = |text: &str| text.to_owned();
        let (status, message, reason, details) = match end {
            SessionEnd::Exited(0) => (text(SUCCESS), String::new(), String::new(), None),
            SessionEnd::Exited(code) => {
                let cause = Cause { reason: text(EXIT_CODE), message: code.to_string() };
                let message = format!("command terminated with non-zero exit code: {code}");
                (text(FAILURE), message, text(NON_ZERO), Some(Details { causes: vec![cause] }))
            }
            SessionEnd::Failed(sentence) => {
                (text(FAILURE), sentence.clone(), text("InternalError"), None)
            }
        };
        Self { metadata: Metadata {}, status, message, reason, details }
    }
}

impl From<Status> for SessionEnd {
    fn from(status: Status) -> Self {
        if status.status == SUCCESS {
            return Self::Exited(0);
        }
        let causes = status.details.map(|details| details.causes).unwrap_or_default();
        let code = causes.iter().find(|cause| cause.reason == EXIT_CODE);
        match code.and_then(|cause| cause.message.parse().ok()) {
            Some(code) if status.reason == NON_ZERO => Self::Exited(code),
            _ => Self::Failed(status.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_framed_as_kubernetes_does() {
        let size = TerminalSize { width: 80, height: 24 };
        for (message, bytes) in [
            (ClientMessage::Stdin(b"ls\n"), &b"\x00ls\n"[..]),
            (ClientMessage::Stdin(b""), b"\x00"),
            (ClientMessage::EndOfStdin, b"\xff\x00"),
            (ClientMessage::Resize(size), b"\x04{\"Width\":80,\"Height\":24}"),
        ] {
            assert_eq!(message.to_bytes(), bytes);
            assert_eq!(ClientMessage::parse(bytes), Ok(message));
        }
    }

    #[test]
    fn what_a_node_says_is_framed_as_kubernetes_does() {
        let code = b"\x03{\"metadata\":{},\"status\":\"Failure\",\
            \"message\":\"command terminated with non-zero exit code: 3\",\
            \"reason\":\"NonZeroExitCode\",\
            \"details\":{\"causes\":[{\"reason\":\"ExitCode\",\"message\":\"3\"}]}}";
        let failed = b"\x03{\"metadata\":{},\"status\":\"Failure\",\"message\":\"no\",\"reason\":\"InternalError\"}";
        for (message, bytes) in [
            (NodeMessage::Stdout(b"out"), &b"\x01out"[..]),
            (NodeMessage::Stderr(b"err"), b"\x02err"),
            (
                NodeMessage::End(SessionEnd::Exited(0)),
                b"\x03{\"metadata\":{},\"status\":\"Success\"}",
            ),
            (NodeMessage::End(SessionEnd::Exited(3)), code),
            (NodeMessage::End(SessionEnd::Failed("no".into())), failed),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&message.to_bytes()),
                String::from_utf8_lossy(bytes)
            );
            assert_eq!(NodeMessage::parse(bytes), Ok(message));
        }
    }

    #[test]
    fn what_is_none_of_the_protocol_is_refused() {
        for (bytes, error) in [
            (&b""[..], MessageError::Empty),
            (b"\x01x", MessageError::Channel(1)),
            (b"\x04wide", MessageError::Content(4)),
            (b"\xff", MessageError::Content(255)),
            (b"\xff\x01", MessageError::Content(255)),
        ] {
            assert_eq!(ClientMessage::parse(bytes), Err(error));
        }
        for (bytes, error) in [
            (&b""[..], MessageError::Empty),
            (b"\x00x", MessageError::Channel(0)),
            (b"\x03{}", MessageError::Content(3)),
        ] {
            assert_eq!(NodeMessage::parse(bytes), Err(error));
        }
    }

    #[test]
    fn a_failure_without_a_code_is_no_exit() {
        let parse =
            |text: &str| NodeMessage::parse(text.as_bytes()).map(|message| message.to_bytes());
        let lost =
            "\u{3}{\"status\":\"Failure\",\"message\":\"lost\",\"reason\":\"NonZeroExitCode\"}";
        assert_eq!(parse(lost), Ok(NodeMessage::End(SessionEnd::Failed("lost".into())).to_bytes()));
    }
}
