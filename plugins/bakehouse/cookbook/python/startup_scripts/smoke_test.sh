# Runs on a throw-away machine that has booted the candidate.
app() { curl --silent --show-error --fail --noproxy '*' --max-time 30 "${@:2}" "http://127.0.0.1:8080/$1"; }
writes_and_reads() {
  app notes/smoke --request PUT --header 'Content-Type: text/plain' --data-binary written
  [[ $(app notes/smoke) == written ]]
}
no_root() { [[ $(ps -o user= -p "$(systemctl show --property=MainPID --value app)") == app ]]; }
# every package of the environment, with its version, stands in the lock
as_locked() {
  /opt/app/venv/bin/pip list --format=freeze --exclude pip --exclude setuptools |
    while IFS= read -r package; do
      grep -qi "^$package " /opt/app/requirements.lock || { echo "$package" && return 1; }
    done
}

check "a note is written and read" "journalctl -u app" writes_and_reads
check "it does not run as root" "files/app.service" no_root
check "dependencies are those of the lock" "app/requirements.lock" as_locked
