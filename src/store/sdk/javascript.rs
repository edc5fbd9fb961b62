//! A client in JavaScript: one module on `fetch` alone, which browsers and Node.js have, with types for TypeScript.

use portcullis_http::zip::Files;

use super::operations::{Described, DescribedOperation, Parameter, Place};
use super::{Subject, Taken, check_written, literal, package_name, remark, words};

const RESERVED: [&str; 47] = [
    "arguments",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "constructor",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "new",
    "null",
    "options",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "var",
    "void",
    "while",
    "with",
    "yield",
    "path",
];
/// What is among the options of every call.
const OPTIONS: [&str; 2] = ["body", "signal"];

/// What does not depend on the API.
const BASE: &str = r#"
/** An answer that is no success. */
export class ApiError extends Error {
  constructor(status, headers, body) {
    super(`status ${status}: ${body.slice(0, 200)}`);
    this.status = status;
    this.headers = headers;
    this.body = body;
  }
}

class Caller {
  constructor({ baseUrl = BASE_URL, accessToken, apiKey, fetch = globalThis.fetch } = {}) {
    this.baseUrl = baseUrl.replace(/\/+$/, "");
    this.accessToken = accessToken;
    this.apiKey = apiKey;
    this.fetch = fetch;
  }

  async call(verb, path, query, headers, options, contentType) {
    const pairs = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? value : [value]) {
        if (one !== undefined && one !== null) pairs.append(name, String(one));
      }
    }
    const sent = {};
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined && value !== null) sent[name] = String(value);
    }
    if (this.accessToken) sent[AUTHORIZATION_HEADER] = `Bearer ${this.accessToken}`;
    if (this.apiKey) sent[API_KEY_HEADER] = this.apiKey;
    let body;
    if (contentType !== null && options.body !== undefined) {
      sent["Content-Type"] = contentType;
      const isText = typeof options.body === "string" || options.body instanceof Uint8Array;
      body = contentType.includes("json") && !(options.body instanceof Uint8Array)
        ? JSON.stringify(options.body)
        : isText ? options.body : String(options.body);
    }
    const search = pairs.toString();
    const url = this.baseUrl + path + (search ? `?${search}` : "");
    const fetch = this.fetch;
    const answer = await fetch(url, { method: verb, headers: sent, body, signal: options.signal });
    if (!answer.ok) throw new ApiError(answer.status, answer.headers, await answer.text());
    const kind = answer.headers.get("content-type") ?? "";
    const text = await answer.text();
    return text && kind.includes("json") ? JSON.parse(text) : text;
  }
}
"#;

const TYPES: &str = r#"
/** An answer that is no success. */
export class ApiError extends Error {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

export interface ClientOptions {
  baseUrl?: string;
  accessToken?: string;
  apiKey?: string;
  fetch?: typeof globalThis.fetch;
}

export interface CallOptions {
  signal?: AbortSignal;
}
"#;

pub(super) fn client(subject: &Subject<'_>, described: &Described) -> Result<Files, String> {
    let package = package_name(subject);
    let title = remark(&format!("{} {}", subject.name, subject.version));
    let mut code = format!(
        "/** Client of {title}. */\n\nconst BASE_URL = {};\nconst AUTHORIZATION_HEADER = {};\nconst API_KEY_HEADER = {};\n{BASE}\n/** Calls {title}. */\nexport class Client extends Caller {{\n",
        literal(subject.address),
        literal(subject.authorization),
        literal(subject.api_key),
    );
    let mut types = format!(
        "/** Client of {title}. */\n{TYPES}\n/** Calls {title}. */\nexport class Client {{\n  constructor(options?: ClientOptions);\n"
    );
    let mut taken = Taken::with(&["constructor", "call", "fetch", "baseUrl", "accessToken", "apiKey"]);
    for operation in &described.operations {
        let (method, declared) = method(operation, &mut taken);
        code += &method;
        types += &declared;
        check_written(code.len() + types.len())?;
    }
    code += "}\n";
    types += "}\n";
    let manifest = serde_json::json!({
        "name": package, "version": "0.1.0", "description": format!("Client of {title}"), "type": "module",
        "main": "index.js", "types": "index.d.ts", "engines": {"node": ">=18"},
    });
    let readme = format!(
        "# Client of {title}\n\n```js\nimport {{ Client }} from \"{package}\";\n\nconst client = new Client({{ accessToken: \"...\" }});\n```\n\nAn answer that is no success throws `ApiError`.\n"
    );
    let files =
        [("index.js", code), ("index.d.ts", types), ("package.json", format!("{manifest:#}\n")), ("README.md", readme)];
    Ok(files.into_iter().map(|(name, text)| (format!("{package}/{name}"), text.into_bytes())).collect())
}

fn camel(words: &[String]) -> String {
    let mut name = String::new();
    for (number, word) in words.iter().enumerate() {
        let (first, rest) = word.split_at(1);
        name += &if number == 0 { first.to_owned() } else { first.to_ascii_uppercase() };
        name += rest;
    }
    name
}

fn kind_of(parameter: &Parameter) -> &'static str {
    match parameter.kind {
        "integer" | "number" => "number",
        "boolean" => "boolean",
        "array" => "unknown[]",
        _ => "string",
    }
}

/// Writes a method, and its declaration.
fn method(operation: &DescribedOperation, taken: &mut Taken) -> (String, String) {
    let name = taken.name(camel(&operation.words));
    let mut arguments = Taken::with(&RESERVED);
    OPTIONS.iter().for_each(|name| drop(arguments.name((*name).to_owned())));
    let mut argument = |parameter: &Parameter| {
        let name = camel(&words(&parameter.name));
        let is_bad = name.is_empty() || name.starts_with(|one: char| one.is_ascii_digit());
        arguments.name(if is_bad { format!("arg{name}") } else { name })
    };
    let named: Vec<(&Parameter, String)> = operation.parameters.iter().map(|one| (one, argument(one))).collect();
    let required: Vec<_> = named.iter().filter(|(one, _)| one.is_required).collect();
    let mut signature: Vec<String> = required.iter().map(|(_, name)| name.clone()).collect();
    signature.push("options = {}".to_owned());
    let mut members: Vec<String> = Vec::new();
    if operation.body.is_some() {
        members.push("body?: unknown".to_owned());
    }
    let optional = named.iter().filter(|(one, _)| !one.is_required);
    members.extend(optional.map(|(one, name)| format!("{name}?: {}", kind_of(one))));
    let mut declared: Vec<String> = required.iter().map(|(one, name)| format!("{name}: {}", kind_of(one))).collect();
    declared.push(match members.as_slice() {
        [] => "options?: CallOptions".to_owned(),
        _ => format!("options?: CallOptions & {{ {} }}", members.join("; ")),
    });
    let pairs = |place: Place| {
        let all = named.iter().filter(|(one, _)| one.place == place);
        let pair = |(one, name): &(&Parameter, String)| {
            let value = if one.is_required { name.clone() } else { format!("options.{name}") };
            format!("{}: {value}", literal(&one.name))
        };
        all.map(pair).collect::<Vec<_>>().join(", ")
    };
    let mut path = literal(&operation.path);
    for (one, name) in named.iter().filter(|(one, _)| one.place == Place::Path) {
        // As a function: what is put in is not looked at for patterns.
        path += &format!(".replace({}, () => encodeURIComponent({name}))", literal(&format!("{{{}}}", one.name)));
    }
    let summary = if operation.summary.is_empty() { &operation.verb } else { &operation.summary };
    let remarks: Vec<String> = named
        .iter()
        .filter(|(one, _)| !one.remark.is_empty())
        .map(|(one, name)| format!("\n   * @param {name} {}", one.remark))
        .collect();
    let content_type = operation.body.as_deref().map_or_else(|| "null".to_owned(), literal);
    let code = format!(
        "\n  /**\n   * {summary}{}\n   */\n  async {name}({}) {{\n    const path = {path};\n    return this.call({}, path, {{ {} }}, {{ {} }}, options, {content_type});\n  }}\n",
        remarks.concat(),
        signature.join(", "),
        literal(&operation.verb),
        pairs(Place::Query),
        pairs(Place::Header),
    );
    (code, format!("  /** {summary} */\n  {name}({}): Promise<any>;\n", declared.join(", ")))
}
