//! What a process writes, told apart: standard output and error come over one connection.

use bytes::{Buf as _, Bytes, BytesMut};
use dugout_wire as wire;
use thiserror::Error;

/// The head of each piece: its stream, three zeros, its length.
const HEAD_BYTES: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Stdout(Bytes),
    Stderr(Bytes),
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the container engine sent a piece of output of an unknown kind ({0})")]
pub(super) struct UnknownKind(u8);

/// Reads the bytes of a connection.
pub(super) enum Reader {
    /// A terminal's come as they are.
    Terminal,
    /// Of a piece that has begun: its stream, and how much of it is to come.
    Streams { stream: u8, left: usize },
}

impl Reader {
    pub fn new(streams: wire::SessionStreams) -> Self {
        match streams.tty {
            true => Self::Terminal,
            false => Self::Streams { stream: 1, left: 0 },
        }
    }

    /// Takes the next output out of what has come; none when more must come first.
    pub fn next(&mut self, come: &mut BytesMut) -> Result<Option<Output>, UnknownKind> {
        loop {
            match self {
                _ if come.is_empty() => return Ok(None),
                Self::Terminal => return Ok(Some(Output::Stdout(come.split().freeze()))),
                Self::Streams { left: 0, .. } if come.len() < HEAD_BYTES => return Ok(None),
                Self::Streams { stream, left: left @ 0 } => {
                    *stream = come[0];
                    come.advance(4);
                    *left = usize::try_from(come.get_u32()).unwrap_or(usize::MAX);
                }
                Self::Streams { stream, left } => {
                    let piece = come.split_to(come.len().min(*left)).freeze();
                    *left -= piece.len();
                    return match *stream {
                        // An engine repeats on 0 what came in, and says on 3 what went wrong.
                        0 | 1 => Ok(Some(Output::Stdout(piece))),
                        2 | 3 => Ok(Some(Output::Stderr(piece))),
                        other => Err(UnknownKind(other)),
                    };
                }
            }
        }
    }
}

impl Output {
    /// As it is sent.
    pub fn to_message(&self) -> Bytes {
        match self {
            Self::Stdout(bytes) => wire::NodeMessage::Stdout(bytes).to_bytes().into(),
            Self::Stderr(bytes) => wire::NodeMessage::Stderr(bytes).to_bytes().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: wire::SessionStreams =
        wire::SessionStreams { stdin: false, stdout: true, stderr: true, tty: false };

    /// Everything that is read, with the bytes coming so many at a time.
    fn read(streams: wire::SessionStreams, bytes: &[u8], at_once: usize) -> (Vec<u8>, Vec<u8>) {
        let mut reader = Reader::new(streams);
        let (mut out, mut err) = (vec![], vec![]);
        let mut come = BytesMut::new();
        for piece in bytes.chunks(at_once) {
            come.extend_from_slice(piece);
            while let Some(output) = reader.next(&mut come).unwrap() {
                match output {
                    Output::Stdout(bytes) => out.extend_from_slice(&bytes),
                    Output::Stderr(bytes) => err.extend_from_slice(&bytes),
                }
            }
        }
        assert!(come.is_empty());
        (out, err)
    }

    #[test]
    fn streams_are_told_apart_however_the_bytes_come() {
        let bytes =
            b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\x02no\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x01!";
        for at_once in 1..=bytes.len() {
            assert_eq!(read(STREAMS, bytes, at_once), (b"one!".to_vec(), b"no".to_vec()));
        }
    }

    #[test]
    fn a_terminals_bytes_are_never_taken_for_a_head() {
        let bytes = b"\x01\x02\x00$ ";
        let terminal = wire::SessionStreams { tty: true, ..STREAMS };
        assert_eq!(read(terminal, bytes, 1), (bytes.to_vec(), vec![]));
        assert_eq!(read(terminal, bytes, 5), (bytes.to_vec(), vec![]));
    }

    #[test]
    fn an_unknown_kind_is_an_error() {
        let mut come = BytesMut::from(&b"\x09\0\0\0\0\0\0\x01x"[..]);
        assert_eq!(Reader::new(STREAMS).next(&mut come), Err(UnknownKind(9)));
    }
}
