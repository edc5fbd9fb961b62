//! A declarative file as a tree whose every node knows its line, so that what cannot be taken over is named with it.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::exit::Exit;
use crate::failure::{Failure, why_no_yaml};

/// Bytes of a file.
const BYTES_MAX: u64 = 16 << 20;

/// A node of the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The line, from 1.
    pub line: u64,
    /// What is there.
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Nothing, or `null`.
    Nothing,
    /// True or false.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Names with values, in their order.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Reads a file: YAML, or JSON, which is YAML too.
    ///
    /// # Errors
    /// Where it cannot be read, or is neither.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let what = format!("{} cannot be read", file.display());
        let mut text = String::new();
        let opened = File::open(file).and_then(|open| open.take(BYTES_MAX + 1).read_to_string(&mut text));
        opened.map_err(|cause| Failure::from_io(what.clone(), &cause, "check that the path is right"))?;
        if text.len() as u64 > BYTES_MAX {
            let why = format!("it has more than {BYTES_MAX} bytes");
            return Err(Failure::new(Exit::Failed, what, why, "divide it"));
        }
        Self::of_text(&text).map_err(|why| Failure::new(Exit::Failed, what, why, "correct the line that it names"))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// Where it is no YAML, with the line.
    pub fn of_text(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|fault| why_no_yaml(&fault))
    }

    /// Returns the value of a name; `None` where there is none, or it is nothing.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Content::Map(fields) = &self.content else { return None };
        let found = fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
        found.filter(|value| value.content != Content::Nothing)
    }

    /// Returns the names with their values; nothing where it is no map.
    pub fn fields(&self) -> &[(String, Self)] {
        if let Content::Map(fields) = &self.content { fields } else { &[] }
    }

    /// Returns the items of a list, or of a value that stands for a list of one.
    pub fn items(&self) -> &[Self] {
        match &self.content {
            Content::List(items) => items,
            Content::Nothing => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// Returns the items of a list of a name; nothing where there is none.
    pub fn list(&self, name: &str) -> &[Self] {
        self.get(name).map_or(&[], Self::items)
    }

    /// Returns it as a text: also a number, as ids and versions are written.
    pub fn text(&self) -> Option<String> {
        match &self.content {
            Content::Text(text) => Some(text.clone()),
            Content::Number(number) => Some(number.to_string()),
            Content::Flag(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// Returns the text of a name.
    pub fn text_of(&self, name: &str) -> Option<String> {
        self.get(name)?.text()
    }

    /// Returns the texts in the list of a name.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).iter().filter_map(Self::text).collect()
    }

    /// Returns the whole number of a name.
    pub fn number_of(&self, name: &str) -> Option<u64> {
        match self.get(name)?.content {
            // Beyond 2^53 neither of them has numbers.
            Content::Number(number) if (0.0..9e15).contains(&number) => Some(number as u64),
            _ => None,
        }
    }

    /// Returns the flag of a name.
    pub fn flag_of(&self, name: &str) -> Option<bool> {
        if let Content::Flag(flag) = self.get(name)?.content { Some(flag) } else { None }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), content: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Content, E> {
        Ok(Content::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Content, E> {
        Ok(Content::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Content, E> {
        Ok(Content::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Content, E> {
        Ok(Content::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Nothing)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Content, A::Error> {
        let mut map = Vec::new();
        while let Some(name) = fields.next_key::<String>()? {
            map.push((name, fields.next_value()?));
        }
        Ok(Content::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_knows_its_line_in_yaml_and_in_json() {
        let yaml = "_format_version: \"3.0\"\nservices:\n- name: a\n  port: 80\n  routes:\n  - paths: [/x]\n    strip_path: false\n";
        let tree = Node::of_text(yaml).unwrap();
        let service = &tree.list("services")[0];
        assert_eq!(
            (service.line, service.text_of("name"), service.number_of("port")),
            (3, Some("a".to_owned()), Some(80))
        );
        let route = &service.list("routes")[0];
        assert_eq!(
            (route.line, route.texts("paths"), route.flag_of("strip_path")),
            (6, vec!["/x".to_owned()], Some(false))
        );
        assert_eq!(route.get("strip_path").unwrap().line, 7);
        let json = "{\n \"services\": [\n  {\"name\": \"a\", \"path\": null}]}";
        let tree = Node::of_text(json).unwrap();
        assert_eq!((tree.list("services")[0].line, tree.list("services")[0].get("path")), (3, None));
        assert!(Node::of_text("a: [1").unwrap_err().contains("line"));
    }
}
