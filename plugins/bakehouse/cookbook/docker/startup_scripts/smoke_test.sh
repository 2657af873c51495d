# Runs on a throw-away machine that has booted the candidate.
app() { curl --silent --show-error --fail --noproxy '*' --max-time 30 "$@" http://127.0.0.1:8080/cgi-bin/note; }
writes_and_reads() {
  app --data-binary written
  app | grep -x written
}
greets() { app | grep -x 'Hello from the smoke test'; }
in_the_volume() { [[ $(cat /var/lib/app/note) == written ]]; }
pulled_nothing() { [[ $(docker image ls --quiet | wc -l) == 1 ]]; }

check "a note is written and read" "journalctl -u app" writes_and_reads
check "it is in the volume" "/opt/app/compose.yaml" in_the_volume
check "it greets as configured" "templates/etc/app/app.env.j2" greets
check "the image has the container's image" "docker image ls" pulled_nothing
