//! Policies that change what models are asked: what is put around a prompt (`PromptDecorator`), and templates that calls name
//! (`PromptTemplate`). Names of policies and parameters are the original's.

use serde_json::Value;

use super::parameters::{Read, bad_parameter, check_plain_name};
use super::step::{Kind, Parameter, flag, json, optional, required};
use super::{BadPolicy, Flow};
use crate::ai::Part;

/// Templates of one policy.
pub const TEMPLATES_MAX: usize = 100;

/// What is put around a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoration {
    /// Where the prompt is in a JSON body.
    pub place: Vec<Part>,
    /// What is put there.
    pub added: Added,
    /// Whether it comes after the prompt.
    pub is_appended: bool,
}

/// What is put to a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// A text, to a text.
    Text(String),
    /// Messages, to a list of them.
    Items(Vec<Value>),
}

/// The templates that calls can name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates(pub Vec<Template>);

/// A template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// What stands in its place; `[[name]]` stands for what a call gives under that name.
    pub prompt: String,
}

pub(super) fn decoration(read: &Read<'_>) -> Result<Decoration, BadPolicy> {
    read.label("name")?;
    let place = read.place("jsonPath")?;
    if place.is_empty() {
        return Err(bad_parameter("jsonPath", "must name where the prompt is, such as $.messages"));
    }
    let added = match &read.json(DECORATION)?["decoration"] {
        Value::String(text) => Added::Text(text.clone()),
        Value::Array(items) => Added::Items(items.clone()),
        _ => {
            let reason = r#"must be {"decoration": …} with a text, or with a list of messages"#;
            return Err(bad_parameter(DECORATION, reason));
        }
    };
    Ok(Decoration { place, added, is_appended: read.flag("append")? })
}

pub(super) fn templates(read: &Read<'_>) -> Result<Templates, BadPolicy> {
    read.label("name")?;
    let items = read.items(TEMPLATES, TEMPLATES_MAX)?;
    let wrong = |reason: String| bad_parameter(TEMPLATES, reason);
    let mut templates: Vec<Template> = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let (Some(name), Some(prompt)) = (item["name"].as_str(), item["prompt"].as_str()) else {
            return Err(wrong(format!("[{number}] must have a name and a prompt")));
        };
        // What `template://` can name.
        check_plain_name(name).map_err(|reason| wrong(format!("[{number}].name {reason}")))?;
        if templates.iter().any(|known| known.name == name) {
            return Err(wrong(format!("[{number}].name is `{name}` once more")));
        }
        templates.push(Template { name: name.to_owned(), prompt: prompt.to_owned() });
    }
    Ok(Templates(templates))
}

const DECORATION: &str = "promptDecoratorConfig";
const TEMPLATES: &str = "promptTemplateConfig";

/// Decoration.
pub(super) const DECORATOR: Kind = Kind {
    name: "PromptDecorator",
    version: "v1.0",
    title: "Prompt Decorator",
    description: "Puts a text before or after a prompt, or messages before or after those of a call",
    flows: &[Flow::Request],
    parameters: &[
        required("name", "Decorator Name", "What people call the policy"),
        json(DECORATION, "Prompt Decorator Configuration", r#"{"decoration": "…"} or {"decoration": [{…}]}"#),
        Parameter { is_required: true, ..optional("jsonPath", "JSON Path", "Where the prompt is", "$.messages") },
        flag("append", "Append Decorated Content", "Whether it comes after the prompt", "false"),
    ],
};

/// Templates.
pub(super) const TEMPLATE: Kind = Kind {
    name: "PromptTemplate",
    version: "v1.0",
    title: "Prompt Template",
    description: "Puts prompts where a call names them: template://NAME?parameter=value",
    flows: &[Flow::Request],
    parameters: &[
        required("name", "Template Name", "What people call the policy"),
        json(TEMPLATES, "Prompt Template Configuration", r#"[{"name": "…", "prompt": "… [[parameter]] …"}]"#),
    ],
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Applied, Step};
    use super::*;

    fn read(policy: &str, parameters: &[(&str, &str)]) -> Result<Step, String> {
        let parameters: BTreeMap<String, String> =
            parameters.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let applied = Applied { name: policy.to_owned(), version: "v1.0".to_owned(), parameters };
        Step::of(&applied, Flow::Request).map_err(|bad| format!("{}: {}", bad.place, bad.reason))
    }

    #[test]
    fn prompts_are_decorated_with_texts_and_with_messages() {
        let text =
            read("PromptDecorator", &[("name", "d"), ("promptDecoratorConfig", r#"{"decoration": "Be brief."}"#)]);
        let place = vec![Part::Name("messages".to_owned())];
        let added = Added::Text("Be brief.".to_owned());
        assert_eq!(text, Ok(Step::Decorate(Box::new(Decoration { place: place.clone(), added, is_appended: false }))));
        let messages = r#"{"decoration": [{"role": "system", "content": "Be brief."}]}"#;
        let parameters = [("name", "d"), ("promptDecoratorConfig", messages), ("append", "true")];
        let added = Added::Items(vec![serde_json::json!({"role": "system", "content": "Be brief."})]);
        let decoration = Decoration { place, added, is_appended: true };
        assert_eq!(read("PromptDecorator", &parameters), Ok(Step::Decorate(Box::new(decoration))));
    }

    #[test]
    fn what_cannot_be_put_anywhere_is_refused() {
        let decoration = |config, path| [("name", "d"), ("promptDecoratorConfig", config), ("jsonPath", path)];
        let templates = |config| [("name", "t"), ("promptTemplateConfig", config)];
        let good = r#"{"decoration": "x"}"#;
        for (outcome, said) in [
            (read("PromptDecorator", &decoration(good, "")), "parameters.jsonPath"),
            (read("PromptDecorator", &decoration(r#"{"decoration": 1}"#, "$.a")), "parameters.promptDecoratorConfig"),
            (read("PromptTemplate", &templates("{}")), "must be a list"),
            (read("PromptTemplate", &templates(r#"[{"name": "a"}]"#)), "a name and a prompt"),
            (read("PromptTemplate", &templates(r#"[{"name": "a b", "prompt": ""}]"#)), "letters, digits"),
            (
                read("PromptTemplate", &templates(r#"[{"name": "a", "prompt": ""}, {"name": "a", "prompt": ""}]"#)),
                "once more",
            ),
        ] {
            let why = outcome.unwrap_err();
            assert!(why.contains(said), "{why}");
        }
    }
}
