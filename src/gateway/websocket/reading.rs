//! Messages of clients that are read before they go on: gathered whole, and written anew. So nothing reaches a backend but
//! what was looked at.

use std::pin::Pin;

use serde_json::{Map, Value, json};

use super::frame::Head;
use super::session::Farewell;

/// Bytes of a message that is read.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// A protocol of GraphQL over WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// graphql-transport-ws.
    Transport,
    /// graphql-ws, as Apollo's subscriptions-transport-ws speaks it.
    Apollo,
}

impl Protocol {
    /// Returns the protocol of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Transport, Self::Apollo].into_iter().find(|one| one.name() == name)
    }

    /// Returns the protocol that a header names.
    pub(crate) fn of(value: &http::HeaderValue) -> Option<Self> {
        Self::named(value.to_str().ok()?.trim())
    }

    /// Returns its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Transport => "graphql-transport-ws",
            Self::Apollo => "graphql-ws",
        }
    }

    /// Returns the type of the message that asks something.
    pub(super) fn question(self) -> &'static str {
        match self {
            Self::Transport => "subscribe",
            Self::Apollo => "start",
        }
    }

    /// Says whether a client may send a message of this type that asks nothing.
    fn has_other(self, kind: &str) -> bool {
        match self {
            Self::Transport => matches!(kind, "connection_init" | "ping" | "pong" | "complete"),
            Self::Apollo => matches!(kind, "connection_init" | "stop" | "connection_terminate"),
        }
    }

    /// Writes to a client why its question was refused.
    pub(super) fn refuse(self, id: &Value, code: u32, message: &str) -> Vec<u8> {
        let payload = match self {
            Self::Transport => json!([{"message": message, "extensions": {"code": code}}]),
            Self::Apollo => json!({"message": message, "code": code}),
        };
        json!({"id": id, "type": "error", "payload": payload}).to_string().into_bytes()
    }
}

/// A message as it was read.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// A query, under the id by which its answers are known.
    Question { id: Value, payload: Map<String, Value> },
    /// Anything else that the protocol has, as it goes on.
    Other(Value),
}

impl Message {
    /// Reads one; `None` where it is none that a client sends.
    pub(super) fn read(protocol: Protocol, bytes: &[u8]) -> Option<Self> {
        let Value::Object(mut members) = serde_json::from_slice(bytes).ok()? else { return None };
        let kind = members.get("type")?.as_str()?.to_owned();
        // Only what is known goes on: a backend may know more members than are looked at.
        members.retain(|name, _| matches!(name.as_str(), "id" | "type" | "payload"));
        if kind == protocol.question() {
            let id = members.remove("id").filter(|id| id.is_string() || id.is_number())?;
            let Some(Value::Object(payload)) = members.remove("payload") else { return None };
            return Some(Self::Question { id, payload });
        }
        protocol.has_other(&kind).then_some(Self::Other(Value::Object(members)))
    }
}

/// What becomes of a message.
pub(super) enum Verdict {
    /// It goes on, as it is written here.
    Pass(Vec<u8>),
    /// It does not, and its sender is told this.
    Tell(Vec<u8>),
    /// The connection ends.
    Leave(Farewell),
}

/// A verdict that is waited for.
pub(super) type PendingVerdict = Pin<Box<dyn Future<Output = Verdict>>>;

/// The messages of one client.
#[derive(Default)]
pub(super) struct Reading {
    gathered: Vec<u8>,
    pub(super) pending: Option<PendingVerdict>,
    /// What the client is to be told as soon as no message of the backend's is under way.
    pub(super) told: Option<Vec<u8>>,
}

impl Reading {
    /// Says whether nothing more is to be read for now.
    pub(super) fn is_busy(&self) -> bool {
        self.pending.is_some() || self.told.is_some()
    }

    /// Says whether a frame makes the message larger than is read.
    pub(super) fn is_too_much(&self, head: &Head) -> bool {
        head.payload > (MESSAGE_BYTES_MAX - self.gathered.len()) as u64
    }

    /// Adds a frame's payload; returns the message where it was the last one.
    pub(super) fn gather(&mut self, head: &Head, payload: &[u8]) -> Option<Vec<u8>> {
        self.gathered.extend_from_slice(payload);
        head.is_final.then(|| std::mem::take(&mut self.gathered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(protocol: Protocol, text: &str) -> Option<Message> {
        Message::read(protocol, text.as_bytes())
    }

    #[test]
    fn messages_are_read_as_their_protocol_has_them() {
        let question = read(Protocol::Transport, r#"{"id":"1","type":"subscribe","payload":{"query":"q"},"more":1}"#);
        let Some(Message::Question { id, payload }) = question else { panic!("it is one") };
        assert_eq!((id, payload.get("query")), (json!("1"), Some(&json!("q"))));
        let other = read(Protocol::Transport, r#"{"type":"connection_init","payload":{"a":1},"query":"planted"}"#);
        assert_eq!(other, Some(Message::Other(json!({"type": "connection_init", "payload": {"a": 1}}))));
        assert!(matches!(
            read(Protocol::Apollo, r#"{"id":1,"type":"start","payload":{}}"#),
            Some(Message::Question { .. })
        ));
        for (protocol, bad) in [
            (Protocol::Transport, r#"{"id":"1","type":"start","payload":{}}"#),
            (Protocol::Apollo, r#"{"id":"1","type":"subscribe","payload":{}}"#),
            (Protocol::Transport, r#"{"type":"subscribe","payload":{}}"#),
            (Protocol::Transport, r#"{"id":"1","type":"subscribe","payload":"q"}"#),
            (Protocol::Transport, r#"{"id":"1","type":"next","payload":{}}"#),
            (Protocol::Transport, r#"[{"id":"1","type":"subscribe","payload":{}}]"#),
            (Protocol::Transport, "nonsense"),
            (Protocol::Transport, "{}"),
        ] {
            assert_eq!(read(protocol, bad), None, "{bad}");
        }
    }

    #[test]
    fn of_members_that_are_there_twice_the_one_that_is_read_goes_on() {
        let text = r#"{"type":"subscribe","id":"1","type":"ping","payload":{"query":"planted"}}"#;
        assert_eq!(
            read(Protocol::Transport, text),
            Some(Message::Other(json!({"type": "ping", "id": "1", "payload": {"query": "planted"}})))
        );
    }
}
