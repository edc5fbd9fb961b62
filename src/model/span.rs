//! Spans of calls, as OpenTelemetry has them, and the context by which they are joined to those of others (W3C Trace
//! Context, `traceparent`).

use std::sync::Arc;
use std::time::Duration;

/// The context that comes with a call, or goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never all zeros.
    pub trace: [u8; 16],
    /// The span that is the parent of what follows; never all zeros.
    pub span: [u8; 8],
    /// Whether whoever began the trace records it.
    pub is_sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`; `None` where it is not valid, of which nothing is to be kept.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (version, flags) = (byte(text.get(..2)?)?, byte(text.get(53..55)?)?);
        let has_dashes = [2, 35, 52].iter().all(|at| text.get(*at) == Some(&b'-'));
        // Later versions may say more behind what is known.
        let has_known_end = text.len() == 55 || (version > 0 && text.get(55) == Some(&b'-'));
        if version == 0xff || !has_dashes || !has_known_end {
            return None;
        }
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        fill(&mut trace, text.get(3..35)?)?;
        fill(&mut span, text.get(36..52)?)?;
        let is_there = trace != [0; 16] && span != [0; 8];
        is_there.then_some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }

    /// Writes it as a `traceparent`.
    #[must_use]
    pub fn as_traceparent(&self) -> String {
        let flags = if self.is_sampled { "01" } else { "00" };
        format!("00-{}-{}-{flags}", hexadecimal(&self.trace), hexadecimal(&self.span))
    }
}

/// Writes bytes in hexadecimal.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // To write into a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn fill(bytes: &mut [u8], text: &[u8]) -> Option<()> {
    for (place, digits) in bytes.iter_mut().zip(text.chunks(2)) {
        *place = byte(digits)?;
    }
    Some(())
}

/// Reads two digits; capital letters are not valid.
fn byte(digits: &[u8]) -> Option<u8> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let &[high, low] = digits else { return None };
    Some(digit(high)? << 4 | digit(low)?)
}

/// Whose work a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Of the program itself.
    Internal,
    /// That of answering a request.
    Server,
    /// That of asking somebody else.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum SpanValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// What was done, from when to when.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its id.
    pub id: [u8; 8],
    /// Of which span it is a part; `None` for the first of a trace.
    pub parent: Option<[u8; 8]>,
    /// Whose work it is.
    pub kind: SpanKind,
    /// Its name: one of few.
    pub name: String,
    /// When it began, in nanoseconds since 1970.
    pub begin_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Whether it failed.
    pub is_error: bool,
    /// What is said of it.
    pub attributes: Vec<(&'static str, SpanValue)>,
}

/// The spans of one call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallTrace {
    /// The trace they belong to.
    pub trace: [u8; 16],
    /// The spans.
    pub spans: Vec<Span>,
}

/// Where spans of calls go.
pub trait CallTraces: Send + Sync {
    /// Takes the spans of calls that ended at a worker since the last time; `dropped` more calls ended for which it had no
    /// room. Does not wait: what there is no room for is dropped and counted.
    fn take(&self, traces: Vec<CallTrace>, dropped: u64);
}

/// Which calls are traced, and where their spans go.
#[derive(Clone)]
pub struct Tracing {
    /// Where they go.
    pub sink: Arc<dyn CallTraces>,
    /// Of a million calls that come without a context, so many are traced. Of those with one, those that are sampled.
    pub sampled_per_million: u32,
    /// Whether calls are traced that are answered with 5xx, though they were not chosen.
    pub traces_errors: bool,
    /// How long a call takes until the head of its answer that is traced though it was not chosen; `None` for none.
    pub slow: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::TraceContext;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written() {
        let context = TraceContext::parse(GOOD.as_bytes()).unwrap();
        assert!(context.is_sampled);
        assert_eq!(context.as_traceparent(), GOOD);
        let later = format!("cc{}-what-comes", &GOOD[2..]);
        assert_eq!(TraceContext::parse(later.as_bytes()), Some(context));
        let unsampled = GOOD.replace("-01", "-00");
        assert_eq!(TraceContext::parse(unsampled.as_bytes()).unwrap().as_traceparent(), unsampled);
    }

    #[test]
    fn what_is_not_valid_is_none() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01what",
        ] {
            assert_eq!(TraceContext::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
