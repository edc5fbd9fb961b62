//! The fields and files of a form that was sent, which is known to come from a page made for this browser.

use axum::extract::{FromRequest, FromRequestParts as _, Request};
use http::header::CONTENT_TYPE;
use portcullis_http::multipart::FormPart;
use portcullis_http::{ApiError, MultipartForm, body};
use subtle::ConstantTimeEq as _;

use crate::viewer::Viewer;

/// Bytes of a form: as much as the largest definition.
const FORM_BYTES_MAX: usize = portcullis_model::limit::MANAGEMENT_BODY_BYTES_MAX;
/// Fields of a form.
const FIELDS_MAX: usize = 2_000;

/// The fields of a form, in order, and the files that were chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    texts: Vec<(String, String)>,
    files: Vec<(String, FormPart)>,
}

impl Fields {
    /// Reads the query of a form that changes nothing.
    #[must_use]
    pub fn of_query(query: &str) -> Self {
        Self::of_encoded(query.as_bytes())
    }

    fn of_encoded(bytes: &[u8]) -> Self {
        Self { texts: form_urlencoded::parse(bytes).into_owned().take(FIELDS_MAX).collect(), files: Vec::new() }
    }

    /// Returns a field without the space around it; nothing where it was not sent.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// Returns a field as it was sent.
    #[must_use]
    pub fn raw(&self, name: &str) -> &str {
        self.texts.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// Returns a field, where something is in it.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Says whether a box was ticked or a button pressed.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.texts.iter().any(|(known, _)| known == name)
    }

    /// Returns all values of a field that may be sent several times.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        self.texts.iter().filter(|(known, _)| known == name).map(|(_, value)| value.trim().to_owned()).collect()
    }

    /// Returns the parts of a field that holds several, separated by commas or lines.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let parts = self.raw(name).split([',', '\n', '\r']).map(str::trim);
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// Returns the file that was chosen in a field; nothing where none was.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&FormPart> {
        self.files.iter().find(|(known, _)| known == name).map(|(_, file)| file)
    }

    fn of_parts(form: MultipartForm) -> Result<Self, ApiError> {
        let mut fields = Self::default();
        for (name, part) in form.fields {
            match part.file_name.as_deref() {
                // Browsers send a field for a file without a name where none was chosen.
                Some("") => {}
                Some(_) => fields.files.push((name, part)),
                None => {
                    let text = part.text(&name)?.to_owned();
                    fields.texts.push((name, text));
                }
            }
        }
        Ok(fields)
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_multipart = media_type.starts_with("multipart/form-data");
        let (mut parts, content) = request.into_parts();
        let Ok(viewer) = Viewer::from_request_parts(&mut parts, state).await;
        let fields = if is_multipart {
            Self::of_parts(MultipartForm::from_request(Request::from_parts(parts, content), state).await?)?
        } else {
            let bytes = body::read(&parts.headers, content, FORM_BYTES_MAX).await?;
            Self::of_encoded(&bytes)
        };
        let is_own: bool = fields.raw("form_token").as_bytes().ct_eq(viewer.form_token.as_bytes()).into();
        if is_own && !viewer.form_token.is_empty() {
            return Ok(fields);
        }
        Err(ApiError::forbidden(
            "This form is too old or was not made for this browser, so nothing was done. Go back, reload the page and send it again.",
        ))
    }
}
