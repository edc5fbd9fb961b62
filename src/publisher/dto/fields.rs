//! Reads typed fields out of a JSON object and collects every fault, so that a caller sees all of them at once. What
//! is not read stays, to be kept unchanged.

use serde_json::{Map, Value};

use crate::fault::FieldFault;

/// A JSON object being read.
#[derive(Debug)]
pub struct Fields {
    prefix: String,
    map: Map<String, Value>,
    faults: Vec<FieldFault>,
}

impl Fields {
    /// Begins to read an object; `prefix` is its path in the request, with the final dot, or empty.
    #[must_use]
    pub fn new(prefix: impl Into<String>, map: Map<String, Value>) -> Self {
        Self { prefix: prefix.into(), map, faults: Vec::new() }
    }

    /// Ends the reading of a whole body: the fields nobody read.
    ///
    /// # Errors
    /// Every fault found.
    pub fn finish(self) -> Result<Map<String, Value>, Vec<FieldFault>> {
        if self.faults.is_empty() { Ok(self.map) } else { Err(self.faults) }
    }

    /// Ends the reading of a part: the fields nobody read, and the faults into `faults`.
    pub fn finish_into(self, faults: &mut Vec<FieldFault>) -> Map<String, Value> {
        faults.extend(self.faults);
        self.map
    }

    /// Notes a fault of a field.
    pub fn fault(&mut self, name: &str, reason: impl Into<String>) {
        self.faults.push(FieldFault::new(format!("{}{name}", self.prefix), reason));
    }

    /// Notes faults found elsewhere.
    pub fn faults(&mut self, faults: Vec<FieldFault>) {
        self.faults.extend(faults);
    }

    /// Returns what was not read yet.
    #[must_use]
    pub fn rest(&self) -> &Map<String, Value> {
        &self.map
    }

    /// Takes a field of any type; `null` counts as absent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    fn wrong(&mut self, name: &str, wanted: &str, value: &Value) {
        self.fault(name, format!("must be {wanted}, not {}", name_of_type(value)));
    }

    /// Takes a text of at most `chars_max` characters.
    pub fn text(&mut self, name: &str, chars_max: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.chars().count() <= chars_max => Some(text),
            Value::String(text) => {
                let chars = text.chars().count();
                self.fault(name, format!("has {chars} characters; at most {chars_max} are accepted"));
                None
            }
            other => {
                self.wrong(name, "a text", &other);
                None
            }
        }
    }

    /// Takes `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            other => {
                self.wrong(name, "true or false", &other);
                None
            }
        }
    }

    /// Takes a whole number of 0 or more.
    pub fn number(&mut self, name: &str) -> Option<u64> {
        let value = self.take(name)?;
        let number = value.as_u64();
        if number.is_none() {
            self.wrong(name, "a whole number of 0 or more", &value);
        }
        number
    }

    /// Takes an object.
    pub fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.take(name)? {
            Value::Object(map) => Some(map),
            // As the original's own sample projects have it where there is none.
            Value::String(text) if text.is_empty() => None,
            other => {
                self.wrong(name, "an object", &other);
                None
            }
        }
    }

    /// Takes a list of at most `count_max` items.
    pub fn list(&mut self, name: &str, count_max: usize) -> Option<Vec<Value>> {
        match self.take(name)? {
            Value::Array(items) if items.len() <= count_max => Some(items),
            Value::Array(items) => {
                self.fault(name, format!("has {} items; at most {count_max} are accepted", items.len()));
                None
            }
            other => {
                self.wrong(name, "a list", &other);
                None
            }
        }
    }

    /// Takes a list of texts, each of at most `chars_max` characters.
    pub fn texts(&mut self, name: &str, count_max: usize, chars_max: usize) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        for (number, item) in self.list(name, count_max)?.into_iter().enumerate() {
            match item {
                Value::String(text) if text.chars().count() <= chars_max => texts.push(text),
                Value::String(_) => {
                    self.fault(&format!("{name}[{number}]"), format!("has more than {chars_max} characters"));
                }
                other => self.wrong(&format!("{name}[{number}]"), "a text", &other),
            }
        }
        Some(texts)
    }

    /// Takes one of the named values, whatever the case of its letters.
    pub fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name, 64)?;
        let found = choices.iter().find(|(one, _)| one.eq_ignore_ascii_case(&text)).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(one, _)| *one).collect();
            self.fault(name, format!("is {text}; one of {} is accepted", names.join(", ")));
        }
        found
    }
}

/// Returns what a reader calls the type of a value.
#[must_use]
pub fn name_of_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
