//! Azure Content Safety, asked how harmful texts are (`text:analyze`, version 2024-09-01 of its API).
//! <https://learn.microsoft.com/rest/api/contentsafety/text-operations/analyze-text>

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use portcullis_model::port::{ContentSafety, PortFuture};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OnceCell;
use url::Url;

use crate::client::Client;
use crate::client_error::ClientError;
use crate::fetch::Service;

const PATH: &str = "/contentsafety/text:analyze?api-version=2024-09-01";
const KEY: HeaderName = HeaderName::from_static("ocp-apim-subscription-key");
/// Characters of one question (the service's own bound).
const CHARS_MAX: usize = 10_000;
/// Questions for one text.
const QUESTIONS_MAX: usize = 20;

/// A resource of Azure Content Safety.
#[derive(Debug)]
pub struct AzureContentSafety {
    url: String,
    /// Path and query of a question.
    target: String,
    key: HeaderValue,
    client: OnceCell<Client>,
}

/// Why nothing was said of a text.
#[derive(Debug, thiserror::Error)]
enum Unsaid {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the text has more than {} characters", QUESTIONS_MAX * CHARS_MAX)]
    TooLong,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Analysis {
    categories_analysis: Vec<Category>,
}

#[derive(Deserialize)]
struct Category {
    category: String,
    severity: u8,
}

impl AzureContentSafety {
    /// Makes a client of the resource at `url` (`https://NAME.cognitiveservices.azure.com`); where that has a path, questions go
    /// to places below it. Connects at the first question. `None` where the key cannot be sent.
    #[must_use]
    pub fn new(url: &str, key: &str) -> Option<Self> {
        let mut key = HeaderValue::from_str(key.trim()).ok().filter(|key| !key.is_empty())?;
        key.set_sensitive(true);
        let below = Url::parse(url).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
        Some(Self { url: url.to_owned(), target: below + PATH, key, client: OnceCell::new() })
    }

    async fn client(&self) -> Result<&Client, ClientError> {
        self.client.get_or_try_init(|| async { Ok(Service::at(&self.url).await?.into_client()) }).await
    }

    async fn ask(&self, text: &str, categories: &[&'static str]) -> Result<Vec<(String, u8)>, Unsaid> {
        let body = json!({
            "text": text, "categories": categories, "haltOnBlocklistHit": true, "outputType": "EightSeverityLevels",
        });
        let fields = [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (KEY, self.key.clone())];
        let reply =
            self.client().await?.send(Method::POST, &self.target, &fields, Bytes::from(body.to_string())).await?;
        let Analysis { categories_analysis } = reply.json()?;
        Ok(categories_analysis.into_iter().map(|one| (one.category, one.severity)).collect())
    }

    /// Asks of a text piece by piece; of each category the worst counts.
    async fn ask_all(&self, text: &str, categories: &[&'static str]) -> Result<Vec<(String, u8)>, Unsaid> {
        let mut worst: Vec<(String, u8)> = Vec::new();
        for (number, piece) in pieces(text).enumerate() {
            if number == QUESTIONS_MAX {
                return Err(Unsaid::TooLong);
            }
            for (category, severity) in self.ask(piece, categories).await? {
                match worst.iter_mut().find(|(known, _)| *known == category) {
                    Some((_, known)) => *known = severity.max(*known),
                    None => worst.push((category, severity)),
                }
            }
        }
        Ok(worst)
    }
}

impl ContentSafety for AzureContentSafety {
    fn severities<'a>(
        &'a self,
        text: &'a str,
        categories: &'a [&'static str],
    ) -> PortFuture<'a, Result<Vec<(String, u8)>, String>> {
        Box::pin(async move { self.ask_all(text, categories).await.map_err(|why| why.to_string()) })
    }
}

/// Returns a text in pieces that are short enough.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(CHARS_MAX).map_or(rest.len(), |(end, _)| end);
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Reads a request with a body, and returns its head and the document.
    async fn request(stream: &mut TcpStream) -> (String, Value) {
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap();
            bytes.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && let Ok(document) = serde_json::from_str(body)
            {
                return (head.to_owned(), document);
            }
            assert!(read > 0, "{text}");
        }
    }

    /// A service that finds violence where `knife` is said, and answers otherwise than it should where `broken` is.
    async fn service() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (head, asked) = request(&mut stream).await;
                let said = asked["text"].as_str().unwrap();
                let is_at = |below: &str| head.starts_with(&format!("POST {below}{PATH} HTTP/1.1"));
                let is_asked_right = (is_at("") || is_at("/safety"))
                    && head.contains("ocp-apim-subscription-key: secret")
                    && asked["categories"] == json!(["Hate", "Violence"])
                    && said.chars().count() <= CHARS_MAX;
                let (status, severity) = match (is_asked_right, said.contains("knife"), said.contains("broken")) {
                    (false, ..) => ("400 Bad Request", 0),
                    (_, _, true) => ("429 Too Many Requests", 0),
                    (_, is_severe, _) => ("200 OK", if is_severe { 6 } else { 1 + u8::from(is_at("/safety")) }),
                };
                let body = json!({"categoriesAnalysis": [
                    {"category": "Hate", "severity": 0}, {"category": "Violence", "severity": severity},
                ]})
                .to_string();
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        url
    }

    #[tokio::test]
    async fn of_a_text_the_worst_that_is_found_in_it_counts() {
        let url = service().await;
        let service = AzureContentSafety::new(&url, " secret ").unwrap();
        let found = async |text: &str| service.severities(text, &["Hate", "Violence"]).await;
        let said = |violence: u8| Ok(vec![("Hate".to_owned(), 0), ("Violence".to_owned(), violence)]);
        assert_eq!(found("a tea spoon").await, said(1));
        let long = format!("{}knife{}", "ä".repeat(CHARS_MAX), " tea".repeat(CHARS_MAX));
        assert_eq!(found(&long).await, said(6), "it is asked of in pieces");
        assert!(found("broken").await.unwrap_err().contains("429"));
        assert!(found(&"x".repeat(QUESTIONS_MAX * CHARS_MAX + 1)).await.unwrap_err().contains("200000 characters"));
        let below = AzureContentSafety::new(&format!("{url}safety/"), "secret").unwrap();
        assert_eq!(below.severities("a tea spoon", &["Hate", "Violence"]).await, said(2));
        assert!(
            AzureContentSafety::new("http://a", "a\nb").is_none() && AzureContentSafety::new("http://a", "").is_none()
        );
    }
}
