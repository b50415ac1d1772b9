//! What is said about a command in a container, or of one, between whoever asks for it and the node that has the container.
//!
//! Frames in both directions: four bytes of length (big-endian), a byte that says what it is, and the rest. They are
//! the same on the API's connection (`Upgrade: kontena-exec`, *ours*) and on a stream between nodes, so that a node
//! in between hands bytes on without reading them. Streams are carried byte for byte; a frame has [`MAX_FRAME`] bytes
//! at most, and whoever hears nothing for [`SILENCE`] takes the other side for gone.

use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Encoder, Framed, LengthDelimitedCodec};

/// The name of the protocol that a connection is handed over to.
pub(crate) const EXEC: &str = "kontena-exec";

/// The longest frame; a command line may be that long.
pub(crate) const MAX_FRAME: usize = 256 * 1024;

/// Both sides say that they are there so often.
pub(crate) const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// What is this long without a word is gone.
pub(crate) const SILENCE: Duration = Duration::from_secs(20);

/// The command that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The program, as the container finds it, and its arguments.
    pub(crate) command: Vec<String>,
    /// Give the words to `/bin/sh -c`, with blanks between them.
    #[serde(default)]
    pub(crate) shell: bool,
    #[serde(default)]
    pub(crate) tty: bool,
    /// Whether there will be any input.
    #[serde(default)]
    pub(crate) stdin: bool,
    /// Of the terminal of whoever asks.
    #[serde(default)]
    pub(crate) size: Option<Size>,
    /// `NAME=VALUE`, in place of what the container has.
    #[serde(default)]
    pub(crate) environment: Vec<String>,
}

impl Start {
    /// Whether it does not fit into a frame.
    pub(crate) fn is_too_long(&self) -> bool {
        let length = serde_json::to_vec(self).map_or(usize::MAX, |text| text.len());
        length >= MAX_FRAME
    }
}

/// Of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// What whoever asks says. The first word is [`Said::Start`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Start(Start),
    Input(Bytes),
    InputEnds,
    Resize(Size),
    Alive,
}

/// What is heard of the command. The last word is [`Heard::Ended`] or [`Heard::Failed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Output(Bytes),
    Errors(Bytes),
    /// With this exit code.
    Ended(i64),
    /// It could not be started, or nobody knows how it ended.
    Failed(Failed, String),
    /// What is done for a one-off container before its command writes.
    News(News),
    Alive,
}

/// How far a one-off container has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum News {
    /// So many hundredths of its image are on the node.
    Pulls(u8),
    Runs {
        /// By its name.
        node: String,
        container: String,
    },
}

/// Why there is no exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Somebody who has to be asked does not answer, or broke off.
    Lost,
    /// The command is wrong, whenever it is asked for.
    Wrong,
    /// It is right, but cannot be now: its container is gone, or does not run.
    NotNow,
    /// The node has too much to do, or stops.
    Busy,
}

/// Something that travels in a frame.
pub(crate) trait Frame: Sized {
    fn kind(&self) -> u8;
    fn payload(self) -> io::Result<Bytes>;
    /// # Errors
    /// Nobody of this version says that.
    fn read(kind: u8, payload: Bytes) -> io::Result<Self>;
}

/// The side that asks.
pub(crate) fn asking<T: AsyncRead + AsyncWrite>(io: T) -> Framed<T, Frames<Heard, Said>> {
    Framed::new(io, Frames::new())
}

/// The side that has the container.
pub(crate) fn answering<T: AsyncRead + AsyncWrite>(io: T) -> Framed<T, Frames<Said, Heard>> {
    Framed::new(io, Frames::new())
}

/// Reads frames of the one kind and writes those of the other.
#[derive(Debug)]
pub(crate) struct Frames<In, Out> {
    lengths: LengthDelimitedCodec,
    kinds: PhantomData<fn(Out) -> In>,
}

impl<In, Out> Frames<In, Out> {
    fn new() -> Self {
        let mut lengths = LengthDelimitedCodec::new();
        lengths.set_max_frame_length(MAX_FRAME);
        Self {
            lengths,
            kinds: PhantomData,
        }
    }
}

impl<In: Frame, Out> Decoder for Frames<In, Out> {
    type Item = In;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<In>> {
        let Some(mut frame) = self.lengths.decode(bytes)? else {
            return Ok(None);
        };
        if frame.is_empty() {
            return Err(io::Error::other("a frame is empty"));
        }
        let payload = frame.split_off(1).freeze();
        In::read(frame[0], payload).map(Some)
    }
}

impl<In, Out: Frame> Encoder<Out> for Frames<In, Out> {
    type Error = io::Error;

    fn encode(&mut self, word: Out, bytes: &mut BytesMut) -> io::Result<()> {
        let kind = word.kind();
        let payload = word.payload()?;
        let mut frame = BytesMut::with_capacity(payload.len() + 1);
        frame.put_u8(kind);
        frame.put(payload);
        self.lengths.encode(frame.freeze(), bytes)
    }
}

const ALIVE: u8 = 0;
const START: u8 = 1;
const INPUT: u8 = 2;
const INPUT_ENDS: u8 = 3;
const RESIZE: u8 = 4;

impl Frame for Said {
    fn kind(&self) -> u8 {
        match self {
            Self::Start(_) => START,
            Self::Input(_) => INPUT,
            Self::InputEnds => INPUT_ENDS,
            Self::Resize(_) => RESIZE,
            Self::Alive => ALIVE,
        }
    }

    fn payload(self) -> io::Result<Bytes> {
        match self {
            Self::Start(start) => Ok(serde_json::to_vec(&start)?.into()),
            Self::Input(bytes) => Ok(bytes),
            Self::Resize(size) => Ok(serde_json::to_vec(&size)?.into()),
            Self::InputEnds | Self::Alive => Ok(Bytes::new()),
        }
    }

    fn read(kind: u8, payload: Bytes) -> io::Result<Self> {
        Ok(match kind {
            START => Self::Start(serde_json::from_slice(&payload)?),
            INPUT => Self::Input(payload),
            INPUT_ENDS => Self::InputEnds,
            RESIZE => Self::Resize(serde_json::from_slice(&payload)?),
            ALIVE => Self::Alive,
            other => return Err(unknown(other)),
        })
    }
}

const OUTPUT: u8 = 1;
const ERRORS: u8 = 2;
const ENDED: u8 = 3;
const FAILED: u8 = 4;
const WRONG: u8 = 5;
const NOT_NOW: u8 = 6;
const BUSY: u8 = 7;
const NEWS: u8 = 8;

impl Frame for Heard {
    fn kind(&self) -> u8 {
        match self {
            Self::Output(_) => OUTPUT,
            Self::Errors(_) => ERRORS,
            Self::Ended(_) => ENDED,
            Self::Failed(Failed::Lost, _) => FAILED,
            Self::Failed(Failed::Wrong, _) => WRONG,
            Self::Failed(Failed::NotNow, _) => NOT_NOW,
            Self::Failed(Failed::Busy, _) => BUSY,
            Self::News(_) => NEWS,
            Self::Alive => ALIVE,
        }
    }

    fn payload(self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Output(bytes) | Self::Errors(bytes) => bytes,
            Self::Ended(code) => Bytes::copy_from_slice(&code.to_be_bytes()),
            Self::Failed(_, problem) => Bytes::from(problem),
            Self::News(news) => serde_json::to_vec(&news)?.into(),
            Self::Alive => Bytes::new(),
        })
    }

    fn read(kind: u8, payload: Bytes) -> io::Result<Self> {
        Ok(match kind {
            OUTPUT => Self::Output(payload),
            ERRORS => Self::Errors(payload),
            ENDED => {
                let code = <[u8; 8]>::try_from(payload.as_ref()).map_err(io::Error::other)?;
                Self::Ended(i64::from_be_bytes(code))
            }
            FAILED => failed(Failed::Lost, &payload),
            WRONG => failed(Failed::Wrong, &payload),
            NOT_NOW => failed(Failed::NotNow, &payload),
            BUSY => failed(Failed::Busy, &payload),
            NEWS => Self::News(serde_json::from_slice(&payload)?),
            ALIVE => Self::Alive,
            other => return Err(unknown(other)),
        })
    }
}

fn failed(kind: Failed, problem: &[u8]) -> Heard {
    Heard::Failed(kind, String::from_utf8_lossy(problem).into_owned())
}

fn unknown(kind: u8) -> io::Error {
    io::Error::other(format!("a frame of kind {kind} is not known here"))
}

#[cfg(test)]
mod tests {
    use futures::{SinkExt, StreamExt};
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
    }

    fn said() -> impl Strategy<Value = Said> {
        let size = || (any::<u16>(), any::<u16>());
        let size = move || size().prop_map(|(width, height)| Size { width, height });
        let start = (
            prop::collection::vec(".{0,20}", 0..4),
            any::<[bool; 3]>(),
            prop::option::of(size()),
            prop::collection::vec(".{0,20}", 0..3),
        );
        let start = start.prop_map(|(command, [shell, tty, stdin], size, environment)| Start {
            command,
            shell,
            tty,
            stdin,
            size,
            environment,
        });
        prop_oneof![
            start.prop_map(Said::Start),
            bytes().prop_map(Said::Input),
            Just(Said::InputEnds),
            size().prop_map(Said::Resize),
            Just(Said::Alive),
        ]
    }

    fn failed() -> impl Strategy<Value = Failed> {
        prop_oneof![
            Just(Failed::Lost),
            Just(Failed::Wrong),
            Just(Failed::NotNow),
            Just(Failed::Busy),
        ]
    }

    fn news() -> impl Strategy<Value = News> {
        prop_oneof![
            any::<u8>().prop_map(News::Pulls),
            (".{0,20}", ".{0,20}").prop_map(|(node, container)| News::Runs { node, container }),
        ]
    }

    fn heard() -> impl Strategy<Value = Heard> {
        prop_oneof![
            news().prop_map(Heard::News),
            bytes().prop_map(Heard::Output),
            bytes().prop_map(Heard::Errors),
            any::<i64>().prop_map(Heard::Ended),
            (failed(), ".{0,60}").prop_map(|(kind, problem)| Heard::Failed(kind, problem)),
            Just(Heard::Alive),
        ]
    }

    fn wait<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(work)
    }

    proptest! {
        #[test]
        fn what_is_said_in_pieces_of_any_size_is_heard_as_it_was_said(
            said in prop::collection::vec(said(), 0..8),
            heard in prop::collection::vec(heard(), 0..8),
            pipe in 1_usize..64,
        ) {
            wait(async {
                let (near, far) = tokio::io::duplex(pipe);
                let (mut to_far, mut from_far) = asking(near).split();
                let (mut to_near, mut from_near) = answering(far).split();
                let speak = async {
                    for word in &said {
                        to_far.send(word.clone()).await.unwrap();
                    }
                };
                let answer = async {
                    for word in &heard {
                        to_near.send(word.clone()).await.unwrap();
                    }
                };
                let listen = async {
                    for word in &said {
                        assert_eq!(from_near.next().await.unwrap().unwrap(), *word);
                    }
                };
                let hear = async {
                    for word in &heard {
                        assert_eq!(from_far.next().await.unwrap().unwrap(), *word);
                    }
                };
                tokio::join!(speak, answer, listen, hear);
            });
        }

        #[test]
        fn bytes_of_chance_are_refused_or_read_and_never_end_a_node(bytes in bytes()) {
            let mut codec = Frames::<Said, Heard>::new();
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = codec.decode(&mut buffer) {}
        }
    }

    #[test]
    fn a_frame_that_announces_too_much_is_refused_before_it_comes() {
        let mut codec = Frames::<Said, Heard>::new();
        let length = u32::try_from(MAX_FRAME + 1).unwrap();
        let mut buffer = BytesMut::from(&length.to_be_bytes()[..]);
        assert!(codec.decode(&mut buffer).is_err());
    }
}
