//! A document of XML as a tree, bounded in depth and size, with the namespaces of its names resolved. Nothing that it
//! refers to is fetched, and no entity is expanded.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// How deep a document may be nested.
const DEPTH_MAX: usize = 128;
/// Elements of a document.
const ELEMENTS_MAX: usize = 50_000;

/// An element.
#[derive(Clone, Debug, Default)]
pub(super) struct Element {
    /// Its name without a prefix.
    pub(super) name: String,
    /// Its namespace.
    pub(super) namespace: String,
    attributes: BTreeMap<String, String>,
    /// The namespaces that hold within it, by prefix.
    scope: BTreeMap<String, String>,
    pub(super) children: Vec<Element>,
}

/// A name with its namespace.
pub(super) type Qualified = (String, String);

impl Element {
    /// Returns an attribute by its name without a prefix.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// Returns the children of a name.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> + 'a {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Returns what an attribute names.
    pub(super) fn qualified(&self, attribute: &str) -> Option<Qualified> {
        let (prefix, name) = {
            let text = self.attribute(attribute)?.trim();
            text.split_once(':').unwrap_or(("", text))
        };
        Some((self.scope.get(prefix).cloned().unwrap_or_default(), name.to_owned()))
    }
}

/// Reads a document.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(text: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    let mut count = 0_usize;
    loop {
        match reader.read_event().map_err(not_xml)? {
            Event::Start(start) => {
                count += 1;
                if open.len() >= DEPTH_MAX {
                    return Err(format!("is nested more than {DEPTH_MAX} deep"));
                }
                if count > ELEMENTS_MAX {
                    return Err(format!("has more than {ELEMENTS_MAX} elements"));
                }
                open.push(begun(&start, open.last())?);
            }
            Event::End(_) => {
                let Some(ended) = open.pop() else {
                    return Err("not valid XML: an end without a beginning".to_owned());
                };
                match open.last_mut() {
                    Some(outer) => outer.children.push(ended),
                    None => return Ok(ended),
                }
            }
            Event::DocType(_) => return Err("a DOCTYPE is not accepted".to_owned()),
            Event::Eof => return Err("not valid XML: an element is not closed".to_owned()),
            _ => {}
        }
    }
}

fn begun(start: &BytesStart<'_>, outer: Option<&Element>) -> Result<Element, String> {
    let mut element =
        Element { scope: outer.map(|outer| outer.scope.clone()).unwrap_or_default(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(not_xml)?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(not_xml)?.into_owned();
        let key = attribute.key.as_ref();
        match key.strip_prefix("xmlns") {
            Some("") => drop(element.scope.insert(String::new(), value)),
            Some(prefix) if prefix.starts_with(':') => drop(element.scope.insert(prefix[1..].to_owned(), value)),
            _ => drop(element.attributes.insert(attribute.key.local_name().as_ref().to_owned(), value)),
        }
    }
    let name = start.name();
    let text = name.as_ref();
    let (prefix, local) = text.split_once(':').unwrap_or(("", text));
    element.namespace = element.scope.get(prefix).cloned().unwrap_or_default();
    element.name = local.to_owned();
    Ok(element)
}

fn not_xml(error: impl std::fmt::Display) -> String {
    format!("not valid XML: {error}")
}
