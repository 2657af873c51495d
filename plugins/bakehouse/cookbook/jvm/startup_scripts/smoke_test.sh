# Runs on a throw-away machine that has booted the candidate.
app() { curl --silent --show-error --fail --noproxy '*' --max-time 30 "${@:2}" "http://127.0.0.1:8080/$1"; }
writes_and_reads() {
  app smoke --request PUT --data-binary written
  [[ $(app smoke) == written ]]
}
no_root() { [[ $(ps -o user= -p "$(systemctl show --property=MainPID --value app)") == app ]]; }
no_compiler() { ! command -v javac; }

check "a note is written and read" "journalctl -u app" writes_and_reads
check "it does not run as root" "files/app.service" no_root
check "the image has no compiler" "install.sh.j2" no_compiler
