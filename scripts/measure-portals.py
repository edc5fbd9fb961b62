#!/usr/bin/env python3
"""Measures the portals of a node that has much: fills a throw-away node with APIs and applications, makes calls to some of
them, then gets each page again and again, and prints its bytes and its median and slowest time in milliseconds. Needs `cargo build --release` (or the
binary named by PORTCULLIS). Usage: scripts/measure-portals.py [APIS [APPLICATIONS]]     10000 and 100000 where not said
"""

import base64
import html
import http.client
import http.server
import json
import os
import pathlib
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

HOST, PASSWORD = "127.87.3.1", "bench-password"
# Applications of one owner, at most; clients at a time; times that each page is got.
PER_OWNER, CLIENTS, ROUNDS = 10_000, 16, 30
# APIs that are called, and calls of each kind to each of them.
BUSY, CALLS = 10, 40
PAGES = """/ /publisher /publisher?view=table /publisher?q=api-77 /publisher?limit=100&offset=5000 /publisher/create
/publisher/subscriptions /publisher/apis/{api} /publisher/apis/{api}/design /publisher/apis/{api}/subscriptions
/publisher/apis/{api}/revisions /publisher/apis/{api}/statistics /publisher/apis/{api}/comments
/publisher/apis/{busy}/statistics?range=1h /publisher/apis/{busy}/statistics?range=24h
/publisher/apis/{busy}/statistics?range=7d /publisher/apis/{busy}/statistics?range=30d /devportal
/devportal?q=api-77 /devportal?sort=new /devportal/apis/{api} /devportal/apis/{api}/reference /devportal/apis/{api}/try
/devportal/applications /devportal/applications/{application}
/devportal/applications/{application}/usage /admin /admin/policies /admin/policies/counters
/admin/policies/test /admin/deny /admin/tasks /admin/statistics?range=1h /admin/statistics?range=24h
/admin/statistics?range=7d /admin/statistics?range=30d /admin/users /admin/roles /admin/roles/Internal%2Fsubscriber
/admin/tenants /admin/key-managers /admin/audit /admin/settings /admin/theme""".split()


class Client:
    """One connection, kept; signs in by name and password, or by a cookie."""

    def __init__(self, tls, user="admin"):
        self.connection = http.client.HTTPSConnection(HOST, 9443, context=tls, timeout=60)
        self.headers = {"authorization": "Basic " + base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()}

    def ask(self, verb, path, body=None, kind="application/json"):
        headers = self.headers | ({"content-type": kind} if body is not None else {})
        text = json.dumps(body) if isinstance(body, dict | list) else body
        self.connection.request(verb, path, text, headers)
        reply = self.connection.getresponse()
        return reply, reply.read().decode()

    def make(self, path, body):
        reply, text = self.ask("POST", path, body)
        if reply.status not in (200, 201):
            sys.exit(f"error: POST {path}: {reply.status} {text}")
        return json.loads(text) if text else {}


def fill(tls, what, count, make):
    begin, clients = time.monotonic(), [Client(tls) for _ in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        made = list(pool.map(lambda n: [make(clients[n], number) for number in range(n, count, CLIENTS)], range(CLIENTS)))
    print(f"{count} {what} in {time.monotonic() - begin:.0f} s", flush=True)
    return made[0][0] if made[0] else None


def sign_in(tls):
    """Returns a client with the cookie of a browser that signed in."""
    browser = Client(tls)
    browser.headers = {}
    cookies = lambda reply: {"cookie": "; ".join(one.split(";")[0] for one in reply.headers.get_all("set-cookie") or [])}
    reply, page = browser.ask("GET", "/oauth2/portal?page=/admin")
    browser.headers = cookies(reply)
    field = lambda name: html.unescape(page.split(f'name="{name}" value="')[1].split('"')[0])
    form = {"to": field("to"), "form_token": field("form_token"), "username": "admin", "password": PASSWORD}
    reply, text = browser.ask("POST", "/oauth2/sign-in", urllib.parse.urlencode(form), "application/x-www-form-urlencoded")
    if reply.status != 303:
        sys.exit(f"error: signing in: {reply.status} {text}")
    browser.headers = cookies(reply)
    return browser


def measure(browser, path):
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        reply, text = browser.ask("GET", path)
        times.append((time.perf_counter() - begin) * 1000)
        if reply.status != 200:
            sys.exit(f"error: GET {path}: {reply.status}")
    print(f"{len(text.encode()):8} {statistics.median(times):8.1f} {max(times):8.1f}  {path}", flush=True)


def with_node(work):
    """Starts a throw-away node, does work with a context of TLS that trusts it and its process, and ends it."""
    root = pathlib.Path(__file__).resolve().parent.parent
    binary = os.environ.get("PORTCULLIS", str(root / "target/release/portcullis"))
    with tempfile.TemporaryDirectory() as into:
        (pathlib.Path(into) / "password").write_text(PASSWORD)
        bootstrap = [binary, "cluster", "bootstrap", "--data-dir", "n1", "--bind", HOST, "--admin-password-file", "password"]
        subprocess.run(bootstrap, cwd=into, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(f"{into}/log", "w") as log:
            node = subprocess.Popen([binary, "server", "--data-dir", "n1"], cwd=into, stderr=log)
        try:
            tls = ssl.create_default_context(cafile=f"{into}/n1/tls/ca.pem")
            while True:
                try:
                    Client(tls).ask("GET", "/")
                    break
                except OSError:
                    time.sleep(0.1)
            work(tls, node)
        finally:
            node.terminate()
            node.wait()


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers by the last part of the path: 200, 404 or 500."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response({"lost": 404, "broken": 500}.get(self.path.rsplit("/", 1)[-1], 200))
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def call(tls, admin, application):
    """Makes calls of every outcome to some APIs, waits until statistics tell of them, and returns one of the APIs."""
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    publisher, store = "/api/am/publisher/v4/apis", "/api/am/devportal/v3"
    made = []
    for number in range(BUSY):
        targets = [{"target": f"/{name}", "verb": "GET", "authType": "Any", "throttlingPolicy": "Unlimited"}
                   for name in ("menu", "lost", "broken")]
        endpoint = {"url": f"http://127.0.0.1:{backend.server_port}"}
        body = {"name": f"busy-{number}", "context": f"/busy-{number}", "version": "1.0.0", "policies": ["Unlimited"],
                "operations": targets, "endpointConfig": {"endpoint_type": "http", "production_endpoints": endpoint}}
        api = admin.make(publisher, body)["id"]
        revision = admin.make(f"{publisher}/{api}/revisions", {"description": "first"})["id"]
        place = [{"name": "Default", "vhost": "localhost", "displayOnDevportal": True}]
        admin.make(f"{publisher}/{api}/deploy-revision?revisionId={revision}", place)
        admin.make(f"{publisher}/change-lifecycle?action=Publish&apiId={api}", None)
        admin.make(f"{store}/subscriptions", {"applicationId": application, "apiId": api, "throttlingPolicy": "Unlimited"})
        made.append(api)
    keys = {"keyType": "PRODUCTION", "grantTypesToBeSupported": ["client_credentials"]}
    keys = admin.make(f"{store}/applications/{application}/generate-keys", keys)
    key_manager = Client(tls)
    login = base64.b64encode(f"{keys['consumerKey']}:{keys['consumerSecret']}".encode()).decode()
    key_manager.headers = {"authorization": f"Basic {login}"}
    _, text = key_manager.ask("POST", "/oauth2/token", "grant_type=client_credentials", "application/x-www-form-urlencoded")
    token, gateway, calls = json.loads(text)["access_token"], http.client.HTTPConnection(HOST, 8280, timeout=60), 0
    for number in range(BUSY):
        for path, key in [("menu", token), ("lost", token), ("broken", token), ("nowhere", token), ("menu", "wrong")] * CALLS:
            headers = {"authorization": f"Bearer {key}", "user-agent": f"program-{calls % 12}/1.0"}
            gateway.request("GET", f"/busy-{number}/1.0.0/{path}", headers=headers)
            gateway.getresponse().read()
            calls += 1
    while True:
        told = json.loads(admin.ask("GET", "/api/portcullis/v1/statistics/apis?limit=1000")[1])["list"]
        if sum(row["calls"] for row in told) >= calls:
            print(f"{calls} calls to {BUSY} APIs are told of", flush=True)
            return made[0]
        time.sleep(0.2)


def main():
    apis, applications = (int(text) for text in (sys.argv[1:] + ["10000", "100000"][len(sys.argv) - 1 :]))
    with_node(lambda tls, node: run(tls, apis, applications, node))


def run(tls, apis, applications, node):
    publisher, store = "/api/am/publisher/v4/apis", "/api/am/devportal/v3"
    admin, endpoint = Client(tls), {"url": "http://127.0.0.1:9"}
    owners = [f"owner-{number}" for number in range(applications // PER_OWNER + 1)]
    for owner in owners:
        user = {"username": owner, "password": PASSWORD, "roles": ["Internal/subscriber"]}
        admin.make("/api/portcullis/v1/users", user)

    def api(client, number):
        body = {"name": f"api-{number}", "context": f"/api-{number}", "version": "1.0.0", "policies": ["Gold"],
                "description": "An API among many.", "tags": [f"tag-{number % 20}"],
                "endpointConfig": {"endpoint_type": "http", "production_endpoints": endpoint}}
        made = client.make(publisher, body)["id"]
        client.make(f"{publisher}/change-lifecycle?action=Publish&apiId={made}", None)
        return made

    def application(client, number):
        body = {"name": f"app-{number}", "throttlingPolicy": "Unlimited"}
        client.headers = Client(tls, owners[number // PER_OWNER]).headers
        made = client.make(f"{store}/applications", body)["applicationId"]
        client.make(f"{store}/subscriptions", {"applicationId": made, "apiId": first, "throttlingPolicy": "Gold"})

    first, admin = fill(tls, "APIs", apis, api), Client(tls)
    # Deployed, because what is published alone has no gateway.
    revision = admin.make(f"{publisher}/{first}/revisions", {"description": "first"})["id"]
    place = [{"name": "Default", "vhost": "localhost", "displayOnDevportal": True}]
    admin.make(f"{publisher}/{first}/deploy-revision?revisionId={revision}", place)
    fill(tls, "applications, subscribed to one API", applications, application)
    own = Client(tls).make(f"{store}/applications", {"name": "own", "throttlingPolicy": "Unlimited"})["applicationId"]
    busy = call(tls, admin, own)
    resident = next(line for line in open(f"/proc/{node.pid}/status") if line.startswith("VmRSS"))
    print(f"resident: {int(resident.split()[1]) // 1024} MiB\n   bytes   median      max  page")
    browser = sign_in(tls)
    for page in PAGES:
        measure(browser, page.format(api=first, application=own, busy=busy))


if __name__ == "__main__":
    main()
