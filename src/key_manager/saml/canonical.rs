//! Exclusive XML Canonicalization 1.0 without comments (W3C, 2002): the one form in which XML is signed.

use std::collections::BTreeMap;

use super::xml::{Attribute, Element, Node};

/// The namespace that the prefix `xml` means everywhere.
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// The namespaces in scope, by prefix.
pub(super) type Scope = BTreeMap<String, String>;

/// Writes an element in canonical form. `scope` holds what its ancestors declare; `inclusive` names the prefixes that are
/// treated as if they were used everywhere (`InclusiveNamespaces`; `#default` for the default one). `leave_out` says which
/// elements are not written.
///
/// # Errors
/// Where a prefix means nothing.
pub(super) fn write(
    element: &Element,
    scope: &Scope,
    inclusive: &[String],
    leave_out: &dyn Fn(&Element) -> bool,
) -> Result<String, String> {
    let mut writer = Writer { out: String::new(), inclusive, leave_out };
    writer.element(element, scope, &Scope::new())?;
    Ok(writer.out)
}

struct Writer<'a> {
    out: String,
    inclusive: &'a [String],
    leave_out: &'a dyn Fn(&Element) -> bool,
}

impl Writer<'_> {
    /// `rendered` holds the namespaces that the ancestors that were written show.
    fn element(&mut self, element: &Element, scope: &Scope, rendered: &Scope) -> Result<(), String> {
        let mut scope = scope.clone();
        scope.extend(element.namespaces.iter().cloned());
        let mut rendered = rendered.clone();
        let shown = self.namespaces(element, &scope, &mut rendered)?;
        let name = qualified(&element.prefix, &element.local);
        self.out.push('<');
        self.out.push_str(&name);
        for (prefix, uri) in shown {
            let attribute = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
            self.attribute(&attribute, &uri);
        }
        for (_, attribute) in sorted(&element.attributes, &scope)? {
            self.attribute(&qualified(&attribute.prefix, &attribute.local), &attribute.value);
        }
        self.out.push('>');
        for child in &element.children {
            match child {
                Node::Element(child) if (self.leave_out)(child) => {}
                Node::Element(child) => self.element(child, &scope, &rendered)?,
                Node::Text(text) => self.text(text),
                Node::Instruction(target, content) => self.instruction(target, content),
            }
        }
        self.out.push_str(&format!("</{name}>"));
        Ok(())
    }

    /// Returns the namespaces that are shown at an element: those that it uses visibly, or that are treated so, where they
    /// are not shown above already.
    fn namespaces(&self, element: &Element, scope: &Scope, rendered: &mut Scope) -> Result<Scope, String> {
        let used = element.attributes.iter().map(|one| one.prefix.as_str()).filter(|prefix| !prefix.is_empty());
        let named = self.inclusive.iter().map(|prefix| if prefix == "#default" { "" } else { prefix.as_str() });
        let named = named.filter(|prefix| scope.contains_key(*prefix));
        let mut shown = Scope::new();
        for prefix in used.chain([element.prefix.as_str()]).chain(named) {
            if prefix == "xml" {
                continue;
            }
            let uri = match scope.get(prefix) {
                Some(uri) => uri.as_str(),
                None if prefix.is_empty() => "",
                None => return Err(format!("the prefix {prefix} means nothing")),
            };
            // The empty default namespace is shown only where it takes another's place.
            if rendered.get(prefix).map_or("", String::as_str) != uri {
                shown.insert(prefix.to_owned(), uri.to_owned());
            }
        }
        rendered.extend(shown.iter().map(|(prefix, uri)| (prefix.clone(), uri.clone())));
        Ok(shown)
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.out.push_str(&format!(" {name}=\""));
        for letter in value.chars() {
            match letter {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '"' => self.out.push_str("&quot;"),
                '\t' => self.out.push_str("&#x9;"),
                '\n' => self.out.push_str("&#xA;"),
                '\r' => self.out.push_str("&#xD;"),
                other => self.out.push(other),
            }
        }
        self.out.push('"');
    }

    fn text(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '\r' => self.out.push_str("&#xD;"),
                other => self.out.push(other),
            }
        }
    }

    fn instruction(&mut self, target: &str, content: &str) {
        let space = if content.is_empty() { "" } else { " " };
        self.out.push_str(&format!("<?{target}{space}{content}?>"));
    }
}

fn qualified(prefix: &str, local: &str) -> String {
    if prefix.is_empty() { local.to_owned() } else { format!("{prefix}:{local}") }
}

/// Returns attributes by namespace, then name; those without a prefix are in none, and come first.
fn sorted<'a>(attributes: &'a [Attribute], scope: &Scope) -> Result<BTreeMap<(String, String), &'a Attribute>, String> {
    let mut sorted = BTreeMap::new();
    for attribute in attributes {
        let uri = match attribute.prefix.as_str() {
            "" => "",
            "xml" => XML,
            prefix => scope.get(prefix).ok_or_else(|| format!("the prefix {prefix} means nothing"))?,
        };
        if sorted.insert((uri.to_owned(), attribute.local.clone()), attribute).is_some() {
            return Err(format!("the attribute {} is there twice", attribute.local));
        }
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use super::super::xml::parse;
    use super::*;

    fn canonical(text: &str, inclusive: &[&str]) -> String {
        let inclusive: Vec<String> = inclusive.iter().map(|one| (*one).to_owned()).collect();
        write(&parse(text).unwrap(), &Scope::new(), &inclusive, &|_| false).unwrap()
    }

    #[test]
    fn it_is_the_form_of_the_recommendation() {
        // Section 2.2 of the recommendation: what is not used is not shown, and is shown where it is used.
        let text = "<n0:local xmlns:n0='foo:bar' xmlns:n3='ftp://example.org'><n1:elem2 xmlns:n1='http://example.net' xml:lang='en'>\
                    <n3:stuff xmlns:n3='ftp://example.org'/></n1:elem2></n0:local>";
        let wanted = "<n0:local xmlns:n0=\"foo:bar\"><n1:elem2 xmlns:n1=\"http://example.net\" xml:lang=\"en\">\
                      <n3:stuff xmlns:n3=\"ftp://example.org\"></n3:stuff></n1:elem2></n0:local>";
        assert_eq!(canonical(text, &[]), wanted);
        let with_n3 = "<n0:local xmlns:n0=\"foo:bar\" xmlns:n3=\"ftp://example.org\"><n1:elem2 xmlns:n1=\"http://example.net\" \
                       xml:lang=\"en\"><n3:stuff></n3:stuff></n1:elem2></n0:local>";
        assert_eq!(canonical(text, &["n3", "nothing"]), with_n3);
        let text = "<a xmlns='urn:a' z='1' xmlns:b='urn:b' b:y='2' a='&quot;&#10;&lt;>'><c xmlns=''>\r\n&gt;&#13;<!-- x --></c></a>";
        let wanted = "<a xmlns=\"urn:a\" xmlns:b=\"urn:b\" a=\"&quot;&#xA;&lt;>\" z=\"1\" b:y=\"2\"><c xmlns=\"\">\n&gt;&#xD;</c></a>";
        assert_eq!(canonical(text, &[]), wanted);
    }

    #[test]
    fn a_prefix_that_means_nothing_and_an_attribute_that_is_there_twice_are_refused() {
        for wrong in ["<a:b/>", "<a b:c='1'/>", "<a xmlns:b='u' xmlns:c='u' b:x='1' c:x='2'/>"] {
            write(&parse(wrong).unwrap(), &Scope::new(), &[], &|_| false).unwrap_err();
        }
    }
}
