# Runs on a throw-away machine that has booted the candidate.
app() { curl --silent --show-error --fail --noproxy '*' --max-time 30 "${@:2}" "http://127.0.0.1:8080/$1"; }
writes_and_reads() {
  app values/smoke --request PUT --header 'Content-Type: text/plain' --data-binary written
  [[ $(app values/smoke) == written ]]
}
no_root() { [[ $(ps -o user= -p "$(systemctl show --property=MainPID --value app)") == app ]]; }
as_locked() {
  [[ $(node -p 'require("/opt/app/node_modules/express/package.json").version') == \
    $(node -p 'require("/opt/app/package-lock.json").packages["node_modules/express"].version') ]]
}

check "a value is written and read" "journalctl -u app" writes_and_reads
check "it does not run as root" "files/app.service" no_root
check "dependencies are those of the lock" "app/package-lock.json" as_locked
