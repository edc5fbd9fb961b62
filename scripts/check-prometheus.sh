#!/usr/bin/env bash
# Checks what is shipped for Prometheus against Prometheus itself: the configuration and the rules by promtool, whether an alert
# fires where it should, and, with three throw-away nodes, that they are scraped, that every rule is evaluated, and that every
# query of the rules and of the dashboard is understood and asks for metrics that there are. Needs prometheus and promtool
# (Debian's package; it is unpacked into a temporary directory where it is not installed) and a binary: PORTCULLIS, or
# target/debug/portcullis. Usage: scripts/check-prometheus.sh [ADDRESS]     the first node's; 127.77.40.1 where not said
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
given=$root/cluster-configs/observability
address=${1:-127.77.40.1} work=$(mktemp -d) pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT
if ! command -v prometheus promtool >/dev/null; then
  (cd "$work" && apt-get download prometheus >/dev/null 2>&1 && dpkg -x prometheus_*.deb unpacked)
  PATH=$work/unpacked/usr/bin:$PATH
fi

promtool check config "$given/prometheus.yaml"
# One call in ten takes between one and two seconds: the 95th percentile is above a second. Of one API, three calls in ten fail.
cat > "$work/test.yaml" <<TEST
rule_files: [$given/alerts.yaml]
tests:
  - interval: 1m
    input_series:
      - {series: 'portcullis_gateway_request_duration_seconds_bucket{le="0.524288"}', values: '0+90x30'}
      - {series: 'portcullis_gateway_request_duration_seconds_bucket{le="1.048576"}', values: '0+90x30'}
      - {series: 'portcullis_gateway_request_duration_seconds_bucket{le="2.097152"}', values: '0+100x30'}
      - {series: 'portcullis_gateway_request_duration_seconds_bucket{le="+Inf"}', values: '0+100x30'}
      - {series: 'portcullis_gateway_requests_total{tenant="carbon.super",api="pizza",version="1",method="GET",status_class="5xx"}', values: '0+30x30'}
      - {series: 'portcullis_gateway_requests_total{tenant="carbon.super",api="pizza",version="1",method="GET",status_class="2xx"}', values: '0+70x30'}
      - {series: 'portcullis_gateway_requests_total{tenant="carbon.super",api="soup",version="1",method="GET",status_class="2xx"}', values: '0+9000x30'}
    alert_rule_test:
      - eval_time: 25m
        alertname: PortcullisApiFails
        exp_alerts:
          - exp_labels: {severity: warning, tenant: carbon.super, api: pizza, version: "1"}
            exp_annotations:
              summary: "more than 20 % of the calls of pizza 1 fail with 5xx"
              next: "portcullis stats faults --from 1h"
      - eval_time: 25m
        alertname: PortcullisSlowCalls
        exp_alerts:
          - exp_labels: {severity: warning}
            exp_annotations:
              summary: "the 95th percentile of API calls is 1.6 s"
              next: "portcullis stats latency --from 1h tells the backend's part"
TEST
promtool test rules "$work/test.yaml"

"${PORTCULLIS:-$root/target/debug/portcullis}" dev --nodes 3 --bind "$address" -o json > "$work/ready" 2> "$work/log" & pids+=($!)
for _ in $(seq 600); do [ -s "$work/ready" ] && break; sleep 0.2; done
[ -s "$work/ready" ] || { cat "$work/log"; exit 1; }
python3 - "$address" "$given" "$work" <<'PYTHON'
import pathlib, sys
address, given, work = sys.argv[1:]
first, last = address.rsplit(".", 1)
targets = ", ".join(f'"{first}.{int(last) + number}:9763"' for number in range(3))
text = pathlib.Path(given, "prometheus.yaml").read_text().replace("15s", "1s").replace("alerts.yaml", f"{given}/alerts.yaml")
before, after = text.split("targets: [")
pathlib.Path(work, "prometheus.yaml").write_text(f"{before}targets: [{targets}]{after.split(']', 1)[1]}")
PYTHON
listen=$address:9099
prometheus --config.file="$work/prometheus.yaml" --storage.tsdb.path="$work/data" --web.listen-address="$listen" > "$work/prometheus.log" 2>&1 &
pids+=($!)
python3 "$root/scripts/check-prometheus.py" "http://$listen" "http://$address:8280" "$given"
