#!/usr/bin/env python3
"""Measures the REST contracts of a node that has much: fills a throw-away node up to each of some counts of APIs, and then of applications, and prints
for each how long it takes to list 25, to list 25 far behind, to search, to read one, to create one, and to change what is always the same: median and slowest of 30 times, in milliseconds.
Needs `cargo build --release` (or the binary named by PORTCULLIS). Usage: scripts/measure-rest.py [APIS [APPLICATIONS]]
    counts between commas: 100,10000 and 100,100000 where not said
"""

import importlib.util
import json
import pathlib
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SPEC = importlib.util.spec_from_file_location("portals", HERE / "measure-portals.py")
portals = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(portals)

PUBLISHER, STORE = "/api/am/publisher/v4/apis", "/api/am/devportal/v3"
ROUNDS = 30


def api_of(name):
    return {"name": name, "context": f"/{name}", "version": "1.0.0", "policies": ["Gold"], "description": "An API among many.",
            "tags": ["one", "many"], "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": "http://127.0.0.1:9"}}}


def timed(what, work):
    times = []
    for number in range(ROUNDS):
        begin = time.perf_counter()
        work(number)
        times.append((time.perf_counter() - begin) * 1000)
    print(f"{statistics.median(times):8.1f} {max(times):8.1f}  {what}", flush=True)


def get(client, path):
    def work(_):
        reply, text = client.ask("GET", path)
        if reply.status != 200:
            sys.exit(f"error: GET {path}: {reply.status} {text}")
        return json.loads(text)
    return work


def change(client, path):
    """A write that has nothing to do with how much there is: what a commit takes, with all around it."""
    def work(number):
        body = json.dumps({"name": "mine", "throttlingPolicy": "Unlimited", "description": f"changed {number}"})
        reply, text = client.ask("PUT", path, body)
        if reply.status != 200:
            sys.exit(f"error: PUT {path}: {reply.status} {text}")
    return work


def fill_and_measure(tls, counts, applications):
    admin = portals.Client(tls)
    owners = [f"owner-{number}" for number in range(max(applications, default=0) // portals.PER_OWNER + 1)]
    for owner in owners:
        admin.make("/api/portcullis/v1/users", {"username": owner, "password": portals.PASSWORD, "roles": ["Internal/subscriber"]})

    def api(client, name):
        made = client.make(PUBLISHER, api_of(name))["id"]
        client.make(f"{PUBLISHER}/change-lifecycle?action=Publish&apiId={made}", None)
        return made

    done, first = 0, None
    mine = admin.make(f"{STORE}/applications", {"name": "mine", "throttlingPolicy": "Unlimited"})["applicationId"]
    for count in counts:
        before = done
        made = portals.fill(tls, "more APIs", count - done, lambda client, number: api(client, f"api-{before + number}"))
        first, done = first or made, count
        # The node has closed what was idle meanwhile.
        admin = portals.Client(tls)
        print(f"  median      max  with {count} APIs")
        for path in (PUBLISHER, f"{STORE}/apis"):
            timed(f"GET {path}?limit=25", get(admin, f"{path}?limit=25"))
            timed(f"GET {path}?limit=25&offset={max(0, count - 25)}", get(admin, f"{path}?limit=25&offset={max(0, count - 25)}"))
            timed(f"GET {path}?query=name:api-7", get(admin, f"{path}?query=name:api-7"))
            timed(f"GET {path}/ID", get(admin, f"{path}/{first}"))
        timed(f"GET {STORE}/search?query=among", get(admin, f"{STORE}/search?query=among"))
        timed(f"POST {PUBLISHER}", lambda number: admin.make(PUBLISHER, api_of(f"more-{count}-{number}")))
        timed(f"PUT {STORE}/applications/ID", change(admin, f"{STORE}/applications/{mine}"))
    done = 0
    for count in applications:
        before = done

        def application(client, number):
            number += before
            client.headers = portals.Client(tls, owners[number // portals.PER_OWNER]).headers
            made = client.make(f"{STORE}/applications", {"name": f"app-{number}", "throttlingPolicy": "Unlimited"})["applicationId"]
            client.make(f"{STORE}/subscriptions", {"applicationId": made, "apiId": first, "throttlingPolicy": "Gold"})

        portals.fill(tls, "more applications, subscribed to one API", count - done, application)
        done, owner, admin = count, portals.Client(tls, owners[0]), portals.Client(tls)
        print(f"  median      max  with {count} applications")
        timed(f"GET {STORE}/applications?limit=25", get(owner, f"{STORE}/applications?limit=25"))
        timed(f"GET {STORE}/applications?query=app-7", get(owner, f"{STORE}/applications?query=app-7"))
        timed(f"GET /api/am/publisher/v4/subscriptions?apiId=ID&limit=25", get(admin, f"/api/am/publisher/v4/subscriptions?apiId={first}&limit=25"))
        timed("GET /api/am/admin/v4/applications?limit=25", get(admin, "/api/am/admin/v4/applications?limit=25"))
        timed(f"GET {STORE}/recommendations", get(owner, f"{STORE}/recommendations"))
        timed(f"POST {STORE}/applications",
              lambda number: admin.make(f"{STORE}/applications", {"name": f"more-{count}-{number}", "throttlingPolicy": "Unlimited"}))


def main():
    said = sys.argv[1:] + ["100,10000", "100,100000"][len(sys.argv) - 1 :]
    apis, applications = ([int(one) for one in text.split(",")] for text in said)
    portals.with_node(lambda tls, _: fill_and_measure(tls, apis, applications))


if __name__ == "__main__":
    main()
