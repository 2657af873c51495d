# Runs on a VM that has booted the candidate image. Each check: description, hint, command.
page() { curl --silent --show-error --fail --noproxy '*' --max-time 5 http://127.0.0.1:8080/; }
shows() { page | grep -F -- "$1"; }

check "the page is served" "journalctl -u nginx; nginx -t" page
check "it greets as configured" "templates/var/www/html/index.html.j2" shows "Hello from the smoke test"
