//! WebSockets: a backend that echoes, and a client as a browser is one.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::Node;

/// Starts a backend that echoes texts, and returns its URL.
pub async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("ws://{address}")
}

/// Opens a WebSocket through a node.
pub async fn open(node: &Node, path: &str, token: &str) -> WebSocketStream<TcpStream> {
    let address = format!("{}:8280", node.address);
    // As a browser does it, which can set no header.
    let request = format!("ws://{address}{path}?access_token={token}").into_client_request().expect("a request");
    let stream = TcpStream::connect(&address).await.expect("connect");
    tokio_tungstenite::client_async(request, stream).await.expect("the handshake").0
}
