# Runs on a throw-away machine that has booted the candidate; every check is told by itself.
page() { curl --silent --show-error --fail --noproxy '*' --max-time 5 "http://127.0.0.1:8080/$1"; }
shows() { page "$1" | grep -F -- "$2"; }
served() { page "$1" >/dev/null; }
valid() { page bakehouse.json | python3 -m json.tool >/dev/null; }

check "the page is served" "journalctl -u nginx; nginx -t" served ""
check "it greets as configured" "templates/var/www/html/index.html.j2" shows "" "Hello from the smoke test"
check "it names its commit" "image.git_sha in index.html.j2" \
  shows "" "$(sed -n 's/.*"git_sha": "\([0-9a-f]*\)".*/\1/p' /etc/bakehouse/image.json)"
check "the facts are JSON" "templates/var/www/html/bakehouse.json.j2" valid
