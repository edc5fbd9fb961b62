//! The parts of an OpenAPI 3.0 document, cut apart where one holds another, so that each is checked by itself and once.
//!
//! The typed reader of OpenAPI 3.0 reads a part that is wrong twice at each level above it, to explain it better: a
//! document of a few hundred bytes with a fault twenty levels down took it half a minute. What is cut out is replaced
//! by a reference, which every part may be. This module does not check anything.

use serde_json::{Value, json};

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Schema,
    Parameter,
    Header,
    RequestBody,
    Response,
    Operation,
    MediaType,
    Encoding,
}

/// How a field of a part holds other parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// It is one, where it is an object.
    One(Part),
    /// By name.
    ByName(Part),
    /// In a list.
    List(Part),
    /// Not looked at: nothing that a gateway needs.
    Ignored,
}

impl Part {
    /// Returns how the field `name` of such a part holds other parts, if it does.
    pub(super) fn field(self, name: &str) -> Option<Holds> {
        Some(match (self, name) {
            (Self::Schema, "properties") => Holds::ByName(Self::Schema),
            (Self::Schema, "allOf" | "anyOf" | "oneOf") => Holds::List(Self::Schema),
            (Self::Schema, "items" | "additionalProperties" | "not") => Holds::One(Self::Schema),
            (Self::Parameter | Self::Header | Self::MediaType, "schema") => Holds::One(Self::Schema),
            (Self::Parameter | Self::Header | Self::RequestBody | Self::Response, "content") => {
                Holds::ByName(Self::MediaType)
            }
            (Self::MediaType, "encoding") => Holds::ByName(Self::Encoding),
            (Self::Encoding | Self::Response, "headers") => Holds::ByName(Self::Header),
            (Self::Operation, "parameters") => Holds::List(Self::Parameter),
            (Self::Operation, "requestBody") => Holds::One(Self::RequestBody),
            (Self::Operation, "responses") => Holds::ByName(Self::Response),
            (Self::Operation, "callbacks") => Holds::Ignored,
            _ => return None,
        })
    }

    /// Returns what stands in a part for another that was cut out.
    pub(super) fn stub(self) -> Value {
        match self {
            // These two cannot be references; all their fields may be left out.
            Self::MediaType | Self::Encoding => json!({}),
            _ => json!({"$ref": ""}),
        }
    }
}
