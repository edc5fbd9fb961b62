//! Forms with files (`multipart/form-data`), read whole and bounded. It does not look into the parts.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use bytes::{Bytes, BytesMut};

use crate::body::bytes_max;
use crate::error::ApiError;

/// Parts of one form.
const PARTS_MAX: usize = 64;
/// How long a form may take to come.
const FORM_TIME_MAX: Duration = Duration::from_secs(30);

/// A form with files, of at most as many bytes as a [`crate::Body`] and 64 parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MultipartForm {
    /// The parts by name. A name that comes twice is refused.
    pub fields: BTreeMap<String, FormPart>,
}

/// One part of a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormPart {
    /// The name of the file, for a file.
    pub file_name: Option<String>,
    /// The media type, where it is given.
    pub content_type: Option<String>,
    /// The content.
    pub bytes: Bytes,
}

impl FormPart {
    /// Returns the content as text.
    ///
    /// # Errors
    /// 400 where it is not UTF-8; `name` is the part's name, for the message.
    pub fn text(&self, name: &str) -> Result<&str, ApiError> {
        std::str::from_utf8(&self.bytes).map_err(|_| ApiError::bad_request(format!("{name}: must be UTF-8 text")))
    }
}

impl MultipartForm {
    /// Returns the text of a part, if it is there.
    ///
    /// # Errors
    /// 400 where it is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        self.fields.get(name).map(|part| part.text(name)).transpose()
    }

    /// Returns a part that must be there.
    ///
    /// # Errors
    /// 400 where it is not.
    pub fn part(&self, name: &str) -> Result<&FormPart, ApiError> {
        self.fields.get(name).ok_or_else(|| ApiError::bad_request(format!("the form has no part `{name}`")))
    }
}

impl<S: Send + Sync> FromRequest<S> for MultipartForm {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, ApiError> {
        let max = bytes_max(request.extensions());
        DefaultBodyLimit::max(max).apply(&mut request);
        let multipart = Multipart::from_request(request, state).await.map_err(|rejection| {
            ApiError::unsupported_media_type(format!(
                "The body must be multipart/form-data: {}.",
                rejection.body_text()
            ))
        })?;
        tokio::time::timeout(FORM_TIME_MAX, Self::read(multipart, max)).await.map_err(|_| {
            let text = format!("The form did not come within {} s.", FORM_TIME_MAX.as_secs());
            ApiError::new(408, 408, "Request Timeout", text)
        })?
    }
}

impl MultipartForm {
    async fn read(mut multipart: Multipart, max: usize) -> Result<Self, ApiError> {
        let mut form = Self::default();
        while let Some(mut field) = multipart.next_field().await.map_err(|error| refuse(&error, max))? {
            let name = field
                .name()
                .filter(|name| !name.is_empty())
                .ok_or_else(|| ApiError::bad_request("Each part of the form must have a name."))?
                .to_owned();
            let mut part = FormPart {
                file_name: field.file_name().map(str::to_owned),
                content_type: field.content_type().map(str::to_owned),
                bytes: Bytes::new(),
            };
            let mut content = BytesMut::new();
            while let Some(chunk) = field.chunk().await.map_err(|error| refuse(&error, max))? {
                content.extend_from_slice(&chunk);
            }
            part.bytes = content.freeze();
            if form.fields.len() >= PARTS_MAX {
                return Err(ApiError::bad_request(format!("The form has more than {PARTS_MAX} parts.")));
            }
            if form.fields.insert(name.clone(), part).is_some() {
                return Err(ApiError::bad_request(format!("The form has the part `{name}` twice.")));
            }
        }
        Ok(form)
    }
}

fn refuse(error: &MultipartError, max: usize) -> ApiError {
    match error.status().as_u16() {
        413 => ApiError::too_large(format!("The form is larger than {max} bytes, which is the most that is taken.")),
        _ => ApiError::bad_request(format!("The form cannot be read: {}.", error.body_text())),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::header::CONTENT_TYPE;

    use super::*;

    async fn read(content: String) -> Result<MultipartForm, ApiError> {
        let request =
            Request::builder().header(CONTENT_TYPE, "multipart/form-data; boundary=XX").body(Body::from(content));
        MultipartForm::from_request(request.unwrap(), &()).await
    }

    fn part(name: &str, content: &str) -> String {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.yaml\"\r\n\r\n{content}\r\n")
    }

    #[tokio::test]
    async fn a_form_gives_its_parts_by_name() {
        let form = read(format!("{}{}--XX--\r\n", part("file", "openapi: 3.0.0"), part("more", "{}"))).await.unwrap();
        assert_eq!(form.text("file").unwrap(), Some("openapi: 3.0.0"));
        assert_eq!(form.part("file").unwrap().file_name.as_deref(), Some("a.yaml"));
        assert!(form.part("nothing").unwrap_err().description().contains("no part `nothing`"));
    }

    #[tokio::test]
    async fn a_form_that_is_cut_off_or_too_large_or_doubled_is_refused() {
        assert_eq!(read(part("file", "openapi")).await.unwrap_err().status(), 400);
        let twice = format!("{}{}--XX--\r\n", part("file", "a"), part("file", "b"));
        assert!(read(twice).await.unwrap_err().description().contains("twice"));
        let large = "x".repeat(portcullis_model::limit::MANAGEMENT_BODY_BYTES_MAX);
        assert_eq!(read(format!("{}--XX--\r\n", part("file", &large))).await.unwrap_err().status(), 413);
    }
}
