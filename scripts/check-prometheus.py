#!/usr/bin/env python3
"""Asks a Prometheus that scrapes three nodes: are they up, are all rules evaluated, and is every query of the rules and of the
dashboard answered from metrics that there are? Run by check-prometheus.sh.
Usage: scripts/check-prometheus.py PROMETHEUS GATEWAY DIRECTORY-WITH-RULES-AND-DASHBOARD"""

import json
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

prometheus, gateway, given = sys.argv[1:]


def ask(path, **query):
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return json.load(reply)["data"]
    except urllib.error.HTTPError as error:
        sys.exit(f"error: {query or path}: {error.read().decode()}")


def wait_for(what, found):
    for _ in range(300):
        try:
            if found():
                return
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit(f"error: waited a minute for {what}")


def queries(part):
    if isinstance(part, dict):
        for name, value in part.items():
            yield from [value] if name == "expr" else queries(value)
    elif isinstance(part, list):
        for one in part:
            yield from queries(one)


def call():
    try:
        urllib.request.urlopen(f"{gateway}/nowhere", timeout=10)
    except urllib.error.HTTPError:
        pass


call()
wait_for("three nodes to be scraped twice", lambda: len(ask("query", query="min_over_time(up[3s]) == 1")["result"]) == 3)
call()
wait_for("the call", lambda: ask("query", query="sum(portcullis_gateway_requests_total) > 1")["result"])
rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
wait_for("all rules to be evaluated", lambda: all(
    rule["health"] == "ok" for group in ask("rules")["groups"] for rule in group["rules"]))
asked = [rule["query"] for rule in rules]
asked += list(queries(json.loads(pathlib.Path(given, "grafana-dashboard.json").read_text())))
known = set(ask("label/__name__/values"))
for query in asked:
    missing = set(re.findall(r"portcullis_[a-z_]+", query)) - known
    if missing:
        sys.exit(f"error: {query}: no node has {', '.join(sorted(missing))}")
    ask("query", query=query.replace("$__rate_interval", "30s"))
firing = [rule["name"] for rule in rules if rule["alerts"]]
print(f"three nodes are scraped, {len(rules)} rules are evaluated (of idle nodes pending or firing: {firing or 'none'}), and "
      f"{len(asked)} queries are answered from {len([one for one in known if one.startswith('portcullis_')])} metrics")
