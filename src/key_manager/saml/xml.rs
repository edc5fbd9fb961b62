//! XML as a tree, within bounds: for documents that others wrote and signed. A document with a DTD is refused: with it go
//! entities that grow and attributes that appear from nowhere.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// How deep elements may be nested.
const DEPTH_MAX: usize = 32;
/// Elements and attributes of one document.
const PARTS_MAX: usize = 4_000;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) prefix: String,
    pub(super) local: String,
    /// The namespaces that it declares, by prefix; the empty prefix is the default one.
    pub(super) namespaces: Vec<(String, String)>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) children: Vec<Node>,
}

/// An attribute that declares no namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) prefix: String,
    pub(super) local: String,
    pub(super) value: String,
}

/// What is in an element. Comments are left out: the canonical form has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Element(Element),
    Text(String),
    Instruction(String, String),
}

impl Element {
    /// Returns the child elements.
    pub(super) fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) | Node::Instruction(..) => None,
        })
    }

    /// Returns the one child of that name; `None` where there is none, or more than one.
    pub(super) fn only(&self, local: &str) -> Option<&Self> {
        let mut named = self.elements().filter(|element| element.local == local);
        named.next().filter(|_| named.next().is_none())
    }

    /// Returns an attribute without a prefix.
    pub(super) fn attribute(&self, local: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|one| one.prefix.is_empty() && one.local == local);
        found.map(|one| one.value.as_str())
    }

    /// Returns its text; `None` where there is anything but text in it.
    pub(super) fn text(&self) -> Option<String> {
        let mut whole = String::new();
        for child in &self.children {
            match child {
                Node::Text(text) => whole.push_str(text),
                Node::Element(_) | Node::Instruction(..) => return None,
            }
        }
        Some(whole.trim().to_owned())
    }

    /// Returns the namespace that a prefix means in it, by what it declares itself.
    pub(super) fn declared(&self, prefix: &str) -> Option<&str> {
        self.namespaces.iter().find(|(one, _)| one == prefix).map(|(_, uri)| uri.as_str())
    }
}

/// Reads a document: its one element.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(text: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let (mut open, mut root, mut parts): (Vec<Element>, Option<Element>, usize) = (Vec::new(), None, 0);
    loop {
        match reader.read_event().map_err(|why| format!("it is not XML: {why}"))? {
            Event::Start(start) => {
                let element = begun(&start)?;
                parts += 1 + element.attributes.len() + element.namespaces.len();
                if open.len() >= DEPTH_MAX || parts > PARTS_MAX || (open.is_empty() && root.is_some()) {
                    return Err("it is nested too deep, or has too many parts".to_owned());
                }
                open.push(element);
            }
            Event::End(_) => {
                let ended = open.pop().ok_or("an element ends that did not begin")?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(Node::Element(ended)),
                    None => root = Some(ended),
                }
            }
            Event::Text(text) => say(&mut open, &text.xml10_content())?,
            Event::CData(text) => say(&mut open, &text.xml10_content())?,
            Event::GeneralRef(named) => say(&mut open, &resolved(&named)?)?,
            Event::PI(instruction) => {
                if let Some(element) = open.last_mut() {
                    let (target, content) =
                        (instruction.target().to_owned(), instruction.content().trim_start().to_owned());
                    element.children.push(Node::Instruction(target, content));
                }
            }
            Event::DocType(_) => return Err("it has a DTD".to_owned()),
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Empty(_) => return Err("an empty element was not expanded".to_owned()),
            Event::Eof => break,
        }
    }
    root.filter(|_| open.is_empty()).ok_or_else(|| "it has no end".to_owned())
}

fn say(open: &mut [Element], text: &str) -> Result<(), String> {
    let Some(element) = open.last_mut() else {
        return if text.trim().is_empty() { Ok(()) } else { Err("there is text outside of it".to_owned()) };
    };
    match element.children.last_mut() {
        Some(Node::Text(before)) => before.push_str(text),
        _ => element.children.push(Node::Text(text.to_owned())),
    }
    Ok(())
}

fn resolved(named: &BytesRef<'_>) -> Result<String, String> {
    if let Some(letter) = named.resolve_char_ref().map_err(|why| why.to_string())? {
        return Ok(letter.to_string());
    }
    let name = named.xml10_content();
    let text = quick_xml::escape::resolve_predefined_entity(&name);
    text.map(str::to_owned).ok_or_else(|| format!("there is no entity {name}"))
}

fn begun(start: &BytesStart<'_>) -> Result<Element, String> {
    let split = |name: &str| {
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        (prefix.to_owned(), local.to_owned())
    };
    let (prefix, local) = split(start.name().as_ref());
    let mut element = Element { prefix, local, ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|why| why.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|why| why.to_string())?.into_owned();
        let (prefix, local) = split(attribute.key.as_ref());
        match (prefix.as_str(), local.as_str()) {
            ("", "xmlns") => element.namespaces.push((String::new(), value)),
            ("xmlns", _) => element.namespaces.push((local, value)),
            _ => element.attributes.push(Attribute { prefix, local, value }),
        }
    }
    Ok(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_grow_or_is_no_document_is_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bb\">]><a>&b;</a>";
        let deep = format!("{}{}", "<a>".repeat(33), "</a>".repeat(33));
        let wide = format!("<a {}/>", (0..4_001).map(|n| format!("a{n}='' ")).collect::<String>());
        for wrong in [bomb, &deep, &wide, "", "<a>", "<a/><b/>", "x<a/>", "<a>&b;</a>", "<a b='1' b='2'/>"] {
            parse(wrong).unwrap_err();
        }
    }

    #[test]
    fn names_values_and_texts_are_what_they_mean() {
        let root =
            parse("<?xml version='1.0'?><p:a xmlns:p='urn:p' b='1 &amp; 2'>x<!-- y --><![CDATA[<z>]]>&#33;</p:a>")
                .unwrap();
        assert_eq!((root.prefix.as_str(), root.local.as_str(), root.attribute("b")), ("p", "a", Some("1 & 2")));
        assert_eq!((root.text().as_deref(), root.declared("p")), (Some("x<z>!"), Some("urn:p")));
    }
}
