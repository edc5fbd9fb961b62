//! Which objects a command speaks for: by name, or by tag.

use std::str::FromStr;

use serde_json::Value;

use super::kind::Key;

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The name is like this; `*` stands for anything.
    Name(String),
    /// It is an API or a product with this tag.
    Tag(String),
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("name", pattern)) if !pattern.is_empty() => Ok(Self::Name(pattern.to_owned())),
            Some(("tag", tag)) if !tag.is_empty() => Ok(Self::Tag(tag.to_owned())),
            _ => Err("write name=PATTERN or tag=TAG".to_owned()),
        }
    }
}

impl Selector {
    /// Says whether an object is meant.
    pub fn selects(&self, key: &Key, spec: &Value) -> bool {
        match self {
            Self::Name(pattern) => is_like(&key.name, pattern),
            Self::Tag(wanted) => spec["tags"].as_array().into_iter().flatten().any(|tag| tag == wanted.as_str()),
        }
    }
}

/// Says whether a text is like a pattern, in which `*` stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(mut left) = text.strip_prefix(begin) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (text, pattern, wanted) in [
            ("shop-orders", "shop-*", true),
            ("shop-orders", "*", true),
            ("shop-orders", "s*-o*s", true),
            ("shop", "shop", true),
            ("shop-orders", "shop", false),
            ("my-shop-orders", "shop-*", false),
            ("ab", "ab*b", false),
        ] {
            assert_eq!(is_like(text, pattern), wanted, "{text} {pattern}");
        }
    }

    #[test]
    fn tags_are_those_of_the_object() {
        let key = Key { name: "a".to_owned(), version: None };
        let tag: Selector = "tag=team-a".parse().unwrap();
        assert!(tag.selects(&key, &json!({"tags": ["x", "team-a"]})));
        assert!(!tag.selects(&key, &json!({"description": "team-a"})));
        "team-a".parse::<Selector>().unwrap_err();
    }
}
