//! The LLM providers that every tenant has from the start. Their definitions are small ones of our own: what is called most.

use portcullis_model::AssetId;
use serde_json::{Map, Value, json};

use super::LlmProvider;

/// Where the number of tokens is said in a reply, and which model it is of: places as the original names them.
enum Dialect {
    /// As OpenAI has it.
    OpenAi,
    Anthropic,
    Gemini,
    Bedrock,
}

/// A provider that comes with the program.
struct BuiltIn {
    name: &'static str,
    version: &'static str,
    description: &'static str,
    connector: &'static str,
    /// The header that holds the key; `None` where calls are signed otherwise.
    header: Option<&'static str>,
    dialect: Dialect,
    models: &'static [&'static str],
    server: &'static str,
    /// Verb, path and what it does.
    operations: &'static [(&'static str, &'static str, &'static str)],
}

const CHAT: (&str, &str, &str) = ("post", "/chat/completions", "Answers a conversation");
const EMBEDDINGS: (&str, &str, &str) = ("post", "/embeddings", "Turns texts into vectors");

const ALL: [BuiltIn; 7] = [
    BuiltIn {
        name: "MistralAI",
        version: "1.0.0",
        description: "Mistral AI service",
        connector: "mistralAi_1.0.0",
        header: Some("Authorization"),
        dialect: Dialect::OpenAi,
        models: &["mistral-small-latest", "mistral-medium", "open-mistral-7b"],
        server: "https://api.mistral.ai/v1",
        operations: &[
            CHAT,
            ("post", "/fim/completions", "Fills in code"),
            EMBEDDINGS,
            ("get", "/models", "Lists models"),
        ],
    },
    BuiltIn {
        name: "OpenAI",
        version: "2.0.0",
        description: "OpenAI service",
        connector: "openAi_2.0.0",
        header: Some("Authorization"),
        dialect: Dialect::OpenAi,
        models: &["gpt-4o", "gpt-4o-mini", "o3-mini"],
        server: "https://api.openai.com/v1",
        operations: &[
            CHAT,
            ("post", "/responses", "Answers, with tools"),
            EMBEDDINGS,
            ("get", "/models", "Lists models"),
        ],
    },
    BuiltIn {
        name: "AzureOpenAI",
        version: "2.0.0",
        description: "Azure OpenAI service",
        connector: "azureOpenAi_2.0.0",
        header: Some("api-key"),
        dialect: Dialect::OpenAi,
        models: &["gpt-4o", "gpt-4o-mini", "o3-mini"],
        server: "https://your-resource.openai.azure.com/openai",
        operations: &[
            ("post", "/deployments/{deployment-id}/chat/completions", "Answers a conversation"),
            ("post", "/deployments/{deployment-id}/embeddings", "Turns texts into vectors"),
        ],
    },
    BuiltIn {
        name: "AWSBedrock",
        version: "1.0.0",
        description: "AWS Bedrock service",
        connector: "awsBedrock_1.0.0",
        header: None,
        dialect: Dialect::Bedrock,
        models: &[
            "us.anthropic.claude-3-5-sonnet-20240620-v1:0",
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
            "us.deepseek.r1-v1:0",
            "us.meta.llama3-3-70b-instruct-v1:0",
            "us.meta.llama4-maverick-17b-instruct-v1:0",
        ],
        server: "https://bedrock-runtime.us-east-1.amazonaws.com",
        operations: &[
            ("post", "/model/{modelId}/converse", "Answers a conversation"),
            ("post", "/model/{modelId}/invoke", "Answers in the model's own form"),
        ],
    },
    BuiltIn {
        name: "Anthropic",
        version: "1.0.0",
        description: "Anthropic Claude LLM Service",
        connector: "anthropic_1.0.0",
        header: Some("x-api-key"),
        dialect: Dialect::Anthropic,
        models: &["claude-opus-4-1-20250805", "claude-sonnet-4-20250514", "claude-3-7-sonnet-20250219"],
        server: "https://api.anthropic.com/v1",
        operations: &[
            ("post", "/messages", "Answers a conversation"),
            ("post", "/messages/count_tokens", "Counts the tokens of a conversation"),
            ("get", "/models", "Lists models"),
        ],
    },
    BuiltIn {
        name: "Gemini",
        version: "1.0.0",
        description: "Gemini service",
        connector: "gemini_1.0.0",
        header: Some("X-goog-api-key"),
        dialect: Dialect::Gemini,
        models: &["gemini-2.5-flash-lite", "gemini-2.5-flash", "gemini-2.5-pro"],
        server: "https://generativelanguage.googleapis.com/v1beta",
        operations: &[
            ("post", "/models/{model}:generateContent", "Answers a conversation"),
            ("post", "/models/{model}:embedContent", "Turns a text into a vector"),
            ("get", "/models", "Lists models"),
        ],
    },
    BuiltIn {
        name: "AzureAIFoundry",
        version: "1.0.0",
        description: "Azure AI Foundry service",
        connector: "azureAiFoundry_1.0.0",
        header: Some("api-key"),
        dialect: Dialect::OpenAi,
        models: &["gpt-4o", "gpt-4o-mini", "o3-mini", "Cohere-command-r-08-2024", "grok-3", "grok-3-mini"],
        server: "https://your-resource.services.ai.azure.com/models",
        operations: &[CHAT, EMBEDDINGS],
    },
];

/// Returns them all, as they come.
pub(super) fn all() -> impl Iterator<Item = LlmProvider> {
    ALL.iter().map(BuiltIn::provider)
}

impl BuiltIn {
    fn provider(&self) -> LlmProvider {
        LlmProvider {
            id: AssetId::of_names(&["LLM provider", self.name, self.version]),
            name: self.name.to_owned(),
            api_version: self.version.to_owned(),
            description: self.description.to_owned(),
            is_built_in: true,
            configurations: json!({
                "connectorType": self.connector,
                "metadata": self.dialect.metadata(),
                "authHeader": self.header,
                "authQueryParameter": null,
            })
            .to_string(),
            models: self.models.iter().map(|&model| model.to_owned()).collect(),
            definition: self.definition().to_string(),
        }
    }

    fn definition(&self) -> Value {
        let mut paths = Map::new();
        for (verb, path, summary) in self.operations {
            let parameters: Vec<Value> = path
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split('}').next())
                .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
                .collect();
            let mut operation = json!({
                "summary": summary,
                "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}},
            });
            if !parameters.is_empty() {
                operation["parameters"] = parameters.into();
            }
            if *verb == "post" {
                operation["requestBody"] =
                    json!({"required": true, "content": {"application/json": {"schema": {"type": "object"}}}});
            }
            paths.insert((*path).to_owned(), json!({*verb: operation}));
        }
        json!({
            "openapi": "3.0.3",
            "info": {"title": self.name, "version": self.version, "description": self.description},
            "servers": [{"url": self.server}],
            "paths": paths,
        })
    }
}

impl Dialect {
    /// Returns where models and tokens are: name, whether it is in the path, a header or the payload, and the place there.
    fn metadata(&self) -> Value {
        let rows: &[(&str, &str, &str)] = match self {
            Self::OpenAi => &[
                ("requestModel", "payload", "$.model"),
                ("responseModel", "payload", "$.model"),
                ("promptTokenCount", "payload", "$.usage.prompt_tokens"),
                ("completionTokenCount", "payload", "$.usage.completion_tokens"),
                ("totalTokenCount", "payload", "$.usage.total_tokens"),
                ("remainingTokenCount", "header", "x-ratelimit-remaining-tokens"),
            ],
            Self::Anthropic => &[
                ("requestModel", "payload", "$.model"),
                ("responseModel", "payload", "$.model"),
                ("promptTokenCount", "payload", "$.usage.input_tokens"),
                ("completionTokenCount", "payload", "$.usage.output_tokens"),
                ("remainingTokenCount", "header", "anthropic-ratelimit-tokens-remaining"),
            ],
            Self::Gemini => &[
                ("requestModel", "pathParams", r"(?<=models/)[a-zA-Z0-9.\-]+"),
                ("responseModel", "payload", "$.modelVersion"),
                ("promptTokenCount", "payload", "$.usageMetadata.promptTokenCount"),
                ("completionTokenCount", "payload", "$.usageMetadata.candidatesTokenCount"),
                ("totalTokenCount", "payload", "$.usageMetadata.totalTokenCount"),
            ],
            Self::Bedrock => &[
                ("requestModel", "pathParams", "(?<=model/)[a-zA-Z0-9.:-]+(?=/)"),
                ("responseModel", "pathParams", "(?<=model/)[a-zA-Z0-9.:-]+(?=/)"),
                ("promptTokenCount", "payload", "$.usage.inputTokens"),
                ("completionTokenCount", "payload", "$.usage.outputTokens"),
                ("totalTokenCount", "payload", "$.usage.totalTokens"),
            ],
        };
        let is_required = |name: &str| !matches!(name, "requestModel" | "remainingTokenCount");
        rows.iter()
            .map(|(name, source, place)| {
                json!({
                    "attributeName": name, "inputSource": source, "attributeIdentifier": place,
                    "required": is_required(name),
                })
            })
            .collect()
    }
}
