# a row is a series that was scraped within the last hour
kept=/var/lib/prometheus/node-exporter
query() { curl --silent --fail --get --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query; }
read_rows() { query 'last_over_time({__name__=~"row_.*"}[1h])' | { grep -o 'row_[0-9]*' || true; } | tr _ -; }
write_row() {
  rm -f "$kept"/*.prom
  echo "${1/-/_} 1" >"$kept/row.prom"
  for _ in {1..90}; do
    [[ $(read_rows) != *"$1"* ]] || return 0
    sleep 1
  done
}
own() { echo none; }
