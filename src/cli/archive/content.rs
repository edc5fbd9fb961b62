//! What an archive of the original's command-line client holds: an API, a product or an application, and what it is called.
//! Whether that is acceptable the server says.

use portcullis_http::zip;
use serde_json::Value;

use crate::failure::why_no_yaml;

/// What is in an archive. The order is that in which several are brought in: each needs what is before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An API.
    Api,
    /// A product, mostly with its APIs.
    Product,
    /// An application with what it is subscribed to, sometimes with its keys.
    Application,
}

/// The kinds with the file that says so, without its ending.
const STEMS: [(Kind, &str); 3] =
    [(Kind::Api, "api"), (Kind::Product, "api_product"), (Kind::Application, "application")];

impl Kind {
    /// Returns what it is called.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Product => "API product",
            Self::Application => "application",
        }
    }
}

/// What an archive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Of which kind it is.
    pub kind: Kind,
    /// What it is called.
    pub name: String,
    /// The version; empty for applications.
    pub version: String,
    /// Of a product, the APIs that it is made of; of an application, those that it is subscribed to: name and version.
    pub apis: Vec<(String, String)>,
}

/// Looks what an archive holds.
///
/// # Errors
/// Why that cannot be said.
pub fn read(archive: &[u8]) -> Result<Content, String> {
    let files = zip::read(archive)?;
    // In its first folder: the archive of a product has those of its APIs further down.
    let is_outer = |name: &&String| name.matches('/').count() <= 1;
    let found = files.keys().filter(is_outer).find_map(|name| {
        let stem = name.rsplit('/').next()?;
        let stem = stem.strip_suffix(".yaml").or_else(|| stem.strip_suffix(".json"))?;
        STEMS.iter().find(|(_, known)| *known == stem).map(|(kind, _)| (*kind, name))
    });
    let is_mcp_server = |name: &String| matches!(name.rsplit('/').next(), Some("mcp_server.yaml" | "mcp_server.json"));
    let (kind, file) = found.ok_or_else(|| {
        if files.keys().filter(is_outer).any(is_mcp_server) {
            return "it holds an MCP server, and MCP servers are not carried".to_owned();
        }
        "it has no api.yaml, api_product.yaml or application.yaml in its first folder".to_owned()
    })?;
    let text = std::str::from_utf8(&files[file]).map_err(|_| format!("{file} is not UTF-8"))?;
    let whole: Value = match serde_json::from_str(text) {
        Ok(whole) => whole,
        Err(_) => serde_saphyr::from_str(text).map_err(|fault| format!("{file}: {}", why_no_yaml(&fault)))?,
    };
    let data = whole.get("data").unwrap_or(&whole);
    let named = if kind == Kind::Application { &data["applicationInfo"] } else { data };
    let name = named["name"].as_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| format!("{file} has no name"))?.to_owned();
    let version = text_of(&named["version"]).filter(|_| kind != Kind::Application).unwrap_or_default();
    let list = &data[if kind == Kind::Application { "subscribedAPIs" } else { "apis" }];
    let list = list.as_array().map(Vec::as_slice).filter(|_| kind != Kind::Api).unwrap_or_default();
    let apis = list.iter().filter_map(|one| {
        let (api, name) = if kind == Kind::Application { (&one["apiId"], "apiName") } else { (one, "name") };
        Some((text_of(&api[name])?, text_of(&api["version"]).unwrap_or_default()))
    });
    Ok(Content { kind, name, version, apis: apis.collect() })
}

/// Returns a text. YAML has a version such as 1.0 as a number where nobody quoted it.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        zip::write(&files.collect()).unwrap()
    }

    #[test]
    fn the_file_in_the_first_folder_says_what_an_archive_holds() {
        let api = "type: api\ndata:\n  name: pizza\n  version: 1.0.0\n";
        let read_api = read(&archive(&[("pizza-1.0.0/api.yaml", api), ("pizza-1.0.0/Docs/a/document.yaml", "x: 1")]));
        let read_api = read_api.unwrap();
        assert_eq!((read_api.kind, &*read_api.name, &*read_api.version), (Kind::Api, "pizza", "1.0.0"));
        let product = r#"{"data": {"name": "meal", "version": "2", "apis": [{"name": "pizza", "version": "1.0.0"}]}}"#;
        let files = [("meal-2/APIs/pizza-1.0.0/api.yaml", api), ("meal-2/api_product.json", product)];
        let found = read(&archive(&files)).unwrap();
        assert_eq!((found.kind, found.apis), (Kind::Product, vec![("pizza".to_owned(), "1.0.0".to_owned())]));
        let application = "data:\n  applicationInfo: {name: my app}\n  subscribedAPIs:\n  - {apiId: {apiName: pizza, version: 1.5}}\n";
        let found = read(&archive(&[("application.yaml", application)])).unwrap();
        assert_eq!((found.kind, &*found.name, &*found.version), (Kind::Application, "my app", ""));
        assert_eq!(found.apis[0].1, "1.5");
        for (files, why) in [
            (&[("a/b/api.yaml", api)][..], "no api.yaml"),
            (&[("policy.yaml", api)], "no api.yaml"),
            (&[("a/mcp_server.yaml", api)], "MCP servers are not carried"),
            (&[("a/api.yaml", "data: {}")], "a/api.yaml has no name"),
            (&[("a/api.yaml", "{ [")], "a/api.yaml: line 1"),
        ] {
            assert!(read(&archive(files)).unwrap_err().contains(why), "{files:?}");
        }
        assert!(read(b"hello").unwrap_err().contains("zip"));
    }
}
