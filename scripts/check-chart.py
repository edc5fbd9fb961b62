#!/usr/bin/env python3
"""Renders the Helm chart with Helm's own code, with several values, and lints it. Needs the package helm-python-sdk.

What it makes of two sets of values is kept in tests/helm, for tests where Helm is not at hand; `--write` writes that anew."""

import hashlib
import pathlib
import sys

from helm_python import Chart
from helm_python.chart import lint

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHART = ROOT / "cluster-configs/helm/portcullis"
KEPT = ROOT / "tests/helm"
APART = {"components": "publisher,store,key-manager,admin,traffic-manager", "gateways": {"replicas": 2}}


def render(values: dict) -> str:
    parts = chart.render(values, name="shop", namespace="apis")
    return "\n---\n".join(parts[name].strip() for name in sorted(parts) if parts[name].strip()) + "\n"


def digest() -> str:
    """Of all files of the chart: what is kept is of these."""
    whole = hashlib.sha256()
    for file in sorted(path for path in CHART.rglob("*") if path.is_file()):
        whole.update(file.relative_to(CHART).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return whole.hexdigest()


chart = Chart.load(CHART)
for replicas in (1, 3, 5):
    for values in ({}, {"service": {"type": "LoadBalancer"}, "storage": {"className": "fast", "size": "1Gi"}}, APART):
        rendered = render({"replicas": replicas, **values})
        wanted = [f"replicas: {replicas}", f"name: shop-node-{replicas - 1}\n"]
        wanted += ["type: LoadBalancer", "storage: 1Gi"] if "service" in values else ["type: ClusterIP", "storage: 10Gi"]
        wanted += ["name: shop-gateway\n", "name: shop-gateway-1\n", "replicas: 2"] if values is APART else []
        missing = [text for text in wanted if text not in rendered]
        has_more = f"name: shop-node-{replicas}\n" in rendered or (values is not APART and "shop-gateway" in rendered)
        if missing or has_more or "<no value>" in rendered:
            sys.exit(f"{replicas} replicas, {values}: missing {missing}\n{rendered}")
report = lint(CHART, strict=True)
# Severity 1 is advice.
faults = [message for message in report["messages"] if message["severity"] > 1] + report["errors"]
if faults:
    sys.exit(f"lint: {faults}")
for name, values in (("nodes", {}), ("gateways-apart", APART)):
    file, text = KEPT / f"{name}.yaml", f"# Chart {digest()}\n" + render(values)
    if "--write" in sys.argv:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    if not file.exists() or file.read_text() != text:
        sys.exit(f"{file} is not what the chart makes; scripts/check-chart.py --write")
print("the chart renders, and lint finds nothing")
