# Runs on a throw-away machine that has booted the candidate; the server behind it is this one.
cat >server.py <<'PYTHON'
import http.server

kept = {}


class Server(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self):
        body = kept.get(self.path, b"nothing\n")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", 8081), Server).serve_forever()
PYTHON
python3 server.py >/dev/null 2>&1 &
server=$!

through() {
  curl --silent --show-error --fail --insecure --noproxy '*' --max-time 20 \
    --retry 20 --retry-delay 1 --retry-all-errors "${@:2}" "$1"
}
writes_and_reads() {
  through http://127.0.0.1/note --request PUT --data-binary written
  [[ $(through https://127.0.0.1/note) == written ]]
}
own_certificate() {
  [[ $(openssl x509 -in /etc/haproxy/certs/self-signed.pem -noout -subject) == *"$HOSTNAME"* ]]
}
is_private() { [[ $(stat -c %a:%U:%G /etc/haproxy/certs/self-signed.pem) == 640:root:haproxy ]]; }

check "a request gets through, both ways" "journalctl -u haproxy" writes_and_reads
check "the certificate is this machine's own" "files/haproxy-first-boot" own_certificate
check "its key is private" "files/haproxy-first-boot" is_private
kill "$server" || true
