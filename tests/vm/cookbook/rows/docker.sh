app() { curl --silent --show-error --fail "$@" http://127.0.0.1:8080/cgi-bin/note; }
read_rows() { app | { grep -o 'row-[0-9]*' || true; }; }
write_row() { { read_rows && echo "$1"; } | app --data-binary @- >/dev/null; }
own() { docker info --format '{{.ID}}' | tr -d ' '; }
