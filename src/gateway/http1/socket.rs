//! A plain TCP connection, read and written by the shortest way there is. It is used on a worker's thread alone, which also learns
//! what can be read and written: within one step of a task nothing of that changes. Why:
//! `docs/decisions/0124-sockets-are-read-past-the-runtime.md`.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use rustix::net::SendFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Reads in a row after which others have their turn.
const READS_IN_A_ROW_MAX: u8 = 32;

/// A plain TCP connection.
pub(crate) struct Socket {
    stream: TcpStream,
    /// The task that is woken when something comes, by the address of what wakes it; `None` where that is not known.
    waits: Option<usize>,
    /// Reads since nothing was there.
    in_a_row: u8,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, waits: None, in_a_row: 0 }
    }

    /// Reads what has come into the room that `read` has. Costs no system call where nothing has come, and no second one to learn
    /// that no more has.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, read: &mut BytesMut) -> Poll<io::Result<usize>> {
        loop {
            if self.may_read() {
                if self.in_a_row == READS_IN_A_ROW_MAX {
                    return self.gives_way(cx);
                }
                let count = self.fill(read);
                if !is_would_block(&count) {
                    self.in_a_row += 1;
                    return Poll::Ready(count);
                }
            }
            ready!(self.poll_waits(cx))?;
        }
    }

    fn fill(&mut self, read: &mut BytesMut) -> io::Result<usize> {
        let room = read.capacity() - read.len();
        let count = self.stream.try_read_buf(read)?;
        if (1..room).contains(&count) {
            // That was all. What comes from now on is told anew.
            let _is_known = self.stream.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
        }
        Ok(count)
    }

    /// Says whether something came, or the end. Costs no system call where nothing did.
    pub(crate) fn has_come(&mut self) -> bool {
        self.may_read() && !is_would_block(&self.stream.try_read(&mut [0]))
    }

    /// Says whether there may be something to read. Who waits for that has been woken then, and waits no more.
    fn may_read(&mut self) -> bool {
        let may_read = self.stream.try_io(Interest::READABLE, || Ok(())).is_ok();
        if may_read {
            self.waits = None;
        }
        may_read
    }

    /// Has the task woken when something comes; ready where something has.
    fn poll_waits(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let task = Some(cx.waker().data().addr());
        if self.waits == task {
            return Poll::Pending;
        }
        // Without budget nothing would be asked for: the task would be woken at once, and once.
        if !tokio::task::coop::has_budget_remaining() {
            return self.gives_way(cx);
        }
        let ready = self.stream.poll_read_ready(cx);
        if ready.is_pending() {
            (self.waits, self.in_a_row) = (task, 0);
        }
        ready
    }

    fn gives_way<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        self.in_a_row = 0;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn is_would_block<T>(outcome: &io::Result<T>) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.waits = None;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            // Not by the C library, which looks at each call whether the thread is to be ended in it.
            let send = || Ok(rustix::net::send(&self.stream, bytes, SendFlags::NOSIGNAL)?);
            let sent = self.stream.try_io(Interest::WRITABLE, send);
            if !is_would_block(&sent) {
                return Poll::Ready(sent);
            }
            ready!(self.stream.poll_write_ready(cx))?;
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TCP holds nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::task::Poll;

    use bytes::BytesMut;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::Socket;

    /// Returns both ends of a connection.
    async fn connected() -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (other, Socket::new(listener.accept().await.unwrap().0))
    }

    async fn read(socket: &RefCell<Socket>, read: &mut BytesMut) -> usize {
        poll_fn(|cx| socket.borrow_mut().poll_fill(cx, read)).await.unwrap()
    }

    #[tokio::test]
    async fn all_that_comes_is_read_however_it_is_cut_and_then_the_end() {
        let (mut other, socket) = connected().await;
        let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let expected = sent.clone();
        let sending = async move {
            let mut rest = &*sent;
            for size in (1..).map(|number: usize| number * number % 4099 + 1) {
                let (piece, more) = rest.split_at(size.min(rest.len()));
                other.write_all(piece).await.unwrap();
                rest = more;
                if rest.is_empty() {
                    return;
                }
                if size % 3 == 0 {
                    yield_now().await;
                }
            }
        };
        let reading = async {
            let (socket, mut all) = (RefCell::new(socket), Vec::new());
            for room in (1..).map(|number: usize| number * 37 % 2053 + 1) {
                let mut piece = BytesMut::with_capacity(room);
                if read(&socket, &mut piece).await == 0 {
                    return all;
                }
                all.extend_from_slice(&piece);
            }
            all
        };
        let ((), all) = tokio::join!(sending, reading);
        assert!(all == expected, "{} bytes of {}", all.len(), expected.len());
    }

    #[tokio::test]
    async fn whoever_asked_last_is_woken() {
        let local = LocalSet::new();
        local
            .run_until(async {
                let (mut other, socket) = connected().await;
                let socket = Rc::new(RefCell::new(socket));
                let asks_once = {
                    let socket = Rc::clone(&socket);
                    spawn_local(poll_fn(move |cx| {
                        let polled = socket.borrow_mut().poll_fill(cx, &mut BytesMut::with_capacity(8));
                        Poll::Ready(polled.is_pending())
                    }))
                };
                assert!(asks_once.await.unwrap());
                for word in ["one", "two"] {
                    let reading = {
                        let socket = Rc::clone(&socket);
                        spawn_local(async move {
                            let mut word = BytesMut::with_capacity(8);
                            read(&socket, &mut word).await;
                            word
                        })
                    };
                    yield_now().await;
                    assert!(!socket.borrow_mut().has_come());
                    other.write_all(word.as_bytes()).await.unwrap();
                    assert_eq!(reading.await.unwrap(), word);
                }
            })
            .await;
    }
}
