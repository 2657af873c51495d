# Runs on a throw-away machine that has booted the candidate.
query() {
  curl --silent --show-error --fail --noproxy '*' --max-time 20 --get --data-urlencode "query=$1" \
    http://127.0.0.1:9090/api/v1/query
}
writes_and_reads() {
  echo 'smoke_test 42' >/var/lib/prometheus/node-exporter/smoke.prom
  for _ in {1..60}; do
    [[ $(query smoke_test) != *',"42"]'* ]] || return 0
    sleep 1
  done
  return 1
}
probes() {
  curl --silent --fail --noproxy '*' --max-time 20 \
    'http://127.0.0.1:9115/probe?module=http_2xx&target=http://127.0.0.1:9090/-/ready' |
    grep -x 'probe_success 1'
}
local_only() { ! ss -Hltn | awk '{print $4}' | grep -E ':(9090|9100|9115)$' | grep -vE '^127\.0\.0\.1:'; }

check "a metric is written, scraped and read" "journalctl -u prometheus" writes_and_reads
check "the blackbox exporter probes" "journalctl -u prometheus-blackbox-exporter" probes
check "they listen on loopback only" "the metadata prometheus-listen" local_only
