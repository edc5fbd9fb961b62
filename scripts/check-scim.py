"""Checks /scim2 of a running node with scim2-tester (pip install scim2-tester scim2-client[httpx2]).

    python3 scripts/check-scim.py https://127.0.0.1:9443 n1/tls/ca.pem admin PASSWORD

Prints each check that did not succeed, and how many there were of each kind; fails where one failed.
"""

import collections
import sys

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server


def main() -> int:
    server, authority, user, password = sys.argv[1:]
    with httpx2.Client(base_url=f"{server}/scim2", auth=(user, password), verify=authority, timeout=30) as client:
        results = check_server(SyncSCIMClient(client))
    for result in results:
        if result.status not in (Status.SUCCESS, Status.SKIPPED):
            print(f"{result.status.name:12} {result.title}: {result.reason}")
    counts = collections.Counter(result.status.name for result in results)
    print(", ".join(f"{name.lower()} {count}" for name, count in sorted(counts.items())))
    return 1 if counts["ERROR"] or counts["CRITICAL"] else 0


if __name__ == "__main__":
    sys.exit(main())
