//! Messages of Thrift's binary protocol in memory. What their fields mean is not known here. Sizes, depth and numbers of
//! items are bounded: what comes in is anybody's.

use std::collections::BTreeMap;

use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TFieldIdentifier, TInputProtocol, TListIdentifier, TMessageIdentifier,
    TMessageType, TOutputProtocol, TSetIdentifier, TStructIdentifier, TType,
};
use thrift::{TConfiguration, TransportErrorKind};

/// Items of one list, and fields of one struct.
const ITEMS_MAX: usize = 10_000;
/// Structs within each other.
const DEPTH_MAX: usize = 6;

/// A value. Kinds that no message of ours has are skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Bool(bool),
    Int(i32),
    Long(i64),
    Text(String),
    Texts(Vec<String>),
    /// A set of texts.
    TextSet(Vec<String>),
    Struct(Fields),
    Structs(Vec<Fields>),
}

/// The fields of a struct, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(BTreeMap<i16, Field>);

impl Fields {
    pub fn with(mut self, number: i16, field: Field) -> Self {
        self.0.insert(number, field);
        self
    }

    pub fn with_text(self, number: i16, text: impl Into<String>) -> Self {
        self.with(number, Field::Text(text.into()))
    }

    pub fn has(&self, number: i16) -> bool {
        self.0.contains_key(&number)
    }

    pub fn text(&self, number: i16) -> Option<&str> {
        match self.0.get(&number) {
            Some(Field::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn bool(&self, number: i16) -> Option<bool> {
        match self.0.get(&number) {
            Some(Field::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    pub fn int(&self, number: i16) -> Option<i32> {
        match self.0.get(&number) {
            Some(Field::Int(value)) => Some(*value),
            _ => None,
        }
    }

    pub fn long(&self, number: i16) -> Option<i64> {
        match self.0.get(&number) {
            Some(Field::Long(value)) => Some(*value),
            _ => None,
        }
    }

    pub fn fields(&self, number: i16) -> Option<&Self> {
        match self.0.get(&number) {
            Some(Field::Struct(fields)) => Some(fields),
            _ => None,
        }
    }

    #[cfg(test)]
    pub fn get(&self, number: i16) -> Option<&Field> {
        self.0.get(&number)
    }
}

/// A message: a call, or what was answered to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub name: String,
    pub kind: TMessageType,
    pub sequence: i32,
    pub fields: Fields,
}

/// What bytes are not a message of this protocol, or one beyond the bounds.
#[derive(Debug, thiserror::Error)]
#[error("not a message of Thrift's binary protocol: {0}")]
pub(super) struct Malformed(String);

/// Reads the message that `bytes` begin with, and returns it with its length; `None` where its end is not there yet.
pub(super) fn decode(bytes: &[u8], bytes_max: usize) -> Result<Option<(Message, usize)>, Malformed> {
    let mut left = bytes;
    let read = read_message(&mut TBinaryInputProtocol::with_config(&mut left, false, bounds(bytes_max)?));
    match read {
        Ok(message) => Ok(Some((message, bytes.len() - left.len()))),
        Err(thrift::Error::Transport(cause)) if cause.kind == TransportErrorKind::EndOfFile => {
            if bytes.len() >= bytes_max {
                Err(Malformed(format!("it has more than {bytes_max} bytes")))
            } else {
                Ok(None)
            }
        }
        Err(cause) => Err(Malformed(cause.to_string())),
    }
}

fn bounds(bytes_max: usize) -> Result<TConfiguration, Malformed> {
    TConfiguration::builder()
        .max_message_size(Some(bytes_max))
        .max_frame_size(Some(bytes_max))
        .max_string_size(Some(bytes_max))
        .max_container_size(Some(ITEMS_MAX))
        .max_recursion_depth(Some(DEPTH_MAX))
        .build()
        .map_err(|cause| Malformed(cause.to_string()))
}

fn read_message(protocol: &mut dyn TInputProtocol) -> thrift::Result<Message> {
    let head = protocol.read_message_begin()?;
    let fields = read_struct(protocol)?;
    protocol.read_message_end()?;
    Ok(Message { name: head.name, kind: head.message_type, sequence: head.sequence_number, fields })
}

fn read_struct(protocol: &mut dyn TInputProtocol) -> thrift::Result<Fields> {
    protocol.read_struct_begin()?;
    let mut fields = BTreeMap::new();
    loop {
        let field = protocol.read_field_begin()?;
        if field.field_type == TType::Stop {
            break;
        }
        if let (Some(value), Some(number)) = (read_field(protocol, field.field_type)?, field.id)
            && fields.len() < ITEMS_MAX
        {
            fields.insert(number, value);
        }
        protocol.read_field_end()?;
    }
    protocol.read_struct_end()?;
    Ok(Fields(fields))
}

fn read_field(protocol: &mut dyn TInputProtocol, kind: TType) -> thrift::Result<Option<Field>> {
    Ok(Some(match kind {
        TType::Bool => Field::Bool(protocol.read_bool()?),
        TType::I32 => Field::Int(protocol.read_i32()?),
        TType::I64 => Field::Long(protocol.read_i64()?),
        TType::String => Field::Text(protocol.read_string()?),
        TType::Struct => Field::Struct(read_struct(protocol)?),
        TType::List => return read_list(protocol),
        TType::Set => {
            let head = protocol.read_set_begin()?;
            let texts = read_texts(protocol, head.element_type, head.size)?;
            protocol.read_set_end()?;
            return Ok(texts.map(Field::TextSet));
        }
        other => {
            protocol.skip(other)?;
            return Ok(None);
        }
    }))
}

fn read_list(protocol: &mut dyn TInputProtocol) -> thrift::Result<Option<Field>> {
    let head = protocol.read_list_begin()?;
    let field = if head.element_type == TType::Struct {
        let mut structs = Vec::new();
        for _ in 0..head.size {
            structs.push(read_struct(protocol)?);
        }
        Some(Field::Structs(structs))
    } else {
        read_texts(protocol, head.element_type, head.size)?.map(Field::Texts)
    };
    protocol.read_list_end()?;
    Ok(field)
}

/// Reads texts; skips items of another kind.
fn read_texts(protocol: &mut dyn TInputProtocol, kind: TType, count: i32) -> thrift::Result<Option<Vec<String>>> {
    if kind != TType::String {
        for _ in 0..count {
            protocol.skip(kind)?;
        }
        return Ok(None);
    }
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(protocol.read_string()?);
    }
    Ok(Some(texts))
}

/// Writes a message.
pub(super) fn encode(message: &Message) -> Result<Vec<u8>, Malformed> {
    let mut bytes = Vec::with_capacity(512);
    let written = write_message(&mut TBinaryOutputProtocol::new(&mut bytes, true), message);
    written.map(|()| bytes).map_err(|cause| Malformed(cause.to_string()))
}

fn write_message(protocol: &mut dyn TOutputProtocol, message: &Message) -> thrift::Result<()> {
    let head = TMessageIdentifier::new(message.name.as_str(), message.kind, message.sequence);
    protocol.write_message_begin(&head)?;
    write_struct(protocol, &message.fields)?;
    protocol.write_message_end()
}

fn write_struct(protocol: &mut dyn TOutputProtocol, fields: &Fields) -> thrift::Result<()> {
    protocol.write_struct_begin(&TStructIdentifier::new(""))?;
    for (number, field) in &fields.0 {
        protocol.write_field_begin(&TFieldIdentifier::new("", kind_of(field), *number))?;
        write_field(protocol, field)?;
        protocol.write_field_end()?;
    }
    protocol.write_field_stop()?;
    protocol.write_struct_end()
}

fn kind_of(field: &Field) -> TType {
    match field {
        Field::Bool(_) => TType::Bool,
        Field::Int(_) => TType::I32,
        Field::Long(_) => TType::I64,
        Field::Text(_) => TType::String,
        Field::Texts(_) | Field::Structs(_) => TType::List,
        Field::TextSet(_) => TType::Set,
        Field::Struct(_) => TType::Struct,
    }
}

fn write_field(protocol: &mut dyn TOutputProtocol, field: &Field) -> thrift::Result<()> {
    match field {
        Field::Bool(value) => protocol.write_bool(*value),
        Field::Int(value) => protocol.write_i32(*value),
        Field::Long(value) => protocol.write_i64(*value),
        Field::Text(text) => protocol.write_string(text),
        Field::Struct(fields) => write_struct(protocol, fields),
        Field::Texts(texts) => {
            protocol.write_list_begin(&TListIdentifier::new(TType::String, count(texts)))?;
            texts.iter().try_for_each(|text| protocol.write_string(text))?;
            protocol.write_list_end()
        }
        Field::TextSet(texts) => {
            protocol.write_set_begin(&TSetIdentifier::new(TType::String, count(texts)))?;
            texts.iter().try_for_each(|text| protocol.write_string(text))?;
            protocol.write_set_end()
        }
        Field::Structs(structs) => {
            protocol.write_list_begin(&TListIdentifier::new(TType::Struct, count(structs)))?;
            structs.iter().try_for_each(|fields| write_struct(protocol, fields))?;
            protocol.write_list_end()
        }
    }
}

fn count<T>(items: &[T]) -> i32 {
    i32::try_from(items.len()).unwrap_or(i32::MAX)
}
