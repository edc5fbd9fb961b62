//! Forms with files, as the contracts take them (`multipart/form-data`, RFC 7578).

use bytes::Bytes;
use http::HeaderValue;

/// One part of a form.
#[derive(Debug)]
pub struct Part<'a> {
    /// Its name.
    pub name: &'a str,
    /// The name of the file, for a file.
    pub file_name: Option<&'a str>,
    /// What it holds.
    pub content: &'a [u8],
}

impl<'a> Part<'a> {
    /// A part that is a text.
    pub fn text(name: &'a str, content: &'a str) -> Self {
        Self { name, file_name: None, content: content.as_bytes() }
    }

    /// A part that is a file.
    pub fn file(name: &'a str, file_name: &'a str, content: &'a [u8]) -> Self {
        Self { name, file_name: Some(file_name), content }
    }
}

/// Writes a form; returns its content type with it.
pub fn write(parts: &[Part<'_>]) -> (HeaderValue, Bytes) {
    // A boundary that is in none of them.
    let mut boundary = "portcullis-part".to_owned();
    let is_in = |boundary: &str| {
        let within = |part: &Part<'_>| part.content.windows(boundary.len()).any(|window| window == boundary.as_bytes());
        parts.iter().any(within)
    };
    while is_in(&boundary) {
        boundary.push('-');
    }
    let mut body = Vec::new();
    for part in parts {
        let file_name = part.file_name.map(|name| {
            let plain: String =
                name.chars().map(|one| if one == '"' || one.is_control() { '_' } else { one }).collect();
            format!("; filename=\"{plain}\"\r\ncontent-type: application/octet-stream")
        });
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"{}\r\n\r\n",
            part.name,
            file_name.unwrap_or_default()
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(part.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"));
    (content_type.unwrap_or_else(|_| HeaderValue::from_static("multipart/form-data")), Bytes::from(body))
}
