//! The backend: answers every request at once with the same few bytes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::BenchError;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nok\n";

/// A backend; it ends when this is dropped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Backend {
    pub(crate) async fn start() -> Result<Self, BenchError> {
        let failed = || BenchError::io("the backend cannot listen");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Requests have no bodies, so each ends with its head.
async fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).ok();
    let mut buffer = Vec::with_capacity(4096);
    while let Ok(read) = stream.read_buf(&mut buffer).await {
        if read == 0 {
            return;
        }
        while let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            buffer.drain(..end + 4);
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    }
}
