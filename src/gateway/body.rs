//! The body of an answer: nothing, bytes at hand, or an exchange with a backend that is read as the client takes it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::caching::Copying;
use crate::call::Call;
use crate::held::Held;
use crate::meter::{self, Measured, Measuring};
use crate::packing::{self, Packer};
use crate::upstream::UpstreamError;
use crate::upstream::coming::Coming;
use crate::upstream::exchange::AnswerBody;
use crate::upstream::lines::Lines;

/// The body of an answer. An answer is handed on many times until it is sent: what there is of it is in one box.
pub(crate) struct ReplyBody(Box<Reply>);

struct Reply {
    content: Content,
    /// Ends with the body: what is counted when the last byte was handed on.
    call: Option<Call>,
    /// A piece that waits until its cost can be had.
    waiting: Option<Measuring>,
    /// Keeps what passes, to be given again.
    copying: Option<Box<Copying>>,
    /// Headers of the answer that are passed on as they are.
    lines: Option<Lines>,
}

enum Content {
    Empty,
    Whole(Bytes),
    Stream(Coming),
    /// For a client that can stop taking this answer alone.
    Held(Rc<Held>),
    /// One of the others, packed as it passes.
    Packed(Box<Packed>),
}

/// A body that is packed as it passes.
struct Packed {
    inner: Content,
    /// `None` once all is packed.
    packer: Option<Packer>,
    /// What comes behind.
    trailers: Option<HeaderMap>,
}

impl Content {
    fn poll(&mut self, now_ms: u64, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Stream(coming) => coming.poll_frame(cx),
            Self::Held(held) => held.poll_frame(now_ms, cx),
            Self::Packed(packed) => packed.poll(now_ms, cx),
        }
    }

    fn is_ended(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(_) => false,
            Self::Stream(coming) => coming.is_ended(),
            Self::Held(held) => held.is_ended(),
            Self::Packed(packed) => packed.packer.is_none() && packed.trailers.is_none(),
        }
    }

    /// Has an answer watched that its client may stop taking.
    fn watched(self, call: &Call) -> Self {
        match self {
            Self::Stream(coming) => Self::Held(call.hold(coming)),
            Self::Packed(mut packed) => {
                packed.inner = packed.inner.watched(call);
                Self::Packed(packed)
            }
            other => other,
        }
    }
}

impl Packed {
    fn poll(&mut self, now_ms: u64, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        loop {
            let Some(packer) = &mut self.packer else {
                return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            let packed = match ready!(self.inner.poll(now_ms, cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => packer.pack(&piece),
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        let end = packer.finish();
                        self.packer = None;
                        end
                    }
                },
                Some(Err(error)) => {
                    self.packer = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let end = packer.finish();
                    self.packer = None;
                    end
                }
            };
            if !packed.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(packed))));
            }
        }
    }
}

impl ReplyBody {
    /// Makes a body of bytes.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::of(if bytes.is_empty() { Content::Empty } else { Content::Whole(bytes) })
    }

    fn of(content: Content) -> Self {
        // Made where it stays.
        let room = Box::new_uninit();
        Self(Box::write(room, Reply { content, call: None, waiting: None, copying: None, lines: None }))
    }

    /// Makes a body of what a backend sent.
    pub(crate) fn from_answer(body: AnswerBody, lines: Option<Lines>) -> Self {
        let mut body = match body {
            AnswerBody::Whole(bytes) => Self::whole(bytes),
            AnswerBody::Stream(coming) => Self::of(Content::Stream(coming)),
        };
        body.0.lines = lines;
        body
    }

    /// Says whether all of it is at hand.
    pub(crate) fn is_at_hand(&self) -> bool {
        matches!(self.0.content, Content::Empty | Content::Whole(_))
    }

    /// Takes the headers that are passed on as they are.
    pub(crate) fn take_lines(&mut self) -> Option<Lines> {
        self.0.lines.take()
    }

    /// Returns them, to add others.
    pub(crate) fn lines_mut(&mut self) -> Option<&mut Lines> {
        self.0.lines.as_mut()
    }

    /// Has it packed: at once where all of it is at hand.
    pub(crate) fn packed(mut self) -> Self {
        self.0.content = match self.0.content {
            Content::Empty => Content::Empty,
            Content::Whole(bytes) => Content::Whole(packing::pack(&bytes)),
            inner => Content::Packed(Box::new(Packed { inner, packer: Some(Packer::new()), trailers: None })),
        };
        self
    }

    /// Returns what of a piece goes to the client; nothing more follows the last one.
    fn give(&mut self, measured: Measured) -> Option<Result<Frame<Bytes>, UpstreamError>> {
        if let (Some(call), Measured::Whole(piece) | Measured::Last(piece)) = (&self.0.call, &measured) {
            call.passes(piece);
        }
        match measured {
            Measured::Whole(piece) => Some(Ok(Frame::data(piece))),
            Measured::Last(piece) => {
                self.0.content = Content::Empty;
                (!piece.is_empty()).then(|| Ok(Frame::data(piece)))
            }
        }
    }

    /// Has what passes kept: at once where all of it is at hand.
    pub(crate) fn keep(&mut self, copying: Copying) {
        match &self.0.content {
            Content::Empty => copying.finish(),
            Content::Whole(bytes) => copying.finish_with(bytes.clone()),
            Content::Stream(_) | Content::Held(_) | Content::Packed(_) => self.0.copying = Some(Box::new(copying)),
        }
    }

    /// Keeps a piece that a backend sent, and all of them once the last has come.
    fn copy(&mut self, frame: Option<&Result<Frame<Bytes>, UpstreamError>>) {
        let Some(mut copying) = self.0.copying.take() else { return };
        let is_whole = match frame {
            None => true,
            Some(Ok(frame)) => match frame.data_ref() {
                Some(piece) if copying.take(piece) => self.0.content.is_ended(),
                // Too large; or trailers, which are not kept.
                _ => return,
            },
            Some(Err(_)) => return,
        };
        if is_whole { copying.finish() } else { self.0.copying = Some(copying) }
    }

    /// Has `call` end with this body.
    pub(crate) fn attach(&mut self, call: Call) {
        if call.is_multiplexed() {
            self.0.content = std::mem::replace(&mut self.0.content, Content::Empty).watched(&call);
        }
        // A body is one call's.
        self.0.call.get_or_insert(call);
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = &mut *self;
        if let Some(measured) = ready!(meter::poll(&mut this.0.waiting, cx)) {
            return Poll::Ready(this.give(measured));
        }
        let now_ms = this.0.call.as_ref().map_or(0, Call::now_ms);
        let frame = ready!(this.0.content.poll(now_ms, cx));
        if this.0.copying.is_some() {
            this.copy(frame.as_ref());
        }
        let Some(call) = &this.0.call else { return Poll::Ready(frame) };
        match frame {
            Some(Ok(frame)) => match frame.into_data().map(|piece| call.measure(piece)) {
                Ok(Ok(measured)) => Poll::Ready(this.give(measured)),
                Ok(Err(measuring)) => {
                    this.0.waiting = Some(measuring);
                    self.poll_frame(cx)
                }
                Err(trailers) => Poll::Ready(Some(Ok(trailers))),
            },
            Some(Err(error)) => {
                call.answer_broke(&error);
                Poll::Ready(Some(Err(error)))
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.waiting.is_none() && self.0.content.is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(coming) => coming.size_hint(),
            Content::Held(held) => held.size_hint(),
            Content::Packed(_) => SizeHint::default(),
        }
    }
}
