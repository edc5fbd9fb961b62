//! What the clients and the nemesis did, in the order in which it happened, in Jepsen's shape. Judges nothing.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Map, Value, json};

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Process {
    /// A client; a number is never used again after an operation of unknown outcome.
    Client(u64),
    /// What makes faults.
    Nemesis,
}

/// Which moment of an operation an entry tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It begins.
    Invoke,
    /// It surely happened.
    Ok,
    /// It surely did not happen.
    Fail,
    /// It may have happened, or may yet; also every entry of the nemesis.
    Info,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Info => "info",
        }
    }
}

/// One entry of a history.
#[derive(Clone, Debug)]
pub struct Op {
    /// Its place, from 0.
    pub index: usize,
    /// Nanoseconds since the start, on one monotonic clock.
    pub time: u64,
    /// Who.
    pub process: Process,
    /// Which moment.
    pub kind: Kind,
    /// What is done.
    pub f: String,
    /// With what, or what came of it.
    pub value: Value,
    /// Everything else, such as the node it was sent to.
    pub extra: Map<String, Value>,
}

impl Op {
    /// Returns the entry as a JSON object.
    pub fn to_json(&self) -> Value {
        let process = match self.process {
            Process::Client(number) => json!(number),
            Process::Nemesis => json!("nemesis"),
        };
        let mut object = Map::new();
        object.insert("index".to_owned(), json!(self.index));
        object.insert("time".to_owned(), json!(self.time));
        object.insert("process".to_owned(), process);
        object.insert("type".to_owned(), json!(self.kind.word()));
        object.insert("f".to_owned(), json!(self.f));
        object.insert("value".to_owned(), self.value.clone());
        object.extend(self.extra.clone());
        Value::Object(object)
    }

    fn from_json(value: Value) -> Result<Self> {
        let Value::Object(mut object) = value else { bail!("not an object") };
        let mut take = |name: &str| object.remove(name).ok_or_else(|| anyhow!("no field {name}"));
        let number = |value: &Value| value.as_u64().ok_or_else(|| anyhow!("{value} is not a number"));
        let index = usize::try_from(number(&take("index")?)?)?;
        let time = number(&take("time")?)?;
        let process = match take("process")? {
            Value::String(_) => Process::Nemesis,
            other => Process::Client(number(&other)?),
        };
        let kind = match take("type")?.as_str() {
            Some("invoke") => Kind::Invoke,
            Some("ok") => Kind::Ok,
            Some("fail") => Kind::Fail,
            Some("info") => Kind::Info,
            other => bail!("type {other:?}"),
        };
        let f = take("f")?.as_str().unwrap_or_default().to_owned();
        let value = take("value").unwrap_or(Value::Null);
        Ok(Self { index, time, process, kind, f, value, extra: object })
    }

    /// Returns an extra field as a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.extra.get(name).and_then(Value::as_u64)
    }

    /// Returns an extra field as text, empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.extra.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// An operation from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Span<'a> {
    /// How it began.
    pub invoke: &'a Op,
    /// How it ended, if that was seen.
    pub end: Option<&'a Op>,
}

impl Span<'_> {
    /// Returns how it ended; one that was cut off is of unknown outcome.
    pub fn kind(&self) -> Kind {
        self.end.map_or(Kind::Info, |end| end.kind)
    }

    /// Returns when it ended, in nanoseconds; the end of time where that is not known.
    pub fn ended(&self) -> u64 {
        self.end.filter(|end| end.kind != Kind::Info).map_or(u64::MAX, |end| end.time)
    }
}

/// Pairs the entries of clients, in the order of their beginnings.
pub fn spans(history: &[Op]) -> Vec<Span<'_>> {
    let mut open = std::collections::HashMap::new();
    let mut spans: Vec<Span<'_>> = Vec::new();
    for op in history.iter().filter(|op| op.process != Process::Nemesis) {
        if op.kind == Kind::Invoke {
            open.insert(op.process, spans.len());
            spans.push(Span { invoke: op, end: None });
        } else if let Some(position) = open.remove(&op.process) {
            spans[position].end = Some(op);
        }
    }
    spans
}

/// Writes a history down while it happens.
pub struct Recorder {
    inner: Mutex<Inner>,
    started: Instant,
}

struct Inner {
    ops: Vec<Op>,
    file: BufWriter<File>,
}

impl Recorder {
    /// Starts a history that is also written to a file, one JSON object per line. Its times are since `started`: histories
    /// of one run have one clock.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn create(path: &Path, started: Instant) -> Result<Self> {
        let file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
        Ok(Self { inner: Mutex::new(Inner { ops: Vec::new(), file }), started })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic between two pushes leaves a history that is whole up to there.
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Adds an entry, with the time of now.
    pub fn push(&self, process: Process, kind: Kind, f: &str, value: Value, extra: Map<String, Value>) {
        let mut inner = self.lock();
        let time = self.now();
        let op = Op { index: inner.ops.len(), time, process, kind, f: f.to_owned(), value, extra };
        // The history in memory is what counts; a full disk shows when it is flushed.
        let _ = writeln!(inner.file, "{}", op.to_json());
        inner.ops.push(op);
    }

    /// Returns the nanoseconds since the start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Returns the whole history so far, after it was written to the file.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn finish(&self) -> Result<Vec<Op>> {
        let mut inner = self.lock();
        inner.file.flush().context("history.jsonl")?;
        Ok(inner.ops.clone())
    }
}

/// Reads a history from JSON lines.
///
/// # Errors
/// Where the file cannot be read or is not a history.
pub fn read(path: &Path) -> Result<Vec<Op>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut ops = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let op = serde_json::from_str(&line).map_err(anyhow::Error::from).and_then(Op::from_json);
        ops.push(op.with_context(|| format!("{}:{}", path.display(), number + 1))?);
    }
    Ok(ops)
}

/// Writes a history as EDN, one map per line, as Jepsen's `history.edn` is.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_edn(path: &Path, history: &[Op]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
    for op in history {
        writeln!(file, "{}", edn(&op.to_json(), true))?;
    }
    file.flush()?;
    Ok(())
}

/// Returns a JSON value as EDN. Words of the entry itself (`type`, `f`, `process`) are keywords.
fn edn(value: &Value, is_entry: bool) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| edn(item, false)).collect::<Vec<_>>().join(" "))
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                let is_keyword = is_entry && ["type", "f", "process"].contains(&name.as_str());
                match value.as_str().filter(|_| is_keyword) {
                    Some(word) => format!(":{name} :{word}"),
                    None => format!(":{name} {}", edn(value, false)),
                }
            };
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Makes histories for tests of checkers.
#[cfg(test)]
pub mod testing {
    use super::*;

    /// Returns the history of these entries: process (`-1` is the nemesis), kind, f, value, extra.
    pub fn history(entries: &[(i64, Kind, &str, Value, Value)]) -> Vec<Op> {
        let op = |(index, (process, kind, f, value, extra)): (usize, &(i64, Kind, &str, Value, Value))| Op {
            index,
            time: index as u64 * 1_000_000,
            process: u64::try_from(*process).map_or(Process::Nemesis, Process::Client),
            kind: *kind,
            f: (*f).to_owned(),
            value: value.clone(),
            extra: extra.as_object().cloned().unwrap_or_default(),
        };
        entries.iter().enumerate().map(op).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_survives_its_file_and_edn_has_jepsens_keywords() {
        let directory = std::env::temp_dir().join(format!("portcullis-jepsen-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("history.jsonl");
        let recorder = Recorder::create(&path, Instant::now()).unwrap();
        let extra = json!({"node": 2}).as_object().cloned().unwrap();
        recorder.push(Process::Client(0), Kind::Invoke, "cas", json!([1, [0, 5]]), extra);
        recorder.push(Process::Nemesis, Kind::Info, "kill", Value::Null, Map::new());
        let history = recorder.finish().unwrap();
        let again = read(&path).unwrap();
        assert_eq!(history[0].to_json(), again[0].to_json());
        assert_eq!(again[1].process, Process::Nemesis);
        write_edn(&directory.join("history.edn"), &again).unwrap();
        let text = std::fs::read_to_string(directory.join("history.edn")).unwrap();
        assert!(text.contains(":process 0, :type :invoke, :f :cas, :value [1 [0 5]], :node 2"), "{text}");
        assert!(text.contains(":process :nemesis, :type :info, :f :kill, :value nil"), "{text}");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
