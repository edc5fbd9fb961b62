//! What somebody uploaded, as it is given to others: it never runs on this origin.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis_model::document::{Content, Document, DocumentSource, THUMBNAIL_BYTES_MAX};

use crate::error::ApiError;
use crate::{etag, percent, reply};

/// What browsers may do with it where they show it: nothing.
const HARMLESS: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'; style-src 'unsafe-inline'");

/// Writes a content that a read saw, or 304 where the caller has it. With a name it is a file to be saved.
#[must_use]
pub fn write(headers: &HeaderMap, content: &Content, file_name: Option<&str>, index: u64) -> Response {
    let tag = etag::of(&content.bytes);
    let mut response = if etag::is_known(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(content.bytes.clone()))
    };
    let unknown = || HeaderValue::from_static("application/octet-stream");
    let media_type = HeaderValue::from_str(&content.media_type).unwrap_or_else(|_| unknown());
    let own = response.headers_mut();
    own.insert(CONTENT_TYPE, media_type);
    own.insert(ETAG, tag);
    own.insert(reply::RAFT_INDEX, HeaderValue::from(index));
    own.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    own.insert(CONTENT_SECURITY_POLICY, HARMLESS);
    if let Some(disposition) = file_name.and_then(|name| HeaderValue::from_str(&disposition(name)).ok()) {
        own.insert(CONTENT_DISPOSITION, disposition);
    }
    response
}

/// Names a file to be saved (RFC 6266, with the encoding of RFC 8187).
fn disposition(name: &str) -> String {
    let plain: String =
        name.chars().map(|one| if one.is_ascii_alphanumeric() || ".-_ ".contains(one) { one } else { '_' }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", percent::encoded(name))
}

/// Writes a document's content, or says where it is.
///
/// # Errors
/// 404 where nothing was put into it yet.
pub fn of_document(
    headers: &HeaderMap,
    document: &Document,
    content: Option<&Content>,
    index: u64,
) -> Result<Response, ApiError> {
    if document.source == DocumentSource::Url {
        let location = HeaderValue::from_str(&document.source_url)
            .map_err(|_| ApiError::not_found("address of the document", &document.source_url))?;
        return Ok((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response());
    }
    let content = content.ok_or_else(|| ApiError::not_found("content of the document", &document.name))?;
    let file_name = (document.source == DocumentSource::File).then_some(document.file_name.as_str());
    Ok(write(headers, content, file_name, index))
}

/// Makes a picture of what was uploaded. What it is, its first bytes say, not the caller.
///
/// # Errors
/// 400 for what is no picture that browsers show, or is too large.
pub fn picture(bytes: Vec<u8>) -> Result<Content, ApiError> {
    if bytes.len() > THUMBNAIL_BYTES_MAX {
        let reason = format!("file: has {} bytes; at most {THUMBNAIL_BYTES_MAX} are accepted", bytes.len());
        return Err(ApiError::bad_request(reason));
    }
    let media_type = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => return Err(ApiError::bad_request("file: must be a picture: PNG, JPEG, GIF or WebP")),
    };
    Ok(Content { media_type: media_type.to_owned(), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_uploaded_cannot_act_as_a_page_of_this_origin() {
        let content = Content { media_type: "text/html".to_owned(), bytes: b"<script>".to_vec() };
        let response = write(&HeaderMap::new(), &content, Some("a \"b\".html"), 7);
        let headers = response.headers();
        assert_eq!(headers[CONTENT_SECURITY_POLICY], HARMLESS);
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        let named = "attachment; filename=\"a _b_.html\"; filename*=UTF-8''a%20%22b%22.html";
        assert_eq!(headers[CONTENT_DISPOSITION], named);
        let odd = Content { media_type: "text/a\nb".to_owned(), ..content };
        assert_eq!(write(&HeaderMap::new(), &odd, None, 7).headers()[CONTENT_TYPE], "application/octet-stream");
    }

    #[test]
    fn a_picture_is_what_its_bytes_say() {
        assert_eq!(picture(b"GIF89a...".to_vec()).unwrap().media_type, "image/gif");
        assert_eq!(picture(b"RIFF....WEBPVP8 ".to_vec()).unwrap().media_type, "image/webp");
        for wrong in [b"<svg/>".to_vec(), Vec::new(), vec![0x89; THUMBNAIL_BYTES_MAX + 1]] {
            assert_eq!(picture(wrong).unwrap_err().status(), StatusCode::BAD_REQUEST);
        }
    }
}
