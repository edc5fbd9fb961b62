"""Compares what is served with a folder of the original's contracts (OpenAPI, YAML).

Paths and verbs are those of docs/reference/api.md, which a test holds to the code. Statuses, fields and words of a fixed set are those of
src/node/documents/shapes.json, which scripts/learn-shapes.py writes from the answers of a node: an answer that no node gave
is not compared, and a field that was never there counts as missing.

    python3 scripts/compare-contracts.py FOLDER            what is missing, by contract
    python3 scripts/compare-contracts.py FOLDER --fields   also every status, field and word that differs
    python3 scripts/compare-contracts.py FOLDER --write    also puts the figures into docs/reference/contracts.md

Needs PyYAML. Operations that are answered with 501 count as missing; they are listed in NOT_DONE.
"""

import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
VERBS = {"get", "put", "post", "delete", "patch", "head"}
# The contract's file, its name, which is also that of the part of api.md that says what is served of it, and our document's name.
CONTRACTS = [
    ("publisher-api.yaml", "Publisher v4", "publisher-v4"),
    ("devportal-api.yaml", "DevPortal v3", "devportal-v3"),
    ("admin-api.yaml", "Admin v4", "admin-v4"),
    ("service-catalog-api.yaml", "Service Catalog v1", "service-catalog-v1"),
    ("governance-api.yaml", "Governance v1", "governance-v1"),
    ("gateway-api.yaml", "Gateway v2", "gateway-v2"),
    ("devops-api.yaml", "DevOps v0", "devops-v0"),
]
# What fields of requests are bounded by.
BOUNDS = ("minLength", "maxLength", "pattern", "minimum", "maximum", "maxItems")
# Routed, but answered with 501.
NOT_DONE = set()
BEGIN, END = "<!-- figures: made by scripts/compare-contracts.py -->", "<!-- end of figures -->"


def same(path):
    """A path without its parameters' names, and without a slash at its end."""
    return re.sub(r"\{[^}]+\}", "{}", path.split("?")[0]).rstrip("/")


def served(part):
    """The operations in a part of api.md: a set of (verb, path)."""
    page = (ROOT / "docs/reference/api.md").read_text()
    parts = [text for text in re.split(r"^## ", page, flags=re.M) if text.startswith(part)]
    if len(parts) != 1:
        sys.exit(f"docs/reference/api.md has {len(parts)} parts {part!r}, not one")
    found = set()
    for verbs, path in re.findall(r"^\| ([A-Z, ]+) \| `([^`]+)`", parts[0], re.M):
        found |= {(verb.strip(), same(path)) for verb in verbs.split(",")}
    return found


def operations(file):
    document = yaml.load(file.read_text(), Loader=yaml.BaseLoader)
    return {(verb.upper(), same(path)) for path, item in document["paths"].items() for verb in item if verb in VERBS}


def untold(schema, place=""):
    """Where our answers had nothing in them, which says nothing of what they would have: the beginnings of the names of fields."""
    kind = schema.get("type")
    if schema == {} or kind == "null":
        return {place}
    found = set()
    for name, inner in schema.get("properties", {}).items():
        found |= untold(inner, f"{place}{name}.")
    if kind == "array":
        found |= untold(schema["items"], place)
    return found


class Answers:
    """What the answers of one contract say, and what ours do."""

    def __init__(self, document, slug):
        self.document = document
        learnt = json.loads((ROOT / "src/node/documents/shapes.json").read_text()).get(slug, {})
        self.learnt = {(name.split(" ")[0], same(name.split(" ")[1])): one for name, one in learnt.items()}
        limits = json.loads((ROOT / "src/node/documents/limits.json").read_text()).get(slug, {})
        self.held_to = {(name.split(" ")[0], same(name.split(" ")[1])): one for name, one in limits.items()}

    def resolved(self, schema):
        """A schema without references, those it is made of put together."""
        while isinstance(schema, dict) and "$ref" in schema:
            whole = self.document
            for part in schema["$ref"].split("/")[1:]:
                whole = whole[part]
            schema = whole
        schema = dict(schema) if isinstance(schema, dict) else {}
        for part in schema.pop("allOf", []):
            part = self.resolved(part)
            properties = {**part.get("properties", {}), **schema.get("properties", {})}
            schema = {**part, **schema}
            if properties:
                schema["properties"] = properties
        return schema

    def fields(self, schema, place="", depth=0):
        """Where a schema has fields, each with the words it may have."""
        schema, found = self.resolved(schema), {}
        if depth < 4:
            for name, inner in schema.get("properties", {}).items():
                inner = self.resolved(inner)
                found[place + name] = inner.get("enum") or inner.get("items", {}).get("enum") or inner.get("x-seen", [])
                found.update(self.fields(inner, f"{place}{name}.", depth + 1))
            if "items" in schema:
                found.update(self.fields(schema["items"], place, depth + 1))
        return found

    def requests(self):
        """Yields each required field of a request, and whether ours has it: in what is read at the same place, or of one of the list."""
        for path, item in self.document["paths"].items():
            for verb, operation in item.items():
                if verb not in ("post", "put"):
                    continue
                place = same(path) if verb == "put" else f"{same(path)}/{{}}"
                ours = self.learnt.get(("GET", place))
                content = self.resolved(operation.get("requestBody", {})).get("content", {}).get("application/json", {})
                required = self.resolved(content.get("schema", {})).get("required", [])
                if not ours or not required:
                    continue
                contents = [one for answer in ours["responses"].values() for one in answer.values()]
                has = {field for one in contents for field in self.fields(one)}
                for field in required:
                    yield verb.upper(), path, field, field in has or {} in contents

    def limits(self):
        """Yields each bound of a field of a request that ours names too: what the contract has, which may be nothing, and what ours has."""
        for path, item in self.document["paths"].items():
            for verb, operation in item.items():
                ours = self.held_to.get((verb.upper(), same(path)))
                if verb not in VERBS or not ours:
                    continue
                content = self.resolved(operation.get("requestBody", {})).get("content", {}).get("application/json", {})
                fields = self.resolved(content.get("schema", {})).get("properties", {})
                for name, bounds in ours.get("properties", {}).items():
                    field = self.resolved(fields.get(name, {}))
                    for bound in BOUNDS:
                        if bound in field or bound in bounds:
                            yield verb.upper(), path, f"{name}.{bound}", field.get(bound), bounds.get(bound)

    def compare(self):
        """Yields each answer that both have: verb and path, fields that are in both, those that ours lacks."""
        for path, item in self.document["paths"].items():
            for verb, operation in item.items():
                ours = self.learnt.get((verb.upper(), same(path)))
                if verb not in VERBS or not ours:
                    continue
                theirs = {str(status): self.resolved(one) for status, one in operation["responses"].items()}
                good = {status for status in theirs if status.startswith(("2", "3"))}
                # 304 is for those who ask with what they have.
                odd = sorted(set(ours["responses"]) - good)
                wanted, has, unknown = {}, {}, set()
                for status in good & set(ours["responses"]):
                    for media_type, content in theirs[status].get("content", {}).items():
                        if media_type == "application/json":
                            wanted.update(self.fields(content.get("schema", {})))
                    for media_type, schema in ours["responses"][status].items():
                        has.update(self.fields(schema))
                        unknown |= untold(schema)
                theirs_of = wanted
                wanted = {one for one in wanted if not any(one.startswith(place) for place in unknown)}
                missing = sorted(wanted - set(has))
                missing = [one for one in missing if not any(one.startswith(f"{other}.") for other in missing)]
                words = {
                    field: sorted(set(has[field]) - set(theirs_of[field]))
                    for field in wanted & set(has) if theirs_of[field] and set(has[field]) - set(theirs_of[field])
                }
                yield verb.upper(), path, len(wanted), len(wanted & set(has)), missing, odd, words


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--write"], ["--fields"]):
        sys.exit(__doc__)
    rows, compared = [], []
    for name, title, slug in CONTRACTS:
        part = title
        file = pathlib.Path(sys.argv[1]) / name
        if not file.is_file():
            print(f"{title}: no {file}")
            continue
        wanted = operations(file)
        ours_of = Answers(yaml.load(file.read_text(), Loader=yaml.BaseLoader), slug)
        answers, required = list(ours_of.compare()), list(ours_of.requests())
        total, both = sum(one[2] for one in answers), sum(one[3] for one in answers)
        statuses, words = sum(bool(one[5]) for one in answers), sum(len(one[6]) for one in answers)
        compared.append((title, len(answers), total, both, statuses, words, len(required), sum(one[3] for one in required)))
        print(f"{title}: {len(answers)} answers compared: {both} of {total} fields, {statuses} with another status, "
              f"{words} with other words; {sum(one[3] for one in required)} of {len(required)} required fields of requests")
        limits = list(ours_of.limits())
        alike = sum(str(theirs) == str(known) for *_, theirs, known in limits)
        if limits:
            print(f"{title}: {len(limits)} limits of requests compared: {alike} alike, {sum(one[3] is None for one in limits)} ours alone, "
                  f"{sum(one[4] is None for one in limits)} the contract's alone")
        if sys.argv[2:] == ["--fields"]:
            for verb, path, field, theirs, known in limits:
                if str(theirs) != str(known):
                    print(f"    limit   {verb:6} {path}: {field} is {theirs} there, {known} here")
            for verb, path, field, is_there in required:
                if not is_there:
                    print(f"    request {verb:6} {path}: {field} is required, and not known here")
            for verb, path, _, _, missing, odd, words in answers:
                for field, others in words.items():
                    print(f"    word    {verb:6} {path}: {field} may not be {', '.join(others)}")
                for one in missing:
                    print(f"    field   {verb:6} {path}: {one}")
                for status in odd:
                    print(f"    status  {verb:6} {path}: {status}")
        ours = served(part) - NOT_DONE if part else set()
        missing = sorted(wanted - ours, key=lambda one: (one[1], one[0]))
        rows.append((title, len(wanted), len(wanted) - len(missing), len(ours - wanted)))
        print(f"{title}: {len(wanted) - len(missing)} of {len(wanted)} operations")
        for verb, path in missing:
            print(f"    missing {verb:6} {path}")
        for verb, path in sorted(ours - wanted, key=lambda one: one[1]):
            print(f"    beyond  {verb:6} {path}")
    if sys.argv[2:] == ["--write"]:
        table = ["| contract | operations | served | beyond it |", "|---|---|---|---|"]
        table += [f"| {title} | {count} | {done} ({done * 100 // count} %) | {beyond} |" for title, count, done, beyond in rows]
        table += ["", "| contract | answers compared | fields of these in the contract | in ours | with another status | with words that it has not | required in requests | known here |",
                  "|---|---|---|---|---|---|---|---|"]
        for title, count, total, both, statuses, words, required, known in compared:
            share = f" ({both * 100 // total} %)" if total else ""
            table.append(f"| {title} | {count} | {total} | {both}{share} | {statuses} | {words} | {required} | {known} |")
        page = ROOT / "docs/reference/contracts.md"
        head, rest = page.read_text().split(BEGIN)
        page.write_text(head + BEGIN + "\n\n" + "\n".join(table) + "\n\n" + END + rest.split(END)[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
