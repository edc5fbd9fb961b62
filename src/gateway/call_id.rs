//! The request id of a call.

use http::HeaderValue;
use portcullis_model::RequestId;

/// Characters of one that is made here: hexadecimal digits.
pub(crate) const MADE_BYTES: usize = 32;

/// The request id of a call: made here or given by the client. One that is made costs no memory of its own.
#[derive(Clone, Debug)]
pub(crate) enum CallId {
    Made([u8; MADE_BYTES]),
    Given(HeaderValue),
}

impl CallId {
    /// Takes what a client gives; `None` where it cannot be an id.
    pub(crate) fn given(value: &HeaderValue) -> Option<Self> {
        RequestId::is_one(value.as_bytes()).then(|| Self::Given(value.clone()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Made(digits) => digits,
            Self::Given(value) => value.as_bytes(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Returns it as the value of a field.
    pub(crate) fn to_value(&self) -> HeaderValue {
        match self {
            Self::Made(digits) => HeaderValue::from_bytes(digits).expect("hexadecimal digits are a header value"),
            Self::Given(value) => value.clone(),
        }
    }
}
