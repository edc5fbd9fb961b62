#!/usr/bin/env python3
"""Renders the Helm chart with Helm's own code, with several values, and lints it. Needs the package helm-python-sdk."""

import pathlib
import sys

from helm_python import Chart
from helm_python.chart import lint

chart_dir = pathlib.Path(__file__).resolve().parent.parent / "cluster-configs/helm/portcullis"
chart = Chart.load(chart_dir)
for replicas in (1, 3, 5):
    for values in ({}, {"service": {"type": "LoadBalancer"}, "storage": {"className": "fast", "size": "1Gi"}}):
        rendered = "\n".join(chart.render({"replicas": replicas, **values}, name="shop", namespace="apis").values())
        wanted = [f"replicas: {replicas}", f"name: shop-node-{replicas - 1}\n"]
        wanted += ["type: LoadBalancer", "storage: 1Gi"] if values else ["type: ClusterIP", "storage: 10Gi"]
        missing = [text for text in wanted if text not in rendered]
        if missing or f"name: shop-node-{replicas}\n" in rendered or "<no value>" in rendered:
            sys.exit(f"{replicas} replicas, {values}: missing {missing}\n{rendered}")
report = lint(chart_dir, strict=True)
# Severity 1 is advice.
faults = [message for message in report["messages"] if message["severity"] > 1] + report["errors"]
if faults:
    sys.exit(f"lint: {faults}")
print("the chart renders, and lint finds nothing")
