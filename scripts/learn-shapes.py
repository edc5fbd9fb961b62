"""Learns what answers look like: reads all that a node lets be read, and writes the form of each answer into
src/node/documents/shapes.json, by document, operation and status.

    portcullis dev --bind 127.77.40.1 &
    python3 scripts/learn-shapes.py https://127.77.40.1:9443 admin admin

With a folder as the fourth argument nothing is learnt: the documents are written there with the names of what the node has in place of
parameters, for scripts/check-contracts.sh. The node is to have one object of each kind: portcullis apply -f tests/declared. Only the standard library is needed.
"""

import base64
import json
import pathlib
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "src/node/documents/shapes.json"
# What is put where a path asks for it and no list says it.
GIVEN = {
    "policyLevel": ["subscription", "application", "api"], "keyType": ["PRODUCTION"], "tenantDomain": ["carbon.super"],
    "report": ["usage", "apis", "resources", "applications", "latency"], "domain": ["carbon.super"],
    "username": ["admin"], "envName": ["Default"], "deploymentId": ["Default"], "policyName": ["Unlimited"], "policyId": ["Unlimited"],
}
# What names an object, beside a field of the parameter's own name.
NAMES = ("id", "policyId", "applicationId", "subscriptionId", "documentId", "conditionId", "alias", "name", "keyMappingId", "referenceId")
DEPTH_MAX = 12


def plain(value, depth=0):
    """The schema of a value."""
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        return {"type": "integer"}
    if isinstance(value, float):
        return {"type": "number"}
    if isinstance(value, str):
        # What looks like one of a fixed set of words is noted, to be compared with the contracts.
        return {"type": "string", "x-seen": [value]} if re.fullmatch(r"[A-Z]+(_[A-Z0-9]+)*", value) else {"type": "string"}
    if value is None:
        return {"type": "null"}
    if depth > DEPTH_MAX:
        return {}
    if isinstance(value, list):
        items = None
        for item in value:
            items = both(items, plain(item, depth + 1))
        return {"type": "array", "items": items or {}}
    names = list(value)
    # Where names are data, they are no fields.
    if any(re.search(r"[^A-Za-z0-9_]", name) for name in names):
        inner = None
        for item in value.values():
            inner = both(inner, plain(item, depth + 1))
        return {"type": "object", "additionalProperties": inner or True}
    return {"type": "object", "properties": {name: plain(item, depth + 1) for name, item in value.items()}}


def kinds(schema):
    said = schema.get("type", [])
    return set(said if isinstance(said, list) else [said])


def both(one, other):
    """The schema of what is the one or the other."""
    if one is None or one == other:
        return other
    if other is None:
        return one
    if not one or not other:
        return {}
    whole = {}
    found = kinds(one) | kinds(other)
    if "number" in found:
        found.discard("integer")
    whole["type"] = sorted(found) if len(found) > 1 else next(iter(found))
    if "properties" in one or "properties" in other:
        first, second = one.get("properties", {}), other.get("properties", {})
        names = list(first) + [name for name in second if name not in first]
        whole["properties"] = {name: both(first.get(name), second[name]) if name in second else first[name] for name in names}
    seen = set(one.get("x-seen", [])) | set(other.get("x-seen", []))
    if seen:
        whole["x-seen"] = sorted(seen)[:20]
    if "items" in one or "items" in other:
        whole["items"] = both(one.get("items") or None, other.get("items") or None) or {}
    if "additionalProperties" in one or "additionalProperties" in other:
        whole["additionalProperties"] = True
    return whole


class Node:
    def __init__(self, server, user, password):
        self.server = server
        self.head = {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
        self.tls = ssl._create_unverified_context()  # A throw-away node on this machine.

    def get(self, path):
        request = urllib.request.Request(self.server + path, headers=self.head | {"Accept": "application/json, */*;q=0.5"})
        try:
            with urllib.request.build_opener(urllib.request.HTTPSHandler(context=self.tls), NoRedirect()).open(request, timeout=10) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get_content_type(), error.read()
        except OSError as error:
            print(f"    {path}: {error}", file=sys.stderr)
            return None, None, b""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def items_of(body):
    if isinstance(body, list):
        return body
    if isinstance(body, dict):
        for name in ("list", "apis", "certificates", "items", "Resources", "nodes", "tokens"):
            if isinstance(body.get(name), list):
                return body[name]
    return []


def names_of(item, parameter):
    if isinstance(item, str):
        return [item]
    if not isinstance(item, dict):
        return []
    return [str(item[name]) for name in (parameter, *NAMES) if item.get(name) not in (None, "")]


def filled(node, base, path, answers, named=None):
    """The paths with something in place of each parameter; what that is also goes into `named`."""
    done = [""]
    for part in path.split("/")[1:]:
        match = re.fullmatch(r"\{(.+)\}", part)
        if not match:
            done = [f"{one}/{part}" for one in done]
            continue
        parameter, further = match[1], []
        for one in done:
            if one not in answers:
                status, _, body = node.get(base + one + ("?limit=100" if "?" not in one else ""))
                try:
                    answers[one] = json.loads(body) if status == 200 else None
                except ValueError:
                    answers[one] = None
            candidates = list(GIVEN.get(parameter, []))
            for item in items_of(answers[one])[:12]:
                candidates += names_of(item, parameter)[:2]
            if named is not None:
                named.setdefault(parameter, set()).update(candidates[:8])
            further += [f"{one}/{urllib.parse.quote(name, safe='')}" for name in candidates]
        done = further[:24]
    return done


def write_named(node, base, document, file):
    """Writes a document whose parameters have the names of what there is."""
    for path, item in document["paths"].items():
        named = {}
        filled(node, base, path, {}, named)
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if named.get(parameter["name"]):
                    parameter["schema"]["enum"] = sorted(named[parameter["name"]]) + ["nothing"]
    file.write_text(json.dumps(document))


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    node = Node(*sys.argv[1:4])
    _, _, text = node.get("/docs/swagger-initializer.js")
    slugs = re.findall(r"/docs/openapi/([a-z0-9-]+)\.json", text.decode())
    shapes, read, known = {}, 0, 0
    for slug in slugs:
        document = json.loads(node.get(f"/docs/openapi/{slug}.json")[2])
        base = document["servers"][0]["url"].rstrip("/")
        answers, found = {}, {}
        if len(sys.argv) == 5:
            write_named(node, base, document, pathlib.Path(sys.argv[4]) / f"{slug}.json")
            continue
        for path, item in document["paths"].items():
            if "get" not in item or path in ("/throttling/stream", "/gateway/tail"):
                continue
            read += 1
            for place in filled(node, base, path, answers):
                status, media_type, body = node.get(base + place)
                if status is None or status >= 400:
                    continue
                entry = found.setdefault(f"GET {path}", {"responses": {}})["responses"].setdefault(str(status), {})
                if not body:
                    continue
                if media_type == "application/json" or media_type.endswith("+json"):
                    # A definition has whatever form its author gave it.
                    free = path.endswith(("/swagger", "/tenant-config", "/tenant-config-schema", "/definition", "/jwks"))
                    entry[media_type] = {} if free else both(entry.get(media_type), plain(json.loads(body)))
                else:
                    entry[media_type] = {}
            known += f"GET {path}" in found
        if found:
            shapes[slug] = dict(sorted(found.items()))
    if len(sys.argv) == 5:
        return
    # An operation a line, so that changes can be read.
    faces = []
    for slug, found in shapes.items():
        lines = [f"    {json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}" for name, one in found.items()]
        # What was always null has a form that was not seen.
        lines = [line.replace('{"type":"null"}', "{}") for line in lines]
        faces.append(f"  {json.dumps(slug)}: {{\n" + ",\n".join(lines) + "\n  }")
    OUT.write_text("{\n" + ",\n".join(faces) + "\n}\n")
    print(f"{known} of {read} operations that read are known")


if __name__ == "__main__":
    main()
