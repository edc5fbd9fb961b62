"""The load of scripts/measure-failover.sh and scripts/measure-large-state.sh: API calls, and writes."""

import base64
import http.client
import http.server
import json
import os
import signal
import ssl
import statistics
import sys
import threading
import time

HOSTS = {n: f"127.87.1.{n}" for n in (1, 2, 3)}
BACKEND = ("127.87.1.9", 8099)
BASIC = "Basic " + base64.b64encode(b"admin:bench-password").decode()


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers every call at once."""

    protocol_version = "HTTP/1.1"
    # Head and body in one packet: otherwise each call waits 40 ms for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def serve_backend():
    server = http.server.ThreadingHTTPServer(BACKEND, Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def management(node, ca, timeout):
    # Both ends are ours: the authority is checked, the host's name is the address.
    return http.client.HTTPSConnection(HOSTS[node], 9443, timeout=timeout, context=ssl.create_default_context(cafile=ca))


def ask(connection, verb, path, body=None, headers=None):
    headers = {"authorization": BASIC, **(headers or {})}
    if body is not None and "content-type" not in headers:
        headers["content-type"] = "application/json"
        body = json.dumps(body)
    connection.request(verb, path, body, headers)
    reply = connection.getresponse()
    text = reply.read()
    return reply.status, json.loads(text) if text[:1] in (b"{", b"[") else text


def expect(status, wanted, body):
    if status != wanted:
        raise SystemExit(f"{status}: {body}")
    return body


def prepare(ca, file):
    """Publishes an API, subscribes an application to it, and keeps a token."""
    c = management(1, ca, 30)
    publisher, store = "/api/am/publisher/v4", "/api/am/devportal/v3"
    url = f"http://{BACKEND[0]}:{BACKEND[1]}"
    api = {"name": "Failover", "context": "/failover", "version": "1.0", "policies": ["Unlimited"],
           "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": url}},
           "operations": [{"verb": "GET", "target": "/*", "authType": "Application & Application User",
                           "throttlingPolicy": "Unlimited"}]}
    api_id = expect(*order(ask(c, "POST", f"{publisher}/apis", api), 201))["id"]
    revision = expect(*order(ask(c, "POST", f"{publisher}/apis/{api_id}/revisions", {"description": "first"}), 201))["id"]
    expect(*order(ask(c, "POST", f"{publisher}/apis/{api_id}/deploy-revision?revisionId={revision}",
                      [{"name": "Default", "vhost": "localhost", "displayOnDevportal": True}]), 200))
    expect(*order(ask(c, "POST", f"{publisher}/apis/change-lifecycle?apiId={api_id}&action=Publish"), 200))
    app = expect(*order(ask(c, "POST", f"{store}/applications",
                            {"name": "failover", "throttlingPolicy": "Unlimited", "tokenType": "OAUTH"}), 201))["applicationId"]
    expect(*order(ask(c, "POST", f"{store}/subscriptions",
                      {"apiId": api_id, "applicationId": app, "throttlingPolicy": "Unlimited"}), 201))
    keys = expect(*order(ask(c, "POST", f"{store}/applications/{app}/generate-keys",
                             {"keyType": "PRODUCTION", "grantTypesToBeSupported": ["client_credentials"]}), 200))
    pair = base64.b64encode(f"{keys['consumerKey']}:{keys['consumerSecret']}".encode()).decode()
    token = expect(*order(ask(c, "POST", "/oauth2/token", "grant_type=client_credentials",
                              {"authorization": f"Basic {pair}", "content-type": "application/x-www-form-urlencoded"}), 200))
    with open(file, "w", encoding="utf-8") as out:
        json.dump({"token": token["access_token"], "path": "/failover/1.0/x", "application": app}, out)


def order(answer, wanted):
    return answer[0], wanted, answer[1]


def call(node, made, over, counts):
    """Makes API calls on one connection until it is over; a connection that breaks is a call that failed."""
    connection = http.client.HTTPConnection(HOSTS[node], 8280, timeout=5)
    while not over.is_set():
        try:
            connection.request("GET", made["path"], headers={"authorization": f"Bearer {made['token']}"})
            reply = connection.getresponse()
            reply.read()
            counts["ok" if reply.status == 200 else "failed"] += 1
        except (OSError, http.client.HTTPException):
            counts["failed"] += 1
            connection.close()


def timed(node, made, over, times):
    """Makes some hundred API calls a second, and notes how long each took, in seconds."""
    connection = http.client.HTTPConnection(HOSTS[node], 8280, timeout=5)
    while not over.is_set():
        began = time.monotonic()
        connection.request("GET", made["path"], headers={"authorization": f"Bearer {made['token']}"})
        reply = connection.getresponse()
        reply.read()
        expect(reply.status, 200, "an API call failed")
        times.append(time.monotonic() - began)
        time.sleep(0.005)


def steady_writes(ca, node, made, over, times):
    """Writes some hundred times a second, and notes how long each write took, in seconds."""
    connection = management(node, ca, 30)
    number = 0
    while not over.is_set():
        number += 1
        body = {"name": "failover", "throttlingPolicy": "Unlimited", "description": f"write {number}"}
        began = time.monotonic()
        status, reply = ask(connection, "PUT", f"/api/am/devportal/v3/applications/{made['application']}", body)
        expect(status, 200, reply)
        times.append(time.monotonic() - began)
        time.sleep(0.005)


def p99(times):
    return sorted(times)[int(len(times) * 0.99)] * 1000


def until_stopped(ca, file, what, stop):
    """Calls and writes at node 1 until the file `stop` is there; prints the 99th percentiles."""
    serve_backend()
    with open(file, encoding="utf-8") as kept:
        made = json.load(kept)
    over, calls, writes = threading.Event(), [], []
    threads = [threading.Thread(target=timed, args=(1, made, over, calls)) for _ in range(2)]
    threads.append(threading.Thread(target=steady_writes, args=(ca, 1, made, over, writes)))
    for thread in threads:
        thread.start()
    while not os.path.exists(stop):
        time.sleep(0.02)
    over.set()
    for thread in threads:
        thread.join()
    print(f"{what}: p99 of {len(calls)} API calls {p99(calls):.2f} ms, worst {max(calls) * 1000:.0f} ms; "
          f"p99 of {len(writes)} writes {p99(writes):.2f} ms, worst {max(writes) * 1000:.0f} ms")


def write(ca, node, made, number, killed_at):
    """Writes until one write succeeds; returns the time since the kill."""
    body = {"name": "failover", "throttlingPolicy": "Unlimited", "description": f"write {number}"}
    connection = management(node, ca, 10)
    connection.connect()
    while True:
        try:
            status, _ = ask(connection, "PUT", f"/api/am/devportal/v3/applications/{made['application']}", body)
            if status == 200:
                return time.monotonic() - killed_at[0]
        except (OSError, http.client.HTTPException):
            connection = management(node, ca, 10)
        time.sleep(0.002)


def one_round(ca, file, leader, pid, number):
    serve_backend()
    with open(file, encoding="utf-8") as kept:
        made = json.load(kept)
    others = [node for node in HOSTS if node != leader]
    over, counts = threading.Event(), [{"ok": 0, "failed": 0} for _ in range(4)]
    calls = [threading.Thread(target=call, args=(others[at % 2], made, over, counts[at])) for at in range(4)]
    for thread in calls:
        thread.start()
    while sum(one["ok"] for one in counts) < 200:
        time.sleep(0.01)
    # A connection to the management port is open before, so that its making is not measured.
    connection = management(others[0], ca, 10)
    connection.connect()
    os.kill(pid, signal.SIGKILL)
    gap = write(ca, others[0], made, number, [time.monotonic()])
    time.sleep(0.5)
    over.set()
    for thread in calls:
        thread.join()
    ok, failed = (sum(one[key] for one in counts) for key in ("ok", "failed"))
    print(f"round {number}: node {leader} killed, first write after {gap * 1000:.0f} ms; API calls on the others: {ok} ok, {failed} failed")


def summary(file):
    with open(file, encoding="utf-8") as lines:
        rows = [line.split() for line in lines]
    gaps = sorted(float(row[row.index("after") + 1]) for row in rows)
    failed = sum(int(row[-2]) for row in rows)
    print(f"{len(gaps)} rounds: median {statistics.median(gaps):.0f} ms, worst {gaps[-1]:.0f} ms; {failed} API calls failed")


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "prepare":
        prepare(*rest)
    elif what == "round":
        one_round(rest[0], rest[1], int(rest[2]), int(rest[3]), int(rest[4]))
    elif what == "load":
        until_stopped(*rest)
    else:
        summary(rest[0])
