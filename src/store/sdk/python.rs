//! A client in Python: one module on the standard library alone.

use portcullis_http::zip::Files;

use super::operations::{Described, DescribedOperation, Parameter, Place};
use super::{Subject, Taken, check_written, literal, package_name, remark, words};

const RESERVED: [&str; 41] = [
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
    "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "match", "nonlocal", "not", "or", "pass",
    "print", "raise", "return", "self", "try", "type", "while", "with", "yield", "body", "call", "path", "query",
    "headers",
];
/// What instances have besides methods, which one of the same name would never be called for.
const ATTRIBUTES: [&str; 5] = ["base_url", "access_token", "api_key", "timeout_s", "ssl_context"];

/// What does not depend on the API.
const BASE: &str = r#"
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Dict, List, Optional


class ApiError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, headers: Dict[str, str], body: bytes):
        super().__init__("status %d: %s" % (status, body[:200].decode("utf-8", "replace")))
        self.status = status
        self.headers = headers
        self.body = body


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Caller:
    def __init__(
        self,
        base_url: str = BASE_URL,
        access_token: Optional[str] = None,
        api_key: Optional[str] = None,
        timeout_s: float = 30.0,
        ssl_context: Optional[ssl.SSLContext] = None,
    ):
        self.base_url = base_url.rstrip("/")
        self.access_token = access_token
        self.api_key = api_key
        self.timeout_s = timeout_s
        self.ssl_context = ssl_context

    def _call(self, verb, path, query, headers, body, content_type):
        pairs = []
        for name, value in query.items():
            for one in value if isinstance(value, (list, tuple)) else [value]:
                if one is not None:
                    pairs.append((name, _text(one)))
        url = self.base_url + path + ("?" + urllib.parse.urlencode(pairs) if pairs else "")
        sent = {name: _text(value) for name, value in headers.items() if value is not None}
        if self.access_token:
            sent[AUTHORIZATION_HEADER] = "Bearer " + self.access_token
        if self.api_key:
            sent[API_KEY_HEADER] = self.api_key
        data = None
        if body is not None:
            sent["Content-Type"] = content_type
            if isinstance(body, bytes):
                data = body
            elif "json" in content_type:
                data = json.dumps(body).encode("utf-8")
            else:
                data = str(body).encode("utf-8")
        request = urllib.request.Request(url, data=data, headers=sent, method=verb)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s, context=self.ssl_context) as answer:
                content, kind = answer.read(), answer.headers.get("Content-Type", "")
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, dict(error.headers.items()), error.read()) from None
        if not content:
            return None
        if "json" in kind:
            return json.loads(content)
        return content.decode("utf-8", "replace") if kind.startswith("text/") else content


def _part(value: Any) -> str:
    return urllib.parse.quote(_text(value), safe="")

"#;

pub(super) fn client(subject: &Subject<'_>, described: &Described) -> Result<Files, String> {
    let package = package_name(subject);
    let module = package.replace('-', "_");
    let module = if module.starts_with(|one: char| one.is_ascii_digit()) { format!("api_{module}") } else { module };
    let title = remark(&format!("{} {}", subject.name, subject.version));
    let mut code = format!(
        "\"\"\"Client of {title}.\"\"\"\n\nBASE_URL = {}\nAUTHORIZATION_HEADER = {}\nAPI_KEY_HEADER = {}\n{BASE}\nclass Client(_Caller):\n    \"\"\"Calls {title}.\"\"\"\n",
        literal(subject.address),
        literal(subject.authorization),
        literal(subject.api_key),
    );
    let mut taken = Taken::with(&[&RESERVED[..], &ATTRIBUTES[..]].concat());
    for operation in &described.operations {
        code += &method(operation, &mut taken);
        check_written(code.len())?;
    }
    let project = format!(
        "[build-system]\nrequires = [\"setuptools>=61\"]\nbuild-backend = \"setuptools.build_meta\"\n\n[project]\nname = {}\nversion = \"0.1.0\"\ndescription = {}\nrequires-python = \">=3.8\"\n\n[tool.setuptools]\npackages = [{}]\n",
        literal(&package),
        literal(&format!("Client of {title}")),
        literal(&module),
    );
    let readme = format!(
        "# Client of {title}\n\n```python\nfrom {module} import Client\n\nclient = Client(access_token=\"...\")\n```\n\nAn answer that is no success raises `ApiError`.\n"
    );
    let files = [
        (format!("{package}/{module}/__init__.py"), code),
        (format!("{package}/pyproject.toml"), project),
        (format!("{package}/README.md"), readme),
    ];
    Ok(files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect())
}

fn kind_of(parameter: &Parameter) -> &'static str {
    match parameter.kind {
        "integer" => "int",
        "number" => "float",
        "boolean" => "bool",
        "array" => "List[Any]",
        "object" => "Dict[str, Any]",
        _ => "str",
    }
}

fn method(operation: &DescribedOperation, taken: &mut Taken) -> String {
    let name = taken.name(operation.words.join("_"));
    let mut arguments_taken = Taken::with(&RESERVED);
    let argument = |parameter: &Parameter, taken: &mut Taken| {
        let name = words(&parameter.name).join("_");
        let is_bad = name.is_empty() || name.starts_with(|one: char| one.is_ascii_digit());
        taken.name(if is_bad { format!("arg_{name}") } else { name })
    };
    let named: Vec<(&Parameter, String)> =
        operation.parameters.iter().map(|one| (one, argument(one, &mut arguments_taken))).collect();
    let mut signature = vec!["self".to_owned()];
    signature
        .extend(named.iter().filter(|(one, _)| one.is_required).map(|(one, name)| format!("{name}: {}", kind_of(one))));
    let mut optional: Vec<String> = Vec::new();
    if operation.body.is_some() {
        optional.push("body: Any = None".to_owned());
    }
    optional.extend(
        named
            .iter()
            .filter(|(one, _)| !one.is_required)
            .map(|(one, name)| format!("{name}: Optional[{}] = None", kind_of(one))),
    );
    if !optional.is_empty() {
        signature.push("*".to_owned());
        signature.append(&mut optional);
    }
    let remarks: Vec<String> = named
        .iter()
        .filter(|(one, _)| !one.remark.is_empty())
        .map(|(one, name)| format!("\n        {name}: {}", one.remark))
        .collect();
    let summary = if operation.summary.is_empty() { &operation.verb } else { &operation.summary };
    let document = match remarks.as_slice() {
        [] => summary.clone(),
        _ => format!("{summary}\n{}\n        ", remarks.concat()),
    };
    let pairs = |place: Place| {
        let all = named.iter().filter(|(one, _)| one.place == place);
        all.map(|(one, name)| format!("{}: {name}", literal(&one.name))).collect::<Vec<_>>().join(", ")
    };
    let mut path = literal(&operation.path);
    for (one, name) in named.iter().filter(|(one, _)| one.place == Place::Path) {
        path += &format!(".replace({}, _part({name}))", literal(&format!("{{{}}}", one.name)));
    }
    let (body, content_type) = match &operation.body {
        Some(kind) => ("body", literal(kind)),
        None => ("None", "None".to_owned()),
    };
    format!(
        "\n    def {name}({}) -> Any:\n        \"\"\"{}\"\"\"\n        path = {path}\n        query = {{{}}}\n        headers = {{{}}}\n        return self._call({}, path, query, headers, {body}, {content_type})\n",
        signature.join(", "),
        document,
        pairs(Place::Query),
        pairs(Place::Header),
        literal(&operation.verb),
    )
}
