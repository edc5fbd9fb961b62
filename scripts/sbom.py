#!/usr/bin/env python3
"""Writes what Portcullis is made of as CycloneDX 1.5, from Cargo.lock: every crate with version, checksum and what it needs.

    scripts/sbom.py > portcullis.sbom.json

Crates that only tests or other operating systems need are among them: the lock file does not tell them apart.
"""

import json
import pathlib
import tomllib

root = pathlib.Path(__file__).resolve().parent.parent
packages = tomllib.loads((root / "Cargo.lock").read_text())["package"]
by_name = {}
for package in packages:
    by_name.setdefault(package["name"], []).append(package["version"])


def purl(name, version):
    return f"pkg:cargo/{name}@{version}"


def needed(text):
    """Returns the reference of a dependency, written as a name, with its version where there are several."""
    name, *version = text.split()
    return purl(name, version[0] if version else by_name[name][0])


def component(package):
    reference = purl(package["name"], package["version"])
    entry = {"type": "library", "bom-ref": reference, "name": package["name"], "version": package["version"], "purl": reference}
    if "checksum" in package:
        entry["hashes"] = [{"alg": "SHA-256", "content": package["checksum"]}]
    return entry


own = next(package for package in packages if package["name"] == "portcullis")
document = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "metadata": {"component": {**component(own), "type": "application", "licenses": [{"license": {"id": "Apache-2.0"}}]}},
    "components": [component(package) for package in packages if package is not own],
    "dependencies": [
        {"ref": purl(package["name"], package["version"]), "dependsOn": sorted({needed(text) for text in package.get("dependencies", [])})}
        for package in packages
    ],
}
print(json.dumps(document, indent=1))
