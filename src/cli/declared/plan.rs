//! What is to be done about one object, and how that is told.

use serde_json::{Value, json};

use super::compare::{self, Change};
use super::file::Object;
use super::kind::{Key, Kind, Shape};
use super::placeholder;
use super::server::Found;
use crate::exit::Exit;
use crate::failure::Failure;

/// Characters of a value that are shown of a change.
const SHOWN_CHARS_MAX: usize = 60;

/// What is done about an object.
#[derive(Clone, Debug)]
pub enum Action {
    /// It is not there.
    Create(Object),
    /// It is other than its file says.
    Update(Object, Found, Vec<Change>),
    /// It is as its file says.
    Same,
    /// It is in no file.
    Delete(Found),
}

/// One object, and what is done about it.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it is.
    pub kind: &'static Kind,
    /// What tells it apart.
    pub key: Key,
    /// What is done.
    pub action: Action,
    /// The file that says so, where one does.
    place: String,
}

/// Says what is to be done about an object of a file.
///
/// # Errors
/// Where a text stands for something that cannot be read, or an API would have to become one of another type.
pub fn step(object: &Object, there: &[Found], sends_secrets: bool) -> Result<Step, Failure> {
    let step = |action| Step { kind: object.kind, key: object.key.clone(), action, place: object.place.clone() };
    let found = there.iter().find(|found| found.key == object.key);
    let Some(found) = found else {
        return Ok(step(Action::Create(object.clone())));
    };
    keeps_type(object, found).map_err(|failure| step(Action::Same).blame(&failure))?;
    let compared = compare::changes(&object.spec, &found.spec, &object.directory);
    let mut changes = compared.map_err(|failure| step(Action::Same).blame(&failure))?;
    let wants_deployments = object.spec["deployments"].as_array().is_some_and(|wanted| !wanted.is_empty());
    if let Some(stale) = found.stale.as_ref().filter(|_| wants_deployments || object.kind.shape == Shape::Product) {
        let to = json!("the state of now");
        changes.push(Change { path: (*stale).to_owned(), from: json!("an earlier state"), to });
    }
    if sends_secrets && changes.is_empty() && placeholder::is_within(&object.spec) {
        changes.push(Change { path: "secrets".to_owned(), from: Value::Null, to: json!("sent again") });
    }
    if changes.is_empty() {
        return Ok(step(Action::Same));
    }
    Ok(step(Action::Update(object.clone(), found.clone(), changes)))
}

/// Refuses to make an API one of another type, which a server would pass over.
fn keeps_type(object: &Object, found: &Found) -> Result<(), Failure> {
    let (Some(wanted), Some(is)) = (object.spec["type"].as_str(), found.raw["type"].as_str()) else { return Ok(()) };
    if object.kind.shape != Shape::Api || wanted.eq_ignore_ascii_case(is) {
        return Ok(());
    }
    let why = format!("it is {is}, and an API keeps its type");
    let next = "give the other one a name or a version of its own";
    Err(Failure::new(Exit::Conflict, format!("spec.type cannot become {wanted}"), why, next))
}

impl Step {
    /// The deletion of something.
    pub fn delete(kind: &'static Kind, found: Found) -> Self {
        Self { kind, key: found.key.clone(), action: Action::Delete(found), place: String::new() }
    }

    /// Returns what it is about.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind.word, self.key)
    }

    /// Says which object something went wrong with.
    pub fn blame(&self, failure: &Failure) -> Failure {
        let place = if self.place.is_empty() { String::new() } else { format!(" ({})", self.place) };
        let what = format!("{}{place} is not as it is to be", self.title());
        let next = format!("{}; then give the command again: what is done stays done", failure.next_step());
        Failure::new(
            match failure.exit {
                Exit::Usage => Exit::Failed,
                other => other,
            },
            what,
            failure.summary(),
            next,
        )
    }

    /// Returns it as people read it.
    pub fn as_text(&self, is_only_planned: bool) -> String {
        let title = self.title();
        let (sign, word, changes) = match &self.action {
            Action::Create(_) => ("+", if is_only_planned { "to be made" } else { "made" }, &[][..]),
            Action::Update(_, _, changes) => {
                ("~", if is_only_planned { "to be changed" } else { "changed" }, &changes[..])
            }
            Action::Same => (" ", "as it is", &[][..]),
            Action::Delete(_) => ("-", if is_only_planned { "to be deleted" } else { "deleted" }, &[][..]),
        };
        let mut text = format!("{sign} {title}: {word}");
        for change in changes {
            text.push_str(&format!("\n    {}: {} → {}", change.path, shown(&change.from), shown(&change.to)));
        }
        text
    }

    /// Returns it as programs read it.
    pub fn as_json(&self) -> Value {
        let (word, changes) = match &self.action {
            Action::Create(_) => ("create", json!([])),
            Action::Update(_, _, changes) => ("update", json!(changes)),
            Action::Same => ("none", json!([])),
            Action::Delete(_) => ("delete", json!([])),
        };
        json!({
            "action": word, "kind": self.kind.word, "name": self.key.name, "version": self.key.version, "changes": changes,
        })
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return text;
    }
    text.chars().take(SHOWN_CHARS_MAX).chain("…".chars()).collect()
}
