"""Compares the operations that docs/reference/api.md says are served (a test holds it to the code) with a folder of the
original's contracts (OpenAPI, YAML): paths and verbs.

    python3 scripts/compare-contracts.py FOLDER            what is missing, by contract
    python3 scripts/compare-contracts.py FOLDER --write    also puts the figures into docs/reference/contracts.md

Needs PyYAML. Operations that are answered with 501 count as missing; they are listed in NOT_DONE.
"""

import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
VERBS = {"get", "put", "post", "delete", "patch", "head"}
# The contract's file, its name, and the part of api.md that says what is served of it.
CONTRACTS = [
    ("publisher-api.yaml", "Publisher v4", "Publisher v4"),
    ("devportal-api.yaml", "DevPortal v3", "DevPortal v3"),
    ("admin-api.yaml", "Admin v4", "Admin v4"),
    ("service-catalog-api.yaml", "Service Catalog v1", "Service Catalog v1"),
    ("governance-api.yaml", "Governance v1", "Governance v1"),
    ("gateway-api.yaml", "Gateway v2", "Gateway v2"),
    ("devops-api.yaml", "DevOps v0", "DevOps v0"),
]
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


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--write"]):
        sys.exit(__doc__)
    rows = []
    for name, title, part in CONTRACTS:
        file = pathlib.Path(sys.argv[1]) / name
        if not file.is_file():
            print(f"{title}: no {file}")
            continue
        wanted = operations(file)
        ours = served(part) - NOT_DONE if part else set()
        missing = sorted(wanted - ours, key=lambda one: (one[1], one[0]))
        rows.append((title, len(wanted), len(wanted) - len(missing), len(ours - wanted)))
        print(f"{title}: {len(wanted) - len(missing)} of {len(wanted)} operations")
        for verb, path in missing:
            print(f"    missing {verb:6} {path}")
        for verb, path in sorted(ours - wanted, key=lambda one: one[1]):
            print(f"    beyond  {verb:6} {path}")
    if sys.argv[2:]:
        table = ["| contract | operations | served | beyond it |", "|---|---|---|---|"]
        table += [f"| {title} | {count} | {done} ({done * 100 // count} %) | {beyond} |" for title, count, done, beyond in rows]
        page = ROOT / "docs/reference/contracts.md"
        head, rest = page.read_text().split(BEGIN)
        page.write_text(head + BEGIN + "\n\n" + "\n".join(table) + "\n\n" + END + rest.split(END)[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
