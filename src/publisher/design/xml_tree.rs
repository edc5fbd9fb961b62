//! A document of XML as a tree, bounded in depth and size, with the namespaces of its names resolved. Nothing that it
//! refers to is fetched, and no entity is expanded.

use std::collections::BTreeMap;
use std::sync::Arc;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// How deep a document may be nested.
const DEPTH_MAX: usize = 128;
/// Elements of a document.
const ELEMENTS_MAX: usize = 50_000;
/// Bytes of a namespace: each element has its own in memory.
const NAMESPACE_BYTES_MAX: usize = 1_000;

/// An element.
#[derive(Clone, Debug, Default)]
pub(super) struct Element {
    /// Its name without a prefix.
    pub(super) name: String,
    /// Its namespace.
    pub(super) namespace: String,
    attributes: BTreeMap<String, String>,
    /// The namespaces that hold within it; that of the element around it where it declares none.
    scope: Option<Arc<Scope>>,
    pub(super) children: Vec<Element>,
}

/// The namespaces that an element declares, by prefix, within those that hold around it.
#[derive(Debug)]
struct Scope {
    declared: BTreeMap<String, String>,
    outer: Option<Arc<Scope>>,
}

impl Scope {
    /// Returns the namespace that a prefix stands for; none where nothing declares it.
    fn namespace(innermost: Option<&Arc<Self>>, prefix: &str) -> String {
        let mut all = std::iter::successors(innermost, |scope| scope.outer.as_ref());
        all.find_map(|scope| scope.declared.get(prefix)).cloned().unwrap_or_default()
    }
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
        Some((Scope::namespace(self.scope.as_ref(), prefix), name.to_owned()))
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
    let mut element = Element::default();
    let mut declared = BTreeMap::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(not_xml)?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(not_xml)?.into_owned();
        let key = attribute.key.as_ref();
        let prefix = key.strip_prefix("xmlns").filter(|rest| rest.is_empty() || rest.starts_with(':'));
        if (prefix.is_some() || key == "targetNamespace") && value.len() > NAMESPACE_BYTES_MAX {
            return Err(format!("has a namespace of more than {NAMESPACE_BYTES_MAX} bytes"));
        }
        match prefix {
            Some(prefix) => drop(declared.insert(prefix.trim_start_matches(':').to_owned(), value)),
            None => drop(element.attributes.insert(attribute.key.local_name().as_ref().to_owned(), value)),
        }
    }
    let around = outer.and_then(|outer| outer.scope.clone());
    element.scope = if declared.is_empty() { around } else { Some(Arc::new(Scope { declared, outer: around })) };
    let name = start.name();
    let text = name.as_ref();
    let (prefix, local) = text.split_once(':').unwrap_or(("", text));
    element.namespace = Scope::namespace(element.scope.as_ref(), prefix);
    element.name = local.to_owned();
    Ok(element)
}

fn not_xml(error: impl std::fmt::Display) -> String {
    format!("not valid XML: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_hold_within_the_element_that_declares_them() {
        let root = read("<a xmlns='u'><b xmlns='v' xmlns:p='w'><p:c of='p:d'/></b><e of='p:d'/></a>").unwrap();
        let [inner, last] = &root.children[..] else { panic!("two children: {root:?}") };
        let named = [&root, inner, &inner.children[0], last].map(|element| element.namespace.as_str());
        assert_eq!(named, ["u", "v", "w", "u"]);
        assert_eq!(inner.children[0].qualified("of"), Some(("w".to_owned(), "d".to_owned())));
        assert_eq!(last.qualified("of"), Some((String::new(), "d".to_owned())));
        let shared = [&root.scope, &last.scope].map(|scope| scope.as_ref().map(Arc::as_ptr));
        assert_eq!(shared[0], shared[1], "what declares nothing copies nothing");
    }

    #[test]
    fn a_namespace_that_is_too_long_is_refused() {
        for name in ["xmlns", "xmlns:p", "targetNamespace"] {
            let with = |bytes: usize| read(&format!("<a {name}='{}'><b/></a>", "u".repeat(bytes)));
            assert!(with(NAMESPACE_BYTES_MAX).is_ok());
            assert_eq!(with(NAMESPACE_BYTES_MAX + 1).unwrap_err(), "has a namespace of more than 1000 bytes");
        }
    }
}
