//! AI APIs: models in turn and one after the other, and tokens counted where the provider says that they are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use portcullis_database::state::Generation;
use portcullis_gateway::Settings;
use portcullis_model::ai::{AiRules, Provider};
use portcullis_model::api::EndpointStrategy;
use portcullis_model::api_endpoint::ApiEndpoint;
use portcullis_model::counter::CounterLevel;
use portcullis_model::port::{Addresses, ContentSafety, KeyVerdict, PortFuture};
use portcullis_model::{Endpoint, EndpointConfig, KeyType, Mediation, PolicyLevel, Quota, QuotaPolicy};
use serde_json::{Value, json};
use stage::{Backend, Client, Reply, Seen, Stage, api, policy, settings, until, verdict};

/// Answers as its models do: by the status that is set, and what it took.
struct Models {
    backend: Backend,
    status: Arc<Mutex<u16>>,
}

impl Models {
    async fn start() -> Self {
        let status = Arc::new(Mutex::new(200));
        let said = Arc::clone(&status);
        let answer = move |_: &Seen| {
            let body = json!({"cost": {"all": 4, "in": 1}, "usage": {"total_tokens": 4_000}}).to_string();
            let response = Response::builder().status(*said.lock().unwrap()).header("content-type", "application/json");
            response.header("x-left", "9").body(Full::new(Bytes::from(body))).unwrap()
        };
        Self { backend: Backend::answering(answer).await, status }
    }

    fn set(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    /// Returns the models that it was asked for.
    fn asked(&self) -> Vec<String> {
        let model = |seen: &Seen| {
            let body: Value = serde_json::from_slice(&seen.body).unwrap();
            assert_eq!(body["messages"], json!(["hi"]), "all else is as it was sent");
            body["model"].as_str().unwrap().to_owned()
        };
        self.backend.seen.lock().unwrap().iter().map(model).collect()
    }
}

fn provider() -> Provider {
    let row = |name: &str, source: &str, at: &str| json!({"attributeName": name, "inputSource": source, "attributeIdentifier": at});
    let configurations = json!({"metadata": [
        row("requestModel", "payload", "$.model"),
        row("totalTokenCount", "payload", "$.cost.all"),
        row("remainingTokenCount", "header", "x-left"),
    ]});
    Provider::new("Own", "1.0.0", &configurations)
}

fn endpoint(id: &str, address: SocketAddr) -> ApiEndpoint {
    let config = EndpointConfig {
        production: vec![Endpoint { url: format!("http://{address}/{id}"), timeout_ms: None }],
        sandbox: Vec::new(),
        strategy: EndpointStrategy::Single,
        document: String::new(),
    };
    ApiEndpoint { id: id.to_owned(), name: id.to_owned(), stage: KeyType::Production, config }
}

/// A stage with one AI API, whose own endpoint is the first backend and whose endpoint `other` the second.
fn staged(first: &Models, other: SocketAddr, name: &str, configs: &Value) -> Stage {
    let api = api(first.backend.address);
    let stage = Stage::with_apis([api.clone()]);
    let parameter = match name {
        "modelFailover" => "failoverConfigs",
        "ContentBasedModelRouter" => "contentBasedModelRoutingConfigs",
        _ => "weightedRoundRobinConfigs",
    };
    let parameters = json!({parameter: configs.to_string()});
    let applied = json!({"policyName": name, "policyVersion": "v1", "parameters": parameters});
    let mut mediation = Mediation::of_document(&json!({"apiPolicies": {"request": [applied]}}));
    AiRules { provider: provider(), endpoints: vec![endpoint("other", other)] }.put(&mut mediation);
    stage.change(|state| {
        state.deployed.mediations.insert(("Default".to_owned(), api.id), Arc::new(mediation));
        state.deployed.advance(Generation::Routes);
    });
    stage
}

async fn ask(client: &mut Client) -> Reply {
    let body = json!({"model": "mine", "messages": ["hi"]}).to_string();
    let length = body.len();
    client
        .send(&format!(
            "POST /pizza/1.0.0/menu HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    client.reply().await
}

#[tokio::test]
async fn models_answer_in_turn_by_weight_and_one_that_fails_is_left_alone() {
    let (first, other) = (Models::start().await, Models::start().await);
    let configs = json!({"suspendDuration": 3600, "production": [
        {"model": "large", "endpointId": "other", "weight": 3},
        {"model": "small", "endpointId": "default_production_endpoint", "weight": 1},
    ]});
    let stage = staged(&first, other.backend.address, "modelWeightedRoundRobin", &configs);
    let mut client = stage.client().await;
    for _ in 0..8 {
        assert_eq!(ask(&mut client).await.status, 200);
    }
    assert_eq!(
        (first.asked(), other.asked()),
        (vec!["small"; 2].into_iter().map(str::to_owned).collect(), vec!["large".to_owned(); 6])
    );
    assert_eq!(other.backend.last().line, "POST /other/menu");
    other.set(429);
    let mut refused = 0;
    for _ in 0..8 {
        refused += usize::from(ask(&mut client).await.status == 429);
    }
    assert_eq!((refused, other.asked().len(), first.asked().len()), (1, 7, 9));
    first.set(503);
    assert_eq!(ask(&mut client).await.status, 503, "as the backend says");
    let alone = ask(&mut client).await;
    assert_eq!((alone.status, alone.code().as_str(), first.asked().len()), (503, "303000", 10), "nobody is asked");
}

#[tokio::test]
async fn where_a_model_fails_the_next_one_is_asked() {
    let (first, other) = (Models::start().await, Models::start().await);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let configs = json!({"production": {
        "targetModel": {"model": "large", "endpointId": "other"},
        "fallbackModels": [{"model": "small", "endpointId": "default_production_endpoint"}],
    }});
    let stage = staged(&first, other.backend.address, "modelFailover", &configs);
    let mut client = stage.client().await;
    assert_eq!(ask(&mut client).await.status, 200);
    assert_eq!((first.asked().len(), other.asked()), (0, vec!["large".to_owned()]));
    for status in [429, 500] {
        other.set(status);
        assert_eq!(ask(&mut client).await.status, 200, "{status}");
        assert_eq!(first.asked().last().unwrap(), "small");
    }
    other.set(404);
    assert_eq!(ask(&mut client).await.status, 404, "another model would say the same");
    other.set(500);
    first.set(503);
    assert_eq!(ask(&mut client).await.status, 503, "what the last one said");
    first.set(200);
    let stage = staged(&first, gone, "modelFailover", &configs);
    assert_eq!(ask(&mut stage.client().await).await.status, 200, "nobody listens there");
}

#[tokio::test]
async fn guardrails_let_pass_what_is_said_as_it_should_be() {
    let (first, other) = (Models::start().await, Models::start().await);
    let stage =
        staged(&first, other.backend.address, "modelFailover", &json!({"production": {"targetModel": {"model": "a"}}}));
    let guard =
        |name: &str, parameters: Value| json!({"policyName": name, "policyVersion": "v1.1", "parameters": parameters});
    let mediate = |request: Value, response: Value| {
        let operation = json!({"operationPolicies": {"request": request, "response": response}});
        stage.mediate(api(first.backend.address).id, &json!({"operations": {"POST /menu": operation}}));
    };
    let words = |least: &str| {
        let parameters =
            json!({"name": "Words", "min": least, "max": "5", "jsonPath": "$.messages[-1]", "showAssessment": "true"});
        json!([guard("WordCountGuardrail", parameters)])
    };
    let mut client = stage.client().await;
    mediate(words("1"), json!([]));
    assert_eq!(ask(&mut client).await.status, 200);
    mediate(words("2"), json!([]));
    let refused = ask(&mut client).await;
    assert_eq!((refused.status, first.backend.calls()), (446, 1));
    assert_eq!(
        serde_json::from_str::<Value>(refused.text()).unwrap(),
        json!({
            "code": "900514", "type": "WORD_COUNT_GUARDRAIL", "message": {
                "interveningGuardrail": "Words", "action": "GUARDRAIL_INTERVENED", "direction": "REQUEST",
                "actionReason": "Violation of applied word count constraints detected.",
                "assessments": "Expected between 2 and 5 words. But found 1 words.",
            },
        })
    );
    let secret = json!({"name": "Costs", "regex": "total_tokens", "invert": "true"});
    mediate(json!([]), json!([guard("RegexGuardrail", secret)]));
    let refused = ask(&mut client).await;
    assert_eq!((refused.status, refused.text().contains("RESPONSE")), (446, true));
    first.set(404);
    assert_eq!(ask(&mut client).await.status, 404, "a failure says nothing");
}

#[tokio::test]
async fn tokens_are_those_that_the_provider_names_and_use_up_the_plan() {
    let (first, other) = (Models::start().await, Models::start().await);
    let configs = json!({"production": [{"model": "large", "endpointId": "other"}]});
    let stage = staged(&first, other.backend.address, "modelWeightedRoundRobin", &configs);
    stage.keys.set("good", Ok(KeyVerdict { plan: "Plan".to_owned(), ..verdict() }));
    let quota = Quota::AiTokens { requests: 0, total: 10, prompt: 0, completion: 0 };
    stage.put_policy(QuotaPolicy { quota, ..policy(PolicyLevel::Subscription, "Plan") }, None);
    let plan = stage.budgets.set("Plan", CounterLevel::Subscription, 8, false);
    let mut client = stage.client().await;
    for left in [4, 0] {
        assert_eq!(ask(&mut client).await.status, 200);
        until(&format!("{left} are left"), || plan.left() == left).await;
    }
    let refused = ask(&mut client).await;
    assert_eq!((refused.status, refused.code().as_str(), other.asked().len()), (429, "900804", 2));
}

/// Asks with header fields and a body, and what the target has behind it.
async fn send(client: &mut Client, target: &str, fields: &str, body: &Value) -> Reply {
    let body = body.to_string();
    let length = body.len();
    client
        .send(&format!(
            "POST /pizza/1.0.0/menu{target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n{fields}\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    client.reply().await
}

/// A stage with one API whose backend answers with what it was sent, and these policies.
async fn echoing(request: Value, response: Value) -> (Stage, Backend) {
    echoing_by(settings(), request, response).await
}

async fn echoing_by(settings: Settings, request: Value, response: Value) -> (Stage, Backend) {
    let answer = |seen: &Seen| {
        let response = Response::builder().header("content-type", "application/json").header("etag", "\"1\"");
        response.body(Full::new(seen.body.clone())).unwrap()
    };
    let backend = Backend::answering(answer).await;
    let api = api(backend.address);
    let stage = Stage::new(settings);
    stage.deploy(api.clone());
    stage.keys.set("good", Ok(verdict()));
    let operation = json!({"operationPolicies": {"request": request, "response": response}});
    stage.mediate(api.id, &json!({"operations": {"POST /menu": operation}}));
    (stage, backend)
}

fn applied(name: &str, parameters: &Value) -> Value {
    json!({"policyName": name, "policyVersion": "v1.0", "parameters": parameters})
}

#[tokio::test]
async fn a_backend_is_not_shown_what_is_masked_and_the_caller_gets_it_back() {
    let entities = json!([{"piiEntity": "EMAIL", "piiRegex": "[a-z]+@[a-z.]+"}]).to_string();
    let mask =
        |redact: bool| applied("PIIMaskingRegex", &json!({"name": "m", "piiEntities": entities, "redact": redact}));
    let (stage, backend) = echoing(json!([mask(false)]), json!([mask(false)])).await;
    let body = json!({"messages": ["I am ann@b.c, not cyd@b.c, but ann@b.c"]});
    let reply = send(&mut stage.client().await, "", "", &body).await;
    assert_eq!(serde_json::from_str::<Value>(reply.text()).unwrap(), body);
    let seen = String::from_utf8(backend.last().body.to_vec()).unwrap();
    assert_eq!(seen, r#"{"messages":["I am EMAIL_0000, not EMAIL_0001, but EMAIL_0000"]}"#);
    assert_eq!(reply.header("etag"), None, "it is not the body that the backend marked");
    let (stage, backend) = echoing(json!([]), json!([mask(true)])).await;
    let reply = send(&mut stage.client().await, "", "", &body).await;
    assert_eq!(reply.text(), r#"{"messages":["I am *****, not *****, but *****"]}"#);
    assert_eq!(serde_json::from_slice::<Value>(&backend.last().body).unwrap(), body, "calls are as they were");
    let path = applied("PIIMaskingRegex", &json!({"name": "m", "piiEntities": entities, "jsonPath": "$.other"}));
    let (stage, backend) = echoing(json!([path]), json!([])).await;
    let refused = send(&mut stage.client().await, "", "", &body).await;
    assert_eq!((refused.status, backend.calls()), (400, 0), "what it does not find, it cannot mask");
}

#[tokio::test]
async fn prompts_are_decorated_and_templates_stand_where_they_are_named() {
    let system = json!({"decoration": [{"role": "system", "content": "Be brief."}]}).to_string();
    let templates = json!([{"name": "translate", "prompt": "To [[to]]: [[text]]"}]).to_string();
    let policies = json!([
        applied("PromptTemplate", &json!({"name": "t", "promptTemplateConfig": templates})),
        applied("PromptDecorator", &json!({"name": "d", "promptDecoratorConfig": system})),
    ]);
    let (stage, backend) = echoing(policies, json!([])).await;
    let mut client = stage.client().await;
    let body = json!({"messages": [{"role": "user", "content": "template://translate?to=Dutch&text=an%20oak"}]});
    assert_eq!(send(&mut client, "", "", &body).await.status, 200);
    let seen: Value = serde_json::from_slice(&backend.last().body).unwrap();
    let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "To Dutch: an oak"}]);
    assert_eq!(seen, json!({"messages": messages}));
    let refused = send(&mut client, "", "", &json!({"prompt": "hi"})).await;
    assert_eq!((refused.status, backend.calls()), (400, 1), "there is no prompt where one is decorated");
}

#[tokio::test]
async fn json_that_is_not_of_a_schema_does_not_pass() {
    let schema = json!({"type": "object", "required": ["total"]}).to_string();
    let parameters = json!({"name": "Shape", "schema": schema, "jsonPath": "$.said"});
    let (stage, _backend) = echoing(json!([]), json!([applied("JSONSchemaGuardrail", &parameters)])).await;
    let mut client = stage.client().await;
    let right = json!({"said": "Sure: {\"total\": {\"sum\": 4}}."});
    assert_eq!(send(&mut client, "", "", &right).await.status, 200);
    let refused = send(&mut client, "", "", &json!({"said": "Sure: {\"sum\": 4}."})).await;
    assert_eq!((refused.status, refused.text().contains("JSON_SCHEMA_GUARDRAIL")), (446, true));
}

/// Knows one address.
struct OneAddress;

impl Addresses for OneAddress {
    fn leads_somewhere<'a>(&'a self, url: &'a str, only_name: bool, _: Duration) -> PortFuture<'a, bool> {
        Box::pin(std::future::ready(url == "http://known.example/a" || only_name))
    }
}

#[tokio::test]
async fn a_text_passes_whose_addresses_all_lead_somewhere() {
    let guard = |only_names: bool| {
        applied("URLGuardrail", &json!({"name": "Links", "onlyDNS": only_names, "showAssessment": "true"}))
    };
    let by = || Settings { addresses: Some(Arc::new(OneAddress)), ..settings() };
    let (stage, _backend) = echoing_by(by(), json!([guard(false)]), json!([])).await;
    let mut client = stage.client().await;
    let known = json!({"m": "see http://known.example/a, twice: http://known.example/a."});
    assert_eq!(send(&mut client, "", "", &known).await.status, 200);
    let other = json!({"m": "see http://known.example/a and http://other.example/b"});
    let refused = send(&mut client, "", "", &other).await;
    let told: Value = serde_json::from_str(refused.text()).unwrap();
    assert_eq!((refused.status, told["type"].as_str()), (446, Some("URL_GUARDRAIL")));
    assert_eq!(told["message"]["assessments"]["invalidUrls"], json!(["http://other.example/b"]));
    let many: Vec<String> = (0..21).map(|number| format!("http://known.example/{number}")).collect();
    let (stage, _backend) = echoing_by(by(), json!([guard(true)]), json!([])).await;
    let mut client = stage.client().await;
    assert_eq!(send(&mut client, "", "", &other).await.status, 200, "its name is enough");
    assert_eq!(send(&mut client, "", "", &json!({"m": many})).await.status, 446, "so many are not asked for");
}

/// Finds what it is told to find, where it is asked.
struct Moderation(Result<u8, String>);

impl ContentSafety for Moderation {
    fn severities<'a>(
        &'a self,
        _: &'a str,
        categories: &'a [&'static str],
    ) -> PortFuture<'a, Result<Vec<(String, u8)>, String>> {
        let said = |severity: u8| categories.iter().map(|one| ((*one).to_owned(), severity)).collect();
        Box::pin(std::future::ready(self.0.clone().map(said)))
    }
}

#[tokio::test]
async fn a_text_passes_that_is_found_harmless_or_where_nothing_is_said_and_that_is_enough() {
    let body = json!({"m": "say"});
    for (found, passes_unasked, status) in [
        (Some(Ok(3)), false, 200),
        (Some(Ok(4)), false, 446),
        (Some(Err("gone".to_owned())), false, 446),
        (Some(Err("gone".to_owned())), true, 200),
        (None, false, 446),
    ] {
        let parameters = json!({
            "name": "Harm", "hateCategory": "4", "violenceCategory": 4, "passthroughOnError": passes_unasked, "showAssessment": true,
        });
        let name = "AzureContentSafetyContentModeration";
        let content_safety = found.clone().map(|found| Arc::new(Moderation(found)) as Arc<dyn ContentSafety>);
        let by = Settings { content_safety, ..settings() };
        let (stage, _backend) = echoing_by(by, json!([applied(name, &parameters)]), json!([])).await;
        let reply = send(&mut stage.client().await, "", "", &body).await;
        assert_eq!(reply.status, status, "{found:?}");
        if found == Some(Ok(4)) {
            let told: Value = serde_json::from_str(reply.text()).unwrap();
            assert_eq!(told["type"], "AZURE_CONTENT_SAFETY_CONTENT_MODERATION");
            let hate = json!({"category": "Hate", "severity": 4, "threshold": 4, "result": "FAIL"});
            assert_eq!(told["message"]["assessments"]["categories"][0], hate);
        }
    }
}

#[tokio::test]
async fn a_model_is_chosen_by_what_a_call_says() {
    let (first, other) = (Models::start().await, Models::start().await);
    let condition =
        |kind: &str, key: &str, value: &str| json!({"type": kind, "key": key, "operator": "EQUALS", "value": value});
    let configs = json!({"production": [
        {"condition": condition("HEADER", "X-Tier", "high"), "target": {"model": "large", "endpointId": "other"}},
        {"condition": condition("QUERY_PARAMETER", "tier", "l w"), "target": {"model": "small"}},
    ]});
    let stage = staged(&first, other.backend.address, "ContentBasedModelRouter", &configs);
    let mut client = stage.client().await;
    let body = json!({"model": "mine", "messages": ["hi"]});
    for (target, fields) in [("", "X-Tier: high\r\n"), ("?tier=l%20w", ""), ("?tier=high", "X-Tier: low\r\n")] {
        assert_eq!(send(&mut client, target, fields, &body).await.status, 200);
    }
    assert_eq!((first.asked(), other.asked()), (vec!["small".to_owned(), "mine".to_owned()], vec!["large".to_owned()]));
}
