mkdir -p /run/served
cd /run/served
python3 -m http.server --bind 127.0.0.1 8081 >/dev/null 2>&1 &
read_rows() {
  [[ ! -e rows ]] || curl --silent --show-error --fail --insecure --retry 20 --retry-all-errors https://127.0.0.1/rows
}
write_row() { echo "$1" >rows; }
own() { openssl x509 -in /etc/haproxy/certs/self-signed.pem -noout -fingerprint -sha256 | tr -d : | tail -c 17; }
