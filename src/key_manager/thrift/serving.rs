//! Serves one connection: call after call, each within its time and size.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use thrift::protocol::TMessageType;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::timeout;

use super::codec::{self, Fields, Message};
use super::contract::PROTOCOL_ERROR;
use super::service::{ThriftService, failure};
use super::{Door, Stream};

/// Bytes of a call: a token, a context and a session id are the most of it.
const CALL_BYTES_MAX: usize = 32 << 10;
/// How long a connection may be silent between two calls.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// How long the first call may take to begin: who opens a connection has something to ask.
const FIRST_WITHIN: Duration = Duration::from_secs(30);
/// How long a call may take to arrive, and an answer to be taken.
const TRANSFER_WITHIN: Duration = Duration::from_secs(10);
/// Bytes read at a time.
const CHUNK: usize = 4 << 10;

/// What is offered on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// Key validation, and the sign-in for it.
    Validation,
    /// The sign-in alone.
    Authentication,
}

/// Who is connected, by what port.
#[derive(Clone, Copy, Debug)]
pub struct Visitor {
    /// What the port offers.
    pub offered: Offered,
    /// The address of whoever connected.
    pub origin: Option<IpAddr>,
}

impl ThriftService {
    /// Serves a connection until its client closes it, is silent for too long, or sends what is no call; or until `stop`
    /// becomes true, once what is under way is answered.
    pub async fn serve(
        &self,
        mut stream: impl Stream,
        visitor: Visitor,
        door: &dyn Door,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut buffer = Vec::new();
        let mut patience = FIRST_WITHIN;
        loop {
            let received = tokio::select! {
                biased;
                received = next_call(&mut stream, &mut buffer, patience) => received,
                () = told(&mut stop) => return,
            };
            let call = match received {
                Ok(Some(call)) => call,
                Ok(None) => return,
                Err(Unreadable::Connection(cause)) => {
                    tracing::debug!(%cause, "a connection by Thrift broke");
                    return;
                }
                Err(Unreadable::Malformed(cause)) => {
                    tracing::debug!(%cause, "something that is no call came by Thrift");
                    let nameless = Message {
                        name: String::new(),
                        kind: TMessageType::Call,
                        sequence: 0,
                        fields: Fields::default(),
                    };
                    let _ = send(&mut stream, &failure(&nameless, PROTOCOL_ERROR, &cause.to_string())).await;
                    return;
                }
            };
            patience = IDLE_MAX;
            if let Some(answer) = self.answer(call, visitor.offered, door, visitor.origin).await
                && let Err(cause) = send(&mut stream, &answer).await
            {
                tracing::debug!(%cause, "an answer by Thrift was not taken");
                return;
            }
        }
    }
}

/// Waits until a stop is told, or whoever could tell it is gone.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Why there is no call.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Connection(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] codec::Malformed),
}

/// Reads a call; `None` where the connection was closed between two, or nothing came.
async fn next_call(
    stream: &mut impl Stream,
    buffer: &mut Vec<u8>,
    patience: Duration,
) -> Result<Option<Message>, Unreadable> {
    if buffer.is_empty() {
        match timeout(patience, read_more(stream, buffer)).await {
            Ok(Ok(0)) | Err(_) => return Ok(None),
            Ok(read) => read?,
        };
    }
    let whole = timeout(TRANSFER_WITHIN, read_message(stream, buffer, CALL_BYTES_MAX));
    let call = whole.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if matches!(call.kind, TMessageType::Call | TMessageType::OneWay) {
        return Ok(Some(call));
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "an answer came where a call was due").into())
}

/// Reads until `buffer` begins with a whole message, and takes it out.
async fn read_message(stream: &mut impl Stream, buffer: &mut Vec<u8>, max: usize) -> Result<Message, Unreadable> {
    loop {
        if let Some((message, bytes)) = codec::decode(buffer, max)? {
            buffer.drain(..bytes);
            return Ok(message);
        }
        if read_more(stream, buffer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

async fn read_more(stream: &mut impl Stream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.reserve(CHUNK);
    stream.read_buf(buffer).await
}

async fn send(stream: &mut impl Stream, message: &Message) -> io::Result<()> {
    let bytes = codec::encode(message).map_err(io::Error::other)?;
    let written = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    timeout(TRANSFER_WITHIN, written).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// A connection as the asking end has it: one question at a time.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    sequence: i32,
}

/// Bytes of an answer: a verdict with an assertion for the backend is the largest.
const ANSWER_BYTES_MAX: usize = 256 << 10;

impl Line {
    pub fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: Vec::new(), sequence: 0 }
    }

    /// Asks, and waits for the answer. The caller sets the time. After an error the line cannot be used again.
    pub async fn ask(&mut self, name: &str, fields: Fields) -> io::Result<Message> {
        self.sequence = self.sequence.wrapping_add(1);
        let call = Message { name: name.to_owned(), kind: TMessageType::Call, sequence: self.sequence, fields };
        send(&mut self.stream, &call).await?;
        let read = read_message(&mut self.stream, &mut self.buffer, ANSWER_BYTES_MAX).await;
        let answer = read.map_err(|cause| match cause {
            Unreadable::Connection(cause) => cause,
            Unreadable::Malformed(cause) => io::Error::new(io::ErrorKind::InvalidData, cause),
        })?;
        if answer.sequence == self.sequence && self.buffer.is_empty() {
            return Ok(answer);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is to another question"))
    }
}
