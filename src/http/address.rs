//! Addresses that stand in what somebody says: whether they lead somewhere. They are asked for as callbacks are, so nothing
//! that is barred is called.

use std::time::Duration;

use portcullis_model::port::{Addresses, PortFuture};
use url::{Host, Url};

use crate::callback::Places;

/// Asks for addresses at these places.
#[derive(Clone, Copy, Debug)]
pub struct AddressCheck(pub Places);

impl Addresses for AddressCheck {
    fn leads_somewhere<'a>(&'a self, url: &'a str, only_name: bool, timeout: Duration) -> PortFuture<'a, bool> {
        Box::pin(async move {
            let asked = async { if only_name { is_name_known(url).await } else { answers(url, self.0).await } };
            tokio::time::timeout(timeout, asked).await.unwrap_or(false)
        })
    }
}

async fn answers(url: &str, places: Places) -> bool {
    let Ok(service) = places.service(url).await else { return false };
    service.status().await.is_ok_and(|status| status.is_success() || status.is_redirection())
}

async fn is_name_known(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    match (url.host(), url.port_or_known_default()) {
        (Some(Host::Domain(name)), Some(port)) => {
            tokio::net::lookup_host((name, port)).await.is_ok_and(|mut found| found.next().is_some())
        }
        // An address is no name that could be unknown.
        (host, _) => host.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x?y=1", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 1024];
                let read = stream.read(&mut head).await.unwrap_or(0);
                assert!(head[..read].starts_with(b"HEAD /x?y=1 HTTP/1.1"));
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        url
    }

    #[tokio::test]
    async fn an_address_leads_somewhere_where_something_answers_there() {
        let check = AddressCheck(Places::PrivateToo);
        for (answer, leads) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 302 Found\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
            ("", false),
        ] {
            let url = server(answer).await;
            assert_eq!(check.leads_somewhere(&url, false, PATIENCE).await, leads, "{answer:?}");
        }
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        assert!(!check.leads_somewhere(&url, false, Duration::from_millis(100)).await, "it says nothing");
        let barred = AddressCheck(Places::Public).leads_somewhere(&url, false, PATIENCE).await;
        assert!(!barred, "private networks are nothing to ask in for a caller");
    }

    #[tokio::test]
    async fn a_name_is_known_or_not() {
        let check = AddressCheck(Places::Public);
        for (url, is_known) in [
            ("http://localhost:1/x", true),
            ("https://127.0.0.1", true),
            ("http://[::1]:80", true),
            ("http://no.such.name.invalid", false),
            ("http://", false),
        ] {
            assert_eq!(check.leads_somewhere(url, true, PATIENCE).await, is_known, "{url}");
        }
    }
}
